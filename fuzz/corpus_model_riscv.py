#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""corpus_model_riscv.py FOLDER: writes the seeds of fuzz_model_riscv, programs in the target's own encoding.

A fuzzer finds tables that lead somewhere only by luck, so most seeds here build good ones: each mode, depth, page
size and kind of entry, used, changed and invalidated; the rest are wrong in one deliberate way, or noise.
"""
import pathlib
import random
import struct
import sys

RAM = 1 << 17
DDT, DDT1, DCS, COMMANDS, FAULTS, PAGES, STATUS, TABLES = (n << 12 for n in (1, 2, 3, 4, 5, 6, 7, 8))
DEV, IOVA, PHYS = 0x0a1b2c, 0x12345000, 0x777000
MSI_FLAT, T2GPA = 1 << 22, 1 << 26
V, R, W, X, U, G, A, D, N = (1 << n for n in (0, 1, 2, 3, 4, 5, 6, 7, 63))
LEAF = V | R | W | X | U | A | D
EN_ATS, EN_PRI, PDTV, GADE, SADE, DPE = (1 << n for n in (1, 2, 5, 7, 8, 9))
FREEDOMS = 0xff


class Program:
    """A seed: the configuration, then operations."""

    def __init__(self, maysets=False, lanes=1, choosing=False, cap=0, options=0, broken=0, freedoms=FREEDOMS, quantum16=False,
                 lines=0x1fff):
        bits = (not quantum16) | maysets << 1 | (lanes - 1) << 2 | lines << 4 | choosing << 17 | broken << 20
        bits |= (cap != 0) << 18 | (options != 0) << 19
        self.out = struct.pack("<IB", bits, freedoms)
        if cap:
            self.out += struct.pack("<Q", cap)
        if options:
            self.out += struct.pack("<B", options)
        self.extended = bool(cap & MSI_FLAT)
        self.ram = {}
        self.page = TABLES
        self.tail = 0

    def op(self, code, *packed):
        self.out += bytes([code]) + b"".join(packed)

    def poke(self, addr, value):
        self.ram[addr] = value
        self.op(0, struct.pack("<HQ", addr // 8, value & (1 << 64) - 1))

    def write64(self, offset, value):
        self.op(1, struct.pack("<BQ", offset // 4, value))

    def write32(self, offset, value):
        self.op(0x11, struct.pack("<BI", offset // 4, value))

    def tick(self, n=0):
        self.op(5 if n == 0 else 4 | (n - 1) << 4)

    def new_pages(self, n=1):
        self.page = (self.page + n * 4096 - 1) & ~(n * 4096 - 1)
        self.page += n * 4096
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

    def start(self, levels=3, device=DEV):
        self.write64(24, COMMANDS >> 2 | 7)
        self.write64(40, FAULTS >> 2 | 2)
        self.write64(56, PAGES >> 2 | 1)
        for csr in (72, 76, 80):
            self.write32(csr, 3)
        self.tick()
        self.write64(16, (levels + 1) | DDT >> 2)
        self.tick()
        bits = (6, 15) if self.extended else (7, 16)
        tables = [DDT, DDT1, DCS][3 - levels:] if levels < 3 else [DDT, DDT1, DCS]
        self.write64(16, 0), self.tick()
        self.write64(16, (levels + 1) | tables[0] >> 2), self.tick()
        for level in range(levels - 1, 0, -1):
            table = tables[levels - 1 - level]
            self.poke(table + (device >> bits[level - 1] & 511) * 8, tables[levels - level] >> 2 | 1)

    def dc(self, tc=0, gmode=0, groot=0, gscid=5, smode=0, sroot=0, pscid=7, msi=(0, 0, 0), device=DEV):
        at = DCS + ((device & 63) * 64 if self.extended else (device & 127) * 32)
        for n, word in enumerate(msi if self.extended else ()):
            self.poke(at + 32 + 8 * n, word)
        self.poke(at + 24, smode << 60 | sroot >> 12)
        self.poke(at + 16, pscid << 12)
        self.poke(at + 8, gmode << 60 | gscid << 44 | groot >> 12)
        self.poke(at, tc | 1)

    def map(self, root, levels, iova, phys, leaf=1, bits=LEAF, table=V, x4=False, offset=0):
        at = root
        for level in range(levels, 0, -1):
            index = iova >> (12 + 9 * (level - 1)) & (2047 if x4 and level == levels else 511)
            entry = at + index * 8
            if level == leaf:
                self.poke(entry, phys >> 2 | bits)
                return entry
            if not self.ram.get(entry, 0) & 1:
                self.poke(entry, (self.new_pages() + offset) >> 2 | table)
            at = ((self.ram[entry] << 2) & 0xfffffffffff000) - offset
        raise AssertionError

    # ---- commands

    def submit(self, lo, hi=0):
        at = COMMANDS + self.tail * 16
        self.poke(at, lo)
        self.poke(at + 8, hi)
        self.tail = (self.tail + 1) % 256
        self.write32(36, self.tail)

    def fence(self, flags=3):
        self.submit(2 | 1 << 10 | flags << 12 | 0x55 << 32, STATUS >> 2)

    def vma(self, gscid=None, pscid=None, addr=None):
        lo = 1
        if gscid is not None:
            lo |= 1 << 33 | gscid << 44
        if pscid is not None:
            lo |= 1 << 32 | pscid << 12
        if addr is not None:
            lo |= 1 << 10
        self.submit(lo, (addr or 0) >> 2)

    def gvma(self, gscid=None, addr=None):
        lo = 1 | 1 << 7
        if gscid is not None:
            lo |= 1 << 33 | gscid << 44
        if addr is not None:
            lo |= 1 << 10
        self.submit(lo, (addr or 0) >> 2)

    def inval_ddt(self, device=None):
        self.submit(3 if device is None else 3 | 1 << 33 | device << 40)

    def inval_pdt(self, device, process):
        self.submit(3 | 1 << 7 | 1 << 33 | process << 12 | device << 40)

    def ats_inval(self, device, process=None, payload=0):
        self.submit(4 | 1 << 33 | (device & 0xffff) << 40 | device >> 16 << 56 | (0 if process is None else 1 << 32 | process << 12),
                    payload)

    def flush(self):
        self.inval_ddt(), self.vma(), self.vma(gscid=5), self.gvma(), self.fence(), self.tick()


def first(p, levels=3, leaf=1, tc=0, bits=LEAF):
    p.start()
    root = p.new_pages()
    size = 1 << (12 + 9 * (leaf - 1))
    p.map(root, levels, IOVA, size if leaf > 1 else PHYS, leaf, bits)
    p.dc(tc, smode=levels + 5, sroot=root)
    return root


def second(p, levels=3, leaf=1, tc=0, bits=LEAF):
    p.start()
    root = p.new_pages(4)
    size = 1 << (12 + 9 * (leaf - 1))
    p.map(root, levels, IOVA, size if leaf > 1 else PHYS, leaf, bits, x4=True)
    p.dc(tc, gmode=levels + 5, groot=root)
    return root


def both(p, tc=0, directory=0, bits=LEAF, process=3):
    guest = 1 << 30
    p.start()
    groot = p.new_pages(4)
    first_page = p.page
    root = p.new_pages()
    p.map(root, 3, IOVA, guest + PHYS, 1, bits, offset=guest)
    fsc, mode = root + guest, 8
    if directory:
        table = p.new_pages()
        fsc, mode = table + guest, directory
        for level in range(directory - 1, 0, -1):
            below = p.new_pages()
            p.poke(table + (process >> (8 if level == 1 else 17)) * 8, (below + guest) >> 2 | 1)
            table = below
        p.poke(table + (process & 255) * 16, 9 << 12 | 7)
        p.poke(table + (process & 255) * 16 + 8, 8 << 60 | (root + guest) >> 12)
    for page in range(first_page, p.page, 4096):
        p.map(groot, 3, guest + page, page, x4=True)
    p.map(groot, 3, guest + PHYS, 0x555000, x4=True)
    p.dc(tc | (PDTV if directory else 0), gmode=8, groot=groot, smode=mode, sroot=fsc)
    return groot, root


def use(p, **kw):
    p.go(**kw), p.go(access=2, **kw), p.go(access=3, addr=IOVA + 8, **kw), p.go(addr=IOVA ^ 1 << 40, **kw), p.go(access=4, **kw)
    p.flush(), p.go(access=2, **kw)


def seeds():
    for levels in (3, 4, 5):
        for leaf in (1, 2, 3, levels):
            p = Program(quantum16=leaf == 2)
            first(p, levels, leaf), use(p)
            yield f"first-{levels}-{leaf}", p
            p = Program(lanes=2)
            second(p, levels, leaf), use(p), p.go(lane=1)
            yield f"second-{levels}-{leaf}", p
    for levels in (1, 2, 3):
        for cap in (0, MSI_FLAT):
            p = Program(cap=cap)
            device = DEV & ((1 << [6, 15, 24][levels - 1]) - 1)
            p.start(levels, device), p.dc(device=device), p.go(rid=device), p.go(rid=DEV), p.go(rid=device ^ 1)
            yield f"levels-{levels}-{'extended' if cap else 'base'}", p
    for tc in (0, SADE, GADE, SADE | GADE):
        for name, make in (("first", first), ("second", second), ("both", both)):
            p = Program()
            make(p, tc=tc, bits=LEAF & ~A & ~D)
            p.op(0x1e), p.go(), p.op(0x0e), use(p)
            yield f"flags-{name}-{tc}", p
    p = Program()
    root = first(p, bits=LEAF | G)
    use(p), p.vma(pscid=7), p.fence(), p.tick(), p.go(), p.vma(addr=IOVA), p.fence(), p.tick(), p.go()
    p.map(root, 3, IOVA, 0x708000, 1, LEAF | N), p.go(), p.vma(addr=IOVA ^ 0x3000), p.fence(1), p.tick(), p.go()
    yield "global-napot", p
    for directory in (1, 2, 3):
        for options in (0, 2):
            p = Program(options=options)
            both(p, DPE, directory)
            use(p, pid=3), use(p), p.go(pid=3, access=9), p.go(pid=4), p.go(pid=1 << 19)
            p.inval_pdt(DEV, 3), p.vma(5, 9), p.gvma(5, IOVA), p.fence(), p.tick(), p.go(pid=3)
            yield f"directory-{directory}-{options}", p
    p = Program(options=1)
    p.start(), p.go(), p.go(), p.dc(), p.go(), p.inval_ddt(DEV), p.fence(), p.tick(), p.go()
    yield "cache-invalid", p
    for cap in (0, T2GPA):
        p = Program(cap=cap)
        second(p, tc=EN_ATS | EN_PRI | (1 << 3 if cap else 0))
        p.go(kind=1, access=3), p.begin(kind=2), p.op(11), p.finish()
        p.ats_inval(DEV, payload=IOVA), p.fence(), p.tick(), p.begin(kind=2), p.op(11), p.finish()
        p.ats_inval(DEV, 3, ~0xfff & (1 << 64) - 1 | 1 << 11 | 1), p.fence(), p.tick()
        for flags in (1, 2, 4, 5, 7):
            p.op(0x2e, struct.pack("<QQ", DEV << 40 | 1 << 32 | 3 << 12, IOVA | flags))
        yield f"ats-{cap}", p
    p = Program(cap=MSI_FLAT)
    root = second(p)
    table = p.new_pages()
    p.dc(gmode=8, groot=root, msi=(1 << 60 | table >> 12, 0x11, 0x28000))
    p.poke(table + 48, PHYS >> 2 | 7), p.poke(table + 16, 3)
    for addr in (0x28011000, 0x28001000, 0x28010000, IOVA):
        p.go(addr=addr, access=2), p.go(addr=addr, access=4)
    p.gvma(5, 0x28011000), p.fence(), p.tick(), p.go(addr=0x28011000, access=2)
    yield "msi", p
    # In flight, in steps, with commands between.
    for maysets in (False, True):
        for name, make in (("first", first), ("second", second), ("both", lambda q: both(q, SADE | GADE, 1))):
            p = Program(maysets=maysets, choosing=True)
            make(p)
            pid = 3 if name == "both" else None
            for slot in range(3):
                p.begin(slot=slot, access=1 + slot, pid=pid)
                p.step(slot, 3 + 5 * slot)
            p.inval_ddt(DEV), p.vma(), p.vma(5), p.gvma(5), p.fence()
            p.tick(2), p.step(0, 5), p.tick(3), p.step(1, 9), p.tick(4)
            p.dc()
            for slot in range(3):
                p.finish(slot)
            p.tick(), p.go(), p.op(12)
            yield f"in-flight-{'maysets' if maysets else 'lanes'}-{name}", p
    for broken in range(6):
        p = Program(broken=1 << broken)
        second(p, tc=EN_ATS)
        p.go(), p.ats_inval(DEV), p.fence(), p.tick(), p.write32(72, 0xf03), p.tick(), p.go()
        p.op(13, b"\0"), p.tick(), p.write32(72, 0xf03), p.flush(), p.go()
        yield f"broken-{broken}", p
    # Tables that lead to themselves.
    p = Program()
    p.start()
    loop = p.new_pages(4)
    for n in range(0, 512, 37):
        p.poke(loop + 8 * n, loop >> 2 | 1)
    for mode in (8, 9, 10):
        p.dc(smode=mode, sroot=loop), p.flush(), p.go(addr=0), p.go(addr=37 << 12 | 37 << 21)
        p.dc(gmode=mode, groot=loop), p.flush(), p.go(addr=0)
        p.dc(gmode=mode, groot=loop, smode=mode, sroot=0), p.flush(), p.go(addr=0)
        p.dc(PDTV | DPE, gmode=mode, groot=loop, smode=3, sroot=0), p.flush(), p.go(addr=0)
    p.poke(DDT, DDT >> 2 | 1), p.go(rid=0)
    yield "loop", p
    # Every command, and beyond the queue's end.
    p = Program()
    second(p, tc=EN_ATS)
    for opcode in list(range(8)) + [64, 127]:
        for func in range(3):
            p.submit(opcode | func << 7, IOVA), p.tick(), p.write32(72, 0xf03)
            p.submit(opcode | func << 7 | 3 << 32 | DEV << 40, IOVA), p.tick(), p.write32(72, 0xf03)
    p.write32(72, 0), p.tick(), p.write64(24, RAM >> 2 | 31), p.write32(36, 0xffffffff), p.write32(72, 3), p.tick()
    yield "commands", p
    p = Program(choosing=True)
    first(p)
    for _ in range(12):
        p.vma(pscid=7, addr=IOVA), p.inval_ddt(DEV), p.fence(0)
    p.write64(768, 0xfee00000), p.write32(776, 3), p.write32(780, 1)
    p.out += bytes(range(64))
    for rid in range(8):
        p.go(rid=rid)
    p.write32(780, 0), p.write32(84, 15), p.write32(76, 0x303), p.tick(), p.write32(8, 2), p.go(rid=9)
    yield "interrupts", p
    # Counters, the debug interface, and what isn't there.
    p = Program()
    first(p)
    for n in range(8):
        p.write64(352 + 8 * n, (n + 1) | (n & 3) << 60 | DEV << 36 | (n & 4) << 60), p.write64(104 + 8 * n, (1 << 64) - 1)
    p.write32(92, 0), p.write64(96, (1 << 63) - 2), p.go(), p.go(kind=1), p.tick()
    for ctl in (1, 9, 5, 3, 1 | 1 << 32 | 3 << 12):
        p.write64(600, IOVA), p.write64(608, ctl | DEV << 40), p.tick(), p.op(3, struct.pack("<H", 616))
    for offset in range(0, 0x420, 12):
        p.op(2, struct.pack("<HBQ", offset, 4 if offset % 8 else 8, 0xa5a5a5a5a5a5a5a5)), p.op(3, struct.pack("<H", offset))
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
