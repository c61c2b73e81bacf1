"""Where the time goes."""

import asyncio
import time
from collections.abc import Callable

import pytest

from groundup.timing import Span, Timeline


def test_chart(golden: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 102.0)
    timeline = Timeline()
    timeline.roots.append(
        Span(
            "check 02",
            100.0,
            101.2,
            [
                Span("restore", 100.0, 100.11, [Span("agents", 100.08, 100.11)]),
                Span("build", 100.0, 100.08),
                Span("tests", 100.3, 101.15),
            ],
        )
    )
    timeline.add("report", 101.2, 101.21)
    golden("timing", "\n".join(timeline.lines()) + "\n")


def test_spans_nest_and_run_in_parallel() -> None:
    timeline = Timeline()

    async def part(name: str) -> None:
        with timeline.span(name):
            await asyncio.sleep(0)
            with timeline.span(f"in {name}"):
                await asyncio.sleep(0)

    async def whole() -> None:
        with timeline.span("whole"):
            await asyncio.gather(part("a"), part("b"))

    asyncio.run(whole())
    (root,) = timeline.roots
    assert [child.name for child in root.children] == ["a", "b"]
    assert [child.children[0].name for child in root.children] == ["in a", "in b"]
    assert all(span.end is not None for span in [root, *root.children])


def test_a_span_ends_with_an_exception() -> None:
    timeline = Timeline()
    with pytest.raises(ValueError, match="x"), timeline.span("a"):
        raise ValueError("x")
    assert timeline.roots[0].end is not None


def test_a_timeline_that_is_off_keeps_nothing() -> None:
    timeline = Timeline(enabled=False)
    with timeline.span("a"), timeline.span("b"):
        timeline.add("c", 0, 1)
    assert (timeline.roots, timeline.lines()) == ([], [])
