#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""corpus_model_amdvi.py FOLDER: writes the seeds of fuzz_model_amdvi, programs in the target's own encoding.

A fuzzer finds tables that lead somewhere only by luck, so most seeds here build good ones: each mode, depth, page
size and kind of entry, used, changed and invalidated; the rest are wrong in one deliberate way, or noise.
"""
import pathlib
import random
import struct
import sys

RAM = 1 << 17
DEVTAB, COMMANDS, EVENTS, STATUS, TABLES = (n << 12 for n in (1, 4, 5, 6, 8))
RID, IOVA, DOM = 0x0128, 0x12345000, 5
R, W, X, PRIV = 1, 2, 4, 8
RW = 3 << 61
CONTROL = 0x18
ON = 1 | 1 << 2 | 1 << 12 | 1 << 16
TRP = 1 << 58
ALL = 0x7ffffffffffff000


class Program:
    """A seed: the configuration, then operations."""

    def __init__(self, quantum8=False, maysets=False, lanes=1, choosing=False, efr=0, efr2=0, broken=0, npcache=False,
                 freedoms=0xff, lines=0x3ffff):
        bits = quantum8 | maysets << 1 | (lanes - 1) << 2 | (lines & 0x1fff) << 4 | choosing << 17 | broken << 20
        bits |= (efr != 0) << 18 | (efr2 != 0) << 19 | npcache << 26
        self.out = struct.pack("<IB", bits, freedoms)
        if efr:
            self.out += struct.pack("<Q", efr)
        if efr2:
            self.out += struct.pack("<Q", efr2)
        self.ram = {}
        self.page = TABLES
        self.tail = 0

    def op(self, code, *packed):
        self.out += bytes([code]) + b"".join(packed)

    def poke(self, addr, value):
        value &= (1 << 64) - 1
        self.ram[addr] = value
        self.op(0, struct.pack("<HQ", addr // 8, value))

    def write(self, offset, value):
        self.op(1, struct.pack("<BQ", offset // 4 if offset < 0x200 else 0x80 + (offset - 0x2000) // 4, value & (1 << 64) - 1))

    def tick(self, n=0):
        self.op(5 if n == 0 else 4 | (n - 1) << 4)

    def new_page(self):
        self.page += 4096
        assert self.page <= RAM
        return self.page - 4096

    # ---- requests

    def fields(self, rid=RID, pasid=None, addr=IOVA, access=R, kind=0, lane=0):
        bits = (pasid is not None) | access << 1 | kind << 5 | lane << 7
        packed = struct.pack("<BH", bits, rid)
        if pasid is not None:
            packed += struct.pack("<I", pasid)[:3]
        return packed + struct.pack("<Q", addr & (1 << 64) - 1)

    def begin(self, slot=0, **kw):
        self.op(6 | slot << 4, self.fields(**kw))

    def step(self, slot=0, n=1):
        for _ in range(n):
            self.op(7 | slot << 4)

    def finish(self, slot=0):
        self.op(8 | slot << 4)
        self.op(9 | slot << 4)

    def go(self, **kw):
        self.op(10, self.fields(**kw))

    # ---- tables

    def start(self, control=ON):
        self.write(0, DEVTAB | 2)
        self.write(8, COMMANDS | 8 << 56)
        self.write(0x10, EVENTS | 8 << 56)
        self.write(CONTROL, control)
        self.tick()

    def dte(self, lo, hi=DOM, guest=0, rid=RID):
        at = DEVTAB + rid * 32
        self.poke(at + 16, guest)
        self.poke(at + 8, hi | 1 << 32)
        self.poke(at, lo | 3 | RW)

    def host(self, root, levels, iova, phys, leaf=1, size=0, skip=()):
        at = root
        level = levels
        while True:
            entry = at + (iova >> (12 + 9 * (level - 1)) & 511) * 8
            if level == leaf:
                coded = 7 << 9 | (((1 << size) - 1) >> 1 & ~0xfff) if size else 0
                self.poke(entry, phys | coded | RW | 1)
                return entry
            below = level - 1
            while below in skip:
                below -= 1
            if not self.ram.get(entry, 0) & 1:
                self.poke(entry, self.new_page() | below << 9 | RW | 1)
            at = self.ram[entry] & 0xffffffffff000
            level = below

    def guest(self, root, levels, iova, phys, leaf=1, offset=0):
        at = root
        for level in range(levels, 0, -1):
            entry = at + (iova >> (12 + 9 * (level - 1)) & 511) * 8
            if level == leaf:
                self.poke(entry, phys | 7 | (1 << 7 if level > 1 else 0))
                return entry
            if not self.ram.get(entry, 0) & 1:
                self.poke(entry, (self.new_page() + offset) | 7)
            at = (self.ram[entry] & 0xffffffffff000) - offset
        raise AssertionError

    def gcr3(self, root, glx, pasid, table, offset=0):
        at = root
        for level in range(glx, -1, -1):
            entry = at + (pasid >> (9 * level) & 511) * 8
            if level == 0:
                self.poke(entry, table | 1)
                return
            if not self.ram.get(entry, 0) & 1:
                self.poke(entry, (self.new_page() + offset) | 1)
            at = (self.ram[entry] & 0xffffffffff000) - offset

    def dte_guest(self, gcr3, levels=4, glx=0, lo=0):
        lo |= 1 << 55 | 1 << 54 | glx << 56 | (gcr3 >> 12 & 7) << 58
        hi = DOM | (gcr3 >> 15 & 0xffff) << 16 | gcr3 >> 31 << 43
        self.dte(lo, hi, (levels - 4) << 54)

    # ---- commands

    def submit(self, lo, hi=0):
        at = COMMANDS + self.tail
        self.poke(at, lo)
        self.poke(at + 8, hi)
        self.tail = (self.tail + 16) % 4096
        self.write(0x2008, self.tail)

    def wait(self, flags=5):
        self.submit(1 << 60 | STATUS | flags, 0x77)

    def pages(self, domain=DOM, pasid=0, addr=ALL, flags=3):
        self.submit(3 << 60 | domain << 32 | pasid, addr | flags)

    def flush(self):
        self.submit(8 << 60)
        self.wait()
        self.tick()


def v1(p, levels=4, leaf=1, size=0, phys=None, lo=0, skip=()):
    p.start()
    root = p.new_page()
    own = 12 + 9 * (leaf - 1)
    p.host(root, levels, IOVA & ~((1 << max(size, own)) - 1), (1 << (size or own)) * 3 if phys is None else phys, leaf, size, skip)
    p.dte(root | levels << 9 | lo)
    return root


def v2(p, levels=4, leaf=1, glx=0, pasid=0):
    p.start()
    root = p.new_page()
    p.guest(root, levels, IOVA & ~((1 << (12 + 9 * (leaf - 1))) - 1), (1 << (12 + 9 * (leaf - 1))) * 3, leaf)
    table = p.new_page()
    p.gcr3(table, glx, pasid, root)
    p.dte_guest(table, levels, glx)
    return root, table


def nested(p, levels=4, trp=False, glx=0, lo=0):
    p.start(ON | (TRP if trp else 0))
    gpa = 1 << 32
    first = p.page
    root = p.new_page()
    p.guest(root, levels, IOVA, gpa + 0x777000, 1, offset=gpa)
    table = p.new_page()
    p.gcr3(table, glx, 3, gpa + root, gpa if trp else 0)
    pages = range(first, p.page, 4096)
    host = p.new_page()
    for page in pages:
        p.host(host, 4, gpa + page, page)
    p.host(host, 4, gpa + 0x777000, 0x555000)
    p.dte_guest(gpa + table if trp else table, levels, glx, host | 4 << 9 | lo)
    return root, table, host


def seeds():
    for levels in range(1, 7):
        p = Program(quantum8=levels & 1)
        p.start()
        root = p.new_page()
        p.host(root, levels, 0x5000, 0x777000)
        p.dte(root | levels << 9)
        p.go(addr=0x5000), p.go(addr=0x5008, access=W), p.go(addr=0x6000), p.go(addr=1 << 60), p.flush(), p.go(addr=0x5000)
        yield f"v1-{levels}-levels", p
    for leaf, size in ((2, 0), (3, 0), (1, 13), (1, 20), (2, 22), (2, 29), (3, 33), (4, 45)):
        p = Program(lanes=2)
        v1(p, leaf=leaf, size=size)
        p.go(), p.go(addr=IOVA + 0x123), p.go(lane=1), p.pages(addr=IOVA, flags=0), p.wait(), p.tick(), p.go()
        yield f"v1-leaf-{leaf}-{size}", p
    p = Program()
    v1(p, levels=5, skip=(4, 3), lo=3 << 7)
    p.go(access=W), p.go(addr=IOVA | 1 << 31), p.go(addr=IOVA | 1 << 40), p.go(addr=IOVA + 4096)
    yield "v1-skip", p
    for had in (1, 3):
        p = Program()
        v1(p, lo=had << 7)
        p.go(), p.go(access=W), p.op(0x1e), p.flush(), p.go(access=W), p.op(0x0e)
        yield f"v1-had-{had}", p
    p = Program(npcache=True)
    v1(p)
    p.go(addr=IOVA + 4096), p.go(addr=IOVA + 4096), p.go(addr=IOVA + 4096, access=W), p.pages(), p.wait(), p.tick(), p.go()
    yield "v1-npcache", p
    p = Program()
    p.start(), p.dte(0), p.go(), p.go(access=W), p.go(addr=1 << 52), p.go(addr=0xfee00000, access=W), p.go(addr=0xfee00000)
    p.poke(DEVTAB + RID * 32, 1), p.flush(), p.go(), p.poke(DEVTAB + RID * 32, 0), p.flush(), p.go(), p.go(rid=0x700)
    yield "identity-blocked-off", p
    p = Program()
    v1(p)
    p.go(kind=1, access=3), p.begin(kind=2), p.op(11), p.finish()
    p.submit(4 << 60 | RID << 32 | RID, IOVA), p.wait(), p.tick()
    p.begin(kind=2), p.op(11), p.finish()
    yield "v1-ats", p
    for levels in (4, 5):
        for leaf in (1, 2, 3):
            p = Program(quantum8=leaf == 2)
            v2(p, levels, leaf)
            p.go(), p.go(access=W), p.go(access=3, addr=IOVA + 8), p.go(addr=IOVA ^ 1 << 40), p.go(addr=1 << 63)
            p.pages(flags=7), p.wait(), p.tick(), p.go(access=W)
            yield f"v2-{levels}-{leaf}", p
    for glx, pasid in ((0, 77), (1, 0x1abcd), (2, 0xabcde)):
        p = Program()
        v2(p, 4, 1, glx, pasid)
        p.go(pasid=pasid), p.go(pasid=pasid, access=PRIV | R), p.go(pasid=pasid, kind=1, access=3), p.go(pasid=pasid + 1)
        p.go(pasid=pasid, access=R | X)
        p.submit(4 << 60 | (pasid >> 16) << 56 | (pasid & 255) << 48 | RID << 32 | (pasid >> 8 & 255) << 16 | RID, ALL | 5)
        p.pages(pasid=pasid, flags=7), p.wait(), p.tick(), p.go(pasid=pasid)
        yield f"v2-glx-{glx}", p
    for levels in (4, 5):
        for trp in (False, True):
            p = Program()
            nested(p, levels, trp, glx=trp, lo=3 << 7)
            p.go(pasid=3, access=W), p.go(pasid=3), p.go(), p.flush(), p.go(pasid=3), p.pages(flags=3), p.wait(), p.tick()
            p.go(pasid=3, access=3)
            yield f"nested-{levels}-{'gpa' if trp else 'spa'}", p
    for broken in range(6):
        p = Program(broken=1 << broken)
        v1(p)
        p.go(kind=1), p.submit(4 << 60 | RID, ALL | 1), p.wait(), p.tick(), p.write(CONTROL, ON & ~(1 << 12)), p.tick()
        p.op(13, b"\0"), p.write(CONTROL, ON), p.tick(), p.flush(), p.go()
        yield f"broken-{broken}", p
    # In flight, in steps, with commands between.
    for maysets in (False, True):
        for mode in (v1, v2, nested):
            p = Program(maysets=maysets, choosing=True, quantum8=mode == v1, lines=0x1fff)
            mode(p)
            pasid = 3 if mode == nested else None
            for slot in range(3):
                p.begin(slot=slot, access=1 + slot, pasid=pasid)
                p.step(slot, 3 + 4 * slot)
            p.submit(2 << 60 | RID), p.pages(), p.pages(pasid=3, flags=7), p.wait()
            p.tick(2), p.step(0, 5), p.tick(3), p.step(1, 9), p.tick(4)
            p.dte(0, 6)
            for slot in range(3):
                p.finish(slot)
            p.tick(), p.go(pasid=pasid), p.op(12)
            yield f"in-flight-{'maysets' if maysets else 'lanes'}-{mode.__name__}", p
    # Tables that lead to themselves.
    for next_level in range(8):
        p = Program()
        p.start()
        loop = p.new_page()
        for n in range(0, 512, 37):
            p.poke(loop + 8 * n, loop | next_level << 9 | RW | 7)
        p.dte(loop | 6 << 9)
        for n in range(4):
            p.go(addr=n * 37 << 12 | n * 37 << 21 | n * 37 << 30 | n * 37 << 39 | n * 37 << 48, access=W)
        p.dte_guest(loop, 5, 2, loop | 6 << 9), p.flush(), p.go(), p.go(pasid=0, access=W)
        p.write(CONTROL, ON | TRP), p.flush(), p.go()
        yield f"loop-{next_level}", p
    # Commands: every opcode, good and with each reserved bit.
    p = Program()
    v1(p)
    for opcode in range(16):
        p.submit(opcode << 60), p.tick(), p.write(CONTROL, ON & ~(1 << 12)), p.write(0x2000, p.tail), p.write(CONTROL, ON), p.tick()
    p.write(0x2008, 0x7fff0), p.tick(), p.write(8, RAM | 15 << 56), p.write(0x2008, 0x20), p.tick()
    yield "commands", p
    p = Program(choosing=True)
    v1(p)
    for n in range(12):
        p.pages(addr=IOVA, flags=0), p.wait(2 if n & 1 else 7)
    p.write(CONTROL, ON | 3 << 3), p.write(0x158, 0xfee00000 << 32), p.write(0x160, 1 << 32)
    p.out += bytes(range(64))
    p.tick(), p.go(rid=0x300), p.go(rid=0x301), p.write(0x2020, 0xff)
    yield "interrupts", p
    p = Program()
    p.start()
    p.write(0x10, (RAM - 4096) | 8 << 56)
    for n in range(260):
        p.go(rid=0x400)
    p.write(0x2020, 7), p.write(CONTROL, ON & ~4), p.write(CONTROL, ON), p.go(rid=0x400)
    yield "event-overflow", p
    for segments in (1, 2, 3):
        p = Program()
        v1(p)
        p.write(CONTROL, ON | segments << 34)
        for n in range(7):
            p.write(0x100 + 8 * n, DEVTAB)
        for rid in (0x28, 0x2028, 0x4028, 0x8028, 0xc028, 0xe028, 0x0128):
            p.go(rid=rid)
        yield f"segments-{segments}", p
    p = Program(efr2=1 << 11)
    v1(p)
    p.write(0x28, IOVA + 0x3000), p.write(0x20, IOVA | 3), p.go(), p.go(addr=IOVA + 0x5000), p.go(addr=0xfd00000000)
    yield "exclusion", p
    p = Program()
    v1(p)
    for offset in list(range(0, 0x200, 20)) + list(range(0x2000, 0x2080, 12)):
        p.op(2, struct.pack("<HBQ", offset, 8, 0xa5a5a5a5a5a5a5a5)), p.op(3, struct.pack("<H", offset))
    p.tick(), p.go()
    yield "registers", p
    dice = random.Random(1)
    for n in range(4):
        p = Program(maysets=n & 1, choosing=n >> 1)
        (v1 if n & 1 else v2)(p)
        p.out += bytes(dice.randrange(256) for _ in range(300 * (n + 1)))
        yield f"noise-{n}", p


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in seeds():
        (folder / name).write_bytes(program.out)


main()
