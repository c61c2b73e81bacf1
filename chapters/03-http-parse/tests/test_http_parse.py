"""Chapter 03: requests that `http-parse` answers: one after another, with bodies, however their bytes come.

What it refuses is in test_http_parse_refusals.py, what it bounds in test_http_parse_limits.py. After every test the
harness looks at the server once more: it still runs, has closed what it opened, and does not spin.
"""

import itertools
import random
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from groundup_guest.testing import FailedError, Peer, Server, Tcp, Wire, needs, points, read

PAGE = b"hello from the ground up"
DATE = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"


def request(*fields: str, line: str = "GET / HTTP/1.1", host: str | None = "Host: ground", body: bytes = b"") -> bytes:
    """Return a request: its line, a Host field, these fields, the blank line, and a body."""
    lines = [line, *([host] if host else []), *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def echo(body: bytes, *fields: str, line: str = "POST /echo HTTP/1.1") -> bytes:
    """Return a request for /echo with a body whose length its Content-Length says."""
    return request(*fields, f"Content-Length: {len(body)}", line=line, body=body)


def chunked(*chunks: bytes, fields: tuple[str, ...] = (), trailer: bytes = b"") -> bytes:
    """Return a request for /echo with a body in chunks, the last one of size 0 included."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n" + trailer + b"\r\n"
    return request(*fields, "Transfer-Encoding: chunked", line="POST /echo HTTP/1.1", body=coded)


GET = request()
LAST = request("Connection: close")


def answered(peer: Peer, hint: str = "") -> None:
    """Expect the page."""
    peer.receives_response(status=200, body_contains=PAGE, hint=hint)


def echoed(peer: Peer, body: bytes, hint: str = "") -> None:
    """Expect a body back."""
    peer.receives_response(status=200, body=body, hint=hint)


@points(4)
@read("RFC 9112, section 3", "RFC 9112, section 4", "RFC 9110, section 6.6.1", "RFC 9110, section 8.6")
def test_answers_a_request(server: Server, tcp: Tcp) -> None:
    """A request for / gets the page, with Content-Type, Content-Length and Date; elsewhere there is nothing: 404."""
    peer = tcp.connect(server.start("--port", "0"))
    peer.sends(GET)
    response = peer.receives_response(
        status=200, body_contains=PAGE, headers={"content-type": "*", "content-length": "*", "date": "*"}
    )
    assert response.header("transfer-encoding") is None, "A body has one length: there is Content-Length already."
    date = response.header("date") or ""
    assert re.fullmatch(DATE, date), f"A Date is of the form `Sun, 06 Nov 1994 08:49:37 GMT`; this one is `{date}`."
    days = (datetime.now(UTC) + timedelta(days=number) for number in (-1, 0, 1))  # two machines, two clocks
    today = tuple(format_datetime(day, usegmt=True)[: len("Sun, 06 Nov 1994")] for day in days)
    assert date.startswith(today), f"Date says `{date}`, which is not today: it is the time of the answer, in UTC."
    peer.closes()
    peer = tcp.connect(server)
    peer.sends(request(line="GET /nothing HTTP/1.1"))
    peer.receives_response(status=404, headers={"date": "*"})


@points(4)
@needs("test_answers_a_request")
@read("RFC 9112, section 9.3", "RFC 9112, section 9.6")
def test_one_request_after_another(server: Server, tcp: Tcp) -> None:
    """The connection stays open after an answer: further requests are answered on it, two sent at once as well."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    for _ in range(3):
        peer.sends(GET, hint="In HTTP/1.1 a connection persists unless one side says close.")
        response = peer.receives_response(
            status=200, body_contains=PAGE, hint="After an answer the server waits for the next request."
        )
        said = response.header("connection") or ""
        assert "close" not in said.lower(), "The answer says Connection: close, but nobody has asked for that."
    peer.sends(GET + GET)
    answered(peer)
    answered(peer, hint="Two requests were sent at once. The second lay behind the first, in the same buffer perhaps.")
    peer.stays_silent_until(program.has_read(peer))


@points(3)
@needs("test_one_request_after_another")
@read("RFC 9112, section 9.6", "RFC 9110, section 5.6.1", "RFC 9110, section 7.6.1")
def test_connection_close(server: Server, tcp: Tcp) -> None:
    """Connection: close, in any case and anywhere in the list, ends the connection after the answer; nothing else does.

    A further request behind it is not answered.
    """
    program = server.start("--port", "0")
    for value in ("close", "CLOSE", "keep-alive, Close", " , close,x"):
        peer = tcp.connect(program)
        peer.sends(request("Connection: closed, x-close") + request(f"Connection: {value}") + GET)
        answered(
            peer, hint="Three requests were sent at once. The options of the first, closed and x-close, are not close."
        )
        hint = f"`Connection: {value}`, in the second of three requests sent at once, is a list that has close in it."
        peer.receives_response(status=200, headers={"connection": "close"}, hint=hint)
        peer.sees_close(hint=hint)
        peer.closes()
    peer = tcp.connect(program)
    peer.sends(request("Connection: x-option", "Connection: close"))
    answered(peer)
    peer.sees_close(hint="A field may be there several times: its lines are one list (RFC 9110, section 5.3).")


@points(1)
@needs("test_one_request_after_another")
@read("RFC 9112, section 9.3", "RFC 9112, section 3.2", "RFC 9110, section 6.2")
def test_http_1_0(server: Server, tcp: Tcp) -> None:
    """A request of HTTP/1.0 needs no Host, and its answer ends with the connection."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    ends_after_one(peer, request(line="GET / HTTP/1.0", host=None))
    peer.closes()
    peer = tcp.connect(program)
    peer.sends(request(line="GET / HTTP/1.7") + LAST)
    answered(peer, hint="HTTP/1.7 is answered as HTTP/1.1, the highest minor version known (RFC 9110, section 6.2).")
    answered(peer)


@points(1)
@needs("test_http_1_0")
@read("RFC 9112, section 9.3")
def test_keep_alive_of_http_1_0(server: Server, tcp: Tcp) -> None:
    """A request of HTTP/1.0 ends the connection even if it asks for keep-alive: this server does not grant it."""
    peer = tcp.connect(server.start("--port", "0"))
    ends_after_one(peer, request("Connection: keep-alive", line="GET / HTTP/1.0"))


def ends_after_one(peer: Peer, message: bytes) -> None:
    """Send a request of HTTP/1.0 and another one, and expect an answer to the first alone."""
    peer.sends(message + GET)
    response = peer.receives_response(status=200, body_contains=PAGE)
    assert response.version in ("1.0", "1.1"), "A server answers in a version of its own major number: 1."
    assert response.header("transfer-encoding") is None, "HTTP/1.0 has no Transfer-Encoding."
    peer.sees_close(hint="A client of HTTP/1.0 may know the end of the body by the end of the stream alone.")
    said = response.header("connection") or "nothing"
    assert "close" in said.lower(), f"The last answer on a connection says Connection: close; this one says {said}."


@points(3)
@needs("test_one_request_after_another")
@read("RFC 9110, section 9.3.2", "RFC 9112, section 6.3")
def test_head(server: Server, tcp: Tcp) -> None:
    """HEAD gets what GET would, Content-Length and all, but no body; the next answer comes directly behind it."""
    peer = tcp.connect(server.start("--port", "0"))
    hint = "Whatever the answer to a HEAD says of a body, not a byte of it may follow."
    for path in ("/", "/nothing"):
        peer.sends(request(line=f"GET {path} HTTP/1.1") + request(line=f"HEAD {path} HTTP/1.1"))
        whole = peer.receives_response(status=None, hint=hint)
        head = peer.receives_response(
            status=whole.status, request_method="HEAD", hint=f"GET and HEAD {path} were sent at once. {hint}"
        )
        for name in ("content-type", "content-length"):
            assert head.header(name) == whole.header(name), (
                f"{name.title()} is {whole.header(name)!r} for GET, and {head.header(name)!r} for HEAD."
            )
    peer.sends(echo(b"not to be seen", line="HEAD /echo HTTP/1.1") + LAST)
    peer.receives_response(status=200, headers={"content-length": "14"}, request_method="HEAD", hint=hint)
    answered(peer, hint=hint)
    peer.sees_close()


@points(3)
@needs("test_one_request_after_another")
@read("RFC 9110, section 9.1", "RFC 9110, section 15.5.6", "RFC 9110, section 10.2.1", "RFC 9110, section 15.6.2")
def test_methods(server: Server, tcp: Tcp) -> None:
    """At / a known method is 405, with Allow, an unknown one 501; none of them ends the connection."""
    peer = tcp.connect(server.start("--port", "0"))
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        fields = () if method == "TRACE" else ("Content-Length: 3",)
        peer.sends(request(*fields, line=f"{method} / HTTP/1.1", body=b"abc" if fields else b""))
        response = peer.receives_response(
            status=405, headers={"allow": "*", "date": "*"}, hint=f"{method} is known, but not at /."
        )
        allowed = re.split(r"[ \t]*,[ \t]*", response.header("allow") or "")
        assert {"GET", "HEAD"} <= set(allowed) - {""}, f"Allow lists the methods of /; this one is {allowed}."
        assert "" not in allowed, f"A list that is sent has no empty elements; this one is {allowed}."
        assert method not in allowed, f"{method} is refused with 405, and Allow lists it."
    for method in ("BREW", "get", "GETS", "M-SEARCH", "!#$%&'*+-.^_`|~09"):
        peer.sends(request(line=f"{method} / HTTP/1.1"))
        peer.receives_response(status=501, hint=f"{method} is a token, but no method that is known: case matters.")
    peer.sends(request(line="BREW /nothing HTTP/1.1"))
    peer.receives_response(status=404, hint="Whatever the method is: there is nothing.")
    peer.sends(request(line="CONNECT ground:80 HTTP/1.1"))
    peer.receives_response(status=501, hint="This server is no proxy. An answer of 200 would open a tunnel.")


@points(3)
@needs("test_one_request_after_another")
@read("RFC 9110, section 5.1", "RFC 9112, section 5", "RFC 9110, section 5.5", "RFC 9112, section 2.2")
def test_forms_of_fields(server: Server, tcp: Tcp) -> None:
    """A field's name is read without case, its value without the white space around it; unknown ones are ignored.

    Empty values, tabs, bytes above 127, a field twice and an empty line before the request are all in order.
    """
    peer = tcp.connect(server.start("--port", "0"))
    body = b"in order"
    for fields in (
        (f"content-length: {len(body)}",),
        (f"CONTENT-LENGTH:{len(body)}",),
        (f"cOnTeNt-LeNgTh: \t {len(body)} \t",),
        ("X-Empty:", "X-Blank: \t", f"Content-Length:{len(body)}"),
        ("X-Twice: a", f"Content-Length: {len(body)}", "X-Twice: b"),
        ("!#$%&'*+-.^_`|~09aZ: \x80\xff \tsome: thing", f"Content-Length: {len(body)}"),
        (f"Content-Length: {len(body):020}",),
        (
            "Content: 1",
            "Content-Lengths: 2",
            f"Content-Length: {len(body)}",
            "X-Content-Length: 3",
            "Transfer: chunked",
        ),
    ):
        peer.sends(request(*fields, line="POST /echo HTTP/1.1", body=body))
        echoed(
            peer, body, hint=f"The fields were {fields}: they are in order, and a body of {len(body)} bytes follows."
        )
    peer.sends(b"\r\n" + echo(body))
    echoed(peer, body, hint="A line end between two requests is passed over (RFC 9112, section 2.2).")
    kind = ("X-First: a", f"Content-Length: {len(body)}", "content-type: text/x-ground")
    peer.sends(request(*kind, line="POST /echo HTTP/1.1", body=body))
    hint = f"The fields were {kind}: what is echoed has the Content-Type with which it came."
    peer.receives_response(status=200, body=body, headers={"content-type": "text/x-ground"}, hint=hint)


@points(4)
@needs("test_forms_of_fields")
@read("RFC 9112, section 6.2", "RFC 9112, section 6.3", "RFC 9110, section 8.6")
def test_bodies_by_length(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A body of Content-Length bytes comes back from /echo, whatever is in it, and the next request follows it."""
    peer = tcp.connect(server.start("--port", "0"))
    for body in (b"", b"x", b"\r\n\r\n", GET, bytes(range(256)), rng.randbytes(30_000)):
        for method in ("POST", "GET", "DELETE", "BREW"):
            peer.sends(echo(body, line=f"{method} /echo HTTP/1.1"))
            echoed(peer, body, hint="The body is as long as Content-Length says. Nothing in it is looked at.")
    peer.sends(echo(b"first") + echo(GET) + request(line="GET /echo HTTP/1.1") + LAST)
    hint = "Where one request ends the next begins, in the same buffer perhaps."
    echoed(peer, b"first", hint=hint)
    echoed(peer, GET, hint=hint)
    echoed(peer, b"", hint="A request with neither length has no body.")
    answered(peer, hint=hint)
    peer.sees_close()


@points(3)
@needs("test_bodies_by_length")
@read("RFC 9112, section 7.1", "RFC 9112, section 7.1.2", "RFC 9112, section 6.1")
def test_bodies_in_chunks(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A body in chunks comes back whole: sizes in either case, leading zeros, trailer fields read and dropped."""
    peer = tcp.connect(server.start("--port", "0"))
    long = rng.randbytes(20_000)
    pieces = [long[start : start + 171] for start in range(0, len(long), 171)]
    head = request("transfer-encoding: CHUNKED", line="POST /echo HTTP/1.1")
    get = request("Transfer-Encoding: chunked", line="GET /echo HTTP/1.1")
    hint = "chunk = size in hexadecimal, CRLF, that many bytes, CRLF; size 0 is the last."
    for message, body in (
        (chunked(), b""),
        (chunked(b"a"), b"a"),
        (chunked(b"0\r\n\r\n", b"\r\n"), b"0\r\n\r\n\r\n"),
        (chunked(*pieces), long),
        (chunked(long), long),
        (head + b"A\r\n0123456789\r\na\r\nabcdefghij\r\n000C\r\nklmnopqrstuv\r\n00\r\n\r\n", None),
        (get + b"3\r\nget\r\n0\r\n\r\n", b"get"),
        (chunked(b"abc", trailer=b"X-Sum: 1\r\nContent-Length: 99\r\nHost: b\r\nConnection: close\r\n"), b"abc"),
    ):
        peer.sends(message)
        echoed(peer, body if body is not None else b"0123456789abcdefghijklmnopqrstuv", hint=hint)
    peer.sends(chunked(b"one") + chunked(b"two", trailer=b"A: b\r\n") + LAST)
    echoed(peer, b"one", hint=hint)
    echoed(peer, b"two", hint="Behind the last chunk and its trailer the next request begins.")
    answered(peer, hint="Behind the empty line that ends the trailer the next request begins.")


@points(1)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 7.1.1", "RFC 9110, section 5.6.3")
def test_chunk_extensions(server: Server, tcp: Tcp) -> None:
    """What stands behind a semicolon in the line of a chunk's size is ignored, and so is white space before it."""
    peer = tcp.connect(server.start("--port", "0"))
    head = request("Transfer-Encoding: chunked", line="POST /echo HTTP/1.1")
    for extensions in (b";name", b";a=b;c", b';a="b;\tc"', b";a=\xff", b" \t; a = b"):
        line = extensions + b"\r\n"
        peer.sends(head + b"3" + line + b"abc\r\n2" + line + b"de\r\n0" + line + b"\r\n")
        echoed(peer, b"abcde", hint=f"The extensions are {extensions!r}: whatever they say, the size is before them.")


@points(3)
@needs("test_bodies_by_length")
@read("RFC 9112, section 9.3.2", "memmove(3)")
def test_hundred_pipelined(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A hundred requests sent at once are answered in their order, each once."""
    peer = tcp.connect(server.start("--port", "0"))
    bodies = [rng.randbytes(rng.randrange(200)) for _ in range(98)]
    peer.sends(GET + b"".join(chunked(body) if body[:1] < b"\x80" else echo(body) for body in bodies) + LAST)
    answered(peer)
    for number, body in enumerate(bodies, start=2):
        echoed(peer, body, hint=f"This is the answer to request {number} of 100: they are answered in their order.")
    answered(peer)
    peer.sees_close(hint="A hundred requests get a hundred answers.")


@points(4)
@needs("test_bodies_by_length")
@read("read(2), RETURN VALUE", "RFC 9112, section 2.2", "memmove(3)")
def test_cut_at_every_byte(server: Server, tcp: Tcp) -> None:
    """A request may be cut at any byte: of a series each is cut one byte later than the one before."""
    peer = tcp.connect(server.start("--port", "0"))
    series = [echo(b"%05d" % number) for number in range(1, len(echo(b"00000")))]
    sends_cut(peer, series, "Where a step found too little it begins again, and where does it look then?")


@points(3)
@needs("test_cut_at_every_byte", "test_bodies_in_chunks")
@read("read(2), RETURN VALUE", "RFC 9112, section 7.1")
def test_chunks_cut_at_every_byte(server: Server, tcp: Tcp) -> None:
    """Chunks, their sizes, extensions, line ends and trailers may be cut at any byte as well."""
    peer = tcp.connect(server.start("--port", "0"))

    def message(number: int) -> bytes:
        return chunked(b"%02d" % (number // 1000), b"%03d" % (number % 1000), trailer=b"A: b\r\n")

    series = [message(number) for number in range(1, len(message(0)))]
    sends_cut(peer, series, "Which element of the chunks was cut there?")


def sends_cut(peer: Peer, series: list[bytes], hint: str) -> None:
    """Send requests whose bodies are their numbers: the Nth is cut before its Nth byte. Expect each answer in turn.

    What is behind a cut goes with what is before the next one, so that a segment ends one request and begins another.
    """
    stream = b"".join(series)
    starts = [0, *itertools.accumulate(map(len, series))]
    cuts = [0, *(start + number for number, start in enumerate(starts[:-1], start=1)), len(stream)]
    for number, (start, end) in enumerate(itertools.pairwise(cuts)):
        peer.sends(stream[start:end])
        if number:
            before = series[number - 1][:number][-12:]
            cut = f"Request {number} came in two pieces, and has all come: the first ended with {before!r}. {hint}"
            echoed(peer, b"%05d" % number, hint=cut)


@points(2)
@needs("test_cut_at_every_byte")
@read("tcp(7)", "RFC 9293, section 3.8")
def test_single_bytes_over_a_bad_wire(server: Server, tcp: Tcp, wire: Wire) -> None:
    """Two requests, a byte in each segment, arrive over a wire that loses, repeats and reorders: two answers."""
    peer = tcp.connect(server.start("--port", "0"))
    wire.faults({"drop": 0.03, "duplicate": 0.1, "reorder": 0.1, "match": {"data": True}})
    stream = echo(b"over a bad wire") + chunked(b"chunk")
    for at in range(len(stream)):
        peer.sends(stream[at : at + 1], of=stream)
    hint = "TCP mends what the wire does; what is left is that bytes come in pieces, and late."
    echoed(peer, b"over a bad wire", hint=hint)
    echoed(peer, b"chunk", hint=hint)
    wire.clears()


@points(3)
@needs("test_bodies_by_length")
@read("RFC 9110, section 10.1.1", "RFC 9110, section 15.2")
def test_expect_100_continue(server: Server, tcp: Tcp) -> None:
    """A client that waits with its body gets an interim 100, and then the answer; one of HTTP/1.0 gets no 100."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    for expectation, message in itertools.product(
        ("Expect: 100-continue", "EXPECT: 100-Continue"), (echo(b"hello"), chunked(b"hello"))
    ):
        head, body = message.split(b"\r\n\r\n", 1)
        peer.sends(head + f"\r\n{expectation}\r\n\r\n".encode())
        interim = peer.receives_response(
            status=100, hint="The client sends its body when it has HTTP/1.1 100 Continue and a blank line."
        )
        assert interim.header("content-length") is None, "An interim response has no body, hence no Content-Length."
        peer.stays_silent_until(program.has_read(peer), hint="After the 100 it is the client's turn.")
        peer.sends(body)
        echoed(peer, b"hello", hint="The answer itself follows the interim one, when the body is whole.")
    peer.sends(request("Expect: 100-continue"))
    answered(peer, hint="There is no body to come, hence none to wait for: no 100.")
    old = tcp.connect(program)
    old.sends(echo(b"hello", "Expect: 100-continue", line="POST /echo HTTP/1.0")[:-5])
    peer.closes()
    old.stays_silent_until(program.has_read(old), hint="A client of HTTP/1.0 knows no interim responses.")
    old.sends(b"hello")
    echoed(old, b"hello")


@points(1)
@needs("test_expect_100_continue")
@read("RFC 9110, section 10.1.1")
def test_body_that_is_there(server: Server, tcp: Tcp) -> None:
    """A client that asks for a 100, and sends some of its body without waiting for it, gets none."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    peer.sends(echo(b"h", "Expect: 100-continue") + echo(b"hello", "Expect: 100-continue")[:-2])
    echoed(peer, b"h", hint="The body came with the head: the client does not wait for a 100.")
    peer.stays_silent_until(program.has_read(peer), hint="Some of the body has come: the client does not wait for 100.")
    peer.sends(b"lo")
    echoed(peer, b"hello")
    peer.sends(chunked(b"hello", fields=("Expect: 100-continue",))[: -len(b"hello\r\n0\r\n\r\n")])
    peer.stays_silent_until(program.has_read(peer), hint="A chunk's size has come: the client does not wait for 100.")


@points(3)
@needs("test_one_request_after_another")
@read("RFC 9112, section 3.2.1", "RFC 9112, section 3.2.2", "RFC 9112, section 3.2.4", "RFC 9110, section 7.1")
def test_forms_of_the_target(server: Server, tcp: Tcp) -> None:
    """A target may have a query, or be a whole URI; OPTIONS * asks about the server itself."""
    peer = tcp.connect(server.start("--port", "0"))
    for target in ("/?", "/?a=b&c=/echo", "http://ground", "http://ground/", "HTTP://other:8080/?x", "http://[::1]?y"):
        peer.sends(request(line=f"GET {target} HTTP/1.1"))
        answered(peer, hint=f"The path of {target} is /, or empty, which means the same.")
    peer.sends(echo(b"whole", line="POST http://ground:80/echo?x=http://y/z HTTP/1.1"))
    echoed(peer, b"whole", hint="The path of http://ground:80/echo?x=http://y/z is /echo.")
    peer.sends(request(line="GET http://ground/nothing HTTP/1.1") + request(line="GET //echo HTTP/1.1"))
    peer.receives_response(status=404)
    peer.receives_response(status=404, hint="The path of //echo is //echo: no host comes before it.")
    for target in ("*", "http://ground"):
        peer.sends(request(line=f"OPTIONS {target} HTTP/1.1"))
        hint = f"OPTIONS {target} asks what the server as a whole can do: it succeeds, and there is Allow or nothing."
        status = peer.receives_response(status=None, hint=hint).status
        if status not in (200, 204):
            raise FailedError(f"The status is {status}, where 200 or 204 was expected.", hint)


@points(1)
@needs("test_bodies_by_length")
@read("getopt_long(3)")
def test_echo_everywhere(server: Server, tcp: Tcp) -> None:
    """With --echo every target answers as /echo does; wrong options are usage errors still."""
    for arguments in (("--timeout", "never"), ("--bogus",), ("--echo", "echo")):
        wrong = server.run(*arguments)
        wrong.exits(status=2)
        wrong.prints_one_line("stderr", matching=r"http-parse: .+")
    peer = tcp.connect(server.start("--port", "0", "--echo"))
    for line in ("POST / HTTP/1.1", "BREW /nothing HTTP/1.1", "GET /echo HTTP/1.1", "OPTIONS * HTTP/1.1"):
        peer.sends(echo(b"everywhere", line=line))
        echoed(peer, b"everywhere", hint=f"{line}: with --echo the target does not matter.")
    peer.sends(request(line="CONNECT ground:80 HTTP/1.1"))
    peer.receives_response(status=501, hint="An answer of 200 would open a tunnel: no echo for CONNECT.")
