"""Chapter 09: what `vsock-http URL` does over TCP, Unix sockets and vsock, and how it tells what has gone wrong."""

import pytest
from conn_stage import KINDS, Stage

from groundup_guest.testing import Server, Tcp, Unix, Vsock, Wire, needs, points, read

TIMED_OUT, UNREACHABLE, RESPONSE, STATUS = 3, 4, 5, 7
PATIENCE = 0.2
"""Seconds for --timeout where a test waits for it to pass."""
BODY = b"hello from whatever this is\n" * 10


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """Return a response's bytes."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def stage(server: Server, tcp: Tcp, unix: Unix, vsock: Vsock) -> Stage:
    """Return the three transports."""
    return Stage(server, tcp, unix, vsock)


@points(9)
@read("connect(2)", "poll(2)", "getsockopt(2), SO_ERROR")
def test_client_fetches(stage: Stage) -> None:
    """http, http+unix and http+vsock: the client asks, writes the body to standard output, and exits with 0."""
    for kind in KINDS:
        listener = stage.listens(kind)
        program = stage.server.run(listener.url("/a/b?c"))
        peer = listener.accepts(program)
        peer.receives_request("GET", "/a/b?c", {"host": "*"})
        for found in program.descriptors():
            assert found.fd <= 2 or found.cloexec, f"Over {kind} a dialled descriptor is not close-on-exec."
        peer.sends(answer(BODY))
        peer.closes()
        program.exits(0)
        program.wrote(BODY)
    listener = stage.tcp.listens(6)
    program = stage.server.run(listener.url("/none"))
    peer = listener.accepts(program, hint="The socket that dials has to be of the address's own family.")
    peer.receives_request("GET", "/none")
    peer.sends(answer(BODY, "404 Not Found"))
    peer.closes()
    program.exits(STATUS, hint="What the given client.c does with a status of 400 or more, it does over every conn.")


@points(5)
@needs("test_client_fetches")
@read("recv(2), RETURN VALUE", "RFC 9112, section 8")
def test_client_is_told_too_little(stage: Stage) -> None:
    """A body that ends before Content-Length says so is an error over every transport: exit status 5."""
    for kind in KINDS:
        listener = stage.listens(kind)
        program = stage.server.run(listener.url())
        peer = listener.accepts(program)
        peer.receives_request()
        peer.sends(answer(BODY)[:-20])
        peer.closes()
        program.exits(RESPONSE, hint="Over vsock a reset looks like an end: only the length tells.")
        program.prints_one_line("stderr", matching=r"vsock-http: .+")


@points(5)
@needs("test_client_fetches")
@read("connect(2), ERRORS", "unix(7), ERRORS")
def test_client_finds_nobody(stage: Stage) -> None:
    """Where nobody listens the client says which call failed and why, and exits with 4."""
    closed = stage.tcp.listens()
    closed.closes()
    for url, why in (
        (closed.url(), r"connect\(tcp:\S+\): Connection refused"),
        ("http://[fe80::1]/", r"connect\(tcp:\[fe80::1\]:80\): Invalid argument"),  # of no link in particular
        ("http+unix://nobody.sock/", r"connect\(unix:nobody.sock\): No such file or directory"),
        ("http+vsock://77:80/", r"connect\(vsock:77:80\): Connection reset by peer"),
    ):
        program = stage.server.run(url)
        program.exits(UNREACHABLE, hint="connect(2) fails at once, or SO_ERROR tells after poll(2): look at both.")
        program.prints_one_line("stderr", matching=rf"vsock-http: {why}")


@points(5)
@needs("test_client_fetches")
@read("poll(2)", "linux/vm_sockets.h, SO_VM_SOCKETS_CONNECT_TIMEOUT", "unix(7)", "socket(7), SO_SNDTIMEO")
def test_client_is_left_waiting(stage: Stage, wire: Wire) -> None:
    """Who does not answer, does not even refuse, or has no room is given up after --timeout, not before: status 3."""
    listeners = [stage.listens(kind) for kind in KINDS]
    programs = [stage.server.run("--timeout", str(PATIENCE), listener.url()) for listener in listeners]
    for program in programs:  # the kernel takes the connection and the request
        program.exits(TIMED_OUT, hint="conn_read ends at the deadline with -ETIMEDOUT.")
    silent = stage.vsock.host_is_silent().removeprefix("vsock:")
    full = stage.unix.is_full()
    wire.drops(1.0)  # no SYN arrives
    for url, hint in (
        (listeners[0].url(), "A connect(2) that sleeps tries for minutes: SOCK_NONBLOCK, and poll(2) to wait."),
        (f"http+vsock://{silent}/", "A dial has a deadline too."),
        (f"http+unix://{full}/", "A queue that is full is waited for: EAGAIN is not an answer, and poll(2) no help."),
    ):
        program = stage.server.run("--timeout", str(PATIENCE), url)
        program.exits(TIMED_OUT, within=PATIENCE, hint=hint)


@points(2)
@needs("test_client_fetches")
@read("vsock(7), Local communication", "unix(7)")
def test_client_and_server(stage: Stage) -> None:
    """The client gets a file from the server over every transport, inside one machine; over vsock that is CID 1."""
    root = stage.server.directory({"a.txt": BODY})
    for kind, program in stage.all(root):
        address = program.address
        host = {"tcp": f"127.0.0.1:{address.port}", "unix": address.host, "vsock": f"1:{address.port}"}[kind]
        client = stage.server.run(f"{'http' if kind == 'tcp' else f'http+{kind}'}://{host}/a.txt")
        client.exits(0)
        client.wrote(BODY)
