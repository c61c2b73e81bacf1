"""Reads pcapng files, whoever wrote them, and says where a damaged one breaks.

Source: draft-ietf-opsawg-pcapng; section numbers below are its.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from groundup.link.pcapng import (
    ENHANCED_PACKET,
    EPB_FLAGS,
    IF_DESCRIPTION,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    OPT_COMMENT,
    OPT_END,
    SECTION_HEADER,
    SIMPLE_PACKET,
    Capture,
    CaptureError,
    Direction,
    Interface,
    Packet,
)

_LARGEST_BLOCK: Final = 16 << 20  # what readers in the field accept; a longer one is damage, not data
_MAGIC: Final = struct.pack("<I", SECTION_HEADER)


class _Section:
    """What a section says about all that follows in it: byte order, interfaces and their clocks (section 4.1)."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.interfaces: list[Interface] = []
        self.clocks: list[tuple[int, int]] = []  # of each interface: ticks a second, seconds from 1970 to tick 0

    def unpack(self, layout: str, body: bytes, at: int = 0) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, body, at)

    def options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield the options from `at` on (section 3.5), up to one that runs over the end of its block."""
        while at + 4 <= len(body):
            code, length = self.unpack("HH", body, at)
            if code == OPT_END or at + 4 + length > len(body):
                return
            yield code, body[at + 4 : at + 4 + length]
            at += 4 + length + (-length & 3)

    def describe_interface(self, body: bytes) -> Interface:
        """Take an interface description block (section 4.2)."""
        link_type, _, snap = self.unpack("HHI", body)
        name = description = ""
        ticks, offset = 10**6, 0
        for code, value in self.options(body, 8):
            if code == IF_NAME:
                name = value.decode(errors="replace")
            elif code == IF_DESCRIPTION:
                description = value.decode(errors="replace")
            elif code == IF_TSRESOL and value:
                ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == IF_TSOFFSET and len(value) == 8:
                (offset,) = self.unpack("q", value)
        self.interfaces.append(Interface(name, link_type, description, snap))
        self.clocks.append((ticks, offset))
        return self.interfaces[-1]

    def packet(self, body: bytes) -> Packet:
        """Take an enhanced packet block (section 4.3). Raises ValueError where it makes no sense."""
        number, high, low, captured, length = self.unpack("IIIII", body)
        if number >= len(self.interfaces):
            raise ValueError(f"a packet names interface {number}, which the file does not describe")
        if 20 + captured > len(body):
            raise ValueError(f"a packet claims {captured} bytes, more than its block has")
        ticks, offset = self.clocks[number]
        time_ns = (high << 32 | low) * 10**9 // ticks + offset * 10**9
        direction = Direction.UNKNOWN
        comments = []
        for code, value in self.options(body, 20 + captured + (-captured & 3)):
            if code == OPT_COMMENT:
                comments.append(value.decode(errors="replace"))
            elif code == EPB_FLAGS and len(value) == 4 and (bits := self.unpack("I", value)[0] & 3) != 3:
                direction = Direction(bits)
        data = body[20 : 20 + captured]
        return Packet(data, time_ns, direction, "; ".join(comments), self.interfaces[number], length)

    def simple_packet(self, body: bytes) -> Packet:
        """Take a simple packet block (section 4.4): no time, no direction, the first interface."""
        if not self.interfaces:
            raise ValueError("a packet comes before any interface is described")
        (length,) = self.unpack("I", body)
        captured = min(length, self.interfaces[0].snap or length)
        if 4 + captured > len(body):
            raise ValueError(f"a packet claims {captured} bytes, more than its block has")
        return Packet(body[4 : 4 + captured], 0, interface=self.interfaces[0], length=length)


_FOREIGN: Final = {
    b"\xd4\xc3\xb2\xa1": "a classic pcap file",
    b"\xa1\xb2\xc3\xd4": "a classic pcap file",
    b"\x4d\x3c\xb2\xa1": "a classic pcap file",
    b"\xa1\xb2\x3c\x4d": "a classic pcap file",
}


def _not_pcapng(start: bytes) -> CaptureError:
    """Make the error for a file that begins with anything but a section header."""
    if not start:
        return CaptureError("the capture is empty", "run a check first, so that there is something to see", 0)
    if start[:4] in _FOREIGN:
        return CaptureError(f"this is {_FOREIGN[start[:4]]}, not pcapng", "convert it: editcap -F pcapng OLD NEW", 0)
    if start[:2] == b"\x1f\x8b":
        return CaptureError("this is a gzip file, not pcapng", "decompress it first: gunzip FILE", 0)
    return CaptureError("this is not a pcapng file: it does not begin with a section header", "give a .pcapng file", 0)


_DAMAGED: Final = "what came before it was read; a capture that is still being written, or was copied in part, ends so"


def _blocks(file: BinaryIO) -> Iterator[tuple[int, int, str, bytes]]:
    """Yield (offset, type, byte order, body) of each block. Raises CaptureError where the file breaks."""
    order, at = "", 0
    while start := file.read(12):
        if not order and start[:4] != _MAGIC:
            raise _not_pcapng(start)
        if len(start) < 12:
            raise CaptureError(f"the capture ends in the middle of a block, at byte {at:,}", _DAMAGED, at)
        if start[:4] == _MAGIC:
            order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(start[8:12], "")
            if not order:
                raise CaptureError(f"the section at byte {at:,} has no byte order", "the file is damaged there", at)
        kind, total = struct.unpack(order + "II", start[:8])
        if total < 12 or total % 4 or total > _LARGEST_BLOCK:
            raise CaptureError(
                f"the block at byte {at:,} claims a length of {total:,} bytes", "the file is damaged there", at
            )
        rest = file.read(total - 12)
        if len(rest) < total - 12:
            raise CaptureError(
                f"the capture ends in the middle of a block: {total:,} bytes were to follow byte {at:,}, "
                f"there are {12 + len(rest):,}",
                _DAMAGED,
                at,
            )
        whole = start + rest
        if whole[-4:] != whole[4:8]:
            raise CaptureError(f"the block at byte {at:,} has two lengths that differ", "the file is damaged there", at)
        yield at, kind, order, whole[8:-4]
        at += total
    if not order:
        raise _not_pcapng(b"")


def _read(file: BinaryIO, capture: Capture) -> None:
    """Fill `capture`. Raises CaptureError where the file breaks; the capture holds what came before."""
    section = _Section("<")
    for at, kind, order, body in _blocks(file):
        try:
            if kind == SECTION_HEADER:
                section = _Section(order)
            elif kind == INTERFACE_DESCRIPTION:
                capture.interfaces.append(section.describe_interface(body))
            elif kind == ENHANCED_PACKET:
                capture.packets.append(section.packet(body))
            elif kind == SIMPLE_PACKET:
                capture.packets.append(section.simple_packet(body))
            elif kind == INTERFACE_STATISTICS:
                comments = [value for code, value in section.options(body, 12) if code == OPT_COMMENT]
                capture.remarks += [comment.decode(errors="replace") for comment in comments]
        except struct.error:
            raise CaptureError(f"the block at byte {at:,} is too short", "the file is damaged there", at) from None
        except ValueError as error:
            raise CaptureError(f"the block at byte {at:,}: {error}", "the file is damaged there", at) from None


def read(source: Path | bytes) -> Capture:
    """Read a capture, little- or big-endian, of any link type; unknown blocks are skipped, as section 3.1 asks.

    Never raises for what is in the file: `broken` of the result says where it breaks. Raises CaptureError (offset 0)
    where the file cannot be opened or read.
    """
    capture = Capture([], [], [])
    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            _read(file, capture)
    except CaptureError as error:
        capture.broken = error
    except OSError as error:
        raise CaptureError(
            f"cannot read the capture {source!s}: {error.strerror}", "give the path of a .pcapng file", 0
        ) from error
    return capture
