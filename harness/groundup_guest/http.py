"""Reading HTTP/1.1 messages as strictly as RFC 9112 allows; a violation is said in the learner's words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from groundup_guest import mistakes
from groundup_guest.steps import preview

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/(\d\.\d)")
STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) (\d{3}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")


class MalformedError(Exception):
    """What came is no HTTP response; `why` says what the standard asks for."""

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.why = why


@dataclass(slots=True)
class Response:
    """A response. `headers` have lower-case names; a repeated field is joined by `, ` (RFC 9110, section 5.3)."""

    status: int
    reason: str
    version: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw_head: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a field's value, None if there is none."""
        return self.headers.get(name.lower())


@dataclass(slots=True)
class Request:
    """A request's head. `headers` as a response has them."""

    method: str
    target: str
    version: str
    headers: dict[str, str] = field(default_factory=dict)
    raw_head: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a field's value, None if there is none."""
        return self.headers.get(name.lower())

    def difference(self, method: str, target: str | None, headers: Mapping[str, str]) -> str:
        """Return what is different from what was wanted; an empty text if nothing is."""
        if self.method != method:
            return f"The request's method is {self.method}, where {method} was expected."
        if target is not None and self.target != target:
            return f"The request's target is `{self.target[:80]}`, where `{target}` was expected."
        for name, wanted in headers.items():
            value = self.header(name)
            if value is None:
                return f"The request has no {name.title()} field."
            if wanted != "*" and wanted.lower() != value.lower():
                return f"The request's {name.title()} is `{value[:80]}`, where `{wanted}` was expected."
        return ""


def head_length(data: bytes) -> int:
    """Return the length of the head in `data`, the blank line included; 0 if it is not there yet."""
    end = data.find(b"\r\n\r\n")
    return end + 4 if end >= 0 else 0


def parse_head(head: bytes) -> Response:
    """Return the response whose head is `head`, the blank line included. Raises MalformedError."""
    lines = _lines(head, "response")
    match = STATUS_LINE.fullmatch(lines[0])
    if match is None:
        raise MalformedError(
            "The response does not begin with a status line.",
            "It is `HTTP/1.1 200 OK`: version, space, three digits, space, words (RFC 9112, section 4).",
        )
    return Response(
        int(match[2]),
        match[3].decode("latin-1"),
        match[1].decode("ascii"),
        _fields(lines[1:], "response"),
        raw_head=head,
    )


def parse_request(head: bytes) -> Request:
    """Return the request whose head is `head`, the blank line included. Raises MalformedError."""
    lines = _lines(head, "request")
    match = REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise MalformedError(
            "The request does not begin with a request line.",
            "It is `GET / HTTP/1.1`: method, space, target, space, version (RFC 9112, section 3).",
        )
    method, target, version = (match[group].decode("ascii") for group in (1, 2, 3))
    return Request(method, target, version, _fields(lines[1:], "request"), head)


def _lines(head: bytes, message: str) -> list[bytes]:
    lines = head[:-4].split(b"\r\n")
    for line in lines:
        if b"\n" in line or b"\r" in line:
            raise MalformedError(
                f"A line of the {message}'s head ends in a bare \\n or holds a bare \\r.",
                "Every line of the head ends in \\r\\n (RFC 9112, section 2.2).",
            )
    return lines


def _fields(lines: list[bytes], message: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        field_match = FIELD_LINE.fullmatch(line)
        if field_match is None:
            raise MalformedError(
                f"A line of the {message}'s head is no field.",
                "A field is `Name: value`, without a space before the colon (RFC 9112, section 5).",
            )
        name, value = field_match[1].decode("ascii").lower(), field_match[2].decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def body_length(response: Response, request_method: str = "GET") -> int | None:
    """Return how many bytes of body follow the head; None: until the connection ends (RFC 9112, section 6.3)."""
    if request_method == "HEAD" or response.status // 100 == 1 or response.status in (204, 304):
        return 0
    value = response.header("content-length")
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,18}", value):
        raise MalformedError(
            f"The response's Content-Length is `{value[:40]}`.",
            "It is a decimal number of bytes (RFC 9110, section 8.6).",
        )
    return int(value)


def is_chunked(response: Response) -> bool:
    """Return whether the body comes in chunks (RFC 9112, section 7.1)."""
    return "chunked" in (response.header("transfer-encoding") or "").lower()


def take_chunks(data: bytes) -> tuple[bytes, int] | None:
    """Return a chunked body and how many bytes of `data` it took; None if it is not whole yet."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = data[at:end].split(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]+", size):
            raise MalformedError(
                "A chunk does not begin with its size.", "The size is hexadecimal (RFC 9112, section 7.1)."
            )
        length, at = int(size, 16), end + 2
        if length == 0:
            trailer = data.find(b"\r\n", at) if data[at : at + 2] == b"\r\n" else data.find(b"\r\n\r\n", at) + 2
            return (body, trailer + 2) if trailer >= at else None
        if len(data) < at + length + 2:
            return None
        if data[at + length : at + length + 2] != b"\r\n":
            raise MalformedError("A chunk is longer or shorter than its size says.", "RFC 9112, section 7.1.")
        body, at = body + data[at : at + length], at + length + 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a test expects of a response; None and {} stand for anything. `*` stands for any value of a field."""

    status: int | None = None
    version: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    body_contains: bytes | None = None

    def difference(self, response: Response) -> tuple[str, str]:
        """Return what is different about a response, and why that may be; empty strings if nothing is."""
        if self.status is not None and response.status != self.status:
            return f"The status is {response.status}, where {self.status} was expected.", ""
        if self.version is not None and response.version != self.version:
            return f"The response's version is HTTP/{response.version}, where HTTP/{self.version} was expected.", ""
        problem = next(filter(None, (self._field(response, name) for name in self.headers)), "")
        return (problem, "") if problem else self._body(response)

    def _field(self, response: Response, name: str) -> str:
        value, wanted = response.header(name), self.headers[name]
        if value is None:
            return f"The response has no {name.title()} field."
        if wanted != "*" and wanted.lower() != value.lower():
            return f"The response's {name.title()} is `{value[:80]}`, where `{wanted}` was expected."
        return ""

    def _body(self, response: Response) -> tuple[str, str]:
        if self.body is not None and response.body != self.body:
            return "The body is not what was expected.", mistakes.compare(self.body, response.body)
        if self.body_contains is not None and self.body_contains not in response.body:
            nothing = response.header("content-length") == "0"
            why = "Content-Length says 0, so the body ended before it began." if nothing else ""
            return f"The body does not contain `{preview(self.body_contains)}`.", why
        return "", ""
