"""The one model of results: what a run of a chapter's tests found. Writers read it, nothing else decides a mark.

What the points mean
    A test that was judged has a score: `pass` its full points, `fail` what it earned of them, `skipped` none (a test
    that it needs failed). A test that the machinery could not judge (`infra`) has no score: None, never 0.
    `max_score` of a chapter always counts every test, so it does not change from run to run. `score` of a chapter is
    None unless the run is `complete`; `judged_score` and `judged_max_score` say how far an incomplete one got.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from groundup.errors import EXIT_FAILED, EXIT_MACHINERY, EXIT_PASSED

SCHEMA = "groundup/result/v1"

Points = int | float


class Outcome(StrEnum):
    """The four things that can become of a test."""

    PASS = "pass"
    FAIL = "fail"
    SKIPPED = "skipped"
    INFRA = "infra"


@dataclass(frozen=True)
class Step:
    """One act or expectation of a test. `text` is what it did, `detail` what was seen; both may have several lines."""

    n: int
    actor: str
    text: str
    detail: str = ""
    failed: bool = False


@dataclass(frozen=True)
class ByteDiff:
    """The bytes that an expectation asked for, and those that came in their place."""

    expected: bytes
    received: bytes

    @property
    def first_difference(self) -> int:
        """Offset of the first byte that differs; the shorter length where one is the beginning of the other."""
        for offset, (expected, received) in enumerate(zip(self.expected, self.received, strict=False)):
            if expected != received:
                return offset
        return min(len(self.expected), len(self.received))


@dataclass(frozen=True)
class TestResult:
    """What became of one test.

    `title` is the first sentence of the test's docstring, `message` one line that names the mistake, `why` one sentence
    of prose about it. `seconds` is the test's duration. `cause` names, for a skipped test, the failed one that it all
    comes from. `diagram` shows the test's packets, and `capture` is the file that they are in. Text may come from a
    hostile program: writers escape it.
    """

    __test__ = False  # pytest must not take the class for a test

    id: str
    title: str
    outcome: Outcome
    score: Points | None
    max_score: Points
    seconds: float = 0.0
    message: str = ""
    why: str = ""
    needs: tuple[str, ...] = ()
    cause: str = ""
    hidden: bool = False
    steps: tuple[Step, ...] = ()
    diff: ByteDiff | None = None
    syscalls: tuple[str, ...] = ()
    stdout: str = ""
    stderr: str = ""
    read: tuple[str, ...] = ()
    diagram: str = ""
    capture: str = ""
    file: str = ""
    line: int = 0

    @property
    def failed_step(self) -> Step | None:
        """The step at which the test failed, if it says so."""
        return next((step for step in self.steps if step.failed), None)


@dataclass(frozen=True)
class BuildOutcome:
    """What the compiler made of a submission: `output` is in its own words, `warnings` counts those among them."""

    ok: bool
    seconds: float
    output: str = ""
    warnings: int = 0


@dataclass(frozen=True)
class PairFacts:
    """What the run's pair of machines was like."""

    accelerator: str
    restore_seconds: float


@dataclass(frozen=True)
class ChapterResult:
    """What one run of one chapter found. `chapter` is the name of its directory, as in `02-http-hello`.

    `build` is None where nothing was built (`--program`), `pair` where no pair came up. `problems` are failures of the
    machinery that belong to no single test, one line each. `selected` names the tests that were asked for, none when
    all were. `points` is the chapter's total where the tests could not be collected. `runs` counts the pairs it took.
    """

    chapter: str
    seed: int
    tests: tuple[TestResult, ...] = ()
    build: BuildOutcome | None = None
    pair: PairFacts | None = None
    seconds: float = 0.0
    problems: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    points: Points = 0
    runs: int = field(default=1)

    @property
    def number(self) -> str:
        """The chapter's number, as in `02`."""
        return self.chapter.partition("-")[0]

    @property
    def slug(self) -> str:
        """The chapter's name without its number, as in `http-hello`."""
        return self.chapter.partition("-")[2]

    @property
    def built(self) -> bool:
        """Whether there was a program to test."""
        return self.build is None or self.build.ok

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many tests ended in each of the four ways."""
        return {outcome: sum(test.outcome is outcome for test in self.tests) for outcome in Outcome}

    @property
    def complete(self) -> bool:
        """Whether every test was judged, so that the score may be recorded."""
        return not self.problems and not self.outcomes[Outcome.INFRA]

    @property
    def max_score(self) -> Points:
        """The points of all tests, judged or not."""
        return total(test.max_score for test in self.tests) if self.tests else self.points

    @property
    def score(self) -> Points | None:
        """The points that were earned, or None while the run is incomplete."""
        return self.judged_score if self.complete else None

    @property
    def judged_score(self) -> Points:
        """The points that were earned in the tests that were judged."""
        return total(test.score for test in self.tests if test.score is not None)

    @property
    def judged_max_score(self) -> Points:
        """The points that the judged tests are worth."""
        return total(test.max_score for test in self.tests if test.score is not None) if self.tests else self.points

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.exit_status == EXIT_PASSED

    @property
    def exit_status(self) -> int:
        """0 all passed, 1 a test failed or nothing was built, 3 the machinery failed (then no mark may be recorded)."""
        if not self.complete:
            return EXIT_MACHINERY
        if self.built and self.tests and all(test.outcome is Outcome.PASS for test in self.tests):
            return EXIT_PASSED
        return EXIT_FAILED

    def map_tests(self, change: Callable[[TestResult], TestResult]) -> ChapterResult:
        """Return a copy with `change` applied to each test, as the host does to add diagrams and captures."""
        return replace(self, tests=tuple(change(test) for test in self.tests))

    def redacted(self) -> ChapterResult:
        """Return a copy that says of hidden tests only what became of them. Every writer writes this copy."""
        hidden = [test.id for test in self.tests if test.hidden]
        alias = {name: f"hidden-{position}" for position, name in enumerate(hidden, start=1)}
        if not alias:
            return self
        selected = tuple(alias.get(name, name) for name in self.selected)
        problems = tuple(_without_names(problem, alias) for problem in self.problems)
        return replace(self.map_tests(lambda test: _redact(test, alias)), selected=selected, problems=problems)


HIDDEN_TITLE = "A hidden test."
_HIDDEN_MESSAGES = {
    Outcome.PASS: "",
    Outcome.FAIL: "a hidden test failed",
    Outcome.SKIPPED: "a hidden test was not run, because a test that it needs failed",
    Outcome.INFRA: "a hidden test was not judged: the machinery failed, not your program",
}


def redact_hidden(test: TestResult, name: str = "hidden") -> TestResult:
    """Return what may be shown of a hidden test under the name `name`: its outcome, points and duration."""
    return TestResult(
        id=name,
        title=HIDDEN_TITLE,
        outcome=test.outcome,
        score=test.score,
        max_score=test.max_score,
        seconds=test.seconds,
        message=_HIDDEN_MESSAGES[test.outcome],
        hidden=True,
    )


def _redact(test: TestResult, alias: dict[str, str]) -> TestResult:
    if test.hidden:
        return redact_hidden(test, alias[test.id])
    needs = tuple(alias.get(need, need) for need in test.needs)
    cause = alias.get(test.cause, test.cause)
    if needs == test.needs and cause == test.cause:
        return test
    return replace(test, needs=needs, cause=cause, message=_without_names(test.message, alias))


def _without_names(text: str, alias: dict[str, str]) -> str:
    """Replace the names of hidden tests, longest first, as one may begin with another."""
    for name in sorted(alias, key=len, reverse=True):
        text = text.replace(name, alias[name])
    return text


def total(points: Iterable[Points]) -> Points:
    """Add points up; a whole number comes out as an int. Rounded, so that ten times 0.1 is 1."""
    return whole(sum(points))


def whole(points: Points) -> Points:
    """Return `points` as an int where it is a whole number, else rounded to what a person reads."""
    rounded = round(points, 6)
    return int(rounded) if rounded == int(rounded) else rounded


@dataclass(frozen=True)
class Skip:
    """What a skipped test is, why in one line, and the failed test that is the cause of it all, if there is one."""

    outcome: Outcome
    message: str
    cause: str = ""


def skip_of(needs: Sequence[str], judged: Iterable[TestResult]) -> Skip:
    """Decide what a skipped test that `needs` others is. `judged` are the tests that were judged before it.

    It deserves to be skipped, without points, only if a test that it needs failed or was itself skipped. If what it
    needs could not be judged, neither can it; and a skip for no reason is the machinery's fault as well. A need may be
    parametrised: `test_x` stands for every `test_x[…]`.
    """
    needed = [test for test in judged if any(test.id == need or test.id.startswith(f"{need}[") for need in needs)]
    culprits = {test.outcome: test for test in reversed(needed)}  # the first of each outcome
    if failed := culprits.get(Outcome.FAIL):
        return Skip(Outcome.SKIPPED, f"not run: it needs {failed.id}, which failed", failed.id)
    if skipped := culprits.get(Outcome.SKIPPED):
        message = f"not run: it needs {skipped.id}, which was not run because {skipped.cause} failed"
        return Skip(Outcome.SKIPPED, message, skipped.cause)
    if unjudged := culprits.get(Outcome.INFRA):
        return Skip(Outcome.INFRA, f"not run: it needs {unjudged.id}, which could not be judged")
    return Skip(Outcome.INFRA, "it was skipped, although no test that it needs failed")


def merge_retry(first: ChapterResult, second: ChapterResult) -> ChapterResult:
    """Return `first` with the tests that it could not judge as `second`, a run on a fresh pair, found them.

    Verdicts of the first run stand: a retry repeats what the machinery broke, and gives nobody a second chance.
    """
    again = {test.id: test for test in second.tests}
    known = {test.id for test in first.tests}
    tests = [again.get(test.id, test) if test.outcome is Outcome.INFRA else test for test in first.tests]
    tests += [test for test in second.tests if test.id not in known]
    return replace(
        first,
        tests=tuple(tests),
        build=second.build or first.build,
        pair=second.pair or first.pair,
        seconds=first.seconds + second.seconds,
        problems=second.problems,
        points=first.points or second.points,
        runs=first.runs + second.runs,
    )
