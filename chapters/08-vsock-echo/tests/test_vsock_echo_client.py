"""Chapter 08: what `vsock-echo vsock:CID:PORT` does, in the server machine, and how it tells what has gone wrong.

The echo servers are the test itself, in the client machine (CID 4), and the host (CID 2).
"""

import random
import time

from groundup_guest.scene import Scene
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


def writes(program: Program, scene: Scene, data: bytes, hint: str) -> None:
    """Expect the program to have written just this so far; it is asked until it has, or will not."""
    end = time.monotonic() + scene.deadlines.default
    while len(program.stdout) < len(data) and time.monotonic() < end:
        pass
    program.wrote(data, hint=hint)


@points(6)
@read("connect(2)", "poll(2)", "shutdown(2)", "stdio(3)", "open(2), O_CLOEXEC")
def test_client_sends_and_receives(server: Server, vsock: Vsock, scene: Scene) -> None:
    """The client sends its input and the end, writes to standard output what comes back, as it comes, until the end."""
    listener = vsock.listens()
    program = client(server, DATA, f"vsock:{vsock.client}:{listener.port}")
    peer = listener.accepts(program)
    peer.receives(DATA)
    peer.sees_close(hint="When the input has ended the server has to be told: shutdown(2) with SHUT_WR.")
    for found in program.descriptors():
        assert found.fd <= 2 or found.cloexec, f"Descriptor {found.fd} ({found.target}) is not close-on-exec."
    answer = DATA.upper()  # as long as the input, and not the input
    peer.sends(answer[:18], of=answer)
    writes(program, scene, answer[:18], "What has come back is written at once: stdio(3) would keep it in a buffer.")
    peer.sends(answer[18:], of=answer)
    writes(program, scene, answer, "What is written is what has come back.")
    program.settles(hint="It ends when the peer has ended its stream, and not before.")
    peer.closes()
    program.exits(0)
    program.wrote(answer)


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
            peer.sees_close()  # else the reset might answer that, before the rest is sent
            vsock.faults(reset_after=0, port=listener.port)
            peer.sends(DATA[len(DATA) // 2 :], of=DATA)
        peer.closes()
        program.exits(BROKEN, hint=hint)
        program.prints_one_line("stderr", matching=r"vsock-echo: .+")
        vsock.clears()
    program = client(server, DATA, f"vsock:{vsock.client}:{listener.port}")
    peer = listener.accepts(program)
    peer.receives(DATA)
    peer.sends(DATA + b"!")
    peer.closes()
    assert program.ends()["status"] in (1, BROKEN), "More has come back than was sent: that is no success."


@points(5)
@needs("test_client_sends_and_receives")
@read("connect(2), ERRORS", "virtio 1.2, section 5.10.6.5")
def test_nobody_there(server: Server, vsock: Vsock) -> None:
    """A CID that no machine has, and a port where nobody listens: ECONNRESET both, and exit status 4."""
    closed = vsock.listens()
    closed.closes()
    for address in (f"vsock:{ABSENT}:7000", f"vsock:{vsock.client}:{closed.port}", f"vsock:{vsock.host}:7000"):
        program = server.run(address)  # whose input is an empty standard input
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
    assert local.address.host == "1", f"What is left is CID 1, and the ready line says {local.address.text}."
    inside = client(server, DATA, f"vsock:1:{local.address.port}")
    inside.exits(0, hint="CID 1 needs no device: it is the kernel's own.")
    inside.wrote(DATA)


@points(4)
@needs("test_nobody_there")
@read("linux/vm_sockets.h, SO_VM_SOCKETS_CONNECT_TIMEOUT")
def test_nobody_answers(server: Server, vsock: Vsock) -> None:
    """A host that does not answer at all is waited for as long as --timeout, not for the kernel's two seconds."""
    program = client(server, DATA, vsock.host_is_silent(), "--timeout", str(PATIENCE))
    program.exits(
        TIMED_OUT,
        within=PATIENCE,
        hint="SO_RCVTIMEO and SO_SNDTIMEO do not limit connect(2) here: SO_VM_SOCKETS_CONNECT_TIMEOUT does, at the "
        "level AF_VSOCK. At SOL_SOCKET its number is SO_BROADCAST's, and no error.",
    )
    program.prints_one_line("stderr", matching=r"vsock-echo: connect\(vsock:2:\d+\): \w+ timed out")


@points(3)
@needs("test_client_sends_and_receives")
@read("poll(2)", "send(2), MSG_DONTWAIT")
def test_echo_that_falls_silent(server: Server, vsock: Vsock) -> None:
    """An echo that never answers, or takes nothing more, is given up after --timeout: one line, exit status 3."""
    listener = vsock.listens()  # the kernel takes the connection and the bytes, but no MiB
    address = f"vsock:{vsock.client}:{listener.port}"
    programs = [client(server, data, address, "--timeout", str(PATIENCE)) for data in (DATA, bytes(1 << 20))]
    hint = "Nothing limits a recv(2) or a send(2) that sleeps: wait in poll(2), which returns 0 when its time is up."
    for program in programs:
        program.exits(TIMED_OUT, hint=hint)
        program.prints_one_line("stderr", matching=r"vsock-echo: .+")
        assert program.seconds > 0.8 * PATIENCE, f"It was given up after {program.seconds:.3f} s, too early."
