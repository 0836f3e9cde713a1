#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""explore_faults.py HITLESS: the domain layer as users run it; every fault of `hitless run --inject list` is caught there."""
import json
import os
import subprocess
import sys

hitless = sys.argv[1]
# Every Nth of a long list: see sample.h.
SAMPLE = max(1, int(os.environ.get("HITLESS_SAMPLE", "1")))
EXPECT = {"unmap-skips-invalidation": "unmapped-page-reached", "unmap-skips-wait": "unmapped-page-reached",
          "unmap-misses-tag": "unmapped-page-reached", "unmap-frees-early": "freed-page-walked",
          "failure-keeps-memory": "entry-not-restored", "free-early": "freed-page-walked",
          "block-by-v0": "third-address"}


def run(*args, status=0):
    r = subprocess.run([hitless, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == status, f"{args}: exit {r.returncode}, not {status}\n{r.stdout[-2000:]}{r.stderr}"
    return r.stdout


# One cell, whole and of a broken driver.
cell = ["check", "--layer", "domain", "--arch", "vtd-legacy", "--from", "s2", "--to", "s2", "--devices", "2"]
whole = json.loads(run(*cell, "--json"))
assert (whole["verdict"], whole["layer"], whole["devices"], whole["strategy"]) == ("proved", "domain", 2, "one store"), whole
assert whole["failed_allocations"] >= 2 and whole["states"] > 1000
broken = json.loads(run(*cell, "--inject", "unmap-misses-tag", "--json", status=10))
assert broken["violation"] == "unmapped-page-reached" and broken["mapper"] == "unmap in the new domain", broken
assert sum(e["what"].startswith("mapper") for e in broken["events"]) >= 4
again = json.loads(run("replay", broken["replay"], "--json", status=10))
assert (again["violation"], again["saw"], len(again["events"])) == (broken["violation"], broken["saw"], len(broken["events"]))
assert json.loads(run(*cell, "--mapper", "old", "--inject", "unmap-misses-tag", "--json"))["verdict"] == "proved"

faults = json.loads(run("run", "--inject", "list", "--json"))["faults"]
cases = [(fault["name"], arch) for fault in faults for arch in fault["archs"]]
assert len(cases) >= 40
for fault, arch in cases[::SAMPLE]:
    # With shared tags nobody gets a tag that was left unflushed; one store for one device takes no memory that could be kept.
    for options in ([], ["--tags", "private"], ["--ats", "off"], ["--devices", "2"]):
        r = subprocess.run([hitless, "check", "--layer", "domain", "--arch", arch, "--inject", fault, "--json", *options],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if r.returncode == 10:
            break
    assert r.returncode == 10, (arch, fault, r)
    found = json.loads(r.stdout)
    assert found["violation"] == EXPECT.get(fault, found["violation"]), (arch, fault, found["violation"])
    replay = json.loads(run("replay", found["replay"], "--json", status=10))
    assert replay["violation"] == found["violation"] and replay["saw"] == found["saw"], (arch, fault)

# A guest's old lines are found by another guest only, which gets the same tag and has the same one for itself.
for fault in ("skip-iotlb-invalidation", "wrong-domain-id"):
    found = json.loads(run("check", "--layer", "domain", "--arch", "smmuv3", "--from", "nested", "--to", "identity", "--tags", "private",
                           "--inject", fault, "--json", status=10))
    assert found["violation"] == "bystander-corrupted", (fault, found["violation"])

# The matrix: cells of the domain layer beside those of the entry layer.
document = json.loads(run("matrix", "--layer", "domain", "--arch", "vtd-legacy", "--quantum", "128", "--tags", "shared", "--json"))
assert document["summary"] == {"cells": 14, "hitless": 10, "proved": 14, "violated": 0, "bounded": 0}, document["summary"]
assert all(c["layer"] == "domain" and (c["why"] is None) == c["hitless"] for c in document["cells"])
# One device's change of one store takes no memory, two devices' does.
assert all(c["failed_allocations"] >= 1 for c in document["cells"] if c["devices"] == 2)
assert {c["devices"] for c in document["cells"]} == {1, 2}
assert {c["pasid"] for c in document["cells"]} == {"none"}
document = json.loads(run("matrix", "--layer", "domain", "--arch", "amdvi", "--pasid", "replaced", "--devices", "1", "--json"))
assert document["summary"]["proved"] == document["summary"]["cells"] == 6 and document["cells"][0]["pasid"] == "replaced"
document = json.loads(run("matrix", "--arch", "vtd-legacy", "--devices", "1", "--inject", "skip-wait", "--json", status=10))
assert document["summary"]["violated"] >= 20, document["summary"]

for args in (["matrix", "--layer", "none"], ["matrix", "--devices", "3"], ["matrix", "--inject", "nothing"],
             ["check", "--layer", "domain", "--from", "s2"], ["check", "--layer", "domain", "--from", "s2", "--to", "s2:did=2,root=a"],
             ["check", "--layer", "domain", "--mapper", "me"], ["matrix", "--pasid", "on"],
             ["check", "--layer", "domain", "--arch", "riscv", "--inject", "split-store"], ["replay", "domain,vtd,16:B0"]):
    r = subprocess.run([hitless, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert r.returncode == 2 and r.stderr.count("\n") == 1, (args, r)
print(f"{len(cases[::SAMPLE])} faults caught")
