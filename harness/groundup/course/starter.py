"""The solution's marked regions: what a learner is given instead of them, and the solution without the marks.

    /* BEGIN SOLUTION */
    …                                       what the chapter teaches
    /* END SOLUTION */
    /* STARTER: return -ENOSYS;  // read until the blank line */

Each mark stands on a line of its own, the starter's comment directly below the region. Its text may span lines; then
it is moved to the depth of the mark, with its lines' depths relative to each other kept. An empty text is allowed.
"""

import itertools
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError, lines_of, read_text
from groundup.errors import UsageError
from groundup.files import write_atomically

_BEGIN = re.compile(r"(?P<indent>[ \t]*)/\* BEGIN SOLUTION \*/[ \t]*")
_END = re.compile(r"[ \t]*/\* END SOLUTION \*/[ \t]*")
_STARTER = re.compile(r"[ \t]*/\* ?STARTER:(?P<text>.*)", re.DOTALL)
# Anything that only resembles a mark is an error: a mark that is not seen would hand out the solution.
_RESEMBLES = re.compile(r"\b(BEGIN|END)[ _-]+SOLUTION\b|/\* *STARTER\b|// *STARTER\b", re.IGNORECASE)


@dataclass(frozen=True)
class Region:
    """A marked region by line numbers from 1: its two marks, the last line of its STARTER comment, and that text."""

    begin: int
    end: int
    last: int
    starter: list[str]


@dataclass
class Started:
    """What `start` did: files written, files left alone because they were edited, and copies made of such files."""

    directory: Path
    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    backups: list[Path] = field(default_factory=list)


def starter_text(text: str, name: str = "source") -> str:
    """Return a solution's source with every marked region replaced by its starter. Errors as for `regions`."""
    lines = lines_of(text)
    for region in reversed(regions(text, name)):
        lines[region.begin - 1 : region.last] = region.starter
    return "".join(line + "\n" for line in lines)


def solution_text(text: str, name: str = "source") -> str:
    """Return a solution's source without marks and starters, for people to read. Errors as for `regions`."""
    lines = lines_of(text)
    for region in reversed(regions(text, name)):
        lines[region.begin - 1 : region.last] = lines[region.begin : region.end - 1]
    return "".join(line + "\n" for line in lines)


def regions(text: str, name: str = "source") -> list[Region]:
    """Return the marked regions of a solution's source in order.

    Raises `CourseError` with `name` and the line for a mark without its counterpart, a region in a region, a missing
    or unfinished STARTER comment, and anything that only resembles a mark.
    """
    lines = lines_of(text)
    found: list[Region] = []
    at = 0
    while at < len(lines):
        if _BEGIN.fullmatch(lines[at]):
            found.append(_region(lines, at, name))
            at = found[-1].last
        elif _RESEMBLES.search(lines[at]):
            raise CourseError(f"{name}:{at + 1}: a mark out of place: {lines[at].strip()}")
        else:
            at += 1
    return found


def _region(lines: list[str], begin: int, name: str) -> Region:
    """Return the region whose first mark is `lines[begin]`."""
    end = begin + 1
    while end < len(lines) and not _END.fullmatch(lines[end]):
        if _RESEMBLES.search(lines[end]):
            raise CourseError(f"{name}:{end + 1}: {lines[end].strip()!r} inside the region begun in line {begin + 1}")
        end += 1
    if end == len(lines):
        raise CourseError(f"{name}:{begin + 1}: BEGIN SOLUTION without END SOLUTION")
    last = end + 1
    if last == len(lines) or not _STARTER.match(lines[last]):
        raise CourseError(f"{name}:{end + 1}: no STARTER comment on the line after END SOLUTION")
    while last < len(lines) and "*/" not in lines[last]:
        last += 1
    if last == len(lines):
        raise CourseError(f"{name}:{end + 2}: the STARTER comment has no end")
    if lines[last].partition("*/")[2].strip():
        raise CourseError(f"{name}:{last + 1}: text after the STARTER comment")
    comment = "\n".join(lines[end + 1 : last + 1]).rpartition("*/")[0]
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    return Region(begin + 1, end + 1, last + 1, _starter_lines(comment, indent))


def _starter_lines(comment: str, indent: str) -> list[str]:
    """Return a STARTER comment's text as lines of code: a first line of its own, the others by their relative depth."""
    first, _, others = comment.partition("STARTER:")[2].partition("\n")
    lines = [first.strip(), *textwrap.dedent(others).rstrip().splitlines()] if others.strip() else [first.strip()]
    if not lines[0]:
        lines = lines[1:]
    return [indent + line.rstrip() if line.strip() else "" for line in lines]


def given_files(chapter: Chapter) -> dict[str, str]:
    """Return what the chapter takes from elsewhere, whole and without marks, by name. Raises `CourseError`."""
    return {path.name: solution_text(read_text(path), str(path)) for path in chapter.given}


def starter_files(chapter: Chapter) -> dict[str, str]:
    """Return what a learner begins with: starter sources and headers, what is given, the lesson. `CourseError`."""
    texts = {path.name: starter_text(read_text(path), str(path)) for path in chapter.files}
    return {**texts, **given_files(chapter), "README.md": read_text(chapter.readme)}


def start(chapter: Chapter, work: Path, *, force: bool = False) -> Started:
    """Put the chapter's starter and lesson into `work/NN-slug/`, and nothing else of the chapter.

    A file that exists and is not what would be written has been edited: it is kept and named in the result. With
    `force` it is replaced, after a copy of it was made beside it (`listen.c.~1~`, `.~2~`, …). Raises `UsageError` if
    there can be no such directory, or what is in it cannot be read, `MachineryError` if a file cannot be written.
    """
    done = Started(work / chapter.name)
    try:
        done.directory.mkdir(parents=True, exist_ok=True)
        for name, text in starter_files(chapter).items():
            _place(done, done.directory / name, text.encode(), force=force)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or done.directory}: {error.strerror}") from error
    return done


def _place(done: Started, path: Path, data: bytes, *, force: bool) -> None:
    present = path.read_bytes() if path.exists() else None
    if present == data:
        return
    if present is not None and not force:
        done.kept.append(path)
        return
    if present is not None:
        backup = next(p for n in itertools.count(1) if not (p := path.with_name(f"{path.name}.~{n}~")).exists())
        write_atomically(backup, present)
        done.backups.append(backup)
    write_atomically(path, data)
    done.written.append(path)
