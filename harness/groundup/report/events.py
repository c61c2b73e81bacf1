"""Makes a result out of the events that the client machine sends while it runs a chapter's tests.

The events come out of a guest, so each is checked: types, lengths, numbers. One that is malformed never becomes a
verdict. If it says which test it is about, that test is `infra`; if not, it is a problem of the whole run.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import cast

from groundup.result import (
    BuildOutcome,
    ByteDiff,
    ChapterResult,
    Outcome,
    PairFacts,
    Points,
    Step,
    TestResult,
    skip_of,
    whole,
)

MAX_TESTS = 500
MAX_PROBLEMS = 20
MAX_POINTS = 10_000
MAX_NEEDS = 50
MAX_READ = 20
MAX_LINE = 1_000
MAX_PROSE = 4_000
MAX_STREAM = 72 * 1024  # the agent keeps the first and the last 32 KiB of each stream
MAX_DIFF = 2 * 1024 * 1024
MAX_SYSCALLS = 400
KEPT_FIRST_STEPS = 40
KEPT_LAST_STEPS = 160

_TEST_ID = re.compile(r"test_\w{1,120}(\[[ -Z\\^-~]{0,100}\])?", re.ASCII)
_SURROGATES = re.compile("[\ud800-\udfff]")  # JSON can carry them, UTF-8 cannot


class MalformedError(ValueError):
    """An event does not have the shape that the protocol gives it; says which member and what is wrong with it."""


@dataclass(frozen=True)
class PlannedTest:
    """A test as `collected` announces it."""

    id: str
    title: str
    max_score: Points
    needs: tuple[str, ...] = ()
    hidden: bool = False
    file: str = ""
    line: int = 0

    def judged(self, outcome: Outcome, message: str, why: str = "") -> TestResult:
        """Return a result for a test of which nothing but the outcome is known."""
        score = None if outcome is Outcome.INFRA else self.max_score if outcome is Outcome.PASS else 0
        return TestResult(
            id=self.id,
            title=self.title,
            outcome=outcome,
            score=score,
            max_score=self.max_score,
            message=message,
            why=why,
            needs=self.needs,
            hidden=self.hidden,
            file=self.file,
            line=self.line,
        )


class ResultBuilder:
    """Collects events, and what the host knows itself, into a ChapterResult.

    Set `build` and `pair` when they are known. `points` is the chapter's total, for a run that never came to collect
    tests; `selected` the tests that were asked for.
    """

    def __init__(self, chapter: str, seed: int, *, selected: tuple[str, ...] = (), points: Points = 0) -> None:
        self.chapter = chapter
        self.seed = seed
        self.selected = selected
        self.points = points
        self.build: BuildOutcome | None = None
        self.pair: PairFacts | None = None
        self.planned: dict[str, PlannedTest] = {}
        self.results: dict[str, TestResult] = {}
        self.problems: list[str] = []
        self.running: str | None = None

    def event(self, method: str, params: object) -> TestResult | None:
        """Take one notification. Return the test's result if it judged one. Never raises over its content."""
        handler = {
            "collected": self._collected,
            "test_started": self._started,
            "test_finished": self._finished,
            "log": self._logged,
        }.get(method)
        if handler is None:
            self.problem(f"the client machine sent an event that does not exist: `{clean(str(method), 40)}`")
            return None
        try:
            return handler(_object(params, "params"))
        except MalformedError as error:
            self.problem(f"the client machine sent a malformed event `{method}`: {error}")
            return None

    def plan(self, tests: list[PlannedTest]) -> None:
        """Announce tests that the host knows of by itself, as after a failed build."""
        self.planned.update((test.id, test) for test in tests)

    def problem(self, message: str) -> None:
        """Note, in one line, a failure of the machinery that belongs to no single test. The run is then incomplete.

        One that repeats what an earlier one says takes its place: a run that ends early often quotes why.
        """
        self.problems = [known for known in self.problems if known not in message]
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(message)

    def finish(self, seconds: float) -> ChapterResult:
        """Close the run, which took `seconds`. What was not reported is `infra`, or `skipped` after a failed build."""
        if self.build is not None and not self.build.ok:
            self._conclude(Outcome.SKIPPED, "not run: the program did not build")
        elif not self.planned and not self.problems:
            self.problem("the run ended before any test was collected")
        self._conclude(Outcome.INFRA, "the run ended before its result came")
        return ChapterResult(
            chapter=self.chapter,
            seed=self.seed,
            tests=tuple(self.results[name] for name in self.planned),
            build=self.build,
            pair=self.pair,
            seconds=seconds,
            problems=tuple(self.problems),
            selected=self.selected,
            points=self.points,
        )

    def _conclude(self, outcome: Outcome, message: str) -> None:
        """Judge the tests that were collected but not reported."""
        for name, test in self.planned.items():
            if name not in self.results:
                self._judge(test.judged(outcome, message))

    def _judge(self, result: TestResult) -> TestResult:
        self.results[result.id] = result
        if self.running == result.id:
            self.running = None
        return result

    def _collected(self, params: dict[str, object]) -> None:
        if self.planned:
            raise MalformedError("tests were collected twice")
        tests = [_planned(item) for item in _list(params, "tests", MAX_TESTS)]
        if len({test.id for test in tests}) != len(tests):
            raise MalformedError("two tests have one id")
        self.plan(tests)

    def _started(self, params: dict[str, object]) -> None:
        test = self._known(params)
        if test.id not in self.results:
            self.running = test.id

    def _finished(self, params: dict[str, object]) -> TestResult:
        test = self._known(params)
        if test.id in self.results:
            return self._judge(test.judged(Outcome.INFRA, "its result came twice"))
        try:
            result = _result(test, params)
        except MalformedError as error:
            return self._judge(test.judged(Outcome.INFRA, f"its result came malformed: {error}"))
        if result.outcome is Outcome.SKIPPED:
            skip = skip_of(test.needs, self.results.values())
            result = replace(test.judged(skip.outcome, skip.message), cause=skip.cause, seconds=result.seconds)
        return self._judge(result)

    def _logged(self, params: dict[str, object]) -> None:
        """Take what kept the tests from running, as a test file that cannot be imported: nothing else is logged."""
        self.problem(" ".join(_text(params, "text", MAX_LINE).split()) or "the client machine logged an empty line")

    def _known(self, params: dict[str, object]) -> PlannedTest:
        name = params.get("id")
        test = self.planned.get(name) if isinstance(name, str) else None
        if test is None:
            raise MalformedError("it is about a test that was not collected")
        return test


def clean(text: str, limit: int) -> str:
    """Return text that can be written as UTF-8, cut in the middle where it is longer than `limit` characters."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]} … {len(text) - 2 * half:,} characters left out … {text[-half:]}"
    return _SURROGATES.sub("\ufffd", text)


def _planned(item: object) -> PlannedTest:
    test = _object(item, "a test")
    name = test.get("id")
    if not isinstance(name, str) or not _TEST_ID.fullmatch(name):
        raise MalformedError("a test's id is not one")
    return PlannedTest(
        id=name,
        title=_text(test, "title", MAX_LINE),
        max_score=_points(test, "max_score"),
        needs=tuple(_texts(test, "needs", MAX_NEEDS)),
        hidden=_flag(test, "hidden"),
        file=_text(test, "file", MAX_LINE),
        line=int(_number(test, "line", 0)),
    )


def _result(test: PlannedTest, params: dict[str, object]) -> TestResult:
    try:
        outcome = Outcome(cast(str, params.get("outcome")))
    except ValueError:
        raise MalformedError("outcome is none of pass, fail, skipped, infra") from None
    return replace(
        test.judged(outcome, _text(params, "message", MAX_LINE), _text(params, "why", MAX_PROSE)),
        score=_score(outcome, test, params),
        seconds=_number(params, "seconds", None),
        steps=_steps(params),
        diff=_diff(params.get("diff")),
        syscalls=tuple(_texts(params, "syscalls", None)[-MAX_SYSCALLS:]),
        stdout=_text(params, "stdout", MAX_STREAM),
        stderr=_text(params, "stderr", MAX_STREAM),
        read=tuple(_texts(params, "read", MAX_READ)),
    )


def _score(outcome: Outcome, test: PlannedTest, params: dict[str, object]) -> Points | None:
    """Check the reported score against the outcome: only a failed test may have a part of its points."""
    if outcome is Outcome.INFRA:
        return None
    score = _points(params, "score")
    lowest, highest = {
        Outcome.PASS: (test.max_score, test.max_score),
        Outcome.FAIL: (0, test.max_score),
        Outcome.SKIPPED: (0, 0),
    }[outcome]
    if not lowest <= score <= highest:
        raise MalformedError(f"score {score} does not go with outcome {outcome} of {test.max_score} points")
    return score


def _steps(params: dict[str, object]) -> tuple[Step, ...]:
    """Read the steps; of a test with very many keep the first ones, the last ones and the one that failed."""
    items = [_object(item, "a step") for item in _list(params, "steps", None)]
    last = len(items) - KEPT_LAST_STEPS
    kept = [item for i, item in enumerate(items) if i < KEPT_FIRST_STEPS or i >= last or item.get("failed") is True]
    return tuple(_step(item) for item in kept[: 2 * (KEPT_FIRST_STEPS + KEPT_LAST_STEPS)])


def _step(step: dict[str, object]) -> Step:
    return Step(
        n=int(_number(step, "n", None)),
        actor=_text(step, "actor", 40),
        text=_text(step, "text", MAX_PROSE),
        detail=_text(step, "detail", MAX_PROSE),
        failed=_flag(step, "failed"),
    )


def _diff(value: object) -> ByteDiff | None:
    """Read `{"expected": HEX, "received": HEX}`; bytes beyond a limit are cut off."""
    if value is None:
        return None
    diff = _object(value, "diff")
    try:
        expected, received = (bytes.fromhex(cast(str, diff.get(key))) for key in ("expected", "received"))
    except (TypeError, ValueError):
        raise MalformedError("diff is not two strings of hexadecimal digits") from None
    return ByteDiff(expected[:MAX_DIFF], received[:MAX_DIFF])


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not an object")
    return cast(dict[str, object], value)


def _list(holder: dict[str, object], key: str, limit: int | None) -> list[object]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{key} is not a list")
    if limit is not None and len(value) > limit:
        raise MalformedError(f"{key} has {len(value)} elements, more than {limit}")
    return value


def _text(holder: dict[str, object], key: str, limit: int) -> str:
    value = holder.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{key} is not text")
    return clean(value, limit)


def _texts(holder: dict[str, object], key: str, limit: int | None) -> list[str]:
    values = _list(holder, key, limit)
    if not all(isinstance(value, str) for value in values):
        raise MalformedError(f"{key} is not a list of text")
    return [clean(cast(str, value), MAX_LINE) for value in values]


def _flag(holder: dict[str, object], key: str) -> bool:
    value = holder.get(key, False)
    if not isinstance(value, bool):
        raise MalformedError(f"{key} is neither true nor false")
    return value


def _number(holder: dict[str, object], key: str, default: float | None) -> float:
    """Return a finite number that is not negative; `bool` is an int to Python and refused here."""
    value = holder.get(key, default)
    # A JSON integer may be too large for a float, which math.isfinite refuses with an OverflowError.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value < 1e15
        or not math.isfinite(value)
    ):
        raise MalformedError(f"{key} is not a number that makes sense")
    return float(value)


def _points(holder: dict[str, object], key: str) -> Points:
    value = _number(holder, key, None)
    if value > MAX_POINTS:
        raise MalformedError(f"{key} is more than {MAX_POINTS}")
    return whole(value)
