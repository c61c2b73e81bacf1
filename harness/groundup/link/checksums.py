"""Says which checksum of a frame is wrong. There are no offloads on the pair's links, so each one must be right.

Sources: RFC 1071 (the sum), RFC 791 (IPv4 header), RFC 9293 section 3.1 and RFC 768 (pseudo-header), RFC 8200 section
8.1 (pseudo-header of IPv6), RFC 792, RFC 4443 section 2.3.
"""

import struct
from ipaddress import ip_address
from typing import Final

from groundup.link.decode import Decoded

_NUMBERS: Final = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
_NAMES: Final = {"icmp": "ICMP", "tcp": "TCP", "udp": "UDP", "icmpv6": "ICMPv6"}
_ETHERNET_HEADER: Final = 14


def _sums_up(data: bytes) -> bool:
    """Tell whether the 16-bit ones' complement sum of `data`, its checksum included, is the one of a whole message."""
    if len(data) % 2:
        data += b"\0"
    # Ones' complement addition is addition modulo 0xffff; an all-zero message would pass, and none is all zero.
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    return sum(words) % 0xFFFF == 0


def wrong_checksum(frame: bytes, packet: Decoded) -> str:
    """Return what to say about a wrong checksum of a decoded frame, empty where all are right or none can be judged."""
    if packet.broken:
        return ""
    if packet.network == "ipv4" and not _sums_up(frame[14 : 14 + (frame[_ETHERNET_HEADER] & 15) * 4]):
        return "wrong IPv4 header checksum"
    number = _NUMBERS.get(packet.protocol)
    if number is None or packet.fragment is not None:
        return ""
    message = frame[packet.transport_offset : packet.payload_offset + len(packet.payload)]
    if packet.protocol == "udp" and message[6:8] == b"\0\0":
        # RFC 768: the sender made none. RFC 8200, section 8.1: over IPv6 it must.
        return "no UDP checksum, which IPv6 requires" if packet.network == "ipv6" else ""
    if packet.protocol != "icmp":
        ends = ip_address(packet.source).packed + ip_address(packet.destination).packed
        message = ends + struct.pack("!II", len(message), number) + message
    return "" if _sums_up(message) else f"wrong {_NAMES[packet.protocol]} checksum"
