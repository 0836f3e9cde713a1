#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless decode: every field of every structure, there and back again."""
import json
import os
import random

from hitless import SAMPLE, SOURCE, Case, main

VTD = ("pasid-entry", "context-entry", "fault-record", "iotlb-invalidate", "cap", "ecap", "gcmd")
ARCHS = {
    "vtd": VTD,
    "vtd-legacy": VTD,
    "riscv": ("dc", "dc-extended", "pc", "pte", "iotinval", "iofence", "fault-record", "capabilities", "ddtp", "cqcsr"),
    "smmuv3": ("l1std", "ste", "l1cd", "cd", "tlbi-va", "sync", "fault-event", "SMMU_IDR0", "SMMU_CR0", "SMMU_EVENTQ_PROD"),
}


class Decode(Case):
    def test_list(self):
        for arch in ARCHS:
            structures = self.json("decode", arch, "list")["structures"]
            self.assertEqual(structures, self.json("decode", arch)["structures"])
            names = [s["name"] for s in structures]
            self.assertEqual(len(names), len(set(names)))
            for name in ARCHS[arch]:
                self.assertIn(name, names)
            text = self.good("decode", arch, "list")
            self.assertEqual(len(text.splitlines()), len(names) + 1)

    def test_round_trip(self):
        """From the fields that are printed, and the reserved bits, the words can be put together again."""
        rng = random.Random(1)
        structures = [(a, s) for a in ("vtd", "riscv", "smmuv3") for s in self.json("decode", a, "list")["structures"]]
        for arch, structure in structures[::SAMPLE]:
            for _ in range(3):
                bits = min(64, structure["bits"])
                words = [rng.getrandbits(bits) for _ in range(structure["words"])]
                decoded = self.json("decode", arch, structure["name"], *(hex(w) for w in words))
                self.assertEqual([int(w, 16) for w in decoded["words"]], words)
                whole = 0
                for part in decoded["fields"] + decoded["reserved"]:
                    self.assertLess(int(part["value"], 16), 1 << part["width"])
                    whole |= int(part["value"], 16) << part["lsb"]
                self.assertEqual(whole, sum(w << 64 * i for i, w in enumerate(words)), structure["name"])
                text = self.good("decode", arch, structure["name"], *map(str, words))
                for field in decoded["fields"]:
                    self.assertRegex(text, rf"(?m)^{field['bits']} +{field['name']} ")
                self.assertEqual(text.count("reserved bits are set"), len(decoded["reserved"]))

    def field(self, decoded, name):
        return next(f for f in decoded["fields"] if f["name"] == name)

    def test_every_configuration(self):
        """No configuration of cells.json sets a reserved bit, and each says its kind."""
        vtd = {"invalid": "not present", "identity": "pass-through", "s1": "first stage", "s2": "second stage",
               "nested": "nested"}
        riscv = {"invalid": "not valid", "identity": "identity", "s1": "first stage", "s2": "second stage", "nested": "nested",
                 "identity:pdt=bare": "process directory, Bare", "s1:pdt=p": "process directory",
                 "s1:pdt=q": "process directory", "nested:gscid=1,parent=x,pdt=p": "nested, process directory"}
        smmuv3 = {"blocked": "abort", "identity": "bypass", "s1": "first stage, table of contexts", "s2": "second stage",
                  "s1:cd=a,dss=bypass": "first stage, table of contexts, bypass without SubstreamID",
                  "nested": "nested, table of contexts"}
        smmuv3_cd = {"invalid": "not valid", "s1": "TTB0", "disabled": "no tables"}
        names = {("vtd", "pasid"): ("pasid-entry", vtd), ("vtd-legacy", "context"): ("context-entry", vtd),
                 ("riscv", "dc"): ("dc", riscv), ("riscv", "pc"): ("pc", {**riscv, "identity": "Bare"}),
                 ("smmuv3", "ste"): ("ste", smmuv3), ("smmuv3", "cd"): ("cd", smmuv3_cd)}
        with open(os.path.join(SOURCE, "tests", "cells.json"), encoding="ascii") as file:
            entries = json.load(file)["entries"]
        for entry in entries:
            structure, modes = names.get((entry["arch"], entry["entry"]), (None, None))
            for config in entry["configs"] if structure else []:
                decoded = self.json("decode", entry["arch"], structure, *config["words"])
                self.assertEqual(decoded["reserved"], [])
                name = config["name"]
                self.assertEqual(decoded["mode"], modes.get(name, modes[name.split(":")[0]]))

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
        for arch in ("vtd", "amdvi", "riscv", "smmuv3"):
            with open(os.path.join(SOURCE, "docs", f"structures-{arch}.md"), encoding="ascii") as file:
                self.assertEqual(file.read(), self.good("decode", "--markdown", arch),
                                 f"run: build/hitless decode --markdown {arch} > docs/structures-{arch}.md")

    def test_riscv_meanings(self):
        dc = self.json("decode", "riscv", "dc", "0x1", "0x8000100000000010", "0", "0")
        self.assertEqual(self.field(dc, "G_PPN")["address"], "0x10000")
        self.assertEqual(self.field(dc, "G_MODE")["meaning"], "Sv39x4")
        self.assertFalse(self.field(dc, "PSCID")["looked_at"])
        fault = self.json("decode", "riscv", "fault-record", hex(259 | 8 << 40), "0", "0x1000", "0")
        self.assertEqual(self.field(fault, "CAUSE")["meaning"], "device directory entry misconfigured")
        self.assertEqual(self.field(fault, "DID")["meaning"], "00:01.0")
        inval = self.json("decode", "riscv", "iotinval", hex(1 | 1 << 10), hex(0x12345 << 10))
        self.assertEqual(self.field(inval, "ADDR")["address"], "0x12345000")
        self.assertEqual(self.field(self.json("decode", "riscv", "pte", hex(0x55 << 10 | 0xd7)), "PPN")["address"], "0x55000")

    def test_smmuv3_meanings(self):
        ste = self.json("decode", "smmuv3", "ste", "0xd", hex(1 << 44), hex(7 | 25 << 32 | 1 << 51), "0x30000", *["0"] * 4)
        self.assertEqual(self.field(ste, "S2TTB")["address"], "0x30000")
        self.assertEqual(self.field(ste, "S2T0SZ")["meaning"], "addresses of 39 bits")
        self.assertFalse(self.field(ste, "S1CONTEXTPTR")["looked_at"])
        fault = self.json("decode", "smmuv3", "fault-event", hex(0x10 | 8 << 32), hex(1 << 35 | 2 << 40), "0x1000", "0")
        self.assertIn("F_TRANSLATION", self.field(fault, "CODE")["meaning"])
        self.assertEqual(self.field(fault, "SID")["meaning"], "00:01.0")
        self.assertEqual(self.field(fault, "CLASS")["meaning"], "the transaction")
        tlbi = self.json("decode", "smmuv3", "tlbi-va", hex(0x12 | 3 << 32 | 5 << 48), "0x12345001")
        self.assertEqual(tlbi["mode"], "VMID and ASID")
        self.assertEqual(self.field(tlbi, "ADDR")["address"], "0x12345000")
        inval = self.json("decode", "smmuv3", "cfgi-ste-range", "0x4", "31")
        self.assertIn("CMD_CFGI_ALL", self.field(inval, "RANGE")["meaning"])


main()
