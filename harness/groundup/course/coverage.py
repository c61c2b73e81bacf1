"""The table of what the course as a whole must cover, `chapters/coverage.toml`, and the tests that hold it to that.

    [[row]]
    id = "S2.4"
    what = "ports 0-1023 are privileged"
    tests = ["08 test_privileged_ports", "tests/pair/test_vsock_peers.py::test_echo_and_go"]

A row names tests that exist: a chapter's by its number, or the harness's own by file and name; only graded ones of a
chapter count. A row without tests has a `why = "…"`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from groundup.course.chapter import discover, read_toml
from groundup.course.files import CourseError, read_text
from groundup.paths import CHAPTERS, HARNESS

_KEYS = {"id", "what", "tests", "why"}
_ID = re.compile(r"S[0-9]+\.[0-9]+")
_CHAPTERS_TEST = re.compile(r"(?P<chapter>[0-9]{2}) (?P<test>test_\w+)")
_HARNESS_TEST = re.compile(r"(?P<file>tests/[\w/]+\.py)::(?P<test>test_\w+)")


@dataclass(frozen=True)
class Row:
    """One thing to cover: either `tests` or `why` is empty."""

    id: str
    what: str
    tests: tuple[str, ...]
    why: str


def read_coverage(file: Path = CHAPTERS / "coverage.toml") -> list[Row]:
    """Return the rows. Raises `CourseError` that names the row which is none."""
    table = read_toml(file)
    rows = table.pop("row", None)
    if table or not isinstance(rows, list) or not rows:
        raise CourseError(f"{file}: the table is made of [[row]] rows and nothing else")
    return [_row(f"{file}: row {number}", row) for number, row in enumerate(rows, start=1)]


def check_coverage(root: Path = CHAPTERS, harness: Path = HARNESS) -> Iterator[str]:
    """Yield what is wrong with the table of the course below `root`, one line each. Raises `CourseError`."""
    file = root / "coverage.toml"
    graded = {f"{chapter.label} {test.name}" for chapter in discover(root) for test in chapter.tests if test.graded}
    told: set[str] = set()
    for row in read_coverage(file):
        if row.id in told:
            yield f"{file}: {row.id} is there twice"
        told.add(row.id)
        for name in row.tests:
            if match := _HARNESS_TEST.fullmatch(name):
                if match["test"] not in _functions(harness / match["file"]):
                    yield f"{file}: {row.id}: there is no test {name} in the harness"
            elif not _CHAPTERS_TEST.fullmatch(name):
                yield f"{file}: {row.id}: {name!r} is neither `NN test_name` nor `tests/….py::test_name`"
            elif name not in graded:
                yield f"{file}: {row.id}: {name} is not a graded test"


@cache
def _functions(file: Path) -> frozenset[str]:
    """Return the names of the functions of a test file, none if there is no such file."""
    if not file.is_file():
        return frozenset()
    module = ast.parse(read_text(file), filename=str(file))
    return frozenset(node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _row(where: str, row: object) -> Row:
    if not isinstance(row, Mapping) or row.keys() - _KEYS:
        raise CourseError(f"{where}: the keys are id, what, and tests or why")
    name, what, tests, why = (row.get(key) for key in ("id", "what", "tests", "why"))
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise CourseError(f"{where}: 'id' must be of the form S2.4")
    if not _is_text(what):
        raise CourseError(f"{where}, {name}: 'what' must say what is to be covered")
    if (tests is None) == (why is None):
        raise CourseError(f"{where}, {name}: either 'tests' or 'why', one of them and not both")
    if why is not None and not _is_text(why):
        raise CourseError(f"{where}, {name}: 'why' must be a text, and not an empty one")
    if tests is not None and not (isinstance(tests, list) and tests and all(map(_is_text, tests))):
        raise CourseError(f"{where}, {name}: 'tests' must be a list of tests' names, and not an empty one")
    return Row(name, " ".join(str(what).split()), tuple(tests or ()), " ".join(str(why or "").split()))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
