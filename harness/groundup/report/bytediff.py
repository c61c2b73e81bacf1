"""Shows where two byte strings part: as text with escapes, and in hexadecimal rows around the first difference."""

from __future__ import annotations

from groundup.report.text import Style, visible_bytes, wrap
from groundup.result import ByteDiff

TEXT_BEFORE = 16  # bytes of text shown before the first difference
ROWS_AROUND = 1  # hexadecimal rows shown before and after the one that differs
_LABEL = 10


def diff_lines(diff: ByteDiff, style: Style) -> list[str]:
    """Return the lines that compare `diff.expected` with `diff.received`, at most `style.width` columns wide."""
    at = diff.first_difference
    lines = [*wrap(_summary(diff, at), style.width), ""]
    if _mostly_text(diff.expected):
        lines += [*_text_rows(diff, at, style), ""]
    return [*lines, *_hex_rows(diff, at, style)]


def _summary(diff: ByteDiff, at: int) -> str:
    expected, received = len(diff.expected), len(diff.received)
    counts = f"expected {_bytes(expected)}, received {_bytes(received)}"
    if at == expected == received:
        return f"{counts}: they are the same"
    if at == received:
        return f"{counts}: right as far as it goes, but {_bytes(expected - received)} missing"
    if at == expected:
        return f"{counts}: all that was expected, and {_bytes(received - expected)} too many"
    return f"{counts}: first difference at offset {at} (0x{at:x})"


def _bytes(count: int) -> str:
    return f"{count:,} byte" + ("" if count == 1 else "s")


def _mostly_text(data: bytes) -> bool:
    sample = data[:256]
    printable = sum(0x20 <= b < 0x7F or b in b"\r\n\t" for b in sample)
    return bool(sample) and printable * 10 >= len(sample) * 9


def _text_rows(diff: ByteDiff, at: int, style: Style) -> list[str]:
    """Write both as text, on one line each, from a little before the first difference, which a caret marks."""
    start = max(0, at - TEXT_BEFORE)
    before = ("… " if start else "") + visible_bytes(diff.expected[start:at])
    room = style.width - _LABEL - len(before) - 2
    lines = [
        f"{label:<{_LABEL}}{before}{style.paint(_cut_bytes(data[at : at + room], room), colour)}"
        for label, data, colour in (("expected", diff.expected, "green"), ("received", diff.received, "red"))
    ]
    return [*lines, " " * (_LABEL + len(before)) + "^"]


def _cut_bytes(data: bytes, room: int) -> str:
    """Write as many of the bytes as fit; an escape is not cut in two. An end of data shows as `(end)`."""
    text = ""
    for byte in data:
        piece = visible_bytes(bytes([byte]))
        if len(text) + len(piece) > room - 1:
            return text + "…"
        text += piece
    return text or "(end)"


def _hex_rows(diff: ByteDiff, at: int, style: Style) -> list[str]:
    size = 16 if style.width >= _LABEL + 10 + 16 * 3 + 1 + 16 else 8
    middle = at // size
    first, last = max(0, middle - ROWS_AROUND), middle + ROWS_AROUND
    lines: list[str] = []
    for row in range(first, last + 1):
        offset = row * size
        expected, received = diff.expected[offset : offset + size], diff.received[offset : offset + size]
        if not expected and not received:
            break
        if expected == received:
            lines.append(_hex_row("", offset, expected, size))
            continue
        lines.append(style.paint(_hex_row("expected", offset, expected, size), "green"))
        lines.append(style.paint(_hex_row("received", offset, received, size), "red"))
        if row == middle:
            lines.append(" " * (_LABEL + 10 + 3 * (at - offset)) + "^^")
    return lines


def _hex_row(label: str, offset: int, data: bytes, size: int) -> str:
    text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in data)
    digits = data.hex(" ") or "(end)"
    return f"{label:<{_LABEL}}{offset:08x}  {digits:<{size * 3}} {text}".rstrip()
