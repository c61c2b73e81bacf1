"""Chapter 03: requests that `http-parse` refuses, because two readers could read them in two ways.

Each is followed by a second request, which nobody may see: what comes after a refused request means nothing.
"""

from test_http_parse import LAST, answered, chunked, echo, echoed, request

from groundup_guest.testing import FailedError, Program, Server, Tcp, needs, points, read

SMUGGLED = request(line="GET /smuggled HTTP/1.1")
"""What an attacker wants to hide behind, or in, another request."""


def refused(program: Program, tcp: Tcp, message: bytes, status: int | set[int] = 400, *, hint: str) -> None:
    """Expect a message to be refused with a status, or one of several, and then the end of the stream."""
    peer = tcp.connect(program)
    peer.sends(message + SMUGGLED, hint=hint)
    only = status if isinstance(status, int) else None
    method = "HEAD" if message.startswith(b"HEAD ") else "GET"
    response = peer.receives_response(status=only, request_method=method, hint=hint)
    if not isinstance(status, int) and response.status not in status:
        wanted = " or ".join(map(str, sorted(status)))
        raise FailedError(f"The status is {response.status}, where {wanted} was expected.", hint)
    peer.sees_close(hint=f"{hint} Nothing behind a refused request means anything: half-close, drain, close.")
    said = response.header("connection") or "nothing"
    assert "close" in said.lower(), f"The answer to what is refused says Connection: close; this one says {said}."
    peer.closes()


@points(2)
@needs("test_one_request_after_another")
@read("RFC 9112, section 3", "RFC 9112, section 3.1", "RFC 9112, section 3.2", "RFC 9112, section 2.3")
def test_bad_request_lines(server: Server, tcp: Tcp) -> None:
    """A request line is a method, a target and a version, with one space between two of them: anything else is 400."""
    program = server.start("--port", "0")
    for line, why in (
        ("GET /", "HTTP/0.9 has had no version; it is not spoken here."),
        ("GET  / HTTP/1.1", "There are two spaces."),
        ("GET /  HTTP/1.1", "There are two spaces."),
        ("GET / HTTP/1.1 ", "There is a space behind it."),
        (" GET / HTTP/1.1", "There is a space before it."),
        ("GET\t/ HTTP/1.1", "A tab is no space."),
        ("GET / a HTTP/1.1", "A space in the target."),
        ("G=T / HTTP/1.1", "`=` is no token character."),
        ("GET / http/1.1", "The version's name is in capitals."),
        ("GET / HTTP/1.10", "A version is one digit, a point, and one digit."),
        ("GET / HTTP/1,1", "A version is one digit, a point, and one digit."),
        ("GET / HTTP/x.1", "A version is one digit, a point, and one digit."),
        ("GET HTTP/1.1", "The target is missing."),
        ("GET / HTTPS/1.1", "The protocol is HTTP."),
    ):
        refused(program, tcp, request(line=line), hint=f"The line is `{line}`. {why}")


@points(1)
@needs("test_one_request_after_another")
@read("RFC 9110, section 2.5", "RFC 9110, section 15.6.6", "RFC 9112, section 2.3")
def test_other_major_versions(server: Server, tcp: Tcp) -> None:
    """A request of another major version than 1 is refused with 505."""
    program = server.start("--port", "0")
    for version in ("HTTP/2.0", "HTTP/0.9", "HTTP/3.1"):
        hint = f"{version} means its messages in another way: what its fields say cannot be known."
        refused(program, tcp, request(line=f"GET / {version}"), 505, hint=hint)


@points(2)
@needs("test_forms_of_the_target")
@read("RFC 9112, section 3.2", "RFC 9112, section 3.2.3", "RFC 9112, section 3.2.4", "RFC 3986, section 3.1")
def test_bad_targets(server: Server, tcp: Tcp) -> None:
    """A target is a path, a whole http URI, a host and port for CONNECT, or * for OPTIONS: anything else is refused."""
    program = server.start("--port", "0")
    for line, why in (
        ("GET * HTTP/1.1", "The asterisk is for OPTIONS alone."),
        ("GET nothing HTTP/1.1", "A path begins with a slash."),
        ("GET ground:80 HTTP/1.1", "A host and a port are for CONNECT alone."),
        ("CONNECT /echo HTTP/1.1", "CONNECT wants a host and a port."),
        ("CONNECT ground HTTP/1.1", "CONNECT wants a host and a port."),
        ("CONNECT ground: HTTP/1.1", "CONNECT wants a host and a port, and this one is empty."),
        ("GET ://ground/ HTTP/1.1", "There is no scheme before the colon."),
        ("GET 1http://ground/ HTTP/1.1", "A scheme begins with a letter (RFC 3986, section 3.1)."),
        ("GET a/b://ground/ HTTP/1.1", "A scheme has letters, digits, +, - and . in it (RFC 3986, section 3.1)."),
        ("GET http:///echo HTTP/1.1", "An http URI without a host is invalid."),
        ("GET http://:80/echo HTTP/1.1", "An http URI without a host is invalid."),
        ("GET /a\x01b HTTP/1.1", "There is a control character in it."),
        ("GET /a\x7fb HTTP/1.1", "There is a control character in it."),
        ("GET /\xfc HTTP/1.1", "A URI is of ASCII; other bytes are percent-encoded in it."),
        ("GET /\0 HTTP/1.1", "There is a NUL in it."),
        ("GET /#x HTTP/1.1", "A fragment stays at home: there is no # in a target."),
        ("GET http://gro<und/ HTTP/1.1", "`<` is in no host's name."),
    ):
        refused(program, tcp, request(line=line), hint=f"The line is {line!r}. {why}")
    hint = "Nothing that is https may be answered over a connection that is not secured (RFC 9110, section 7.4)."
    refused(program, tcp, request(line="GET https://ground/ HTTP/1.1"), {400, 421}, hint=hint)


@points(3)
@needs("test_http_1_0")
@read("RFC 9112, section 3.2", "RFC 9110, section 7.2")
def test_host(server: Server, tcp: Tcp) -> None:
    """HTTP/1.1 wants one Host field, with a host and perhaps a port: none, two, or a bad one is 400."""
    program = server.start("--port", "0")
    for fields, why in (
        ([], "There is no Host."),
        (["Host: ground", "Host: ground"], "There are two of them, even if they are the same."),
        (["Host: ground", "host: other"], "There are two of them."),
        (["Host: a b"], "There is a space in it."),
        (["Host: ground/echo"], "A path is no part of it."),
        (["Host: me@ground"], "A user is no part of it."),
        (["Host: ground:8o"], "A port is made of digits."),
        (["Host: [::1"], "The bracket is not closed."),
        (["Host: [::1]80"], "There is no colon before the port."),
        (["Host: gro<und"], "`<` is in no host's name."),
        (["Host: gr%6"], "Two hexadecimal digits follow a percent sign."),
        (["Host: gr%zz"], "Two hexadecimal digits follow a percent sign."),
        (["Host: ::1"], "An IPv6 address stands in brackets."),
        (["Host: [zz]"], "In brackets stands an IPv6 address."),
    ):
        refused(program, tcp, request(*fields, host=None), hint=f"The fields are {fields}. {why}")
    two = request("Host: ground", line="GET / HTTP/1.0")
    refused(program, tcp, two, hint="HTTP/1.0 needs no Host, but two of them are wrong there, too.")
    whole = request(line="GET http://ground/ HTTP/1.1", host=None)
    refused(program, tcp, whole, hint="A target that is a whole URI does not replace the Host field.")
    for fields in (["Host: ground", "Host: other"], ["Host: a b"]):
        whole = request(*fields, line="GET http://ground/ HTTP/1.1", host=None)
        refused(program, tcp, whole, hint=f"{fields}: a whole URI as the target makes no bad Host a good one.")
    peer = tcp.connect(program)
    for host in ("ground:80", "[::1]", "[2001:db8::1]:8080", "192.0.2.1", "g-r.o_u~n%64", "ground:"):
        peer.sends(request(host=f"Host: {host}"))
        answered(peer, hint=f"`Host: {host}` is in order.")


@points(2)
@needs("test_forms_of_fields")
@read("RFC 9112, section 5", "RFC 9112, section 5.1", "RFC 9112, section 2.2")
def test_bad_field_lines(server: Server, tcp: Tcp) -> None:
    """A field line is a name of token characters, a colon directly behind it, and a value: anything else is refused."""
    program = server.start("--port", "0")
    smuggler = "Content-Length"
    for line, why in (
        (f"{smuggler} : 0", "White space before the colon: one reader knows this field, another does not."),
        (f"{smuggler}\t: 0", "White space before the colon: one reader knows this field, another does not."),
        ("no field at all", "There is no colon."),
        (": 0", "There is no name."),
        ("X Y: a", "There is a space in the name."),
        ("X(Y): a", "Parentheses are no token characters."),
        ("X-\xe9: a", "A name is of ASCII."),
        ('"X": a', "A quote is no token character."),
    ):
        refused(program, tcp, request(line), hint=f"The field line is {line!r}. {why}")
    first = request(" X-First: a", host=None) + request()
    refused(program, tcp, first, hint="White space before the first field (RFC 9112, section 2.2).")


@points(1)
@needs("test_bad_field_lines")
@read("RFC 9112, section 5.2")
def test_folded_lines(server: Server, tcp: Tcp) -> None:
    """A line that begins with white space, and once belonged to the field before it, is refused."""
    program = server.start("--port", "0")
    for line, why in (
        (
            "X-Folded: a\r\n Content-Length: 0",
            "To one reader the second line is a field, to another a part of the first.",
        ),
        ("X-Folded: a\r\n\tb", "It begins with a tab."),
        ("X-Folded: a\r\n ", "A line of nothing but a space does not end the head."),
    ):
        refused(program, tcp, request(line), hint=f"The field lines are {line!r}. {why}")


@points(2)
@needs("test_forms_of_fields")
@read("RFC 9110, section 5.5", "RFC 9112, section 2.2")
def test_controls_in_values(server: Server, tcp: Tcp) -> None:
    """A NUL, a bare carriage return or another control character in a field's value is refused, a tab is not."""
    program = server.start("--port", "0")
    for byte in "\0\r\x01\x0b\x1b\x7f":
        hint = f"{byte!r} is in a field's value. A program that stops there, or skips it, reads another value."
        refused(program, tcp, request(f"X-Control: a{byte}b"), hint=hint)
    refused(program, tcp, request("Content-Length: 5\0"), hint="A NUL is no end of a number.")
    peer = tcp.connect(program)
    peer.sends(request("X-Tab: a\tb"))
    answered(peer, hint="A tab is white space.")


@points(3)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 2.2", "RFC 9112, section 11.2")
def test_bare_line_ends(server: Server, tcp: Tcp) -> None:
    """A line ends in CR and LF: an LF without its CR, in head, chunks or trailer, is refused, and not waited on."""
    program = server.start("--port", "0")
    whole = chunked(b"hello", fields=("X-Field: a",), trailer=b"X-Sum: 1\r\n")
    at = whole.find(b"\r\n")
    number = 0
    while at >= 0:
        number += 1
        bare = whole[:at] + whole[at + 1 :]
        hint = f"Line {number} of this request ends in LF alone; who takes that for a line's end reads another request."
        refused(program, tcp, bare, hint=hint)
        at = whole.find(b"\r\n", at + 2)
    for old, new in ((b"ground\r\n", b"ground\r\r\n"), (b"HTTP/1.1\r\n", b"HTTP/1.1\rX:\r\n"), (b"5\r\n", b"5\r;\r\n")):
        hint = f"{new!r}: a CR without its LF is no line's end, and nothing else either."
        refused(program, tcp, whole.replace(old, new, 1), hint=hint)
    refused(program, tcp, b"\n" + request(), hint="The empty line before the request ends in LF alone.")
    refused(program, tcp, b"GET / HTTP/1.1\nHost: ground\n\n", hint="Every line of it ends in LF alone.")


@points(3)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 6.1", "RFC 9112, section 6.3", "RFC 9112, section 11.2")
def test_two_lengths(server: Server, tcp: Tcp) -> None:
    """A request with Transfer-Encoding and Content-Length, in either order, is refused, and so are both in HTTP/1.0."""
    program = server.start("--port", "0")
    line = "POST /echo HTTP/1.1"
    body = b"0\r\n\r\n"
    hint = "By its Content-Length this request ends elsewhere than by its chunks: the RFC permits to refuse it."
    for fields in (
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "transfer-encoding: chunked"),
        ("Content-Length: 0", "Transfer-Encoding:\tchunked "),
        ("Transfer-Encoding: chunked", "Content-Length: 43"),
    ):
        refused(program, tcp, request(*fields, line=line, body=body), hint=hint)
    old = request("Transfer-Encoding: chunked", line="POST /echo HTTP/1.0", body=body)
    refused(program, tcp, old, hint="HTTP/1.0 has no Transfer-Encoding: whoever sent it may not know where this ends.")
    both = request("Transfer-Encoding: chunked", "Content-Length: 5", line="POST /echo HTTP/1.0", body=body)
    refused(program, tcp, both, hint="Both lengths are no better in HTTP/1.0.")
    other = request("Transfer-Encoding: identity", "Content-Length: 5", line=line, body=body)
    refused(program, tcp, other, {400, 501}, hint="Both fields are there, whatever Transfer-Encoding says.")


@points(2)
@needs("test_bodies_by_length")
@read("RFC 9110, section 8.6", "RFC 9112, section 6.3", "strtoul(3)")
def test_bad_content_lengths(server: Server, tcp: Tcp) -> None:
    """A Content-Length is digits and nothing else, and there is one: a sign, a list, a second value is 400."""
    program = server.start("--port", "0")
    for value, why in (
        ("-1", "It has a sign."),
        ("+5", "It has a sign; strtoul(3) takes it."),
        ("", "It is empty."),
        ("5x", "It has a letter at its end."),
        ("0x5", "It is hexadecimal; strtoul(3) with base 0 takes it."),
        ("5 5", "There is a space in it."),
        ("5.0", "It has a point."),
        ("5,", "It is a list."),
        ("5, 6", "It is a list, and its values differ."),
        ("five", "It is a word."),
    ):
        message = request(f"Content-Length: {value}", line="POST /echo HTTP/1.1", body=b"hello")
        refused(program, tcp, message, hint=f"Content-Length is `{value}`. {why}")
    for number in (2**31 + 5, 2**32 + 5, 2**63 + 5, 2**64 + 5, 10**40):
        hint = f"Content-Length is {number}: cut to an int, or a size_t, it might look small. It is 413, or 400."
        message = request(f"Content-Length: {number}", line="POST /echo HTTP/1.1", body=b"hello")
        refused(program, tcp, message, {400, 413}, hint=hint)
    for second in ("6", "0", "10"):
        hint = f"Content-Length is there twice, 5 and {second}: this reader takes the one, another the other."
        refused(program, tcp, echo(b"hello", f"content-length: {second}"), hint=hint)


@points(1)
@needs("test_bad_content_lengths")
@read("RFC 9110, section 8.6", "RFC 9112, section 6.3")
def test_content_length_twice(server: Server, tcp: Tcp) -> None:
    """Content-Length twice, or a list, is refused even if its values agree."""
    program = server.start("--port", "0")
    for fields in (("Content-Length: 5",), ("Content-Length: 05",)):
        hint = f"The fields are Content-Length: 5 and {fields[0]}. No honest client sends that: refuse it."
        refused(program, tcp, echo(b"hello", *fields), hint=hint)
    message = request("Content-Length: 5, 5", line="POST /echo HTTP/1.1", body=b"hello")
    refused(program, tcp, message, hint="Content-Length is `5, 5`. No honest client sends that: refuse it.")


@points(2)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 6.1", "RFC 9112, section 6.3", "RFC 9112, section 7", "RFC 9110, section 15.6.2")
def test_bad_transfer_codings(server: Server, tcp: Tcp) -> None:
    """The last transfer coding is chunked, and that is there once, or the request is 400; an unknown one is 501."""
    program = server.start("--port", "0")
    line, body = "POST /echo HTTP/1.1", b"5\r\nhello\r\n0\r\n\r\n"
    for value, why in (
        ("chunked, gzip", "chunked is not the last."),
        ("chunked, chunked", "chunked is there twice."),
        ("chunked, identity", "chunked is not the last."),
        ("", "There is no coding in it."),
        ("gzip", "Where the body ends cannot be known."),
        ("chunke", "It is not known, and where the body ends cannot be known."),
        ("xchunked", "It is not known, and where the body ends cannot be known."),
        ("chunked;q=1", "chunked has no parameters."),
        ("identity", "It was a coding once; where the body ends cannot be known."),
    ):
        message = request(f"Transfer-Encoding: {value}", line=line, body=body)
        refused(program, tcp, message, {400, 501}, hint=f"Transfer-Encoding is `{value}`. {why}")
    unknown = request("Transfer-Encoding: gzip, chunked", line=line, body=body)
    hint = "Transfer-Encoding is `gzip, chunked`. The body's end is known, but gzip is not implemented here: 501."
    refused(program, tcp, unknown, 501, hint=hint)
    first = request("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", line=line, body=body)
    refused(program, tcp, first, 501, hint="Two fields of one name are one list: gzip, chunked. The first is unknown.")
    twice = request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", line=line, body=body)
    refused(program, tcp, twice, {400, 501}, hint="Two fields of one name are one list: chunked, chunked.")
    hidden = request("Transfer-Encoding: chunked", "X: a", "Transfer-Encoding: x", line=line, body=body)
    refused(program, tcp, hidden, {400, 501}, hint="Two fields of one name are one list, and x is the last in it.")


@points(2)
@needs("test_bodies_in_chunks")
@read("RFC 9112, section 7.1", "strtoul(3)")
def test_bad_chunks(server: Server, tcp: Tcp) -> None:
    """A chunk begins with its size, digits of base 16 and nothing else, and CR LF stand behind its data."""
    program = server.start("--port", "0")
    head = request("Transfer-Encoding: chunked", line="POST /echo HTTP/1.1")
    for size, why in (
        (b"-5", "It has a sign."),
        (b"+5", "It has a sign; strtoul(3) takes it."),
        (b"0x5", "It has a prefix; strtoul(3) takes it."),
        (b" 5", "There is a space before it; strtoul(3) takes it."),
        (b"", "It is empty."),
        (b";a=b", "There is an extension, and no size."),
        (b"5g", "g is no digit of base 16."),
        (b"g", "g is no digit of base 16."),
        (b"5 5", "There is a space in it."),
        (b"5,a", "A comma begins no extension."),
        (b"5 ", "There is a space behind it, and no extension that would allow for it."),
        (b"5;a\x01b", "There is a control character in its extension."),
        (b"5;a\rb", "There is a CR in its extension."),
        (b"5;a\0b", "There is a NUL in its extension."),
        (b"5;a\nb", "There is an LF without a CR in its extension: to another reader the line ends there."),
    ):
        hint = f"A chunk's size is `{size.decode('latin-1')}`. {why}"
        refused(program, tcp, head + size + b"\r\nhello\r\n0\r\n\r\n", hint=hint)
    for data, why in (
        (b"5\r\nhelloX\r\n0\r\n\r\n", "There is a byte more than the size says."),
        (b"5\r\nhelloXY0\r\n\r\n", "Two other bytes stand where CR LF should."),
        (b"5\r\nhello\rX0\r\n\r\n", "A CR and another byte stand where CR LF should."),
        (b"5\r\nhelloX\n0\r\n\r\n", "Another byte and an LF stand where CR LF should."),
        (b"5\r\nhello0\r\n\r\n", "CR LF is missing behind the data."),
        (b"4\r\nhello\r\n0\r\n\r\n", "The size is one too small."),
        (b"0\r\nX Y: a\r\n\r\n", "A line of the trailer is no field."),
        (b"0\r\nX: a\0b\r\n\r\n", "There is a NUL in the trailer."),
        (b"0\r\nX: a\rb\r\n\r\n", "There is a CR in the trailer."),
        (b"0\r\nX: a\r\n Y: b\r\n\r\n", "A line of the trailer is folded."),
    ):
        refused(program, tcp, head + data, hint=f"The chunks are {data!r}. {why}")
    for number in (2**31 + 5, 2**32 + 5, 2**63 + 5, 2**64 + 5, 16**40 + 5):
        hint = f"A chunk's size is {number:x}: cut to an int, or a size_t, it might look small. It is 413, or 400."
        refused(program, tcp, head + b"%x\r\nhello\r\n0\r\n\r\n" % number, {400, 413}, hint=hint)
    hint = f"A chunk of 5 bytes, then one of {2**64 - 5:x}: the sum of both, cut to a size_t, is 0. It is 413, or 400."
    message = head + b"5\r\nhello\r\n%x\r\nhello\r\n0\r\n\r\n" % (2**64 - 5)
    refused(program, tcp, message, {400, 413}, hint=hint)


@points(1)
@needs("test_expect_100_continue")
@read("RFC 9110, section 10.1.1", "RFC 9110, section 15.5.18")
def test_other_expectations(server: Server, tcp: Tcp) -> None:
    """An expectation other than 100-continue is 417, without waiting for a body."""
    program = server.start("--port", "0")
    for value in ("200-ok", "100-continued", "x=y", "100-continue, x=y"):
        hint = f"`Expect: {value}` cannot be met, and the client wants to know before it sends its body."
        refused(program, tcp, request(f"Expect: {value}"), 417, hint=hint)
    head = request("Expect: x=y", line="HEAD / HTTP/1.1")
    refused(program, tcp, head, 417, hint="The answer to HEAD has no body, whatever it is.")
    peer = tcp.connect(program)
    peer.sends(echo(b"hello", "Expect: 200-ok", line="POST /echo HTTP/1.1")[:-5])
    peer.receives_response(status=417, hint="Refuse it when the head is there: the client waits with its body.")


@points(1)
@needs("test_bodies_by_length")
@read("RFC 9110, section 15.5.12", "RFC 9112, section 6.3")
def test_length_required(server: Server, tcp: Tcp) -> None:
    """POST, PUT and PATCH with neither length are 411: what follows could be their body or the next request."""
    program = server.start("--port", "0")
    for method in ("POST", "PUT", "PATCH"):
        hint = f"{method} is about what it carries, and this one does not say how much that is."
        refused(program, tcp, request(line=f"{method} /echo HTTP/1.1"), 411, hint=hint)
    peer = tcp.connect(program)
    peer.sends(echo(b"") + chunked() + request(line="DELETE /echo HTTP/1.1") + LAST)
    for _ in range(3):
        echoed(peer, b"", hint="A length of 0 is a length; and DELETE may well carry nothing.")
    answered(peer)
