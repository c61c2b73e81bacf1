"""Chapter 08: what `vsock-echo vsock:CID:PORT` does, in the server machine, and how it tells what has gone wrong.

The echo servers are the test itself, in the client machine (CID 4), and the host (CID 2).
"""

import random

from groundup_guest.testing import Machine, Program, Server, Vsock, needs, points, read

ABSENT = 77
"""A CID that no machine has."""
NOBODY, NO_DEVICE, TIMED_OUT, BROKEN = 4, 5, 3, 6
PATIENCE = 0.2
"""Seconds for --timeout where a test waits for it to pass."""
DATA = b"is anybody there?\n" * 10


def client(server: Server, data: bytes, address: str, *options: str) -> Program:
    """Run the client, with `data` as its input."""
    root = server.directory({"input": data})
    return server.run("--input", f"{root.name}/input", *options, address)


@points(6)
@read("connect(2)", "poll(2)", "shutdown(2)")
def test_client_sends_and_receives(server: Server, vsock: Vsock) -> None:
    """The client sends its input and then the end, writes what comes back to standard output, and exits with 0."""
    listener = vsock.listens()
    program = client(server, DATA, f"vsock:{vsock.client}:{listener.port}")
    peer = listener.accepts(program)
    peer.receives(DATA)
    peer.sees_close(hint="When the input has ended the server has to be told: shutdown(2) with SHUT_WR.")
    peer.sends(DATA)
    peer.closes()
    program.exits(0)
    program.wrote(DATA)


@points(7)
@needs("test_client_sends_and_receives")
@read("poll(2)", "send(2), MSG_DONTWAIT", "virtio 1.2, section 5.10.6.3")
def test_client_with_one_mebibyte(server: Server, vsock: Vsock, rng: random.Random) -> None:
    """A MiB goes to the host's echo and comes back whole: the client reads while it sends."""
    data = rng.randbytes(1 << 20)
    vsock.faults(credit=50_000)  # no multiple of what a program sends at once: some of it is always left over
    program = client(server, data, vsock.host_echoes())
    program.exits(
        0,
        hint="The echo stops reading when nobody takes its answers. A client that sends everything before it reads "
        "anything, and an echo that waits to be read: two that wait for each other. Or it stopped at a short send(2).",
    )
    program.wrote(data)


@points(5)
@needs("test_client_sends_and_receives")
@read("recv(2), RETURN VALUE", "virtio 1.2, section 5.10.6.5")
def test_what_is_cut_short_is_no_success(server: Server, vsock: Vsock) -> None:
    """An echo that ends before everything is back, in order or by a reset, is an error: one line, exit status 6."""
    hint = "On vsock recv(2) returns 0 after a reset as after an orderly end. Only counting tells whether all is there."
    listener = vsock.listens()
    for what in ("ends", "reset"):
        program = client(server, DATA, f"vsock:{vsock.client}:{listener.port}")
        peer = listener.accepts(program)
        peer.receives(DATA)
        peer.sends(DATA[: len(DATA) // 2], of=DATA)
        if what == "reset":
            vsock.faults(reset_after=0, port=listener.port)
            peer.sends(DATA[len(DATA) // 2 :], of=DATA)
        peer.closes()
        program.exits(BROKEN, hint=hint)
        program.prints_one_line("stderr", matching=r"vsock-echo: .+")
        vsock.clears()


@points(5)
@needs("test_client_sends_and_receives")
@read("connect(2), ERRORS", "virtio 1.2, section 5.10.6.4")
def test_nobody_there(server: Server, vsock: Vsock) -> None:
    """A CID that no machine has, and a port where nobody listens: ECONNRESET both, and exit status 4."""
    closed = vsock.listens()
    closed.closes()
    for address in (f"vsock:{ABSENT}:7000", f"vsock:{vsock.client}:{closed.port}", f"vsock:{vsock.host}:7000"):
        program = client(server, DATA, address)
        program.exits(NOBODY, hint="ECONNRESET from connect(2) is the refusal: see the contract's exit statuses.")
        program.prints_one_line("stderr", matching=rf"vsock-echo: connect\({address}\): Connection reset by peer")


@points(4)
@needs("test_nobody_there")
@read("vsock(7), Ioctls", "connect(2), ERRORS")
def test_no_device(server: Server, vsock: Vsock, machine: Machine) -> None:
    """Without a vsock device the client is told so, exit status 5; inside the machine CID 1 goes on to work."""
    machine.loses_its_vsock()
    address = f"vsock:{vsock.client}:7000"
    program = client(server, DATA, address)
    program.exits(NO_DEVICE, hint="ENODEV is no answer of a peer: there is no device to ask by.")
    program.prints_one_line("stderr", matching=rf"vsock-echo: connect\({address}\): No such device")
    local = server.start("--port", "0")
    inside = client(server, DATA, f"vsock:1:{local.address.port}")
    inside.exits(0, hint="CID 1 needs no device: it is the kernel's own.")
    inside.wrote(DATA)


@points(4)
@needs("test_nobody_there")
@read("vsock(7), Socket options")
def test_nobody_answers(server: Server, vsock: Vsock) -> None:
    """A host that does not answer at all is waited for as long as --timeout, not for the kernel's two seconds."""
    program = client(server, DATA, vsock.host_is_silent(), "--timeout", str(PATIENCE))
    program.exits(
        TIMED_OUT,
        within=PATIENCE,
        hint="SO_RCVTIMEO and SO_SNDTIMEO do not limit connect(2) here: SO_VM_SOCKETS_CONNECT_TIMEOUT does.",
    )
    program.prints_one_line("stderr", matching=r"vsock-echo: connect\(vsock:2:\d+\): \w+ timed out")


@points(3)
@needs("test_client_sends_and_receives")
@read("poll(2)")
def test_echo_that_falls_silent(server: Server, vsock: Vsock) -> None:
    """An echo that never answers is given up after --timeout: one line, exit status 3."""
    listener = vsock.listens()  # the kernel takes the connection and the bytes
    program = client(server, DATA, f"vsock:{vsock.client}:{listener.port}", "--timeout", str(PATIENCE))
    program.exits(TIMED_OUT, hint="poll(2) returns 0 when its time is up.")
    program.prints_one_line("stderr", matching=r"vsock-echo: .+")
    assert program.seconds > 0.8 * PATIENCE, f"It was given up after {program.seconds:.3f} s, too early."
