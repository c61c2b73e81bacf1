"""Chapter 05: large files, files that change, clients that leave or fall asleep; and what is left behind."""

import signal
import time

from files_requests import asks, expect, request, serves, start

from groundup_guest.testing import Descriptor, FailedError, Program, Server, Tcp, needs, points, read

GIB = 1 << 30
MIB = 1 << 20
LARGE = 16 * MIB
"""Bytes that no pair of sockets holds: a server that sends so many has to wait for its client."""
PATIENCE = 0.05
"""Seconds for --timeout where a test waits for it to pass."""
GOOD = "/good.txt"


def resident(program: Program) -> int:
    """Return how much memory the program has in use, in bytes."""
    return int(program.call("facts", sockets=False)["rss_bytes"])


def opened_since(program: Program, before: list[int]) -> list[Descriptor]:
    """Return the descriptors, but for connections, that the program did not have open before."""
    now = program.descriptors()
    return [each for each in now if each.fd not in before and not each.target.startswith("socket:")]


@points(2)
@needs("test_single_range")
@read("sendfile(2)", "RFC 9110, section 14.4")
def test_large_file(server: Server, tcp: Tcp) -> None:
    """A file of more than 4 GiB has its length and its ranges, and is sent without being read into memory."""
    size = 4 * GIB + 10
    root = server.directory({"good.txt": b"good"}).sparse("large.bin", size - 3, b"end")
    program = start(server, root)
    peer = tcp.connect(program)
    hint = "Sizes and offsets are off_t, of 64 bits: an int ends at 2 GiB, an unsigned one at 4 GiB."
    asks(peer, "/large.bin", method="HEAD", headers={"content-length": str(size)}, hint=hint)
    for value, first, body in (
        (f"bytes={size - 5}-", size - 5, b"\0\0end"),
        ("bytes=-2", size - 2, b"nd"),
        (f"bytes={2 * GIB}-{2 * GIB}", 2 * GIB, b"\0"),
    ):
        answer = asks(peer, "/large.bin", f"Range: {value}", status=206, body=body, hint=hint)
        wanted = f"bytes {first}-{first + len(body) - 1}/{size}"
        found = answer.header("content-range")
        expect(found == wanted, f"The answer has Content-Range: {found}, where {wanted} was expected.")
    before = resident(program)
    peer.sends(request("/large.bin"), hint=hint)
    peer.receives_response(200, request_method="HEAD", headers={"content-length": str(size)})  # the content comes below
    peer.receives(bytes(MIB), hint="These are zeros, as the file has them.")
    grown = resident(program) - before
    expect(
        grown < 2 * MIB,
        f"The server has taken {grown:,} bytes of memory to send a large file.",
        "sendfile(2) takes them from the page cache to the socket: nothing of the file passes through the program.",
    )
    peer.resets()
    peer = tcp.connect(program)
    asks(peer, GOOD, body=b"good")
    peer.sends(request("/large.bin", f"Range: bytes=0-{3 * GIB},{4 * GIB}-"), hint=hint)
    answer = peer.receives_response(206, request_method="HEAD", headers={"content-length": "*"}, hint=hint)
    length = int(answer.header("content-length") or 0)
    expect(length > 3 * GIB + 10, f"Content-Length is {length:,} where the parts alone have more than 3 GiB.", hint)
    peer.resets()


@points(2)
@needs("test_serves_a_file")
@read("sendfile(2)", "RFC 9110, section 8.6", "RFC 9112, section 6.3")
def test_file_that_grows(server: Server, tcp: Tcp) -> None:
    """A file that grows while it is sent is sent as far as was promised, and the connection goes on."""
    root = server.directory({"good.txt": b"good"}).sparse("log", 2 * MIB)
    program = start(server, root)
    peer = tcp.connect(program)
    peer.sends(request("/log"))
    program.settles(hint="The client does not read: the server has to wait.")
    root.append("log", b"more" * 50_000)
    peer.receives_response(200, body=bytes(2 * MIB))
    asks(
        peer,
        GOOD,
        body=b"good",
        hint="What is sent is what Content-Length says, and that is what fstat(2) said before, whatever comes later.",
    )


@points(2)
@needs("test_serves_a_file")
@read("sendfile(2), RETURN VALUE", "RFC 9112, section 8", "RFC 9112, section 9.6")
def test_file_that_shrinks(server: Server, tcp: Tcp) -> None:
    """A file that is cut short while it is sent cannot be sent whole: the connection is closed, and nothing made up."""
    root = server.directory({"good.txt": b"good"}).sparse("cut", LARGE)
    program = start(server, root)
    peer = tcp.connect(program)
    peer.sends(request("/cut"))
    peer.sends(request(GOOD))
    peer.half_closes()  # after these two requests the connection ends, whatever the server makes of the first
    program.settles(hint="The client does not read: the server has to wait.")
    root.truncate("cut", 1000)
    peer.receives_response(200, request_method="HEAD", headers={"content-length": str(LARGE)})
    hint = (
        "sendfile(2) returns 0 at the end of the file, and 0 each time after. Content-Length is promised: all that is "
        "left is to close."
    )
    received = peer.receives_until_close(hint=hint)
    expect(
        len(received) < LARGE,
        "The file has become shorter, but the answer has not: what was sent was never in it.",
    )
    expect(b"HTTP" not in received, "The next answer has come where the client still expects bytes of the file.")
    asks(tcp.connect(program), GOOD, body=b"good", hint=hint)


@points(2)
@needs("test_serves_a_file")
@read("socket(7), SO_SNDTIMEO", "sendfile(2), EAGAIN")
def test_client_that_stops_reading(server: Server, tcp: Tcp) -> None:
    """A client that takes nothing any more is given up after --timeout, and the next one is served."""
    root = server.directory({"good.txt": b"good"}).sparse("large", LARGE)
    program = start(server, root, "--timeout", str(PATIENCE))
    program.signals(signal.SIGSTOP)  # the kernel takes connections and bytes: all is there when its time begins to run
    asleep, waiting = tcp.connect(program), tcp.connect(program)
    asleep.sends(request("/large"))
    waiting.sends(request(GOOD))
    began = time.monotonic()
    program.signals(signal.SIGCONT)
    hint = "With SO_SNDTIMEO sendfile(2) fails with EAGAIN when nothing was taken for that long: that is the end of it."
    waiting.receives_response(200, body=b"good", hint=hint)
    waited = time.monotonic() - began
    expect(waited > 0.8 * PATIENCE, f"The client was given up too early, after {waited:.3f} s: --timeout {PATIENCE}.")


@points(1)
@needs("test_serves_a_file")
@read("sendfile(2)", "signal(7), SIGPIPE", "write(2), EPIPE")
def test_client_that_leaves_in_the_middle(server: Server, tcp: Tcp) -> None:
    """A client that resets while a file is sent to it ends its own conversation, and not the server."""
    root = server.directory({"good.txt": b"good"}).sparse("large", LARGE)
    program = start(server, root)
    hint = "Writing to a client that is gone raises SIGPIPE: sendfile(2) has no MSG_NOSIGNAL, so it has to be ignored."
    for half_closes in (True, False):
        peer = tcp.connect(program)
        peer.sends(request("/large"))
        program.settles(hint="The client does not read: the server has to wait.")
        if half_closes:  # a reset after a FIN leaves EPIPE behind, hence SIGPIPE; without it, ECONNRESET
            peer.half_closes()
        peer.resets()
        other = tcp.connect(program, hint=hint)
        asks(other, GOOD, body=b"good", hint=hint)
        other.closes()  # one client at a time


@points(1)
@needs("test_client_that_leaves_in_the_middle")
@read("signal(7), Interruption of system calls", "sendfile(2)")
def test_stopped_and_continued(server: Server, tcp: Tcp) -> None:
    """A server that is stopped and continued while it sends a file (Ctrl-Z, fg) goes on where it was."""
    root = server.directory({"good.txt": b"good"}).sparse("large", 2 * MIB - 5, b"...!\n")
    program = start(server, root)
    peer = tcp.connect(program)
    peer.sends(request("/large"))
    hint = "With SO_SNDTIMEO set, sendfile(2) is cut short by a stop, and fails with EINTR at the next: call it again."
    for _ in range(5):  # the first leave a short count behind, and when no byte finds room any more, EINTR
        program.settles(hint="The client does not read: the server has to wait.")
        program.signals(signal.SIGSTOP)
        program.signals(signal.SIGCONT)
    program.settles(hint=hint)
    peer.receives_response(200, body=bytes(2 * MIB - 5) + b"...!\n", hint=hint)
    asks(peer, GOOD, body=b"good", hint=hint)


@points(1)
@needs("test_client_that_leaves_in_the_middle")
@read("signal(7)", "_exit(2)")
def test_stops_in_the_middle(server: Server, tcp: Tcp) -> None:
    """SIGTERM ends the server within a second, exit status 0, in the middle of a file."""
    program = start(server, server.directory({"good.txt": b"good"}).sparse("large", LARGE))
    peer = tcp.connect(program)
    asks(peer, GOOD, body=b"good")
    peer.sends(request("/large"))
    program.settles(hint="The client does not read: the server has to wait.")
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0, hint="The handler of chapter 01 ends the process from wherever it sleeps.")


@points(1)
@needs("test_index", "test_listing", "test_single_range", "test_not_modified_answer")
@read("close(2)", "opendir(3)", "openat2(2)")
def test_every_descriptor_is_closed(server: Server, tcp: Tcp) -> None:
    """However a request is answered, what was opened for it is closed by the time that the next one is read."""
    root = server.directory(dict.fromkeys(("a", "b", "c", "d", "index/index.html", "list/x", "other/x"), b"abc"))
    root.fifo("pipe").sparse("large", LARGE)
    program = start(server, root)
    before = [each.fd for each in program.descriptors()]
    peer = tcp.connect(program)
    for path, status, *fields in (
        *(("/a", 200), ("/a", 206, "Range: bytes=0-0"), ("/a", 206, "Range: bytes=0-0,2-2"), ("/index/", 200)),
        *(
            ("/b", 304, "If-None-Match: *"),
            ("/c", 412, 'If-Match: "x"'),
            ("/d", 416, "Range: bytes=9-"),
            ("/pipe", 403),
        ),
        *(("/list", 301), ("/other/", 200), ("/nothing", 404)),
    ):
        asks(peer, path, *fields, status=status)
    program.settles()
    if left := opened_since(program, before):
        raise FailedError(
            f"After the requests descriptor {left[0].fd} is still open: {left[0].target}.", "Each wants its close(2)."
        )
    peer.sends(request("/large"))
    program.settles()
    for each in opened_since(program, before):
        expect(each.cloexec, f"Descriptor {each.fd}, {each.target}, is not close-on-exec: O_CLOEXEC.")
    peer.resets()
    peer = tcp.connect(program)
    asks(peer, "/a")
    program.settles()
    if left := opened_since(program, before):
        raise FailedError(f"After a client left in the middle descriptor {left[0].fd} is still open: {left[0].target}.")


@points(1)
@needs("test_serves_a_file")
@read("getopt_long(3)", "open(2), O_DIRECTORY")
def test_root(server: Server, tcp: Tcp) -> None:
    """The root is the current directory unless --root names another; one that is none, or no option, is an error."""
    root = server.directory({"a.txt": b"abc"})
    asks(tcp.connect(server.start("--port", "0")), f"/{root.name}/a.txt", body=b"abc")
    asks(serves(server, tcp, root), "/a.txt", body=b"abc")
    for wrong, why in (("nowhere", "No such file or directory"), (f"{root.name}/a.txt", "Not a directory")):
        program = server.run("--port", "0", "--root", wrong)
        program.exits(status=1, hint="A root that is none is noticed before the server says that it listens.")
        program.prints_one_line("stderr", matching=rf"^http-files: .*{wrong}.*: {why}$")
    program = server.run("--bogus")
    program.exits(status=2)
    hint = "getopt_long(3) says itself, in one line, which option it does not know."
    program.prints_one_line("stderr", matching=r"^http-files: .+", hint=hint)
