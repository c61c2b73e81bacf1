"""The packets that travel over a virtio socket device.

Source: virtio 1.2, section 5.10.6 ("Device Operation" of the socket device). All fields are little-endian.
"""

import struct
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

CID_HOST: Final = 2
"""The hypervisor's own address (vsock(7), VMADDR_CID_HOST)."""

HEADER: Final = struct.Struct("<QQIIIHHIII")
HEADER_SIZE: Final = HEADER.size

MAX_PAYLOAD: Final = 64 * 1024
"""Most bytes of payload in one packet: what Linux sends and accepts (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE)."""


class Type(IntEnum):
    """What kind of socket a packet belongs to (sections 5.10.6.2 and 5.10.6.6)."""

    STREAM = 1
    SEQPACKET = 2


class Op(IntEnum):
    """What a packet does (section 5.10.6)."""

    INVALID = 0
    REQUEST = 1
    RESPONSE = 2
    RST = 3
    SHUTDOWN = 4
    RW = 5
    CREDIT_UPDATE = 6
    CREDIT_REQUEST = 7


class Shutdown(IntFlag):
    """Flags of a SHUTDOWN packet: what its sender will not do any more (section 5.10.6.5)."""

    RECEIVE = 1
    SEND = 2


class Seqpacket(IntFlag):
    """Flags of an RW packet of a SEQPACKET socket (section 5.10.6.6): it ends a message, it ends a record."""

    END_OF_MESSAGE = 1
    END_OF_RECORD = 2


class PacketError(ValueError):
    """Bytes that are not a packet. The message is one line."""


class Packet(NamedTuple):
    """One packet. The header's length field is not kept: it is the payload's length.

    `type` and `op` are plain integers, because a guest may put anything there. `buf_alloc` is the size of its sender's
    receive buffer for the connection and `fwd_cnt` what its sender has taken out of it so far, modulo 2**32
    (section 5.10.6.3): together they are the credit.
    """

    src_cid: int
    dst_cid: int
    src_port: int
    dst_port: int
    type: int
    op: int
    flags: int = 0
    buf_alloc: int = 0
    fwd_cnt: int = 0
    payload: bytes = b""

    def header(self, length: int, flags: int) -> bytes:
        """Return the header for a piece of `length` bytes of the payload."""
        return HEADER.pack(*self[:4], length, self.type, self.op, flags, self.buf_alloc, self.fwd_cnt)

    def pack(self) -> bytes:
        """Return header and payload as they are on the ring."""
        return self.header(len(self.payload), self.flags) + self.payload

    def rst(self) -> "Packet":
        """Return the RST that answers this packet, as if from the end it was sent to (section 5.10.6.5)."""
        return Packet(self.dst_cid, self.src_cid, self.dst_port, self.src_port, self.type, Op.RST)


def unpack(data: bytes) -> Packet:
    """Read a packet from `data`: a header and at least the bytes of payload it announces; the rest is ignored.

    Raises PacketError where the header is cut short, announces more than there is or more than MAX_PAYLOAD, or
    announces a payload for an operation that has none.
    """
    if len(data) < HEADER_SIZE:
        raise PacketError(f"packet of {len(data)} bytes is shorter than a header of {HEADER_SIZE}")
    src_cid, dst_cid, src_port, dst_port, length, kind, op, flags, buf_alloc, fwd_cnt = HEADER.unpack_from(data)
    if length > MAX_PAYLOAD:
        raise PacketError(f"packet announces {length} bytes of payload, more than {MAX_PAYLOAD}")
    if length > len(data) - HEADER_SIZE:
        raise PacketError(f"packet announces {length} bytes of payload but has {len(data) - HEADER_SIZE}")
    if length and op != Op.RW:
        raise PacketError(f"packet of operation {op} announces {length} bytes of payload, which only RW may have")
    payload = data[HEADER_SIZE : HEADER_SIZE + length]
    return Packet(src_cid, dst_cid, src_port, dst_port, kind, op, flags, buf_alloc, fwd_cnt, payload)
