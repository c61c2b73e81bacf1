"""Chapter 11: `arp-ping` is a host of its own on the bare link, eth1, where its machine's kernel has no address."""

import errno
import random
import re
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP, UDPerror
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Padding
from scapy.utils import checksum

from groundup_guest.scene import Scene
from groundup_guest.steps import FailedError
from groundup_guest.testing import Link, Links, Machine, Program, Server, needs, points, read

IFACE = "eth1"
HOST, PEER, OTHER = "198.51.100.1", "198.51.100.2", "198.51.100.77"
NETWORK = f"{PEER}/24"
BROADCAST, NOBODY = "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"
STRANGER, GROUP = "02:00:00:00:00:09", "01:00:5e:00:00:01"
MOST_DATA = 1472
"""Bytes of data in an echo request, or of a datagram, that fit a frame."""
TAG = "The kernel has taken the tag off, and shows the frame to a socket for all protocols: SKF_AD_VLAN_TAG_PRESENT."
PATIENCE = 0.05
"""Seconds for --timeout where a test only waits for it to pass."""
TIMED_OUT = 3
IS_AT, LINE, TOTAL = (
    r"198\.51\.100\.2 is at ([0-9a-f:]{17})",
    r"56 bytes from 198\.51\.100\.2: seq=(\d+) time=(\d+\.\d+) ms",
    r"(\d+) sent, (\d+) received, (\d+)% lost(; min/avg/max ([0-9.]+)/([0-9.]+)/([0-9.]+) ms)?",
)


def answers(server: Server, *, hint: str = "") -> Program:
    """Start the program so that it answers."""
    program = server.start("--interface", IFACE, "--address", HOST, hint=hint)
    text = program.address.text
    assert text == f"packet:{IFACE}", f"It listens on packet:{IFACE}, and its ready line says {text}."
    return program


def pings(server: Server, *options: str) -> Program:
    """Start the program so that it pings this machine."""
    return server.run("--interface", IFACE, "--address", HOST, *options, PEER)


def in_time(scene: Scene, waits: int = 1) -> str:
    """Return a --timeout that, so many times, is enough for an answer of this test's, on a slow machine as well."""
    return f"{2.4 * scene.deadlines.slack / waits:.3f}"


def is_icmp(frame: Packet) -> bool:
    """Return whether it is ICMP."""
    return ICMP in frame


def anything(frame: Packet) -> bool:
    """Return whether it is anything that the program says."""
    return ARP in frame or IP in frame


def who_has(link: Link, target: str = HOST, **fields: Any) -> Packet:
    """Return an ARP request from this machine."""
    frame: Packet = Ether(src=link.mac, dst=BROADCAST) / ARP(
        **dict[str, Any]({"op": 1, "hwsrc": link.mac, "psrc": PEER, "hwdst": NOBODY, "pdst": target, **fields})
    )
    return frame


def shown(value: object) -> str:
    """Return a field's value, or several, as a person would write them."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def told(link: Link, *, to: str = PEER, at: str = "", hint: str = "") -> None:
    """Expect that the next thing the program says is where it is, to us or to who is `at` another address."""
    mac = at or link.mac
    frame = link.receives_next(lambda said: ARP in said, what="an ARP reply", whose=anything, hint=hint)
    arp = frame[ARP]
    for what, found, wanted in (
        ("hardware, protocol and their lengths", (arp.hwtype, arp.ptype, arp.hwlen, arp.plen), (1, 0x0800, 6, 4)),
        ("operation", arp.op, 2),
        ("sender", (arp.hwsrc, arp.psrc), (link.server_mac, HOST)),
        ("target", (arp.hwdst, arp.pdst), (mac, to)),
        ("frame, from whom to whom,", (frame.src, frame.dst), (link.server_mac, mac)),
        ("padding", bytes(frame)[42:].strip(b"\0"), b""),
    ):
        if found != wanted:
            raise FailedError(f"The ARP reply's {what} should be {shown(wanted)}, not {shown(found)}.", hint)


def packet(link: Link, *, dst: str = HOST, src: str = PEER, **fields: Any) -> Packet:
    """Return the headers of a packet for the program."""
    frame: Packet = Ether(dst=link.server_mac, src=link.mac) / IP(src=src, dst=dst, **fields)
    return frame


def echo(data: bytes = b"", number: int = 1, **fields: Any) -> Packet:
    """Return an echo request."""
    message: Packet = ICMP(type=8, id=0x4711, seq=number, **fields) / data
    return message


def right(frame: Packet) -> bool:
    """Return whether a packet's checksums are right: summed up with what they are over they leave 0 (RFC 1071)."""
    raw = bytes(frame)[14 : 14 + frame[IP].len]
    header, rest = raw[: 4 * frame[IP].ihl], raw[4 * frame[IP].ihl :]
    if frame[IP].proto == socket.IPPROTO_UDP:
        rest = raw[12:20] + struct.pack("!HH", socket.IPPROTO_UDP, len(rest)) + rest
    return checksum(header) == 0 and checksum(rest) == 0


def echoed(link: Link, data: bytes, number: int = 1, *, hint: str = "") -> Packet:
    """Expect that the next thing the program says is the reply to that request, whole and right."""

    def fits(frame: Packet) -> bool:
        if ICMP not in frame:
            return False
        ip, message = frame[IP], frame[ICMP]
        # Options may come back, or may not.
        wanted = (HOST, PEER, 8 + len(data), 0, 0x4711, number)
        found = (ip.src, ip.dst, ip.len - 4 * ip.ihl, message.type, message.id, message.seq)
        ends = (frame.src, frame.dst) == (link.server_mac, link.mac)
        carried = bytes(message.payload)[: len(data)]
        return wanted == found and ends and carried == data and message.code == 0 and right(frame)

    return link.receives_next(
        fits, what=f"the echo reply {number} with its {len(data)} bytes and right checksums", whose=anything, hint=hint
    )


Case = tuple[Callable[[int], Packet | bytes], str, str]
"""A frame that wants no answer, made for a number by which its answer would be known; what it is; a hint."""


def tries(link: Link, cases: list[Case], number_of: Callable[[Packet], int | None]) -> None:
    """Send frames that want no answer, and an echo request behind them: the first thing said has to be its reply."""
    for number, (frame, what, _) in enumerate(cases, start=100):
        link.sends(frame(number), note=what)
    link.sends(packet(link) / echo(b"still there?"))
    said = link.receives(anything, what="the answer to the last one")
    found = number_of(said)
    if found is not None and 0 <= found - 100 < len(cases):
        _, what, hint = cases[found - 100]
        raise FailedError(f"The program answered {what}: {said.summary()}.", hint)
    data = bytes(said[ICMP].payload)[:12] if ICMP in said else b""
    assert data == b"still there?", f"The program answered one of the frames that want no answer: {said.summary()}."


def by_sequence(frame: Packet) -> int | None:
    """Return an echo reply's number."""
    return int(frame[ICMP].seq) if ICMP in frame and frame[ICMP].type == 0 else None


@points(7)
@read("RFC 826, Packet Reception", "packet(7)", "RFC 5227, section 2.1.1")
def test_answers_arp(server: Server, link: Links) -> None:
    """Whoever asks who has the address is told, in a reply to the asker alone."""
    wire = link.on(IFACE)
    answers(server)
    for frame, to, what in (
        (who_has(wire), PEER, "The question went to everybody."),
        (
            Ether(dst=wire.server_mac) / who_has(wire)[ARP],
            PEER,
            "The question went to the program alone: who asks knows it already.",
        ),
        (
            who_has(wire, psrc="0.0.0.0"),
            "0.0.0.0",
            "The question was a probe: it asks without an address of its own (RFC 5227).",
        ),
        (
            who_has(wire) / Padding(b"\xaa" * 18),
            PEER,
            "Behind the question the frame is filled with what is none of ARP's.",
        ),
    ):
        frame.src = wire.mac
        wire.sends(frame)
        told(wire, to=to, hint=what)
    wire.sends(who_has(wire, hwsrc=STRANGER))
    told(wire, at=STRANGER, hint="The sender's hardware address is ARP's: the frame may have come from elsewhere.")


@points(6)
@needs("test_echoes")
@read("RFC 826, Packet Reception", "RFC 5227, section 3")
def test_arp_for_others(server: Server, link: Links, machine: Machine) -> None:
    """What asks for others, tells something, or is of another kind is not answered."""
    wire = link.on(IFACE)
    answers(server)
    machine.promiscuous(IFACE)

    def of(number: int) -> str:
        return f"198.51.100.{number}"

    def changed(number: int, place: int, value: int) -> bytes:
        """Return a request with one byte of ARP's changed: Scapy would write addresses of other kinds otherwise."""
        frame = bytearray(bytes(who_has(wire, psrc=of(number))))
        frame[14 + place] = value
        return bytes(frame)

    def to_stranger(number: int) -> Packet:
        frame: Packet = Ether(src=wire.mac, dst=STRANGER) / who_has(wire, psrc=of(number))[ARP]
        return frame

    def tagged(number: int) -> Packet:
        frame: Packet = Ether(src=wire.mac, dst=BROADCAST) / Dot1Q(vlan=7) / who_has(wire, psrc=of(number))[ARP]
        return frame

    tries(
        wire,
        [
            (lambda n: who_has(wire, OTHER, psrc=of(n)), "a request for another address", "Compare the target."),
            (
                lambda n: who_has(wire, of(n), psrc=of(n)),
                "a gratuitous request",
                "It tells something, and asks nothing.",
            ),
            (lambda n: who_has(wire, op=2, psrc=of(n)), "a reply", "Only a request (1) is answered."),
            (lambda n: who_has(wire, op=3, psrc=of(n)), "another operation", "Only a request (1) is answered."),
            (lambda n: changed(n, 1, 6), "another hardware's request", "Ethernet's number is 1."),
            (lambda n: changed(n, 3, 1), "another protocol's request", "IPv4's number is 0x0800."),
            (lambda n: changed(n, 4, 8), "hardware addresses of 8 bytes", "Ethernet's have 6."),
            (lambda n: changed(n, 5, 16), "protocol addresses of 16 bytes", "IPv4's have 4."),
            (lambda n: changed(n, 1, 1)[:-1], "a request one byte short", "Look how much has come."),
            (lambda n: who_has(wire, hwsrc=BROADCAST, psrc=of(n)), "a request from everybody", "Nobody is everybody."),
            (lambda n: who_has(wire, hwsrc=GROUP, psrc=of(n)), "a request from a group", "A group asks nothing."),
            (to_stranger, "a frame to another machine", "It is marked PACKET_OTHERHOST."),
            (tagged, "a request in VLAN 7", TAG),
        ],
        lambda frame: int(frame[ARP].pdst.rpartition(".")[2]) if ARP in frame else None,
    )


@points(4)
@needs("test_answers_arp")
@read("arping(8)", "RFC 826")
def test_arping(server: Server, link: Links) -> None:
    """arping(8), which others wrote, finds it."""
    wire = link.on(IFACE)
    wire.has_address(NETWORK)
    answers(server)
    found = wire.runs("arping", "-f", "-c", "3", "-I", IFACE, HOST)
    assert found.status == 0, f"arping got no answer: {found.output}"
    assert wire.server_mac in found.output.lower(), f"arping was told another address: {found.output}"


@points(7)
@needs("test_answers_arp")
@read("RFC 792, Echo or Echo Reply Message", "RFC 1071, section 1", "RFC 791, section 3.1")
def test_echoes(server: Server, link: Links) -> None:
    """An echo request is answered: addresses change places, identifier, number and data come back as they are."""
    wire = link.on(IFACE)
    answers(server)
    requests = ((1, b"ground"), (65535, b""), (0, bytes(range(256))))
    for number, data in requests:
        wire.sends(packet(wire) / echo(data, number))
    for number, data in requests:
        answer = echoed(wire, data, number)
        assert answer[IP].ttl > 0, (
            "The reply's time to live is 0, which no packet may have (RFC 1122, section 3.2.1.7)."
        )


@points(7)
@needs("test_echoes")
@read("RFC 1071, section 1", "RFC 1122, section 3.2.2.6")
def test_sizes(server: Server, link: Links, rng: random.Random) -> None:
    """Whatever its size, up to what fits a frame, an echo comes back, and its checksum is right for any bytes."""
    wire = link.on(IFACE)
    answers(server)
    hint = "An odd byte at the end counts as if a zero followed; the carry is added until there is none."
    sizes = [1, 2, 17, 18, 19, *rng.sample(range(20, MOST_DATA - 1), k=2), MOST_DATA - 1, MOST_DATA]
    contents = [rng.randbytes(size) for size in sizes]
    contents += [b"\xff" * MOST_DATA, b"\xff" * 1001, bytes(1000)]
    # The reply's words sum up to 0x1FFFF: the carry, added, carries once more.
    contents.append(b"\xff\xff" + struct.pack("!H", 0x10000 - 0x4711 - len(contents)))
    for number, data in enumerate(contents):
        wire.sends(packet(wire) / echo(data, number))
    for number, data in enumerate(contents):
        echoed(wire, data, number, hint=hint)


@points(6)
@needs("test_echoes")
@read("RFC 1071", "RFC 1122, section 3.2.1.2", "RFC 792")
def test_checksums(server: Server, link: Links, rng: random.Random) -> None:
    """What has a wrong checksum, in IP or in ICMP, is passed over in silence."""
    wire = link.on(IFACE)
    answers(server)
    good = bytes(packet(wire) / echo(rng.randbytes(31)))
    place, bit = rng.randrange(42, len(good)), rng.randrange(8)
    flipped = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
    look = "Sum up what has come, the checksum as well: if it is right the result is 0."
    tries(
        wire,
        [
            (lambda n: packet(wire) / echo(b"x", n, chksum=0x1234), "a message with a wrong checksum", look),
            (lambda n: packet(wire) / echo(b"x", n, chksum=0), "a message without a checksum", f"ICMP has one. {look}"),
            (lambda n: packet(wire, chksum=0x1234) / echo(b"x", n), "a packet with a wrong header checksum", look),
            (lambda n: packet(wire, chksum=0) / echo(b"x", n), "a packet without a header checksum", look),
            (lambda _: Ether(flipped), "a message with one bit flipped", look),
        ],
        by_sequence,
    )


@points(6)
@needs("test_sizes")
@read("RFC 894", "RFC 791, section 3.1, Total Length", "RFC 1122, section 3.2.1.8")
def test_padding_and_options(server: Server, link: Links, rng: random.Random) -> None:
    """Where a packet ends its total length says, and where its header ends its header length."""
    wire = link.on(IFACE)
    answers(server)
    wire.sends(packet(wire) / echo(b"\xaa" * 300))
    echoed(wire, b"\xaa" * 300)
    for number, (frame, hint) in enumerate(
        (
            (packet(wire) / echo(b"abc"), "An answer's padding is zeros, not old memory."),
            (packet(wire) / echo(b"abc") / Padding(b"\xaa" * 15), "What follows the total length is padding."),
            (packet(wire) / echo(b"abc") / Padding(rng.randbytes(700)), "What follows the total length is padding."),
            (packet(wire, options=[IPOption_NOP()] * 8) / echo(b"abc"), "The header length counts words of 4 bytes."),
            (packet(wire, options=[IPOption_NOP()] * 40) / echo(b"abc"), "The header length counts words of 4 bytes."),
        )
    ):
        frame[ICMP].seq = 50 + number
        wire.sends(frame)
        answer = echoed(wire, b"abc", 50 + number, hint=hint)
        rest = bytes(answer)[14 + answer[IP].len :]
        assert not rest.strip(b"\0"), f"Behind the answer come bytes that are not all zeros: {rest[:40]!r}. {hint}"


@points(7)
@needs("test_checksums", "test_padding_and_options")
@read("RFC 1122, section 3.2.1.3", "RFC 1122, section 3.2.2.6", "RFC 791, section 3.2")
def test_not_for_us(server: Server, link: Links, machine: Machine) -> None:
    """What is for others or from nobody, cut short, a fragment, or no request is passed over in silence."""
    wire = link.on(IFACE)
    program = answers(server)
    machine.promiscuous(IFACE)
    other, everybody = Ether(dst=STRANGER, src=wire.mac), Ether(dst=BROADCAST, src=wire.mac)
    group, from_group = Ether(dst=GROUP, src=wire.mac), Ether(dst=wire.server_mac, src=GROUP)
    tagged = Ether(dst=wire.server_mac, src=wire.mac) / Dot1Q(vlan=7)
    ip = IP(src=PEER, dst=HOST)

    def ask(number: int) -> Packet:
        return echo(b"x", number)

    def stamp(number: int) -> Packet:
        message: Packet = ICMP(type=13, seq=number)
        return message

    tries(
        wire,
        [
            (lambda n: packet(wire, dst=OTHER) / ask(n), "a packet to another address", "Compare the destination."),
            (lambda n: packet(wire, dst="255.255.255.255") / ask(n), "a packet to all", "Compare the destination."),
            (lambda n: other / ip / ask(n), "a frame to another machine", "It is marked PACKET_OTHERHOST."),
            (lambda n: everybody / ip / ask(n), "a frame to everybody", "A packet to one comes in a frame to one."),
            (lambda n: group / ip / ask(n), "a frame to several machines", "It is marked PACKET_MULTICAST."),
            (lambda n: tagged / ip / ask(n), "a frame of VLAN 7", TAG),
            (lambda n: from_group / ip / ask(n), "a frame that a group has sent", "Who gets the answer?"),
            (lambda n: packet(wire, src="224.0.0.1") / ask(n), "a packet from a group", "A group sends nothing."),
            (lambda n: packet(wire, src="255.255.255.255") / ask(n), "a packet from everybody", "Who gets the answer?"),
            (lambda n: packet(wire, src="0.0.0.0") / ask(n), "a packet from nobody", "Who gets the answer?"),
            (
                lambda n: packet(wire, src="240.0.0.1") / ask(n),
                "a packet from 240.0.0.1",
                "No machine has that address.",
            ),
            (
                lambda n: packet(wire, src="127.0.0.1") / ask(n),
                "a packet from 127.0.0.1",
                "That is each machine's own.",
            ),
            (
                lambda n: packet(wire, flags="MF") / ask(n),
                "a first fragment",
                "More fragments follow: it is not whole.",
            ),
            (lambda n: packet(wire, frag=5) / ask(n), "a last fragment", "It does not begin with a header of ICMP."),
            (lambda n: packet(wire, len=500) / ask(n), "a packet of 500 bytes, it says", "Fewer have come."),
            (lambda n: packet(wire, len=16) / ask(n), "a packet of 16 bytes, it says", "Its header alone has 20."),
            (lambda n: packet(wire, ihl=4) / ask(n), "a header of 16 bytes", "A header has 20 bytes at least."),
            (lambda n: packet(wire, version=5) / ask(n), "another version", "The version is 4."),
            # Those four bytes have a right checksum.
            (
                lambda n: packet(wire, len=24) / echo(b"x", n, chksum=0xF7FF),
                "half a message",
                "ICMP's header has 8 bytes.",
            ),
            (lambda n: packet(wire) / ICMP(type=0, id=1, seq=n) / b"x", "an echo reply", "A reply is not answered."),
            (lambda n: packet(wire) / stamp(n), "another request", "Only echo requests (8) are answered here."),
            (lambda n: packet(wire) / echo(b"x", n, code=1), "a request of code 1", "An echo request has the code 0."),
            (lambda n: packet(wire, proto=6) / ask(n), "TCP", "The protocol is not ICMP's."),
        ],
        by_sequence,
    )
    wire.receives_nothing_until(program.waits_for_next(), anything, what="an answer to what wants none")


@points(4)
@needs("test_echoes")
@read("ping(8)")
def test_ping_of_the_kernel(server: Server, link: Links) -> None:
    """ping(8), with the other machine's kernel below it, gets all its answers."""
    wire = link.on(IFACE)
    wire.has_address(NETWORK)
    answers(server)
    found = wire.runs("ping", "-n", "-c", "3", "-i", "0.01", "-W", "5", "-s", str(MOST_DATA), HOST)
    assert found.status == 0, f"ping got no answer: {found.output}"
    assert " 0% packet loss" in found.output, f"ping has not got all answers: {found.output}"


@points(6)
@needs("test_sizes")
@read("RFC 768", "RFC 862", "recvfrom(2)")
def test_udp_echo(server: Server, link: Links, scene: Scene, rng: random.Random) -> None:
    """A datagram to port 7 comes back, and a kernel finds it good: recvfrom(2) tells the same port and bytes."""
    wire = link.on(IFACE)
    wire.has_address(NETWORK)
    answers(server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(scene.deadlines.default)
        for size in (0, 1, rng.randrange(2, MOST_DATA), MOST_DATA):
            data = rng.randbytes(size)
            scene.steps.add("peer", f"sends a datagram of {size} bytes to port 7")
            peer.sendto(data, (HOST, 7))
            try:
                found = peer.recvfrom(2000)
            except TimeoutError:
                hint = "A kernel drops what has a wrong checksum: RFC 768 sums up a pseudo header as well."
                scene.steps.fail("peer", "expected the datagram back", f"{size} bytes did not come back.", hint)
            assert found == (data, (HOST, 7)), f"Of {size} bytes {len(found[0])} came back, from {found[1]}."


@points(6)
@needs("test_udp_echo")
@read("RFC 768, Fields", "RFC 1122, section 4.1.3", "RFC 792, Destination Unreachable Message")
def test_udp_header(server: Server, link: Links, scene: Scene) -> None:
    """UDP's length and checksum are looked at, 0 being none; a port where nobody listens is said to be unreachable."""
    wire = link.on(IFACE)
    answers(server)

    def datagram(data: bytes, port: int = 7, source: int = 4711, **fields: Any) -> Packet:
        frame: Packet = packet(wire) / UDP(sport=source, dport=port, **fields) / data
        return frame

    def cut(number: int) -> Packet:
        frame: Packet = packet(wire, proto=17) / bytes(datagram(b"", source=number))[34:41]
        return frame

    def number_of(frame: Packet) -> int | None:
        if UDP in frame:
            said = bytes(frame[UDP].payload)[:3]
            return int(said) if said.isdigit() else int(frame[UDP].dport)
        return int(frame[UDPerror].sport) if UDPerror in frame else None

    hint_of_echoes = "Another echo would send the answer back, and so on for ever."
    tries(
        wire,
        [
            (
                lambda n: datagram(b"wrong", source=n, chksum=0x1234),
                "a wrong checksum",
                "Sum up the pseudo header, too.",
            ),
            (
                lambda n: datagram(b"wrong", 9, source=n, chksum=0x1234),
                "a wrong checksum, to a port where nobody listens",
                "What is damaged may be another port's, or another machine's.",
            ),
            # Without a checksum it is the length alone that is wrong.
            (
                lambda n: datagram(b"short", source=n, len=7, chksum=0),
                "a datagram of 7 bytes, it says",
                "UDP's header has 8.",
            ),
            (
                lambda n: datagram(b"long", source=n, len=500, chksum=0),
                "a datagram of 500 bytes, it says",
                "IP says fewer.",
            ),
            (cut, "half a header", "UDP's header has 8 bytes."),
            (lambda n: datagram(b"%d" % n, source=7), "a datagram that comes from port 7", hint_of_echoes),
            (
                lambda n: datagram(b"%d" % n, source=0),
                "a datagram from port 0",
                "That is no port: nobody gets the answer.",
            ),
        ],
        number_of,
    )

    def comes_back(data: bytes) -> None:
        wire.receives_next(
            lambda frame: UDP in frame and bytes(frame[UDP].payload)[: frame[UDP].len - 8] == data and right(frame),
            what=f"a datagram with {data!r}",
            whose=anything,
            hint="A checksum of 0 is none. UDP's own length says where its data end.",
        )

    wire.sends(datagram(b"none", chksum=0))
    comes_back(b"none")
    part = bytes(datagram(b"leng"))[34:]  # with its checksum
    wire.sends(packet(wire, proto=17) / (part + b"thy"))
    comes_back(b"leng")
    rest = bytes(datagram(b"\0\0"))[40:42]  # the checksum; with it as the data all of it sums up to 0xFFFF
    wire.sends(datagram(rest))
    wire.receives_next(
        lambda frame: UDP in frame and frame[UDP].chksum == 0xFFFF,
        what="a datagram whose checksum is 0xFFFF",
        whose=anything,
        hint="A checksum that comes out as 0 is sent as 0xFFFF: 0 means that there is none.",
    )
    sent = bytes(packet(wire, options=[IPOption_NOP()] * 8) / UDP(sport=4711, dport=9) / b"quoted")
    wire.sends(sent)

    def quotes(frame: Packet) -> bool:
        if ICMP not in frame:
            return False
        message = bytes(frame)[14 + 4 * frame[IP].ihl :]
        return (message[0], message[1], message[8:44]) == (3, 3, sent[14:50]) and right(frame)

    wire.receives_next(
        quotes,
        what="port unreachable, with all 28 bytes of the header that came, and 8 more",
        whose=anything,
        hint="The header that came may have options: how long it is it says itself.",
    )
    wire.has_address(NETWORK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(scene.deadlines.default)
        peer.connect((HOST, 9))
        scene.steps.add("peer", "sends a datagram to port 9, where nobody listens")
        peer.send(b"anybody?")
        hint = "ICMP type 3, code 3; behind four unused bytes the header that came and 8 bytes of what it carried."
        try:
            peer.recv(2000)
            raise FailedError("A datagram came back from port 9, where nobody listens.", hint)
        except ConnectionRefusedError:
            scene.steps.add("peer", f"got {errno.errorcode[errno.ECONNREFUSED]}")
        except TimeoutError:
            scene.steps.fail("peer", "expected ECONNREFUSED", "Nobody says that port 9 is unreachable.", hint)


@points(7)
@needs("test_echoes")
@read("RFC 826, Packet Generation", "RFC 792", "clock_gettime(2)")
def test_pings_the_kernel(server: Server, link: Links) -> None:
    """The program pings the other machine's kernel: it asks for its address, sends three requests, and sums up."""
    wire = link.on(IFACE)
    wire.has_address(NETWORK)
    program = pings(server, "--timeout", "10")
    program.exits(0)
    for number in range(1, 4):
        pinged(wire, number)
    lines = program.stdout.splitlines()
    assert len(lines) == 5, f"Five lines are expected: where it is, three answers, the sum. It printed: {lines}"
    where, total = re.fullmatch(IS_AT, lines[0]), re.fullmatch(TOTAL, lines[-1])
    assert where, f"The first line is `{PEER} is at MAC`, and it printed {lines[0]!r}."
    assert where[1] == wire.mac, f"It is at {wire.mac}, and not at {where[1]}."
    found = [re.fullmatch(LINE, line) for line in lines[1:-1]]
    times = []
    for number, match in enumerate(found, start=1):
        assert match, f"An answer's line is `56 bytes from {PEER}: seq=N time=T ms`: {lines[number]!r}."
        assert match[1] == str(number), f"The answers are numbered from 1 on: {lines[number]!r}."
        times.append(float(match[2]))
    assert total, f"The last line is `N sent, N received, P% lost; min/avg/max A/B/C ms`: {lines[-1]!r}."
    assert total.group(1, 2, 3) == ("3", "3", "0"), f"Three were sent, three received: {lines[-1]!r}."
    least, average, most = map(float, total.group(5, 6, 7))
    assert (least, most) == (min(times), max(times)), f"Of {times} the least and the most are others: {lines[-1]!r}."
    assert abs(average - sum(times) / 3) < 0.01, f"{average} is not the average of {times}."


def asked(link: Link, *, hint: str = "") -> Packet:
    """Expect that the next thing the program says asks for our address, right in every field."""

    def fits(frame: Packet) -> bool:
        if ARP not in frame:
            return False
        arp = frame[ARP]
        found = (arp.hwtype, arp.ptype, arp.hwlen, arp.plen, arp.op, arp.hwsrc, arp.psrc, arp.pdst)
        wanted = (1, 0x0800, 6, 4, 1, link.server_mac, HOST, PEER)
        return found == wanted and (frame.src, frame.dst) == (link.server_mac, BROADCAST)

    return link.receives_next(fits, what="an ARP request to everybody", whose=anything, hint=hint)


def is_at(link: Link, mac: str = "", **fields: Any) -> Packet:
    """Return the reply to the program's request."""
    frame: Packet = Ether(src=mac or link.mac, dst=link.server_mac) / ARP(
        **{"op": 2, "hwsrc": mac or link.mac, "psrc": PEER, "hwdst": link.server_mac, "pdst": HOST, **fields}
    )
    return frame


def pinged(link: Link, number: int, *, size: int = 56, at: str = "", hint: str = "") -> Packet:
    """Expect that the next thing the program says is that echo request, whole and right, to our address or `at`."""

    def fits(frame: Packet) -> bool:
        if ICMP not in frame:
            return False
        ip, message = frame[IP], frame[ICMP]
        found = (ip.src, ip.dst, ip.len, message.type, message.code, message.seq)
        ends = (frame.src, frame.dst) == (link.server_mac, at or link.mac)
        return found == (HOST, PEER, 28 + size, 8, 0, number) and ends and right(frame)

    return link.receives_next(fits, what=f"the echo request {number} to {at or link.mac}", whose=is_icmp, hint=hint)


def reply_to(link: Link, request: Packet, **fields: Any) -> Packet:
    """Return the reply to an echo request; with `fields` of ICMP or IP, or `data`, another one."""
    message = request[ICMP]
    data = fields.pop("data", bytes(message.payload)[: request[IP].len - 28])
    ip = IP(src=fields.pop("src", PEER), dst=fields.pop("dst", HOST))
    icmp = ICMP(**{"type": 0, "id": message.id, "seq": message.seq, **fields})
    frame: Packet = Ether(src=link.mac, dst=link.server_mac) / ip / icmp / data
    return frame


@points(6)
@needs("test_pings_the_kernel")
@read("RFC 826", "RFC 1122, section 2.3.2.1")
def test_resolves(server: Server, link: Links, scene: Scene) -> None:
    """Only the answer to its own question tells the program where the target is; it asks up to three times."""
    wire = link.on(IFACE)
    frames = [
        (bytes(is_at(wire, STRANGER, psrc=OTHER)), "where somebody else is"),
        (bytes(is_at(wire, STRANGER, hwdst=STRANGER, pdst=OTHER)), "an answer to somebody else"),
        (bytes(is_at(wire, STRANGER, hwdst=STRANGER)), "an answer to another hardware address"),
        (bytes(is_at(wire, STRANGER, pdst=OTHER)), "an answer to another address"),
        (bytes(is_at(wire, GROUP)), "an answer that says a group's address"),
        (bytes(who_has(wire, PEER, hwsrc=STRANGER)), "a stranger's gratuitous request"),
        (bytes(who_has(wire, hwsrc=STRANGER, hwdst=wire.server_mac)), "a stranger's request in the target's name"),
        (bytes(is_at(wire)), "the answer"),
    ]
    patience = in_time(scene)
    program = pings(server, "--count", "1", "--size", str(MOST_DATA), "--timeout", patience)
    hint = "Without an answer it asks again after --timeout, three times in all."
    asked(wire, hint=hint)
    asked(wire, hint=hint)
    for frame, what in frames:
        wire.sends(frame, note=what)
    hint = "The answer is a reply whose sender is the target, and whose target is the program, by both addresses."
    request = pinged(wire, 1, size=MOST_DATA, hint=hint)
    wire.sends(reply_to(wire, request))
    program.exits(0)
    assert program.seconds > 0.95 * float(patience), (
        f"It asked a second time before --timeout, {patience} s, was over: all of it took {program.seconds:.3f} s."
    )


@points(5)
@needs("test_resolves")
@read("RFC 826, Packet Reception", "RFC 5227, section 5")
def test_is_not_poisoned(server: Server, link: Links) -> None:
    """Once it knows where the target is, nobody changes that by an answer to which there was no question."""
    wire = link.on(IFACE)
    program = pings(server, "--count", "4", "--timeout", "10")
    asked(wire)
    wire.sends(is_at(wire))
    hint = "RFC 826 lets every packet update the table. Whoever believes what nobody asked can be led anywhere."
    poison = (
        (is_at(wire, STRANGER), "an unasked reply"),
        (who_has(wire, PEER, hwsrc=STRANGER), "a gratuitous request"),
        (who_has(wire, HOST, hwsrc=STRANGER), "a request, which is answered"),
    )
    for number in range(1, 5):
        request = pinged(wire, number, hint=hint)
        if number <= len(poison):
            frame, what = poison[number - 1]
            wire.sends(frame, note=what)
            if frame.pdst == HOST and frame.op == 1:
                told(wire, at=STRANGER, hint="While it waits it answers as well: else nobody could answer it.")
        else:
            wire.sends(packet(wire) / echo(b"and you?"))
            echoed(wire, b"and you?", hint="While it waits it answers as the host does.")
        wire.sends(reply_to(wire, request))
    program.exits(0)


@points(6)
@needs("test_resolves")
@read("RFC 792", "RFC 1122, section 3.2.2.6")
def test_believes_no_other_reply(server: Server, link: Links, rng: random.Random) -> None:
    """A reply counts if it is the target's, to this request: its identifier, number and data, and a right checksum."""
    wire = link.on(IFACE)
    size = rng.randrange(1, MOST_DATA)
    program = pings(server, "--count", "1", "--timeout", "10", "--size", str(size))
    asked(wire)
    wire.sends(is_at(wire))
    request = pinged(wire, 1, size=size, hint=f"--size {size} is the size of the data.")
    began = time.monotonic()
    data = bytes(request[ICMP].payload)[:size]
    for frame, what in (
        (reply_to(wire, request, src=OTHER), "of somebody else"),
        (reply_to(wire, request, id=request[ICMP].id ^ 1), "to another program"),
        (reply_to(wire, request, seq=2), "with another number"),
        (reply_to(wire, request, data=bytes([data[0] ^ 1]) + data[1:]), "with other data"),
        (reply_to(wire, request, data=data[:-1]), "with less data"),
        (reply_to(wire, request, data=data + b"x"), "with more data"),
        (reply_to(wire, request, dst=OTHER), "to another address"),
        (reply_to(wire, request, chksum=request[ICMP].chksum), "with the request's checksum"),
        (reply_to(wire, request, type=3, code=1), "that is none: unreachable"),
    ):
        wire.sends(frame, note=f"a reply {what}")
        program.settles(hint=f"A reply {what} has come, and was taken for the answer.")
    waited = 1e3 * (time.monotonic() - began)
    wire.sends(reply_to(wire, request))
    program.exits(0)
    line = re.search(rf"^{size} bytes from 198\.51\.100\.2: seq=1 time=(\d+\.\d+) ms$", program.stdout, re.MULTILINE)
    assert line, f"The answer's line begins with `{size} bytes from {PEER}: seq=1 `: {program.stdout!r}"
    least, most = 0.9 * waited, 1e3 * program.seconds
    assert least < float(line[1]) < most, f"It took from {least:.0f} to {most:.0f} ms, not: {line[0]!r}."
    assert "1 sent, 1 received, 0% lost" in program.stdout, f"One was sent, one received: {program.stdout!r}"


@points(4)
@needs("test_resolves")
@read("clock_gettime(2)", "ppoll(2)", "ping(8), EXIT")
def test_counts_what_is_lost(server: Server, link: Links, scene: Scene) -> None:
    """What is not answered in --timeout is lost, and said to be; an answer that comes too late is no answer."""
    wire = link.on(IFACE)
    there = bytes(is_at(wire))
    program = pings(server, "--count", "6", "--timeout", in_time(scene))
    asked(wire)
    wire.sends(there, note="where we are")
    late = bytes(reply_to(wire, pinged(wire, 1)))
    second = pinged(wire, 2, hint="The next request is sent when the time of the one before is up.")
    wire.sends(late, note="the answer to the first, too late")
    wire.sends(packet(wire) / echo(b"do you wait?"))
    echoed(wire, b"do you wait?", hint="An answer that comes too late is none: it still waits for that to the second.")
    wire.sends(reply_to(wire, second))
    for number in range(3, 7):
        wire.sends(reply_to(wire, pinged(wire, number, hint="The next request is sent when the reply has come.")))
    program.exits(0)
    lines = program.stdout.splitlines()
    assert len(lines) == 8, f"There is a line for each of the six requests, answered or not: {lines!r}."
    assert lines[-1].startswith("6 sent, 5 received, 17% lost; "), f"Five of six were answered in time: {lines[-1]!r}."
    found = [match for match in (re.fullmatch(LINE, line) for line in lines) if match]
    assert [match[1] for match in found] == list("23456"), f"All but the first were answered in time: {lines!r}."
    times, total = [float(match[2]) for match in found], re.fullmatch(TOTAL, lines[-1])
    assert total and abs(float(total[6]) - sum(times) / 5) < 0.002, (
        f"The average is that of the five replies, {sum(times) / 5:.3f} ms: {lines[-1]!r}."
    )


@points(3)
@needs("test_resolves")
@read("RFC 1122, section 2.3.2.1", "ping(8), EXIT")
def test_nobody_answers(server: Server, link: Links, scene: Scene) -> None:
    """Where nobody has the address, or nothing is answered, the program says `i/o timeout`, exit status 3."""
    wire = link.on(IFACE)
    program = pings(server, "--timeout", str(PATIENCE))
    for _ in range(3):
        asked(wire)
    program.exits(TIMED_OUT, within=1.5, hint=f"It asks three times, and waits for {PATIENCE} s each time.")
    program.prints_one_line(matching=r"arp-ping: .*i/o timeout.*")
    program = pings(server, "--timeout", in_time(scene, waits=3), "--count", "1", "--size", "0")
    asked(wire)
    with wire.flooded([is_at(wire, STRANGER, psrc=OTHER)], "news of somebody else"):
        wire.sends(is_at(wire))
        pinged(wire, 1, size=0)
        program.exits(TIMED_OUT, hint="The time is for the whole wait: each frame that comes leaves less of it.")
    program.prints_one_line(matching=r"arp-ping: .*i/o timeout.*")
    total = program.stdout.splitlines()[-1]
    assert total == "1 sent, 0 received, 100% lost", f"Nothing was answered, so there are no times: {total!r}."


@points(3)
@needs("test_echoes")
@read("signal(7)", "getopt_long(3)", "inet_pton(3)")
def test_begins_and_ends(server: Server, link: Links) -> None:
    """Wrong usage is told apart from what the kernel refuses; SIGTERM ends the program within a second."""
    there = ("--interface", IFACE, "--address")
    cases = (
        (("--interface", IFACE), 2, "The address has to be given."),
        (("--address", HOST), 2, "The interface has to be given."),
        ((*there, "198.51.100.256"), 2, "That is no address."),
        ((*there, "2001:db8::1"), 2, "That is no address of IPv4."),
        ((*there, HOST, "nobody"), 2, "A target is an address."),
        ((*there, HOST, PEER, PEER), 2, "There is one target at most."),
        ((*there, HOST, "--size", str(MOST_DATA + 1), PEER), 2, f"A frame has room for {MOST_DATA} bytes."),
        ((*there, HOST, "--count", "0", PEER), 2, "None is no count."),
        (("--interface", "eth9", "--address", HOST), 1, "The kernel knows no such interface."),
    )
    for wrong, (_, status, hint) in zip([server.run(*arguments) for arguments, _, _ in cases], cases, strict=True):
        wrong.exits(status=status, hint=hint)
        wrong.prints_one_line(matching=r"arp-ping: .+", hint=hint)
    wire = link.on(IFACE)
    program = answers(server)
    wire.sends(packet(wire) / echo(b"there?"))
    echoed(wire, b"there?")
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0)
