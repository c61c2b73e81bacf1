"""What a learner sees, against golden files; and that nothing a submission prints can act on the terminal."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from groundup.report import terminal
from groundup.report.terminal import TerminalReport
from groundup.report.text import Style
from groundup.result import ChapterResult

from . import samples

Golden = Callable[[str, str], None]
RUNS = {
    "pass": samples.passing,
    "early-answer": samples.early_answer,
    "byte-diff": samples.byte_diff,
    "hidden": samples.hidden_failure,
    "infra": samples.machinery_failure,
    "build-failure": samples.build_failure,
    "hostile": samples.hostile,
}


def report(result: ChapterResult, style: Style | None = None, *, show_all: bool = False) -> str:
    """Report a run as `check` does: each test as it ends, then the end."""
    stream = io.StringIO()
    shown = TerminalReport(stream, result.number, style=style or Style(), show_all=show_all)
    if result.build is not None:
        shown.build(result.build)
    for test in result.tests if result.built else ():
        shown.started(test.id, hidden=test.hidden)
        shown.finished(test)
    shown.end(result)
    return stream.getvalue()


@pytest.mark.parametrize("name", RUNS)
def test_golden(name: str, golden: Golden) -> None:
    golden(name, report(RUNS[name]()))


def test_golden_narrow_ascii(golden: Golden) -> None:
    golden("byte-diff-narrow-ascii", report(samples.byte_diff(), Style(symbols=False, width=60, encoding="ascii")))


def test_golden_colour(golden: Golden) -> None:
    text = report(samples.early_answer(), Style(colour=True, width=88))
    golden("early-answer-colour", text.replace("\x1b", "<ESC>"))


def test_golden_several_failures(golden: Golden) -> None:
    made = samples.run(
        samples.BYTES,
        {**samples.EARLY, "id": "test_secret_of_the_house"},
        *(samples.skipped(name) for name in samples.NAMES[1:3]),
    )
    golden("several-failures", report(made))
    golden("several-failures-all", report(made, show_all=True))


def test_golden_warnings(golden: Golden) -> None:
    warned = samples.BuildOutcome(True, 0.1, "http-hello.c:3:5: warning: unused variable ‘x’ [-Wunused-variable]\n")
    made = samples.builder(samples.PLAN[:1])
    made.build = warned
    made.event("test_finished", samples.finished(samples.NAMES[0]))
    golden("warnings", report(made.finish(0.9)))


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", RUNS)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    long = {"./groundup check", "./groundup hint", "capture"}
    for line in report(RUNS[name](), Style(width=width)).splitlines():
        prose = not any(words in line for words in long) and " seed " not in line and line[-2:] != " s"
        assert len(line) <= width or not prose, line


@pytest.mark.parametrize("show_all", [False, True])
def test_nothing_hostile_reaches_the_terminal(show_all: bool) -> None:
    text = report(samples.hostile(), show_all=show_all)
    assert all(char.isprintable() for line in text.split("\n") for char in line)
    assert "\\x1b[2J" in text


def test_with_colour_only_its_own_escapes_are_written() -> None:
    text = report(samples.hostile(), Style(colour=True, live=True))
    without = re.sub(r"\x1b\[(\d+(;\d+)*m|2K)", "", text).replace("…\r", "")
    assert all(char.isprintable() for line in without.split("\n") for char in line)


def test_each_line_of_a_pipe_that_speaks_latin1_can_be_written() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1")
    result = samples.hostile()
    shown = TerminalReport(stream, result.number)
    shown.end(result)
    assert raw.getvalue().startswith(b"x 02 test_answers_a_whole_request")


def test_nothing_of_a_hidden_test_is_shown() -> None:
    for show_all in (False, True):
        text = report(samples.hidden_failure(), show_all=show_all)
        assert "SECRET" not in text
        assert "secret" not in text
        assert "moon" not in text
        assert "a hidden test failed" in text


def test_the_command_that_repeats_a_test_can_be_pasted() -> None:
    made = samples.builder([{**samples.PLAN[0], "id": "test_x[a b]"}])
    made.event("test_finished", {**samples.finished("test_x[a b]", "fail")})
    text = report(made.finish(1.0))
    assert f"./groundup check 02 'test_x[a b]' --seed {samples.SEED}\n" in text
    assert "./groundup hint 02 'test_x[a b]'\n" in text


def test_golden_long_chain(golden: Golden) -> None:
    """What many tests share is said once: the cause of those that were not run, and of those that were not judged."""
    plan = [{**samples.PLAN[1], "id": f"test_{n}", "needs": [f"test_{n - 1}"] if n else []} for n in range(9)]
    made = samples.builder([*plan, {**samples.PLAN[3], "id": "test_alone", "hidden": False}])
    made.event("test_finished", {**samples.finished("test_0", "fail", message="it says nothing")})
    for n in range(1, 9):
        made.event("test_finished", samples.skipped(f"test_{n}"))
    made.event("test_finished", {**samples.finished("test_alone"), "score": 5})
    broken = samples.builder(plan)
    broken.problem("the server machine ended")
    golden("long-chain", f"{report(made.finish(1.0))}\n{report(broken.finish(1.0))}")


def test_a_capture_is_named_by_the_shortest_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "build" / "runs" / "20260301-120000-000000001-4711"
    run.mkdir(parents=True)
    last = tmp_path / "build" / "last"
    last.symlink_to(run)
    monkeypatch.setattr(terminal, "LAST_RUN", last)
    (run / "eth0.pcapng").touch()
    monkeypatch.chdir(tmp_path)

    def shown(path: Path) -> str:
        result = samples.run(samples.EARLY).map_tests(lambda test: replace(test, capture=str(path)))
        return report(result)

    assert "  capture    build/last/eth0.pcapng\n" in shown(run / "eth0.pcapng")
    assert "  capture    build/runs/other/eth0.pcapng\n" in shown(run.parent / "other" / "eth0.pcapng")
    assert "  capture    /a/b.pcapng\n" in shown(Path("/a/b.pcapng"))


def test_many_steps_are_thinned_around_the_failed_one() -> None:
    steps = [{"n": n, "actor": "peer", "text": f"sent {n}", "failed": n == 120} for n in range(1, 201)]
    text = report(samples.run(samples.finished(samples.NAMES[0], "fail", steps=steps)))
    assert [f"sent {n}" in text for n in (4, 5, 115, 116, 120, 121, 122, 188, 189)] == [1, 0, 0, 1, 1, 1, 0, 0, 1]
    assert "111 steps left out" in text
    assert "67 steps left out" in text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "colour"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({}, False)],
)
def test_colour_only_where_it_is_wanted(environ: dict[str, str], colour: bool) -> None:
    assert Style.of(Terminal(), environ).colour is colour
    assert Style.of(io.StringIO(), environ).colour is False


def test_a_running_test_is_shown_on_a_terminal_only() -> None:
    stream = io.StringIO()
    shown = TerminalReport(stream, "02", style=Style(live=True))
    shown.started("test_x")
    assert stream.getvalue() == "\x1b[2K· 02 test_x …\r"
    shown.finished(samples.passing().tests[0])
    _, last = stream.getvalue().split("\r")
    assert last.startswith("\x1b[2K✓ 02 test_answers_a_whole_request ")
    quiet = io.StringIO()
    TerminalReport(quiet, "02", style=Style()).started("test_x")
    assert quiet.getvalue() == ""
