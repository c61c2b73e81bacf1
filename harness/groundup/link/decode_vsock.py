"""Decodes packets of LINKTYPE_VSOCK, as the kernel's vsockmon device and the vsock switch capture them.

Sources: include/uapi/linux/vsockmon.h (the header in front, little-endian); Virtual I/O Device (VIRTIO) Version 1.2,
section 5.10.6 (the virtio header behind it).
"""

import struct
from typing import Final

from groundup.link.decode import Decoded, octets, text

_MONITOR: Final = struct.Struct("<QQIIHHH2x")  # CIDs, ports, operation, transport, length of the transport's header
_VIRTIO: Final = struct.Struct("<QQIIIHHIII")  # CIDs, ports, length, type, operation, flags, buf_alloc, fwd_cnt
_VIRTIO_TRANSPORT: Final = 2
_OPERATIONS: Final = ("unknown", "connect", "disconnect", "control", "payload")
_VIRTIO_OPERATIONS: Final = {
    1: "REQUEST",
    2: "RESPONSE",
    3: "RST",
    4: "SHUTDOWN",
    5: "RW",
    6: "CREDIT UPDATE",
    7: "CREDIT REQUEST",
}
_SHUTDOWNS: Final = {1: "receives no more", 2: "sends no more", 3: "neither sends nor receives any more"}


def decode_vsock(frame: bytes) -> Decoded:
    """Decode one packet. Never raises; CIDs are the source and destination."""
    packet = Decoded(network="vsock", protocol="vsock", label="vsock", payload=frame)
    if len(frame) < _MONITOR.size:
        packet.broken = f"cut short: {len(frame)} bytes, a vsockmon header has {_MONITOR.size}"
        return packet
    source, destination, packet.source_port, packet.destination_port, operation, transport, length = (
        _MONITOR.unpack_from(frame)
    )
    packet.source, packet.destination = str(source), str(destination)
    packet.payload_offset = _MONITOR.size + length
    packet.payload = frame[packet.payload_offset :]
    packet.label = _OPERATIONS[operation] if operation < len(_OPERATIONS) else f"operation {operation}"
    if transport != _VIRTIO_TRANSPORT:
        return packet
    if length < _VIRTIO.size or len(frame) < _MONITOR.size + _VIRTIO.size:
        packet.broken = "cut short: the virtio header is not all there"
        return packet
    *_, size, _, virtio, flags, allocated, forwarded = _VIRTIO.unpack_from(frame, _MONITOR.size)
    name = _VIRTIO_OPERATIONS.get(virtio, f"operation {virtio}")
    packet.flags = frozenset({name})
    packet.label, packet.window = name, allocated
    if name == "RW":
        packet.label, packet.detail = octets(size), text(packet.payload)
        if len(packet.payload) < size:
            packet.broken = f"cut short: {len(packet.payload)} of {size} bytes are there"
    elif name == "SHUTDOWN":
        packet.detail = _SHUTDOWNS.get(flags, f"flags {flags}")
    elif name == "CREDIT UPDATE":
        packet.detail = f"room for {allocated:,}, taken {forwarded:,}"
    return packet
