"""Chapter 08: what a peer on another machine of the same host may rely on when it talks to the server `vsock-echo`.

The peers are in the client machine, CID 4, and on the host, CID 2. The server is in the server machine, CID 3.
"""

import random
import signal
import time

from groundup_guest.testing import Machine, Server, Vsock, needs, points, read

ANY = 0xFFFFFFFF
"""VMADDR_CID_ANY and VMADDR_PORT_ANY."""
MESSAGE_LIMIT = 65536
"""Bytes of a message that the server takes: the lesson's contract."""
PATIENCE = 0.2
"""Seconds for --timeout where a test waits for it to pass."""
GREETING = b"hello from the other machine"


@points(4)
@read("vsock(7), Ioctls", "vsock(7), Address format", "getsockname(2)")
def test_says_where_it_listens(server: Server) -> None:
    """The ready line has the machine's own CID, 3, and with --port 0 the port that the kernel has chosen."""
    address = server.start("--port", "0").address
    assert address.kind == "vsock", f"A server on vsock says `listening on vsock:CID:PORT`, and not {address.text}."
    assert address.host != str(ANY), (
        f"The ready line says {address.text}: the CID is VMADDR_CID_ANY, which nobody can dial. It is what was bound; "
        "the machine's own CID is told by an ioctl on /dev/vsock."
    )
    assert address.host == "3", f"The machine's CID is 3, and the ready line says {address.text}."
    assert address.port not in (0, ANY), (
        f"The ready line says {address.text}, which is the port that was asked for: VMADDR_PORT_ANY asks for any, 0 is "
        "a port like others, and getsockname(2) tells which one it is in the end."
    )


@points(3)
@needs("test_says_where_it_listens")
@read("vsock(7), Address format", "byteorder(3)")
def test_listens_on_the_port_asked_for(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """A port has 32 bits, in the machine's own byte order: one far above 65535 is listened on, and dialled there."""
    port = rng.randrange(1 << 20, 1 << 31)
    program = server.start("--port", str(port))
    seen = program.address.port
    swapped = int.from_bytes(port.to_bytes(4, "little"), "big")
    why = {
        swapped: "Its bytes are swapped: a struct sockaddr_vm is in the machine's own byte order, without htonl(3).",
        port & 0xFFFF: "Its upper half is lost: a port of vsock has 32 bits, and does not fit a uint16_t.",
    }.get(seen, "")
    assert seen == port, f"It was to listen on port {port}, and says {seen}. {why}"
    vsock.connect(program, hint="The port in the ready line has to be the one that the socket is bound to.")


@points(4)
@needs("test_says_where_it_listens")
@read("recv(2)", "send(2)", "shutdown(2)")
def test_echoes(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """What a peer sends comes back, and when the peer ends its stream the server ends its own."""
    peer = vsock.connect(server.start("--port", "0"))
    peer.exchanges(rng.randbytes(1000))


@points(3)
@needs("test_echoes")
@read("recv(2), RETURN VALUE")
def test_echoes_each_piece_at_once(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """A piece comes back when it has come, and not only when the peer has finished."""
    program = server.start("--port", "0")
    peer = vsock.connect(program)
    for size in (1, 100, 3000):
        peer.exchanges(rng.randbytes(size), ends=False, hint="recv(2) returns what is there: send that back.")
    peer.stays_silent_until(program.waits_for_next())
    peer.half_closes()
    peer.sees_close(hint="recv(2) returns 0 at the end of the peer's stream: then this direction ends as well.")


@points(5)
@needs("test_echoes")
@read("send(2), RETURN VALUE", "virtio 1.2, section 5.10.6.3")
def test_four_mebibytes(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """4 MiB come back whole, sixteen times as much as the kernel keeps for a connection."""
    peer = vsock.connect(server.start("--port", "0"))
    peer.exchanges(
        rng.randbytes(4 << 20),
        hint="A vsock loses nothing: what does not come back was not sent. Send from where the last send(2) stopped.",
    )


@points(4)
@needs("test_echoes")
@read("listen(2)", "accept4(2)")
def test_three_hundred_at_once(server: Server, vsock: Vsock) -> None:
    """300 peers that connect at once, and send before anybody is answered, all get their bytes back."""
    program = server.start("--port", "0")
    program.signals(signal.SIGSTOP)  # so that all of them wait in the queue, whatever the server's speed
    crowd = vsock.crowd(
        program,
        300,
        hint="The kernel keeps connections that have not been accepted, as many as listen(2) was told; the one after "
        "those is refused. SOMAXCONN is the most that one can ask for.",
    )
    program.signals(signal.SIGCONT)
    crowd.gets_its_bytes_back()


@points(3)
@needs("test_echoes")
@read("vsock(7), Local communication", "bind(2)")
def test_loopback(server: Server, vsock: Vsock) -> None:
    """With --cid 1 the server is reached inside its own machine, by vsock-echo itself, and from nowhere else."""
    program = server.start("--cid", "1", "--port", "0")
    assert program.address.host == "1", f"It was bound to CID 1, VMADDR_CID_LOCAL, and says {program.address.text}."
    vsock.refused(program, hint="A server that is bound to one CID is reached at that CID and at no other.")
    root = server.directory({"input": GREETING})
    client = server.run("--input", f"{root.name}/input", program.address.text)
    client.exits(0)
    client.wrote(GREETING)


@points(3)
@needs("test_says_where_it_listens")
@read("vsock(7), ERRORS", "bind(2)")
def test_foreign_cid(server: Server) -> None:
    """A CID that is another machine's cannot be bound: one line that says so, exit status 1."""
    wrong = server.run("--cid", "77", "--port", "7000")
    wrong.exits(1, hint="The address has to go into bind(2) as it was given, and its error has to be looked at.")
    wrong.prints_one_line("stderr", matching=r"vsock-echo: bind\(vsock:77:7000\): .*[Aa]ddress.*")
    assert wrong.stdout == "", f"It cannot be reached, but says on standard output: {wrong.stdout}"


@points(4)
@needs("test_says_where_it_listens")
@read("vsock(7), ERRORS", "capabilities(7), CAP_NET_BIND_SERVICE")
def test_privileged_ports(server: Server, vsock: Vsock) -> None:
    """Ports up to 1023 are for those who have CAP_NET_BIND_SERVICE; 1024, and one that the kernel chooses, for all."""
    refused = server.run("--port", "1023", privileged=False)
    refused.exits(1)
    refused.prints_one_line("stderr", matching=r"vsock-echo: bind\(vsock:4294967295:1023\): Permission denied")
    ordinary = server.start(
        *("--port", "0"),
        privileged=False,
        hint="Port 0 is one of the privileged ones: the kernel's word for any port is VMADDR_PORT_ANY.",
    )
    assert ordinary.address.port > 1023, f"An ordinary user was given port {ordinary.address.port}."
    server.start("--port", "1024", privileged=False)
    program = server.start("--port", "80")
    vsock.connect(program).exchanges(GREETING)


@points(2)
@needs("test_listens_on_the_port_asked_for")
@read("bind(2), EADDRINUSE")
def test_port_taken(server: Server) -> None:
    """A port on which another server listens is an error: one line that says so, exit status 1."""
    port = server.start("--port", "0").address.port
    second = server.run("--port", str(port))
    second.exits(1)
    second.prints_one_line("stderr", matching=rf"vsock-echo: bind\(vsock:\d+:{port}\): Address (already )?in use")


@points(2)
@needs("test_echoes", "test_listens_on_the_port_asked_for")
@read("vsock(7)")
def test_restarts_at_once(server: Server, vsock: Vsock) -> None:
    """A server that is restarted gets its port back at once: vsock has no TIME_WAIT, and needs no SO_REUSEADDR."""
    first = server.start("--port", "0")
    peer = vsock.connect(first)
    peer.exchanges(GREETING, ends=False)
    first.signals(signal.SIGKILL)
    first.end()
    second = server.start("--port", str(first.address.port))
    vsock.connect(second).exchanges(GREETING)


@points(3)
@needs("test_echoes")
@read("socket(2), SOCK_CLOEXEC", "accept4(2)", "open(2), O_CLOEXEC")
def test_descriptors(server: Server, vsock: Vsock) -> None:
    """Every descriptor is close-on-exec, and of /dev/vsock none is left open."""
    program = server.start("--port", "0")
    vsock.connect(program).exchanges(GREETING, ends=False)
    for found in program.descriptors():
        assert "/dev/vsock" not in found.target, f"/dev/vsock is still open, as {found.fd}: the CID has been told."
        assert found.fd <= 2 or found.cloexec, (
            f"Descriptor {found.fd} ({found.target}) is not close-on-exec. SOCK_CLOEXEC goes into the type that "
            "socket(2) is given, and into the flags of accept4(2): a connection does not inherit it."
        )


@points(4)
@needs("test_echoes")
@read("socket(7), SO_RCVTIMEO", "recv(2), EAGAIN")
def test_silent_peer_is_given_up(server: Server, vsock: Vsock) -> None:
    """A peer that says nothing is given up after --timeout, not earlier, and the next one is served."""
    idle = server.start("--port", "0", "--timeout", str(PATIENCE))
    program = server.start("--port", "0", "--timeout", str(PATIENCE))
    program.signals(signal.SIGSTOP)
    silent, waiting = vsock.connect(program), vsock.connect(program)
    waiting.sends(GREETING)
    waiting.half_closes()
    began = time.monotonic()
    program.signals(signal.SIGCONT)
    silent.sees_close(hint="SO_RCVTIMEO makes recv(2) fail with EAGAIN: that is the end of the conversation.")
    waited = time.monotonic() - began
    assert waited > 0.8 * PATIENCE, f"It was given up too early: --timeout {PATIENCE}, and it took {waited:.3f} s."
    waiting.receives(GREETING, hint="The peer behind the silent one has to be served when the time is up.")
    vsock.connect(idle, hint="--timeout is for a peer: a server without one waits for ever.").exchanges(GREETING)


@points(4)
@needs("test_echoes")
@read("virtio 1.2, section 5.10.6.3", "send(2)")
def test_waits_for_credit(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """A peer without room for the answer holds up the server's send, loses nothing, and gets it all in the end."""
    program = server.start("--port", "0")
    peer = vsock.connect(program)
    data = rng.randbytes(20_000)
    vsock.faults(credit=0, port=program.address.port)
    peer.sends(data)
    peer.stays_silent_until(program.waits_for_next(), hint="How can it send what there is no credit for?")
    vsock.clears()
    peer.receives(data, hint="A send(2) that finds no credit sleeps until there is some; it is no error.")
    peer.half_closes()
    peer.sees_close()


@points(2)
@needs("test_waits_for_credit")
@read("socket(7), SO_SNDTIMEO", "virtio 1.2, section 5.10.6.3")
def test_peer_without_credit_is_given_up(server: Server, vsock: Vsock) -> None:
    """A peer that gives no credit for as long as --timeout is given up, and the next one is served."""
    hint = "The peer takes nothing: SO_SNDTIMEO makes send(2) fail with EAGAIN, and trying again is for ever."
    program = server.start("--port", "0", "--timeout", str(PATIENCE))
    program.signals(signal.SIGSTOP)  # what a peer sends is there when its time begins to run
    peer = vsock.connect(program)
    vsock.faults(credit=0, port=program.address.port)
    peer.sends(GREETING)
    program.signals(signal.SIGCONT)
    peer.sees_close(hint=hint)
    vsock.clears()
    program.signals(signal.SIGSTOP)
    next_one = vsock.connect(program, hint=hint)
    next_one.sends(GREETING)
    program.signals(signal.SIGCONT)
    next_one.receives(GREETING, hint=hint)


@points(3)
@needs("test_echoes")
@read("send(2), ERRORS", "recv(2), RETURN VALUE")
def test_peers_that_leave(server: Server, vsock: Vsock) -> None:
    """A peer that is gone before its answer, or whose connection is reset, ends its own conversation and no other."""
    hint = "An error of one connection, such as EPIPE from send(2), ends that connection, and nothing else."
    program = server.start("--port", "0", hint=hint)
    program.signals(signal.SIGSTOP)
    gone = vsock.connect(program)
    gone.sends(GREETING)
    gone.closes()
    reset = vsock.connect(program)  # packets stay in order: that the first peer has gone is known there by now
    program.signals(signal.SIGCONT)
    vsock.faults(reset_after=0, port=program.address.port)
    reset.sends(GREETING)
    reset.sees_end(hint="After a reset recv(2) returns 0, as at the end of the stream: nothing more will come.")
    vsock.clears()
    vsock.connect(program, hint=hint).exchanges(GREETING, hint=hint)


@points(3)
@needs("test_echoes")
@read("vsock(7)", "virtio 1.2, section 5.10")
def test_without_a_network(server: Server, vsock: Vsock, machine: Machine, rng: random.Random) -> None:
    """A machine whose network interfaces are all down is reached over vsock all the same."""
    machine.loses_its_network()
    peer = vsock.connect(server.start("--port", "0"))
    peer.exchanges(rng.randbytes(100_000), hint="Nothing here needs an interface, an address of IP, or a name.")


@points(2)
@needs("test_echoes")
@read("vsock(7), Address format")
def test_the_host_is_a_peer(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """The host, CID 2, is a peer like any other: its bytes come back, and then the end."""
    data = rng.randbytes(300_000)
    received = vsock.host_dials(server.start("--port", "0"), data)
    assert received == data, f"The host sent {len(data):,} bytes, and {len(received):,} came back, not the same."


@points(4)
@needs("test_echoes")
@read("socket(2), SOCK_SEQPACKET", "recv(2)", "virtio 1.2, section 5.10.6.6")
def test_messages(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """With --seqpacket each message comes back as one, from a single byte up to 65536."""
    program = server.start("--port", "0", "--seqpacket")
    peer = vsock.messages(program, hint="With --seqpacket the socket's type is SOCK_SEQPACKET.")
    for size in (1, 2, 1000, MESSAGE_LIMIT - 1, MESSAGE_LIMIT):
        peer.echoes(
            rng.randbytes(size),
            hint="One recv(2) takes one message, and what does not fit the buffer is lost; one send(2) makes one.",
        )
    peer.sends(b"one")
    peer.sends(b"other")
    peer.receives_message(b"one")
    peer.receives_message(b"other")
    messages = [rng.randbytes(60_000) for _ in range(5)]  # more than a peer gives credit for who takes none
    for message in messages:
        peer.sends(message)
    program.settles()
    program.signals(signal.SIGSTOP)
    program.signals(signal.SIGCONT)
    program.settles()
    for message in messages[:4]:
        peer.receives_message(message)
    peer.sees_close(hint="Part of the fifth message had gone when send(2) was interrupted: to send it again is wrong.")


@points(2)
@needs("test_echoes")
@read("signal(7), Interruption of system calls and library functions by stop signals", "_exit(2)")
def test_stops_in_the_middle(server: Server, vsock: Vsock) -> None:
    """SIGTERM and SIGINT end the server within a second, exit status 0, whatever a peer is doing; SIGCONT does not."""
    for number, credit in ((signal.SIGINT, None), (signal.SIGTERM, 0)):
        program = server.start("--port", "0")
        peer = vsock.connect(program)
        peer.exchanges(GREETING, ends=False)
        if credit is None:
            program.settles()
            program.signals(signal.SIGSTOP)
            program.signals(signal.SIGCONT)
            hint = "With SO_RCVTIMEO recv(2) fails with EINTR when a stopped process goes on: that is no end."
            peer.exchanges(GREETING, ends=False, hint=hint)
        else:  # so that it sleeps in send(2)
            vsock.faults(credit=credit, port=program.address.port)
            peer.sends(GREETING)
            program.settles()
        program.signals(number)
        program.exits(status=0, within=1.0, hint="The handler of chapter 01 ends the process from wherever it sleeps.")


@points(2)
@needs("test_echoes")
@read("getopt_long(3)")
def test_options(server: Server, vsock: Vsock) -> None:
    """What is no CID, no port, no address and no time is a usage error, exit status 2; what is one is taken."""
    for arguments in (
        ("--port", "4294967296"),
        ("--port", "-1"),
        ("--cid", "x"),
        ("--timeout", "0"),
        ("vsock:3:7x",),
        ("vsock:3:7", "vsock:3:8"),
        ("--seqpacket", "vsock:3:7"),
    ):
        wrong = server.run(*arguments)
        wrong.exits(status=2, hint=f"The arguments were: {' '.join(arguments)}")
        wrong.prints_one_line("stderr", matching=r"vsock-echo: .+")
    helped = server.run("--help")
    helped.exits(status=0)
    assert "--seqpacket" in helped.stdout, f"--help names the options, and says only: {helped.stdout}"
    program = server.start("--cid", "3", "--port", "0", "--timeout", "2.5")
    vsock.connect(program).exchanges(GREETING)
