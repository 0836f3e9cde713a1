#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""corpus_guest.py FOLDER: writes the seeds of fuzz_guest, programs in the target's own encoding: for every architecture good entries
and DMA, every bit of an entry spoiled once, commands with each opcode and scope, tables that lead elsewhere, and noise."""
import pathlib
import random
import struct
import sys

ARCHS = 4
ENTRY, TELL, COMMAND, SPOIL, VICTIM, RACE, DMA = 0, 2, 3, 4, 5, 6, 7


def entry(device, bits=(), good=True, odd=False, state=None):
    how = device | (2 if good else 0) | (4 if odd else 0) | (8 if state is not None else 0) | len(bits) << 4
    return bytes([ENTRY, how]) + bytes(bit // 2 for bit in bits) + (bytes([state]) if state is not None else b"")


def tell(device):
    return bytes([TELL, device])


def dma(device, page, write=False):
    return bytes([DMA, device | (8 if write else 0), page, 0])


def far(device, iova):
    return bytes([DMA, device | 4]) + struct.pack("<Q", iova) + b"\0"


def command(low, high=0):
    return bytes([COMMAND]) + struct.pack("<QQ", low & (1 << 64) - 1, high)


def victim():
    return bytes([VICTIM, 0])


def spoil(table, where, bits):
    """A table's entry that points to one of the guest's own frames."""
    return bytes([SPOIL]) + struct.pack("<H", table * 512 + where) + bytes([bits])


def race(device, where, mask, in_tables=False):
    """A word goes to and fro; meanwhile eight times the entry is looked at, and DMA."""
    return bytes([RACE, device | (2 if in_tables else 0)]) + struct.pack("<HQ", where, mask) + (bytes([device]) + dma(device, 0)[1:] + b"\0") * 8


def seeds():
    rng = random.Random(1)
    for arch in range(ARCHS):
        begin = bytes([arch])
        yield f"good-{arch}", begin + dma(0, 0) + dma(1, 3, True) + dma(0, 9) + far(1, 1 << 45) + victim()
        yield f"states-{arch}", begin + b"".join(entry(0, state=n) + tell(0) + dma(0, 0) for n in (1, 2, 0, 2, 1, 0))
        for start in range(0, 512, 32):
            body = b"".join(entry(0, [bit], odd=bool(bit & 1)) + tell(0) + dma(0, 0) for bit in range(start, start + 32))
            yield f"bits-{arch}-{start:03}", begin + body + victim()
        for start in range(0, 256, 8):
            body = b"".join(command(opcode | tag << 16, 0) for opcode in range(start, start + 8) for tag in (0, 1, 2, 3, 5))
            yield f"commands-{arch}-{start:03}", begin + dma(0, 0) + body + dma(0, 0) + victim()
        body = b"".join(command(opcode | scope << 4 | 1 << 16 | 1 << 32, high)
                        for opcode in (1, 2, 3, 6, 7, 8) for scope in range(4) for high in (0, 0x1000))
        body += b"".join(command(opcode | scope << 4 | tag << 16 | tag << 32) for opcode in (2, 6) for scope in range(4) for tag in (1, 2, 3))
        yield f"scopes-{arch}", begin + dma(0, 0) + body + victim()
        body = b"".join(command(opcode << 60 | 1 << 32, flags) for opcode in range(16) for flags in range(8))
        yield f"high-{arch}", begin + dma(1, 0) + body + victim()
        body = b"".join(spoil(table, 0, to << 3 | 4 * leaf) + dma(0, 0) + dma(1, 0, True)
                        for table in range(8) for to in (0, 3, 4, 9, 23) for leaf in (0, 1))
        yield f"tables-{arch}", begin + body + victim()
        ones = (1 << 64) - 1
        body = b"".join(entry(0) + race(0, where, mask) + victim() for where in range(8) for mask in (ones, 0xfff, ones << 12 & ones))
        yield f"races-{arch}", begin + body
        body = b"".join(entry(0) + race(0, where, mask, True) + victim()
                        for where in (0, 512, 1024, 1536, *range(2048, 2056)) for mask in (ones, 0x1ff))
        yield f"table-races-{arch}", begin + body
        for n in range(6):
            yield f"noise-{arch}-{n}", begin + rng.randbytes(400)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in seeds():
        (folder / name).write_bytes(seed)


main()
