"""`groundup grade`: one submission, unattended, with the result in files."""

import argparse
import asyncio
import sys

from groundup.commands.check import run_job
from groundup.course.chapter import find
from groundup.course.program import accept_program
from groundup.course.submission import read_submission
from groundup.errors import MachineryError, UsageError
from groundup.grade import Job, failed, new_seed
from groundup.report import json_writer, junit
from groundup.report.terminal import TerminalReport
from groundup.result import ChapterResult
from groundup.timing import Timeline


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    chapter = find(options.chapter)
    if (options.path is None) == (options.program is None):
        raise UsageError("give a submission's PATH or --program FILE, one of the two", "see `./groundup grade --help`")
    submission = read_submission(chapter, options.path) if options.path else None
    program = accept_program(options.program) if options.program else None
    job = Job(chapter, submission, program, seed=options.seed or new_seed())
    report = TerminalReport(sys.stdout, chapter.label, show_all=options.all)
    try:
        result = asyncio.run(run_job(job, report, Timeline(enabled=options.timing)))
    except MachineryError as error:
        # Whoever reads the files has to find out that nothing was judged, and why.
        _write(failed(job, error), options)
        raise
    _write(result, options)
    return result.exit_status


def _write(result: ChapterResult, options: argparse.Namespace) -> None:
    if options.json:
        json_writer.write(result, options.json)
    if options.junit:
        junit.write(result, options.junit)
