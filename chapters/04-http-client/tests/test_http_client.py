"""Chapter 04: what `http-client` asks of a server, and what it makes of all that servers may answer.

The program runs in the machine called `server`; the test plays the web server, in the machine called `client`.
"""

import random
import signal

import pytest

from groundup_guest.scene import Scene
from groundup_guest.steps import preview
from groundup_guest.testing import (
    Caller,
    FailedError,
    Listener,
    Machine,
    Program,
    Server,
    Tcp,
    needs,
    points,
    read,
)

PAGE = b"hello from the other end\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 25\r\n\r\n" + PAGE
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
HEAD_LIMIT = 16384
"""Bytes of a response's head that the client takes: the lesson's contract."""
PROGRESS = 4096
"""Bytes of body that earn another --timeout: the lesson's contract."""
DEAD = {4: "192.0.2.7", 6: "2001:db8::dead:"}
"""What addresses in the pair's network begin with that nobody has."""
HEAD_START = 0.25
"""Seconds that RFC 8305 gives an address before the next is tried as well."""
ERROR = "http-client: (?!.*: Success$).+"
"""What an error line looks like: Success is no error's reason."""
TIMED_OUT, UNREACHABLE, RESPONSE, REDIRECTS, STATUS = 3, 4, 5, 6, 7


@pytest.fixture
def patience(scene: Scene) -> float:
    """Return the seconds for --timeout where a test waits for it to pass: more where the machines are slow."""
    return round(min(0.6, max(0.12, 0.08 + 25 * scene.deadlines.unit)), 3)


def asked(server: Server, listener: Listener, *options: str, hint: str = "") -> tuple[Program, Caller]:
    """Start the program, take its connection and its request."""
    program = server.run(*options, listener.url())
    peer = listener.accepts(program, hint=hint)
    peer.receives_request(hint=hint)
    return program, peer


def answered(server: Server, listener: Listener, response: bytes, *options: str, hint: str = "") -> Program:
    """Start the program, answer its request with these bytes, and end the stream."""
    program, peer = asked(server, listener, *options, hint=hint)
    peer.sends(response, hint=hint)
    peer.half_closes()
    return program


def fetches(server: Server, listener: Listener, response: bytes, body: bytes, *, hint: str = "") -> None:
    """Expect the program to take a response for whole, and to write just this body."""
    program = answered(server, listener, response, hint=hint)
    program.exits(0, hint=hint)
    program.wrote(body, hint=hint)


def rejects(server: Server, listener: Listener, response: bytes, *, hint: str = "") -> None:
    """Expect the program to give a response up at once, in one line, though the connection stays open."""
    program, peer = asked(server, listener)
    peer.sends(response, hint=hint)
    program.exits(RESPONSE, hint=hint)
    program.prints_one_line(matching=ERROR, hint=hint)


def grows(program: Program, peer: Caller, seconds: float, *, hint: str = "") -> None:
    """Let the program grow so many seconds old, and expect it to have read all that was sent, and to wait still."""
    program.call("wait", deadline=max(0.0, seconds - program.seconds))
    peer.stays_silent_until(program.has_read(peer), hint=hint)


def holds(machine: Machine, name: str, content: bytes, why: str) -> None:
    """Expect a file with just this content."""
    found = machine.file(name)
    if found is None:
        raise FailedError(f"There is no file {name}.", why)
    if found.content != content:
        raise FailedError(f"The file {name} holds other bytes than it should.", why, content, found.content)


def leaves_nothing(machine: Machine, before: list[str], why: str) -> None:
    """Expect no files but those that were there before."""
    extra = sorted({*machine.files()} - {*before})
    if extra:
        raise FailedError(f"The program has left {', '.join(extra)} behind.", why)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """Return a body in chunks of these sizes, again and again."""
    pieces, at, n = [], 0, 0
    while at < len(body):
        piece = body[at : at + sizes[n % len(sizes)]]
        pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
        at, n = at + len(piece), n + 1
    return b"".join(pieces) + b"0\r\n\r\n"


@points(3)
@read("RFC 9112, section 3", "RFC 9110, section 7.2", "getaddrinfo(3)", "connect(2)")
def test_asks_for_a_page(server: Server, tcp: Tcp) -> None:
    """The program connects and asks with GET, Host, User-Agent, Accept and Connection: close."""
    listener = tcp.listens()
    program = server.run(listener.url("/page"))
    peer = listener.accepts(program)
    fields = {"host": listener.authority, "connection": "close", "user-agent": "*", "accept": "*"}
    request = peer.receives_request("GET", "/page", headers=fields)
    assert request.version == "1.1", f"The request's version is HTTP/{request.version}; this is a client of HTTP/1.1."
    peer.half_closes()
    rest = peer.receives_to_end()
    assert not rest, f"After the blank line the request is over, but more came: {rest[:80]!r}."


@points(3)
@needs("test_asks_for_a_page")
@read("RFC 9112, section 4", "RFC 9112, section 6.3", "recv(2)", "write(2)")
def test_fetches_a_page(server: Server, tcp: Tcp) -> None:
    """The program writes the body on standard output, and exits with 0."""
    listener = tcp.listens()
    program, peer = asked(server, listener)
    peer.sends(OK)
    peer.half_closes()
    program.exits(0)
    program.wrote(PAGE)
    assert program.stderr == "", f"Where all went well nothing belongs on standard error; it says: {program.stderr}"


@points(3)
@needs("test_asks_for_a_page")
@read("RFC 3986, section 3", "RFC 9112, section 3.2.1", "RFC 9110, section 4.2.3")
def test_targets(server: Server, tcp: Tcp) -> None:
    """The target is path and query as they were given; without a path it is a slash; a fragment stays at home."""
    listener = tcp.listens()
    for given, target, hint in (
        ("#top", "/", "A URL without a path asks for /; a fragment may follow the host."),
        ("?a=/b@c:1", "/?a=/b@c:1", "A query may follow the host; only before it @ and : mean something."),
        ("/%2e%2F?x=%20&y=?#top", "/%2e%2F?x=%20&y=?", "A fragment is the client's own affair: # ends what is sent."),
        ("/" + "long" * 1900, "/" + "long" * 1900, "URLs of 8000 bytes have to fit (RFC 9110, section 4.1)."),
    ):
        program = server.run(f"HTTP://{listener.authority}{given}")
        peer = listener.accepts(program, hint=hint)
        peer.receives_request(target=target, headers={"host": listener.authority}, hint=hint)
        peer.closes()
        program.ends()


@points(3)
@needs("test_asks_for_a_page")
@read("RFC 9110, section 4.2", "RFC 3986, section 3.2", "RFC 9112, section 11.1")
def test_urls_refused(server: Server, tcp: Tcp) -> None:
    """What is no http URL, or no good one, is a usage error: one line, exit status 2, and nobody is asked."""
    listener = tcp.listens()
    where = listener.authority
    for url, hint in (
        (f"https://{where}/", "Without TLS https cannot be spoken; in clear it must not be."),
        (f"ftp://{where}/", "The scheme is not http."),
        (f"{where}/", "There is no scheme."),
        ("http:///path", "There is no host (RFC 9110, section 4.2.1, forbids that)."),
        (f"http://{'long.' * 51}x/", "A host of 256 bytes: half of a name is another name."),
        (f"http://user@{where}/", "A user name in a URL is refused (RFC 9110, section 4.2.4)."),
        (f"http://{where}x/", "A port is digits, and nothing but digits."),
        (f"http://{listener.host}:{listener.port + 65536}/", "A port is 65535 at most: 16 bits."),
        (f"http://{listener.host}:0/", "A port is 1 at least."),
        (f"http://{where}/a b", "A blank would end the target in the middle: in a URL it is %20."),
        (f"http://{where}/\r\nX:y", "CR and LF would end the line, and let the URL add fields of its own."),
        (f"http://{listener.host}:+{listener.port}/", "A port is digits, and nothing but digits: no sign."),
        ("http://[2001:db8::2/", "A bracket is never closed."),
        ("http://[2001:db8::2]x/", "Behind the bracket comes a colon, or nothing."),
        ("http://[192.0.2.2]/", "Only an IPv6 address stands in brackets."),
    ):
        program = server.run(url)
        program.exits(2, hint=hint)
        program.prints_one_line(matching="http-client: .+", hint=hint)
    listener.sees_nobody()
    asked(server, listener)


@points(2)
@needs("test_asks_for_a_page")
@read("getopt_long(3)")
def test_options(server: Server, tcp: Tcp) -> None:
    """A wrong option, a time that is none, no URL or two are usage errors: one line, exit status 2."""
    listener = tcp.listens()
    for arguments, hint in (
        ((), "There has to be a URL."),
        ((listener.url(), listener.url()), "One URL, and no more."),
        (("--timeout", "0", listener.url()), "Nothing can come within no time."),
        (("--bogus", listener.url()), "There is no such option."),
    ):
        wrong = server.run(*arguments)
        wrong.exits(2, hint=hint)
        wrong.prints_one_line(matching="http-client: .+", hint=hint)
    listener.sees_nobody()
    asked(server, listener, "--timeout", "2.5")


@points(2)
@needs("test_asks_for_a_page")
@read("RFC 3986, section 3.2.2", "inet_pton(3)", "RFC 9110, section 7.2")
def test_ipv6_literal(server: Server, tcp: Tcp) -> None:
    """An IPv6 address stands in brackets, in the URL and in Host; the resolver gets it without them."""
    listener = tcp.listens(6)
    hint = "The brackets belong to the URL, and to Host, but not to the address: getaddrinfo(3) does not know them."
    program = server.run(listener.url())
    peer = listener.accepts(program, hint=hint)
    peer.receives_request(headers={"host": listener.authority}, hint=hint)
    peer.closes()
    program.ends()


@points(3)
@needs("test_asks_for_a_page")
@read("getaddrinfo(3)", "RFC 6724, section 6", "hosts(5)")
def test_names(server: Server, tcp: Tcp, machine: Machine) -> None:
    """A name is resolved, its addresses are tried in the resolver's order, and Host says the name."""
    six = tcp.listens(6)
    tcp.listens(4, port=six.port)  # whoever begins with the other address ends up here
    machine.hosts({"ground.example": ["192.0.2.2", "2001:db8::2"]})
    hint = "getaddrinfo(3) returns the addresses in the order of RFC 6724: begin with the first, go on by ai_next."
    program = server.run(six.url(host="ground.example"))
    peer = six.accepts(program, hint=hint)
    peer.receives_request(headers={"host": f"ground.example:{six.port}"})
    peer.closes()
    program.ends()


@points(1)
@needs("test_asks_for_a_page")
@read("RFC 3986, section 3.2.3", "RFC 9110, section 4.2.3", "RFC 9110, section 7.2")
def test_default_port(server: Server, tcp: Tcp) -> None:
    """Without a port it is 80, and so it is where nothing stands behind the colon; Host leaves it out."""
    listener = tcp.listens(port=80)
    for url, hint in (
        (f"http://{listener.host}", "Where a URL names no port it is 80."),
        (f"http://{listener.host}:/", "A colon with nothing behind it names no port: it is 80 then."),
    ):
        program = server.run(url)
        peer = listener.accepts(program, hint=hint)
        why = "Without a path it is /, and the port of the scheme, 80, is left out of Host."
        peer.receives_request(target="/", headers={"host": listener.host}, hint=why)
        peer.closes()
        program.ends()


@points(2)
@needs("test_asks_for_a_page")
@read("connect(2)", "getaddrinfo(3)", "getsockopt(2), SO_ERROR")
def test_next_address(server: Server, tcp: Tcp, machine: Machine) -> None:
    """Where the first address of a name refuses, the next is tried at once."""
    listener = tcp.listens(4)
    machine.hosts({"half.example": ["2001:db8::2", "192.0.2.2"]})
    program = server.run("--timeout", "5", listener.url(host="half.example"))
    hint = "One address that refuses is not the end of the name: go on with ai_next."
    peer = listener.accepts(program, hint=hint)
    peer.receives_request()
    peer.closes()
    program.ends()
    assert program.seconds < 2.0, "A refusal is an answer: the next address has to be tried at once, not after a wait."


@points(4)
@needs("test_next_address")
@read("RFC 8305, section 5", "connect(2), EINPROGRESS", "poll(2)")
def test_dead_address(server: Server, tcp: Tcp, machine: Machine, patience: float) -> None:
    """A name of which only the last address is alive is fetched all the same, and well within the time."""
    listener = tcp.listens(4)
    dead = max(2, min(7, round(4 * patience / HEAD_START)))
    machine.hosts({"dead.example": [*(f"{DEAD[6]}{n}" for n in range(dead)), "192.0.2.2"]})
    program = server.run("--timeout", str(dead * HEAD_START), listener.url(host="dead.example"))
    hint = (
        "An address where nobody is does not refuse: connect(2) waits, for minutes if it is let. No address may have "
        f"all of the time, nor may {dead} of them, a quarter of a second each."
    )
    peer = listener.accepts(program, hint=hint)
    peer.receives_request(hint=hint)
    peer.closes()
    program.ends()


@points(2)
@read("getaddrinfo(3), gai_strerror", "connect(2), ECONNREFUSED")
def test_nobody_there(server: Server, tcp: Tcp) -> None:
    """A name that nobody has, and a port that refuses, are exit status 4, and one line that says why."""
    listener = tcp.listens()
    listener.closes()
    refused = server.run(listener.url())
    refused.exits(UNREACHABLE)
    refused.prints_one_line(matching="http-client: .*refused.*")
    unknown = server.run("http://nobody.invalid/")
    hint = "getaddrinfo(3) does not set errno: its result says what is wrong, gai_strerror why."
    unknown.exits(UNREACHABLE, hint=hint)
    unknown.prints_one_line(matching=ERROR, hint=hint)


@points(2)
@read("connect(2), EINPROGRESS", "poll(2)", "clock_gettime(2)")
def test_time_to_connect(server: Server, machine: Machine, patience: float) -> None:
    """Where nothing answers at all the program gives up after --timeout, not earlier, with exit status 3."""
    machine.hosts({"dead.example": [f"{DEAD[4]}{n}" for n in range(10)]})
    program = server.run("--timeout", str(patience), "http://dead.example/")
    program.exits(
        TIMED_OUT,
        within=2 * patience,
        hint="A connect(2) that blocks waits for two minutes (tcp(7), tcp_syn_retries). Let it not block, and wait by "
        "poll(2), for what is left of --timeout, which is for all addresses together.",
    )
    lived = program.seconds
    assert lived > 0.9 * patience, f"It gave up too early: --timeout {patience}, and it ended after {lived:.3f} s."
    program.prints_one_line(matching="http-client: .+")


@points(2)
@needs("test_fetches_a_page")
@read("poll(2)", "clock_gettime(2)")
def test_silence(server: Server, tcp: Tcp, patience: float) -> None:
    """A server that falls silent, before the head, in it or in the body, is given up after --timeout: exit status 3."""
    listener = tcp.listens()
    fetches(server, listener, OK, PAGE)  # a machine's first connection takes longer
    programs = []
    for part in (b"", OK[:20], OK[:-5]):  # they wait at the same time
        program, peer = asked(server, listener, "--timeout", str(patience))
        peer.sends(part, of=OK)
        programs.append(program)
    for program, where in zip(programs, ("before the head", "in the head", "in the body"), strict=True):
        hint = f"Each wait needs its limit, also {where}."
        program.exits(TIMED_OUT, within=3 * patience, hint=hint)
        lived = program.seconds
        assert lived > 0.9 * patience, f"It gave up too early: --timeout {patience}, and it ended after {lived:.3f} s."


@points(3)
@needs("test_silence")
@read("clock_gettime(2)", "poll(2)")
def test_drips(server: Server, tcp: Tcp, patience: float) -> None:
    """A server that sends a byte now and then cannot stretch the time: neither in the head nor in the body."""
    listener = tcp.listens()
    fetches(server, listener, OK, PAGE)  # a machine's first connection takes longer
    head = HEAD + b"X-Drip: " + b"drip" * 250
    for start, drops, piece, what in (
        (b"", head, 1, "the head comes byte by byte"),
        (HEAD + b"Content-Length: 2000\r\n\r\n", head, 1, "the body comes byte by byte"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200, 6, "the body comes in chunks of a byte"),
    ):
        hint = (
            f"Here {what}. A limit that each byte, or each chunk, renews is none: compute a deadline once, and wait "
            "for what is left of it."
        )
        program, peer = asked(server, listener, "--timeout", str(2 * patience))  # a drop has to come within it
        peer.sends(start)
        peer.drips(drops, 4 * patience, piece=piece, hint=hint)
        program.exits(TIMED_OUT, hint=hint)


@points(2)
@needs("test_drips")
@read("clock_gettime(2)", "poll(2)")
def test_endless_interim_responses(server: Server, tcp: Tcp, patience: float) -> None:
    """A server that sends one interim response after another, and never the final one, is given up after --timeout."""
    listener = tcp.listens()
    fetches(server, listener, OK, PAGE)  # a machine's first connection takes longer
    hint = "When the time is up it is up: that there is always something to read does not matter then."
    program, peer = asked(server, listener, "--timeout", str(patience))
    peer.floods(b"HTTP/1.1 103 \r\n\r\n", 1 << 30, within=4 * patience, hint=hint)
    program.exits(TIMED_OUT, hint=hint)


@points(2)
@needs("test_drips")
@read("clock_gettime(2)")
def test_slow_but_steady(server: Server, tcp: Tcp, patience: float) -> None:
    """What keeps coming may take longer: a whole head, and then each 4096 bytes of body, earn --timeout anew."""
    listener = tcp.listens()
    patience *= 3  # what is to come has to come within it
    fetches(server, listener, OK, PAGE)  # a machine's first connection takes longer
    program, peer = asked(server, listener, "--timeout", str(patience))
    grows(program, peer, 0.5 * patience)
    peer.sends(HEAD + b"Connection: close\r\n\r\n")
    hint = "When the head is whole a new time begins, for the first 4096 bytes of body."
    grows(program, peer, 1.1 * patience, hint=hint)
    peer.sends(bytes(PROGRESS), hint=hint)
    hint = "The deadline is for the next 4096 bytes, not for the whole body: set it anew when they have come."
    grows(program, peer, 1.6 * patience, hint=hint)
    peer.half_closes()
    program.exits(0, hint=hint)
    program.wrote(bytes(PROGRESS))


@points(3)
@needs("test_fetches_a_page")
@read("RFC 9112, section 6.3", "write(2)")
def test_body_by_length(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A body of as many bytes as Content-Length says arrives whole: none, or a MiB of any bytes, in many reads."""
    listener = tcp.listens()
    fetches(server, listener, HEAD + b"Content-Length: 0\r\n\r\n", b"", hint="A body of 0 bytes is whole at once.")
    body = rng.randbytes(1 << 20)
    hint = "A read(2) returns what is there; and a body is bytes, NULs among them, and no string."
    fetches(server, listener, HEAD + b"content-length:1048576 \r\n\r\n" + body, body, hint=hint)


@points(2)
@needs("test_fetches_a_page")
@read("RFC 9112, section 6.3")
def test_body_to_the_close(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """Without Content-Length and Transfer-Encoding the body is all that comes until the stream ends."""
    listener = tcp.listens()
    body = rng.randbytes(200_000)
    hint = "No Content-Length is not a Content-Length of 0: the body ends where the stream does."
    fetches(server, listener, HEAD + b"\r\n" + body, body, hint=hint)
    fetches(server, listener, b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\n" + PAGE, PAGE, hint=hint)


@points(4)
@needs("test_fetches_a_page")
@read("RFC 9112, section 7.1", "RFC 9112, section 7.1.1", "RFC 9112, section 7.1.2")
def test_body_in_chunks(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """A chunked body is put together again: sizes are hexadecimal, extensions and trailers are no part of it."""
    listener = tcp.listens()
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    body = rng.randbytes(200_000)
    fetches(
        server,
        listener,
        head + chunked(body, [1, 4095, 70000, 15, 16]),
        body,
        hint="A size is hexadecimal, and the blank line is the end.",
    )
    odd = (
        b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING:\tChunked\r\nTrailer: Content-Length\r\n\r\n"
        b'00A;name=value\r\n0\r\n\r\n567\r\n\r\n1 ; quoted="a;b"\r\n!\r\n'
        b"1;" + b"x" * 1020 + b"\r\n?\r\n000\r\nContent-Length: 1\r\nX: y\r\n\r\n"
    )
    fetches(
        server,
        listener,
        odd,
        b"0\r\n\r\n567\r\n!?",
        hint="A chunk is as long as its size says, whatever is in it; an extension begins with a semicolon, and its "
        "line may have 1024 bytes; after the chunk of size 0 there may be trailer fields, and then a blank line.",
    )


@points(5)
@needs("test_body_in_chunks")
@read("read(2), RETURN VALUE", "RFC 9112, section 7.1")
def test_cut_anywhere(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """However the network cuts a response, in the head, in a chunk's size or in a line's end, it is read the same."""
    listener = tcp.listens()
    response = (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"10\r\n0123456789abcdef\r\n5;x\r\nghijk\r\n0\r\nX: y\r\n\r\n"
    )
    blank = response.index(b"\r\n\r\n")
    size, last = response.index(b"10\r\n"), response.index(b"0\r\nX")
    cuts = [rng.randrange(1, 15), 16, rng.randrange(18, blank - 1), *range(blank + 1, blank + 4), size + 1, size + 3]
    cuts += [
        size + 4 + rng.randrange(16),
        size + 20,
        size + 21,
        last,
        last + 1,
        *range(len(response) - 3, len(response)),
    ]
    hint = "One read(2) returns what is there, not what was sent: half a line, half a size, half of CR and LF."
    program, peer = asked(server, listener)
    peer.sends_cut(response, cuts, hint=hint)
    program.exits(0, hint=hint)
    program.wrote(b"0123456789abcdefghijk", hint=hint)
    program, peer = asked(server, listener)
    peer.sends_bytes(response)
    program.exits(0, hint=hint)
    program.wrote(b"0123456789abcdefghijk", hint=hint)


@points(3)
@needs("test_fetches_a_page")
@read("RFC 9112, section 6.3", "RFC 9110, section 15.3.5", "RFC 9110, section 15.4.5")
def test_end_without_a_close(server: Server, tcp: Tcp) -> None:
    """A response ends where it says, though the connection stays open; 204 and 304 have no body at all."""
    listener = tcp.listens()
    for response, body, hint in (
        (OK, PAGE, "Content-Length says where the body ends: do not wait for the end of the stream."),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(PAGE, [7]),
            PAGE,
            "The chunk of size 0 and the blank line end the body: do not wait for the end of the stream.",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", "204 never has a body: nothing follows its head."),
        (
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 25\r\n\r\n",
            b"",
            "304 never has a body, whatever it announces.",
        ),
    ):
        program, peer = asked(server, listener)
        peer.sends(response)
        program.exits(0, hint=hint)
        program.wrote(body, hint=hint)


@points(2)
@needs("test_fetches_a_page")
@read("RFC 9110, section 15.2")
def test_interim_responses(server: Server, tcp: Tcp) -> None:
    """Responses from 100 to 199 come before the final one, and are not it: they are passed over."""
    listener = tcp.listens()
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nLocation: /x\r\n\r\n"
    hint = (
        "A status from 100 to 199 has no body, and is not the last word: go on with the next head. It may have come in "
        "the same read: what lies behind the first one in the buffer must not be lost."
    )
    fetches(server, listener, interim + OK, PAGE, hint=hint)
    program, peer = asked(server, listener)
    peer.sends_cut(interim + OK, [10, 27, 60], hint=hint)
    program.exits(0, hint=hint)
    program.wrote(PAGE, hint=hint)


@points(4)
@needs("test_body_in_chunks", "test_body_by_length")
@read("RFC 9112, section 8", "read(2), RETURN VALUE")
def test_truncated(server: Server, tcp: Tcp) -> None:
    """A response that is cut short is an error, exit status 5 and one line: never a short success."""
    listener = tcp.listens()
    coded = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    for response, hint in (
        (b"", "The server has closed without a word: there is no response."),
        (OK[:30], "The head is not whole."),
        (OK[:-1], "Content-Length promised one byte more."),
        (coded, "There is not even a chunk."),
        (coded + b"100000005\r\nhello\r\n0\r\n\r\n", "The chunk's size has more than 32 bits, and it is not whole."),
        (HEAD + b"Content-Length: 4294967321\r\n\r\n" + PAGE, "These are 25 bytes; the length has more than 32 bits."),
        (coded + b"5\r\nhello\r\n", "Only a chunk of size 0 ends the body: the end of the stream does not."),
        (coded + b"5\r\nhello\r\n0\r\n", "After the last chunk there is a blank line: without it there may be more."),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "After an interim response there has to come a final one."),
    ):
        program = answered(server, listener, response, hint=hint)
        program.exits(RESPONSE, hint=hint)
        program.prints_one_line(
            matching=ERROR, hint=f"{hint} Say that: a read(2) of 0 is no error of a call, and errno says nothing then."
        )


@points(2)
@needs("test_body_to_the_close")
@read("RFC 9112, section 6.3", "read(2), ECONNRESET")
def test_reset(server: Server, tcp: Tcp) -> None:
    """A reset is no end: a body that would go to the close is not whole then, and a head even less."""
    listener = tcp.listens()
    hint = "ECONNRESET is an error, where only a read(2) of 0 is the end."
    for response in (HEAD + b"\r\n" + PAGE, b""):
        program, peer = asked(server, listener)
        peer.sends(response)
        peer.stays_silent_until(program.has_read(peer))
        peer.resets()
        program.exits(RESPONSE, hint=hint)
        program.prints_one_line(matching="http-client: .+")


@points(3)
@needs("test_body_in_chunks", "test_body_by_length")
@read("RFC 9112, section 6.1", "RFC 9112, section 6.3", "RFC 9110, section 8.6")
def test_contradictory_framing(server: Server, tcp: Tcp) -> None:
    """A response whose fields contradict each other about its length is rejected; the same length twice is not."""
    listener = tcp.listens()
    same = HEAD + b"Content-Length: 25\r\nContent-Length: 25, 25\r\n\r\n"
    hint = "The same length again, in another field or behind a comma, is no contradiction (RFC 9112, section 6.3)."
    fetches(server, listener, same + PAGE, PAGE, hint=hint)
    coded = chunked(PAGE, [25])
    for head, hint in (
        (b"1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 25", "Two Content-Lengths that differ: which is true?"),
        (b"1.1 200 OK\r\nContent-Length: 25, 5", "A list of lengths that differ: which is true?"),
        (b"1.1 200 OK\r\nContent-Length: +25", "A Content-Length has digits only, and no sign: strtoull(3) takes one."),
        (b"1.1 200 OK\r\nContent-Length: 25x", "A Content-Length has digits only."),
        (b"1.1 200 OK\r\nContent-Length:", "An empty Content-Length is no number."),
        (b"1.1 200 OK\r\nContent-Length: 18446744073709551641", "This number is 25 more than 64 bits hold."),
        (
            b"1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 36",
            "Transfer-Encoding and Content-Length at once: someone on the way may believe the other one.",
        ),
        (
            b"1.1 200 OK\r\nContent-Length: 36\r\nTransfer-Encoding: chunked",
            "Content-Length and Transfer-Encoding at once, in whichever order.",
        ),
        (b"1.1 200 OK\r\nTransfer-Encoding: gzip, chunked", "A transfer coding that nobody here can undo."),
        (b"1.1 200 OK\r\nTransfer-Encoding: chunked, gzip", "A transfer coding that nobody here can undo."),
        (
            b"1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Two fields of a name are one list: gzip, chunked.",
        ),
        (b"1.0 200 OK\r\nTransfer-Encoding: chunked", "HTTP/1.0 knows no Transfer-Encoding (RFC 9112, section 6.1)."),
    ):
        body = coded if b"chunked" in head else PAGE  # whoever overlooks the contradiction finds a good body
        rejects(server, listener, b"HTTP/" + head + b"\r\n\r\n" + body, hint=hint)


@points(3)
@needs("test_body_in_chunks")
@read("RFC 9112, section 7.1")
def test_bad_chunks(server: Server, tcp: Tcp) -> None:
    """A chunk that does not begin with its size, or is longer than that, is rejected; so is a size beyond 64 bits."""
    listener = tcp.listens()
    for chunks, hint in (
        (b"hello\r\n", "A size is hexadecimal digits."),
        (b"\r\nhello", "A size has at least one digit."),
        (b"+5\r\nhello\r\n0\r\n\r\n", "strtoul(3) takes a sign: a size has none."),
        (b"0x5\r\nhello\r\n0\r\n\r\n", "strtoul(3) takes 0x: a size has none."),
        (b"5 5\r\nhello\r\n0\r\n\r\n", "After the size comes a semicolon, or the line's end."),
        (b"5 \r\nhello\r\n0\r\n\r\n", "Blanks after the size are there for a semicolon, and none follows."),
        (b"10000000000000005\r\nhello\r\n0\r\n\r\n", "A size of 65 bits is not the rest that 64 bits hold of it."),
        (b"5\nhello\r\n0\r\n\r\n", "The size's line ends in CR and LF, and not in LF alone."),
        (b"5\r\nhello\n0\r\n\r\n", "After the chunk there have to be CR and LF, and not LF alone."),
        (b"5\r\nhello\rX0\r\n\r\n", "After the chunk there have to be CR and LF, and not CR alone."),
        (
            b"5\r\nhello, you",
            "After the chunk there have to be CR and LF. What is neither is wrong before a line ends.",
        ),
        (b"3;" + b"x" * 20_000, "A line that does not end needs a limit."),
    ):
        here = f"{hint} The chunks: {preview(chunks)}"
        rejects(server, listener, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, hint=here)


@points(4)
@needs("test_fetches_a_page")
@read("RFC 9112, section 2.2", "RFC 9112, section 4", "RFC 9112, section 5")
def test_bad_heads(server: Server, tcp: Tcp) -> None:
    """A head that is none is rejected: no status line, a line's end that is none, a NUL, a line that is no field."""
    listener = tcp.listens()
    rest = b"Content-Length: 25\r\n\r\n" + PAGE
    for head, hint in (
        (b"\r\n", "The first line is empty."),
        (b"<html>\r\n", "The first line is no status line."),
        (b"HTTP/1.1 OK\r\n", "There is no status code."),
        (b"HTTP/1.1 2000 OK\r\n", "A status code has three digits."),
        (b"HTTP/1.1 200OK\r\n", "Behind the status code comes a blank."),
        (b"HTTP/1.11 200 OK\r\n", "A version is a digit, a point and a digit."),
        (b"HTTP/2.0 200 OK\r\n", "HTTP/2 does not look like this: whoever says so speaks something else."),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n",
            "Nobody asked for another protocol: after 101 nothing is HTTP, whatever it looks like.",
        ),
        (HEAD + b"X: a\nY: b\r\n", "A line ends in CR and LF; the lesson's contract refuses LF alone."),
        (HEAD + b"X: a\rb\r\n", "CR alone ends no line, and has no other business in a head."),
        (HEAD + b"X: a\0b\r\n", "A NUL is invalid in a field (RFC 9110, section 5.5), and ends a C string early."),
        (HEAD + b"no field\r\n", "A field has a name and a colon."),
        (HEAD + b": x\r\n", "A field's name is not empty."),
        (HEAD + b" X: y\r\n", "A blank at the start of the first field's line (RFC 9112, section 2.2)."),
    ):
        rejects(server, listener, head + rest, hint=hint)


@points(2)
@needs("test_fetches_a_page")
@read("RFC 9110, section 5.4", "RFC 9112, section 5.2")
def test_head_limit_and_folds(server: Server, tcp: Tcp) -> None:
    """A head of 16384 bytes is taken, an endless one is not; a field that goes on in the next line is put together."""
    listener = tcp.listens()
    start, end = HEAD + b"X-Padding: ", b"\r\nContent-Length: 25\r\n\r\n"
    padding = b"a" * (HEAD_LIMIT - len(start) - len(end))
    fetches(server, listener, start + padding + end + PAGE, PAGE, hint="A head of 16384 bytes has to fit.")
    rejects(server, listener, start + padding + b"a" * 1000, hint="When it is clear that a head is too long, end.")
    folded = HEAD + b"Content-Length:\r\n  25\r\nX: a\r\n\tTransfer-Encoding: chunked\r\n\r\n"
    hint = "A line that begins with a blank goes on with the field before it (RFC 9112, section 5.2)."
    fetches(server, listener, folded + PAGE, PAGE, hint=hint)


@points(2)
@needs("test_body_by_length")
@read("RFC 9112, section 6.3", "recv(2), MSG_DONTWAIT")
def test_bytes_beyond_the_end(server: Server, tcp: Tcp) -> None:
    """Bytes that come with the end of a response, and do not belong to it, say that its end is a lie: exit status 5."""
    listener = tcp.listens()
    hint = "There is more than the response: its Content-Length, or its last chunk, is not to be trusted."
    for response in (
        OK + b"more",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(PAGE, [25]) + b"more",
        b"HTTP/1.1 204 No Content\r\n\r\nmore",
    ):
        rejects(server, listener, response, hint=hint)


@points(2)
@needs("test_fetches_a_page")
@read("RFC 9110, section 15", "exit(3)")
def test_statuses(server: Server, tcp: Tcp) -> None:
    """A status of 400 or more is exit status 7, with the body delivered all the same."""
    listener = tcp.listens()
    for status, expected in ((404, STATUS), (999, STATUS), (299, 0)):
        response = b"HTTP/1.1 %d \r\nContent-Length: 25\r\n\r\n" % status + PAGE
        program = answered(server, listener, response)
        hint = f"The status is {status}; the words after it mean nothing, and may be missing."
        program.exits(expected, hint=hint)
        program.wrote(PAGE, hint=hint)


@points(2)
@needs("test_fetches_a_page")
@read("getopt_long(3)", "RFC 9112, section 4")
def test_include(server: Server, tcp: Tcp) -> None:
    """With --include, or -i, the final response's head comes before the body, just as it came."""
    listener = tcp.listens()
    head = b"HTTP/1.1 200 Fine\r\nx-odd:  y \r\nTransfer-Encoding: chunked\r\n\r\n"
    program, peer = asked(server, listener, "--include")  # test_redirect_to_another_host has -i
    peer.sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head + chunked(PAGE, [9]))
    program.exits(0)
    program.wrote(head + PAGE, hint="The head as it came, with its blank line; then the body, without the chunks.")


@points(3)
@needs("test_fetches_a_page")
@read("open(2), O_TMPFILE", "rename(2)", "linkat(2)")
def test_output_file(server: Server, tcp: Tcp, machine: Machine) -> None:
    """With -o the body goes into a file, which is whole or not there: what was there before stays until then."""
    listener = tcp.listens()
    before = machine.files()
    program = answered(server, listener, OK, "-o", "page")
    program.exits(0)
    program.wrote(b"", hint="With -o nothing is written on standard output.")
    holds(machine, "page", PAGE, "The program exited with 0: now the file has to be there, and to hold the body.")
    found = machine.file("page")
    if found is None or found.mode & 0o600 != 0o600:
        raise FailedError("The owner of the file cannot read and write it.", "open(2): the mode of a new file.")
    for name in ("page", "other"):
        truncated = answered(server, listener, OK[:-5], "--output", name)
        truncated.exits(RESPONSE)
    hint = "A download that failed has destroyed the file that was there: write to another one until it is whole."
    holds(machine, "page", PAGE, hint)
    leaves_nothing(machine, [*before, "page"], "A download that failed leaves nothing, neither FILE nor a part of it.")
    other = answered(server, listener, b"HTTP/1.1 404 \r\n\r\nnot here", "-o", "page")
    other.exits(STATUS)
    hint = "A file that was there is replaced. And a body is delivered whatever the status, if it is whole."
    holds(machine, "page", b"not here", hint)
    leaves_nothing(machine, [*before, "page"], "A file that is replaced leaves nothing else beside it.")


@points(2)
@needs("test_output_file")
@read("write(2), ENOSPC", "full(4)", "open(2)")
def test_output_that_fails(server: Server, tcp: Tcp) -> None:
    """What cannot be written is an error of the program's own, exit status 1 and one line, and no success."""
    listener = tcp.listens()
    device = "/dev/null takes all; it is a device, no file, and stays what it is."
    answered(server, listener, OK, "-o", "/dev/null", hint=device).exits(0, hint=device)
    hint = "write(2) has failed, and nobody looked: what was asked for is not there."
    full = answered(server, listener, OK, "-o", "/dev/full")
    full.exits(1, hint=f"/dev/full takes nothing (ENOSPC). {hint}")
    full.prints_one_line(matching="http-client: .+")
    missing = server.run("-o", "no/such/directory", listener.url())
    missing.exits(1, hint="There is no such directory: say so before anything is asked of the server.")
    missing.prints_one_line(matching="http-client: .+")
    unread, peer = asked(server, listener)
    unread.loses_its_reader()
    peer.sends(OK)
    ended = unread.ends()
    assert ended["status"] == 1 or ended["signal"] == signal.SIGPIPE, (
        "Nobody reads its standard output any more: a write(2) there raises SIGPIPE, or fails with EPIPE. But the "
        f"program exited with status {ended['status']}. {hint}"
    )


@points(2)
@needs("test_output_file")
@read("signal(7)", "open(2), O_TMPFILE")
def test_interrupted(server: Server, tcp: Tcp, machine: Machine) -> None:
    """SIGTERM and SIGINT end the program as signals do, in the middle of a body, and nothing of it stays behind."""
    listener = tcp.listens()
    before = machine.files()
    for number in (signal.SIGTERM, signal.SIGINT):
        program, peer = asked(server, listener, "-o", "half")
        peer.sends(OK[:-5])
        peer.stays_silent_until(program.has_read(peer))
        program.signals(number)
        program.dies_of(number, hint="Whoever has started it has to see that it did not come to its end.")
    leaves_nothing(machine, before, "It was interrupted: what it had begun to write has to go with it.")


@points(1)
@needs("test_fetches_a_page")
@read("signal(7), Interruption of system calls", "poll(2)")
def test_stopped_and_continued(server: Server, tcp: Tcp) -> None:
    """A program that is stopped and continued in the middle of a response (Ctrl-Z, fg) still gets the rest of it."""
    listener = tcp.listens()
    program, peer = asked(server, listener)
    peer.sends(OK[:-5], of=OK)
    peer.stays_silent_until(program.has_read(peer))
    program.signals(signal.SIGSTOP)
    program.signals(signal.SIGCONT)
    peer.stays_silent_until(program.has_read(peer))
    peer.sends(OK[-5:], of=OK)
    hint = (
        "poll(2) goes on by itself after a stop; others, such as epoll_wait(2), and recv(2) with SO_RCVTIMEO, fail "
        "with EINTR, and have to be called again, for what is left of the time."
    )
    program.exits(0, hint=hint)
    program.wrote(PAGE)


@points(4)
@needs("test_fetches_a_page")
@read("RFC 9110, section 15.4", "RFC 9110, section 10.2.2", "RFC 3986, section 5.2")
def test_redirects(server: Server, tcp: Tcp) -> None:
    """Five redirects are followed, wherever a Location of any form leads; only the last body counts."""
    listener = tcp.listens()
    program = server.run(listener.url("/a/b/c?q=/y/z"))
    hint = "A Location may leave out what is the same: RFC 3986, section 5.2.2, says how to put it together again."
    places = (
        (301, b"../x", "/a/b/c?q=/y/z"),
        (302, b"y/./z?r=/../w", "/a/x"),
        (303, b"?s=http://a/#top", "/a/y/z?r=/../w"),
        (307, b"//%s/../t/u/v/w" % listener.authority.encode(), "/a/y/z?s=http://a/"),
        (308, b"..", "/t/u/v/w"),
    )
    for status, location, target in places:
        peer = listener.accepts(program, hint=hint)
        peer.receives_request(target=target, headers={"host": listener.authority}, hint=hint)
        peer.sends(b"HTTP/1.1 %d \r\nContent-Length: 9\r\nlocation: %s\r\n\r\nelsewhere" % (status, location))
    peer = listener.accepts(program, hint="Five redirects are not too many.")
    peer.receives_request(target="/t/u/", hint=hint)
    peer.sends(OK)
    program.exits(0)
    program.wrote(PAGE, hint="The body of a redirect is not what was asked for.")
    listener.sees_nobody()


@points(2)
@needs("test_redirects")
@read("RFC 9110, section 10.2.2", "RFC 9110, section 7.2")
def test_redirect_to_another_host(server: Server, tcp: Tcp, machine: Machine) -> None:
    """A redirect may lead to another host, port and family: the next request goes there, and its Host says so."""
    machine.hosts({"one.example": ["192.0.2.2"], "two.example": ["2001:db8::2"]})
    one, two = tcp.listens(4), tcp.listens(6)
    program = server.run("-i", one.url("/1", "one.example"))
    peer = one.accepts(program)
    peer.receives_request(target="/1", headers={"host": f"one.example:{one.port}"})
    peer.sends(MOVED % two.url("/2", "two.example").encode())
    hint = "Host says for whom the request is: after a redirect that may be somebody else."
    peer = two.accepts(program, hint=hint)
    peer.receives_request(target="/2", headers={"host": f"two.example:{two.port}"}, hint=hint)
    peer.sends(MOVED % b"/3")
    peer = two.accepts(program, hint="A Location without a host means the host that sent it, not the first one.")
    peer.receives_request(target="/3", headers={"host": f"two.example:{two.port}"}, hint=hint)
    peer.sends(OK)
    program.exits(0)
    program.wrote(OK, hint="With -i the final response's head is written, and not those of the redirects.")
    one.sees_nobody()


@points(2)
@needs("test_redirects")
@read("RFC 9110, section 15.4")
def test_too_many_redirects(server: Server, tcp: Tcp) -> None:
    """A sixth redirect is not followed: exit status 6, and one line. So a loop ends."""
    listener = tcp.listens()
    program = server.run(listener.url("/loop"))
    for _ in range(6):
        peer = listener.accepts(program)
        peer.receives_request(target="/loop")
        peer.sends(MOVED % b"/loop")
    program.exits(REDIRECTS, hint="Two pages that lead to each other do so for ever: count.")
    program.prints_one_line(matching="http-client: .+")
    listener.sees_nobody(hint="The sixth redirect was followed; five are the limit.")


@points(2)
@needs("test_redirects")
@read("RFC 9110, section 15.4", "RFC 9110, section 4.2.2")
def test_redirects_not_followed(server: Server, tcp: Tcp) -> None:
    """A redirect to https, or to what is no URL, is refused: exit status 5; one without Location is an answer."""
    listener = tcp.listens()
    for location, hint in (
        (b"https://%s/" % listener.authority.encode(), "https cannot be followed, and must not be followed in clear."),
        (b"http://u:p@%s/" % listener.authority.encode(), "What is refused in a URL is refused in a Location."),
        (b"/a b", "A blank in a Location would end the target of the next request in the middle."),
    ):
        rejects(server, listener, MOVED % location, hint=hint)
    listener.sees_nobody()
    for status in (301, 304, 300):
        location = b"" if status == 301 else b"Location: /x\r\n"
        body = b"" if status == 304 else PAGE
        response = b"HTTP/1.1 %d \r\n%sContent-Length: 25\r\n\r\n%s" % (status, location, body)
        fetches(
            server, listener, response, body, hint="301, 302, 303, 307 and 308 with a Location redirect, no others."
        )
    listener.sees_nobody()
