#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""readme.py ROOT: the README's C is examples/embed.c, to the letter; every file that the documents link to exists."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
readme = (root / "README.md").read_text()
code = re.search(r"```c\n(.*?)```", readme, re.S).group(1)
if code.strip() != (root / "examples/embed.c").read_text().strip():
    sys.exit("README.md: its C is not examples/embed.c")
for document in [root / "README.md", *(root / "docs").glob("*.md")]:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        if not (document.parent / link).exists():
            sys.exit(f"{document.relative_to(root)}: no such file: {link}")
print("1 passed, 0 failed")
