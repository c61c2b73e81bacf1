"""Text for a terminal: made harmless, measured, cut, wrapped and coloured."""

from __future__ import annotations

import os
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from groundup.result import Outcome, Points, whole

MIN_WIDTH = 60
MAX_WIDTH = 100  # longer lines are hard to read

_ERASE = "\x1b[2K"
"""Erases the line that the cursor is in (EL, ECMA-48)."""
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SYMBOLS = "✓✗–▸◂│─┌┐└┘├┤█·…→×’"
# One character for one character: what is aligned stays aligned.
_ASCII = str.maketrans("✓✗–▸◂│─█·→×…‘’“”┌┐└┘├┤┬┴┼", "+x-><|-#.>x~''\"\"+++++++++")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}
_MARKS = {Outcome.PASS: "✓", Outcome.FAIL: "✗", Outcome.SKIPPED: "–", Outcome.INFRA: "!"}
_OUTCOME_COLOURS = {Outcome.PASS: "green", Outcome.FAIL: "red", Outcome.SKIPPED: "dim", Outcome.INFRA: "yellow"}


def visible(text: str) -> str:
    """Escape every character of `text` that is not plainly printable, so that none can act on a terminal.

    That covers C0 and C1 controls, DEL, line and paragraph separators, bidirectional and other format controls
    (the Unicode categories "Other" and "Separator" but for the space), which `str.isprintable` tells.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_lines(text: str, *, most: int | None = None) -> list[str]:
    r"""Split at "\n" alone and make each line harmless; tabs become spaces.

    Of more than `most` lines the first and the last are kept, with a line between them that counts the others.
    """
    lines = text.removesuffix("\n").split("\n") if text else []
    if most is not None and len(lines) > most:
        first = (most + 1) // 2
        last = most - first
        between = f"… {len(lines) - most:,} lines left out …"
        lines = [*lines[:first], between, *lines[len(lines) - last :]]
    return [visible(line.expandtabs(8)) for line in lines]


def visible_bytes(data: bytes) -> str:
    r"""Write bytes as a C string would: printable ASCII as it is, the rest as `\r`, `\n`, `\xff`."""
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else "\\\\" if b == 0x5C else _escape(chr(b)) for b in data)


def columns(text: str) -> int:
    """Return how many columns of a terminal the printable `text` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(c) for c in text)


def _columns_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut the printable `text` to `width` columns; an ellipsis shows that something is missing."""
    if columns(text) <= width:
        return text
    used = 0
    for position, char in enumerate(text):
        used += _columns_of(char)
        if used > width - 1:
            return text[:position] + "…"
    return text


def pad(text: str, width: int) -> str:
    """Fill up with spaces to `width` columns."""
    return text + " " * (width - columns(text))


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break prose into lines of at most `width` columns, indent included; newlines in it are kept."""
    lines: list[str] = []
    for line in visible_lines(text):
        lines += textwrap.wrap(line, max(20, width - len(indent)), break_on_hyphens=False) or [""]
    return [indent + line if line else "" for line in lines]


def points_text(points: Points) -> str:
    """Write points as a person does: `10`, `2.5`."""
    return f"{whole(points):g}" if points < 1e5 else f"{points:.0f}"


def plural(count: Points, noun: str) -> str:
    """Write a count with its noun: `1 point`, `3 points`."""
    return f"{points_text(count)} {noun}" + ("" if count == 1 else "s")


@dataclass(frozen=True)
class Style:
    """What the output can show: colours, symbols beyond ASCII, how many columns. The default suits a file."""

    colour: bool = False
    symbols: bool = True
    width: int = 80
    encoding: str = "utf-8"
    live: bool = False  # a terminal: a line may be written over

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Style:
        """Find out what `stream` can show. Colour needs a terminal, no NO_COLOR, and a TERM other than `dumb`."""
        terminal = stream.isatty()
        capable = terminal and environ.get("TERM", "dumb") != "dumb"
        encoding = getattr(stream, "encoding", None) or "utf-8"
        width = 80
        if terminal:
            width = min(MAX_WIDTH, max(MIN_WIDTH, shutil.get_terminal_size((80, 24)).columns))
        return cls(
            colour=capable and not environ.get("NO_COLOR"),
            symbols=_can_encode(_SYMBOLS, encoding),
            width=width,
            encoding=encoding,
            live=capable,
        )

    def paint(self, text: str, *colours: str) -> str:
        """Colour harmless text, where there is colour."""
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(_COLOURS[colour] for colour in colours)}m{text}\x1b[0m"

    def mark(self, outcome: Outcome) -> str:
        """Return the sign of an outcome, in its colour."""
        return self.paint(_MARKS[outcome], _OUTCOME_COLOURS[outcome])

    def tint(self, text: str, outcome: Outcome) -> str:
        """Colour text as the outcome it tells of."""
        return self.paint(text, _OUTCOME_COLOURS[outcome])

    def encodable(self, line: str) -> str:
        """Return `line` in the characters that the stream can take."""
        if not self.symbols:
            line = line.translate(_ASCII)
        return line.encode(self.encoding, "backslashreplace").decode(self.encoding)


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Printer:
    """Writes lines to a stream in its style."""

    def __init__(self, stream: TextIO, style: Style | None = None) -> None:
        self.stream = stream
        self.style = style if style is not None else Style.of(stream)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines and flush, so that a reader of a pipe sees them at once."""
        for line in lines:
            self.stream.write(self.style.encodable(line.rstrip(" ")) + "\n")
        self.stream.flush()

    def line(self, line: str = "") -> None:
        """Write one line."""
        self.lines([line])

    def transient(self, line: str) -> None:
        """Show a line that the next one replaces; only a terminal sees it. `line` must be shorter than its width."""
        if self.style.live:
            self.stream.write(_ERASE + self.style.encodable(fit(line, self.style.width - 1)) + "\r")
            self.stream.flush()

    def erase(self) -> None:
        """Take the transient line back."""
        if self.style.live:
            self.stream.write(_ERASE)
            self.stream.flush()
