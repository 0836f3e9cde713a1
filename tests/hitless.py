# SPDX-License-Identifier: BSD-2-Clause-Patent
"""What the tests of the command share. A test is called with the path of build/hitless and ends with main()."""
import json
import os
import subprocess
import sys
import unittest

EXE = sys.argv[1] if len(sys.argv) > 1 else "build/hitless"
# Every Nth of a long list: see sample.h.
SAMPLE = max(1, int(os.environ.get("HITLESS_SAMPLE", "1")))
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(*args, stdin="", env=None, timeout=100):
    """Exit status, stdout, stderr."""
    done = subprocess.run([EXE, *args], input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **(env or {})}, timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


def known_gap(row):
    """Between two guests' tables of PASIDs behind two parents: what is cached of one may be walked behind the other (docs/smmuv3.md)."""
    return row["arch"] == "smmuv3" and {row["from"], row["to"]} == {"nested", "nested:parent=b"}


class Case(unittest.TestCase):
    maxDiff = None

    def good(self, *args, **kw):
        """stdout of a run that must succeed and say nothing on stderr."""
        status, out, err = run(*args, **kw)
        self.assertEqual((status, err), (0, ""), args)
        return out

    def json(self, *args, **kw):
        """The one document that a run with --json prints."""
        out = self.good(*args, "--json", **kw)
        self.assertTrue(out.endswith("\n"))
        document = json.loads(out)
        self.assertEqual(document["schema"], f"hitless.{args[0]}/1")
        return document

    def refused(self, *args, says=(), **kw):
        """Exit 2, nothing on stdout, one line on stderr that has all of `says`."""
        status, out, err = run(*args, **kw)
        self.assertEqual((status, out), (2, ""), args)
        self.assertRegex(err, r"\Ahitless: [^\n]+\n\Z")
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, err)

    def fits_a_screen(self, verb):
        for args in ([verb, "--help"], ["help", verb]) if verb else (["--help"], ["help"]):
            lines = self.good(*args).split("\n")
            self.assertLessEqual(len(lines), 48, args)
            for line in lines:
                self.assertLessEqual(len(line), 80, line)
            self.assertTrue(lines[0].startswith("Usage: hitless"), lines[0])
            self.assertTrue([line for line in lines if line.startswith("  hitless ")], "no examples")


def main():
    unittest.main(argv=sys.argv[:1], verbosity=1)
