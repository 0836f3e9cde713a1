#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command itself: verbs, help, version, wrong usage, colour, write errors."""
import re
import subprocess

from hitless import EXE, Case, main, run

VERBS = [m.group(1) for m in re.finditer(r"^  ([a-z]+) +[a-z]", run("--help")[1], re.M) if m.group(1) != "hitless"]


class Main(Case):
    def test_verbs(self):
        for verb in ("plan", "decode"):
            self.assertIn(verb, VERBS)

    def test_help_fits_a_screen(self):
        for verb in [None, *VERBS]:
            with self.subTest(verb=verb):
                self.fits_a_screen(verb)

    def test_examples_in_help_work(self):
        for verb in ("plan", "decode"):
            for example in re.findall(r"^  (?:(echo .*) \| )?hitless (.*)$", self.good(verb, "--help"), re.M):
                words = example[0][5:] if example[0] else ""
                self.good(*example[1].split(), stdin=words)

    def test_version(self):
        self.assertRegex(self.good("--version"), r"\Ahitless \d+\.\d+\.\d+\n\Z")

    def test_wrong_usage(self):
        self.refused(says="a verb is missing")
        self.refused("no-such-verb", says=["'no-such-verb'", "plan", "decode"])
        self.refused("help", "no-such-verb", says="'no-such-verb'")
        self.refused("--no-such-option", says="'--no-such-option'")
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.refused(verb, "--no-such-option", says="'--no-such-option'")
                self.refused(verb, "--no-such-option=3", says="'--no-such-option'")
                self.refused(verb, "-x", says="'-x'")
                self.refused(verb, "-qx", says="'-x'")
                self.refused(verb, "--color", says=["--color", "WHEN"])
                self.refused(verb, "--color=maybe", says="'maybe'")
                self.refused(verb, "--json=3", says=["--json", "no value"])

    def test_color(self):
        plan = ("plan", "--from", "s1", "--to", "s2")
        self.assertNotIn("\033", self.good(*plan))
        self.assertNotIn("\033", self.good(*plan, "--color=never"))
        self.assertIn("\033", self.good(*plan, "--color=always"))
        self.assertIn("\033", self.good(*plan, "--color=always", env={"NO_COLOR": "1"}))

    def test_write_errors(self):
        for args in (["--help"], ["decode", "vtd", "list"], ["decode", "vtd", "list", "--json"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([EXE, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual(done.returncode, 1, args)
            self.assertRegex(done.stderr, r"\Ahitless: can't write [^\n]+\n\Z")


main()
