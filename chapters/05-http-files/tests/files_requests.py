"""How these tests ask: a request in a line, its answer, and the parts of a multipart answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from groundup_guest.http import Response
from groundup_guest.testing import Directory, FailedError, Peer, Program, Server, Tcp

DATE = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)
"""The one form in which a date is sent (RFC 9110, section 5.6.7)."""
SHOWN_OF_A_FIELD = 120
"""How many letters of a request's field a failure shows: more than any has whose end matters."""


def expect(holds: bool, message: str, why: str = "") -> None:
    """Fail with these words unless something holds."""
    if not holds:
        raise FailedError(message, why)


def request(path: str, *fields: str, method: str = "GET") -> bytes:
    """Return a request without a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: ground", *fields, "", ""]
    return "\r\n".join(lines).encode("ascii")


def asks(
    peer: Peer,
    path: str,
    *fields: str,
    status: int | None = 200,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    hint: str = "",
) -> Response:
    """Send a request and expect its answer, which has a Date whatever its status.

    A hint is given together with the request's fields.
    """
    if hint and fields:
        shown = (field[:SHOWN_OF_A_FIELD] + "…" * (len(field) > SHOWN_OF_A_FIELD) for field in fields)
        hint = f"It was asked with {' and '.join(shown)}. {hint}"
    peer.sends(request(path, *fields, method=method), hint=hint)
    headers = {"date": "*", **(headers or {})}
    return peer.receives_response(status, body=body, headers=headers, request_method=method, hint=hint)


def serves(server: Server, tcp: Tcp, root: Directory, *options: str) -> Peer:
    """Start the server on a directory; return a peer that is connected to it."""
    return tcp.connect(start(server, root, *options))


def start(server: Server, root: Directory, *options: str) -> Program:
    """Start the server on a directory."""
    return server.start("--port", "0", "--root", root.name, *options)


@dataclass(frozen=True)
class Part:
    """One part of a multipart content: its fields in lower case, and what they are about."""

    fields: dict[str, str]
    content: bytes


def boundary_of(response: Response) -> str:
    """Return the boundary that the Content-Type of a multipart answer names."""
    kind = response.header("content-type") or ""
    match = re.fullmatch(r'multipart/byteranges[ \t]*;[ \t]*boundary="?([^"]{1,70})"?', kind, re.IGNORECASE)
    if match is None:
        raise FailedError(f"Several ranges are sent as multipart/byteranges; boundary=…; the Content-Type is {kind!r}.")
    return match[1]


def parts_of(response: Response) -> list[Part]:
    """Return the parts of a multipart answer (RFC 9110, section 14.6; RFC 2046, section 5.1.1)."""
    boundary = boundary_of(response).encode("ascii")
    pieces = (b"\r\n" + response.body).split(b"\r\n--" + boundary)
    expect(
        pieces[-1].startswith(b"--"),
        f"The multipart content does not end with \\r\\n--BOUNDARY--, but with {response.body[-60:]!r}.",
    )
    parts = []
    for piece in pieces[1:-1]:
        head, blank_line, content = piece.partition(b"\r\n\r\n")
        expect(blank_line != b"", f"A part has no empty line between its fields and its bytes: {piece[:80]!r}.")
        lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n") if line]
        parts.append(Part({name.lower(): value.strip() for name, _, value in lines}, content))
    return parts
