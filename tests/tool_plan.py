#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless plan: every pair of cells.json, the JSON that CLI.md describes, wrong usage."""
import json
import os

from hitless import SAMPLE, SOURCE, Case, main

with open(os.path.join(SOURCE, "tests", "cells.json"), encoding="ascii") as cells:
    # Of an architecture with several live entries the one that a plain configuration names.
    ENTRIES = {e["arch"]: e for e in json.load(cells)["entries"]
               if (e["arch"], e["entry"]) in (("vtd", "pasid"), ("vtd-legacy", "context"), ("riscv", "dc"),
                                           ("smmuv3", "ste"))}


class Plan(Case):
    def plan(self, arch, old, new, *args):
        return self.json("plan", "--arch", arch, "--from", old, "--to", new, *args)

    def carried_out(self, plan):
        """The entry after the plan's stores."""
        words = list(plan["before"])
        for step in plan["steps"]:
            if step["op"] == "store" and "table" in step:
                words = step["table"]["words"]
            elif step["op"] == "store":
                first = step["quantum"] * len(step["words"])
                words[first:first + len(step["words"])] = step["words"]
        return words

    def test_every_pair(self):
        for arch, entry in ENTRIES.items():
            words = {c["name"]: c["words"] for c in entry["configs"]}
            for i, old in enumerate(words):
                for new, quantum in [(name, quantum) for name in words for quantum in (64, 128)][i % SAMPLE::SAMPLE]:
                    plan = self.plan(arch, old, new, "--quantum", str(quantum))
                    self.assertEqual((plan["arch"], plan["entry"], plan["from"], plan["to"], plan["quantum"]),
                                     (arch, entry["entry"], old, new, quantum))
                    self.assertEqual((plan["before"], plan["after"]), (words[old], words[new]))
                    self.assertEqual(self.carried_out(plan), words[new])
                    self.assertEqual(plan["hitless"], plan["strategy"] != "break")
                    self.assertEqual(plan["why"] is None, plan["hitless"])
                    ops = [s["op"] for s in plan["steps"]]
                    self.assertEqual(ops.count("store"), plan["cost"]["stores"])
                    self.assertEqual(ops.count("invalidate"), plan["cost"]["commands"])
                    self.assertEqual(ops.count("wait"), plan["cost"]["rounds"])
                    self.assertEqual(len([s for s in plan["steps"] if s.get("poll")]), plan["cost"]["polls"])
                    self.assertLessEqual(set(ops), {"store", "barrier", "writeback", "invalidate", "wait", "lock",
                                                    "unlock", "alloc", "free", "pci"})

    def test_one_store(self):
        plan = self.plan("vtd", "s2", "s2")
        self.assertEqual((plan["from"], plan["to"]), ("s2:did=2,root=a", "s2:did=3,root=b"))
        self.assertEqual(plan["strategy"], "one store")
        self.assertEqual(plan["steps"][0], {"op": "store", "device": 0, "structure": "pasid-entry", "quantum": 0,
                                            "words": ["0x000000000000b089", "0x0000000000800003"]})
        pasid, wait, iotlb, last = plan["steps"][1:]
        self.assertEqual((pasid["cache"], pasid["scope"], pasid["DID"], pasid["PASID"]), ("pasid", "pasid-selective", 2, 0))
        self.assertEqual((iotlb["cache"], iotlb["scope"], iotlb["DID"]), ("iotlb", "domain-selective", 2))
        self.assertEqual((wait["poll"], last["poll"]), (False, True))

    def test_riscv(self):
        plan = self.plan("riscv", "s2", "s2")
        self.assertEqual((plan["strategy"], plan["quantum"]), ("one store", 64))
        self.assertEqual(plan["steps"][0], {"op": "store", "device": 0, "structure": "dc", "quantum": 1,
                                            "words": ["0x8000200000000020"]})
        ddt, wait, vma, gvma, last = plan["steps"][1:]
        self.assertEqual((ddt["cache"], ddt["scope"], ddt["DID"]), ("entry", "inval-ddt-device", 0x10))
        self.assertEqual((vma["scope"], vma["GSCID"], gvma["scope"], gvma["GSCID"]), ("vma-gscid", 1, "gvma-gscid", 1))
        self.assertEqual((wait["poll"], last["poll"]), (False, True))
        swap = self.plan("riscv", "s1", "s1")
        self.assertEqual(swap["strategy"], "table swap")
        self.assertEqual(next(s for s in swap["steps"] if s["op"] == "store")["structure"], "non-leaf-ddt-entry")
        # What the specification says itself needs no assumption.
        hop = self.plan("riscv", "s1", "s1", "--tags", "private", "--strategy", "tag hop")
        self.assertEqual((hop["strategy"], hop["hitless"]), ("tag hop", True))
        self.assertEqual(self.plan("riscv", "s1:pdt=p", "s1:pdt=q")["strategy"], "one store")

    def test_smmuv3(self):
        plan = self.plan("smmuv3", "s2", "s2", "--quantum", "128")
        self.assertEqual((plan["entry"], plan["strategy"]), ("ste", "one store"))
        self.assertEqual(plan["steps"][0], {"op": "store", "device": 0, "structure": "ste", "quantum": 1,
                                            "words": ["0x0448123400000002", "0x0000000000040000"]})
        cfgi, wait, tlbi, last = plan["steps"][1:]
        self.assertEqual((cfgi["structure"], cfgi["scope"], cfgi["SID"], cfgi["LEAF"]), ("cfgi-ste", "leaf", 0x10, 1))
        self.assertEqual((tlbi["structure"], tlbi["scope"], tlbi["VMID"]), ("tlbi", "s12-vmall", 1))
        self.assertEqual((wait["poll"], last["poll"]), (False, True))
        swap = self.plan("smmuv3", "s1", "s2", "--quantum", "64")
        self.assertEqual((swap["strategy"], swap["hitless"]), ("table swap", True))
        self.assertEqual(next(s for s in swap["steps"] if s["op"] == "store")["structure"], "l1std")
        self.assertEqual(self.plan("smmuv3", "s1", "s1", "--quantum", "64")["strategy"], "one store")
        # Of a context descriptor the tag and the address are one store together, or one of its table.
        for quantum, strategy in (("128", "one store"), ("64", "table swap")):
            plan = self.plan("smmuv3", "s1:asid=1,root=a", "s1:asid=2,root=b", "--quantum", quantum)
            self.assertEqual((plan["entry"], plan["strategy"]), ("cd", strategy))

    def test_table_swap(self):
        plan = self.plan("vtd", "s1:did=4,root=c", "s1:did=5,root=d")
        self.assertEqual(plan["strategy"], "table swap")
        store = next(s for s in plan["steps"] if s["op"] == "store")
        self.assertEqual(store["structure"], "pasid-directory-entry")
        self.assertEqual(store["table"], {"structure": "pasid-entry", "words": plan["after"]})
        ops = [s["op"] for s in plan["steps"]]
        self.assertLess(ops.index("alloc"), ops.index("store"))
        self.assertLess(ops.index("wait"), ops.index("free"))

    def test_quantum(self):
        self.assertEqual(self.plan("vtd", "s2", "s2", "--quantum", "64")["strategy"], "table swap")
        self.assertEqual(self.plan("vtd-legacy", "s2", "s2", "--quantum", "64")["strategy"], "table swap")

    def test_break_is_no_error(self):
        plan = self.plan("vtd", "s2:did=2,root=a", "s2:did=2,root=b")
        self.assertEqual((plan["strategy"], plan["hitless"]), ("break", False))
        self.assertIn("one cache tag", plan["why"])
        self.assertIn("disruptive", self.good("plan", "--from", "s2:did=2,root=a", "--to", "s2:did=2,root=b"))
        private = self.plan("vtd", "s2:did=2,root=a", "s2:did=2,root=b", "--tags", "private")
        self.assertEqual((private["strategy"], private["cost"]["tags"]), ("temporary tag", 1))

    def test_plain_kinds(self):
        for old, new, names in (("s1", "s1", ("s1:did=4,root=c", "s1:did=5,root=d")),
                                ("nested", "nested", ("nested:did=6,parent=a,root=e", "nested:did=7,parent=a,root=f")),
                                ("s2:did=3,root=b", "s2", ("s2:did=3,root=b", "s2:did=2,root=a")),
                                ("identity", "blocked", ("identity:did=1", "invalid")),
                                ("identity", "identity", ("identity:did=1", "identity:did=1"))):
            plan = self.plan("vtd", old, new)
            self.assertEqual((plan["from"], plan["to"]), names)
        self.assertEqual(self.plan("vtd", "identity", "identity")["strategy"], "none")

    def test_alternatives(self):
        plan = self.plan("vtd", "s1", "s2")
        others = {a["strategy"]: a for a in plan["alternatives"]}
        self.assertNotIn(plan["strategy"], others)
        self.assertEqual(others["break"]["why"], "disruptive")
        self.assertTrue(others["table swap"]["possible"])
        self.assertIsNone(others["tag hop"]["cost"])
        for other in others.values():
            self.assertTrue(other["why"])

    def test_strategy(self):
        for name in ("table swap", "table-swap"):
            self.assertEqual(self.plan("vtd", "s2", "s2", "--strategy", name)["strategy"], "table swap")
        self.assertEqual(self.plan("vtd", "s1", "s2", "--strategy", "preload")["strategy"], "preload, flip, clean")
        self.refused("plan", "--from", "s1", "--to", "s1", "--strategy", "one store", says=["one store", "quanta"])
        hop = self.plan("vtd", "s1", "s1", "--tags", "private", "--assume", "old-or-new", "--strategy", "tag hop")
        self.assertEqual(hop["strategy"], "tag hop")

    def test_unit(self):
        ops = [s["op"] for s in self.plan("vtd", "s2", "s2", "--unit", "noncoherent")["steps"]]
        self.assertEqual(ops[:2], ["store", "writeback"])
        ats = self.plan("vtd", "s2", "s2", "--unit", "ats")["steps"]
        self.assertEqual([s["cache"] for s in ats if s["op"] == "invalidate"], ["pasid", "iotlb", "devtlb"])
        for old, new, value in (("devtlb=on", None, 0), (None, "devtlb=on", 1 << 15)):
            names = ["s2:did=2,root=a" + (f",{key}" if key else "") for key in (old, new)]
            pci = [s for s in self.plan("vtd-legacy", *names, "--unit", "ats")["steps"] if s["op"] == "pci"]
            self.assertEqual([s["value"] for s in pci], [value])
        self.assertEqual(self.plan("vtd", "s1", "s1", "--unit", "fixed-table")["strategy"], "break")

    def test_text(self):
        text = self.good("plan", "--from", "s1", "--to", "s2")
        for part in ("preload, flip, clean, hitless", "PGTT 1 -> 2", "FSPTPTR 0xc000 -> 0x0", "cost: 2 stores", "not taken:"):
            self.assertIn(part, text)

    def test_wrong_usage(self):
        self.refused("plan", says="--from is missing")
        self.refused("plan", "--from", "s1", says="--to is missing")
        self.refused("plan", "--from", "s3", "--to", "s1", says=["--from", "'s3'", "s1:did=4,root=c"])
        self.refused("plan", "--from", "s1", "--to", "s2:did=9", says=["--to", "'s2:did=9'", "nested:did=6,parent=a,root=e"])
        self.refused("plan", "--arch", "vtd-legacy", "--from", "s2", "--to", "nested", says=["--to", "vtd-legacy"])
        self.refused("plan", "--arch", "x86", "--from", "s1", "--to", "s2", says=["'x86'", "vtd-legacy"])
        for option, value in (("tags", "mine"), ("quantum", "32"), ("strategy", "luck"), ("assume", "nothing"),
                              ("unit", "fast")):
            self.refused("plan", "--from", "s1", "--to", "s2", f"--{option}", value, says=[f"--{option}", f"'{value}'"])
        self.refused("plan", "--from", "s1", "--to", "s2", "s3", says="'s3'")


main()
