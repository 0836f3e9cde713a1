#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The manual pages are well-formed, have the prototypes of the headers, and the options of the command."""
import glob
import os
import re
import shutil
import subprocess
import unittest

from hitless import SOURCE, Case, main

PAGES = sorted(glob.glob(os.path.join(SOURCE, "man", "*.[13]")))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def words(prototype):
    return re.findall(r"\w+|[^\w\s]", prototype)


def header_prototypes():
    """Name: its prototype as a list of words."""
    found = {}
    for path in glob.glob(os.path.join(SOURCE, "include", "hitless", "*.h")):
        text = re.sub(r"/\*.*?\*/", " ", read(path), flags=re.S)
        for prototype in re.findall(r"HITLESS_API ([^;]*\));", text):
            found[re.search(r"(\w+)\s*\(", prototype).group(1)] = words(prototype)
    return found


def page_prototypes(text):
    """The same from the .Ft, .Fo, .Fa, .Fc and .Fn lines of a synopsis."""
    found = {}
    result, name, arguments = "", "", []
    for line in re.search(r"\.Sh SYNOPSIS\n(.*?)\.Sh", text, re.S).group(1).splitlines():
        macro, _, rest = line.partition(" ")
        if macro == ".Ft":
            result = rest.strip('"')
        elif macro == ".Fo":
            name, arguments = rest, []
        elif macro == ".Fa":
            arguments.append(rest.strip('"'))
        elif macro == ".Fn":
            name, arguments = rest.split()[0], re.findall(r'"(.*?)"', rest)
        if macro in (".Fc", ".Fn"):
            found[name] = words(f"{result} {name}({', '.join(arguments)})")
    return found


class Man(Case):
    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is missing (apt install mandoc)")
    def test_well_formed(self):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *PAGES], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.stdout, "")

    def test_prototypes(self):
        headers = header_prototypes()
        self.assertGreater(len(headers), 40)
        for page in PAGES:
            if page.endswith(".3"):
                prototypes = page_prototypes(read(page))
                self.assertTrue(prototypes, page)
                for name, prototype in prototypes.items():
                    self.assertEqual(prototype, headers.get(name), page)
                named = re.findall(r"^\.Nm (\w+)", read(page), re.M)
                self.assertEqual(sorted(prototypes), sorted(named), page)

    def test_constants(self):
        """Every constant that a page names is in a header."""
        text = "".join(read(path) for path in glob.glob(os.path.join(SOURCE, "include", "hitless", "*.h")))
        for page in PAGES:
            named = set(re.findall(r"\b(?:IOMMU|VTD)_[A-Z0-9_]+\b", re.sub(r"(?m)^\.Dt .*", "", read(page))))
            self.assertEqual(named - set(re.findall(r"\w+", text)), set(), page)

    def test_options(self):
        for page in PAGES:
            verb = re.search(r"hitless-(\w+)\.1$", page)
            if not verb:
                continue
            theirs = set(re.findall(r"--([a-z]+)", self.good(verb.group(1), "--help")))
            theirs -= {"color", "quiet", "verbose", "help", "json"}
            ours = set(re.findall(r"Fl Fl ([a-z]+)", read(page))) - {"json"}
            self.assertEqual(ours, theirs, page)

    def test_references(self):
        names = {os.path.basename(page) for page in PAGES}
        for page in PAGES:
            for name, section in re.findall(r"^\.Xr (\S+) (\d)", read(page), re.M):
                self.assertIn(f"{name}.{section}", names, page)

    def test_installed(self):
        listed = re.findall(r"'(\S+\.[13])'", read(os.path.join(SOURCE, "man", "meson.build")))
        self.assertEqual(sorted(listed), [os.path.basename(page) for page in PAGES])


main()
