"""What is known of one program while it runs and after: how it ended, and what of its output is kept."""

import os
import time
from dataclasses import dataclass, field
from typing import Any, Self

from groundup_guest.launch import Spare

KEPT = 32 << 10
"""How many bytes of a stream are kept from its beginning, and as many from its end."""
WHOLE = 2 << 20
"""How many bytes of a client's output are kept besides: a test may compare them all."""


class Kept:
    """The beginning and the end of what a program wrote on one stream, and how much it was."""

    def __init__(self, whole: int = 0) -> None:
        self.head = bytearray()
        self.tail = bytearray()
        self.total = 0
        self.first = bytearray()
        """The first `whole` bytes."""
        self._whole = whole

    def add(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        self.first += data[: self._whole - len(self.first)]
        room = KEPT - len(self.head)
        self.head += data[:room]
        self.tail += data[room:]
        if len(self.tail) > 4 * KEPT:
            del self.tail[:-KEPT]

    def text(self) -> str:
        """Return what is kept, with a line in place of what is not."""
        tail = self.tail[-KEPT:]
        dropped = self.total - len(self.head) - len(tail)
        between = f"\n[{dropped} bytes left out]\n".encode() if dropped else b""
        return bytes(self.head + between + tail).decode("utf-8", "replace")

    def first_line(self) -> str | None:
        """Return the first line without its newline, None if it is not whole yet (a very long one is cut)."""
        line, newline, _ = self.head.partition(b"\n")
        return line.decode("utf-8", "replace") if newline or len(self.head) == KEPT else None


@dataclass(slots=True)
class Exit:
    """How a program ended: an exit status or a signal's number."""

    status: int | None
    signal: int | None
    core: bool
    oom: bool

    @classmethod
    def of(cls, status: int, *, oom: bool) -> Self:
        """Return what a wait status means."""
        if os.WIFSIGNALED(status):
            return cls(None, os.WTERMSIG(status), os.WCOREDUMP(status), oom)
        return cls(os.WEXITSTATUS(status), None, False, oom)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"status": self.status, "signal": self.signal, "core": self.core, "oom": self.oom}


@dataclass(slots=True)
class Running:
    """One program, from its start until it is forgotten. Times are monotonic seconds."""

    handle: int
    spare: Spare
    argv: list[str]
    strace: bool
    started: float
    streams: dict[int, Kept] = field(default_factory=dict)
    stdout: Kept = field(default_factory=Kept)
    stderr: Kept = field(default_factory=Kept)
    exit: Exit | None = None
    ended: float = 0.0
    closed: bool = False

    def seconds(self) -> float:
        """Return how long it has run, or ran."""
        return (self.ended or time.monotonic()) - self.started

    def exit_dict(self) -> dict[str, Any] | None:
        """Return how it ended, None while it runs."""
        return self.exit.as_dict() if self.exit else None
