#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""symbols.py --shared LIB... --static LIB...: what the libraries export, and what they need.

Exported are public names only; needed are the memory functions that a compiler calls by itself.
"""
import re
import subprocess
import sys

PUBLIC = re.compile(r"(iommu|viommu|hitless|vtd|amdvi|smmuv3|riscv)_")
NEEDED = {"memcpy", "memset", "memcmp", "memmove", "_GLOBAL_OFFSET_TABLE_"}


def nm(*args):
    run = subprocess.run(["nm", "-P", *args], check=True, stdout=subprocess.PIPE, text=True)
    rows = (line.split() for line in run.stdout.splitlines())
    return {row[0] for row in rows if len(row) >= 2}


static_at = sys.argv.index("--static")
problems = []
for lib in sys.argv[2:static_at]:
    exported = nm("-D", "--defined-only", lib)
    print(f"{lib}: {len(exported)} exported")
    if not exported:
        problems.append(f"{lib} exports nothing")
    problems += [f"{lib} exports {s}" for s in sorted(exported) if not PUBLIC.match(s)]
for lib in sys.argv[static_at + 1:]:
    needed = nm("--undefined-only", lib) - nm("--defined-only", lib)
    print(f"{lib}: needs {', '.join(sorted(needed)) or 'nothing'}")
    problems += [f"{lib} needs {s}" for s in sorted(needed - NEEDED)]
    shown = nm("--defined-only", "--extern-only", lib)
    problems += [f"{lib} shows {s}" for s in sorted(shown) if not PUBLIC.match(s)]
sys.exit("\n".join(problems) or 0)
