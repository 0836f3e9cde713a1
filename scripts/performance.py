#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""performance.py [FILE]: writes the figures of `hitless bench --json` (FILE, or standard input) into docs/performance.md.

Between its two markers everything is made anew: machine, date, a table for each suite. What the page says around them stays."""
import datetime
import json
import pathlib
import platform
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: scripts/performance.py makes what follows -->\n", "<!-- end of figures -->\n"


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def number(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def table(rows):
    """A line for each figure, a column for each format: ours, and in brackets the ratio to the calibrator of the same run."""
    formats = list(dict.fromkeys(r["format"] for r in rows))
    lines = ["| | " + " | ".join(formats) + " |", "|---" * (len(formats) + 1) + "|"]
    for name in dict.fromkeys(r["name"] for r in rows):
        cells = {}
        for row in (r for r in rows if r["name"] == name):
            unit = next(u for u in ("ns", "bytes", "polls") if u in row)
            cells[row["format"]] = f"{number(row[unit]['min'])} ({row['ratio']:.2f})"
        lines.append(f"| {name}, {unit} | " + " | ".join(cells.get(f, "") for f in formats) + " |")
    return lines


document = json.load(open(sys.argv[1], encoding="utf-8") if len(sys.argv) > 1 else sys.stdin)
compiler = subprocess.run(["gcc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
made = [f"{datetime.date.today()}, {processor()}, {compiler}{', --quick' if document['quick'] else ''}. Least of "
        f"{max(r['repeats'] for r in document['rows'])} repeats; in brackets the ratio to the calibrator.", ""]
for suite in dict.fromkeys(r["suite"] for r in document["rows"]):
    rows = [r for r in document["rows"] if r["suite"] == suite]
    made += [f"## {suite}", "", "Calibrators: " + "; ".join(dict.fromkeys(r["calibrator"] for r in rows)) + ".", ""]
    made += table(rows) + [""]
text = PAGE.read_text(encoding="utf-8")
before, rest = text.split(BEGIN)
PAGE.write_text(before + BEGIN + "\n".join(made) + END + rest.split(END)[1], encoding="utf-8")
