"""`groundup verify`: the proof that a chapter's tests are good.

The starter fails every graded test, the solution passes all of them as often as it is run, and each mutant is killed by
the test that its header names, with a message that names the mistake.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from groundup.commands.setup import ready
from groundup.course.chapter import Chapter, discover, find
from groundup.course.files import CourseError
from groundup.course.lint import check_chapter
from groundup.course.mutants import Mutant, list_mutants, mutated_files
from groundup.course.starter import starter_files
from groundup.course.submission import Submission, read_submission
from groundup.errors import EXIT_FAILED, EXIT_PASSED
from groundup.grade import Job, grade, new_seed
from groundup.paths import CHAPTERS
from groundup.report.scoreboard import Proof, proof_lines
from groundup.report.text import Printer, Style, plural
from groundup.result import ChapterResult, Outcome, TestResult
from groundup.runs import new_run
from groundup.together import together
from groundup.vm.snapshot import Snapshot

LOG_SECONDS = 60.0


@dataclass
class _Tally:
    """What was found about one chapter so far."""

    starter_failed: int = 0
    solution_passed: int | None = None
    solution_tests: int = 0
    killed: int = 0
    clean: int = 0
    seconds: float = 0.0
    complaints: list[str] = field(default_factory=list)


def _words(test: TestResult) -> str:
    """Return everything that a failed test says about the mistake."""
    step = test.failed_step
    return " ".join([test.message, test.why, *([step.text, step.detail] if step else [])])


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "the compiler says nothing")


class Verifier:
    """Says what is to be graded to prove one chapter, and takes the results.

    `say` is told of each run that is done, `tell` of each complaint as soon as it is known: a proof may take an hour.
    """

    def __init__(
        self, chapter: Chapter, runs: int, seed: int | None, say: Callable[[str], None], tell: Callable[[str], None]
    ) -> None:
        self._chapter = chapter
        self._graded = [test.name for test in chapter.tests if test.graded]
        self._runs = runs
        self._seed = seed
        self._say = say
        self._tell = tell
        self._tally = _Tally()
        self._complain(*check_chapter(chapter))
        self._mutants: Sequence[Mutant] = ()

    def jobs(self) -> list[tuple[Job, Callable[[ChapterResult], None]]]:
        """Return what is to be graded, each with what takes its result."""
        chapter = self._chapter
        starter = {name: text for name, text in starter_files(chapter).items() if name.endswith((".c", ".h"))}
        solution = read_submission(chapter, chapter.directory)
        jobs: list[tuple[Job, Callable[[ChapterResult], None]]] = [
            (Job(chapter, Submission.of_texts(starter), seed=self._new_seed(), independent=True), self._starter)
        ]
        jobs += [(Job(chapter, solution, seed=self._new_seed()), self._solution) for _ in range(self._runs)]
        try:
            self._mutants = list_mutants(chapter)
        except CourseError as error:
            self._complain(error.message)
        for mutant in self._mutants:
            try:
                submission = Submission.of_texts(mutated_files(chapter, mutant))
            except CourseError as error:
                self._complain(error.message)
                continue
            job = Job(chapter, submission, select=(mutant.killed_by,), seed=self._new_seed(), independent=True)
            jobs.append((job, lambda result, mutant=mutant: self._mutant(mutant, result)))  # type: ignore[misc]
        return jobs

    def _complain(self, *complaints: str) -> None:
        self._tally.complaints += complaints
        for complaint in complaints:
            self._tell(f"{self._chapter.label} {complaint}")

    def _new_seed(self) -> int:
        return self._seed or new_seed()

    def _take(self, what: str, result: ChapterResult) -> bool:
        """Note a result; complain, and return False, if the machinery or the compiler failed."""
        self._tally.seconds += result.seconds
        problems = list(result.problems)
        problems += [f"{test.id}: {test.message}" for test in result.tests if test.outcome is Outcome.INFRA]
        if result.build is not None and not result.build.ok:
            problems.append(f"it does not build: {_first_line(result.build.output)}")
        if result.build is not None and result.build.warnings:
            problems.append(f"it builds with {plural(result.build.warnings, 'warning')}")
        self._complain(*(f"{what}: {problem} (seed {result.seed})" for problem in problems))
        self._say(what)
        return not problems

    def _starter(self, result: ChapterResult) -> None:
        if self._take("starter", result):
            failed = {test.id for test in result.tests if test.outcome is Outcome.FAIL}
            self._tally.starter_failed = len(failed & set(self._graded))
            missing = [name for name in self._graded if name not in failed]
            self._complain(*(f"starter: {name} does not fail (seed {result.seed})" for name in missing))

    def _solution(self, result: ChapterResult) -> None:
        if not self._take("solution", result):
            return
        passed = sum(test.outcome is Outcome.PASS for test in result.tests)
        self._tally.solution_tests = len(result.tests)
        worst = self._tally.solution_passed
        self._tally.solution_passed = passed if worst is None else min(passed, worst)
        self._tally.clean += result.passed
        self._complain(
            *(
                f"solution: {test.id} {test.outcome}: {_words(test)} (seed {result.seed})"
                for test in result.tests
                if test.outcome is not Outcome.PASS
            )
        )

    def _mutant(self, mutant: Mutant, result: ChapterResult) -> None:
        what = f"mutant {mutant.name}"
        if not self._take(what, result):
            return
        test = next((test for test in result.tests if test.id == mutant.killed_by), None)
        if test is None or test.outcome is not Outcome.FAIL:
            self._complain(f"{what} lives: {mutant.killed_by} does not fail (seed {result.seed})")
        elif not mutant.named_by(_words(test)):
            self._complain(f"{what}: the message does not name the mistake: {_words(test)}")
        else:
            self._tally.killed += 1

    def proof(self) -> Proof:
        """Return what was found."""
        tally = self._tally
        return Proof(
            chapter=self._chapter.name,
            starter_failed=tally.starter_failed,
            starter_tests=len(self._graded),
            solution_passed=tally.solution_passed or 0,
            solution_tests=tally.solution_tests or len(self._chapter.tests),
            mutants_killed=tally.killed,
            mutants=len(self._mutants),
            runs_clean=tally.clean,
            runs=self._runs,
            seconds=tally.seconds,
            complaints=tuple(dict.fromkeys(tally.complaints)),
        )


async def _grade(job: Job, snapshot: Snapshot) -> ChapterResult:
    with new_run() as directory:
        return await grade(job, snapshot, directory)


class _Progress:
    """Shows how far it is: on a terminal after each run, in a log once in a while, so that it can be seen to live."""

    def __init__(self) -> None:
        self.runs = 0
        self._out = Printer(sys.stderr)
        self._done = 0
        self._start = self._said = time.monotonic()

    def __call__(self, what: str) -> None:
        """Count a run that is done."""
        self._done += 1
        now = time.monotonic()
        line = f"{self._done} of {self.runs} runs, {now - self._start:.0f} s: {what}"
        if self._out.style.live:
            self._out.transient(line)
        elif now - self._said >= LOG_SECONDS:
            self._out.line(line)
            self._said = now

    def complain(self, what: str) -> None:
        """Show what is wrong with a proof, to stay."""
        self._out.erase()
        self._out.line(f"✗ {what}")

    def end(self) -> None:
        """Take the line back."""
        self._out.erase()


async def _verify(chapters: list[Chapter], runs: int, seed: int | None, at_once: int) -> list[Proof]:
    snapshot = await ready()
    say = _Progress()
    verifiers = [Verifier(chapter, runs, seed, say, say.complain) for chapter in chapters]
    work = [item for verifier in verifiers for item in verifier.jobs()]
    say.runs = len(work)
    waiting = iter(work)

    async def worker() -> None:
        for job, take in waiting:
            take(await _grade(job, snapshot))

    await together(*(worker() for _ in range(at_once)))
    say.end()
    return [verifier.proof() for verifier in verifiers]


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    chapters = [find(name) for name in options.chapters] or discover()
    if not chapters:
        raise CourseError(f"{CHAPTERS} holds no chapter")
    at_once = options.jobs or max(1, (os.cpu_count() or 1) // 2)
    start = time.monotonic()
    proofs = asyncio.run(_verify(chapters, options.runs, options.seed, at_once))
    out = Printer(sys.stdout)
    out.lines(proof_lines(proofs, Style.of(sys.stdout)))
    held = sum(proof.holds for proof in proofs)
    out.line(f"verify: {held} passed, {len(proofs) - held} failed, in {time.monotonic() - start:.0f} s")
    return EXIT_PASSED if held == len(proofs) else EXIT_FAILED
