#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""corpus_model_smmuv3.py FOLDER: writes the seeds of fuzz_model_smmuv3, programs in the target's own encoding.

A fuzzer finds tables that lead somewhere only by luck, so most seeds here build good ones: each stage, granule, depth,
page size and kind of entry, used, changed and invalidated; the rest are wrong in one deliberate way, or noise.
"""
import pathlib
import random
import struct
import sys

RAM = 1 << 17
STRTAB, STES, COMMANDS, EVENTS, STATUS, CDS, TABLES = (n << 12 for n in (1, 2, 3, 4, 5, 6, 8))
DEV, IOVA, PHYS, GUEST = 0x1234, 0x12345000, 0x777000, 1 << 30
FREEDOMS = 0xff
AF, AP1, AP2, NG, DBM, CONTIGUOUS = 1 << 10, 1 << 6, 1 << 7, 1 << 11, 1 << 51, 1 << 52
LEAF1, LEAF2 = AF | AP1 | NG | 1, AF | 0xfc | 1
CR0, CR2, GBPA, IRQ_CTRL, GERRORN = 0x20, 0x2c, 0x44, 0x50, 0x64
EVENTQ_CONS = 0x100ac
HA, HD = 1 << 43, 1 << 42


class Program:
    """A seed: the configuration, then operations."""

    def __init__(self, maysets=False, lanes=1, choosing=False, caps=(0, 0), options=0, broken=0, freedoms=FREEDOMS,
                 quantum16=False, lines=0x1fff):
        bits = (not quantum16) | maysets << 1 | (lanes - 1) << 2 | lines << 4 | choosing << 17 | options << 20 | broken << 22
        bits |= (caps[0] != 0) << 18 | (caps[1] != 0) << 19
        self.out = struct.pack("<IB", bits, freedoms)
        for cap in caps:
            if cap:
                self.out += struct.pack("<Q", cap)
        self.ram = {}
        self.page = TABLES
        self.tail = 0

    def op(self, code, *packed):
        self.out += bytes([code]) + b"".join(packed)

    def poke(self, addr, value):
        self.ram[addr] = value
        self.op(0, struct.pack("<HQ", addr // 8, value & (1 << 64) - 1))

    @staticmethod
    def register(offset):
        return offset // 4 if offset < 0x10000 else 0x80 | (offset - 0x10000) // 4

    def write64(self, offset, value):
        self.op(1, struct.pack("<BQ", self.register(offset), value))

    def write32(self, offset, value):
        self.op(0x11, struct.pack("<BI", self.register(offset), value))

    def tick(self, n=0):
        self.op(5 if n == 0 else 4 | (n - 1) << 4)

    def new_pages(self, n=1):
        self.page = (self.page + n * 4096 - 1) & ~(n * 4096 - 1)
        self.page += n * 4096
        assert self.page <= RAM
        return self.page - n * 4096

    # ---- requests

    def fields(self, rid=DEV, pid=None, addr=IOVA, access=1, kind=0, lane=0):
        bits = (pid is not None) | access << 1 | kind << 5 | lane << 7
        packed = struct.pack("<B", bits) + struct.pack("<I", rid)[:3]
        if pid is not None:
            packed += struct.pack("<I", pid)[:3]
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

    def start(self, cr2=2 | 8, linear=False):
        self.write64(0x90, COMMANDS | 8)
        self.write64(0xa0, EVENTS | 3)
        self.write32(CR2, cr2)
        self.write64(0x80, STES if linear else STRTAB)
        self.write32(0x88, 6 if linear else 1 << 16 | 6 << 6 | 16)
        self.poke(STRTAB + (DEV >> 6) * 8, STES | 7)
        self.write32(CR0, 0xc), self.tick()
        self.write32(CR0, 0x1d), self.tick()

    def ste(self, config, cd=0, cdmax=0, fmt=0, dss=0, eats=0, strw=0, s2=None, vmid=3, word1=0, word2=0, device=DEV):
        at = STES + (device & 63) * 64
        self.poke(at, 1 | config << 1 | fmt << 4 | cd | cdmax << 59)
        self.poke(at + 8, dss | eats << 28 | strw << 30 | 1 << 44 | word1)
        w2, w3 = vmid, 0
        if s2:
            root, shift, bits, start = s2
            sl0 = start if shift != 12 else 3 if start == 0 else start - 1
            tg = {12: 0, 16: 1, 14: 2}[shift]
            w2 |= (64 - bits) << 32 | sl0 << 38 | tg << 46 | 5 << 48 | 1 << 51 | 1 << 58 | word2
            w3 = root
        self.poke(at + 16, w2)
        self.poke(at + 24, w3)

    def cd(self, at, root, shift=12, bits=48, asid=7, more=0, ttb1=None):
        tg = {12: 0, 16: 1, 14: 2}[shift]
        word = (64 - bits) | tg << 6 | 1 << 31 | 5 << 32 | 1 << 41 | 1 << 45 | 1 << 46 | asid << 48 | more
        word |= 1 << 30 if ttb1 is None else (64 - bits) << 16 | {12: 2, 14: 1, 16: 3}[shift] << 22
        self.poke(at, word)
        self.poke(at + 8, root)
        self.poke(at + 16, ttb1 or 0)

    @staticmethod
    def start_level(shift, bits, s2=False):
        return -(-(bits - shift - (4 if s2 else 0)) // (shift - 3)) - 1

    def root(self, shift, bits, s2=False):
        """A first level, which may be smaller than a page or several tables."""
        return self.new_pages(max(1, 8 << (bits - shift - (shift - 3) * self.start_level(shift, bits, s2)) >> 12))

    def map(self, root, iova, phys, shift=12, bits=48, level=0, leaf=LEAF1, s2=False, offset=0):
        at, stride = root, shift - 3
        top = self.start_level(shift, bits, s2)
        for n in range(top, -1, -1):
            index = iova >> (shift + stride * n)
            if n != top:
                index &= (1 << stride) - 1
            entry = at + index * 8
            if n == level:
                self.poke(entry, phys | leaf | (0 if level else 2))
                return entry
            if not self.ram.get(entry, 0) & 1:
                self.poke(entry, self.new_pages(1 << (shift - 12)) + offset | 3)
            at = (self.ram[entry] & 0xfffffffff000) - offset
        raise AssertionError

    # ---- commands

    def submit(self, lo, hi=0):
        at = COMMANDS + self.tail % 256 * 16
        self.poke(at, lo)
        self.poke(at + 8, hi)
        self.tail = (self.tail + 1) % 512
        self.write32(0x98, self.tail)

    def sync(self, cs=1):
        self.submit(0x46 | cs << 12 | 0x55 << 32, STATUS if cs == 1 else 0)

    def tlbi(self, op, vmid=0, asid=0, addr=0, leaf=0, tg=0, num=0, scale=0, ttl=0):
        self.submit(op | num << 12 | scale << 20 | vmid << 32 | asid << 48, addr | leaf | ttl << 8 | tg << 10)

    def cfgi_ste(self, device=DEV, leaf=0):
        self.submit(3 | device << 32, leaf)

    def cfgi_cd(self, device=DEV, ssid=0, leaf=0):
        self.submit(5 | ssid << 12 | device << 32, leaf)

    def atc_inv(self, device=DEV, ssid=None, addr=0, size=52, everyone=0):
        self.submit(0x40 | everyone << 9 | (0 if ssid is None else 1 << 11 | ssid << 12) | device << 32, addr | size)

    def flush(self):
        self.submit(4, 31), self.tlbi(0x30), self.tlbi(0x20), self.sync(), self.tick()


def level_size(shift, level):
    return 1 << (shift + (shift - 3) * level)


def first(p, shift=12, bits=48, level=0, leaf=LEAF1, more=0, cr2=2 | 8, ttb1=False, **kw):
    p.start(cr2)
    root = p.root(shift, bits)
    size = level_size(shift, level)
    p.map(root, IOVA & (1 << bits) - 1, size if level else PHYS & -size, shift, bits, level, leaf)
    p.cd(CDS, root, shift, bits, more=more, ttb1=root if ttb1 else None)
    p.ste(5, CDS, **kw)
    return root


def second(p, shift=12, bits=40, level=0, leaf=LEAF2, **kw):
    p.start()
    root = p.root(shift, bits, True)
    size = level_size(shift, level)
    p.map(root, IOVA & (1 << bits) - 1, size if level else PHYS & -size, shift, bits, level, leaf, s2=True)
    p.ste(6, s2=(root, shift, bits, p.start_level(shift, bits, True)), **kw)
    return root


def both(p, leaf=LEAF1, leaf2=LEAF2, more=0, cd=CDS, cds=(), **kw):
    p.start()
    root2 = p.new_pages(2)
    first_page = p.page
    root = p.new_pages()
    p.map(root, IOVA, GUEST + PHYS, leaf=leaf, offset=GUEST)
    for n in [0, *cds]:
        p.cd(CDS + 64 * n, root + GUEST, more=more, asid=7 + n)
    for page in [CDS, *range(first_page, p.page, 4096)]:
        p.map(root2, GUEST + page, page, bits=40, leaf=leaf2, s2=True)
    p.map(root2, GUEST + PHYS, 0x555000, bits=40, leaf=leaf2, s2=True)
    p.ste(7, cd + GUEST, s2=(root2, 12, 40, p.start_level(12, 40, True)), **kw)
    return root2, root


def use(p, **kw):
    p.go(**kw), p.go(access=2, **kw), p.go(access=3, addr=IOVA + 8, **kw), p.go(addr=IOVA ^ 1 << 40, **kw), p.go(access=4, **kw)
    p.go(access=9, **kw), p.flush(), p.go(access=2, **kw)


def seeds():
    for shift, most, sizes in ((12, 3, (48, 39)), (14, 2, (47, 36)), (16, 2, (36, 33))):
        for level in range(most):
            for bits in sizes:
                p = Program(quantum16=level == 1)
                first(p, shift, bits, level), use(p)
                yield f"first-{shift}-{bits}-{level}", p
            p = Program(lanes=2)
            second(p, shift, 40 if shift == 12 else 36, level), use(p), p.go(lane=1), p.go(addr=IOVA + 4096)
            yield f"second-{shift}-{level}", p
            p = Program()
            first(p, shift, sizes[0], level, LEAF1 | CONTIGUOUS), use(p), p.go(addr=IOVA ^ level_size(shift, level))
            p.tlbi(0x12, 3, 7, IOVA), p.sync(), p.tick(), p.go()
            yield f"contiguous-{shift}-{level}", p
    for name, more, leaf in (("none", 0, LEAF1 & ~AF), ("access", HA, LEAF1 & ~AF), ("dirty", HA | HD, LEAF1 & ~AF | AP2 | DBM)):
        p = Program()
        first(p, more=more, leaf=leaf), p.op(0x1e), p.go(), p.op(0x0e), use(p)
        yield f"flags-first-{name}", p
        p = Program()
        second(p, leaf=LEAF2 & ~AF & ~0x80 | DBM, word2=more >> 43 << 56 | (more >> 42 & 1) << 55)
        p.op(0x1e), p.go(), p.op(0x0e), use(p)
        yield f"flags-second-{name}", p
        p = Program()
        both(p, leaf, LEAF2 & ~0x80 | DBM, more, word2=3 << 55), p.op(0x1e), p.go(), p.op(0x0e), use(p)
        yield f"flags-both-{name}", p
    p = Program()
    both(p), use(p), p.tlbi(0x2a, 3, 0, GUEST + PHYS), p.tlbi(0x10, 3), p.sync(), p.tick(), p.go(), p.tlbi(0x28, 3), p.go()
    yield "both", p
    for dss in range(3):
        p = Program()
        both(p, cds=(3,), cdmax=4, dss=dss)
        use(p, pid=3), use(p), p.go(pid=0), p.go(pid=4), p.go(pid=16), p.cfgi_cd(ssid=3), p.tlbi(0x11, 3, 10), p.sync(), p.tick()
        p.go(pid=3, access=9)
        yield f"substreams-{dss}", p
    for fmt in (1, 2):
        p = Program()
        root = first(p)
        table, leaf = p.new_pages(), p.new_pages(16 if fmt == 2 else 1)
        p.poke(table, leaf | 1), p.cd(leaf + 5 * 64, root, asid=9), p.ste(5, table, 12, fmt, 2, eats=1)
        p.flush(), use(p, pid=5), p.go(pid=6), p.go(pid=2000), p.go(), p.cfgi_cd(ssid=5, leaf=1), p.cfgi_cd(ssid=9), p.sync()
        p.submit(6 | DEV << 32), p.sync(), p.tick(), p.go(pid=5), p.go(pid=5, kind=1)
        yield f"level-1-{fmt}", p
    for cr2 in (2, 3):
        p = Program()
        first(p, cr2=cr2, strw=2), use(p), p.tlbi(0x22, 0, 7, IOVA), p.tlbi(0x21, 0, 7), p.tlbi(0x23, 0, 0, IOVA), p.sync(), p.tick()
        p.go(), p.go(addr=-4096 & (1 << 64) - 1)
        yield f"el2-{cr2}", p
    p = Program()
    first(p, ttb1=True, more=3 << 38 | 1 << 40 | 1 << 36), use(p), p.go(addr=0xffff << 48 | IOVA), p.go(addr=0x12 << 56 | IOVA)
    p.go(access=9), p.go(access=12)
    yield "ttb1", p
    p = Program(choosing=True)
    root = first(p, leaf=LEAF1 & ~NG)
    use(p), p.tlbi(0x12, 3, 9, IOVA), p.sync(), p.tick(), p.go(), p.poke(p.map(root, IOVA, 1 << 30, level=1), 1 << 30 | LEAF1)
    p.tlbi(0x12, 3, 7, IOVA + 4096, leaf=1), p.sync(), p.tick(), p.go(addr=IOVA + 4096), p.go(), p.go(), p.begin(), p.finish()
    yield "global-conflict", p
    for caps in ((0, 1 << 11), (0, 3 << 11)): # BBML 0, 2
        p = Program(caps=caps, choosing=True)
        root = first(p)
        p.go(), p.map(root, IOVA, 1 << 30 | 1 << 16, level=1), p.begin(addr=IOVA + 4096), p.finish(), p.begin(), p.finish()
        yield f"bbml-{caps[1]}", p
    for eats in (1, 2):
        p = Program()
        both(p, eats=eats)
        p.go(kind=1, access=3), p.begin(kind=2), p.op(11), p.finish(), p.go(kind=1, access=2, addr=IOVA + 4096)
        p.atc_inv(addr=IOVA, size=0), p.sync(), p.tick(), p.begin(kind=2), p.op(11), p.finish(), p.go(kind=2, addr=GUEST + PHYS)
        p.atc_inv(ssid=3), p.atc_inv(ssid=3, everyone=1), p.sync(), p.tick(), p.go(kind=2)
        p.write32(CR0, 0xd), p.tick(), p.go(kind=1), p.go(kind=2)
        yield f"ats-{eats}", p
    p = Program()
    p.start(linear=True), p.ste(4), p.go(), p.go(rid=DEV & 63), p.ste(0, device=DEV), p.flush(), p.go(rid=DEV & 63)
    p.write32(CR0, 0xc), p.tick(), p.go(), p.write32(GBPA, 1 << 31 | 1 << 20), p.tick(), p.go(), p.go(kind=1), p.go(kind=2)
    yield "linear-off", p
    # Ranges.
    p = Program()
    first(p)
    for tg in (1, 2, 3):
        for ttl in range(4):
            p.go(), p.tlbi(0x12, 3, 7, IOVA, ttl & 1, tg, 3, tg * 9, ttl), p.tlbi(0x2a, 3, 0, IOVA, 0, tg, 31, 31, ttl), p.sync(), p.tick()
            p.write32(GERRORN, ttl & 1)
    yield "ranges", p
    # In flight, in steps, with commands between.
    for maysets in (False, True):
        for name, make in (("first", first), ("second", second), ("both", lambda q: both(q, more=HA | HD, cds=(3,), cdmax=4, dss=1))):
            p = Program(maysets=maysets, choosing=True)
            make(p)
            pid = 3 if name == "both" else None
            for slot in range(3):
                p.begin(slot=slot, access=1 + slot, pid=pid)
                p.step(slot, 4 + 6 * slot)
            p.cfgi_ste(), p.cfgi_cd(), p.tlbi(0x11, 3, 7), p.tlbi(0x28, 3), p.tlbi(0x30), p.sync()
            p.tick(2), p.step(0, 5), p.tick(3), p.step(1, 9), p.tick(4)
            p.ste(4)
            for slot in range(3):
                p.finish(slot)
            p.tick(), p.go(), p.op(12)
            p.begin(), p.step(n=3), p.write32(CR0, 0), p.tick(), p.finish(), p.tick(), p.write32(CR0, 0x1d), p.tick(), p.go()
            yield f"in-flight-{'maysets' if maysets else 'lanes'}-{name}", p
    for broken in range(7):
        p = Program(broken=1 << broken)
        second(p, eats=1)
        p.go(), p.atc_inv(), p.sync(), p.tick(), p.write32(GERRORN, 1), p.tick(), p.go()
        p.op(13, b"\0"), p.tick(), p.write32(GERRORN, 0), p.flush(), p.go()
        yield f"broken-{broken}", p
    # Tables that lead to themselves.
    p = Program()
    p.start()
    loop = p.new_pages(4)
    for n in range(0, 512, 37):
        p.poke(loop + 8 * n, loop | 3)
    for shift in (12, 14, 16):
        p.cd(CDS, loop, shift), p.ste(5, CDS), p.flush(), p.go(addr=0), p.go(addr=37 << 12 | 37 << 21)
        start = p.start_level(shift, 40, True)
        p.ste(6, s2=(loop, shift, 40, start)), p.flush(), p.go(addr=0)
        p.ste(7, 0, s2=(loop, shift, 40, start)), p.flush(), p.go(addr=0)
        p.ste(7, 0, 20, 1, 1, s2=(loop, shift, 40, start)), p.flush(), p.go(addr=0, pid=5), p.go(addr=0)
    p.poke(STRTAB, STRTAB | 7), p.go(rid=0)
    yield "loop", p
    # Every command, and beyond the queue's end.
    p = Program()
    second(p, eats=1)
    for opcode in list(range(0x80)):
        p.submit(opcode | DEV << 32, IOVA), p.tick(), p.write32(GERRORN, opcode & 1), p.write32(GERRORN, ~opcode & 1)
        if opcode % 32 == 31:
            p.submit(opcode | 1 << 8), p.tick(), p.write32(GERRORN, 1), p.write32(GERRORN, 0)
    p.write32(CR0, 0), p.tick(), p.write64(0x90, RAM | 31), p.write32(0x98, 0xffffffff), p.write32(CR0, 0x1d), p.tick()
    yield "commands", p
    p = Program(choosing=True)
    first(p)
    p.write64(0xb0, STATUS + 8), p.write32(0xb8, 3), p.write64(0x68, 0xfee00000), p.write32(0x70, 1), p.write32(IRQ_CTRL, 5), p.tick()
    for n in range(12):
        p.tlbi(0x12, 3, 7, IOVA), p.cfgi_ste(), p.sync(n % 3)
    p.out += bytes(range(64))
    for rid in range(12):
        p.go(rid=rid)
    p.write32(EVENTQ_CONS, 1 << 31 | 4), p.go(rid=9), p.write32(CR0, 9), p.tick(), p.write64(0xa0, 1 << 40), p.write32(CR0, 0x1d), p.tick()
    p.go(rid=9), p.write32(GERRORN, 4), p.go(rid=9)
    yield "interrupts", p
    p = Program()
    first(p)
    for page in (0, 0x8000):
        for offset in range(0, 0x100, 12):
            p.op(2, struct.pack("<HBQ", page + offset, 4 if offset % 8 else 8, 0xa5a5a5a5a5a5a5a5)), p.op(3, struct.pack("<H", offset))
    p.tick(), p.go()
    yield "registers", p
    dice = random.Random(1)
    for n in range(6):
        p = Program(maysets=n & 1, choosing=n >> 1 & 1)
        (first, second, both)[n % 3](p)
        p.out += bytes(dice.randrange(256) for _ in range(300 * (n + 1)))
        yield f"noise-{n}", p


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in seeds():
        (folder / name).write_bytes(program.out)


main()
