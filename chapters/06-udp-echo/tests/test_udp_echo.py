"""Chapter 06: what a sender of datagrams may rely on when it asks `udp-echo`, and what no sender can do to it.

After every test the harness looks at the server once more: it still runs, has closed what it opened, and does not spin.
"""

import random
import signal

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from groundup_guest.scene import Scene
from groundup_guest.testing import Links, Machine, Program, Server, Udp, Wire, needs, points, read

LARGEST = 65507
SECOND = {4: "192.0.2.9", 6: "2001:db8::9"}
"""Addresses that the server machine gets beside its own."""
LINK_LOCAL = "fe80::5054:ff:fe00:1%eth0"
"""The address that the server machine has made of its eth0's own, as the client machine writes it (RFC 4007)."""
ELSEWHERE = "198.51.100.7"
"""An address to which the server machine has no route."""
ABSENT = ("192.0.2.200", "192.0.2.201", "192.0.2.202", "192.0.2.203")
"""Addresses of the server's own network that nobody has: the kernel asks for them by ARP, and waits."""
CROWD = 40
"""How many datagrams come from each of them. The answers, of 1400 bytes, are more than a send buffer holds: 212,992
bytes, the kernel's own overhead counted (socket(7), wmem_default)."""
QUEUE = 16
"""How many datagrams wait at a time for a server that is asked for its counters."""
COUNTERS = r"udp-echo: received (\d+), echoed (\d+), truncated (\d+), unsent (\d+)"


def counters(program: Program, hint: str = "") -> tuple[int, ...]:
    """Ask for the counters; return received, echoed, truncated and unsent."""
    program.signals(signal.SIGUSR1)
    match = program.says(COUNTERS, hint=hint)
    return tuple(int(number) for number in match.groups())


def count(program: Program, *expected: int, hint: str = "") -> None:
    """Expect the counters received, echoed, truncated and unsent to be these."""
    found = counters(program, hint)
    assert found == expected, (
        "The counters should be received {}, echoed {}, truncated {}, unsent {}; ".format(*expected)
        + f"they are {', '.join(map(str, found))}. {hint}"
    )


def echo_frame(wire: Wire, port: int) -> Packet:
    """Return the last frame that the server has sent from `port`, as it was on the wire."""
    return next(packet for packet in reversed(wire.capture().udp(port)) if packet[UDP].sport == port)


def comes_by_the_other_link(program: Program, udp: Udp, wire: Wire, scene: Scene) -> None:
    """Expect an answer over eth0 to what has come over eth1, which does not lead back to its sender."""
    peer = udp.socket(program)
    peer.sends(b"which way?")
    peer.receives(b"which way?")
    question = wire.capture().udp(to=program.address.port)[-1]
    question[Ether].dst = scene.settings.macs["eth1"]
    wire.injects(question, link="eth1")
    hint = (
        "The control message names the interface by which a datagram came. Sent back as it is, that forces the answer "
        "out there, past the routing table: set it to 0."
    )
    peer.receives(b"which way?", none=hint)
    by_eth1 = [packet for packet in wire.capture(link="eth1").udp() if packet[UDP].sport == program.address.port]
    assert not by_eth1, f"What came over eth1 was answered over eth1, though the way to its sender is eth0. {hint}"


@points(12)
@read("socket(2), SOCK_DGRAM", "bind(2)", "recvmsg(2)", "sendmsg(2)", "getsockname(2)")
def test_echoes(server: Server, udp: Udp, rng: random.Random) -> None:
    """A datagram comes back with the same bytes, over IPv4 and over IPv6, and then the next one does."""
    nobody = (
        "One AF_INET6 socket bound to :: serves both, if IPV6_V6ONLY is off. The port of an address is in network byte "
        "order: htons(3) on the way in, ntohs(3) on the way out."
    )
    wild = "The ready line shows port 0: getsockname(2) tells which one the kernel chose."
    for family in (6, 4):  # each asks a server that nobody has asked before
        program = server.start("--port", "0")
        assert program.address.kind == "udp", f"The ready line names {program.address}, which is no UDP address."
        assert program.address.port != 0, wild
        peer = udp.socket(program, family)
        for message in (b"hello", b"\0 and \xff\r\n\0" + rng.randbytes(8)):
            peer.sends(message)
            peer.receives(message, none=nobody if message == b"hello" else "")
    peer.receives_nothing_until(program.waits_for_next(), hint="One datagram, one answer.")


@points(8)
@needs("test_echoes")
@read("udp(7)", "recv(2), RETURN VALUE", "RFC 768")
def test_empty_datagram(server: Server, udp: Udp) -> None:
    """An empty datagram is a datagram: it comes back empty, over IPv4 and IPv6, and the server goes on."""
    program = server.start("--port", "0")
    hint = "0 from recvmsg(2) is the length of a datagram: on UDP there is no end of a stream, and nothing to end for."
    for family in (4, 6):
        peer = udp.socket(program, family)
        for message in (b"", b"after it", b""):
            peer.sends(message)
            peer.receives(message, hint=hint)


@points(10)
@needs("test_echoes")
@read("udp(7)", "ip(7), IP_MTU_DISCOVER", "RFC 791, section 2.3", "recv(2), MSG_TRUNC")
def test_every_size(server: Server, udp: Udp, wire: Wire, rng: random.Random) -> None:
    """Datagrams of 1472 bytes, 1473, which go in fragments, and 65,507, the most that IPv4 carries, come back whole."""
    program = server.start("--port", "0")
    peers = {family: udp.socket(program, family) for family in (4, 6)}

    def asks(family: int, size: int) -> None:
        message = rng.randbytes(size)
        peers[family].sends(message)
        peers[family].receives(message)

    for size in (1, 1024, 1025, 1472, 1473):
        asks(4, size)
    cut = [bool(packet[IP].flags & "MF") for packet in wire.capture().udp(program.address.port)]
    assert cut == [False] * 8 + [True] * 2, "Only the datagrams of 1473 bytes, there and back, need a second frame."
    for family, size in ((4, LARGEST), (6, 1452), (6, 1453), (6, LARGEST)):
        asks(family, size)


@points(8)
@needs("test_echoes")
@read("recvmsg(2), msg_name", "udp(7)", "connect(2)")
def test_two_clients_interleaved(server: Server, udp: Udp, rng: random.Random) -> None:
    """Of two clients that send by turns each gets its own answers, whoever was there first."""
    program = server.start("--port", "0")
    peers = [udp.socket(program), udp.socket(program)]
    hint = (
        "Every datagram brings its sender's address, and the answer goes there: not to the first that came, nor to the "
        "last. A socket that is connected to one sender hears nobody else."
    )
    for _ in range(3):
        messages = [rng.randbytes(rng.randrange(1, 200)) for _ in peers]
        for peer, message in zip(peers, messages, strict=True):
            peer.sends(message)
        for peer, message in zip(peers, messages, strict=True):
            peer.receives(message, hint=hint)


@points(12)
@needs("test_echoes")
@read("ip(7), IP_PKTINFO", "ipv6(7), IPV6_RECVPKTINFO", "cmsg(3)", "RFC 1122, section 4.1.3.5")
def test_answers_from_the_address_asked(server: Server, udp: Udp, machine: Machine, wire: Wire, scene: Scene) -> None:
    """Where the machine has several addresses the answer comes from the one that was asked, over IPv4 and IPv6."""
    for address in SECOND.values():
        machine.has_address(address)
    program = server.start("--port", "0")
    for host in (*SECOND.values(), server.host(4), server.host(6), LINK_LOCAL):
        peer = udp.socket(program, host=host)
        peer.sends(b"who are you?")
        peer.receives(
            b"who are you?",
            hint="The kernel chooses a source by the way to the peer. Ask for IP_PKTINFO, or IPV6_RECVPKTINFO, with "
            "setsockopt(2); each datagram then brings a control message with the address that it was sent to, and "
            "sendmsg(2) takes the same one.",
            none="A link-local address is on each link: the sender's sin6_scope_id says on which.",
        )
    comes_by_the_other_link(program, udp, wire, scene)


@points(6)
@needs("test_answers_from_the_address_asked")
@read("ip(7), IP_PKTINFO", "bind(2)")
def test_bound_to_a_family(server: Server, udp: Udp, machine: Machine, wire: Wire, scene: Scene) -> None:
    """The same holds for a server that --bind has bound to IPv4 alone; and one bound to an address is reached there."""
    for address in SECOND.values():
        machine.has_address(address)
    wide = server.start("--port", "0", "--bind", "0.0.0.0")
    narrow = server.start("--port", "0", "--bind", SECOND[6])
    assert narrow.address.host == SECOND[6], f"--bind {SECOND[6]}, and the ready line says {narrow.address}."
    for program, host in ((wide, server.host(4)), (wide, SECOND[4]), (narrow, SECOND[6])):
        peer = udp.socket(program, host=host)
        peer.sends(b"and you?")
        peer.receives(
            b"and you?", hint="A socket of AF_INET has IP_PKTINFO, of the level IPPROTO_IP, in place of IPv6's."
        )
    comes_by_the_other_link(wide, udp, wire, scene)


@points(10)
@needs("test_echoes")
@read("recvmsg(2), MSG_TRUNC", "recv(2), MSG_TRUNC")
def test_truncation_is_seen(server: Server, udp: Udp, rng: random.Random) -> None:
    """What is longer than --size is counted and not answered; what fits to the last byte is."""
    hint = "recvmsg(2) sets MSG_TRUNC in msg_flags when the datagram was longer than the buffer: its rest is lost."
    program = server.start("--port", "0", "--size", "1024")
    udp.socket(program, 4).sends(rng.randbytes(1025))
    peer = udp.socket(program, 6)
    for size in (9000, 1024):
        peer.sends(message := rng.randbytes(size))
    peer.receives(message, hint=f"The first answer should be that to the last datagram, which fits. {hint}")
    count(program, 3, 1, 2, 0, hint=hint)


@points(8)
@needs("test_echoes")
@read("ppoll(2)", "sigprocmask(2)", "sigtimedwait(2)", "signal(7), Interruption of system calls")
def test_counters(server: Server, udp: Udp, scene: Scene, rng: random.Random) -> None:
    """SIGUSR1 prints the counters on standard error, at once and each time, and costs no datagram."""
    program = server.start("--port", "0")
    hint = (
        "SIGUSR1 ends a program that has no handler for it. A handler that sets a flag does not end a call that is "
        "restarted: let it interrupt the sleep, and print then, not after the next datagram. Standard output has the "
        "ready line and nothing else."
    )
    count(program, 0, 0, 0, 0, hint=hint)
    peer = udp.socket(program, 6)
    for n, message in enumerate((b"count me", b"", b"and me"), 1):
        peer.sends(message)
        peer.receives(message)
        count(program, n, n, 0, 0, hint=hint)
    peer.sends(rng.randbytes(LARGEST + 1))
    peer.sends(b"fits")
    hint = f"IPv6 carries 20 bytes more than IPv4, but without --size {LARGEST} is the longest that is answered."
    peer.receives(b"fits", hint=hint)
    count(program, 5, 4, 1, 0, hint=hint)
    # The signal comes with the first datagram, and the next ones while that is received.
    held = f"signal=USR1:delay_exit={scene.deadlines.slack / 3 * 1e6:.0f}:when=1"
    busy = server.start("--port", "0", inject=f"recvmsg,recvfrom,recvmmsg:{held}")
    crowd = [b"busy %d" % n for n in range(QUEUE)]
    peer = udp.socket(busy)
    for message in crowd:
        peer.sends(message)
    assert [peer.receives_any() for _ in crowd] == crowd, "A datagram was lost when the signal came."
    received = int(busy.says(COUNTERS)[1])
    assert received < QUEUE, (
        f"SIGUSR1 came with the first of {QUEUE} datagrams, and the counters when all {received} had been served. "
        "ppoll(2) lets a signal in only when it sleeps: while datagrams keep coming, look for one that is pending."
    )
    # The signal comes as the only answer is sent, to the thread that sends it: before the program sleeps again.
    awake = server.start("--port", "0", inject="sendmsg,sendto,sendmmsg:signal=USR1:when=1")
    peer = udp.socket(awake)
    peer.sends(b"and then silence")
    peer.receives(b"and then silence")
    awake.says(
        COUNTERS,
        hint="SIGUSR1 came between two sleeps. The handler noted it, and the program slept until the next datagram. "
        "Block the signal, sigprocmask(2), and let ppoll(2) alone unblock it: then it wakes at once.",
    )


@points(8)
@needs("test_two_clients_interleaved")
@read("udp(7), ERRORS", "ip(7), IP_RECVERR", "RFC 1122, section 4.1.3.3")
def test_icmp_errors_stop_nobody(server: Server, udp: Udp, wire: Wire) -> None:
    """Port and host unreachable, about answers of its own, do not stop the server, nor make it spin."""
    program = server.start("--port", "0")
    for family in (4, 6):
        peer = udp.socket(program, family)
        peer.sends(b"before")
        peer.receives(b"before")
        answer = echo_frame(wire, program.address.port)
        for code in (1, 3) if family == 4 else (4, 0):
            error: Packet
            if family == 4:
                error = IP(src=answer[IP].dst, dst=answer[IP].src) / ICMP(type=3, code=code) / bytes(answer[IP])
            else:
                error = IPv6(src=answer[IPv6].dst, dst=answer[IPv6].src) / ICMPv6DestUnreach(code=code)
                error /= bytes(answer[IPv6])
            wire.injects(Ether(src=answer[Ether].dst, dst=answer[Ether].src) / error)
        peer.sends(b"after")
        peer.receives(
            b"after",
            hint="An error that an answer has caused, as ECONNREFUSED, is that answer's, whose receiver has gone. The "
            "next one is there.",
        )


@points(8)
@needs("test_counters")
@read("sendmsg(2), ERRORS", "RFC 768", "udp(7)", "arp(7)")
def test_senders_that_lie(server: Server, udp: Udp, wire: Wire, link: Links) -> None:
    """A sender without a route, of port 0, or who is not there, cannot be answered: that is counted, nobody waits."""
    program = server.start("--port", "0")
    peer = udp.socket(program)
    peer.sends(b"in truth")
    peer.receives(b"in truth")
    answer = echo_frame(wire, program.address.port)
    to_server = Ether(src=answer[Ether].dst, dst=answer[Ether].src)
    for source, port in ((ELSEWHERE, 4000), (answer[IP].dst, 0)):
        datagram = UDP(sport=port, dport=program.address.port) / b"nobody sent this"
        wire.injects(to_server / IP(src=source, dst=answer[IP].src) / datagram)
    peer.sends(b"in truth, again")
    hint = (
        "sendmsg(2) fails with ENETUNREACH where there is no route, and with EINVAL for port 0: both are about this "
        "one datagram, whose sender anybody can invent."
    )
    peer.receives(b"in truth, again", hint=hint)
    received, echoed, truncated, unsent = counters(program)
    assert received == 4 and truncated == 0 and echoed + unsent == 4 and unsent >= 1, (
        f"Four datagrams came, one of them from port 0, to which nothing can be sent. The counters say: received "
        f"{received}, echoed {echoed}, truncated {truncated}, unsent {unsent}."
    )
    question = UDP(sport=4000, dport=program.address.port) / bytes(1400)
    crowd = [bytes(to_server / IP(src=absent, dst=answer[IP].src) / question) for absent in ABSENT]
    with link.on("eth0").flooded(crowd * CROWD, "datagrams of neighbours who are not there"):
        pass  # each of them is sent once at least
    hint = (
        "Answers wait in the send buffer until ARP has found nobody, for three seconds. When it is full, a sendmsg(2) "
        "without MSG_DONTWAIT sleeps: a stranger has stopped the server. With it, EAGAIN: that answer is lost."
    )
    received, *parts = counters(program, hint)
    assert received == sum(parts), (
        f"Echoed, truncated and unsent, {', '.join(map(str, parts))}, add up to all that were received: {received}."
    )


@points(6)
@needs("test_counters")
@read("udp(7)", "RFC 768", "RFC 8085, section 3.3")
def test_what_the_wire_does(server: Server, udp: Udp, wire: Wire) -> None:
    """Whatever is lost, doubled or overtaken on the way: each datagram that arrives is answered, once."""
    program = server.start("--port", "0")
    peer = udp.socket(program)
    troubles = {"drop": 0.2, "duplicate": 0.3, "reorder": 0.3, "first": 24}  # what comes after that is left alone
    wire.faults({**troubles, "direction": "to-server", "match": {"protocol": "udp"}})
    for n in range(24):
        peer.sends(b"datagram %d" % n)
    peer.sends(b"the last")
    answers = [peer.receives_any()]
    while b"the last" not in answers:
        assert len(answers) < 50, "25 datagrams were sent, and none arrived more than twice; it has sent 50 answers."
        answers.append(peer.receives_any())
    # It may have overtaken others, which the wire has let go behind it.
    arrived = [bytes(packet[UDP].payload) for packet in wire.capture().arrived().udp(to=program.address.port)]
    while len(answers) < len(arrived):
        answers.append(peer.receives_any(hint="Each datagram that arrives is a question, also one that came before."))
    assert sorted(answers) == sorted(arrived), "Other datagrams were answered than had arrived, or not as often."
    count(program, len(arrived), len(arrived), 0, 0)


@points(2)
@needs("test_echoes")
@read("recvmsg(2), ERRORS", "strace(1)")
def test_an_error_is_not_the_end(server: Server, udp: Udp) -> None:
    """When a receive or a send fails, for want of memory as it may, the next datagram is answered all the same."""
    calls = "recvmsg,recvfrom,recvmmsg,read,sendmsg,sendto,sendmmsg"
    program = server.start("--port", "0", inject=f"{calls}:error=ENOMEM:when=2")  # of each the second
    peer = udp.socket(program)
    hint = "One call that has failed says nothing about the next: report it, and go on."
    peer.sends(b"one")
    peer.receives(b"one", hint=hint)
    for message in (b"two", b"three"):
        peer.sends(message)
    if peer.receives_any(hint=hint) != b"three":  # it has tried once more
        peer.receives(b"three", hint=hint)


@points(1)
@needs("test_echoes")
@read("bind(2), EADDRINUSE", "socket(7), SO_REUSEADDR", "fcntl(2), FD_CLOEXEC")
def test_port_taken(server: Server, udp: Udp) -> None:
    """A port on which another server receives is an error: one line that says so, exit status 1. A restart binds."""
    first = server.start("--port", "0", "--size", "65507")
    port = str(first.address.port)
    for found in first.descriptors():
        assert found.fd <= 2 or found.cloexec, (
            f"Descriptor {found.fd}, {found.target}, is not close-on-exec: SOCK_CLOEXEC goes into the type that "
            "socket(2) is given; other calls have a flag of their own."
        )
    second = server.run("--port", port)
    second.exits(1, hint="SO_REUSEADDR lets two servers share a port on UDP, and the later one gets the datagrams.")
    second.prints_one_line(matching=rf"udp-echo: bind\(udp:\S+:{port}\): (?i:address (already )?in use)")
    assert second.stdout == "", f"It cannot be reached, but says on standard output: {second.stdout}"
    first.stops()
    peer = udp.socket(server.start("--port", port))
    peer.sends(b"again")
    peer.receives(b"again")


@points(1)
@needs("test_echoes")
@read("getopt_long(3)", "strtoul(3)", "signal(7)")
def test_options(server: Server, udp: Udp) -> None:
    """A bad option or value is one line on standard error and exit status 2; --help goes to standard output."""
    patient = server.start("--port", "0", "--size", "1", "--timeout", "0.01")
    values = {"--size": "0", "--port": "65536", "--bind": "nowhere", "--timeout": "0"}
    for arguments in (*values.items(), ("--size", "65508"), ("more",)):
        wrong = server.run(*arguments)
        wrong.exits(2)
        wrong.prints_one_line(matching="udp-echo: .+")
        assert wrong.stdout == "", f"Nothing belongs on standard output here, but it says: {wrong.stdout}"
    helped = server.run("--help")
    helped.exits(0)
    assert "--size" in helped.stdout, f"--help names the options on standard output, and says only: {helped.stdout}"
    peer = udp.socket(patient)
    peer.sends(b"!")
    hint = (
        "--size 1 has room for a datagram of one byte. --timeout is taken and checked, and changes nothing: nobody in "
        "particular is waited for."
    )
    peer.receives(b"!", hint=hint)
    patient.signals(signal.SIGINT)
    patient.exits(0, within=1.0)
