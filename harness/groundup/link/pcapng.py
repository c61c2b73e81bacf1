"""Writes and reads pcapng, the capture format of Wireshark, tcpdump and everybody else.

Source: draft-ietf-opsawg-pcapng, "PCAP Next Generation (pcapng) Capture File Format"; section numbers below are its.
Link types: the registry at https://www.tcpdump.org/linktypes.html.

A file is a list of blocks, each of which carries its length in front and behind (section 3.1), so a reader can skip
what it does not know and a writer that is killed damages at most its last block. This module has the model and the
writer; `pcapng_reader` reads.
"""

import contextlib
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from groundup.errors import GroundupError, MachineryError

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_VSOCK: Final = 271

DEFAULT_LIMIT: Final = 64 << 20
"""Bytes that one capture may take on disk: enough for any lesson, and a guest that floods cannot fill the disk."""

SECTION_HEADER: Final = 0x0A0D0D0A  # section 4.1; the same in both byte orders, and broken by any newline conversion
INTERFACE_DESCRIPTION: Final = 1  # section 4.2
SIMPLE_PACKET: Final = 3  # section 4.4
INTERFACE_STATISTICS: Final = 5  # section 4.6
ENHANCED_PACKET: Final = 6  # section 4.3
BYTE_ORDER_MAGIC: Final = 0x1A2B3C4D

OPT_END, OPT_COMMENT = 0, 1  # section 3.5
SHB_USERAPPL = 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET = 2, 3, 9, 14
EPB_FLAGS = 2
ISB_IFRECV, ISB_IFDROP = 4, 5

_NANOSECONDS: Final = 9  # if_tsresol: a power of ten
_LARGEST_OPTION: Final = 0xFFFF
_ROOM_FOR_STATISTICS: Final = 512  # kept free below the limit, to say in the file that the limit was reached
_FLUSH_AT: Final = 256 << 10

_PACKET: Final = struct.Struct("<IIIIIII")
_U32: Final = struct.Struct("<I")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length modulo 4


class Direction(IntEnum):
    """Bits 0 and 1 of epb_flags (section 4.3.1), as the server machine sees them: INBOUND travels to the server."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


class CaptureError(GroundupError):
    """A capture file breaks at `offset` (bytes from its start); whatever came before it was read."""

    def __init__(self, message: str, remedy: str, offset: int) -> None:
        super().__init__(message, remedy)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that packets were captured on. `snap` is the most bytes kept of a packet, 0 for all of them."""

    name: str
    link_type: int = LINKTYPE_ETHERNET
    description: str = ""
    snap: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """A captured packet. `time_ns` is wall-clock time in nanoseconds, `length` what it had before it was cut."""

    data: bytes
    time_ns: int
    direction: Direction = Direction.UNKNOWN
    comment: str = ""
    interface: Interface = field(default=Interface(""))
    length: int = 0


@dataclass(slots=True)
class Capture:
    """What a file holds. `broken` says where and why reading ended early, `remarks` are comments without a packet."""

    packets: list[Packet]
    interfaces: list[Interface]
    remarks: list[str]
    broken: CaptureError | None = None


def _option(code: int, value: bytes) -> bytes:
    """Make one option, padded to 32 bits (section 3.5)."""
    value = value[:_LARGEST_OPTION]
    return struct.pack("<HH", code, len(value)) + value + _PADDING[len(value) & 3]


def _text(value: str) -> bytes:
    """Encode an option's text, cut to what its 16-bit length can say without cutting a character in two."""
    return value.encode()[:_LARGEST_OPTION].decode(errors="ignore").encode()


def _block(kind: int, body: bytes) -> bytes:
    """Make a whole block: type, length, body, length (section 3.1). The body is padded already."""
    total = len(body) + 12
    return struct.pack("<II", kind, total) + body + _U32.pack(total)


_END_OF_OPTIONS: Final = struct.pack("<HH", OPT_END, 0)
_FLAGS: Final = tuple(_option(EPB_FLAGS, _U32.pack(value)) for value in range(3))
_PLAIN_OPTIONS: Final = tuple(flags + _END_OF_OPTIONS for flags in _FLAGS)


def header(interfaces: Sequence[Interface], application: str = "groundup") -> bytes:
    """Make the blocks that begin a file: section header (4.1), interface descriptions (4.2), times in nanoseconds."""
    section = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)  # version 1.0, length of the section not stated
    blocks = [_block(SECTION_HEADER, section + _option(SHB_USERAPPL, _text(application)) + _END_OF_OPTIONS)]
    for interface in interfaces:
        options = _option(IF_NAME, _text(interface.name))
        if interface.description:
            options += _option(IF_DESCRIPTION, _text(interface.description))
        options += _option(IF_TSRESOL, bytes([_NANOSECONDS])) + _END_OF_OPTIONS
        blocks.append(
            _block(INTERFACE_DESCRIPTION, struct.pack("<HHI", interface.link_type, 0, interface.snap) + options)
        )
    return b"".join(blocks)


def _packets_in(blocks: bytes | bytearray) -> int:
    """Count the packets in a run of whole blocks."""
    count = at = 0
    while at < len(blocks):
        kind, total = struct.unpack_from("<II", blocks, at)
        count += kind == ENHANCED_PACKET
        at += total
    return count


class Writer:
    """Writes a capture file, whole blocks at a time, up to a limit of bytes.

    Packets are gathered by `add` and reach the file by `flush`, in one write(2): a reader that looks at the file at
    any moment, or after the writer was killed, finds whole blocks. At the limit, and when the disk is full, the capture
    ends but the program goes on: `stopped` says why, `overflow` counts the packets that are not in the file, and an
    interface statistics block in the file says so too.
    """

    def __init__(
        self, path: Path, interfaces: Sequence[Interface], limit: int = DEFAULT_LIMIT, application: str = "groundup"
    ) -> None:
        """Create `path`, or empty it. `limit` is in bytes. Raises MachineryError where the file cannot be made."""
        self.path = path
        self.limit = limit
        self.packets = 0
        self.overflow = 0
        self.stopped = ""
        self._lost = False  # packets that were added are not in the file
        self._snaps = tuple(interface.snap for interface in interfaces)
        self.header = header(interfaces, application)
        self._pending = bytearray(self.header)
        self._written = 0
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MachineryError(
                f"cannot create the capture {path}: {error.strerror}", "check the directory and the free space"
            ) from error
        self.flush()

    @property
    def size(self) -> int:
        """Bytes of the capture so far, with those that wait for `flush`: a position for `since`."""
        return self._written + len(self._pending)

    def add(
        self,
        data: bytes | bytearray | memoryview,
        time_ns: int,
        direction: Direction | int = Direction.UNKNOWN,
        comment: str = "",
        interface: int = 0,
    ) -> None:
        """Add an enhanced packet block (section 4.3). `data` is copied, `interface` counts from 0. No OSError."""
        if self.stopped:
            self.overflow += 1
            return
        length = captured = len(data)
        snap = self._snaps[interface]
        if snap and captured > snap:
            captured = snap
            data = data[:snap]
        options = _PLAIN_OPTIONS[direction]
        if comment:
            options = _FLAGS[direction] + _option(OPT_COMMENT, _text(comment)) + _END_OF_OPTIONS
        padding = _PADDING[captured & 3]
        total = 32 + captured + len(padding) + len(options)
        pending = self._pending
        if self._written + len(pending) + total > self.limit - _ROOM_FOR_STATISTICS:
            self.overflow += 1
            self._stop(f"capture limit of {self.limit:,} bytes reached, later packets are counted but not kept")
            return
        pending += _PACKET.pack(
            ENHANCED_PACKET, total, interface, time_ns >> 32, time_ns & 0xFFFFFFFF, captured, length
        )
        pending += data
        pending += padding + options + _U32.pack(total)
        self.packets += 1
        if len(pending) > _FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Put the packets gathered so far into the file. A full disk ends the capture, never the caller."""
        pending = self._pending
        if not pending or self._fd < 0:
            return
        done = 0
        try:
            with memoryview(pending) as view:
                while done < len(view):
                    done += os.write(self._fd, view[done:])
        except OSError as error:
            # Part of a block may be in the file: take it back. Where even that fails, readers find the last block cut.
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._written)
                os.lseek(self._fd, self._written, os.SEEK_SET)
            lost = _packets_in(pending)
            self.overflow += lost
            self.packets -= lost
            self._lost = True
            self.stopped = self.stopped or f"the capture ended: {error.strerror}"
        else:
            self._written += done
        pending.clear()

    def since(self, position: int = 0) -> bytes:
        """Return a capture of its own with the packets added since `size` was `position`: headers, then those packets.

        Works after `close` too. Raises MachineryError where the file has gone, or could not be written: whoever asks
        must not take a packet that was lost for one that was never sent.
        """
        self.flush()
        if self._lost:
            raise MachineryError(f"{self.path} lacks packets: {self.stopped}", "free some space, then run again")
        try:
            with self.path.open("rb") as file:
                file.seek(max(position, len(self.header)))
                return self.header + file.read()
        except OSError as error:
            raise MachineryError(
                f"cannot read the capture {self.path}: {error.strerror}", "it was moved or removed; run again"
            ) from error

    def close(self) -> None:
        """Write the statistics (section 4.6) and close the file. May be called again."""
        if self._fd < 0:
            return
        self._pending += self._statistics(self.stopped)
        self.flush()
        os.close(self._fd)
        self._fd = -1

    def _stop(self, reason: str) -> None:
        self.stopped = reason
        self._pending += self._statistics(reason)
        self.flush()

    def _statistics(self, comment: str) -> bytes:
        """Make an interface statistics block (section 4.6) for the first interface: packets seen, packets not kept."""
        now = time.time_ns()
        options = _option(OPT_COMMENT, _text(comment)) if comment else b""
        options += _option(ISB_IFRECV, struct.pack("<Q", self.packets + self.overflow))
        options += _option(ISB_IFDROP, struct.pack("<Q", self.overflow)) + _END_OF_OPTIONS
        return _block(INTERFACE_STATISTICS, struct.pack("<III", 0, now >> 32, now & 0xFFFFFFFF) + options)
