#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""rooms.py BUILD-DIR: no room can include what belongs to another one.

For each room the real compile command of one of its files is taken from compile_commands.json and
tried with every header of every other room, and with the public headers of the other side: each must
be refused. Headers that a room may use must be found. (Which those are is written down here a second
time on purpose: DESIGN.md is the source, src/meson.build the thing under test.)
"""
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys

MAY_USE = {
    "core": {"core", "entry", "pgtable", "freestanding"},
    "entry": {"entry", "freestanding"},
    "pgtable": {"pgtable", "layout", "freestanding"},
    "driver": {"driver", "core", "entry", "pgtable", "layout", "freestanding"},
    "viommu": {"viommu", "freestanding"},
    "model": {"model", "layout", "freestanding"},
    "machine": {"machine", "layout"},
    "explore": {"explore", "entry", "layout"},
    "tool": {"tool", "machine", "layout"},
}
DRIVER_SIDE = {"core", "entry", "pgtable", "driver", "viommu"}
SHARED_PUBLIC = {"types.h"}
# The formats beside pgtable.h name architectures, which core must not know.
CORE_FROM_PGTABLE = {"pgtable.h"}

build = pathlib.Path(sys.argv[1]).resolve()
commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
root = pathlib.Path(__file__).resolve().parent.parent
problems = []


def room_command(room):
    """The compile command of some file of the room, reading from stdin and listing what it includes."""
    for c in commands:
        path = (pathlib.Path(c["directory"]) / c["file"]).resolve()
        if path.is_relative_to(root / "src" / room):
            words = shlex.split(c["command"])
            keep = []
            skip = False
            for w in words[:-1]:
                if skip or w in ("-MD", "-c"):
                    skip = False
                elif w in ("-o", "-MQ", "-MF"):
                    skip = True
                else:
                    keep.append(w)
            return keep + ["-M", "-x", "c", "-"], c["directory"]
    return None


def include(command, name):
    """(None, the files that it pulled in) or (the error message, nothing)."""
    argv, directory = command
    run = subprocess.run(argv, cwd=directory, input=f"#include {name}\n", text=True, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode:
        return run.stderr, set()
    words = run.stdout.replace("\\\n", " ").split()[1:]
    return None, {(pathlib.Path(directory) / w).resolve() for w in words if w != "-"}


def must_refuse(room, command, header, name):
    error, files = include(command, name)
    if error is None and header in files:
        problems.append(f"src/{room} can include {name}")
    elif error is not None and not re.search(r"No such file|file not found|#error", error):
        problems.append(f"src/{room}: {name} is refused for another reason:\n{error}")


public = sorted((root / "include" / "hitless").glob("*.h"))
tries = 0
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    jobs = []
    for room, may in MAY_USE.items():
        command = room_command(room)
        if command is None:
            print(f"src/{room}: nothing is compiled yet")
            continue
        error, _ = include(command, "<hitless/types.h>")
        if error:
            problems.append(f"src/{room} can't include <hitless/types.h>:\n{error}")
        for header in sorted((root / "src").rglob("*.h")):
            other = header.relative_to(root / "src").parts[0]
            if other in may:
                if "layout" in may and other == "layout" and include(command, f'"{header.name}"')[0]:
                    problems.append(f"src/{room} can't include {header.name}")
                continue
            for path in (header.name, header.relative_to(root / "src")):
                jobs.append(pool.submit(must_refuse, room, command, header, f'"{path}"'))
        for header in public:
            of_model = header.name.startswith("model")
            if (room in DRIVER_SIDE and of_model) or (
                    room == "model" and not of_model and header.name not in SHARED_PUBLIC):
                jobs.append(pool.submit(must_refuse, room, command, header, f"<hitless/{header.name}>"))
    tries = len(jobs)
    for job in jobs:
        job.result()

for source in sorted((root / "src" / "core").rglob("*.[ch]")):
    names = set(re.findall(r"(?m)^\s*#\s*include\s*[<\"]([^>\"]+)", source.read_text(encoding="utf-8")))
    formats = {h.name for h in (root / "src" / "pgtable").rglob("*.h")} - CORE_FROM_PGTABLE
    for name in sorted(n for n in names if pathlib.PurePath(n).name in formats):
        problems.append(f"{source.relative_to(root)} includes {name}")

# A path that climbs out of its room would get around the include paths.
for source in sorted((root / "src").rglob("*.[ch]")):
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(r"\s*#\s*include\s*[<\"].*\.\./", line):
            problems.append(f"{source.relative_to(root)}:{number}: {line.strip()}")

print(f"{tries} forbidden includes tried")
sys.exit("\n".join(problems) or 0)
