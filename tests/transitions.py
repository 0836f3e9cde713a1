#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""transitions.py HITLESS [--write]: is docs/transitions.md what the command says? With --write: makes it."""
import json
import pathlib
import subprocess
import sys

hitless = sys.argv[1]
root = pathlib.Path(__file__).resolve().parent.parent
page = root / "docs" / "transitions.md"
NATIVE = {"vtd": 128, "vtd-legacy": 128, "amdvi": 128, "smmuv3": 64, "riscv": 64}
TITLES = {"vtd": "Intel VT-d, scalable mode", "vtd-legacy": "Intel VT-d, legacy mode", "amdvi": "AMD-Vi", "smmuv3": "Arm SMMUv3",
          "riscv": "RISC-V IOMMU"}


def matrix(tags):
    text = subprocess.run([hitless, "matrix", "--layer", "entry", "--tags", tags, "--json"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    cells = json.loads(text)["cells"]
    assert all(c["verdict"] == "proved" for c in cells)
    return {(c["arch"], c["entry"], c["quantum"], c["from"], c["to"]): c for c in cells}


def say(cell):
    """What libhitless does: 'table swap, 2', or **break**, 4 [1]."""
    text = f"{cell['strategy']}, {cell['rounds']}"
    if cell["hitless"]:
        return text
    if cell["why"] not in reasons:
        reasons.append(cell["why"])
    return f"**{text}** [{reasons.index(cell['why']) + 1}]"


reasons = []
private, shared = matrix("private"), matrix("shared")
entries = json.loads((root / "tests" / "cells.json").read_text(encoding="utf-8"))["entries"]
lines = ["<!-- SPDX-License-Identifier: BSD-2-Clause-Patent -->",
         "# Every transition of a live entry",
         "",
         "Made by `tests/transitions.py build/hitless --write` out of what `hitless matrix` says; a test compares. Every cell is proved by the explorer for what it",
         "claims (explorer.md says what that means). The pairs are those of tests/cells.json. Under each width of stores: what the used-bits algorithm does, the",
         "best published one (hitless, or break), and what libhitless does: strategy and rounds, with private tags; with shared tags too, where that differs.",
         "Bold: not hitless, for the reason of that number, below.",
         ""]
tables, counts = [], []
for e in entries:
    rows = [key for key in private if key[:2] == (e["arch"], e["entry"])]
    if not rows:
        continue
    native = NATIVE[e["arch"]]
    tables += [f"## {TITLES[e['arch']]}: {e['entry']}", "",
               "| from | to | " + " | ".join(f"{q} bits: used bits | libhitless" for q in (native, 192 - native)) + " |", "|---|---|---|---|---|---|"]
    names = [c["name"] for c in e["configs"] if c["name"] != "invalid"]
    for before in names:
        for after in names:
            if before == after:
                continue
            row = []
            for quantum in (native, 192 - native):
                key = (e["arch"], e["entry"], quantum, before, after)
                breaks = [before, after] in e["quanta"][str(quantum)]["used_bits_break"]
                ours, others = say(private[key]), say(shared[key])
                row += ["break" if breaks else "hitless", ours if ours == others else f"{ours}; shared: {others}"]
            tables.append(f"| {before} | {after} | " + " | ".join(row) + " |")
    tables.append("")
    for quantum in (native, 192 - native):
        cells = [private[k] for k in rows if k[2] == quantum]
        mixed = [shared[k] for k in rows if k[2] == quantum]
        theirs = e["quanta"][str(quantum)]
        assert len(cells) == theirs["pairs"], (e["arch"], e["entry"], quantum)
        counts.append((quantum == native, e["arch"], e["entry"], quantum, theirs["pairs"], theirs["used_bits_hitless"],
                       sum(c["hitless"] for c in cells), sum(c["hitless"] for c in mixed)))

for native in (True, False):
    some = [c[1:] for c in counts if c[0] == native]
    lines += ["| " + ("native width" if native else "the other width") + " | bits | pairs | used bits: hitless | libhitless: hitless, private tags | shared tags |",
              "|---|---|---|---|---|---|"]
    lines += [f"| {arch}, {entry} | {bits} | {pairs} | {used} | {ours} | {others} |" for arch, entry, bits, pairs, used, ours, others in some]
    total = [sum(c[i] for c in some) for i in range(3, 7)]
    lines += [f"| all | | {total[0]} | {total[1]} | **{total[2]}** | {total[3]} |", ""]
lines += ["Why not:", ""] + [f"{i + 1}. {reason}" for i, reason in enumerate(reasons)] + [""] + tables
text = "\n".join(lines).rstrip("\n") + "\n"
if "--write" in sys.argv:
    page.write_text(text, encoding="utf-8")
else:
    assert page.read_text(encoding="utf-8") == text, f"{page} is not what the command says: {sys.argv[0]} {hitless} --write"
print(*lines[8:lines.index("Why not:") + 2 + len(reasons)], sep="\n")
