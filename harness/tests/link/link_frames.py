"""Frames for the tests, made by Scapy so that another hand than ours wrote their headers and checksums."""

from typing import Any

from scapy.all import ARP, IP, TCP, UDP, Ether, IPv6, raw

from groundup.link.pcapng import Direction, Interface, Packet

SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
SERVER_MAC, CLIENT_MAC = "52:54:00:00:00:01", "52:54:00:00:00:02"
ETH0 = Interface("eth0")
START = 1_700_000_000_000_000_000


def ethernet(to_server: bool, layer: Any, **fields: Any) -> bytes:
    macs = (SERVER_MAC, CLIENT_MAC) if to_server else (CLIENT_MAC, SERVER_MAC)
    return raw(Ether(dst=macs[0], src=macs[1], **fields) / layer)


def tcp(to_server: bool, flags: str, payload: bytes = b"", port: int = 51544, **fields: Any) -> bytes:
    if to_server:
        segment = IP(src=CLIENT, dst=SERVER) / TCP(sport=port, dport=40113, flags=flags, **fields)
    else:
        segment = IP(src=SERVER, dst=CLIENT) / TCP(sport=40113, dport=port, flags=flags, **fields)
    return ethernet(to_server, segment / payload)


def udp(to_server: bool, payload: bytes, port: int = 40000) -> bytes:
    if to_server:
        return ethernet(True, IP(src=CLIENT, dst=SERVER) / UDP(sport=port, dport=7) / payload)
    return ethernet(False, IP(src=SERVER, dst=CLIENT) / UDP(sport=7, dport=port) / payload)


def arp_request() -> bytes:
    return raw(Ether(dst="ff:ff:ff:ff:ff:ff", src=CLIENT_MAC) / ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=SERVER))


def ipv6(to_server: bool, layer: Any) -> bytes:
    ends = ("2001:db8::2", "2001:db8::1") if to_server else ("2001:db8::1", "2001:db8::2")
    return ethernet(to_server, IPv6(src=ends[0], dst=ends[1]) / layer)


class Conversation:
    """Builds a list of captured packets, each a step of time after the one before."""

    def __init__(self, step_ms: float = 0.2, interface: Interface = ETH0) -> None:
        self.packets: list[Packet] = []
        self._step = step_ms
        self._interface = interface
        self._now = START

    def add(self, to_server: bool, frame: bytes, comment: str = "", after_ms: float | None = None) -> "Conversation":
        if self.packets:
            self._now += int((self._step if after_ms is None else after_ms) * 1e6)
        direction = Direction.INBOUND if to_server else Direction.OUTBOUND
        self.packets.append(Packet(frame, self._now, direction, comment, self._interface, len(frame)))
        return self

    def tcp(self, to_server: bool, flags: str, payload: bytes = b"", **fields: Any) -> "Conversation":
        comment, after_ms = fields.pop("comment", ""), fields.pop("after_ms", None)
        return self.add(to_server, tcp(to_server, flags, payload, **fields), comment, after_ms)
