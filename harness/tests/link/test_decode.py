"""What is read out of frames that Scapy made, and out of frames that nobody should have made."""

import random
import struct
from typing import Any

import pytest
from scapy.all import (
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NS,
    ICMPv6ParamProblem,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    fragment,
    raw,
)

from groundup.link.checksums import wrong_checksum
from groundup.link.decode import decode, text
from groundup.link.decode_vsock import decode_vsock

from .link_frames import CLIENT, SERVER, arp_request, ethernet, ipv6, tcp, udp

FRAMES = [
    tcp(True, "S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)]),
    tcp(False, "PA", b"HTTP/1.1 200 OK\r\n\r\n"),
    udp(True, b"hello"),
    arp_request(),
    ethernet(True, IP(src=CLIENT, dst=SERVER) / ICMP(id=1, seq=2) / b"x"),
    ethernet(False, IP(src=SERVER, dst=CLIENT) / ICMP(type=3, code=3) / IP() / UDP()),
    ipv6(True, TCP(sport=1, dport=2, flags="S")),
    ipv6(True, IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=5, dport=6) / b"deep"),
    ipv6(True, IPv6ExtHdrFragment(offset=0, m=1, id=9) / UDP(sport=5, dport=6) / b"12345678"),
    ipv6(True, ICMPv6EchoRequest(id=3, seq=4)),
    ipv6(True, ICMPv6ND_NS(tgt="2001:db8::1")),
    ipv6(True, ICMPv6MLReport2()),
    ipv6(True, ICMPv6ParamProblem(code=1)),
    ethernet(True, b"CHAO\x00\x02hi", type=0x88B5),
    raw(Ether() / Dot1Q(vlan=5) / IP()),
    b"CHAOraw",
]


def test_a_syn_with_its_options() -> None:
    seen = decode(FRAMES[0])
    assert (seen.network, seen.protocol, seen.source, seen.destination) == ("ipv4", "tcp", CLIENT, SERVER)
    assert (seen.source_port, seen.destination_port, seen.flags) == (51544, 40113, {"SYN"})
    assert seen.options is not None
    assert (seen.options.mss, seen.options.window_scale, seen.options.sack_permitted) == (1460, 7, True)
    assert seen.options.timestamps == (1, 2)
    assert seen.summary == "TCP 192.0.2.2:51544 → 192.0.2.1:40113 SYN"


def test_padding_of_ethernet_is_no_payload() -> None:
    seen = decode(tcp(True, "A").ljust(60, b"\0"))
    assert seen.payload == b""
    assert seen.is_pure_ack()


@pytest.mark.parametrize(
    ("frame", "summary"),
    [
        (FRAMES[1], "TCP 192.0.2.1:40113 → 192.0.2.2:51544 19 bytes HTTP/1.1 200 OK"),
        (FRAMES[2], "UDP 192.0.2.2:40000 → 192.0.2.1:7 UDP 5 bytes hello"),
        (FRAMES[3], "ARP 192.0.2.2 → 192.0.2.1 ARP who has 192.0.2.1? tell 192.0.2.2"),
        (FRAMES[5], "ICMP 192.0.2.1 → 192.0.2.2 ICMP error port unreachable"),
        (FRAMES[6], "TCP [2001:db8::2]:1 → [2001:db8::1]:2 SYN"),
        (FRAMES[7], "UDP [2001:db8::2]:5 → [2001:db8::1]:6 UDP 4 bytes deep"),
        (FRAMES[9], "ICMPV6 2001:db8::2 → 2001:db8::1 echo request id 3, seq 4, 0 bytes"),
        (FRAMES[11], "ICMPV6 2001:db8::2 → 2001:db8::1 multicast report"),
        (FRAMES[12], "ICMPV6 2001:db8::2 → 2001:db8::1 ICMPv6 error unknown next header"),
        (FRAMES[13], "CHAO 52:54:00:00:00:02 → 52:54:00:00:00:01 CHAO 2 bytes hi"),
        (FRAMES[15], "CHAO CHAO/0 3 bytes raw"),
        (b"", "runt frame cut short: 0 bytes, an Ethernet header has 14"),
        (FRAMES[0][:40], "TCP 192.0.2.2 → 192.0.2.1 TCP cut short: the TCP header is not all there"),
        (FRAMES[3][:20], "ARP 52:54:00:00:00:02 → ff:ff:ff:ff:ff:ff ARP cut short: the ARP header is not all there"),
    ],
)
def test_summaries(frame: bytes, summary: str) -> None:
    assert decode(frame).summary == summary


def test_fragments_are_not_taken_for_datagrams() -> None:
    parts = fragment(IP(src=CLIENT, dst=SERVER, id=77) / UDP(sport=1, dport=2) / (b"z" * 3000), fragsize=1480)
    seen = [decode(ethernet(True, part)) for part in parts]
    assert [packet.protocol for packet in seen] == ["udp", "fragment", "fragment"]
    assert [packet.fragment for packet in seen] == [77, 77, 77]
    assert seen[2].label == "fragment, 48 bytes"


def test_every_prefix_of_a_frame_is_decoded() -> None:
    for frame in FRAMES:
        for cut in range(len(frame)):
            seen = decode(frame[:cut])
            assert isinstance(seen.summary, str)
            wrong_checksum(frame[:cut], seen)


def test_mutated_and_random_frames_are_decoded() -> None:
    chance = random.Random(8841)
    for _ in range(20000):
        frame = bytearray(chance.choice(FRAMES))
        for _ in range(chance.randrange(6)):
            frame[chance.randrange(len(frame))] = chance.choice((0, 0xFF, chance.randrange(256)))
        cut = bytes(frame[: chance.randrange(len(frame) + 1)]) if chance.random() < 0.3 else bytes(frame)
        seen = decode(cut)
        assert all(char.isprintable() for char in seen.summary), cut
        assert seen.payload_offset <= len(cut) or not seen.payload
        wrong_checksum(cut, seen)
    for _ in range(5000):
        cut = chance.randbytes(chance.randrange(120))
        wrong_checksum(cut, decode(cut))
        decode_vsock(cut)


@pytest.mark.parametrize("frame", [frame for frame in FRAMES if decode(frame).transport_offset])
def test_scapys_checksums_are_right_and_a_flipped_bit_is_found(frame: bytes) -> None:
    seen = decode(frame)
    assert wrong_checksum(frame, seen) == ""
    if seen.fragment is None:
        flipped = bytearray(frame)
        flipped[-1] ^= 1
        assert "checksum" in wrong_checksum(bytes(flipped), decode(bytes(flipped)))


def test_an_ipv4_header_and_a_missing_udp_checksum() -> None:
    layer = IP(src=CLIENT, dst=SERVER, chksum=1) / UDP(chksum=0)
    frame = ethernet(True, layer)
    assert wrong_checksum(frame, decode(frame)) == "wrong IPv4 header checksum"
    frame = ethernet(True, IP(src=CLIENT, dst=SERVER) / UDP(chksum=0))
    assert wrong_checksum(frame, decode(frame)) == ""
    frame = ipv6(True, UDP(chksum=0))
    assert wrong_checksum(frame, decode(frame)) == "no UDP checksum, which IPv6 requires"


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1"),
        (b"\r\n", "\\r\\n"),
        (b"", ""),
        (b"a\tb", "a\\tb"),
        (b"\x00\x01\xff", "00 01 ff"),
        (b"caf\xc3\xa9", "caf\\xc3\\xa9"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"x" * 100, "x" * 59 + "…"),
        (b"x" * 60, "x" * 60),
        (bytes(100), "00 " * 19 + "00…"),
    ],
)
def test_payloads_in_words(payload: bytes, shown: str) -> None:
    assert text(payload) == shown


def test_vsock_packets() -> None:
    head = struct.pack("<QQIIHHH2x", 4, 3, 5000, 1024, 4, 2, 44)
    virtio = struct.pack("<QQIIIHHIII", 4, 3, 5000, 1024, 5, 1, 5, 0, 262144, 0)
    seen = decode_vsock(head + virtio + b"hello")
    assert seen.summary == "VSOCK 4:5000 → 3:1024 5 bytes hello"
    fields: dict[str, Any] = {"payload": seen.payload, "window": seen.window}
    assert fields == {"payload": b"hello", "window": 262144}
    for cut in range(80):
        assert decode_vsock((head + virtio)[:cut]).summary
