"""Chapter 04: what `http-client` asks of a server, and what it makes of all that servers may answer.

The program runs in the machine called `server`; the test plays the web server, in the machine called `client`.
"""

import random
import signal

from groundup_guest.testing import Caller, Listener, Machine, Program, Server, Tcp, needs, points, read

PAGE = b"hello from the other end\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
OK = HEAD + b"Content-Length: 25\r\n\r\n" + PAGE
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
HEAD_LIMIT = 16384
"""Bytes of a response's head that the client takes: the lesson's contract."""
PROGRESS = 4096
"""Bytes of body that earn another --timeout: the lesson's contract."""
PATIENCE = 0.15
"""Seconds for --timeout where a test waits for it to pass."""
DEAD = {4: "192.0.2.77", 6: "2001:db8::dead"}
"""Addresses in the pair's network that nobody has."""
TIMED_OUT, UNREACHABLE, RESPONSE, REDIRECTS, STATUS = 3, 4, 5, 6, 7


def asked(server: Server, listener: Listener, *options: str, hint: str = "") -> tuple[Program, Caller]:
    """Start the program, take its connection and its request."""
    program = server.run(*options, listener.url())
    peer = listener.accepts(program, hint=hint)
    peer.receives_request(hint=hint)
    return program, peer


def answered(server: Server, listener: Listener, response: bytes, *options: str, hint: str = "") -> Program:
    """Start the program, answer its request with these bytes, and end the stream."""
    program, peer = asked(server, listener, *options)
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
    program.prints_one_line(matching="^http-client: .+", hint=hint)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """Return a body in chunks of these sizes, again and again."""
    pieces, at, n = [], 0, 0
    while at < len(body):
        piece = body[at : at + sizes[n % len(sizes)]]
        pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
        at, n = at + len(piece), n + 1
    return b"".join(pieces) + b"0\r\n\r\n"


@points(7)
@read("RFC 9112, section 3", "RFC 9110, section 7.2", "getaddrinfo(3)", "connect(2)")
def test_fetches_a_page(server: Server, tcp: Tcp) -> None:
    """The program asks for the page with GET, Host and Connection: close, writes the body on stdout, and exits with 0."""
    listener = tcp.listens()
    program = server.run(listener.url("/page"))
    peer = listener.accepts(program)
    fields = {"host": listener.authority, "connection": "close", "user-agent": "*", "accept": "*"}
    request = peer.receives_request("GET", "/page", headers=fields)
    assert request.version == "1.1", f"The request's version is HTTP/{request.version}; this is a client of HTTP/1.1."
    peer.sends(OK)
    peer.half_closes()
    program.exits(0)
    program.wrote(PAGE)
    assert program.stderr == "", f"Where all went well nothing belongs on standard error; it says: {program.stderr}"
