"""Chapter 05: parts of files."""

import random
from collections.abc import Iterable
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime

from files_requests import Part, asks, boundary_of, expect, parts_of, serves

from groundup_guest.http import Response
from groundup_guest.testing import Server, Tcp, needs, points, read

SUNDAY = 784_111_777
SHOWN = "Sun, 06 Nov 1994 08:49:37 GMT"
YEAR_2100 = 4_102_444_800
DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
SIZE = len(DIGITS)
RANGES_LIMIT = 16
"""How many ranges a request may have: the lesson's contract."""


def sees_part(answer: Response, first: int, last: int, value: str) -> None:
    """Expect an answer to hold one part of DIGITS, and to say which."""
    wanted = f"bytes {first}-{last}/{SIZE}"
    found = answer.header("content-range")
    kind = answer.header("content-type") or ""
    expect(
        not kind.startswith("multipart/"),
        f"Range: {value} is answered with several parts, where one was expected: {wanted}.",
        "What overlaps or touches is sent once, and one part needs no multipart.",
    )
    expect(found == wanted, f"Range: {value} is answered with Content-Range: {found}, where {wanted} was expected.")
    expect(
        answer.body == DIGITS[first : last + 1],
        f"Range: {value} is answered with {answer.body!r}, where {DIGITS[first : last + 1]!r} was expected.",
        "Bytes are counted from 0, and the last one is part of the range.",
    )


def sees_parts(parts: list[Part], wanted: Iterable[tuple[int, int]], value: str) -> None:
    """Expect these parts of DIGITS, in this order."""
    found = [part.fields.get("content-range") for part in parts]
    expected = [f"bytes {first}-{last}/{SIZE}" for first, last in wanted]
    expect(found == expected, f"Range: {value} is answered with the parts {found}, where {expected} was expected.")
    for part, (first, last) in zip(parts, wanted, strict=True):
        expect(part.content == DIGITS[first : last + 1], f"The part {first}-{last} holds {part.content!r}.")
        kind = part.fields.get("content-type") or "none"
        expect(kind.startswith("text/plain"), f"A part has the file's Content-Type, text/plain; here it is {kind}.")


@points(4)
@needs("test_serves_a_file")
@read("RFC 9110, section 14.1.2", "RFC 9110, section 15.3.7.1", "RFC 9110, section 14.3")
def test_single_range(server: Server, tcp: Tcp) -> None:
    """One range is answered with 206, just these bytes, where they are from, and the fields that all would have."""
    root = server.directory({"a.txt": DIGITS, "d/index.html": b"<p>"}).mtime("a.txt", SUNDAY)
    peer = serves(server, tcp, root)
    hint = "A directory's index.html has ranges as every file has."
    asks(peer, "/d/", "Range: bytes=1-1", status=206, body=b"p", hint=hint)
    whole = asks(peer, "/a.txt", headers={"accept-ranges": "bytes"}, body=DIGITS)
    for value, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=1-4", 1, 4),
        (f"bytes={SIZE - 1}-{SIZE - 1}", SIZE - 1, SIZE - 1),
        ("bytes=10-", 10, SIZE - 1),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=-3", SIZE - 3, SIZE - 1),
        (f"bytes=-{SIZE}", 0, SIZE - 1),
        ("bytes=-1000", 0, SIZE - 1),
        (f"bytes=30-{SIZE}", 30, SIZE - 1),
        ("bytes=30-99999999999999999999999", 30, SIZE - 1),
        ("bytes=-99999999999999999999999", 0, SIZE - 1),
        ("Bytes=007-008", 7, 8),
        ("bytes=5-6, ", 5, 6),
    ):
        answer = asks(peer, "/a.txt", f"Range: {value}", status=206, hint=f"Range: {value} names a part of the file.")
        sees_part(answer, first, last, value)
        for name in ("etag", "last-modified", "content-type"):
            expect(answer.header(name) == whole.header(name), f"{name.title()} is another one in a 206 than in a 200.")


@points(3)
@needs("test_single_range")
@read("RFC 9110, section 15.5.17", "RFC 9110, section 14.1.2")
def test_unsatisfiable_range(server: Server, tcp: Tcp) -> None:
    """Ranges of which the file has nothing are answered with 416 and its length; of several, what there is is sent."""
    peer = serves(server, tcp, server.directory({"a.txt": DIGITS}))
    for value in (f"bytes={SIZE}-", f"bytes={SIZE}-99", "bytes=-0", "bytes=99999999999999999999999-", "bytes=50-60,-0"):
        wanted = {"content-range": f"bytes */{SIZE}"}
        asks(peer, "/a.txt", f"Range: {value}", status=416, headers=wanted, hint=f"Of {value} the file has no byte.")
    value = "bytes=99-,2-3,-0"
    answer = asks(peer, "/a.txt", f"Range: {value}", status=206, hint="One of the ranges can be satisfied.")
    sees_part(answer, 2, 3, value)


@points(3)
@needs("test_single_range")
@read("RFC 9110, section 14.2", "RFC 9110, section 14.1.1")
def test_range_that_is_ignored(server: Server, tcp: Tcp) -> None:
    """A Range that is malformed, of another unit, or of no use is as good as none: the whole file is sent."""
    peer = serves(server, tcp, server.directory({"a.txt": DIGITS, "empty": b"", "d/x": b""}))
    malformed = (
        "bytes=",
        "bytes=-",
        "bytes=x",
        "bytes=5-4",
        "bytes=1-2x",
        "bytes=1-2-3",
        "bytes=1 2",
        "bytes=1- 2",
        "bytes=0x1-2",
    )
    for value in (
        *malformed,
        "bytes=--1",
        "bytes=1-2,x",
        "bytes=1-2,5-4",
        "bytes 1-2",
        "1-2",
        "bytes=,",
        "lines=1-2",
        "bytes=+1-2",
    ):
        hint = f"{value!r} is no set of ranges of bytes: the field is ignored, all of it."
        asks(peer, "/a.txt", f"Range: {value}", body=DIGITS, hint=hint)
    hint = "Two fields are one list, `bytes=0-0, bytes=2-2`, and that is no set of ranges: the field is ignored."
    asks(peer, "/a.txt", "Range: bytes=0-0", "Range: bytes=2-2", body=DIGITS, hint=hint)
    hint = "Range means something for GET alone; HEAD is answered with the whole file's length."
    asks(peer, "/a.txt", "Range: bytes=0-1", method="HEAD", headers={"content-length": str(SIZE)}, hint=hint)
    asks(peer, "/a.txt", "Range: bytes=99-", method="HEAD", headers={"content-length": str(SIZE)}, hint=hint)
    for value in ("bytes=0-", "bytes=-5", "bytes=3-4"):
        asks(peer, "/empty", f"Range: {value}", body=b"", hint="An empty file has no ranges: 200, and nothing.")
    asks(peer, "/d/", "Range: bytes=0-1", hint="A listing has no ranges.")
    asks(peer, "/nothing", "Range: bytes=0-1", status=404)


@points(4)
@needs("test_single_range")
@read("RFC 9110, section 15.3.7.2", "RFC 9110, section 14.6", "RFC 2046, section 5.1.1")
def test_several_ranges(server: Server, tcp: Tcp, rng: random.Random) -> None:
    """Several ranges are answered with a part for each, in their order, and a boundary that the file cannot have."""
    root = server.directory({"a.txt": DIGITS})
    peer = serves(server, tcp, root)
    firsts = rng.sample(range(0, SIZE - 2, 4), k=5)
    wanted = [(first, first + rng.randrange(3)) for first in firsts]
    value = "bytes=" + ", ".join(f"{first}-{last}" for first, last in wanted)
    answer = asks(peer, "/a.txt", f"Range: {value}", status=206, headers={"etag": "*", "last-modified": "*"})
    expect(answer.header("content-range") is None, "Content-Range belongs to the parts, and not to the whole of them.")
    sees_parts(parts_of(answer), wanted, value)
    line = f"\r\n--{boundary_of(answer)}".encode("ascii")
    trap = b"A" + line + b"\r\n\r\nB" + line + b"--\r\nC"
    root.write("trap", trap)
    answer = asks(peer, "/trap", f"Range: bytes=0-{len(trap) - 3},-1", status=206)
    expect(
        f"--{boundary_of(answer)}".encode("ascii") not in trap,
        f"The boundary of an earlier answer, {boundary_of(answer)}, is used again for a file that contains it.",
        "It has to be one that nobody can have foreseen, or that was looked for in the file.",
    )
    contents = [part.content for part in parts_of(answer)]
    expect(contents == [trap[:-2], b"C"], f"The parts are {contents}, which is not what was asked for.")


@points(3)
@needs("test_several_ranges")
@read("RFC 9110, section 15.3.7.2", "RFC 9110, section 14.2", "RFC 9110, section 17.15")
def test_overlapping_ranges(server: Server, tcp: Tcp) -> None:
    """Ranges that overlap or touch are sent as one; more than 16 are ignored: no answer is larger than it should be."""
    peer = serves(server, tcp, server.directory({"a.txt": DIGITS}))
    for value, wanted in (
        ("bytes=0-5,3-8", [(0, 8)]),
        ("bytes=3-8,0-5", [(0, 8)]),
        ("bytes=0-4,5-9", [(0, 9)]),
        ("bytes=2-30,10-12", [(2, 30)]),
        ("bytes=20-21,0-1,5-6,1-5", [(20, 21), (0, 6)]),
        ("bytes=9-9,1-1,5-5,2-8", [(1, 9)]),
        ("bytes=0-0,2-2", [(0, 0), (2, 2)]),
        ("bytes=" + ",".join(["0-"] * RANGES_LIMIT), [(0, SIZE - 1)]),
        (
            "bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(RANGES_LIMIT)),
            [(2 * i, 2 * i) for i in range(RANGES_LIMIT)],
        ),
    ):
        hint = "What overlaps or touches is sent once, in the place of the first of them."
        answer = asks(peer, "/a.txt", f"Range: {value}", status=206, hint=hint)
        if len(wanted) > 1:
            sees_parts(parts_of(answer), wanted, value)
        else:
            sees_part(answer, *wanted[0], value)
    value = "bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(RANGES_LIMIT + 1))
    asks(peer, "/a.txt", f"Range: {value}", body=DIGITS, hint="More than 16 ranges are too many: the field is ignored.")
    value = "bytes=" + ",".join(["0-"] * 900)
    asks(peer, "/a.txt", f"Range: {value}", body=DIGITS, hint="More than 16 ranges are too many: the field is ignored.")


@points(3)
@needs("test_single_range", "test_precedence_of_conditions")
@read("RFC 9110, section 13.1.5", "RFC 9110, section 14.2")
def test_if_range(server: Server, tcp: Tcp) -> None:
    """With If-Range a part is sent only if the file is the one that the client has a part of; else all of it is."""
    root = server.directory({"a.txt": DIGITS}).mtime("a.txt", SUNDAY)
    peer = serves(server, tcp, root)
    tag = asks(peer, "/a.txt", method="HEAD", headers={"etag": "*"}).header("etag")
    for value, holds, hint in (
        (tag, True, "That is the file's entity-tag."),
        (SHOWN, True, "That is the file's Last-Modified, and long over."),
        ('"x"', False, "The file is another one by now: a part of it is of no use."),
        (f'"x", {tag}', False, "If-Range has one tag, and not a list."),
        ("*", False, "Neither a tag nor a date: the condition does not hold."),
        (f"W/{tag}", False, "If-Range compares strongly: a weak tag is never the same."),
        (SHOWN.replace(":37", ":36"), False, "The file was modified since."),
        (SHOWN.replace(":37", ":38"), False, "The date has to be the same; this is no If-Unmodified-Since."),
        ("whatever", False, "Neither a tag nor a date: the condition does not hold."),
    ):
        answer = asks(peer, "/a.txt", "Range: bytes=1-4", f"If-Range: {value}", status=206 if holds else 200, hint=hint)
        wanted = DIGITS[1:5] if holds else DIGITS
        expect(answer.body == wanted, f"If-Range: {value} is answered with {answer.body!r}, not with {wanted!r}.")
    root.write("new", DIGITS).mtime("new", YEAR_2100)
    shown = asks(peer, "/new", method="HEAD", headers={"last-modified": "*"}).header("last-modified") or ""
    hint = "That second is not over: in what is left of it the file may change once more, and have the same date."
    for seconds in (0, 1):  # one of them is that of the answer
        value = format_datetime(parsedate_to_datetime(shown) + timedelta(seconds=seconds), usegmt=True)
        asks(peer, "/new", "Range: bytes=1-4", f"If-Range: {value}", body=DIGITS, hint=hint)
    asks(peer, "/a.txt", 'If-Range: "x"', body=DIGITS, hint="Without Range there is nothing for If-Range to decide.")
    asks(peer, "/a.txt", "Range: bytes=99-", 'If-Range: "x"', body=DIGITS, hint="If-Range comes before 416.")
    asks(peer, "/a.txt", "Range: bytes=1-4", f"If-None-Match: {tag}", status=304, hint="Conditions come before ranges.")
    asks(peer, "/a.txt", "Range: bytes=1-4", 'If-Match: "x"', status=412, hint="Conditions come before ranges.")
    asks(peer, "/a.txt", "Range: bytes=99-", f"If-None-Match: {tag}", status=304, hint="Conditions come before ranges.")
