"""`groundup check`: a learner's own work on a chapter, from `work/NN-slug/`."""

import argparse
import asyncio
import sys

from groundup import progress
from groundup.commands.setup import ready
from groundup.course.chapter import Chapter, find
from groundup.course.submission import Submission, read_submission
from groundup.errors import MachineryError, UsageError
from groundup.grade import Job, Observer, grade, new_seed
from groundup.paths import ROOT, WORK
from groundup.report.terminal import TerminalReport
from groundup.report.text import visible
from groundup.result import BuildOutcome, ChapterResult, TestResult
from groundup.runs import new_run, point_last_to
from groundup.timing import Timeline


class Printing(Observer):
    """Shows on the terminal how a job goes."""

    def __init__(self, report: TerminalReport) -> None:
        self._report = report

    def built(self, outcome: BuildOutcome) -> None:
        """Show the compiler's words."""
        self._report.build(outcome)

    def started(self, test: str, *, hidden: bool) -> None:
        """Show which test is running."""
        self._report.started(test, hidden=hidden)

    def finished(self, test: TestResult) -> None:
        """Show the test's verdict."""
        self._report.finished(test)

    def retrying(self, result: ChapterResult) -> None:
        """Say that it takes a second try, and why."""
        self._report.pause()
        cause = next(iter(result.problems), "a test could not be judged")
        print(f"groundup: {visible(cause)}; once more on a fresh pair", file=sys.stderr)


def submission_of(chapter: Chapter) -> Submission:
    """Read the learner's work on `chapter`. Raises UsageError where it was not started."""
    directory = WORK / chapter.name
    if not directory.is_dir():
        raise UsageError(f"there is no {directory.relative_to(ROOT)}/", f"run `./groundup start {chapter.label}` first")
    return read_submission(chapter, directory)


async def run_job(job: Job, report: TerminalReport, timeline: Timeline) -> ChapterResult:
    """Grade `job` with everything shown as it happens."""
    with timeline.span("snapshot looked up"):
        snapshot = await ready()
    with new_run() as directory:
        result = await grade(job, snapshot, directory, Printing(report), timeline)
        point_last_to(directory)
        report.end(result)
    if timeline.enabled:
        print("", *timeline.lines(), sep="\n")
    return result


def record(result: ChapterResult) -> None:
    """Note a result in the learner's progress. If that cannot be done it is said, and the verdict stands."""
    try:
        known = progress.record(result)
    except MachineryError as error:
        print(f"groundup: the progress was not recorded: {error}", file=sys.stderr)
    else:
        if known.warning:
            print(f"groundup: {visible(known.warning)}", file=sys.stderr)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    timeline = Timeline(enabled=options.timing)
    chapter = find(options.chapter)
    select = tuple(chapter.test(name).name for name in options.tests)
    job = Job(chapter, submission_of(chapter), select=select, seed=options.seed or new_seed())
    report = TerminalReport(sys.stdout, chapter.label, show_all=options.all)
    result = asyncio.run(run_job(job, report, timeline))
    record(result)
    return result.exit_status
