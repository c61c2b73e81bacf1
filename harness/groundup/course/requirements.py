"""A chapter's table of requirements: what its RFCs demand, and which tests hold the program to it.

`requirements.toml` is there where a chapter claims to have gone through whole RFCs. It has a row for each demand:

    [[requirement]]
    section = "RFC 9112, section 6.3"
    text = "Both Transfer-Encoding and Content-Length: an error, and the connection is closed"
    tests = ["test_two_lengths"]

A demand that cannot concern the chapter's program has a `why = "…"` in place of `tests`. The check goes both ways: each
row names graded tests, or says why it has none; and a test whose `@read` names a section of an RFC that the table goes
through has a row there, in that section or in one below it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from groundup.course.chapter import Chapter, read_toml
from groundup.course.files import CourseError

_KEYS = {"section", "text", "tests", "why"}
_SECTION = re.compile(r"(?P<rfc>RFC [1-9][0-9]*), section (?P<number>[1-9][0-9]*(\.[1-9][0-9]*)*)")


@dataclass(frozen=True)
class Section:
    """A section of an RFC: `RFC 9112` and (6, 3)."""

    rfc: str
    number: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.rfc}, section {'.'.join(map(str, self.number))}"

    def contains(self, other: "Section") -> bool:
        """Return whether `other` is this section or one below it."""
        return self.rfc == other.rfc and other.number[: len(self.number)] == self.number


@dataclass(frozen=True)
class Requirement:
    """A row: either `tests` or `why` is empty."""

    section: Section
    text: str
    tests: tuple[str, ...]
    why: str


def table_of(chapter: Chapter) -> Path:
    """Return where a chapter's table is, if it has one."""
    return chapter.directory / "requirements.toml"


def parse_section(text: str) -> Section | None:
    """Return the section that `RFC 9112, section 6.3` means, whatever follows it; None if it is none of an RFC."""
    match = _SECTION.match(text)
    return Section(match["rfc"], tuple(map(int, match["number"].split(".")))) if match else None


def read_requirements(chapter: Chapter) -> list[Requirement]:
    """Return the rows of a chapter's table, an empty list if it has none. Raises `CourseError` that names the row."""
    file = table_of(chapter)
    if not file.exists():
        return []
    table = read_toml(file)
    rows = table.pop("requirement", None)
    if table or not isinstance(rows, list) or not rows:
        raise CourseError(f"{file}: a table of requirements is made of [[requirement]] rows and nothing else")
    return [_row(f"{file}: row {number}", row) for number, row in enumerate(rows, start=1)]


def check_requirements(chapter: Chapter) -> Iterator[str]:
    """Yield what is wrong with a chapter's table, if it has one. Raises `CourseError` as `read_requirements` does."""
    rows = read_requirements(chapter)
    graded = {test.name for test in chapter.tests if test.graded}
    told: set[tuple[Section, str]] = set()
    for row in rows:
        where = f"{table_of(chapter)}: {row.section}, {row.text[:50]!r}"
        if (row.section, row.text) in told:
            yield f"{where}: the row is there twice"
        told.add((row.section, row.text))
        for name in row.tests:
            if name not in graded:
                yield f"{where}: {name} is not a graded test of the chapter"
    yield from _reads_without_row(chapter, rows)


def _reads_without_row(chapter: Chapter, rows: list[Requirement]) -> Iterator[str]:
    """Yield the sections to which tests refer and of which the table says nothing, or that they do not concern us."""
    covered = {row.section.rfc for row in rows}
    for test in chapter.tests:
        for section in filter(None, map(parse_section, test.reads)):
            if section.rfc not in covered:
                continue
            found = [row for row in rows if section.contains(row.section)]
            where = f"{test.file}:{test.line}: {test.name} reads {section}"
            if not found:
                yield f"{where}, which has no row in {table_of(chapter).name}"
            elif not any(row.tests for row in found):
                yield f"{where}, of which {table_of(chapter).name} says that it does not apply: {found[0].why}"


def _row(where: str, row: object) -> Requirement:
    if not isinstance(row, Mapping) or row.keys() - _KEYS:
        raise CourseError(f"{where}: the keys are section, text, and tests or why")
    text, why, tests = row.get("text"), row.get("why"), row.get("tests")
    named = row.get("section")
    section = parse_section(named) if isinstance(named, str) else None
    if section is None or str(section) != named:
        raise CourseError(f"{where}: 'section' must be of the form 'RFC 9112, section 6.3'")
    if not _is_text(text):
        raise CourseError(f"{where}, {section}: 'text' must say what is demanded")
    if (tests is None) == (why is None):
        raise CourseError(f"{where}, {section}: either 'tests' or 'why', one of them and not both")
    if why is not None and not _is_text(why):
        raise CourseError(f"{where}, {section}: 'why' must be a text, and not an empty one")
    if tests is not None and not (isinstance(tests, list) and tests and all(map(_is_text, tests))):
        raise CourseError(f"{where}, {section}: 'tests' must be a list of tests' names, and not an empty one")
    return Requirement(section, " ".join(str(text).split()), tuple(tests or ()), " ".join(str(why or "").split()))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
