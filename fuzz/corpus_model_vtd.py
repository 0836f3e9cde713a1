#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""corpus_model_vtd.py FOLDER: writes the seeds of fuzz_model_vtd, programs in the target's own encoding.

A fuzzer finds tables that lead somewhere only by luck, so most seeds here build good ones: each mode, depth, page
size and kind of entry, used, changed and invalidated; the rest are wrong in one deliberate way, or noise.
"""
import pathlib
import random
import struct
import sys

RAM = 1 << 17
ROOT, CONTEXTS, DIRECTORY, PASIDS, QUEUE, STATUS, TABLES = (n << 12 for n in (1, 2, 3, 4, 5, 6, 8))
RID, IOVA, DID = 0x0128, 0x12345000, 5
NEST, ERS, CM = 1 << 26, 1 << 30, 1 << 7
LEGACY, SCALABLE = 0, 1
FREEDOMS = 0xff


class Program:
    """A seed: the configuration, then operations."""

    def __init__(self, quantum8=False, maysets=False, lanes=1, choosing=False, cap=0, ecap=0, broken=0, freedoms=FREEDOMS,
                 lines=0x3ffff):
        bits = quantum8 | maysets << 1 | (lanes - 1) << 2 | (lines & 0x1fff) << 4 | choosing << 17 | broken << 20
        bits |= (cap != 0) << 18 | (ecap != 0) << 19
        self.out = struct.pack("<IB", bits, freedoms)
        if cap:
            self.out += struct.pack("<Q", cap)
        if ecap:
            self.out += struct.pack("<Q", ecap)
        self.ram = {}
        self.page = TABLES
        self.tail = 0
        self.scalable = False

    def op(self, code, *packed):
        self.out += bytes([code]) + b"".join(packed)

    def poke(self, addr, value):
        self.ram[addr] = value
        self.op(0, struct.pack("<HQ", addr // 8, value & (1 << 64) - 1))

    def write64(self, offset, value):
        self.op(1, struct.pack("<BQ", offset, value))

    def write32(self, offset, value):
        self.op(0x11, struct.pack("<BI", offset, value))

    def tick(self, n=0):
        self.op(5 if n == 0 else 4 | (n - 1) << 4)

    def new_page(self):
        self.page += 4096
        return self.page - 4096

    # ---- requests

    def fields(self, rid=RID, pasid=None, addr=IOVA, access=1, kind=0, lane=0):
        bits = (pasid is not None) | access << 1 | kind << 5 | lane << 7
        packed = struct.pack("<BH", bits, rid)
        if pasid is not None:
            packed += struct.pack("<I", pasid)[:3]
        return packed + struct.pack("<Q", addr)

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

    def start(self, mode, dw=None):
        self.scalable = mode == SCALABLE
        self.wide = self.scalable if dw is None else dw
        self.write64(0x20, ROOT | mode << 10)
        self.write32(0x18, 1 << 30)
        self.tick()
        self.write64(0x88, 0)
        self.write64(0x90, QUEUE | self.wide << 11)
        self.write32(0x18, 1 << 26)
        self.tick()
        self.write32(0x18, 1 << 26 | 1 << 31)
        self.tick()

    def root(self, rid=RID):
        self.poke(ROOT + (rid >> 8) * 16, CONTEXTS | 1)

    def context(self, lo, hi, rid=RID):
        self.root(rid)
        at = CONTEXTS + ((rid & 0x7f) * 32 if self.scalable else (rid & 0xff) * 16)
        self.poke(at, lo)
        self.poke(at + 8, hi)

    def smcontext(self, extra=0, hi=0, pasid=0):
        self.context(DIRECTORY | 1 | 1 << 2 | 1 << 3 | 2 << 9 | extra, hi)
        self.poke(DIRECTORY + (pasid >> 6) * 8, PASIDS | 1)

    def pasid(self, pasid, pgtt, ss=0, fs=0, levels=4, did=DID, extra=(0, 0, 0)):
        at = PASIDS + (pasid & 63) * 64
        self.poke(at + 16, fs | (levels - 4 if pgtt in (1, 3) else 0) << 2 | extra[2])
        self.poke(at + 8, did | 1 << 23 | extra[1])
        aw = levels - 2 if pgtt == 2 else 2
        self.poke(at, ss | 1 | aw << 2 | pgtt << 6 | extra[0])

    def map(self, root, levels, iova, phys, leaf=1, rights=3, table=7, offset=0):
        at = root
        for level in range(levels, 0, -1):
            entry = at + (iova >> (12 + 9 * (level - 1)) & 511) * 8
            if level == leaf:
                self.poke(entry, phys | rights | (1 << 7 if level > 1 else 0))
                return entry
            if not self.ram.get(entry, 0) & 3:
                self.poke(entry, (self.new_page() + offset) | table)
            at = (self.ram[entry] & 0xffffffffff000) - offset
        raise AssertionError

    # ---- queue

    def submit(self, lo, hi=0):
        at = QUEUE + self.tail
        self.poke(at, lo)
        self.poke(at + 8, hi)
        self.tail = (self.tail + (32 if self.wide else 16)) % 4096
        self.write64(0x88, self.tail)

    def wait(self, flags=1 << 5 | 1 << 6):
        self.submit(5 | flags | 0x77 << 32, STATUS)

    def flush(self):
        self.submit(1 | 1 << 4)
        if self.scalable:
            self.submit(7 | 3 << 4)
        self.submit(2 | 1 << 4)
        self.wait()
        self.tick()


def legacy(p, tt=0, levels=4, leaf=1, phys=0x777000):
    p.start(LEGACY)
    ss = p.new_page()
    size = 1 << (12 + 9 * (leaf - 1))
    p.map(ss, levels, IOVA, phys & ~(size - 1) if leaf == 1 else size * 3, leaf)
    p.context(ss | tt << 2 | 1, (levels - 2) | DID << 8)
    return ss


def scalable(p, pgtt, levels=4, leaf=1, pasid=0):
    p.start(SCALABLE)
    p.smcontext(pasid=pasid)
    ss = fs = 0
    size = 1 << (12 + 9 * (leaf - 1))
    if pgtt == 1:
        fs = p.new_page()
        p.map(fs, levels, IOVA, size * 3, leaf, 7)
    elif pgtt == 2:
        ss = p.new_page()
        p.map(ss, levels, IOVA, size * 3, leaf)
    elif pgtt == 3:
        guest = 1 << 32
        fs = p.new_page()
        pages = [fs]
        first = p.page
        p.map(fs, levels, IOVA, guest + 0x777000, 1, 7, offset=guest)
        pages += range(first, p.page, 4096)
        ss = p.new_page()
        for page in pages:
            p.map(ss, 4, guest + page, page)
        p.map(ss, 4, guest + 0x777000, 0x555000)
        fs += guest
    p.pasid(pasid, pgtt, ss, fs, levels)
    return ss, fs


def seeds():
    for levels in (3, 4, 5):
        p = Program()
        legacy(p, levels=levels)
        p.go(), p.go(access=2), p.go(addr=IOVA + 4096), p.go(addr=1 << 60)
        yield f"legacy-{levels}-levels", p
    for leaf in (2, 3):
        p = Program(lanes=2)
        legacy(p, leaf=leaf)
        p.go(), p.go(addr=IOVA + 0x123456), p.go(lane=1)
        yield f"legacy-leaf-{leaf}", p
    p = Program()
    legacy(p, tt=2)
    p.go(), p.go(addr=0xfee00000, access=2), p.go(addr=0xfee00000)
    yield "legacy-pass", p
    p = Program()
    legacy(p, tt=1)
    p.go(kind=1, access=3), p.begin(kind=2), p.op(11), p.finish()
    p.submit(3 | RID << 32, IOVA)
    p.wait(), p.tick()
    p.begin(kind=2), p.op(11), p.finish()
    yield "legacy-ats", p
    for name, pgtt, levels, leaf in (("first-4", 1, 4, 1), ("first-5", 1, 5, 1), ("first-2m", 1, 4, 2), ("first-1g", 1, 4, 3),
                                     ("second-3", 2, 3, 1), ("second-4", 2, 4, 1), ("second-5", 2, 5, 1), ("second-2m", 2, 4, 2),
                                     ("second-1g", 2, 4, 3), ("pass", 4, 4, 1)):
        p = Program(quantum8=leaf == 2)
        scalable(p, pgtt, levels, leaf)
        p.go(), p.go(access=2), p.go(access=3, addr=IOVA + 8), p.go(addr=IOVA ^ 1 << 40)
        p.flush(), p.go(access=2)
        yield f"scalable-{name}", p
    for levels in (4, 5):
        p = Program(ecap=NEST)
        scalable(p, 3, levels)
        p.go(access=2), p.go(), p.flush(), p.go()
        p.submit(6 | 2 << 4 | DID << 16), p.submit(2 | 3 << 4 | DID << 16, IOVA), p.wait(), p.tick()
        p.go(access=2)
        yield f"scalable-nested-{levels}", p
    p = Program()
    scalable(p, 1, pasid=77)
    p.go(pasid=77), p.go(pasid=77, access=8 | 1), p.go(pasid=77, kind=1, access=3), p.go(pasid=78), p.go(pasid=1 << 19)
    p.submit(8 | RID << 16 | 77 << 32, ~0xfff | 1 << 11), p.wait(), p.tick()
    yield "scalable-pasid-ats", p
    p = Program(ecap=ERS)
    scalable(p, 1, pasid=3)
    p.poke(PASIDS + 3 * 64 + 16, p.ram[PASIDS + 3 * 64 + 16] | 1 << 1 | 1 << 5)
    p.go(pasid=3, access=5)
    yield "scalable-execute", p
    for name, cap in (("caching-mode", CM), ("esrtps", 1 << 63), ("few-domains", 6)):
        for mode in (LEGACY, SCALABLE):
            p = Program(cap=cap)
            if mode == LEGACY:
                legacy(p)
            else:
                scalable(p, 2)
            p.go(), p.go(addr=IOVA + 4096), p.go(addr=IOVA + 4096)
            p.write32(0x18, 1 << 30 | 1 << 26 | 1 << 31), p.tick(), p.go()
            yield f"{name}-{mode}", p
    for broken in range(5):
        p = Program(broken=1 << broken)
        legacy(p, tt=1)
        p.go(), p.submit(3 | RID << 32, ~0xfff | 1), p.wait(), p.tick(), p.write32(0x34, 0xff), p.tick(), p.go()
        p.op(13, b"\0"), p.tick(), p.flush(), p.go()
        yield f"broken-{broken}", p
    # In flight, in steps, with commands between.
    for maysets in (False, True):
        for pgtt in (1, 2):
            p = Program(maysets=maysets, choosing=True, quantum8=pgtt == 1, lines=0x1fff)
            ss, fs = scalable(p, pgtt)
            for slot in range(3):
                p.begin(slot=slot, access=1 + slot)
                p.step(slot, 3 + 4 * slot)
            p.submit(7 | 1 << 4 | DID << 16), p.submit(2 | 2 << 4 | DID << 16), p.wait()
            p.tick(2), p.step(0, 5), p.tick(3), p.step(1, 9), p.tick(4)
            p.pasid(0, 4, did=6)
            for slot in range(3):
                p.finish(slot)
            p.tick(), p.go(), p.op(12)
            yield f"in-flight-{'maysets' if maysets else 'lanes'}-{pgtt}", p
    # The interrupt range: asked for, and led to, by a page and from within a large one.
    p = Program()
    ss = legacy(p)
    p.map(ss, 4, 1 << 30, 3 << 30, 3), p.map(ss, 4, IOVA + 4096, 0xfee00000)
    p.go(addr=1 << 30), p.go(addr=(1 << 30) + 0x3ee00000), p.go(addr=IOVA + 4096, access=2), p.go(addr=0xfee00000, access=2)
    yield "interrupt-range", p
    p = Program()
    scalable(p, 1, pasid=9)
    p.go(pasid=9, kind=1, access=3)
    p.submit(8 | RID << 16 | 1 << 32, ~0xfff | 1 << 11 | 1), p.wait(), p.tick(), p.begin(pasid=9, kind=2), p.op(11), p.finish()
    yield "scalable-ats-every-pasid", p
    # Tables that lead to themselves.
    for pgtt in (1, 2):
        p = Program()
        scalable(p, pgtt)
        loop = p.new_page()
        for n in range(0, 512, 37):
            p.poke(loop + 8 * n, loop | 7)
        p.pasid(0, pgtt, loop, loop, 5 if pgtt == 1 else 4)
        p.flush()
        for n in range(4):
            p.go(addr=n * 37 << 12 | n * 37 << 21 | n * 37 << 30 | n * 37 << 39, access=2)
        yield f"loop-{pgtt}", p
    p = Program(maysets=True, choosing=True)
    p.start(SCALABLE)
    p.poke(ROOT + 16, ROOT | 1), p.poke(ROOT, ROOT | 1 | 1 << 3), p.pasid(0, 1, ROOT, ROOT)
    for rid in (0, 0x100, 0x128):
        p.go(rid=rid), p.go(rid=rid, pasid=1)
    yield "loop-tables", p
    # The queue: every type, in both widths, and beyond its end.
    for dw in (0, 1):
        p = Program()
        p.start(SCALABLE if dw else LEGACY)
        for kind in range(16):
            p.submit(kind | 1 << 4 | DID << 16 | RID << 32, IOVA)
            p.tick(), p.write32(0x34, 0xff)
        p.write64(0x88, 0x7fff0), p.tick(), p.write64(0x88, 0x10), p.tick()
        p.write32(0x18, 0), p.tick(), p.write64(0x90, RAM | 7), p.write32(0x18, 1 << 26), p.tick()
        p.write64(0x88, 0x20), p.tick()
        yield f"queue-{dw}", p
    p = Program(choosing=True)
    legacy(p)
    for _ in range(12):
        p.submit(2 | 3 << 4 | DID << 16, IOVA)
        p.wait(1 << 4)
    p.write32(0xa0, 0), p.write32(0x38, 0)
    p.out += bytes(range(64))
    p.tick(), p.go(rid=0x300), p.go(rid=0x301), p.write32(0x9c, 1)
    yield "interrupts", p
    # Registers for invalidation, and what isn't there.
    p = Program()
    legacy(p)
    p.write32(0x18, 1 << 31), p.tick()
    p.op(2, struct.pack("<HBQ", 0x500, 8, IOVA)), p.op(2, struct.pack("<HBQ", 0x508, 8, 1 << 63 | 3 << 60 | DID << 32))
    p.write64(0x28, 1 << 63 | 3 << 61 | RID << 16 | DID), p.tick(), p.tick(), p.go()
    for offset in range(0, 0x300, 24):
        p.op(2, struct.pack("<HBQ", offset, 8, 0xa5a5a5a5a5a5a5a5)), p.op(3, struct.pack("<H", offset))
    p.tick(), p.go()
    yield "registers", p
    dice = random.Random(1)
    for n in range(4):
        p = Program(maysets=n & 1, choosing=n >> 1)
        (legacy if n & 1 else lambda q: scalable(q, 2))(p)
        p.out += bytes(dice.randrange(256) for _ in range(300 * (n + 1)))
        yield f"noise-{n}", p


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in seeds():
        (folder / name).write_bytes(program.out)


main()
