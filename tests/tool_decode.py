#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless decode: every field of every structure, there and back again."""
import json
import os
import random

from hitless import SOURCE, Case, main

ARCHS = ("vtd", "vtd-legacy")


class Decode(Case):
    def test_list(self):
        for arch in ARCHS:
            structures = self.json("decode", arch, "list")["structures"]
            self.assertEqual(structures, self.json("decode", arch)["structures"])
            names = [s["name"] for s in structures]
            self.assertEqual(len(names), len(set(names)))
            for name in ("pasid-entry", "context-entry", "fault-record", "iotlb-invalidate", "cap", "ecap", "gcmd"):
                self.assertIn(name, names)
            text = self.good("decode", arch, "list")
            self.assertEqual(len(text.splitlines()), len(names) + 1)

    def test_round_trip(self):
        """From the fields that are printed, and the reserved bits, the words can be put together again."""
        rng = random.Random(1)
        for structure in self.json("decode", "vtd", "list")["structures"]:
            for _ in range(3):
                bits = min(64, structure["bits"])
                words = [rng.getrandbits(bits) for _ in range(structure["words"])]
                decoded = self.json("decode", "vtd", structure["name"], *(hex(w) for w in words))
                self.assertEqual([int(w, 16) for w in decoded["words"]], words)
                whole = 0
                for part in decoded["fields"] + decoded["reserved"]:
                    self.assertLess(int(part["value"], 16), 1 << part["width"])
                    whole |= int(part["value"], 16) << part["lsb"]
                self.assertEqual(whole, sum(w << 64 * i for i, w in enumerate(words)), structure["name"])
                text = self.good("decode", "vtd", structure["name"], *map(str, words))
                for field in decoded["fields"]:
                    self.assertRegex(text, rf"(?m)^{field['bits']} +{field['name']} ")
                self.assertEqual(text.count("reserved bits are set"), len(decoded["reserved"]))

    def field(self, decoded, name):
        return next(f for f in decoded["fields"] if f["name"] == name)

    def test_every_configuration(self):
        """No configuration of cells.json sets a reserved bit, and each says its kind."""
        modes = {"invalid": "not present", "identity": "pass-through", "s1": "first stage", "s2": "second stage",
                 "nested": "nested"}
        names = {("vtd", "pasid"): "pasid-entry", ("vtd-legacy", "context"): "context-entry"}
        with open(os.path.join(SOURCE, "tests", "cells.json"), encoding="ascii") as file:
            entries = json.load(file)["entries"]
        for entry in entries:
            structure = names.get((entry["arch"], entry["entry"]))
            for config in entry["configs"] if structure else []:
                decoded = self.json("decode", entry["arch"], structure, *config["words"])
                self.assertEqual(decoded["reserved"], [])
                self.assertEqual(decoded["mode"], modes[config["name"].split(":")[0]])

    def test_looked_at(self):
        decoded = self.json("decode", "vtd", "pasid-entry", "0xa089", "0x800002", *["0"] * 6)
        self.assertEqual(self.field(decoded, "SSPTPTR")["address"], "0xa000")
        self.assertTrue(self.field(decoded, "SSPTPTR")["looked_at"])
        self.assertFalse(self.field(decoded, "FSPTPTR")["looked_at"])
        self.assertEqual(self.field(decoded, "AW")["meaning"], "48-bit, 4 levels")
        absent = self.json("decode", "vtd", "pasid-entry", *["0"] * 8)
        self.assertEqual([f["name"] for f in absent["fields"] if f["looked_at"]], ["P", "FPD"])

    def test_meanings(self):
        fault = self.json("decode", "vtd", "fault-record", "0x1000", hex(1 << 63 | 5 << 32 | 0x10))
        self.assertEqual(self.field(fault, "FR")["meaning"], "no write permission")
        self.assertEqual(self.field(fault, "SID")["meaning"], "00:02.0")
        self.assertIn("no write permission", self.good("decode", "vtd", "fault-record", "0", hex(5 << 32)))
        self.assertEqual(self.field(self.json("decode", "vtd", "pasid-entry", "1", *["0"] * 7), "PGTT")["meaning"],
                         "reserved value")

    def test_words_from_stdin(self):
        words = ["0xa001", "0x202"]
        given = self.json("decode", "vtd-legacy", "context-entry", *words)
        for text in (" ".join(words), "\n".join(words) + "\n", "\t40961 514  "):
            self.assertEqual(self.json("decode", "vtd-legacy", "context-entry", stdin=text), given)
        self.refused("decode", "vtd", "context-entry", stdin="0xa001", says=["context-entry", "1 of its 2"])
        self.refused("decode", "vtd", "context-entry", stdin="1 2 3", says="'3'")
        self.refused("decode", "vtd", "context-entry", stdin="1 two", says=["word 1", "'two'"])
        self.refused("decode", "vtd", "context-entry", stdin="9" * 500, says="word 0")

    def test_wrong_usage(self):
        self.refused("decode", says="architecture is missing")
        self.refused("decode", "x86", says=["'x86'", "vtd", "vtd-legacy"])
        self.refused("decode", "vtd", "no-such", says=["'no-such'", "decode vtd list"])
        self.refused("decode", "vtd", "cap", "1", "2", says=["cap", "too many"])
        self.refused("decode", "vtd", "pasid-entry", "1", says=["pasid-entry", "7 of its 8"])
        self.refused("decode", "vtd", "gcmd", "0x100000000", says=["gcmd", "32 bits"])
        self.refused("decode", "vtd", "list", "1", says="'1'")
        for wrong in ("x", "0x", "", " 1", "+1", "1 ", "0x1g", "18446744073709551616", "1e3"):
            self.refused("decode", "vtd", "cap", wrong, says=["cap", "word 0"])

    def test_docs_are_up_to_date(self):
        for arch in ("vtd", "amdvi"):
            with open(os.path.join(SOURCE, "docs", f"structures-{arch}.md"), encoding="ascii") as file:
                self.assertEqual(file.read(), self.good("decode", "--markdown", arch),
                                 f"run: build/hitless decode --markdown {arch} > docs/structures-{arch}.md")


main()
