"""Chapter 02: what a client may rely on when it asks `http-hello` for its page, and what a bad one cannot do.

After every test the harness looks at the server once more: it still runs, has closed what it opened, and does not spin.
"""

import itertools
import random
import signal
import time

from groundup_guest.testing import Peer, Server, Tcp, needs, points, read

REQUEST = b"GET / HTTP/1.1\r\nHost: ground\r\n\r\n"
PAGE = b"hello from the ground up"
HEAD_LIMIT = 8192
"""Bytes of a request's head that the server takes: the lesson's contract."""
PATIENCE = 0.2
"""Seconds for --timeout where a test waits for it to pass."""


def answered(peer: Peer, hint: str = "") -> None:
    """Expect the page, whole."""
    peer.receives_response(status=200, body_contains=PAGE, hint=hint)


@points(10)
@read("RFC 9112, section 2.1", "RFC 9112, section 4", "send(2)", "shutdown(2)")
def test_answers_a_whole_request(server: Server, tcp: Tcp) -> None:
    """A request that arrives whole is answered: a status line, fields, a blank line, the page, and the stream's end."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(REQUEST)
    answer = peer.receives_to_end(
        hint="The end of the stream ends the answer: shutdown(2) with SHUT_WR comes before the wait for the client."
    ).decode("latin-1")
    assert answer, f"The server closed the connection without an answer. It said: {program.stderr or 'nothing'}"
    status_line = answer.partition("\r\n")[0]
    assert status_line.startswith(("HTTP/1.1 200", "HTTP/1.0 200")), (
        f"An answer begins with a status line, HTTP/1.1 200 OK, and \\r\\n; this one begins with {status_line[:80]!r}."
    )
    head, blank_line, body = answer.partition("\r\n\r\n")
    assert blank_line or "\n\n" not in answer, (
        f"Lines end in \\r\\n, two bytes, the blank one as well; these end in \\n alone: {answer[:300]!r}."
    )
    assert blank_line, f"There is no blank line, \\r\\n\\r\\n, between the fields and the page: {head[:300]!r}."
    assert PAGE.decode() in body, f"The page does not say {PAGE.decode()!r}: {body[:300]!r}."


@points(10)
@needs("test_answers_a_whole_request")
@read("RFC 9110, section 8.3", "RFC 9110, section 8.6", "RFC 9112, section 9.6")
def test_fields_of_the_answer(server: Server, tcp: Tcp) -> None:
    """The answer says what it carries and how much of it: Content-Type, Content-Length and Connection: close."""
    peer = tcp.connect(server.start("--port", "0"))
    peer.sends(REQUEST)
    response = peer.receives_response(headers={"content-type": "*", "content-length": "*", "connection": "close"})
    peer.sees_close(hint="The body is longer than Content-Length says.")
    assert "/" in (response.header("content-type") or ""), "A Content-Type is type/subtype, such as text/html."


@points(11)
@needs("test_fields_of_the_answer")
@read("read(2), RETURN VALUE", "RFC 9112, section 2.1", "RFC 9293, section 3.7")
def test_request_cut_anywhere(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """However the network cuts a request into pieces, the answer is the same, and comes after the last of them."""
    hint = "One read(2) returns what is there, not what was sent: only the blank line says that the request is whole."
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    cuts = [0, *sorted(rng.sample(range(1, len(REQUEST) - 4), k=2)), len(REQUEST)]
    for start, end in itertools.pairwise(cuts):
        if start:
            peer.stays_silent_until(program.has_read(peer), hint=hint)
        peer.sends(REQUEST[start:end], of=REQUEST, hint=hint)
    answered(peer, hint=hint)


@points(8)
@needs("test_request_cut_anywhere")
@read("RFC 9112, section 2.1", "memmem(3)", "read(2)")
def test_blank_line_in_pieces(server: Server, tcp: Tcp) -> None:
    """The blank line may be cut as well: its last three bytes arrive one by one."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    end = len(REQUEST) - 3
    peer.sends(REQUEST[:end], of=REQUEST)
    for at in range(end, len(REQUEST)):
        peer.stays_silent_until(program.has_read(peer), hint="The answer came before the blank line was whole.")
        peer.sends(REQUEST[at : at + 1], of=REQUEST)
    answered(
        peer,
        hint="The server has had the blank line, in pieces. Read behind what is there, not over it, and search all "
        "that was read, not the last piece alone.",
    )


@points(4)
@needs("test_fields_of_the_answer")
@read("shutdown(2)", "RFC 9112, section 9.6")
def test_request_then_half_close(server: Server, tcp: Tcp) -> None:
    """A client that half-closes after its request still gets the answer: it has only finished speaking."""
    peer = tcp.connect(server.start("--port", "0"))
    peer.sends(REQUEST)
    peer.half_closes()
    answered(peer, hint="The end of the peer's stream does not take back what came before it.")


@points(8)
@needs("test_fields_of_the_answer")
@read("RFC 9112, section 9.6", "RFC 1122, section 4.2.2.13", "RFC 2525, section 2.17")
def test_unread_input_does_not_destroy_the_answer(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A client that sends more than its request gets the whole answer, and the end of the stream, not a reset."""
    hint = "A close(2) with bytes unread sends RST, and that may cost the client the answer: read until it has closed."
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(REQUEST + rng.randbytes(20_000), hint=hint)
    answered(peer, hint=hint)
    peer.sees_close(hint=hint)
    peer.sends(b"and this", hint=hint)
    peer.stays_silent_until(program.has_read(peer), hint=hint)


@points(5)
@needs("test_fields_of_the_answer")
@read("close(2)", "accept4(2)")
def test_one_client_after_another(server: Server, tcp: Tcp) -> None:
    """One client after another is served, over IPv4 and IPv6, whatever it asks for."""
    hint = "The end of one conversation is not the server's: back to accept4(2), for the next client."
    program = server.start("--port", "0", hint=hint)
    many = b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(60))
    requests = (b"GET /a/b?c HTTP/1.0\r\n\r\n", REQUEST, b"GET / HTTP/1.1\r\nHost: ground\r\n" + many + b"\r\n")
    for family, request in zip((4, 6, 4), requests, strict=True):
        peer = tcp.connect(program, family=family)
        peer.sends(request)
        answered(peer, hint=hint)
        peer.closes()


@points(6)
@needs("test_fields_of_the_answer")
@read("read(2), RETURN VALUE", "close(2)")
def test_clients_that_leave(server: Server, tcp: Tcp) -> None:
    """A client that connects and leaves, or ends in the middle of its request, gets no answer and holds up nobody."""
    hint = "Once the client sends no more read(2) returns 0, and 0 each time after: there is nothing to wait for."
    program = server.start("--port", "0")
    tcp.connect(program).closes()
    half = tcp.connect(program)
    half.sends(REQUEST[:20], of=REQUEST)
    half.half_closes()
    half.sees_close(hint=hint)
    peer = tcp.connect(program)
    peer.sends(REQUEST)
    answered(peer, hint=hint)


@points(7)
@needs("test_fields_of_the_answer")
@read("signal(7), SIGPIPE", "send(2), MSG_NOSIGNAL", "send(2), ERRORS")
def test_clients_that_reset(server: Server, tcp: Tcp) -> None:
    """A client that resets, in the middle of its request or before its answer, ends that conversation alone."""
    hint = "An error of one connection ends that connection, and nothing else."
    program = server.start("--port", "0", hint=hint)
    busy = tcp.connect(program)
    busy.sends(REQUEST[:20], of=REQUEST)
    busy.stays_silent_until(program.has_read(busy))
    early = tcp.connect(program)  # waits in the queue: the server is busy
    early.sends(REQUEST)
    # A reset after the peer's FIN (in CLOSE_WAIT) leaves EPIPE behind, hence SIGPIPE; without it, only ECONNRESET.
    early.half_closes()
    early.resets()
    busy.resets()  # arrives after the other's reset, so that one is gone when the server comes to it
    peer = tcp.connect(program, hint=hint)
    peer.sends(REQUEST, hint=hint)
    answered(peer, hint=hint)


@points(4)
@needs("test_request_cut_anywhere")
@read("RFC 9112, section 3", "RFC 9110, section 17.5")
def test_head_limit(server: Server, tcp: Tcp) -> None:
    """A head of 8192 bytes is answered, and one that does not end is given up when there is no room for more of it."""
    program = server.start("--port", "0")
    start, end = b"GET / HTTP/1.1\r\nHost: ground\r\nX-Padding: ", b"\r\n\r\n"
    peer = tcp.connect(program)
    peer.sends(start + b"a" * (HEAD_LIMIT - len(start) - len(end)) + end)
    answered(peer, hint=f"A head of {HEAD_LIMIT} bytes has to fit, its blank line included.")
    peer.closes()
    endless = tcp.connect(program)
    endless.sends(start + b"a" * (HEAD_LIMIT - len(start) - 1))
    endless.stays_silent_until(program.has_read(endless))
    endless.sends(b"a" * HEAD_LIMIT)  # there is room for one of them
    hint = (
        "When the buffer is full and the blank line not in it, the conversation is over: another read(2) would write "
        "behind the buffer's end, or wait for what it has no room for, and there is nothing to answer."
    )
    endless.sees_end(hint=hint)
    peer = tcp.connect(program)
    peer.sends(REQUEST)
    answered(peer, hint=hint)


@points(4)
@needs("test_request_cut_anywhere")
@read("signal(7)", "_exit(2)")
def test_stops_in_the_middle(server: Server, tcp: Tcp) -> None:
    """SIGTERM ends the server within a second, exit status 0, in the middle of a request."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(REQUEST[:20], of=REQUEST)
    peer.stays_silent_until(program.has_read(peer))
    program.signals(signal.SIGTERM)
    program.exits(status=0, within=1.0, hint="The handler of chapter 01 ends the process from wherever it sleeps.")


@points(3)
@needs("test_fields_of_the_answer")
@read("socket(7), SO_REUSEADDR")
def test_restarts_at_once(server: Server, tcp: Tcp) -> None:
    """A server that is restarted gets its port back at once, though its last connection is still in TIME_WAIT."""
    first = server.start("--port", "0")
    peer = tcp.connect(first)
    peer.sends(REQUEST)
    answered(peer)
    peer.sees_close()  # the server was first, so that TIME_WAIT is at its end
    peer.closes()
    first.signals(signal.SIGKILL)  # what SIGTERM does is another test's question
    first.end()
    second = server.start("--port", str(first.address.port), hint="SO_REUSEADDR has to be set before bind(2).")
    peer = tcp.connect(second)
    peer.sends(REQUEST)
    answered(peer)


@points(3)
@needs("test_fields_of_the_answer")
@read("getopt_long(3)", "strtod(3)")
def test_options(server: Server, tcp: Tcp) -> None:
    """A time that is no time is a usage error, one line and exit status 2; a good one is taken."""
    for text, hint in (
        ("0", "A timeval of zero means for ever."),
        ("nan", "To strtod(3) nan is a number: one that is neither less nor more than any other."),
        ("5s", "Look at where strtod(3) stopped: all of the text has to be the number."),
    ):
        wrong = server.run("--timeout", text)
        wrong.exits(status=2, hint=hint)
        wrong.prints_one_line("stderr", matching=r"http-hello: .+")
        assert wrong.stdout == "", f"Nothing belongs on standard output here, but it says: {wrong.stdout}"
    helped = server.run("--help")
    helped.exits(status=0)
    assert "--timeout" in helped.stdout, f"--help names the options on standard output, and says only: {helped.stdout}"
    program = server.start("--port", "0", "--timeout", "2.5", "--bind", server.host(4))
    peer = tcp.connect(program)
    peer.sends(REQUEST)
    answered(peer)
    tcp.refused(program, family=6, hint="With --bind the server is reached at that address and at no other.")


@points(9)
@needs("test_request_cut_anywhere")
@read("socket(7), SO_RCVTIMEO", "read(2), EAGAIN")
def test_silent_client_is_given_up(server: Server, tcp: Tcp) -> None:
    """A client that never finishes its request is given up after --timeout, not earlier, and the next one is served."""
    program = server.start("--port", "0", "--timeout", str(PATIENCE))
    program.signals(signal.SIGSTOP)  # the kernel takes connections and bytes: all is there when its time begins to run
    silent = tcp.connect(program)
    silent.sends(REQUEST[:20], of=REQUEST)
    waiting = tcp.connect(program)
    waiting.sends(REQUEST)
    began = time.monotonic()
    program.signals(signal.SIGCONT)
    silent.sees_close(
        hint="SO_RCVTIMEO makes read(2) fail with EAGAIN when nothing has come for that long: the conversation is "
        "over, and no reason to try again."
    )
    waited = time.monotonic() - began
    assert waited > 0.8 * PATIENCE, (  # a fifth less: two machines, two clocks
        f"The client was given up too early: --timeout {PATIENCE}, and it took {waited:.3f} s. "
        "A timeval is made of seconds and microseconds."
    )
    answered(waiting, hint="The client behind the silent one has to be served when the time is up.")


@points(4)
@needs("test_silent_client_is_given_up")
@read("socket(7), SO_RCVTIMEO", "RFC 9112, section 9.6")
def test_client_that_stays_after_its_answer(server: Server, tcp: Tcp) -> None:
    """A client that keeps its side open after the answer is waited for no longer than --timeout."""
    program = server.start("--port", "0", "--timeout", str(PATIENCE / 4))
    program.signals(signal.SIGSTOP)
    staying, peer = tcp.connect(program), tcp.connect(program)
    staying.sends(REQUEST)
    peer.sends(REQUEST)
    program.signals(signal.SIGCONT)
    answered(staying)
    answered(
        peer,
        hint="The server waits for the first client to close, and that one does not: this wait needs its limit, too.",
    )


@points(4)
@needs("test_request_cut_anywhere")
@read("signal(7), Interruption of system calls", "read(2), EINTR")
def test_stopped_and_continued(server: Server, tcp: Tcp) -> None:
    """A server that is stopped and continued in the middle of a request (Ctrl-Z, fg) still answers it."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(REQUEST[:20], of=REQUEST)
    peer.stays_silent_until(program.has_read(peer))
    program.signals(signal.SIGSTOP)
    program.signals(signal.SIGCONT)
    hint = "With SO_RCVTIMEO set, read(2) fails with EINTR after SIGCONT though no handler ran: call it again."
    peer.stays_silent_until(program.has_read(peer), hint=hint)
    peer.sends(REQUEST[20:], of=REQUEST, hint=hint)
    answered(peer, hint=hint)
