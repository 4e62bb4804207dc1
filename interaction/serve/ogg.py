"""Ogg (RFC 3533): a stream of packets as checked pages, which come in any pieces."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from interaction.errors import InputError

MAGIC = b"OggS"
LONGEST = 61_440  # bytes of a packet that a reader of Opus must take (RFC 7845, 6)
GOES_ON, BEGINS = 1, 2  # flags: with the rest of a packet; a stream
SERIAL = 1  # of the one stream that is written

# magic, version, flags, granule, serial, number, crc, segments
_HEAD = struct.Struct("<4sBBqIIIB")
_CRC = slice(22, 26)
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    flags: int
    serial: int
    lacing: bytes
    body: bytes


def checksum(page: bytes) -> int:
    """Ogg's CRC-32 is zlib's of mirrored bits, begun and ended with zeros. The page's own
    checksum counts as zeros."""
    page = page[: _CRC.start] + bytes(4) + page[_CRC.stop :]
    crc = zlib.crc32(page.translate(_MIRROR), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{crc:032b}"[::-1], 2)


def page(packets: Sequence[bytes], number: int, granule: int = 0, flags: int = 0) -> bytes:
    """Whole packets, 255 segments at most. granule: samples at 48 kHz up to its end."""
    lacing = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    head = _HEAD.pack(MAGIC, 0, flags, granule, SERIAL, number, 0, len(lacing))
    made = b"".join([head, lacing, *packets])
    return made[: _CRC.start] + struct.pack("<I", checksum(made)) + made[_CRC.stop :]


class Reader:
    """Reads the stream that began last. Keeps less than a page (65,307 bytes) and a packet
    between two pushes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._serial: int | None = None
        self._part: bytes | None = None  # of a packet that goes on in the next page

    def push(self, data: bytes) -> Iterator[bytes | InputError]:
        """Packets, and in its place what is wrong; reading goes on at the next page."""
        self._data += data
        while found := self._next():
            if isinstance(found, InputError):
                self._part = None
                yield found
            else:
                yield from self._packets(found)

    def _next(self) -> _Page | InputError | None:
        """None: more bytes have to come."""
        data = self._data
        if at := data.find(MAGIC):
            begun = next(n for n in (3, 2, 1, 0) if data.endswith(MAGIC[:n]))
            n = at if at > 0 else len(data) - begun
            del data[:n]
            return InputError(f"audio: {n} bytes that are no Ogg page") if n else None
        if len(data) < _HEAD.size:
            return None
        _, version, flags, _, serial, _, crc, n = _HEAD.unpack_from(data)
        lacing = bytes(data[_HEAD.size : _HEAD.size + n])
        start = _HEAD.size + n
        end = start + sum(lacing)
        if len(data) < max(start, end):
            return None
        whole = bytes(data[:end])
        del data[:end]
        if version or crc != checksum(whole):
            return InputError("audio: a damaged Ogg page")
        return _Page(flags, serial, lacing, whole[start:])

    def _packets(self, page: _Page) -> Iterator[bytes | InputError]:
        if page.flags & BEGINS:
            self._serial = page.serial
        if self._serial is None:
            yield InputError("audio: no beginning; send an Ogg stream from its first page")
        if page.serial != self._serial or not page.lacing:
            return
        part = self._part if page.flags & GOES_ON else b""
        at = 0
        for n in page.lacing:
            if part is not None:
                part += page.body[at : at + n]
            if part is not None and len(part) > LONGEST:
                yield InputError(f"audio: a packet of more than {LONGEST} bytes")
                part = None
            at += n
            if n < 255:
                if part is not None:
                    yield part
                part = b""
        self._part = part if page.lacing[-1] == 255 else None
