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
        for row in rows:
            self.assertEqual(row["repeats"], 2)
            self.assertGreater(row["ns"]["min"], 0)
            self.assertLessEqual(row["ns"]["min"], row["ns"]["median"])
            self.assertLessEqual(row["ns"]["median"], row["ns"]["max"])
            self.assertGreater(row["calibrator_ns"], 0)
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
