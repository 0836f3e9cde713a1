#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""explore.py HITLESS: matrix, check and replay as users run them; every example sequence has the verdict that it names."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

hitless = sys.argv[1]
sequences = pathlib.Path(__file__).resolve().parent.parent / "examples" / "sequences"
STATUS = {"proved": 0, "violated": 10}


def run(*args, status=0):
    r = subprocess.run([hitless, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == status, f"{args}: exit {r.returncode}, not {status}\n{r.stdout[-2000:]}{r.stderr}"
    return r.stdout


count = 0
for path in sorted(sequences.glob("*.seq")):
    expect = re.search(r"^# expect: (.*)$", path.read_text(encoding="utf-8"), re.M)
    assert expect, f"{path.name} has no '# expect:'"
    for what in expect[1].split(", "):
        verdict, *without = what.split(" without ")
        options = [o for w in without for name in w.split(" and ") for o in ("--without", name)]
        document = json.loads(run("check", "--sequence", path, "--json", *options, status=STATUS[verdict]))
        assert document["schema"] == "hitless.check/1" and document["verdict"] == verdict, path.name
        count += 1
        if verdict == "violated":
            again = json.loads(run("replay", "--sequence", path, document["replay"], "--json", status=10))
            assert again["violation"] == document["violation"] and again["saw"] == document["saw"], path.name
            assert len(again["events"]) == len(document["events"]) > 2
assert count >= 20

document = json.loads(run("matrix", "--layer", "entry", "--arch", "vtd-legacy", "--json"))
summary = document["summary"]
assert document["schema"] == "hitless.matrix/1" and "tear" in document["hardware"]["freedoms"]
assert summary["cells"] == summary["proved"] == len(document["cells"]) == 80, summary
assert all((c["why"] is None) == c["hitless"] for c in document["cells"])
one = next(c for c in document["cells"] if c["strategy"] == "table swap")
assert one["layer"] == "entry" and one["states"] > 100 and one["depth"] > 5

# A line of text and the exit status say the same.
assert "proved" in run("check", "--arch", "vtd", "--from", "s1", "--to", "s1")
text = run("check", "--sequence", sequences / "vtd-assign.seq", status=10)
replay = re.search(r"^replay: (\S+)$", text, re.M)[1]
assert "event" not in run("replay", "--sequence", sequences / "vtd-assign.seq", replay, "--step", "2", status=10)

with tempfile.TemporaryDirectory() as directory:
    picture = pathlib.Path(directory) / "run.svg"
    run("check", "--sequence", sequences / "vtd-assign.seq", "--svg", picture, status=10)
    root = xml.etree.ElementTree.parse(picture).getroot()
    assert sum(e.tag.endswith("rect") for e in root) > 10

# Bad input: one line, exit 2.
for args in (["check"], ["check", "--sequence", "/nonexistent"], ["replay"], ["replay", "nonsense"],
             ["replay", replay], ["matrix", "--quantum", "32"], ["check", "--from", "s1", "--to", "nothing"],
             ["check", "--from", "s1", "--to", "s2", "--without", "gravity"]):
    r = subprocess.run([hitless, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == 2 and r.stderr.count("\n") == 1, (args, r)
bad = subprocess.run([hitless, "check", "--sequence", "/dev/stdin"], input="arch vtd\nbefore 1\nbogus\n", text=True,
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
assert bad.returncode == 2 and "line 3" in bad.stderr, bad
print(f"{count} verdicts of sequences")
