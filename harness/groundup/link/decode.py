"""Decodes frames just enough to draw them, to match them against a fault plan, and to say what is wrong with them.

Never raises, whatever the bytes: a frame that breaks off says so in `broken` and in its summary.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from groundup.link.messages import ICMP_ERRORS, ICMPV6_ERRORS, ICMPV6_NAMES

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_CHAO: Final = 0x88B5  # IEEE Std 802, local experimental EtherType 1
ETHERTYPE_RARP: Final = 0x8035  # RFC 903; QEMU sends these after a restore, so that switches learn where a machine is

_ETHERNET_HEADER: Final = 14
_MOST_EXTENSIONS: Final = 8  # IPv6 extension headers walked; a hostile chain ends here

# RFC 9293, section 3.1, from the lowest bit.
_FLAGS: Final = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")


@dataclass(slots=True)
class TcpOptions:
    """The options of a segment that matter in a handshake; None and False where they are absent."""

    mss: int | None = None  # RFC 9293, section 3.7.1: bytes
    window_scale: int | None = None  # RFC 7323, section 2: a shift count
    sack_permitted: bool = False  # RFC 2018, section 2
    timestamps: tuple[int, int] | None = None  # RFC 7323, section 3: TSval, TSecr

    def __str__(self) -> str:
        """Write them as tcpdump does."""
        parts = []
        if self.mss is not None:
            parts.append(f"mss {self.mss}")
        if self.sack_permitted:
            parts.append("sackOK")
        if self.timestamps is not None:
            parts.append("TS val {} ecr {}".format(*self.timestamps))
        if self.window_scale is not None:
            parts.append(f"wscale {self.window_scale}")
        return ", ".join(parts)


def octets(number: int) -> str:
    """Return how many bytes, in words: `1 byte`, `26 bytes`."""
    return f"{number} byte{'' if number == 1 else 's'}"


@dataclass(slots=True)
class Decoded:
    """What a frame says. Texts are empty and numbers 0 where a layer is absent; `payload` is the innermost one."""

    source_mac: str = ""
    destination_mac: str = ""
    ethertype: int = 0
    network: str = ""  # ipv4, ipv6, arp, rarp, chao, vsock
    source: str = ""
    destination: str = ""
    protocol: str = ""  # tcp, udp, icmp, icmpv6, arp, rarp, chao, vsock; "fragment" for all but the first fragment
    source_port: int = 0
    destination_port: int = 0
    flags: frozenset[str] = frozenset()
    sequence: int = 0
    acknowledgement: int = 0
    window: int = 0
    options: TcpOptions | None = None
    payload: bytes = b""
    payload_offset: int = 0
    transport_offset: int = 0  # of the TCP, UDP or ICMP header, 0 if there is none
    label: str = ""  # a word or two for the arrow of a diagram
    detail: str = ""  # what belongs beside it
    broken: str = ""  # what is missing or makes no sense
    fragment: int | None = None  # the datagram's identification, where this is one of its fragments

    @property
    def summary(self) -> str:
        """One line that says it all."""
        ports = bool(self.source_port or self.destination_port)
        source = address(self.source, self.source_port if ports else None) or self.source_mac
        destination = address(self.destination, self.destination_port if ports else None) or self.destination_mac
        ends = f"{source} → {destination}" if source else ""
        parts = (self.protocol.upper() or self.network.upper(), ends, self.label, self.detail, self.broken)
        return " ".join(part for part in parts if part)

    def is_pure_ack(self) -> bool:
        """Tell whether this segment acknowledges and nothing else."""
        return self.protocol == "tcp" and self.flags == {"ACK"} and not self.payload and not self.broken


def address(host: str, port: int | None) -> str:
    """Write an address as a URL does: `192.0.2.1:80`, `[2001:db8::1]:80`; without a port just the host."""
    if not host or port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def decode(frame: bytes) -> Decoded:
    """Decode an Ethernet frame. Costs some 10 µs, so nothing that passes frames without faults calls it."""
    packet = Decoded()
    if frame[:4] == b"CHAO":
        # CHAO/0 has no Ethernet header: its magic sits where the destination's address belongs.
        packet.network = packet.protocol = "chao"
        packet.payload, packet.payload_offset = frame[4:].rstrip(b"\0"), 4  # zeros at its end are padding
        packet.label, packet.detail = f"CHAO/0 {octets(len(packet.payload))}", text(packet.payload)
        return packet
    if len(frame) < _ETHERNET_HEADER:
        packet.label = "runt frame"
        packet.broken = f"cut short: {len(frame)} bytes, an Ethernet header has {_ETHERNET_HEADER}"
        packet.payload = frame
        return packet
    packet.destination_mac, packet.source_mac = frame[:6].hex(":"), frame[6:12].hex(":")
    (packet.ethertype,) = struct.unpack_from("!H", frame, 12)
    packet.payload, packet.payload_offset = frame[_ETHERNET_HEADER:], _ETHERNET_HEADER
    layer = _NETWORK.get(packet.ethertype)
    if layer is None:
        packet.label = f"type 0x{packet.ethertype:04x}"
        packet.detail = octets(len(packet.payload))
        return packet
    try:
        layer(packet, frame)
    except (struct.error, IndexError):
        name = (packet.protocol or packet.network).upper()
        packet.broken = f"cut short: the {name} header is not all there"
        packet.label = packet.label or name
    return packet


def text(payload: bytes, limit: int = 60) -> str:
    """Return the first line of a payload as a person can read it: escaped, or in hex where most of it is not text."""
    line = payload.split(b"\n", 1)[0].rstrip(b"\r") or payload
    head = line[:limit]
    readable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in head)
    if readable * 2 < len(head):
        head = head[: limit // 3]
        shown = head.hex(" ")
    else:
        shown = head.decode("latin-1").encode("unicode_escape").decode("ascii")
    return shown if len(head) == len(line) and len(shown) <= limit else shown[: limit - 1] + "…"


def _arp(packet: Decoded, frame: bytes) -> None:
    """RFC 826, for IPv4 over Ethernet; other kinds are named by their numbers."""
    packet.network = packet.protocol = "arp"
    hardware, protocol, hlen, plen, operation = struct.unpack_from("!HHBBH", frame, 14)
    if (hardware, protocol, hlen, plen) != (1, ETHERTYPE_IPV4, 6, 4):
        packet.label = "ARP"
        packet.detail = f"hardware {hardware}, protocol 0x{protocol:04x}, operation {operation}"
        return
    sender_mac, sender, _, target = struct.unpack_from("!6s4s6s4s", frame, 22)
    packet.source, packet.destination = str(IPv4Address(sender)), str(IPv4Address(target))
    packet.payload, packet.payload_offset = b"", 42
    if operation == 1:
        packet.label, packet.detail = "ARP who has", f"{packet.destination}? tell {packet.source}"
        if sender == bytes(4):
            packet.detail = f"{packet.destination}? (nobody asks: a probe)"  # RFC 5227, section 2.1.1
        elif sender == target:
            packet.label, packet.detail = (
                "ARP announcement",
                f"{packet.source} is at {sender_mac.hex(':')}",
            )  # section 3
    elif operation == 2:
        packet.label, packet.detail = "ARP is at", f"{packet.source} is at {sender_mac.hex(':')}"
    else:
        packet.label, packet.detail = "ARP", f"operation {operation}"


def _rarp(packet: Decoded, frame: bytes) -> None:
    """RFC 903: who am I? As a broadcast about oneself it tells where one is."""
    packet.network = packet.protocol = "rarp"
    (mac,) = struct.unpack_from("!6s", frame, 22)
    packet.label, packet.detail = "RARP announcement", f"{mac.hex(':')} is here"


def _chao(packet: Decoded, frame: bytes) -> None:
    packet.network = packet.protocol = "chao"
    packet.label = "CHAO"
    body = frame[_ETHERNET_HEADER:]
    if body[:4] != b"CHAO":
        packet.broken = "no CHAO magic"
        return
    (length,) = struct.unpack_from("!H", body, 4)
    packet.payload, packet.payload_offset = body[6 : 6 + length], _ETHERNET_HEADER + 6
    packet.label = f"CHAO {octets(length)}"
    packet.detail = text(packet.payload)
    if len(packet.payload) < length:
        packet.broken = f"cut short: {len(packet.payload)} of {length} bytes are there"


def _ipv4(packet: Decoded, frame: bytes) -> None:
    """RFC 791, section 3.1."""
    packet.network = "ipv4"
    first, _, total, identification, fragment, _, protocol = struct.unpack_from("!BBHHHBB", frame, 14)
    header = (first & 15) * 4
    source, destination = struct.unpack_from("!4s4s", frame, 26)
    packet.source, packet.destination = str(IPv4Address(source)), str(IPv4Address(destination))
    if first >> 4 != 4 or header < 20 or total < header:
        packet.label, packet.broken = "IPv4", "its version, header length or total length makes no sense"
        return
    start, end = 14 + header, 14 + total  # what follows is Ethernet's padding
    offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
    _datagram(packet, frame, protocol, slice(start, end), (offset, more, identification))


def _ipv6(packet: Decoded, frame: bytes) -> None:
    """RFC 8200, sections 3 and 4: the header and the chain of extension headers behind it."""
    packet.network = "ipv6"
    first, length, following, _ = struct.unpack_from("!IHBB", frame, 14)
    source, destination = struct.unpack_from("!16s16s", frame, 22)
    packet.source, packet.destination = str(IPv6Address(source)), str(IPv6Address(destination))
    if first >> 28 != 6:
        packet.label, packet.broken = "IPv6", f"its version says {first >> 28}"
        return
    at, end = 54, 54 + length
    fragment = (0, False, 0)
    for _ in range(_MOST_EXTENSIONS):
        if following in {0, 43, 60}:  # hop-by-hop options, routing, destination options
            following, size = frame[at], frame[at + 1] * 8 + 8
            at += size
        elif following == 44:  # fragment
            following, _, where, identification = struct.unpack_from("!BBHI", frame, at)
            fragment = (where & 0xFFF8, bool(where & 1), identification)
            at += 8
        else:
            break
    _datagram(packet, frame, following, slice(at, end), fragment)


def _datagram(packet: Decoded, frame: bytes, protocol: int, where: slice, fragment: tuple[int, bool, int]) -> None:
    """Take what an IP header carries. `fragment`: offset in bytes, whether more follow, identification."""
    start, end = where.start, where.stop
    offset, more, identification = fragment
    if end > len(frame):
        packet.broken = f"cut short: {max(len(frame) - start, 0)} of {end - start} bytes are there"
    packet.payload, packet.payload_offset = frame[start:end], start
    if offset or more:
        packet.fragment = identification
    if offset:
        packet.protocol = "fragment"
        packet.label = f"fragment, {octets(len(packet.payload))}"
        packet.detail = f"bytes {offset} to {offset + len(packet.payload) - 1} of datagram {identification}"
        return
    layer = _TRANSPORT.get(protocol)
    if layer is None:
        packet.label, packet.detail = f"IP protocol {protocol}", octets(len(packet.payload))
        return
    packet.transport_offset = start
    layer(packet, packet.payload, start)
    if more:
        packet.detail = f"first fragment of datagram {identification}"


def _tcp(packet: Decoded, segment: bytes, start: int) -> None:
    """RFC 9293, section 3.1."""
    packet.protocol = "tcp"
    (
        packet.source_port,
        packet.destination_port,
        packet.sequence,
        packet.acknowledgement,
        offset,
        bits,
        packet.window,
    ) = struct.unpack_from("!HHIIBBH", segment)
    packet.flags = frozenset(name for bit, name in enumerate(_FLAGS) if bits >> bit & 1)
    header = (offset >> 4) * 4
    if not 20 <= header <= len(segment):
        packet.payload, packet.label = b"", "TCP"
        packet.broken = packet.broken or f"a TCP header of {header} bytes makes no sense here"
        return
    packet.options = _tcp_options(segment[20:header])
    packet.payload, packet.payload_offset = segment[header:], start + header
    shown: list[str] = [name for name in ("SYN", "FIN", "RST") if name in packet.flags]
    if packet.payload:
        shown.append(octets(len(packet.payload)))
        packet.detail = text(packet.payload)
    if "ACK" in packet.flags and not packet.payload and "FIN" not in packet.flags and "RST" not in packet.flags:
        shown.append("ACK")
    packet.label = ", ".join(shown) or "no flags"


def _tcp_options(raw: bytes) -> TcpOptions:
    """RFC 9293, section 3.1: kind, length, value; kinds 0 and 1 are one byte. Ends at the first that makes no sense."""
    options = TcpOptions()
    at = 0
    while at < len(raw) and raw[at] != 0:
        if raw[at] == 1:
            at += 1
            continue
        size = raw[at + 1] if at + 1 < len(raw) else 0
        if size < 2 or at + size > len(raw):
            break
        kind, value = raw[at], raw[at + 2 : at + size]
        if kind == 2 and len(value) == 2:
            options.mss = int.from_bytes(value, "big")
        elif kind == 3 and len(value) == 1:
            options.window_scale = value[0]
        elif kind == 4:
            options.sack_permitted = True
        elif kind == 8 and len(value) == 8:
            options.timestamps = (int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big"))
        at += size
    return options


def _udp(packet: Decoded, datagram: bytes, start: int) -> None:
    """RFC 768."""
    packet.protocol = "udp"
    packet.source_port, packet.destination_port, length, _ = struct.unpack_from("!HHHH", datagram)
    packet.payload, packet.payload_offset = datagram[8 : max(length, 8)], start + 8
    packet.label = f"UDP {octets(max(length - 8, 0))}"
    packet.detail = text(packet.payload)
    if length < 8:
        packet.broken = packet.broken or f"a UDP length of {length} makes no sense"


def _icmp(packet: Decoded, message: bytes, start: int) -> None:
    """RFC 792."""
    packet.protocol = "icmp"
    kind, code = message[0], message[1]
    if kind in {0, 8}:
        identifier, number = struct.unpack_from("!HH", message, 4)
        packet.label = "echo request" if kind == 8 else "echo reply"
        packet.detail = f"id {identifier}, seq {number}, {octets(len(message) - 8)}"
    else:
        packet.label = "ICMP error" if kind in {3, 4, 5, 11, 12} else f"ICMP type {kind}"
        packet.detail = ICMP_ERRORS.get((kind, code), f"type {kind}, code {code}")
    packet.payload, packet.payload_offset = message[8:], start + 8


def _icmpv6(packet: Decoded, message: bytes, start: int) -> None:
    """RFC 4443 (errors, echo), RFC 4861 (neighbour discovery)."""
    packet.protocol = "icmpv6"
    kind, code = message[0], message[1]
    packet.label = ICMPV6_NAMES.get(kind, "ICMPv6 error" if kind < 128 else f"ICMPv6 type {kind}")
    if kind in {128, 129}:
        identifier, number = struct.unpack_from("!HH", message, 4)
        packet.detail = f"id {identifier}, seq {number}, {octets(len(message) - 8)}"
    elif kind in {135, 136}:
        (target,) = struct.unpack_from("!16s", message, 8)
        packet.detail = f"{IPv6Address(target)}" + ("?" if kind == 135 else f" is at {packet.source_mac}")
        if kind == 136 and not message[4] & 0x40:  # RFC 4861, section 4.4: the solicited flag
            packet.label = "neighbour announcement"
    elif kind < 128:
        packet.detail = ICMPV6_ERRORS.get((kind, code), f"type {kind}, code {code}")
    packet.payload, packet.payload_offset = message[8:], start + 8


_NETWORK: Final[dict[int, Callable[[Decoded, bytes], None]]] = {
    ETHERTYPE_IPV4: _ipv4,
    ETHERTYPE_ARP: _arp,
    ETHERTYPE_IPV6: _ipv6,
    ETHERTYPE_CHAO: _chao,
    ETHERTYPE_RARP: _rarp,
}
_TRANSPORT: Final[dict[int, Callable[[Decoded, bytes, int], None]]] = {1: _icmp, 6: _tcp, 17: _udp, 58: _icmpv6}
