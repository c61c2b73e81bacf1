"""Text for a terminal, and the comparison of bytes."""

import pytest

from groundup.report.bytediff import diff_lines
from groundup.report.text import (
    Style,
    columns,
    fit,
    pad,
    plural,
    points_text,
    visible,
    visible_bytes,
    visible_lines,
    wrap,
)
from groundup.result import ByteDiff


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ✓ text", "plain – ✓ text"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        ("\x9b31m\x85\x7f", "\\x9b31m\\x85\\x7f"),
        ("\u202eexe\u2066", "\\u202eexe\\u2066"),
        ("\u2028\u200b\ufeff\ufffe", "\\u2028\\u200b\\ufeff\\ufffe"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_are_split_at_newlines_alone_and_thinned() -> None:
    assert visible_lines("a\x0bb\u2028c\nd\te\r\n") == ["a\\x0bb\\u2028c", "d       e\\r"]
    assert visible_lines("") == []
    assert visible_lines("\n".join("abcdef"), most=3) == ["a", "b", "… 3 lines left out …", "f"]


def test_visible_bytes() -> None:
    assert visible_bytes(b"GET /\r\n\\\x00\xff\xc3\xa9") == "GET /\\r\\n\\\\\\x00\\xff\\xc3\\xa9"


def test_widths() -> None:
    assert columns("漢字e\u0301") == 5
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("short", 5) == "short"
    assert pad("漢", 4) == "漢  "
    assert wrap("one two three four five", 22, "  ") == ["  one two three four", "  five"]


def test_numbers() -> None:
    assert (points_text(10.0), points_text(2.5), points_text(123456)) == ("10", "2.5", "123456")
    assert (plural(1, "point"), plural(0, "point")) == ("1 point", "0 points")


@pytest.mark.parametrize(
    ("expected", "received", "summary"),
    [
        (b"abc", b"abd", "expected 3 bytes, received 3 bytes: first difference at offset 2 (0x2)"),
        (b"abcd", b"a", "expected 4 bytes, received 1 byte: right as far as it goes, but 3 bytes missing"),
        (b"a", b"abcd", "expected 1 byte, received 4 bytes: all that was expected, and 3 bytes too many"),
        (b"", b"", "expected 0 bytes, received 0 bytes: they are the same"),
    ],
)
def test_diff_says_what_differs(expected: bytes, received: bytes, summary: str) -> None:
    assert diff_lines(ByteDiff(expected, received), Style(width=100))[0] == summary


def test_diff_marks_the_first_difference_and_shows_little() -> None:
    expected = bytes(range(256)) * 4096
    received = expected[:70_001] + b"!" + expected[70_002:]
    lines = diff_lines(ByteDiff(expected, received), Style(width=100))
    assert lines == [
        "expected 1,048,576 bytes, received 1,048,576 bytes: first difference at offset 70001 (0x11171)",
        "",
        "          00011160  60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  `abcdefghijklmno",
        "expected  00011170  70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f  pqrstuvwxyz{|}~.",
        "received  00011170  70 21 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f  p!rstuvwxyz{|}~.",
        "                       ^^",
        "          00011180  80 81 82 83 84 85 86 87 88 89 8a 8b 8c 8d 8e 8f  ................",
    ]


def test_diff_of_text_has_the_text_too() -> None:
    lines = diff_lines(ByteDiff(b"hello\r\n", b"hello\n"), Style(width=100))
    assert lines[2:5] == ["expected  hello\\r\\n", "received  hello\\n", "               ^"]
    short = diff_lines(ByteDiff(b"hello\r\n", b"hello"), Style(width=100))
    assert short[2:5] == ["expected  hello\\r\\n", "received  hello(end)", "               ^"]
