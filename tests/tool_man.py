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
    """The same from .Ft, .Fo, .Fa and .Fn lines of a synopsis."""
    found = {}
    synopsis = re.search(r"\.Sh SYNOPSIS\n(.*?)\.Sh", text, re.S).group(1)
    for result, name, body in re.findall(r'\.Ft (.*)\n\.Fo (\w+)\n(.*?)\.Fc', synopsis, re.S):
        found[name] = words(f"{result} {name}({', '.join(re.findall(r'Fa (.*)', body))})".replace('"', ""))
    for result, name, rest in re.findall(r'\.Ft (.*)\n\.Fn (\w+) (.*)', synopsis):
        found[name] = words(f"{result} {name}({', '.join(re.findall(chr(34) + '([^' + chr(34) + ']*)', rest)[::2])})"
                            .replace('"', ""))
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
            for name in re.findall(r"\b(?:IOMMU|VTD)_[A-Z0-9_]+\b", read(page)):
                self.assertRegex(text, rf"\b{name}\b", page)

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
