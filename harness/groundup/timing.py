"""Tells where the time of a check goes: named spans, nested and in parallel, on the monotonic clock.

    timeline = Timeline(enabled=args.timing)
    with timeline.span("check"):
        with timeline.span("restore"):
            ...
    print("\n".join(timeline.lines()))

A span that begins inside another is its child, also across asyncio tasks: a task starts with its creator's context.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

CHART = 36
UNMEASURED = 0.02  # a parent's time outside its children is worth a row from this share of the whole on


@dataclass
class Span:
    """A stretch of time: `start` and `end` are seconds of `time.perf_counter`, `end` None while it lasts."""

    name: str
    start: float
    end: float | None = None
    children: list[Span] = field(default_factory=list)

    def until(self, now: float) -> float:
        """Return the end, or `now` while it lasts."""
        return now if self.end is None else self.end


class Timeline:
    """Collects spans. When it is not enabled, `span` costs one call and keeps nothing."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.roots: list[Span] = []
        self._current: ContextVar[Span | None] = ContextVar("span", default=None)
        self._nothing: AbstractContextManager[None] = nullcontext()

    def span(self, name: str) -> AbstractContextManager[object]:
        """Return a context manager whose body is the span `name`, a child of the span it is in."""
        return self._span(name) if self.enabled else self._nothing

    @contextmanager
    def _span(self, name: str) -> Iterator[Span]:
        span = self._attach(Span(name, time.perf_counter()))
        token = self._current.set(span)
        try:
            yield span
        finally:
            span.end = time.perf_counter()
            self._current.reset(token)

    def add(self, name: str, start: float, end: float) -> None:
        """Note a span that was measured elsewhere, in seconds of this process's `time.perf_counter`."""
        if self.enabled:
            self._attach(Span(name, start, end))

    def _attach(self, span: Span) -> Span:
        parent = self._current.get()
        (self.roots if parent is None else parent.children).append(span)
        return span

    def lines(self) -> list[str]:
        """Draw the spans as a table with a chart: duration, share of the whole, and when each ran."""
        if not self.roots:
            return []
        now = time.perf_counter()
        begin = min(span.start for span in self.roots)
        whole = max(max(s.until(now) for _, s in self._walk(self.roots, 0)) - begin, 1e-9)
        rows = [("where the time goes", "seconds", "share", f"0{f'{whole:.2f} s':>{CHART - 1}}")]
        for depth, span in self._walk(self.roots, 0):
            rows.append(_row("  " * depth + span.name, span.start, span.until(now), begin, whole))
            idle = _unmeasured(span, now)
            if span.children and idle >= UNMEASURED * whole:
                rows.append(("  " * (depth + 1) + "(the rest)", f"{idle:.3f}", f"{idle / whole:.0%}", ""))
        width = max(len(row[0]) for row in rows)
        return [f"{name:<{width}}  {seconds:>7}  {share:>5}  {chart}".rstrip() for name, seconds, share, chart in rows]

    def _walk(self, spans: list[Span], depth: int) -> Iterator[tuple[int, Span]]:
        for span in sorted(spans, key=lambda span: span.start):
            yield depth, span
            yield from self._walk(span.children, depth + 1)


def _row(name: str, start: float, end: float, begin: float, whole: float) -> tuple[str, str, str, str]:
    first = min(CHART - 1, int((start - begin) / whole * CHART))
    last = max(first + 1, round((end - begin) / whole * CHART))
    return name, f"{end - start:.3f}", f"{(end - start) / whole:.0%}", " " * first + "█" * (last - first)


def _unmeasured(span: Span, now: float) -> float:
    """Return the seconds of a span in which no child ran; children may overlap each other."""
    covered, reached = 0.0, span.start
    for child in sorted(span.children, key=lambda child: child.start):
        begin, end = max(child.start, reached), min(child.until(now), span.until(now))
        if end > begin:
            covered += end - begin
            reached = end
    return span.until(now) - span.start - covered
