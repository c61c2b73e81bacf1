"""Hostile submissions get the verdict that they deserve, in bounded time, and leave nothing behind."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from groundup.build import SandboxError
from groundup.course.chapter import find
from groundup.result import Outcome

from .conftest import Grade, children

HOSTILE = Path(__file__).with_name("hostile")
BOUND = 90.0
"""Seconds, of which a learner's machine needs a few: this is for a busy host, not a measurement."""


@dataclass(frozen=True)
class Case:
    """A program, and words that its first failure's message must hold."""

    name: str
    says: str


CASES = [
    Case("fork_bomb", "did not print its ready line"),
    Case("memory_hog", "memory"),  # the kernel ends it, or the time for its ready line is over before: both are said
    Case("disk_filler", "did not print its ready line"),
    Case("endless_output", "first line on stdout is not `listening on ADDRESS`"),
    Case("wire_flood", "Nobody answers at"),
    Case("agent_killer", "Nobody answers at"),
    Case("fake_results", "Nobody answers at"),
    Case("exits_at_once", "exited with status 0 before it was ready"),
    Case("daemon", "exited with status 0"),  # before its ready line or just after: another process prints that
]


@pytest.mark.pair
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_earns_nothing(case: Case, graded: Grade) -> None:
    start = time.monotonic()
    result = graded("01", HOSTILE / f"{case.name}.c")
    assert time.monotonic() - start < BOUND
    assert result.problems == ()
    assert result.runs == 1
    assert result.score == 0
    assert result.outcomes[Outcome.PASS] == result.outcomes[Outcome.INFRA] == 0
    failed = next(test for test in result.tests if test.outcome is Outcome.FAIL)
    assert case.says in failed.message
    assert children() == []


def on_the_link(name: str, directory: Path) -> Path:
    """Make a hostile program a submission for chapter 10: that has several files, and its program has CAP_NET_RAW."""
    submission = directory / "submission"
    submission.mkdir()
    first, *others = find("10").sources
    shutil.copy(HOSTILE / f"{name}.c", submission / first)
    for other in others:
        (submission / other).write_text("/* nothing */\n")
    return submission


@pytest.mark.pair
def test_counters_are_not_taken_away(graded: Grade, tmp_path: Path) -> None:
    result = graded("10", on_the_link("counter_reader", tmp_path))
    assert result.score == 0
    failed = next(test for test in result.tests if test.outcome is Outcome.FAIL)
    assert "exited with status 1" in failed.message
    assert "PACKET_STATISTICS: Operation not permitted" in failed.stderr


@pytest.mark.pair
def test_memory_that_no_cgroup_counts(graded: Grade, tmp_path: Path) -> None:
    """Packet sockets, as many as may be, with queues as long as may be: they fail the tests, and nothing else fails."""
    start = time.monotonic()
    result = graded("10", on_the_link("packet_hog", tmp_path))
    assert time.monotonic() - start < BOUND
    assert result.problems == ()
    assert result.runs == 1
    assert result.score == 0
    assert result.outcomes[Outcome.INFRA] == 0
    assert children() == []


@pytest.mark.pair
def test_no_packet_socket_where_the_chapter_does_not_need_one(graded: Grade) -> None:
    result = graded("01", HOSTILE / "packet_asker.c")
    assert result.score == 0
    failed = next(test for test in result.tests if test.outcome is Outcome.FAIL)
    assert "exited with status 1" in failed.message
    assert "Operation not permitted" in failed.stderr


@pytest.mark.pair
def test_the_snapshot_is_as_it_was(graded: Grade) -> None:
    """What the runs above have done ended with their machines: the files that all pairs begin with are unharmed."""
    assert graded("01", find("01").source).passed


@pytest.mark.pair
@pytest.mark.parametrize("name", ["includes_host_file", "includes_itself"])
def test_is_not_built(name: str, graded: Grade) -> None:
    result = graded("01", HOSTILE / f"{name}.c")
    assert result.build is not None
    assert not result.build.ok
    assert "root:" not in result.build.output
    assert result.score == 0
    assert result.complete
    assert result.max_score == find("01").max_score


# Long strings and few of them: the compiler is out of memory in half a second of its own time.
MEMORY_EATER = f'#define A "{"x" * 4000}"\n'
for _name, _previous in zip("BCDEF", "ABCDE", strict=True):
    MEMORY_EATER += f"#define {_name} {' '.join([_previous] * 10)}\n"
MEMORY_EATER += "const char text[] = F;\nint main(void) { return text[5]; }\n"


@pytest.mark.pair
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#include __FILE__\n#include __FILE__\n", "nested"),
        ('#include "/dev/zero"\n', "more than 256 MiB of memory"),
        (MEMORY_EATER, "more than 256 MiB of memory"),
        ("int large[1 << 26] = {1};\nint main(void) { return large[5]; }\n", "a file grew beyond 64 MiB"),
    ],
    ids=["endless include", "endless file", "memory", "large file"],
)
def test_is_not_built_in_the_server_machine_either(
    text: str, says: str, graded: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where bubblewrap does not run: a slow build is waited for, and what stops it is a verdict, not the machinery."""

    async def cannot(*_arguments: object, **_options: object) -> None:
        raise SandboxError("bubblewrap is not installed")

    monkeypatch.setattr("groundup.grade.build", cannot)
    source = tmp_path / "listen.c"
    source.write_text(text)
    result = graded("01", source)
    assert result.complete
    assert result.runs == 1
    assert result.score == 0
    assert result.build is not None
    assert not result.build.ok
    assert says in result.build.output
    assert children() == []


@pytest.mark.pair
def test_ignoring_sigterm_costs_the_test_of_it(graded: Grade, tmp_path: Path) -> None:
    """A server that is right but for SIGTERM fails what is about SIGTERM, and the others still find it stopped."""
    text = find("01").source.read_text()
    broken = tmp_path / "listen.c"
    wrong = text.replace("sigaction(SIGTERM, &action, NULL)", "(long)signal(SIGTERM, SIG_IGN)")
    assert wrong != text
    broken.write_text(wrong)
    result = graded("01", broken)
    failed = [test.id for test in result.tests if test.outcome is Outcome.FAIL]
    assert failed
    assert all("sigterm" in name or "stop" in name or "end" in name for name in failed), failed
    assert result.outcomes[Outcome.INFRA] == 0
    assert result.outcomes[Outcome.PASS] > len(result.tests) / 2
