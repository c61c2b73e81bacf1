"""Chapter 03: how much, and how long, `http-parse` takes from one client; clients that leave, reset, or fall silent."""

import random
import signal
import time

from test_http_parse import GET, LAST, answered, chunked, echo, echoed, request

from groundup_guest.scene import Scene
from groundup_guest.steps import InfraError
from groundup_guest.testing import Peer, Program, Server, Tcp, needs, points, read

HEAD_LIMIT = 8192
"""Bytes of a head, and of a trailer section: the lesson's contract, as are the next three."""
BODY_LIMIT = 1 << 20
CHUNK_LINE_LIMIT = 256
EXTENSION_LIMIT = 8192
PATIENCE = 0.05
"""Seconds for --timeout where a test waits for it to pass."""


def padded(size: int, line: str = "GET / HTTP/1.1") -> bytes:
    """Return a request whose head has this size."""
    bare = request("X-Padding: ", line=line)
    return bare.replace(b"Padding: ", b"Padding: " + b"a" * (size - len(bare)))


def given_up(peer: Peer, status: int, hint: str) -> None:
    """Expect a refusal, and the end of the stream."""
    peer.receives_response(status=status, hint=hint)
    peer.sees_close(hint=hint)
    peer.closes()


@points(3)
@needs("test_forms_of_fields")
@read("RFC 9112, section 3", "RFC 9110, section 15.5.15", "RFC 6585, section 5", "RFC 9110, section 5.4")
def test_limits_of_the_head(server: Server, tcp: Tcp) -> None:
    """A head of 8192 bytes is answered; a longer one is refused: 414 if its first line is too long, else 431."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(
        GET
        + padded(HEAD_LIMIT)
        + request(line=f"GET /?{'a' * (HEAD_LIMIT - 33)} HTTP/1.1")
        + b"\r\n"
        + padded(HEAD_LIMIT - 2)
    )
    for what in ("one of 32 bytes", f"one of {HEAD_LIMIT} bytes", "one with a long target", "one behind an empty line"):
        answered(
            peer, hint=f"This head, {what}, does not exceed the limit of {HEAD_LIMIT} bytes, its blank line included."
        )
    peer.closes()
    for what, status, head in (
        ("a head of one byte more", 431, padded(HEAD_LIMIT + 1)),
        ("fields that do not end", 431, GET[:-2] + b"X: " + b"a" * HEAD_LIMIT),
        ("many fields", 431, GET[:-2] + b"X: a\r\n" * (HEAD_LIMIT // 6)),
        ("a target that does not end", 414, b"GET /" + b"a" * HEAD_LIMIT),
        ("a target that is too long", 414, request(line=f"GET /{'a' * HEAD_LIMIT} HTTP/1.1")),
        ("a head of one byte more, with an empty line before it", 431, b"\r\n" + padded(HEAD_LIMIT - 1)),
        ("a request for which empty lines leave no room", 414, b"\r\n" * (HEAD_LIMIT // 2) + GET),
        ("a target for which an empty line leaves no room", 414, b"\r\nGET /" + b"a" * (HEAD_LIMIT - 6)),
    ):
        peer = tcp.connect(program)
        peer.sends(GET + head)  # the limit is that of the second request, wherever that lies in a buffer
        answered(peer)
        given_up(peer, status, hint=f"This was {what}: refuse it when {HEAD_LIMIT} bytes are there, and not its end.")


@points(3)
@needs("test_bodies_in_chunks", "test_expect_100_continue")
@read("RFC 9110, section 15.5.14", "RFC 9110, section 10.1.1", "RFC 9112, section 7.1")
def test_limits_of_the_body(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A body of 1 MiB comes back; more is 413: by its Content-Length before it is sent, by its chunks at their size."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    body = rng.randbytes(BODY_LIMIT)
    pieces = [body[start : start + 64] for start in range(0, BODY_LIMIT, 64)]
    hint = f"A body of {BODY_LIMIT} bytes does not exceed the limit."
    peer.sends(echo(body), hint=hint)
    echoed(peer, body, hint=hint)
    hint = f"Chunks of {BODY_LIMIT} bytes together, without what stands around them, do not exceed the limit."
    peer.sends(chunked(*pieces, trailer=b"X: a\r\n"), hint=hint)
    echoed(peer, body, hint=hint)
    too_long = request("Expect: 100-continue", f"Content-Length: {BODY_LIMIT + 1}", line="POST /echo HTTP/1.1")
    peer.sends(too_long)
    given_up(peer, 413, hint="The Content-Length says it: no 100, no waiting for the body.")
    peer = tcp.connect(program)
    peer.sends(chunked(b"a" * 16, b"")[:-5] + b"%x\r\n" % (BODY_LIMIT - 15))
    given_up(peer, 413, hint="The chunk's size says that the sum will exceed the limit: do not wait for the data.")


@points(2)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 7.1.1", "RFC 9112, section 7.1.2", "RFC 6585, section 5")
def test_limits_around_the_chunks(server: Server, tcp: Tcp) -> None:
    """What stands around the chunks is bounded: a size's line of 256 bytes, 8192 of extensions, 8192 of trailer."""
    program = server.start("--port", "0")
    head = request("Transfer-Encoding: chunked", line="POST /echo HTTP/1.1")
    line = b"1;" + b"e" * (CHUNK_LINE_LIMIT - 4) + b"\r\n"
    trailer = b"X: " + b"a" * (HEAD_LIMIT - 7) + b"\r\n"
    peer = tcp.connect(program)
    extended = (b"1;" + b"e" * 128 + b"\r\na\r\n") * (EXTENSION_LIMIT // 128 - 1)
    peer.sends(head + line + b"a\r\n0\r\n\r\n" + head + extended + b"0;" + b"e" * 128 + b"\r\n\r\n")
    echoed(peer, b"a", hint=f"A line of {CHUNK_LINE_LIMIT} bytes, its end included, is within the limit.")
    hint = f"Extensions of {EXTENSION_LIMIT} bytes, counted behind their semicolons, are within the limit."
    echoed(peer, b"a" * (EXTENSION_LIMIT // 128 - 1), hint=hint)
    peer.sends(head + b"0" * 20 + b"1\r\nb\r\n0\r\n" + trailer + b"\r\n" + LAST)
    echoed(peer, b"b", hint=f"A trailer of {HEAD_LIMIT} bytes, its blank line included, is within the limit.")
    answered(peer)
    peer.closes()
    for what, status, data in (
        ("a size's line that does not end", 400, b"1;" + b"e" * CHUNK_LINE_LIMIT),
        ("a size's line of a byte more", 400, b"1;e" + line[2:] + b"a\r\n0\r\n\r\n"),
        ("a trailer of a byte more", 431, b"0\r\nX: a" + trailer[3:] + b"\r\n"),
        ("a size that does not end", 400, b"0" * (CHUNK_LINE_LIMIT + 1)),
        ("a byte too much of extensions", 400, extended + b"0;" + b"e" * 129 + b"\r\n\r\n"),
        ("extensions without end", 400, (b"1;" + b"e" * 200 + b"\r\na\r\n") * (EXTENSION_LIMIT // 200 + 1)),
        ("a trailer that does not end", 431, b"0\r\nX: " + b"a" * HEAD_LIMIT),
        ("a trailer of many fields", 431, b"0\r\n" + b"X: a\r\n" * (HEAD_LIMIT // 6 + 1)),
    ):
        peer = tcp.connect(program)
        peer.sends(head + data)
        given_up(peer, status, hint=f"This was {what}: bytes that are only counted where they are body have no bound.")


@points(2)
@needs("test_one_request_after_another")
@read("RFC 9112, section 9.6", "RFC 1122, section 4.2.2.13")
def test_refusal_arrives(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A client that is refused in the middle of its body gets the whole answer, and the stream's end, not a reset."""
    hint = "A close(2) with bytes unread sends RST, which may cost the client the answer: half-close, then drain."
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(
        request(f"Content-Length: {BODY_LIMIT + 1}", line="POST /echo HTTP/1.1") + rng.randbytes(50_000), hint=hint
    )
    said = peer.receives_response(status=413, hint=hint).header("connection") or "nothing"
    assert "close" in said.lower(), f"The answer to what is refused says Connection: close; this one says {said}."
    peer.sees_close(hint=hint)
    peer.sends(rng.randbytes(10_000), hint=hint)
    peer.stays_silent_until(program.has_read(peer), hint=hint)
    peer.floods(rng.randbytes(4096), at_most=16 << 20, hint="After the last answer a MiB is read, and no more.")


def silent(program: Program, tcp: Tcp, data: bytes) -> tuple[Peer, float]:
    """Return a client that has sent `data` and nothing more, and when the program could first see it."""
    program.signals(signal.SIGSTOP)  # the kernel takes connections and bytes: all is there when its time begins to run
    peer = tcp.connect(program)
    peer.sends(data)
    began = time.monotonic()
    program.signals(signal.SIGCONT)
    return peer, began


@points(2)
@needs("test_bodies_in_chunks")
@read("RFC 9110, section 15.5.9", "RFC 9112, section 9.5", "socket(7), SO_RCVTIMEO")
def test_unfinished_requests(server: Server, tcp: Tcp) -> None:
    """A request that does not go on for --timeout is 408, or its connection just ends, wherever it stopped."""
    program = server.start("--port", "0", "--timeout", str(PATIENCE))
    for data, where in (
        (GET[:20], "head"),
        (echo(b"hello")[:-2], "body"),
        (chunked(b"hello")[:-9], "chunk"),
        (chunked(b"hello")[:-2], "trailer"),
    ):
        peer, began = silent(program, tcp, data)
        hint = f"The client has stopped in the middle of the {where}: the time is up. One answer at most, and the end."
        answer = peer.receives_to_end(hint=hint)
        waited = time.monotonic() - began
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (
            f"A request that stopped in its {where} is answered by {answer[:40]!r}: it was never whole."
        )
        assert waited > 0.8 * PATIENCE, f"--timeout is {PATIENCE}, and {waited:.3f} s were waited. Milliseconds?"
        peer.closes()


@points(2)
@needs("test_one_request_after_another")
@read("RFC 9112, section 9.5", "RFC 9110, section 15.5.9", "socket(7), SO_RCVTIMEO")
def test_idle_connections(server: Server, tcp: Tcp) -> None:
    """A connection with no request on it is closed after --timeout, without a word, and the next client is served.

    An empty line is none.
    """
    program = server.start("--port", "0", "--timeout", str(PATIENCE))
    hint = "Nothing was asked: a 408 here would be taken for the answer to the next request."
    unused = tcp.connect(program)
    unused.sees_close(hint=hint)
    unused.closes()
    program.signals(signal.SIGSTOP)  # the kernel takes connections and bytes: neither waits when its time begins to run
    used, peer = tcp.connect(program), tcp.connect(program)
    used.sends(echo(b"") + b"\r\n")
    peer.sends(LAST)
    program.signals(signal.SIGCONT)
    echoed(used, b"")
    answered(peer, hint="The server waits for an idle client, which neither asks nor closes.")
    used.sees_close(hint=f"Behind the request there was an empty line, which begins no other. {hint}")


@points(1)
@needs("test_cut_at_every_byte")
@read("socket(7), SO_RCVTIMEO", "RFC 9112, section 9.5")
def test_slow_client(server: Server, tcp: Tcp) -> None:
    """A client that sends a byte now and then is answered, though its request takes longer than --timeout in all."""
    for limit in (0.3, 0.6, 1.2):
        program = server.start("--port", "0", "--timeout", str(limit))
        peer = tcp.connect(program)
        message = echo(b"slowly" * 100)
        end, longest = 0, 0.0
        began = last = time.monotonic()
        while time.monotonic() - began < 1.25 * limit and longest < limit / 2:
            end += 1
            peer.sends(message[end - 1 : end], of=message)
            program.settles()  # takes some milliseconds, which is what is wanted here
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        if longest < limit / 2:
            peer.sends(message[end:], of=message)
            echoed(peer, b"slowly" * 100, hint="It is a silence that --timeout limits, not a request.")
            return
        peer.closes()  # the machines were slow themselves: once more, with more time
    raise InfraError(f"the machines are too slow to send a byte every {limit / 2} s")


@points(2)
@needs("test_bodies_in_chunks")
@read("shutdown(2)", "read(2), RETURN VALUE", "RFC 9112, section 8")
def test_half_closed_connections(server: Server, tcp: Tcp) -> None:
    """A client that half-closes gets an answer to each whole request; one that is not whole is no request."""
    program = server.start("--port", "0")
    hint = "The end of the stream does not take back what came before it."
    for unfinished in (b"", GET[:-1], echo(b"hello")[:-1], chunked(b"hello")[:-2], chunked(b"hello")[:-9]):
        peer = tcp.connect(program)
        peer.sends(GET + chunked(b"body") + unfinished)
        peer.half_closes()
        answered(peer, hint=hint)
        echoed(peer, b"body", hint=hint)
        rest = peer.receives_to_end(hint="Once read(2) has returned 0 it does so each time: nothing will follow.")
        assert not rest.startswith(b"HTTP/1.1 200"), "A request of which the end is missing was answered as if whole."
        peer.closes()


@points(2)
@needs("test_bodies_in_chunks")
@read("read(2), ERRORS", "send(2), MSG_NOSIGNAL", "close(2)")
def test_resets(server: Server, tcp: Tcp) -> None:
    """A client that resets in the middle of a body, or of its answers, ends its own conversation and no other."""
    program = server.start("--port", "0", hint="An error of one connection ends that connection, and nothing else.")
    for data in (echo(b"hello")[:-2], chunked(b"hello")[:-9], GET[:-1]):
        peer = tcp.connect(program)
        peer.sends(data)
        peer.stays_silent_until(program.has_read(peer))
        peer.resets()
    early = tcp.connect(program)
    early.sends(GET * 50)
    early.half_closes()
    early.resets()
    peer = tcp.connect(program)
    peer.sends(LAST)
    answered(peer, hint="The clients before have gone: the next one is served.")


@points(2)
@needs("test_hundred_pipelined")
@read("send(2)", "socket(7), SO_SNDTIMEO", "RFC 9112, section 9.3.2")
def test_flood_without_reading(server: Server, tcp: Tcp, scene: Scene) -> None:
    """A client that sends requests and reads no answer is given up after --timeout, before it has filled any memory."""
    # Long enough that no pause of a busy machine makes the greedy client look like a silent one.
    program = server.start("--port", "0", "--timeout", f"{scene.deadlines.slack:.3f}")
    program.signals(signal.SIGSTOP)  # both are there, and have sent something, when their time begins to run
    greedy, peer = tcp.connect(program, receive_buffer=4096), tcp.connect(program)
    greedy.sends(GET)
    peer.sends(LAST)
    program.signals(signal.SIGCONT)
    hint = (
        "A send that blocks stops the reading, too: that is the bound. SO_SNDTIMEO ends it; keep no answers in memory."
    )
    greedy.floods(GET, at_most=8 << 20, hint=hint)
    answered(peer, hint="The greedy client was given up: the next one is served.")


@points(1)
@needs("test_bodies_by_length")
@read("signal(7)", "_exit(2)")
def test_stops_in_the_middle(server: Server, tcp: Tcp) -> None:
    """SIGTERM ends the server within a second, exit status 0, in the middle of a body."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(GET + echo(b"hello")[:-2])
    answered(peer)
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0, hint="The handler ends the process from wherever it sleeps.")
