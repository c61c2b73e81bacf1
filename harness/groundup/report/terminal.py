"""What a learner sees: a line for each test as it ends, then the first failure in full, then the score.

One failure at a time is what a person can act on, and in a ladder of tests the first one is often the cause of the
others; so the rest get a line each, unless `show_all` asks for every one in full.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from groundup.paths import LAST_RUN
from groundup.report.failure import failure_lines
from groundup.report.text import Printer, Style, columns, fit, pad, plural, points_text, visible, visible_lines, wrap
from groundup.result import BuildOutcome, ChapterResult, Outcome, TestResult, redact_hidden

BUILD_LINES = 60
FEW = 3
"""Of tests that say the same, so many get a line each; more are counted in one."""


class TerminalReport:
    """Prints a run as it goes: `build` once it is known, `started` and `finished` for each test, `end` at the end."""

    def __init__(self, stream: TextIO, number: str, *, style: Style | None = None, show_all: bool = False) -> None:
        self.out = Printer(stream, style)
        self.style = self.out.style
        self.number = number
        self.show_all = show_all
        self.said_build = False
        self.said: set[str] = set()

    def build(self, outcome: BuildOutcome) -> None:
        """Show the compiler's words, if it had any, and whether there is a program."""
        self.said_build = True
        lines = visible_lines(outcome.output, most=BUILD_LINES)
        if outcome.ok and not lines:
            return
        if outcome.ok:
            self.out.line(f"{self.style.paint('!', 'yellow')} {self.number} the program built, with warnings:")
        else:
            verdict = self.style.paint("the program did not build", "bold")
            self.out.line(f"{self.style.mark(Outcome.FAIL)} {self.number} {verdict}; the compiler says:")
        self.out.lines(["", *(f"    {fit(line, self.style.width - 4)}" for line in lines)])
        if outcome.ok:
            self.out.line()

    def started(self, test: str, *, hidden: bool = False) -> None:
        """Show on a terminal which test is running."""
        self.out.transient(f"· {self.number} {'a hidden test' if hidden else visible(test)} …")

    def finished(self, test: TestResult) -> None:
        """Show a test's verdict in one line. What was not run is told at the end, when all of it is known."""
        self.said.add(test.id)
        self.out.erase()
        if test.outcome is not Outcome.SKIPPED:
            self.out.line(self._line(redact_hidden(test) if test.hidden else test))

    def pause(self) -> None:
        """Make room for a line on another stream."""
        self.out.erase()

    def end(self, result: ChapterResult) -> None:
        """Show what `finished` was not told, what was not run, the failures and the score."""
        self.out.erase()
        if result.build is not None and not self.said_build:
            self.build(result.build)
        if result.built:
            for test in result.tests:
                if test.id not in self.said:
                    self.finished(test)
        result = result.redacted()
        if result.built:
            self._skipped(result)
        self._failures(result)
        self._unjudged(result)
        self.out.lines(["", self._closing(result)])

    def _line(self, test: TestResult) -> str:
        name = "a hidden test" if test.hidden else visible(test.id)
        score = "–" if test.score is None else points_text(test.score)
        figures = f"{score + '/' + points_text(test.max_score):>8}  {test.seconds:6.2f} s"
        room = self._room() - columns(figures) - 1
        return f"{self._lead(test)} {pad(fit(name, room), room)} {self.style.tint(figures, test.outcome)}"

    def _skipped(self, result: ChapterResult) -> None:
        """Show what was not run: a line for each test, or for each cause where many share it."""
        skipped = [test for test in result.tests if test.outcome is Outcome.SKIPPED]
        hidden = {test.id for test in result.tests if test.hidden}
        for cause, tests in _grouped(skipped, lambda test: test.cause).items():
            needed = "a hidden test" if cause in hidden else visible(cause) or "one that failed"
            lines = [
                f"{'a hidden test' if test.hidden else visible(test.id)}  not run: needs {needed}" for test in tests
            ]
            if len(tests) > FEW:
                lines = [f"{len(tests)} tests were not run: each needs {needed}, or one that does"]
            indent = " " * (self.style.width - self._room())
            for line in lines:
                first, *rest = (self.style.paint(part, "dim") for part in wrap(line, self._room()))
                self.out.lines([f"{self._lead(tests[0])} {first}", *(indent + part for part in rest)])

    def _lead(self, test: TestResult) -> str:
        return f"{self.style.mark(test.outcome)} {self.number}"

    def _room(self) -> int:
        return self.style.width - 3 - len(self.number)

    def _failures(self, result: ChapterResult) -> None:
        failed = [test for test in result.tests if test.outcome is Outcome.FAIL]
        # A hidden failure has nothing to teach: one that has is shown in its place.
        failed.sort(key=lambda test: test.hidden)
        full = failed if self.show_all else failed[:1]
        for test in full:
            self.out.line()
            shown = replace(test, capture=_nearest(test.capture)) if test.capture else test
            self.out.lines(failure_lines(shown, self.number, result.seed, self.style))
        rest = failed[len(full) :]
        if rest:
            self.out.lines(["", f"  {plural(len(rest), 'more test')} failed (--all reports each in full):"])
            self.out.lines(self._brief(test) for test in rest)

    def _brief(self, test: TestResult) -> str:
        name = "a hidden test" if test.hidden else visible(test.id)
        message = "" if test.hidden else visible(test.message)
        return f"    {self.style.mark(Outcome.FAIL)} {fit(f'{name}  {message}', self.style.width - 6)}"

    def _unjudged(self, result: ChapterResult) -> None:
        """Say what the machinery failed to do, and that it costs the learner nothing."""
        if result.complete:
            return
        lines = [visible(problem) for problem in result.problems]
        infra = [test for test in result.tests if test.outcome is Outcome.INFRA]
        for message, tests in _grouped(infra, lambda test: test.message).items():
            names = [f"{len(tests)} tests"]
            if len(tests) <= FEW:
                names = ["a hidden test" if test.hidden else visible(test.id) for test in tests]
            lines += [f"{name}: {visible(message)}" for name in names]
        self.out.line()
        for line in lines:
            first, *rest = wrap(line, self.style.width, "  ")
            self.out.lines([f"{self.style.mark(Outcome.INFRA)} {first.lstrip()}", *rest])
        meaning = (
            "This is a failure of the machinery, not of your program. It costs no points, and no mark is taken from "
            "this run. Run it again; `./groundup doctor` looks for the cause."
        )
        self.out.lines(["", *wrap(meaning, self.style.width, "  ")])

    def _closing(self, result: ChapterResult) -> str:
        if not result.built and result.complete:
            counts = "nothing was tested"
        else:
            words = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.SKIPPED: "skipped", Outcome.INFRA: "infra"}
            counts = ", ".join(f"{count} {words[outcome]}" for outcome, count in result.outcomes.items())
        score = f"{points_text(result.judged_score)} of {plural(result.max_score, 'point')}"
        if not result.complete:
            unjudged = result.max_score - result.judged_max_score
            score = f"{score} so far, {points_text(unjudged)} not judged" if result.tests else "not judged"
        verdict = Outcome.INFRA if not result.complete else Outcome.PASS if result.passed else Outcome.FAIL
        name = self.style.paint(visible(result.chapter.replace("-", " ", 1)), "bold")
        return f"{name}   {self.style.tint(score, verdict)}   {counts}   {result.seconds:.2f} s   seed {result.seed}"


def _grouped(tests: Iterable[TestResult], key: Callable[[TestResult], str]) -> dict[str, list[TestResult]]:
    """Return the tests by `key`, in their order."""
    groups: dict[str, list[TestResult]] = {}
    for test in tests:
        groups.setdefault(key(test), []).append(test)
    return groups


def _nearest(path: str) -> str:
    """Return a path as it is shortest from here: through `build/last` where that leads to it, relative or absolute."""
    run = LAST_RUN.resolve()
    ways = [Path(path), *([LAST_RUN / Path(path).relative_to(run)] if Path(path).is_relative_to(run) else [])]
    return min((name for way in ways for name in (str(way), os.path.relpath(way))), key=len)
