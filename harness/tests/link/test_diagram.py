"""What a learner sees of a capture, against golden files.

GROUNDUP_RENEW_GOLDEN=1 pytest tests/link     writes them anew; read the difference before you keep it
"""

import os
import random
from pathlib import Path

import pytest
from scapy.all import ARP, ICMP, IP, UDP, ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, IPerror, UDPerror, fragment

from groundup.link.diagram import Style, describe, draw, last_packet
from groundup.link.pcapng import LINKTYPE_VSOCK, CaptureError, Direction, Interface, Packet, Writer

from .link_frames import CLIENT, ETH0, SERVER, START, Conversation, arp_request, ethernet, ipv6, tcp, udp

GOLDEN = Path(__file__).with_name("golden")
SYN_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (3071468442, 0)), ("NOP", None), ("WScale", 7)]


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GROUNDUP_RENEW_GOLDEN"):
        path.write_text(text + "\n", encoding="utf-8")
    assert text + "\n" == path.read_text(encoding="utf-8")


def handshake(talk: Conversation, port: int = 51544) -> Conversation:
    talk.tcp(True, "S", seq=100, port=port, options=SYN_OPTIONS)
    answer = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (77, 3071468442)), ("NOP", None), ("WScale", 6)]
    talk.tcp(False, "SA", seq=500, ack=101, port=port, options=answer)
    return talk.tcp(True, "A", seq=101, ack=501, port=port)


def too_early() -> Conversation:
    talk = handshake(Conversation())
    talk.tcp(True, "PA", b"GET / HTTP/1.1", seq=101, ack=501)
    return talk.tcp(False, "PA", b"HTTP/1.1 200 OK\r\n" + b"x" * 104, seq=501, ack=115, after_ms=12.5)


def test_the_example_of_the_lesson() -> None:
    packets = too_early().packets
    index = last_packet(packets, to_server=False, port=51544)
    assert index == 4
    golden("too_early", draw(packets, remarks={index: "too early"}))
    golden("too_early_without_times", draw(packets, remarks={index: "too early"}, style=Style(times=False)))


def test_options_of_the_handshake() -> None:
    packets = handshake(Conversation()).packets
    golden("options", draw(packets, style=Style(options=True)))
    golden("options_narrow", draw(packets, style=Style(options=True, columns=66)))


def test_both_closes_and_a_reset() -> None:
    talk = Conversation()
    talk.tcp(True, "FA", seq=1).tcp(False, "A", ack=2).tcp(False, "FPA", b"bye\r\n", seq=9).tcp(True, "A").tcp(
        False, "R"
    )
    golden("closes", draw(talk.packets))


def test_connections_are_told_apart() -> None:
    talk = handshake(handshake(Conversation()), port=51546)
    talk.tcp(True, "PA", b"one", seq=101, port=51544).tcp(True, "PA", b"two", seq=101, port=51546)
    golden("two_connections", draw(talk.packets))
    assert "two" not in draw(talk.packets, ports=[51544])


def test_acks_and_fragments_are_gathered() -> None:
    talk = Conversation()
    for number in range(5):
        talk.tcp(True, "A", ack=number * 1448)
    talk.tcp(False, "PA", b"data", seq=1).tcp(True, "A", ack=5)
    for part in fragment(
        IP(src=CLIENT, dst=SERVER, id=4711) / UDP(sport=40000, dport=7) / (b"z" * 9000), fragsize=1480
    ):
        talk.add(True, ethernet(True, part))
    golden("gathered", draw(talk.packets))


def test_long_captures_keep_both_ends_and_what_was_remarked() -> None:
    talk = Conversation()
    for number in range(160):
        talk.tcp(True, "PA", f"line {number}".encode(), seq=number * 100)
    golden("long", draw(talk.packets, remarks={80: "this one"}, style=Style(rows=9)))


def test_a_flood_is_drawn_by_its_ends() -> None:
    packets = [Packet(tcp(True, "S", seq=number), START + number, Direction.INBOUND, "", ETH0) for number in range(20)]
    text = draw([*packets * 1000, packets[0]], remarks={10_000: "here"}, style=Style(rows=5))
    assert "◂ here" in text
    left_out = [int(line.split()[1].replace(",", "")) for line in text.splitlines() if "more packets" in line]
    assert sum(left_out) == 20_001 - 5


def test_faults_are_shown() -> None:
    talk = Conversation(1)
    talk.tcp(True, "S", seq=1, comment="dropped by plan")
    talk.tcp(True, "S", seq=1, after_ms=1000)
    talk.tcp(False, "SA", seq=1, comment="delayed 200 ms by plan")
    talk.tcp(True, "PA", b"hello", seq=2)
    talk.tcp(True, "PA", b"hello", seq=2, comment="duplicated by plan")
    broken = bytearray(tcp(False, "PA", b"answer", seq=2))
    broken[-1] ^= 4
    talk.add(False, bytes(broken), "bit 2 of byte 59 flipped by plan")
    talk.tcp(False, "PA", b"answer", seq=2, comment="dropped by plan")
    talk.tcp(False, "R", comment="injected by test")
    golden("faults", draw(talk.packets))


def test_datagrams_arp_and_icmp() -> None:
    talk = Conversation()
    talk.add(True, arp_request())
    talk.add(False, ethernet(False, ARP(op=2, hwsrc="52:54:00:00:00:01", psrc=SERVER, pdst=CLIENT)))
    talk.add(True, udp(True, b"ping")).add(False, udp(False, b"ping")).add(True, udp(True, b"\x00\x01\xff\xfe" * 40))
    quoted = IPerror(src=CLIENT, dst=SERVER) / UDPerror(sport=40000, dport=9)
    talk.add(False, ethernet(False, IP(src=SERVER, dst=CLIENT) / ICMP(type=3, code=3) / quoted))
    talk.add(True, ethernet(True, IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=7, seq=1) / (b"x" * 56)))
    talk.add(False, ethernet(False, IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=7, seq=1, chksum=0xBAD) / (b"x" * 56)))
    talk.add(True, ipv6(True, ICMPv6ND_NS(tgt="2001:db8::1"))).add(
        False, ipv6(False, ICMPv6ND_NA(tgt="2001:db8::1", S=1))
    )
    talk.add(True, ipv6(True, ICMPv6MLReport2())).add(True, ipv6(True, ICMPv6ND_NA(tgt="2001:db8::2", S=0)))
    talk.add(True, ethernet(True, ARP(op=1, hwsrc="52:54:00:00:00:02", psrc=CLIENT, pdst=CLIENT)))
    talk.add(True, ethernet(True, ARP(op=3, hwsrc="52:54:00:00:00:02"), type=0x8035)).add(True, b"CHAOhello").add(
        True, b"runt"
    )
    talk.add(True, ethernet(True, b"CHAO\x00\x05hello" + bytes(40), type=0x88B5))
    golden("datagrams", draw(talk.packets))


def test_a_window_of_time() -> None:
    packets = too_early().packets
    assert draw(packets, start_ns=START + 10**9) == "  (no packets)"
    text = draw(packets, start_ns=packets[3].time_ns, end_ns=packets[3].time_ns)
    assert "14 bytes" in text
    assert "SYN" not in text
    assert "121 bytes" not in text


def test_directions_are_guessed_where_a_capture_has_none() -> None:
    packets = [Packet(packet.data, packet.time_ns, Direction.UNKNOWN, "", ETH0) for packet in too_early().packets]
    assert draw(packets) == draw(too_early().packets)


@pytest.mark.parametrize("columns", [1, 60, 72, 80, 100, 200])
def test_no_line_is_longer_than_the_terminal(columns: int) -> None:
    talk = too_early()
    talk.tcp(True, "PA", b"w" * 1400, seq=300, comment="delayed 200 ms by plan; corrupted by plan", port=9)
    text = draw(
        talk.packets,
        remarks={0: "a remark that is rather long, as remarks go " * 3},
        style=Style(columns, options=True),
    )
    assert max(map(len, text.splitlines())) <= max(columns, 60)


def test_hostile_packets_are_drawn_too() -> None:
    chance = random.Random(8841)
    seeds = [packet.data for packet in too_early().packets]
    packets = []
    for number in range(3000):
        frame = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(8)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        cut = bytes(frame[: chance.randrange(len(frame) + 1)])
        packets.append(Packet(cut, number, Direction(chance.randrange(3)), "\x1b[31m" * chance.randrange(2), ETH0))
    text = draw(packets, style=Style(rows=3000, options=True), remarks={5: "\x1b]0;title\x07"})
    assert all(char == "\n" or char.isprintable() for char in text)


def write(path: Path, packets: list[Packet], interface: Interface = ETH0) -> Path:
    writer = Writer(path, [interface])
    for packet in packets:
        writer.add(packet.data, packet.time_ns, packet.direction, packet.comment)
    writer.close()
    return path


def test_description_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    golden("describe", describe(write(Path("eth0.pcapng"), too_early().packets)))
    assert describe(write(Path("eth1.pcapng"), [], Interface("eth1"))) == "eth1.pcapng\neth1: no packets"


def test_description_of_a_damaged_file(tmp_path: Path) -> None:
    path = write(tmp_path / "eth0.pcapng", too_early().packets)
    path.write_bytes(path.read_bytes()[:-80])
    text = describe(path)
    assert "4 packets" in text
    assert "the capture breaks: the capture ends in the middle of a block" in text
    path.write_bytes(b"not a capture at all")
    with pytest.raises(CaptureError, match="not a pcapng file"):
        describe(path)


def vsock(source: int, destination: int, operation: int, payload: bytes = b"", flags: int = 0) -> bytes:
    """A packet as the vsock switch captures it: vsockmon's header, virtio's header, the payload."""
    server = 1024
    ports = (5000, server) if source == 4 else (server, 5000)
    monitor = [
        (source, 8),
        (destination, 8),
        (ports[0], 4),
        (ports[1], 4),
        (4 if payload else 3, 2),
        (2, 2),
        (44, 2),
        (0, 2),
    ]
    virtio = [(source, 8), (destination, 8), (ports[0], 4), (ports[1], 4), (len(payload), 4), (1, 2), (operation, 2)]
    virtio += [(flags, 4), (262144, 4), (5, 4)]
    return b"".join(value.to_bytes(size, "little") for value, size in monitor + virtio) + payload


def test_description_of_a_vsock_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    interface = Interface("vsock", LINKTYPE_VSOCK)
    talk = Conversation(interface=interface)
    talk.add(True, vsock(4, 3, 1)).add(False, vsock(3, 4, 2)).add(True, vsock(4, 3, 5, b"hello\n"))
    talk.add(False, vsock(3, 4, 6)).add(True, vsock(4, 3, 4, flags=2)).add(False, vsock(3, 4, 3), "reset by plan")
    golden("vsock", describe(write(Path("vsock.pcapng"), talk.packets, interface)))
