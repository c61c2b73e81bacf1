"""Chapter 09: what a client may rely on when it asks `vsock-http --listen ADDRESS`, over TCP, Unix sockets and vsock.

Nearly every test does the same over each of the three, and a step says which one it is at.
"""

import random
import signal

import pytest
from conn_stage import KINDS, Stage, request

from groundup_guest.scene import Scene
from groundup_guest.testing import Machine, Server, Tcp, Unix, Vsock, needs, points, read

TEXT = b"the same bytes, whatever carries them\n" * 20
PATIENCE = 0.2
"""Seconds for --timeout where a test waits for it to pass."""


@pytest.fixture
def stage(server: Server, tcp: Tcp, unix: Unix, vsock: Vsock) -> Stage:
    """Return the three transports."""
    return Stage(server, tcp, unix, vsock)


@points(5)
@read("getsockname(2)", "unix(7)", "vsock(7), Ioctls", "ip(7)")
def test_ready_lines(stage: Stage) -> None:
    """The ready line has the address at which the server is reached: the kernel's port, the path, the own CID."""
    root = stage.server.directory({"a.txt": TEXT})
    for kind, program in stage.all(root):
        address = program.address
        assert address.kind == kind, f"It was to listen on {kind}, and says {address.text}."
        if kind == "unix":
            assert address.host.startswith("http"), f"The path was another one than {address.text}."
            continue
        assert address.port not in (0, 0xFFFFFFFF), f"{address.text}: getsockname(2) tells the port that it became."
        assert kind == "tcp" or address.host == "3", f"The machine's CID is 3, and the ready line says {address.text}."


@points(7)
@needs("test_ready_lines")
@read("recv(2)", "send(2)", "RFC 9110, section 15.3.1")
def test_a_file(stage: Stage) -> None:
    """A file comes with 200 and Content-Length, Content-Type, Accept-Ranges, Date and Last-Modified."""
    root = stage.server.directory({"a.txt": TEXT})
    for _, program in stage.all(root):
        peer = stage.connect(program)
        peer.sends(request("/a.txt"))
        peer.receives_response(
            headers={
                "content-length": str(len(TEXT)),
                "content-type": "text/plain; charset=utf-8",
                "accept-ranges": "bytes",
                "date": "*",
                "last-modified": "*",
            },
            body=TEXT,
        )


@points(7)
@needs("test_a_file")
@read("RFC 9110, section 14", "RFC 9110, section 13.1.3", "RFC 9110, section 15.5.17")
def test_ranges_and_conditions(stage: Stage) -> None:
    """A part of a file comes with 206, a part that is not there with 416; a client that has the file gets 304."""
    root = stage.server.directory({"a.txt": TEXT})
    for _, program in stage.all(root):
        peer = stage.connect(program)
        peer.sends(request("/a.txt", "Range: bytes=10-19"))
        peer.receives_response(status=206, headers={"content-range": f"bytes 10-19/{len(TEXT)}"}, body=TEXT[10:20])
        peer.sends(request("/a.txt", f"Range: bytes={len(TEXT)}-"))
        peer.receives_response(status=416, headers={"content-range": f"bytes */{len(TEXT)}"})
        peer.sends(request("/a.txt", method="HEAD"))
        head = peer.receives_response(headers={"etag": "*"}, request_method="HEAD")
        peer.sends(request("/a.txt", f"If-Modified-Since: {head.header('last-modified')}"))
        peer.receives_response(status=304)
        peer.sends(request("/b.txt"))
        peer.receives_response(status=404)


@points(5)
@needs("test_a_file")
@read("recv(2), RETURN VALUE", "RFC 9112, section 9.3.2")
def test_requests_in_pieces(stage: Stage, rng: random.Random) -> None:
    """However requests are cut or run together, each gets its answer, in their order."""
    root = stage.server.directory({"a.txt": TEXT, "b.txt": b"the other"})
    data = request("/a.txt") + request("/b.txt") + request("/a.txt", "Connection: close")
    for _, program in stage.all(root):
        peer = stage.connect(program)
        cut = rng.randrange(1, len(request("/a.txt")) - 1)
        peer.sends(data[:cut], of=data)
        peer.stays_silent_until(program.has_read(peer))
        peer.sends(data[cut:], of=data)
        for body in (TEXT, b"the other", TEXT):
            peer.receives_response(body=body)
        peer.sees_close(hint="After `Connection: close` the server ends its stream: conn_close_write, shutdown(2).")


@points(6)
@needs("test_a_file")
@read("send(2), RETURN VALUE", "poll(2), POLLOUT")
def test_a_large_file(stage: Stage, rng: random.Random) -> None:
    """A file of 1.5 MB, more than any buffer takes at once, comes whole."""
    data = rng.randbytes(1_500_000)
    root = stage.server.directory({"large": data})
    for _, program in stage.all(root):
        peer = stage.connect(program)
        peer.sends(request("/large"))
        peer.receives_response(
            body=data, hint="A send(2) that must not wait takes what there is room for; the rest is yours to send."
        )


@points(3)
@needs("test_a_file")
@read("bind(2)", "ipv6(7), IPV6_V6ONLY", "vsock(7), Local communication")
def test_one_address(stage: Stage) -> None:
    """A server that listens at one address, of IPv4, IPv6 or vsock, is reached there and nowhere else."""
    root = stage.server.directory({"a.txt": TEXT})
    for family, form in ((4, "tcp:{}:0"), (6, "tcp:[{}]:0")):
        host = stage.server.host(family)
        program = stage.server.start("--root", root.name, "--listen", form.format(host))
        assert program.address.host == host, f"It was to listen at {host}, and says {program.address.text}."
        peer = stage.tcp.connect(program)
        stage.tcp.refused(program, family=10 - family)
        peer.sends(request("/a.txt"))
        peer.receives_response(body=TEXT)
    program = stage.server.start("--listen", "vsock:1:0")
    assert program.address.host == "1", f"It was bound to CID 1, and says {program.address.text}."
    stage.vsock.refused(program, hint="A server that is bound to one CID is reached at that CID and at no other.")


@points(5)
@needs("test_a_file")
@read("poll(2)", "RFC 9110, section 15.5.9")
def test_silent_peers(stage: Stage) -> None:
    """Who falls silent in the middle of a request is told so with 408 after --timeout, and the next one is served."""
    hint = "poll(2) returns 0 when its time is up: -ETIMEDOUT, which a server can tell from other errors."
    root = stage.server.directory({"a.txt": TEXT})
    programs = [program for _, program in stage.all(root, "--timeout", str(PATIENCE))]
    peers = []
    for program in programs:
        program.signals(signal.SIGSTOP)  # so that all is there when the time begins to run
        peers.append((stage.connect(program), stage.connect(program)))
        peers[-1][0].sends(request("/a.txt")[:20])
        peers[-1][1].sends(request("/a.txt", "Connection: close"))
    for program in programs:
        program.signals(signal.SIGCONT)
    for silent, waiting in peers:
        silent.receives_response(status=408, hint=hint)
        waiting.receives_response(body=TEXT, hint=hint)


@points(6)
@needs("test_silent_peers")
@read("poll(2)", "clock_gettime(2), CLOCK_MONOTONIC")
def test_slow_peers(stage: Stage, scene: Scene, rng: random.Random) -> None:
    """A deadline is a moment: who sends a byte now and then has no longer for a request than who sends nothing."""
    root = stage.server.directory({"a.txt": TEXT})
    # The next byte has to come within it on a busy machine, too.
    patience = max(2 * PATIENCE, 1.5 * scene.deadlines.slack)
    program = stage.serves(rng.choice(KINDS), root, "--timeout", f"{patience:.3f}")
    stage.connect(program).drips(
        request("/a.txt", "X-Slow: " + "a" * 6000),
        within=patience,
        hint="Wait for what is left of the time until the deadline, and not for all of it each time.",
    )


@points(4)
@needs("test_a_large_file")
@read("poll(2), POLLOUT", "send(2), MSG_DONTWAIT")
def test_peers_that_do_not_read(stage: Stage) -> None:
    """A peer that asks for a large file and does not read it is given up after --timeout; the next one is served."""
    root = stage.server.directory({"a.txt": TEXT}).sparse("large", 60 << 20)
    programs = [program for _, program in stage.all(root, "--timeout", str(PATIENCE))]
    peers = []
    for program in programs:
        program.signals(signal.SIGSTOP)
        stage.connect(program).sends(request("/large"))
        peers.append(stage.connect(program))
        peers[-1].sends(request("/a.txt"))
    for program in programs:
        program.signals(signal.SIGCONT)
    for peer in peers:
        peer.receives_response(body=TEXT, hint="A send(2) without MSG_DONTWAIT sleeps past every deadline.")


@points(4)
@needs("test_a_large_file")
@read("send(2), MSG_NOSIGNAL", "send(2), ERRORS")
def test_peers_that_leave(stage: Stage) -> None:
    """A peer that leaves in the middle of its answer, or asks for nothing, ends its own conversation and no other."""
    hint = "An error of one connection ends that connection; and MSG_NOSIGNAL, or SIGPIPE ends the program."
    root = stage.server.directory({"a.txt": TEXT}).sparse("large", 60 << 20)
    for _, program in stage.all(root):
        stage.connect(program).closes()
        leaving = stage.connect(program)
        leaving.sends(request("/large"))
        leaving.receives(b"HTTP/1.1 200")
        leaving.closes()
        peer = stage.connect(program, hint=hint)
        peer.sends(request("/a.txt"), hint=hint)
        peer.receives_response(body=TEXT, hint=hint)


@points(5)
@needs("test_a_file")
@read("accept4(2)", "getsockname(2)", "ip(7)", "unix(7)")
def test_addresses_of_both_ends(stage: Stage) -> None:
    """With --log each request is told with the addresses of both ends: of this connection, not of the listener."""
    root = stage.server.directory({"a.txt": TEXT})
    for kind, program in stage.all(root, "--log"):
        peer = stage.connect(program)
        peer.sends(request("/a.txt"))
        peer.receives_response(body=TEXT)
        wanted = {
            "tcp": f"tcp:192.0.2.2:{peer.local.port} tcp:192.0.2.1:{program.address.port}",
            "unix": f"unix: {program.address.text}",
            "vsock": f"vsock:4:{peer.local.port} vsock:3:{program.address.port}",
        }[kind]
        program.settles()  # it may well log what it has answered already
        program.prints_one_line("stderr", matching=".*")
        line = program.stderr.strip()
        assert line == f"{wanted} GET /a.txt", (
            f"Over {kind} the line should be `{wanted} GET /a.txt`, and is `{line}`. accept4(2) tells the other end, "
            "getsockname(2) of the connection this one; an IPv4 address in IPv6's form is written as IPv4."
        )


@points(4)
@needs("test_a_file")
@read("unix(7)", "socket(7), SO_REUSEADDR", "unlink(2)")
def test_restarts_at_once(stage: Stage) -> None:
    """A server that was killed and is started again gets its address back at once, and a path as well."""
    root = stage.server.directory({"a.txt": TEXT})
    for kind, first in stage.all(root):
        peer = stage.connect(first)
        peer.sends(request("/a.txt", "Connection: close"))
        peer.receives_response(body=TEXT)
        peer.sees_close()
        peer.closes()
        address = first.address.text
        first.signals(signal.SIGKILL)
        first.end()
        hint = {
            "tcp": "SO_REUSEADDR has to be set before bind(2).",
            "unix": "The socket of a server that was killed is still there: if nobody answers at it, remove it.",
            "vsock": "",
        }[kind]
        second = stage.server.start("--root", root.name, "--listen", address, hint=hint)
        peer = stage.connect(second)
        peer.sends(request("/a.txt"))
        peer.receives_response(body=TEXT)


@points(4)
@needs("test_restarts_at_once")
@read("bind(2), ERRORS", "unix(7), ERRORS", "lstat(2)")
def test_address_taken(stage: Stage, machine: Machine) -> None:
    """An address at which a server listens is an error, exit status 1; so is a path with a file that is no socket."""
    root = stage.server.directory({"a.txt": TEXT})
    for _, program in stage.all(root):
        address = program.address.text
        second = stage.server.run("--listen", address)
        second.exits(1, hint="Who is reached there is not to be replaced.")
        second.prints_one_line(matching=rf"vsock-http: bind\({_escaped(address)}\): Address (already )?in use")
        peer = stage.connect(program)
        peer.sends(request("/a.txt"))
        peer.receives_response(body=TEXT, hint="The first server has lost its address to the second.")
    root.directory("d").socket("d/stale").links({"d/link": "stale"}).mode("d/stale", 0o777).mode("d", 0o777)
    no_socket = "A path with something else than a socket is no place to listen at: lstat(2) tells."
    for path, hint in (
        ("vsock-http", no_socket),  # the program itself
        (f"{root.name}/d/link", no_socket),  # though the socket that it leads to is stale
        (stage.unix.is_full(), "Who has no room for a connection is there: only ECONNREFUSED says that nobody is."),
    ):
        stage.server.run("--listen", f"unix:{path}").exits(1, hint=hint)
    nowhere = stage.server.run("--listen", "tcp:[fe80::1]:0")  # an address, though of no link in particular
    nowhere.exits(1, hint="EINVAL is what bind(2) says here: the text itself was an address.")
    nowhere.prints_one_line(matching=r"vsock-http: bind\(tcp:\[fe80::1\]:0\): Invalid argument")
    assert "vsock-http" in machine.files(), "The file at the path, which is no socket, was removed."


def _escaped(address: str) -> str:
    return "".join(f"\\{letter}" if letter in "[]." else letter for letter in address)


@points(3)
@needs("test_ready_lines")
@read("unix(7)", "strrchr(3)")
def test_bad_addresses(stage: Stage, machine: Machine) -> None:
    """What is no address is a usage error, exit status 2; a path that does not fit is one, and is not cut short."""
    long = "x" * 108
    for address in ("tcp:192.0.2.1", "tcp:[::1]", "tcp:::1:80", "tcp:[192.0.2.1]:80", "tcp:1.2.3.4:80x",
                    "tcp:1.2.3.4:65536", f"tcp:{'1' * 300}:80",
                    "unix:", f"unix:{long}", "vsock:x:1", "udp:1.2.3.4:5"):  # fmt: skip
        wrong = stage.server.run("--listen", address)
        wrong.exits(2, hint=f"The address was {address[:40]}.")
        wrong.prints_one_line("stderr", matching=r"vsock-http: .+")
    assert long[:-1] not in machine.files(), (
        "A path of 108 bytes was cut to 107: there is a socket of another name now."
    )
    fits = stage.server.start("--listen", f"unix:{'y' * 107}", hint="sun_path has room for 107 bytes and a NUL.")
    assert fits.address.host == "y" * 107, f"The ready line says {fits.address.text}."


@points(3)
@needs("test_a_file")
@read("accept4(2), SOCK_CLOEXEC", "open(2), O_CLOEXEC")
def test_descriptors(stage: Stage) -> None:
    """Every descriptor is close-on-exec, over every transport."""
    root = stage.server.directory({"a.txt": TEXT})
    for kind, program in stage.all(root):
        peer = stage.connect(program)
        peer.sends(request("/a.txt"))
        peer.receives_response(body=TEXT)
        for found in program.descriptors():
            assert found.fd <= 2 or found.cloexec, (
                f"Over {kind} descriptor {found.fd} ({found.target}) is not close-on-exec: SOCK_CLOEXEC for socket(2) "
                "and for accept4(2), O_CLOEXEC for open(2)."
            )


@points(3)
@needs("test_a_file")
@read("signal(7)")
def test_stops_in_the_middle(stage: Stage) -> None:
    """SIGTERM ends the server within a second, exit status 0, in the middle of a request."""
    program = stage.serves("vsock", stage.server.directory({"a.txt": TEXT}))
    peer = stage.connect(program)
    peer.sends(request("/a.txt")[:20])
    peer.stays_silent_until(program.has_read(peer))
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0)
