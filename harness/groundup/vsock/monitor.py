"""Packets in the form that a capture holds them: the "vsockmon" format, link type 271 of pcap (LINKTYPE_VSOCK).

Source: <linux/vsockmon.h>, which describes what the kernel's own vsockmon device delivers, and
https://www.tcpdump.org/linktypes.html. A record is a header that knows no transport, the transport's header, and the
payload; Wireshark dissects it.
"""

import struct
from enum import IntEnum
from typing import Final

from groundup.link.pcapng import Direction
from groundup.vsock.packet import HEADER_SIZE, Op, Packet

MONITOR_HEADER: Final = struct.Struct("<QQIIHHH2x")
"""struct af_vsockmon_hdr: CIDs, ports, operation, transport, length of the transport's header, two reserved bytes."""

TRANSPORT_VIRTIO: Final = 2
"""AF_VSOCK_TRANSPORT_VIRTIO: the transport's header is that of `packet`."""


class MonitorOp(IntEnum):
    """What a packet does, said without a transport (enum af_vsockmon_op)."""

    UNKNOWN = 0
    CONNECT = 1
    DISCONNECT = 2
    CONTROL = 3
    PAYLOAD = 4


# The same table as the kernel's virtio_transport_build_skb.
_MONITOR_OP: Final[dict[int, MonitorOp]] = {
    Op.REQUEST: MonitorOp.CONNECT,
    Op.RESPONSE: MonitorOp.CONNECT,
    Op.RST: MonitorOp.DISCONNECT,
    Op.SHUTDOWN: MonitorOp.DISCONNECT,
    Op.RW: MonitorOp.PAYLOAD,
    Op.CREDIT_UPDATE: MonitorOp.CONTROL,
    Op.CREDIT_REQUEST: MonitorOp.CONTROL,
}


def record(packet: Packet) -> bytes:
    """Return `packet` as a record of a LINKTYPE_VSOCK capture."""
    op = _MONITOR_OP.get(packet.op, MonitorOp.UNKNOWN)
    return MONITOR_HEADER.pack(*packet[:4], op, TRANSPORT_VIRTIO, HEADER_SIZE) + packet.pack()


def direction(packet: Packet, viewpoint: int) -> Direction:
    """Say which way `packet` goes as the machine with the CID `viewpoint` sees it."""
    if packet.dst_cid == viewpoint:
        return Direction.INBOUND
    if packet.src_cid == viewpoint:
        return Direction.OUTBOUND
    return Direction.UNKNOWN
