"""The proof of a chapter: what is found about each run is what the table and the complaints say."""

from dataclasses import replace

import pytest

from groundup.commands.verify import Verifier
from groundup.course.chapter import find
from groundup.report.scoreboard import Proof
from groundup.result import BuildOutcome, ChapterResult, Outcome, TestResult

CHAPTER = find("01")


def result(outcome: Outcome, *failed: str, build: BuildOutcome | None = None) -> ChapterResult:
    """A run in which all tests ended in one way but for those that failed."""
    outcomes = {test.name: Outcome.FAIL if test.name in failed else outcome for test in CHAPTER.tests}
    tests = tuple(TestResult(name, "", outcome, 0, 1, message="m") for name, outcome in outcomes.items())
    return ChapterResult(CHAPTER.name, 7, tests, build=build)


def proof(*runs: ChapterResult) -> Proof:
    """The proof after the solution was run with these results, and the starter has failed every test."""
    told: list[str] = []
    verifier = Verifier(CHAPTER, len(runs), 7, lambda _: None, told.append)
    (starter, starters), *others = verifier.jobs()
    assert {job.seed for job, _ in others} | {starter.seed} == {7}
    starters(result(Outcome.FAIL))
    for (job, take), found in zip(others, runs, strict=False):
        assert job.submission is not None
        take(found)
    proved = verifier.proof()
    assert tuple(dict.fromkeys(told)) == tuple(f"01 {complaint}" for complaint in proved.complaints)
    return proved


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_the_worst_run_of_the_solution_counts(order: tuple[int, ...]) -> None:
    names = [test.name for test in CHAPTER.tests]
    runs = [result(Outcome.PASS), result(Outcome.PASS, *names[:2]), result(Outcome.PASS, names[0])]
    found = proof(*(runs[n] for n in order))
    assert (found.solution_passed, found.solution_tests) == (len(names) - 2, len(names))
    assert (found.runs_clean, found.runs) == (1, 3)
    assert any(line.startswith(f"solution: {names[1]} fail: m") for line in found.complaints)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (BuildOutcome(False, 0.1, ""), "it does not build: the compiler says nothing"),
        (BuildOutcome(False, 0.1, "\nlisten.c:1: error: x\nmore"), "it does not build: listen.c:1: error: x"),
        (BuildOutcome(True, 0.1, "listen.c:1:1: warning: y", 1), "it builds with 1 warning"),
    ],
)
def test_a_solution_that_does_not_build_cleanly_is_a_complaint(build: BuildOutcome, words: str) -> None:
    found = proof(replace(result(Outcome.PASS), build=build))
    assert f"solution: {words} (seed 7)" in found.complaints
    assert not found.holds
