#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""hitless bench: figures have their calibrators, names select, pictures are written. Says nothing about how fast anything is."""
import os
import shutil
import tempfile

from hitless import Case, main, run


class Bench(Case):
    def test_rows(self):
        document = self.json("bench", "--repeats", "2", "create + destroy", "4 KiB")
        rows = document["rows"]
        self.assertEqual({r["suite"] for r in rows}, {"pgtable", "replace"})
        self.assertEqual({r["format"] for r in rows if r["suite"] == "pgtable"},
                         {"vtd-ss", "vtd-fs", "amdv1", "amdv2", "riscv-s", "riscv-g"} |
                         {f"lpae-s{stage}-{page}k" for stage in (1, 2) for page in (4, 16, 64)})
        self.assertEqual({r["format"] for r in rows if r["suite"] == "replace"}, {"vtd", "vtd-legacy", "amdvi", "smmuv3", "riscv"})
        self.are_figures(rows, 2)

    def test_scale(self):
        rows = self.json("bench", "--quick", "--repeats", "1", "scale")["rows"]
        self.assertEqual({r["format"] for r in rows}, {"vtd-legacy", "amdvi", "smmuv3", "riscv"})
        self.assertEqual({r["name"].split(",")[0] for r in rows},
                         {"memory of a device", "memory of a domain", "memory of a mapping", "replace", "map + unmap a page", "polls of a replace"})
        self.are_figures(rows, 1)
        for row in rows:
            if row["name"].startswith("memory of a mapping"):
                # The entry itself, and little more than its share of a table.
                self.assertLess(row["bytes"]["min"], 8.2)

    def are_figures(self, rows, repeats):
        for row in rows:
            unit = {"memory": "bytes", "polls": "polls"}.get(row["name"].split()[0], "ns")
            self.assertEqual(row["repeats"], repeats)
            self.assertGreater(row[unit]["min"], 0)
            self.assertLessEqual(row[unit]["min"], row[unit]["median"])
            self.assertLessEqual(row[unit]["median"], row[unit]["max"])
            self.assertGreater(row[f"calibrator_{unit}"], 0)
            self.assertGreater(row["ratio"], 0)
            self.assertTrue(row["calibrator"])
        keys = [(r["name"], r["format"]) for r in rows]
        self.assertEqual(len(keys), len(set(keys)))

    def test_names(self):
        rows = self.json("bench", "--repeats", "1", "replace s2 -> s2, 4 KiB")["rows"]
        self.assertEqual({r["name"] for r in rows}, {"replace s2 -> s2, 4 KiB mapped"})
        self.refused("bench", "--repeats", "1", "no such figure", says="--list")
        self.assertIn("pgtable", self.good("bench", "--list"))

    def test_wrong_options(self):
        for value in ("0", "33", "x"):
            self.refused("bench", "--repeats", value, says="--repeats")
        self.fits_a_screen("bench")

    def test_plot(self):
        with tempfile.TemporaryDirectory() as directory:
            there = os.path.join(directory, "pictures")
            status, _, err = run("bench", "--repeats", "1", "--plot", there, "remap 4 KiB")
            self.assertEqual(status, 0 if shutil.which("gnuplot") else 77, err)
            self.assertTrue(os.path.exists(os.path.join(there, "replace.dat")))
            self.assertEqual(os.path.exists(os.path.join(there, "replace.svg")), status == 0)
            status, _, err = run("bench", "--repeats", "1", "--plot", os.path.join(directory, "a", "b"), "remap 4 KiB")
            self.assertEqual(status, 1)
            self.assertIn("hitless: ", err)


main()
