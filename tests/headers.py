#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""headers.py INCLUDE-DIR CC...: every public header compiles alone, and twice, as C11 and as C++17."""
import os
import pathlib
import shutil
import subprocess
import sys

SKIP = 77
include = pathlib.Path(sys.argv[1])
cc = sys.argv[2:]
warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I", str(include)]
if os.uname().machine == "x86_64":
    warnings.append("-mcx16")
ways = [("C11", cc + ["-std=c11", "-x", "c", "-"]),
        ("C11, freestanding", cc + ["-std=c11", "-ffreestanding", "-x", "c", "-"])]
# The C++ compiler of the same family.
name = os.path.basename(cc[-1])
cxx = shutil.which(name.replace("clang", "clang++") if "clang" in name else "g++")
if cxx:
    ways.append(("C++17", [cxx, "-std=c++17", "-x", "c++", "-"]))

failed = 0
headers = sorted(include.rglob("*.h"))
for header in headers:
    line = f"#include <{header.relative_to(include)}>\n"
    for way, command in ways:
        run = subprocess.run(command + warnings, input=line * 2 + "typedef int not_empty;\n",
                             stderr=subprocess.PIPE, text=True, check=False)
        if run.returncode:
            failed += 1
            print(f"{header.name} as {way}:\n{run.stderr}")
print(f"{len(headers)} headers, {len(ways)} ways, {failed} failed")
if failed or not headers:
    sys.exit(1)
if not cxx:
    print("no C++ compiler: C++17 not tried")
    sys.exit(SKIP)
