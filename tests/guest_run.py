#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""guest_run.py HITLESS BUILD-DIR: hitless run --machine guest: builds the kernels, runs them on every unit of QEMU's, and breaks
their driver. Exit 77, skipped, where a cross compiler or a QEMU is missing."""
import json
import shutil
import subprocess
import sys

from hitless import SOURCE, Case, main, run

BUILD = sys.argv[2]
CPUS = ("x86_64", "aarch64", "riscv64")
COUNTS = ("old", "new", "blocked", "wrong", "stale")
REPLACES = 400
# Units, and the transitions that each can do.
S2 = {("s2", "s2"), ("identity", "s2"), ("s2", "identity")}
S1 = {("s1", "s1"), ("identity", "s1"), ("s1", "identity")}
ALL = S1 | S2 | {("s1", "s2"), ("s2", "s1")}
UNITS = {
    "intel-iommu": S2,
    "intel-iommu,scalable-mode=on": S2,
    "intel-iommu,scalable-mode=on,fsts=on": S1,
    "amd-iommu,dma-remap=on": S2,
    "riscv-iommu-pci": ALL,
    "riscv-iommu-sys": ALL,
    "smmuv3": ALL,
}
# Where QEMU caches what a fault leaves in its cache; docs/qemu.md says why not elsewhere.
SHOWN = {
    "skip-iotlb-invalidation": ("vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3"),
    "skip-entry-invalidation": ("vtd-legacy", "riscv", "smmuv3"),
}


def skip(text):
    print(f"{text}", file=sys.stderr)
    sys.exit(77)


def guest(*args):
    return run("run", "--machine", "guest", "--json", *args, timeout=600)


class Guest(Case):
    def test_every_unit(self):
        status, out, err = guest("--arch", "all", "--replaces", str(REPLACES))
        self.assertIn(status, (0, 10), err)
        document = json.loads(out)
        self.assertEqual([row for row in document["rows"] if row["dma"]["wrong"] or row["dma"]["stale"]
                          or row["hitless"] and row["dma"]["blocked"]], [])
        self.assertEqual((status, err), (0, ""))
        self.assertEqual((document["schema"], document["machine"]), ("hitless.run/1", "guest"))
        rows = document["rows"]
        self.assertEqual({row["unit"] for row in rows}, set(UNITS))
        for unit in UNITS:
            for method in ("replace", "attach-detach"):
                for pace in ("paced", "saturated"):
                    mine = [row for row in rows if (row["unit"], row["method"], row["pace"]) == (unit, method, pace)]
                    self.assertEqual({(row["from"], row["to"]) for row in mine}, UNITS[unit])
            # The old ways are seen to block, so this measurement can see it. (Not in every row: they are short here.)
            self.assertGreater(sum(row["dma"]["blocked"] for row in rows
                                   if row["unit"] == unit and row["method"] == "attach-detach"), 0)
        for row in rows:
            self.assertEqual(row["dma"]["total"], sum(row["dma"][count] for count in COUNTS))
            self.assertEqual((row["dma"]["wrong"], row["dma"]["stale"]), (0, 0), row)
            self.assertEqual(row["hitless"], row["method"] == "replace", row)
            if row["hitless"]:
                self.assertEqual(row["dma"]["blocked"], 0, row)
                self.assertGreater(row["replaces"], REPLACES)
                self.assertGreater(row["dma"]["total"], REPLACES * 10)
                self.assertGreaterEqual(row["cost"]["stores"], 1)

    def test_faults_are_seen(self):
        for fault, archs in SHOWN.items():
            for arch in archs:
                status, out, err = guest("--arch", arch, "--from", "s2", "--to", "s2", "--replaces", "100", "--inject", fault)
                self.assertEqual((status, err), (10, ""), (fault, arch))
                for row in json.loads(out)["rows"]:
                    self.assertEqual((row["fault"], row["method"]), (fault, "replace"))

    def test_options(self):
        status, out, err = guest("--arch", "vtd-legacy", "--from", "s2", "--to", "identity", "--method", "replace", "--quantum", "64",
                                 "--replaces", "20")
        self.assertEqual((status, err), (0, ""))
        rows = json.loads(out)["rows"]
        self.assertEqual({(row["from"], row["to"], row["quantum"]) for row in rows}, {("s2", "identity", 64), ("identity", "s2", 64)})


missing = [cpu for cpu in CPUS if not shutil.which(f"{cpu}-linux-gnu-gcc")]
if missing:
    skip(f"no {', '.join(cpu + '-linux-gnu-gcc' for cpu in missing)}: scripts/install-deps check installs them (Debian)")
found = subprocess.run([f"{SOURCE}/scripts/get-qemu", "--find"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
if found.returncode == 77:
    skip(found.stderr)
subprocess.run(["ninja", "-C", BUILD, "baremetal"], check=True)
main()
