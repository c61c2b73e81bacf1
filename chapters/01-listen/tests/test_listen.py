"""Chapter 01: what a peer may rely on when it calls at `listen`. The tests stand in the order of the lesson's steps.

After every test the harness looks at the server once more: it still runs, has closed what it opened, and does not spin.
"""

import random
import signal

from scapy.layers.inet import TCP

from groundup_guest.testing import Server, Tcp, Trace, Wire, needs, points, read

GREETING = b"hello from the ground up\r\n"
WAITING = 16
"""Peers that connect while the server is busy with another: as many as the lesson's contract promises to hold."""


@points(10)
@read("socket(2)", "bind(2)", "listen(2)", "getsockname(2)", "setbuf(3)", "htons(3)")
def test_says_where_it_listens(server: Server, tcp: Tcp, trace: Trace) -> None:
    """A server prints one line that says where it can be reached, with the port that the kernel gave it."""
    program = server.start("--port", "0")
    address = program.address
    assert address.kind == "tcp", f"The ready line names {address}, which is no TCP address."
    assert address.port != 0, (
        "The ready line shows port 0, the one that was asked for: only getsockname(2) tells which one the kernel chose."
    )
    tcp.connect(program, family=address.family)  # the kernel answers: the program need not have called accept4(2)
    order = [
        call.name for call in trace.calls(program, "listen", "write") if "listen" in call.name or call.args[0] == "1"
    ]
    assert order[:1] != ["write"], (
        "The ready line was written before listen(2) was called: whoever reads it may call too early, and is refused."
    )


@points(5)
@needs("test_says_where_it_listens")
@read("htons(3)", "ip(7)")
def test_listens_on_the_port_asked_for(server: Server, rng: random.Random) -> None:
    """A port that --port names is the one that the server listens on."""
    port = rng.randrange(20_000, 32_000)  # below the range from which the kernel hands out ports
    found = server.start("--port", str(port)).address.port
    swapped = int.from_bytes(port.to_bytes(2, "little"), "big")
    why = (
        "Its two bytes are swapped: in a sockaddr a port stands in network byte order, htons(3)."
        if found == swapped
        else ""
    )
    assert found == port, f"--port {port}, and the server listens on port {found}. {why}"


@points(5)
@needs("test_listens_on_the_port_asked_for")
@read("bind(2), EADDRINUSE", "socket(7), SO_REUSEADDR")
def test_port_taken(server: Server) -> None:
    """A port on which another server listens is an error: one line that says so, exit status 1."""
    port = server.start("--port", "0").address.port
    second = server.run("--port", str(port))
    second.exits(
        status=1,
        hint="SO_REUSEPORT lets two servers share a port, SO_REUSEADDR does not as long as one of them listens.",
    )
    second.prints_one_line(
        "stderr",
        matching=rf"listen: bind\(tcp:\S+:{port}\): (?i:address (already )?in use)",
        hint="A failed system call is reported as `listen: call(detail): strerror`.",
    )
    assert second.stdout == "", f"It cannot be reached, but says on standard output: {second.stdout}"


@points(3)
@needs("test_says_where_it_listens")
@read("getopt_long(3)", "strtol(3)", "inet_pton(3), RETURN VALUE")
def test_options(server: Server) -> None:
    """A bad option or value is one line on standard error and exit status 2, --help is an answer on standard output."""
    number = "To atoi(3) anything is a number: look at where strtol(3) stopped, and at the range."
    address = "For what is no address inet_pton(3) returns 0; a name is none, whatever it stands for."
    for arguments, hint in (
        (("--port", "65536"), number),
        (("--port", "-1"), number),
        (("--port", "80x"), number),
        (("--bind", "localhost"), address),
        (("--no-such-option",), "For an option that it does not know getopt_long(3) returns '?'."),
        (("surplus",), "What getopt_long(3) leaves, from optind on, is no option: this program takes nothing else."),
    ):
        wrong = server.run(*arguments)
        wrong.exits(status=2, hint=hint)
        wrong.prints_one_line("stderr", matching=r"listen: .+")
        assert wrong.stdout == "", f"Nothing belongs on standard output here, but it says: {wrong.stdout}"
    helped = server.run("--help")
    helped.exits(status=0)
    assert "--port" in helped.stdout, f"--help names the options on standard output, and says only: {helped.stdout}"


@points(10)
@needs("test_says_where_it_listens")
@read("accept4(2)", "sendto(2)", "close(2)")
def test_greets(server: Server, tcp: Tcp) -> None:
    """Whoever connects is greeted, byte for byte."""
    program = server.start("--port", "0")
    tcp.connect(program, family=program.address.family).receives(GREETING)


@points(5)
@needs("test_greets")
@read("ipv6(7), IPV6_V6ONLY")
def test_both_families(server: Server, tcp: Tcp) -> None:
    """Without --bind the server is reached over IPv4 and over IPv6, at the same port."""
    program = server.start("--port", "0")
    for family in (4, 6):
        peer = tcp.connect(program, family=family)
        peer.receives(GREETING)
        peer.closes()


@points(8)
@needs("test_both_families")
@read("shutdown(2)", "RFC 9293, section 3.6")
def test_half_closes(server: Server, tcp: Tcp) -> None:
    """The greeting is all that the server says, and its half-close says so: the peer sees the end of the stream."""
    peer = tcp.connect(server.start("--port", "0"))
    peer.receives(GREETING)
    peer.sees_close(
        hint="Only the FIN that shutdown(2) with SHUT_WR sends says that no more will come. The peer must not have to "
        "close first."
    )


@points(7)
@needs("test_both_families")
@read("read(2), RETURN VALUE", "close(2)")
def test_next_peer_is_served(server: Server, tcp: Tcp) -> None:
    """When one peer has closed, the next one is served."""
    hint = "The end of one conversation is not the server's: back to accept4(2), for the next peer."
    program = server.start("--port", "0", hint=hint)
    for _ in range(2):
        peer = tcp.connect(program)
        peer.receives(GREETING, hint=hint)
        peer.closes()


@points(6)
@needs("test_both_families")
@read("inet_pton(3)", "bind(2)", "ip(7)", "ipv6(7)")
def test_binds_only_the_address_asked_for(server: Server, tcp: Tcp) -> None:
    """With --bind the server is reached at that address and at no other."""
    hint = "It bound the wildcard, every address of the machine: is the address that --bind names in the sockaddr?"
    for family, other in ((4, 6), (6, 4)):
        host = server.host(family)
        program = server.start("--port", "0", "--bind", host)
        assert program.address.host == host, f"--bind {host}, and the server listens on {program.address}. {hint}"
        tcp.connect(program, family=family).receives(GREETING)
        tcp.refused(program, family=other, hint=hint)


@points(6)
@needs("test_half_closes")
@read("socket(7), SO_REUSEADDR", "RFC 9293, section 3.6.1")
def test_restarts_at_once(server: Server, tcp: Tcp) -> None:
    """A server that is restarted gets its port back at once, though its last connection is still in TIME_WAIT."""
    first = server.start("--port", "0")
    peer = tcp.connect(first)
    peer.receives(GREETING)
    peer.sees_close()  # the server was first, so that TIME_WAIT is at its end
    peer.closes()
    first.signals(signal.SIGKILL)  # what SIGTERM does is another test's question
    first.end()
    second = server.start(
        "--port",
        str(first.address.port),
        hint="The side that closes first keeps the connection in TIME_WAIT for a minute, and bind(2) refuses the port "
        "as long, unless SO_REUSEADDR was set before.",
    )
    tcp.connect(second).receives(GREETING)


@points(5)
@needs("test_both_families")
@read("open(2), O_CLOEXEC", "socket(2), SOCK_CLOEXEC", "accept4(2), SOCK_CLOEXEC")
def test_descriptors_are_close_on_exec(server: Server, tcp: Tcp) -> None:
    """Every descriptor that the server opens is close-on-exec, connections included."""
    program = server.start("--port", "0")
    tcp.connect(program).receives(GREETING)
    for found in program.descriptors():
        why = (
            "SOCK_CLOEXEC goes into the type that socket(2) is given."
            if found.fd in (program.baseline or [])
            else "SOCK_CLOEXEC is a flag of accept4(2), too: a connection does not inherit it."
        )
        inherited = found.fd <= 2 and not found.target.startswith("socket:")
        assert inherited or found.cloexec, f"Descriptor {found.fd} ({found.target}) is not close-on-exec. {why}"


@points(5)
@needs("test_both_families")
@read("signal(7)", "sigaction(2)", "_exit(2)")
def test_stops_when_told(server: Server, tcp: Tcp) -> None:
    """SIGTERM and SIGINT end the server within a second, exit status 0, whether a peer is there or not."""
    hint = (
        "A handler that only sets a flag changes nothing while the server sleeps in accept4(2) or read(2), and with "
        "SA_RESTART the call goes on sleeping."
    )
    idle = server.start("--port", "0")
    idle.signals(signal.SIGINT)
    idle.exits(status=0, within=1.0, hint=hint)
    tcp.refused(idle, hint="The process that was told has ended, and another one of it goes on listening.")
    busy = server.start("--port", "0")
    tcp.connect(busy).receives(GREETING)
    busy.signals(signal.SIGTERM)
    busy.exits(status=0, within=1.0, hint=hint)


@points(2)
@needs("test_both_families")
@read("RFC 9293, section 3.5", "RFC 7323", "RFC 2018, section 2", "tcp(7)")
def test_handshake_in_the_capture(server: Server, tcp: Tcp, wire: Wire) -> None:
    """Before any byte of the greeting, three segments crossed the wire: SYN, SYN-ACK, ACK, and their options."""
    peer = tcp.connect(server.start("--port", "0"), family=4)
    peer.receives(GREETING)
    first: dict[tuple[int, str, int], TCP] = {}  # a slow machine may have sent one again
    for packet in wire.capture().tcp(port=peer.local.port):
        segment = packet[TCP]
        first.setdefault((segment.sport, str(segment.flags), segment.seq), segment)
    segments = list(first.values())[:3]
    flags = " ".join(str(segment.flags) for segment in segments)
    assert flags == "S SA A", f"A connection begins with S, SA, A (SYN, SYN-ACK, ACK), and not with: {flags}"
    syn, syn_ack, ack = segments
    assert (syn_ack.ack - syn.seq) % 2**32 == 1, "The SYN-ACK acknowledges the SYN, which counts as one byte."
    assert (ack.ack - syn_ack.seq) % 2**32 == 1, "The ACK acknowledges the SYN-ACK, which counts as one byte."
    for segment in (syn, syn_ack):
        options = dict(segment.options)
        missing = {"MSS", "WScale", "SAckOK", "Timestamp"} - options.keys()
        assert not missing, f"Linux asks for {', '.join(sorted(missing))} too, unless it was told not to."
        assert options["MSS"] == 1460, f"1500 bytes of Ethernet less two headers of 20, and not {options['MSS']}."


@points(8)
@needs("test_half_closes")
@read("read(2), RETURN VALUE", "shutdown(2)", "RFC 1122, section 4.2.2.13")
def test_reads_until_the_peer_closes(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """After its half-close the server still reads what the peer sends, until the peer closes as well."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.receives(GREETING)
    peer.sees_close()
    hint = (
        "The server closed before the peer had said anything: it has not called read(2), or that returned 0 because of "
        "shutdown(2) with SHUT_RD or SHUT_RDWR. SHUT_WR leaves the peer's direction open."
    )
    for size in (rng.randrange(1, 100), rng.randrange(5_000, 20_000)):
        peer.sends(rng.randbytes(size), hint=hint)
        peer.stays_silent_until(program.has_read(peer), hint=hint)
        hint = "The server closed while the peer was still speaking: read(2) again, until it returns 0."


@points(4)
@needs("test_next_peer_is_served")
@read("listen(2)", "listen(2), somaxconn")
def test_peers_wait_in_the_queue(server: Server, tcp: Tcp) -> None:
    """Peers that connect while the server is busy with another are connected, wait, and are served in their turn."""
    program = server.start("--port", "0")
    busy = tcp.connect(program)
    busy.receives(GREETING)
    hint = "The kernel completes handshakes for the server, as many as the backlog of listen(2) allows: SOMAXCONN."
    waiting = [tcp.connect(program, hint=hint) for _ in range(WAITING)]
    for peer in (*waiting, busy):
        peer.half_closes()  # or each would hold the server until it is told
    for peer in waiting:
        peer.receives(GREETING, hint="The server did not turn to the next peer in the queue.")


@points(6)
@needs("test_next_peer_is_served")
@read("signal(7), SIGPIPE", "sendto(2), MSG_NOSIGNAL", "read(2), ERRORS")
def test_peers_that_reset(server: Server, tcp: Tcp) -> None:
    """A peer that resets its connection, in the conversation or before it, ends that conversation and nothing else."""
    hint = "An error of one connection ends that connection, and nothing else."
    program = server.start("--port", "0", hint=hint)
    busy = tcp.connect(program)
    busy.receives(GREETING)
    early = tcp.connect(program)  # waits in the queue: the server is busy
    # A reset after the peer's FIN (in CLOSE_WAIT) leaves EPIPE behind, hence SIGPIPE; without it, only ECONNRESET.
    early.half_closes()
    early.resets()
    busy.resets()  # arrives after the other's reset, so that one is gone when the server comes to it
    tcp.connect(program, hint=hint).receives(GREETING, hint=hint)


@points(3)
@needs("test_next_peer_is_served")
@read("accept(2), Error handling", "accept(2), ERRORS")
def test_accept_fails_for_one_peer(server: Server, tcp: Tcp) -> None:
    """When accept fails with ECONNABORTED the server goes on: that peer has gone, the next one has not."""
    hint = "ECONNABORTED concerns the one peer that did not wait. Ask accept4(2) for the next one."
    program = server.start("--port", "0", inject="accept,accept4:error=ECONNABORTED:when=2", hint=hint)
    for _ in range(2):  # the call that fails is the one between them
        peer = tcp.connect(program, hint=hint)
        peer.receives(GREETING, hint=hint)
        peer.closes()


@points(2)
@needs("test_accept_fails_for_one_peer")
@read("accept(2), ERRORS")
def test_accept_fails_for_good(server: Server, tcp: Tcp) -> None:
    """When accept fails with EMFILE, which is no peer's fault, the server says so in one line and ends."""
    program = server.start("--port", "0")
    program.runs_out_of_descriptors()
    peer = tcp.connect(program)  # for whom a descriptor was taken when accept4 went to sleep: the next call fails
    peer.receives(GREETING)
    peer.closes()
    program.exits(
        status=1,
        hint="EMFILE is about the process: the next accept4(2) fails as well, so to try again is to spin for ever.",
    )
    program.prints_one_line("stderr", matching=r"listen: accept4?\(.*\): (?i:too many open files)")
