"""Watching: a save is tested at once, what failed last comes first, and nothing but Ctrl-C ends it."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from groundup.commands import watch
from groundup.course.chapter import find
from groundup.course.mutants import list_mutants, mutated_files
from groundup.errors import MachineryError

from .conftest import Run, Terminal, tool

CHAPTER = find("01")
FAILS = "test_stops_when_told"
IN_BETWEEN = "test_listens_on_the_port_asked_for"


def mutant(name: str) -> str:
    (found,) = (mutant for mutant in list_mutants(CHAPTER) if mutant.name == name)
    return mutated_files(CHAPTER, found)[CHAPTER.sources[0]]


def next_run(terminal: Terminal) -> str:
    """Wait until the tool waits for the next save, and return what it has said since it last did."""
    start = terminal.said.rfind(watch.WAITING, 0, terminal.seen) + 1
    terminal.shows(re.escape(watch.WAITING))
    return terminal.said[start : terminal.seen]


@pytest.fixture
def source(checkout: Path) -> Path:
    """The learner's file in the checkout, just started."""
    tool(checkout, "start", "01", "--force")
    return checkout / "work" / CHAPTER.name / CHAPTER.sources[0]


@pytest.mark.pair
def test_a_save_is_tested_and_what_failed_comes_first(run: Run, checkout: Path, source: Path) -> None:
    wrong = mutant("signal-sets-a-flag")
    source.write_text(wrong)
    terminal = run("watch", "01", "--seed", "7")
    terminal.shows(r"✓ 01 test_\w+ ")
    source.write_text(wrong.replace("int main(", "int main (", 1))  # during the run: it is tested after it
    first = next_run(terminal)
    assert first.index(f"✓ 01 {IN_BETWEEN}") < first.index(f"✗ 01 {FAILS}")
    second = next_run(terminal)
    assert second.index(f"✗ 01 {FAILS}") < second.index(f"✓ 01 {IN_BETWEEN}")

    # What does not build has judged nothing: the test that failed before is still what the learner is at.
    source.write_text("int main(void) { return 0 }\n")
    assert "did not build" in next_run(terminal)
    source.write_text(CHAPTER.source.read_text())
    last = next_run(terminal)
    assert last.index(f"✓ 01 {FAILS}") < last.index(f"✓ 01 {IN_BETWEEN}")
    assert "100 of 100 points" in last

    # While the next pair waits, the packets to look at are those of the verdict on the screen.
    assert re.search(r"eth0: [1-9]\d+ packets", tool(checkout, "pcap"))
    assert re.search(r"100/100 +4 attempts, last pass", tool(checkout, "progress"))

    terminal.kills(signal.SIGINT)
    assert terminal.ends() == 0
    assert "Traceback" not in terminal.said


@pytest.mark.pair
def test_watching_what_was_not_started_is_a_usage_error(run: Run) -> None:
    terminal = run("watch", "02")
    terminal.shows("there is no work/02-http-hello/")
    assert terminal.ends() == 2


def test_a_pair_that_cannot_be_restored_ahead_is_left_to_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        async def __aenter__(self) -> None:
            raise MachineryError("the server machine did not start")

    async def wait() -> None:
        async with watch.Waiting(None) as waiting:  # type: ignore[arg-type]
            assert await waiting.pair() is None

    monkeypatch.setattr(watch, "Pair", Broken)
    Broken.__aexit__ = Broken.__aenter__  # type: ignore[attr-defined]
    asyncio.run(wait())
    assert "the server machine did not start; trying again" in capsys.readouterr().err
