"""Chapter 05: dates and entity-tags, and what a client may ask about a file that it has already."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from files_requests import DATE, asks, expect, serves

from groundup_guest.http import Response
from groundup_guest.testing import Peer, Server, Tcp, needs, points, read

SUNDAY = 784_111_777
"""The date that all RFCs show, in seconds since 1970: Sun, 06 Nov 1994 08:49:37 GMT."""
SHOWN = "Sun, 06 Nov 1994 08:49:37 GMT"
YEAR_2100 = 4_102_444_800


def date_of(response: Response, field: str) -> datetime:
    """Return the date in one of the answer's fields."""
    text = response.header(field) or ""
    expect(
        DATE.fullmatch(text) is not None,
        f"The answer's {field} is {text!r}, where one as in {SHOWN!r} was expected: two digits each, GMT, in English.",
    )
    found = parsedate_to_datetime(text)
    expect(text == format_datetime(found, usegmt=True), f"{field}: {text} names a day of the week that it is not.")
    return found


def tag_of(peer: Peer, path: str, hint: str = "") -> str:
    """Return a file's entity-tag, which has to be a strong one."""
    tag = asks(peer, path, method="HEAD", hint=hint).header("etag") or ""
    expect(
        re.fullmatch(r'"[!#-~]+"', tag) is not None,
        f"The ETag of {path} is {tag!r}, where a strong entity-tag was expected: letters in double quotes, no W/.",
    )
    return tag


@points(3)
@needs("test_serves_a_file")
@read("RFC 9110, section 5.6.7", "RFC 9110, section 6.6.1", "RFC 9110, section 8.8.2.1", "gmtime_r(3)")
def test_dates(server: Server, tcp: Tcp) -> None:
    """Every answer has its Date, a file's has Last-Modified as well; both in the one form, and none from the future."""
    root = server.directory({"a": b"a", "b": b"b", "c": b"c"})
    root.mtime("a", SUNDAY, 999_999_999).mtime("b", 951_825_600).mtime("c", YEAR_2100)
    peer = serves(server, tcp, root)
    for path, wanted in (("a", SHOWN), ("b", "Tue, 29 Feb 2000 12:00:00 GMT")):
        answer = asks(peer, f"/{path}")
        date_of(answer, "last-modified")
        found = answer.header("last-modified")
        expect(found == wanted, f"The file was modified at {wanted}, but Last-Modified says {found}.")
        expect(
            abs(date_of(answer, "date") - datetime.now(UTC)) < timedelta(days=1),
            f"Date says {answer.header('date')}, which is not today: it is the time of the answer, in UTC.",
        )
    for path, status in (("/nothing", 404), ("/%", 400)):
        date_of(asks(peer, path, status=status), "date")
    answer = asks(peer, "/c")
    expect(
        date_of(answer, "last-modified") <= date_of(answer, "date"),
        f"Last-Modified is {answer.header('last-modified')}, later than the answer's Date, {answer.header('date')}.",
        "In place of a time that is yet to come the Date has to be sent (RFC 9110, section 8.8.2.1).",
    )


@points(3)
@needs("test_serves_a_file")
@read("RFC 9110, section 8.8.3", "RFC 9110, section 8.8.1", "stat(2)", "inode(7)")
def test_entity_tag_changes_with_the_file(server: Server, tcp: Tcp) -> None:
    """A file's entity-tag stays while the file does, and is another one after any change, however small or quick."""
    root = server.directory({"a": b"one", "other": b"two"}).mtime("a", SUNDAY, 1).mtime("other", SUNDAY, 1)
    peer = serves(server, tcp, root)
    seen = {tag_of(peer, "/a"): "it was made"}
    expect(tag_of(peer, "/a") in seen, "The entity-tag is another one the second time, though nothing has changed.")
    expect(tag_of(peer, "/other") not in seen, "Two files have the same entity-tag: same size and time, other inode.")
    root.write("a", b"TWO").mtime("a", SUNDAY, 2)
    _note(
        seen, tag_of(peer, "/a"), "it was written again, a nanosecond later: Last-Modified is the same, st_mtim is not"
    )
    root.append("a", b"!").mtime("a", SUNDAY, 2)
    _note(seen, tag_of(peer, "/a"), "it has grown, at the same time")
    root.mtime("a", SUNDAY + 1, 2)
    _note(seen, tag_of(peer, "/a"), "it was written a second later")
    root.write("new", b"FOUR").mtime("new", SUNDAY + 1, 2).rename("new", "a")
    _note(seen, tag_of(peer, "/a"), "another file was moved to its place, of the same size and time: see its inode")


def _note(seen: dict[str, str], tag: str, after: str) -> None:
    expect(tag not in seen, f"The entity-tag is still {tag} after the file has changed: {after}.")
    seen[tag] = after


@points(4)
@needs("test_entity_tag_changes_with_the_file")
@read("RFC 9110, section 13.1.2", "RFC 9110, section 8.8.3.2", "RFC 9110, section 5.6.1")
def test_if_none_match(server: Server, tcp: Tcp) -> None:
    """If-None-Match is a list of entity-tags: one that is the file's, weak or not, or a *, makes the answer 304."""
    peer = serves(server, tcp, server.directory({"a": b"abc", "d/x": b""}))
    tag = tag_of(peer, "/a")
    for value, hint in (
        (tag, "That is the file's entity-tag."),
        (f"W/{tag}", "If-None-Match compares weakly: W/ does not count."),
        (f'"x", {tag}', "It is a list."),
        (f'"x",{tag},W/"y"', "Blanks around the commas are not needed."),
        (f', ,"x" , , {tag} ,', "Empty elements of a list are passed over."),
        (f'"x, y", {tag}', "Between the quotes a comma is a letter like any other."),
        ("*", "* stands for any content that there is."),
    ):
        asks(peer, "/a", f"If-None-Match: {value}", status=304, hint=hint)
    asks(peer, "/a", 'If-None-Match: "x"', f"If-None-Match: {tag}", status=304, hint="Two fields are one list.")
    asks(peer, "/d/", "If-None-Match: *", status=304, hint="A listing is content as well.")
    inner = tag.strip('"')
    others = (
        '"x"',
        f'"{inner}x"',
        f'"{inner[:-1]}"',
        '""',
        f'"x{inner}"',
        f'"x,{inner}"',
        inner,
        '"*"',
        f'"x", "{inner}',
    )
    for value in others:
        hint = "The whole of one tag has to be the same, quotes and all: a part of it, or of another, is none."
        asks(peer, "/a", f"If-None-Match: {value}", body=b"abc", hint=hint)


@points(4)
@needs("test_dates")
@read("RFC 9110, section 13.1.3", "RFC 9110, section 5.6.7", "timegm(3)")
def test_if_modified_since(server: Server, tcp: Tcp) -> None:
    """If-Modified-Since: 304 unless the file was modified after that date; what is no date is ignored."""
    root = server.directory({"a": b"abc", "c": b"new"}).mtime("a", SUNDAY, 500_000_000).mtime("c", YEAR_2100)
    peer = serves(server, tcp, root)
    sent = asks(peer, "/a", status=200).header("last-modified")
    for value, status, hint in (
        (sent, 304, "This is what Last-Modified said: the date has no fractions of a second, and the file's time has."),
        (SHOWN.replace(":37", ":38"), 304, "The file is older than that."),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 304, "Dates are compared by time, not as texts."),
        (SHOWN.replace(":37", ":36"), 200, "The file was modified a second later."),
        ("Thu, 31 Mar 1994 23:59:59 GMT", 200, "The file was modified later."),
    ):
        asks(peer, "/a", f"If-Modified-Since: {value}", status=status, hint=hint)
    later = SHOWN.replace("1994", "2094")
    for value, why in (
        ("yesterday", ""),
        ("784111778", ""),
        ('"x"', ""),
        (later[:16], "The time is missing."),
        (f"{later} and more", "Something follows the date."),
        (later.replace(" 0", " "), "A day has two digits; strptime(3) takes one as well."),
        (later.replace("06 Nov", "31 Nov"), "November has 30 days; strptime(3) and timegm(3) take 31 as well."),
        (later.replace("06 Nov", "29 Feb"), "2094 has no 29 February; strptime(3) and timegm(3) take it all the same."),
    ):
        hint = f"What is no date is ignored, all of it. {why}"
        asks(peer, "/a", f"If-Modified-Since: {value}", body=b"abc", hint=hint)
    asks(
        peer,
        "/a",
        f"If-Modified-Since: {SHOWN}",
        f"If-Modified-Since: {SHOWN}",
        body=b"abc",
        hint="Two dates are none: a field with more than one member is ignored (RFC 9110, section 13.1.3).",
    )
    hint = "The file's time is yet to come; what Last-Modified said in its place is what has to be compared."
    for _ in range(3):
        now = asks(peer, "/c").header("last-modified")
        answer = asks(peer, "/c", f"If-Modified-Since: {now}", status=None, hint=hint)
        if answer.header("last-modified") in (None, now):
            break  # else a new second has begun in between, and with it another Last-Modified: 200 is right
    expect(answer.status == 304, f"The status is {answer.status}, where 304 was expected.", hint)


@points(2)
@needs("test_if_modified_since")
@read("RFC 9110, section 5.6.7", "strptime(3)")
def test_obsolete_dates(server: Server, tcp: Tcp) -> None:
    """The two older forms of a date are understood; a year of two digits is none that is over 50 years ahead."""
    root = server.directory({"a": b"abc", "b": b"b"}).mtime("a", SUNDAY)
    peer = serves(server, tcp, root)
    forms = (("Sunday, 06-Nov-94 08:49:{} GMT", "RFC 850"), ("Sun Nov  6 08:49:{} 1994", "asctime(3)"))
    for form, name in forms:
        hint = f"{form.format(37)!r} is a date as {name} had it: the same second as {SHOWN!r}."
        asks(peer, "/a", f"If-Modified-Since: {form.format(37)}", status=304, hint=hint)
        asks(peer, "/a", f"If-Modified-Since: {form.format(36)}", body=b"abc", hint=hint)
    this_year = date_of(asks(peer, "/a"), "date").year
    for ago in (45, 30, -45):  # the file is from the middle of the year
        year = this_year - ago
        root.mtime("b", int(datetime(year, 7, 1, tzinfo=UTC).timestamp()) if ago > 0 else SUNDAY)
        for month, status in ((1, 200 if ago > 0 else 304), (12, 304)):
            value = datetime(year, month, 1, tzinfo=UTC).strftime("%A, %d-%b-%y 00:00:00 GMT")
            hint = f"{value} is of {year}: the year with these digits that is at most 50 years ahead of {this_year}."
            asks(peer, "/b", f"If-Modified-Since: {value}", status=status, hint=hint)


@points(2)
@needs("test_if_none_match")
@read("RFC 9110, section 15.4.5")
def test_not_modified_answer(server: Server, tcp: Tcp) -> None:
    """A 304 has the file's ETag and a Date; it has no content, and tells none of a content's fields but true ones."""
    peer = serves(server, tcp, server.directory({"a.txt": b"abc"}).mtime("a.txt", SUNDAY))
    tag = tag_of(peer, "/a.txt")
    for fields in ([f"If-None-Match: {tag}"], [f"If-Modified-Since: {SHOWN}"]):
        answer = asks(peer, "/a.txt", *fields, status=304, headers={"etag": tag, "date": "*"})
        for name, value, instead in (
            ("content-length", "3", "not for an empty one"),
            ("content-type", "text/plain", "not for one of another type"),
            ("content-range", None, "such a field has no business in it"),
        ):
            found = answer.header(name)
            expect(
                found is None or found.partition(";")[0].strip().lower() == value,
                f"The 304 says {name.title()}: {found}. It stands for the content that the client has: {instead}.",
            )
        asks(peer, "/a.txt", body=b"abc", hint="A 304 ends with its head: what follows is taken for the next answer.")


@points(3)
@needs("test_if_none_match", "test_if_modified_since")
@read("RFC 9110, section 13.2.2", "RFC 9110, section 13.1.1", "RFC 9110, section 13.1.4", "RFC 9110, section 13.2.1")
def test_precedence_of_conditions(server: Server, tcp: Tcp) -> None:
    """Where a request has several conditions, entity-tags go before dates, and a 412 before a 304."""
    root = server.directory({"a": b"abc", "d/x": b""}).mtime("a", SUNDAY)
    peer = serves(server, tcp, root)
    tag, other = tag_of(peer, "/a"), '"x"'
    earlier = SHOWN.replace(":37", ":36")
    for fields, status, hint in (
        ((f"If-None-Match: {other}", f"If-Modified-Since: {SHOWN}"), 200, "The date is ignored beside If-None-Match."),
        ((f"If-None-Match: {tag}", f"If-Modified-Since: {earlier}"), 304, "The date is ignored beside If-None-Match."),
        ((f"If-Match: {other}",), 412, "If-Match wants one of these tags to be the file's."),
        ((f"If-Match: W/{tag}",), 412, "If-Match compares strongly: a weak tag is never the same."),
        ((f"If-Match: {other}, {tag}",), 200, "If-Match is a list."),
        (("If-Match: *",), 200, "* stands for any content that there is."),
        ((f"If-Unmodified-Since: {earlier}",), 412, "The file was modified since."),
        ((f"If-Unmodified-Since: {SHOWN}",), 200, "The file was not modified since."),
        (("If-Unmodified-Since: once",), 200, "What is no date is ignored."),
        ((f"If-Match: {tag}", f"If-Unmodified-Since: {earlier}"), 200, "The date is ignored beside If-Match."),
        ((f"If-None-Match: {tag}", f"If-Match: {other}"), 412, "If-Match comes first."),
        ((f"If-None-Match: {tag}", f"If-Unmodified-Since: {earlier}"), 412, "If-Unmodified-Since comes first."),
        ((f"If-Match: {tag}", f"If-None-Match: {tag}"), 304, "If-Match holds; then comes If-None-Match."),
    ):
        asks(peer, "/a", *fields, status=status, hint=hint)
    asks(peer, "/d/", 'If-Match: "x"', status=412, hint="A listing has no entity-tag: none of these is its.")
    for name in ("If-Modified-Since", "If-Unmodified-Since"):
        asks(peer, "/d/", f"{name}: {SHOWN}", hint="A listing has no Last-Modified: the condition is ignored.")
    for path, field, status in (
        ("/no", "If-Match: *", 404),
        ("/no", "If-None-Match: *", 404),
        ("/d", 'If-Match: "x"', 301),
    ):
        hint = "Conditions count only where the answer without them would be a 2xx (RFC 9110, section 13.2.1)."
        asks(peer, path, field, status=status, hint=hint)
