#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""count-tests.py NAME:EXIT:TESTLOG...: add up the tests of several builds.

The last line, "N passed, N failed, N skipped", is what CI reads. A build that failed without a
failed test (it did not compile, say), or that ran no test at all, counts as one failure.
"""
import json
import os
import sys

PASSED = ("OK", "EXPECTEDFAIL")
total = {"passed": 0, "failed": 0, "skipped": 0}
print()
for arg in sys.argv[1:]:
    build, code, log = arg.split(":", 2)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    notes = []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as lines:
            for test in map(json.loads, lines):
                if test["result"] in PASSED:
                    count["passed"] += 1
                elif test["result"] == "SKIP":
                    count["skipped"] += 1
                    notes.append(f"skipped: {test['name']}")
                else:
                    count["failed"] += 1
                    notes.append(f"{test['result'].lower()}: {test['name']}")
    if int(code) != 0 and count["failed"] == 0:
        count["failed"] = 1
        notes.append("the build or the test run failed")
    elif sum(count.values()) == 0:
        count["failed"] = 1
        notes.append("no test was run")
    print(f"{build + ':':<7}" + ", ".join(f"{n} {what}" for what, n in count.items()))
    for note in notes:
        print(f"       {note}")
    for what, n in count.items():
        total[what] += n
print(", ".join(f"{n} {what}" for what, n in total.items()))
sys.exit(total["failed"] > 0)
