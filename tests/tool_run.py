#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless run: the JSON that CLI.md describes, every option, faults that are put in, wrong usage."""
import json
import os
import tempfile
import xml.dom.minidom

from hitless import SAMPLE, Case, known_gap, main, run

FIELDS = {"arch": str, "from": str, "to": str, "method": str, "strategy": str, "hitless": bool, "devices": int, "replaces": int,
          "dma": dict, "cost": dict, "latency_ns": dict, "tags": str, "ats": bool, "quantum": int}
COUNTS = ("old", "new", "blocked", "wrong", "stale")
SHORT = ("--replaces", "40")


def violations(row):
    return sum(row["dma"][count] for count in ("blocked", "wrong", "stale"))


class Run(Case):
    def rows(self, *args):
        document = self.json("run", *args)
        self.assertEqual(document["machine"], "model")
        for row in document["rows"]:
            self.check_row(row)
        return document["rows"]

    def check_row(self, row):
        for name, kind in FIELDS.items():
            self.assertIs(type(row[name]), kind, name)
        self.assertEqual(row["dma"]["total"], sum(row["dma"][count] for count in COUNTS))
        for name in ("stores", "commands", "rounds", "polls"):
            self.assertIs(type(row["cost"][name]), int)
        self.assertLessEqual(row["latency_ns"]["p50"], row["latency_ns"]["p99"])
        self.assertLessEqual(row["latency_ns"]["p99"], row["latency_ns"]["max"])

    def clean(self, rows):
        for row in rows:
            gap = known_gap(row)
            self.assertEqual(row["hitless"], not gap, row)
            self.assertEqual(violations(row), row["dma"]["blocked"] if gap else 0, row)
            self.assertEqual(row["why"] is None, not gap)
            self.assertIsNone(row["seen"])

    # ---- What must be shown ----

    def test_default_list(self):
        rows = self.rows(*SHORT)
        self.clean(rows)
        ran = {(r["arch"], r["from"], r["to"], r["tags"], r["ats"]) for r in rows if r["method"] == "replace" and not r["pasids"]}
        beside = [row for row in rows if row["pasids"]]
        gcr3 = [row for row in beside if (row["arch"], row["from"], row["to"], row["strategy"]) == ("amdvi", "s1", "s1", "same tag")]
        self.assertTrue(gcr3)
        self.assertEqual(gcr3[0]["cost"], {"stores": 1, "commands": 1, "rounds": 1, "polls": 1})
        for arch in ("vtd", "amdvi", "riscv", "smmuv3"):
            pairs = {(r["from"], r["to"], r["pasid"], r["tags"], r["ats"]) for r in rows if r["arch"] == arch and r["pasid"] is not None}
            self.assertEqual(pairs, {("s1", "s1", 7, "private", True), ("external", "s1", 7, "shared", False),
                                     ("s1", "external", 7, "shared", False), ("identity", "s1", 0, "private", False),
                                     ("s1", "identity", 0, "private", False)})
        grown = [row for row in rows if row["method"] == "grow"]
        self.assertEqual([(row["arch"], row["from"], row["to"], row["strategy"]) for row in grown], [("amdvi", "s2", "s2", "one store")])
        # Arm's rows are there twice, for its two quanta.
        twice = [row for row in rows if row["arch"] == "smmuv3" and row["quantum"] == 64 and not row["pasids"]]
        self.assertEqual(len(ran) + len(grown) + len(beside) + len(twice), len(rows))
        for arch in ("vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3"):
            for case in (("s2", "s2", "private", False), ("s2", "s2", "shared", False), ("s2", "s2", "private", True),
                         ("identity", "s2", "private", False), ("s2", "identity", "private", False)):
                self.assertIn((arch, *case), ran)
        for case in (("s1", "s1", "private", False), ("s1", "s1", "shared", False), ("s1", "s2", "private", False),
                     ("s2", "s1", "private", False)):
            self.assertIn(("vtd", *case), ran)
            self.assertIn(("amdvi", *case), ran)
            self.assertIn(("riscv", *case), ran)
            self.assertIn(("smmuv3", *case), ran)
        for row in rows:
            # Arm's CPUs come with and without 128-bit stores.
            quanta = {"riscv": {64}, "smmuv3": {64, 128}}.get(row["arch"], {128})
            self.assertEqual((row["replaces"], row["devices"]), (40, 2))
            self.assertIn(row["quantum"], quanta)
        arm = [(r["from"], r["to"], r["tags"], r["ats"], r["quantum"]) for r in rows if r["arch"] == "smmuv3" and not r["pasids"]]
        self.assertEqual({row[:4] for row in arm if row[4] == 64}, {row[:4] for row in arm if row[4] == 128})

    def test_default_amount(self):
        for row in self.rows("--arch", "vtd", "--from", "s2", "--to", "s2"):
            self.assertGreaterEqual(row["replaces"], 2000)
            self.assertGreaterEqual(row["dma"]["total"], 200000)

    def test_cost_of_one_store(self):
        """One store, one round beside the flush of the dying tag."""
        for row in self.rows("--from", "s2", "--to", "s2", *SHORT):
            # RISC-V flushes both stages of the dying tag.
            commands = 3 if row["arch"] == "riscv" else 2
            swap = row["arch"] == "smmuv3" and row["quantum"] == 64
            self.assertEqual((row["strategy"], row["cost"]),
                             ("table swap" if swap else "one store", {"stores": 1, "commands": commands, "rounds": 2, "polls": 1}))

    def test_attach_detach_shows_the_gap(self):
        rows = self.rows("--method", "attach-detach", "--replaces", "200")
        self.assertGreater(len(rows), 10)
        for row in rows:
            self.assertEqual((row["method"], row["hitless"]), ("attach-detach", False))
            self.assertGreater(row["dma"]["blocked"], 0, row)
            self.assertEqual(row["dma"]["wrong"] + row["dma"]["stale"], 0, row)

    def test_remap_shows_the_gap(self):
        rows = self.rows("--method", "remap", "--replaces", "200")
        self.assertEqual({row["method"] for row in rows}, {"remap", "n/a"})
        for row in rows:
            self.assertFalse(row["hitless"])
            self.assertEqual(row["dma"]["wrong"] + row["dma"]["stale"], 0, row)
            if row["method"] == "n/a":
                self.assertEqual((row["dma"]["total"], row["replaces"]), (0, 0))
                self.assertTrue(row["why"])
            else:
                self.assertGreater(row["dma"]["blocked"], 0, row)

    def test_quantum64(self):
        rows = self.rows("--quantum", "64", *SHORT)
        # The device table can't be swapped: from a guest's tables, and to them, only a parent is a way.
        hard = [row for row in rows if row["arch"] == "amdvi" and "nested" in row["from"] + row["to"] and not row["pasids"]]
        self.clean([row for row in rows if row not in hard])
        strategies = {(row["arch"], row["strategy"]) for row in rows
                      if row["arch"] != "amdvi" and (row["from"], row["to"]) == ("s2", "s2")}
        # RISC-V never has more than 64 bits, and tag and root in them.
        self.assertEqual(strategies, {("vtd", "table swap"), ("vtd-legacy", "table swap"), ("riscv", "one store"), ("smmuv3", "table swap")})
        # What is not hitless says so, and harms nobody.
        self.assertGreater(len(hard), 4)
        for row in hard:
            if not row["hitless"]:
                self.assertEqual((row["strategy"], bool(row["why"])), ("break", True))
            else:
                self.assertIn("s2", (row["from"], row["to"]))
                self.assertEqual(row["dma"]["blocked"], 0, row)
            self.assertEqual(row["dma"]["wrong"] + row["dma"]["stale"], 0, row)
        for row in rows:
            if row["pasids"]:
                self.assertTrue(row["hitless"], row) # a GCR3 entry has 64 bits
                strategies = ("same tag", "one store", "table swap", "preload, flip, clean")
                if row["arch"] == "riscv":  # its specification bounds what two tables under one PSCID may do
                    strategies += ("tag hop", "temporary tag")
                self.assertIn(row["strategy"], strategies)
            elif row["arch"] == "amdvi" and row not in hard:
                self.assertEqual(row["strategy"], "stand-in hop", row)

    # ---- Options ----

    def test_pairs(self):
        rows = self.rows("--arch", "vtd", "--from", "s1", "--to", "s2", *SHORT)
        self.assertEqual([(r["from"], r["to"]) for r in rows], [("s1", "s2"), ("s2", "s1")])
        rows = self.rows("--arch", "vtd,vtd-legacy", "--from", "s2", "--to", "s2", *SHORT)
        self.assertEqual([(r["arch"], r["from"], r["to"]) for r in rows], [("vtd", "s2", "s2"), ("vtd-legacy", "s2", "s2")])
        # Of all architectures, those that have it.
        rows = self.rows("--arch", "all", "--from", "s1", "--to", "s1", *SHORT)
        self.assertEqual([r["arch"] for r in rows], ["vtd", "amdvi", "riscv", "smmuv3", "smmuv3"])
        for old, new in (("blocked", "s2"), ("s2:levels=3", "s2:levels=5"), ("s2:dirty=on", "s2"), ("s1:levels=5", "identity")):
            rows = self.rows("--arch", "vtd", "--from", old, "--to", new, *SHORT)
            self.clean(rows)
            self.assertEqual([(r["from"], r["to"]) for r in rows], [(old, new), (new, old)])
        rows = self.rows("--arch", "vtd", "--from", "s2:ats=on", "--to", "s2", *SHORT)
        self.assertEqual([(r["from"], r["to"], r["ats"]) for r in rows], [("s2", "s2", True)])

    def test_other_options(self):
        pair = ("--arch", "vtd", "--from", "s2", "--to", "s2")
        self.assertEqual(self.rows(*pair, "--devices", "5", *SHORT)[0]["devices"], 5)
        self.assertEqual(self.rows(*pair, "--tags", "shared", *SHORT)[0]["tags"], "shared")
        self.assertEqual({r["tags"] for r in self.rows("--tags", "shared", "--replaces", "5")}, {"shared"})
        self.assertGreater(self.rows(*pair, "--seconds", "0.2", "--seed", "7")[0]["replaces"], 10)
        for name, same in (("table swap", "table swap"), ("table-swap", "table swap")):
            self.assertEqual(self.rows(*pair, "--strategy", name, *SHORT)[0]["strategy"], same)
        row = self.rows(*pair, "--strategy", "tag hop", "--devices", "1", *SHORT)[0]
        self.assertEqual((row["strategy"], row["hitless"], violations(row)), ("tag hop", True, 0))
        row = self.rows(*pair, "--strategy", "break", "--replaces", "200")[0]
        self.assertEqual((row["strategy"], row["hitless"]), ("break", False))
        self.assertTrue(row["why"])
        self.assertEqual(row["dma"]["wrong"] + row["dma"]["stale"], 0)

    def test_table(self):
        pair = ("run", "--arch", "vtd", "--from", "s2", "--to", "s1", *SHORT)
        lines = self.good(*pair).splitlines()
        self.assertEqual(len(lines), 5, lines)  # heading, two rows, what "cost" is, the sum
        for word in ("arch", "from", "to", "tags", "method", "strategy", "hitless", "replaces", "DMAs", "blocked", "cost", "p99 us"):
            self.assertIn(word, lines[0])
        self.assertRegex(lines[1], r"^vtd +s2 +-> s1 +private +replace +table swap +yes +40 ")
        self.assertEqual(lines[0].index("method"), lines[1].index("replace"))
        self.assertRegex(lines[-1], r"^80 replaces of 2 kinds under \d+ DMAs: not one was blocked, misdirected or late\.$")
        self.assertEqual(len(self.good(*pair, "-q").splitlines()), 1)
        self.assertEqual(len(self.good(*pair, "-v").splitlines()), 7)
        self.assertIn("\033[32m", self.good(*pair, "--color=always"))

    def test_svg(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "picture.svg")
            for extra in ((), ("--tags", "shared"), ("--method", "attach-detach")):
                self.rows("--arch", "vtd", "--from", "s2", "--to", "s1", "--svg", path, *extra, *SHORT)
                picture = xml.dom.minidom.parse(path).documentElement
                self.assertEqual(picture.tagName, "svg")
                texts = [t.firstChild.data for t in picture.getElementsByTagName("text") if t.firstChild]
                self.assertTrue(any("store" in t for t in texts), texts)
                self.assertTrue(any("µs since the call" in t for t in texts), texts)
                self.assertGreater(len(picture.getElementsByTagName("rect")), 20)
        status, out, err = run("run", "--from", "s2", "--to", "s2", "--svg", "/no/such/folder/a.svg", *SHORT)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Ahitless: [^\n]*/no/such/folder/a.svg[^\n]*\n\Z")

    # ---- Faults ----

    def faults(self, *args):
        status, out, err = run("run", "--inject", "list", "--json", *args)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)["faults"]

    def shown_by_run(self):
        return [fault for fault in self.faults() if fault["shown_by"] == "run"][::SAMPLE]

    def test_fault_list(self):
        names = {fault["name"] for fault in self.faults()}
        for name in ("skip-entry-invalidation", "skip-iotlb-invalidation", "skip-wait", "store-order", "split-store",
                     "wrong-domain-id", "free-early", "skip-writeback"):
            self.assertIn(name, names)
        lines = self.good("run", "--inject", "list").splitlines()
        self.assertEqual(len(lines), len(names))
        legacy = self.good("run", "--inject", "list", "--arch", "vtd-legacy").splitlines()
        self.assertEqual([line for line in lines if "vtd-legacy" in line], legacy)
        amdvi = self.good("run", "--inject", "list", "--arch", "amdvi").splitlines()
        self.assertEqual([line for line in lines if "amdvi" in line], amdvi)
        self.assertEqual({line.split()[2] for line in lines} - {"run", "check"}, set())

    def test_faults_are_caught(self):
        for fault in self.shown_by_run():
            with self.subTest(fault=fault["name"]):
                status, out, err = run("run", "--inject", fault["name"], "--json")
                rows = json.loads(out)["rows"]
                self.assertEqual((status, err), (10, ""))
                self.assertEqual({row["arch"] for row in rows}, set(fault["archs"]))
                for arch in fault["archs"]:
                    caught = [row for row in rows if row["arch"] == arch and violations(row)]
                    self.assertTrue(caught, arch)
                    self.assertRegex(caught[0]["seen"], r"(blocked|wrong|stale) \d+.*; first ")
                    self.assertEqual(caught[0]["fault"], fault["name"])

    def test_the_same_without_faults(self):
        for fault in self.shown_by_run():
            with self.subTest(fault=fault["name"]):
                rows = self.rows("--inject", fault["name"] + ":off", "--replaces", "300")
                if fault["name"] == "block-by-v0":  # a fault of "break", which is not hitless
                    self.assertEqual(sum(row["dma"]["wrong"] + row["dma"]["stale"] for row in rows), 0)
                else:
                    self.clean(rows)

    def test_fault_in_text(self):
        status, out, err = run("run", "--arch", "vtd", "--inject", "skip-entry-invalidation", "--replaces", "100")
        self.assertEqual((status, err), (10, ""))
        self.assertRegex(out, r"\n +seen: [a-z]+ \d+")
        self.assertRegex(out, r"\nViolated in 1 of 1 ")

    # ---- Wrong usage ----

    def test_machines(self):
        status, out, err = run("run", "--machine", "guest", env={"HITLESS_GUESTS": "/nowhere"})
        self.assertEqual((status, out), (77, ""))
        self.assertRegex(err, r"\Ahitless: [^\n]+make guest[^\n]*\n\Z")
        for args, says in ((["--devices", "3"], "--devices"), (["--tags", "shared"], "--tags"), (["--method", "remap"], "remap"),
                           (["--inject", "skip-wait"], "skip-iotlb-invalidation"), (["--from", "s2:levels=5", "--to", "s2"], "levels=5"),
                           (["--from", "blocked", "--to", "s2"], "'blocked'"), (["--from", "identity", "--to", "identity"], "nothing")):
            self.refused("run", "--machine", "guest", *args, says=says)
        self.refused("run", "--machine", "toaster", says="'toaster'")
        self.good("run", "--machine", "model", "--from", "s2", "--to", "s2", "-q", *SHORT)

    def test_wrong_words(self):
        for args, says in (
                (["--arch", "vax"], ["'vax'", "vtd-legacy"]), (["--arch", "vtd,"], "''"), (["--arch", ""], "''"),
                (["--from", "s2"], "--to"), (["--to", "s2"], "--from"),
                (["--from", "s3", "--to", "s2"], "'s3'"), (["--from", "s2:levels", "--to", "s2"], "'levels'"),
                (["--from", "s2:levels=x", "--to", "s2"], "'x'"), (["--from", "s2:color=on", "--to", "s2"], "'color'"),
                (["--from", "s2:dirty=maybe", "--to", "s2"], "'maybe'"), (["--from", "identity:levels=4", "--to", "s2"], "'levels'"),
                (["--devices", "0"], "--devices"), (["--devices", "1000"], "--devices"), (["--devices", "two"], "'two'"),
                (["--replaces", "0"], "--replaces"), (["--replaces", "-5"], "--replaces"), (["--seconds", "0"], "--seconds"),
                (["--seconds", "soon"], "'soon'"), (["--replaces", "5", "--seconds", "1"], "--seconds"),
                (["--tags", "public"], "'public'"), (["--strategy", "luck"], "'luck'"), (["--quantum", "100"], "'100'"),
                (["--quantum", "256"], "--quantum"), (["--method", "reboot"], "'reboot'"), (["--inject", "bug"], "'bug'"),
                (["--inject", "skip-wait:on"], "'skip-wait:on'"), (["--seed", "x"], "'x'"), (["surplus"], "'surplus'")):
            with self.subTest(args=args):
                self.refused("run", *args, says=says)

    def test_impossible_combinations(self):
        for args, says in (
                (["--arch", "vtd-legacy", "--from", "s1", "--to", "s2"], ["vtd-legacy", "s1"]),
                (["--arch", "vtd", "--from", "s1:dirty=on", "--to", "s2"], "s1:dirty=on"),
                (["--arch", "vtd", "--from", "s2:levels=6", "--to", "s2"], "s2:levels=6"),
                (["--from", "identity", "--to", "identity"], "nothing to switch"),
                (["--method", "attach-detach", "--strategy", "break"], "--strategy"),
                (["--method", "remap", "--tags", "shared"], "remap"),
                (["--method", "grow", "--tags", "shared"], "grow"),
                (["--method", "grow", "--strategy", "break"], "--strategy"),
                (["--method", "grow", "--arch", "vtd"], "don't grow"),
                (["--method", "remap", "--inject", "skip-wait"], "--inject"),
                (["--arch", "vtd", "--from", "s2", "--to", "s2", "--strategy", "preload"], "preload"),
                (["--arch", "vtd", "--from", "s2", "--to", "s2", "--strategy", "tag hop"], "--devices 1"),
                (["--arch", "vtd-legacy", "--inject", "store-order"], ["store-order", "vtd-legacy"])):
            with self.subTest(args=args):
                self.refused("run", *args, says=says)


main()
