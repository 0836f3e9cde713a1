#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless run --machine qemu: every transition without a violation, twice the same, and the faults that QEMU can show."""
import json
import sys

from hitless import Case, known_gap, main, run

COUNTS = ("old", "new", "blocked", "wrong", "stale")
ARCHS = {
    "vtd": {"intel-iommu,scalable-mode=on", "intel-iommu,scalable-mode=on,fsts=on"},
    "vtd-legacy": {"intel-iommu"},
    "amdvi": {"amd-iommu,dma-remap=on"},
    "riscv": {"riscv-iommu-pci", "riscv-iommu-sys"},
    "smmuv3": {"smmuv3"},
}
# The faults that are put into the driver, and on which architectures QEMU shows them; docs/qemu.md says why not on the others.
SHOWN = {
    "skip-entry-invalidation": ("vtd-legacy", "riscv", "smmuv3"),
    "skip-iotlb-invalidation": ("vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3"),
    "iotlb-before-entry": ("vtd-legacy", "amdvi", "riscv", "smmuv3"),
    "store-order": ("vtd", "riscv"),
    "wrong-domain-id": ("vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3"),
    "skip-pasid-iotlb-invalidation": ("vtd", "riscv", "smmuv3"),
    "wrong-pasid": ("vtd", "riscv"),
    "context-late": ("smmuv3",),
    "second-stage-late": ("smmuv3",),
}
NOT_SHOWN = {
    "skip-entry-invalidation": ("vtd", "amdvi"),
    "iotlb-before-entry": ("vtd",),
    "skip-wait": ("vtd", "vtd-legacy", "amdvi", "riscv", "smmuv3"),
    "skip-fence": ("vtd", "vtd-legacy", "amdvi", "smmuv3"),
    "split-store": ("vtd", "vtd-legacy", "amdvi", "smmuv3"),
    "free-early": ("vtd", "vtd-legacy", "riscv", "smmuv3"),
    "narrow-range": ("smmuv3",),
    "wrong-pasid": ("smmuv3",),
}


def qemu(*args):
    return run("run", "--machine", "qemu", *args, timeout=280)


class Qemu(Case):
    def check_row(self, row):
        self.assertIn(row["unit"], ARCHS[row["arch"]])
        self.assertEqual(row["dma"]["total"], sum(row["dma"][count] for count in COUNTS))
        gap = known_gap(row)
        self.assertEqual(row["hitless"], not gap, row)
        for count in ("wrong", "stale") if gap else ("blocked", "wrong", "stale"):
            self.assertEqual(row["dma"][count], 0, row)
        points = row["points"]
        self.assertEqual(row["steps"], len(points))
        self.assertGreaterEqual(len(points), 4)
        self.assertEqual(points[0]["at"], "before the call")
        self.assertEqual(points[-1]["at"], "after the return")
        for caches in ("warm", "cold"):
            # Before the call all is old, after the return all is new; on the way there it changes, for each device once.
            self.assertEqual(points[0][caches]["new"], 0)
            self.assertEqual(points[-1][caches]["old"], 0)
            self.assertGreater(points[0][caches]["old"], 0)
            self.assertGreater(points[-1][caches]["new"], 0)

    def test_every_transition(self):
        status, first, err = qemu("--arch", "all", "--json")
        self.assertEqual((status, err), (0, ""))
        document = json.loads(first)
        self.assertEqual((document["schema"], document["machine"]), ("hitless.run/1", "qemu"))
        rows = document["rows"]
        for row in rows:
            self.check_row(row)
        for arch, units in ARCHS.items():
            self.assertEqual({r["unit"] for r in rows if r["arch"] == arch}, units)
        ran = {(r["arch"], r["unit"], r["from"], r["to"], r["tags"], r["quantum"], r["pasids"]) for r in rows}
        self.assertEqual(len(ran), len(rows))
        ran = {row[:-2] for row in ran}
        for arch, unit in (("riscv", "riscv-iommu-pci"), ("riscv", "riscv-iommu-sys"), ("smmuv3", "smmuv3")):
            for case in (("s1", "s1"), ("s2", "s2"), ("s1", "s2"), ("s2", "s1"), ("identity", "s1"), ("blocked", "s2")):
                self.assertIn((arch, unit, *case, "private"), ran)
        self.assertIn(("vtd", "intel-iommu,scalable-mode=on,fsts=on", "s1", "s1", "shared"), ran)
        self.assertIn(("vtd", "intel-iommu,scalable-mode=on", "s2", "s2", "shared"), ran)
        self.assertGreaterEqual(sum(row["dma"]["total"] for row in rows), 40000)

    def test_two_runs_are_the_same(self):
        for args in (("--arch", "vtd", "--from", "s1", "--to", "s1", "-v"), ("--arch", "riscv", "--from", "s1", "--to", "s2", "--json"),
                     ("--arch", "amdvi", "--from", "identity", "--to", "s2", "--tags", "shared", "--json")):
            self.assertEqual(qemu(*args), qemu(*args))

    def test_other_ways(self):
        """Through the blocking entry there is a gap, and it is seen; it is not called hitless."""
        status, out, err = qemu("--arch", "vtd-legacy", "--from", "s2", "--to", "s2", "--method", "attach-detach", "--json")
        row = json.loads(out)["rows"][0]
        self.assertEqual((status, err, row["hitless"], row["strategy"]), (0, "", False, "break"))
        self.assertGreater(row["dma"]["blocked"], 0)
        self.assertEqual(row["dma"]["wrong"] + row["dma"]["stale"], 0)
        status, out, err = qemu("--arch", "vtd", "--from", "s2", "--to", "s2", "--quantum", "64", "--strategy", "table swap")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("table swap", out)

    def test_faults(self):
        for shown, status in ((SHOWN, 10), (NOT_SHOWN, 0)):
            for name, archs in shown.items():
                for arch in archs:
                    got, _, err = qemu("--arch", arch, "--inject", name)
                    self.assertEqual((got, err), (status, ""), (name, arch))
        for name in SHOWN:  # the same setup with an intact driver
            self.assertEqual(qemu("--arch", SHOWN[name][0], "--inject", name + ":off")[0], 0, name)

    def test_refused(self):
        for args, says in ((("--svg", "x"), "--svg"), (("--devices", "3"), "--devices"), (("--seconds", "1"), "--seconds"),
                           (("--inject", "skip-devtlb-invalidation"), "TLB of its own"),
                           (("--inject", "skip-writeback"), "does not snoop"),
                           (("--arch", "vtd", "--from", "s1", "--to", "s2"), "QEMU has no vtd that has both")):
            self.refused("run", "--machine", "qemu", *args, says=says)

    def test_missing(self):
        status, out, err = run("run", "--machine", "qemu", env={"HITLESS_QEMU": "/nowhere"})
        self.assertEqual((status, out), (77, ""))
        self.assertIn("scripts/get-qemu", err)


if __name__ == "__main__":
    missing, _, message = run("run", "--machine", "qemu", "--arch", "riscv", "--from", "s2", "--to", "s2")
    if missing == 77:
        sys.stdout.write(message)
        sys.exit(77)
    main()
