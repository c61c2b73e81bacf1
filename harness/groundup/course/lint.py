"""What must hold for every chapter and can be seen without running anything.

Code in a lesson that claims to be the chapter's is held to it. A fence's info string says what it is:

    ```c listen.c            an excerpt of the solution, marks left out
    ```c listen.c starter    an excerpt of what the learner begins with
    ```c                     code of its own: not checked

An excerpt must be found in that file with every run of white space taken as one space. A line of nothing but `…`, alone
or in a comment, stands for what was left out; the pieces around it must be found in their order.
"""

import graphlib
import re
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError, read_text
from groundup.course.hints import read_hints
from groundup.course.mutants import mutated_files, parse_mutant
from groundup.course.requirements import check_requirements
from groundup.course.starter import regions, solution_text, starter_text

MIN_MUTANTS = 10

_FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)$")
_INLINE_CODE = re.compile(r"(`+).+?\1", re.DOTALL)
_LINK = re.compile(
    r"!?\[[^\]]*\]\(\s*<?(?P<target>[^)>\s]+)>?(?:\s+[\"'(][^)]*)?\)|^ {0,3}\[[^\]]+\]:\s*<?(?P<reference>[^>\s]+)",
    re.MULTILINE,
)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<text>.+?)\s*#*$", re.MULTILINE)
_LEFT_OUT = re.compile(r"^\s*(?:/\*\s*)?(?:…|\.\.\.)(?:\s*\*/)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class _Fence:
    """A fenced block of a lesson: the line from 1 of its opening, its info string and its text."""

    line: int
    info: str
    text: str


def check_chapter(chapter: Chapter) -> list[str]:
    """Return what is wrong with a chapter, one line each that names the file; an empty list if all is well."""
    checks = (_tests, _source, _hints, _mutants, check_requirements, _readme)
    # What several checks stumble over is told once.
    return list(dict.fromkeys(problem for check in checks for problem in _collect(check, chapter)))


def _collect(check: Callable[[Chapter], Iterator[str]], chapter: Chapter) -> Iterator[str]:
    """Yield a check's problems; a `CourseError` that ends it is its last one."""
    try:
        yield from check(chapter)
    except CourseError as error:
        yield error.message


def _tests(chapter: Chapter) -> Iterator[str]:
    if chapter.max_score <= 0:
        yield f"{chapter.tests_directory}: no test gives points"
    names = {test.name for test in chapter.tests}
    for test in chapter.tests:
        where = f"{test.file}:{test.line}: {test.name}"
        if not test.title:
            yield f"{where} has no docstring: it is what a learner reads when the test fails"
        for needed in test.needs:
            if needed not in names:
                yield f"{where} needs {needed}, which does not exist"
    try:
        graphlib.TopologicalSorter({test.name: test.needs for test in chapter.tests}).prepare()
    except graphlib.CycleError as error:
        yield f"{chapter.tests_directory}: tests need each other in a circle: {' → '.join(error.args[1])}"


def _source(chapter: Chapter) -> Iterator[str]:
    found = [regions(read_text(path), str(path)) for path in chapter.files]
    if not any(found):
        yield f"{chapter.source}: no marked region, so the starter is the solution"


def _hints(chapter: Chapter) -> Iterator[str]:
    hints = read_hints(chapter)
    for test in chapter.tests:
        if test.graded and test.name not in hints:
            yield f"{chapter.hints_file}: no hints for {test.name}"
    for name in sorted(hints.keys() - {test.name for test in chapter.tests}):
        yield f"{chapter.hints_file}: hints for {name}, which does not exist"


def _mutants(chapter: Chapter) -> Iterator[str]:
    paths = sorted(chapter.mutants_directory.glob("*.patch"))
    if len(paths) < MIN_MUTANTS:
        yield f"{chapter.mutants_directory}: {len(paths)} mutants, fewer than {MIN_MUTANTS}"
    graded = {test.name for test in chapter.tests if test.graded}
    for path in paths:
        try:
            mutant = parse_mutant(path)
            mutated_files(chapter, mutant)
        except CourseError as error:
            yield error.message
            continue
        if mutant.killed_by not in graded:
            yield f"{path}: killed-by: {mutant.killed_by} is not a graded test of the chapter"


def _readme(chapter: Chapter) -> Iterator[str]:
    text = read_text(chapter.readme)
    for fence in _fences(text):
        yield from _excerpt(chapter, fence)
    prose = _INLINE_CODE.sub(lambda match: "\n" * match[0].count("\n"), _without_fences(text))
    for match in _LINK.finditer(prose):
        target = match["target"] or match["reference"]
        line = prose.count("\n", 0, match.start()) + 1
        if complaint := _link(chapter.readme, target):
            yield f"{chapter.readme}:{line}: {complaint}"


def _fences(text: str) -> Iterator[_Fence]:
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        at += 1
        if not opening:
            continue
        begin = at
        while at < len(lines) and not re.fullmatch(
            rf" {{0,3}}{opening['fence'][0]}{{{len(opening['fence'])},}}\s*", lines[at]
        ):
            at += 1
        yield _Fence(begin, opening["info"].strip(), "\n".join(lines[begin:at]))
        at += 1


def _without_fences(text: str) -> str:
    """Return a Markdown text with its code blocks blanked out and its line numbers kept."""
    lines = text.splitlines()
    for fence in _fences(text):
        for at in range(fence.line - 1, min(fence.line + fence.text.count("\n") + 2, len(lines))):
            lines[at] = ""
    return "\n".join(lines)


def _excerpt(chapter: Chapter, fence: _Fence) -> Iterator[str]:
    language, _, claim = fence.info.partition(" ")
    if language != "c" or not claim.strip():
        return
    where = f"{chapter.readme}:{fence.line}"
    name, _, kind = claim.strip().partition(" ")
    path = next((path for path in (*chapter.files, *chapter.given) if path.name == name), None)
    if path is None or kind.strip() not in ("", "starter"):
        yield f"{where}: the code claims to be {claim.strip()!r}, which the chapter does not have"
        return
    view = starter_text if kind else solution_text
    source = _one_line(view(read_text(path), str(path)))
    at = 0
    for piece in filter(None, map(_one_line, _LEFT_OUT.split(fence.text))):
        found = source.find(piece, at)
        if found < 0:
            yield f"{where}: not in {name}{' (starter)' if kind else ''}: {piece[:60]}{'…' if len(piece) > 60 else ''}"
            return
        at = found + len(piece)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _link(readme: Path, target: str) -> str:
    """Return what is wrong with a link's target, an empty text for one that leads somewhere or off this machine."""
    parts = urllib.parse.urlsplit(target)
    if parts.scheme or parts.netloc:
        return ""
    path = readme.parent / urllib.parse.unquote(parts.path) if parts.path else readme
    if not path.exists():
        return f"the link leads nowhere: {target}"
    if parts.fragment and path.suffix == ".md" and parts.fragment not in _anchors(read_text(path)):
        return f"there is no such heading: {target}"
    return ""


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a text's headings."""
    prose = _without_fences(text)
    prose = _without_fences(text)
    titles = [re.sub(r"[^\w\- ]", "", match["text"].lower()).replace(" ", "-") for match in _HEADING.finditer(prose)]
    return {title if n == 0 else f"{title}-{n}" for i, title in enumerate(titles) for n in [titles[:i].count(title)]}
