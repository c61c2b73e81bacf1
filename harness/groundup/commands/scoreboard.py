"""`groundup scoreboard`: the course's own solutions, graded as a submission is."""

import argparse
import asyncio
import sys

from groundup.commands.check import run_job
from groundup.commands.setup import ready
from groundup.course.chapter import discover
from groundup.course.files import CourseError
from groundup.course.submission import read_submission
from groundup.grade import Job
from groundup.paths import CHAPTERS
from groundup.report.scoreboard import scoreboard_lines
from groundup.report.terminal import TerminalReport
from groundup.report.text import Style
from groundup.result import ChapterResult
from groundup.timing import Timeline


async def _grade_all() -> list[ChapterResult]:
    chapters = discover()
    if not chapters:
        raise CourseError(f"{CHAPTERS} holds no chapter")
    await ready()
    results = []
    for chapter in chapters:
        job = Job(chapter, read_submission(chapter, chapter.directory))
        report = TerminalReport(sys.stdout, chapter.label)
        results.append(await run_job(job, report, Timeline(enabled=False)))
        print()
    return results


def run(_options: argparse.Namespace) -> int:
    """Run the command."""
    results = asyncio.run(_grade_all())
    print(*scoreboard_lines(results, Style.of(sys.stdout)), sep="\n")
    return max(result.exit_status for result in results)
