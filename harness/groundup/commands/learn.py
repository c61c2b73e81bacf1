"""What a learner uses beside `check`: the starter, hints, and how far they are."""

import argparse
import json
import sys

from groundup import progress
from groundup.course import hints, starter
from groundup.course.chapter import discover, find
from groundup.errors import EXIT_PASSED
from groundup.files import write_atomically
from groundup.paths import ROOT, WORK
from groundup.report.text import Printer, Style, visible, wrap

_GIVEN = WORK / ".hints.json"


def start(options: argparse.Namespace) -> int:
    """Run `groundup start`."""
    chapter = find(options.chapter)
    done = starter.start(chapter, WORK, force=options.force)
    out = Printer(sys.stdout)
    for path in done.backups:
        out.line(f"kept your file as {path.relative_to(ROOT)}")
    for path in done.written:
        out.line(f"wrote {path.relative_to(ROOT)}")
    for path in done.kept:
        out.line(f"left {path.relative_to(ROOT)} as you edited it (--force begins again and keeps a copy)")
    out.line(f"read {(done.directory / 'README.md').relative_to(ROOT)}, then run ./groundup check {chapter.label}")
    return EXIT_PASSED


def hint(options: argparse.Namespace) -> int:
    """Run `groundup hint`: without --level each call gives one level more than the last one for this test."""
    chapter = find(options.chapter)
    test = chapter.test(options.test).name
    given = _given()
    key = f"{chapter.name}/{test}"
    level = options.level or min(given.get(key, 0) + 1, hints.LEVELS)
    out = Printer(sys.stdout)
    out.line(f"{chapter.label} {test}, hint {level} of {hints.LEVELS}")
    for paragraph in hints.hint(chapter, test, level).split("\n\n"):
        out.lines(wrap(" ".join(paragraph.split()), Style.of(sys.stdout).width, "  "))
    if level < hints.LEVELS:
        out.line(f"more: ./groundup hint {chapter.label} {test} --level {level + 1}")
    WORK.mkdir(exist_ok=True)
    given[key] = max(level, given.get(key, 0))
    write_atomically(_GIVEN, (json.dumps(given, indent=1) + "\n").encode())
    return EXIT_PASSED


def _given() -> dict[str, int]:
    """Return the highest level of hint that was given for each test; nothing is lost if the file cannot be read."""
    try:
        given = json.loads(_GIVEN.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return (
        {str(key): value for key, value in given.items() if isinstance(value, int)} if isinstance(given, dict) else {}
    )


def show_progress(_options: argparse.Namespace) -> int:
    """Run `groundup progress`."""
    out = Printer(sys.stdout)
    known = progress.load()
    if known.warning:
        print(f"groundup: {visible(known.warning)}", file=sys.stderr)
    out.lines(progress.progress_lines(known, [chapter.name for chapter in discover()], Style.of(sys.stdout)))
    return EXIT_PASSED
