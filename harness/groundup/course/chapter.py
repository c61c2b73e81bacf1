"""The chapters of the course: `chapters/NN-slug/` with lesson, solution, tests, mutants and hints."""

import difflib
import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

from groundup.course.files import CourseError, read_text
from groundup.course.listing import ChapterTest, list_tests
from groundup.errors import UsageError
from groundup.paths import CHAPTERS
from groundup_guest.confinement import GRANTABLE

_DIRECTORY = re.compile(r"(?P<number>[0-9]{2})-(?P<slug>[a-z0-9]+(-[a-z0-9]+)*)")
_KEYS = {"title", "summary", "program", "sources", "given", "cflags", "limits", "capabilities", "link", "vsock"}
_LINKS = ("eth0", "eth1")


@dataclass(frozen=True)
class Chapter:
    """One chapter, as its directory and its `chapter.toml` describe it.

    `program` is the name under which the program is installed and run (default: the slug). `sources` are the C files
    that make it up, the first of them `SLUG.c` (default: that one alone); headers beside them are found by themselves.
    `given` are files that it takes from elsewhere in the course: what earlier chapters have taught.
    `cflags` are added to the compiler's usual flags. `limits` are the bounds of the running program, as numbers whose
    names are the grader's business. `capabilities` are rights that its program has beyond those of every other, by the
    names of capabilities(7) without CAP_, in small letters. `link` is where its packets pass: a failure shows those.
    With `vsock` a run's machines have a vsock device, which costs a restore 0.2 s.
    """

    directory: Path
    number: int
    slug: str
    title: str
    summary: str
    program: str
    sources: tuple[str, ...]
    given: tuple[Path, ...]
    cflags: tuple[str, ...]
    limits: Mapping[str, int | float]
    capabilities: tuple[str, ...] = ()
    link: str = "eth0"
    vsock: bool = False

    @property
    def label(self) -> str:
        """The number as it is written everywhere: two digits."""
        return f"{self.number:02}"

    @property
    def name(self) -> str:
        """The name of the chapter's directory, and of the learner's: `01-listen`."""
        return f"{self.label}-{self.slug}"

    @property
    def source(self) -> Path:
        """The solution with its markers."""
        return self.directory / self.sources[0]

    @property
    def files(self) -> list[Path]:
        """The solution's sources and the headers beside them: all that is compiled but what is given."""
        return [self.directory / name for name in self.sources] + sorted(self.directory.glob("*.h"))

    @property
    def readme(self) -> Path:
        """The lesson."""
        return self.directory / "README.md"

    @property
    def tests_directory(self) -> Path:
        """Where the tests are; it goes to the client machine whole."""
        return self.directory / "tests"

    @property
    def mutants_directory(self) -> Path:
        """Where the mutants are."""
        return self.directory / "mutants"

    @property
    def hints_file(self) -> Path:
        """Where the hints are."""
        return self.directory / "hints.toml"

    @cached_property
    def tests(self) -> tuple[ChapterTest, ...]:
        """The chapter's tests in order, read once. Raises `CourseError`."""
        return tuple(list_tests(self.tests_directory))

    @property
    def max_score(self) -> float:
        """The sum of all points."""
        return sum(test.points for test in self.tests)

    def test(self, name: str) -> ChapterTest:
        """Return the test called `name`, with or without its `test_`. Raises `UsageError` that names what is close."""
        for test in self.tests:
            if test.name in (name, f"test_{name}"):
                return test
        names = [test.name.removeprefix("test_") for test in self.tests]
        close = difflib.get_close_matches(name.removeprefix("test_"), names)
        remedy = f"did you mean {' or '.join(close)}?" if close else f"its tests: {', '.join(names)}"
        raise UsageError(f"chapter {self.label} has no test {name!r}", remedy)


def discover(root: Path = CHAPTERS) -> list[Chapter]:
    """Return every chapter below `root` in order. Raises `CourseError` if one cannot be read."""
    return [load(directory) for directory in _directories(root)]


def find(text: str, root: Path = CHAPTERS) -> Chapter:
    """Return the chapter that `text` names: its number (`1`, `01`), its slug, or both (`01-listen`).

    Only that chapter is read, so a fault in another one disturbs nobody. Raises `UsageError` that lists what exists.
    """
    for directory in _directories(root):
        label, slug = directory.name.split("-", 1)
        if text in (slug, directory.name) or (text.isdecimal() and int(text) == int(label)):
            return load(directory)
    existing = ", ".join(directory.name.replace("-", " ", 1) for directory in _directories(root))
    raise UsageError(f"there is no chapter {text!r}", f"the chapters: {existing}" if existing else f"{root} holds none")


def load(directory: Path) -> Chapter:
    """Read one chapter's `chapter.toml`. Raises `CourseError` that names the file and the key."""
    match = _DIRECTORY.fullmatch(directory.name)
    if not match:
        raise CourseError(f"{directory} is no chapter: its name is not NN-slug")
    file = directory / "chapter.toml"
    table = read_toml(file)
    if unknown := sorted(table.keys() - _KEYS):
        raise CourseError(f"{file}: unknown key {unknown[0]!r}", "the keys are " + ", ".join(sorted(_KEYS)))
    slug = match["slug"]
    sources = _strings(file, table, "sources") or (f"{slug}.c",)
    if sources[0] != f"{slug}.c" or not all(re.fullmatch(r"\w[\w.-]*\.c", name) for name in sources):
        raise CourseError(f"{file}: 'sources' must be names of C files, the first of them {slug}.c")
    return Chapter(
        directory=directory,
        number=int(match["number"]),
        slug=slug,
        title=_string(file, table, "title"),
        summary=_string(file, table, "summary"),
        program=_string(file, table, "program", default=slug),
        sources=sources,
        given=_given(file, table),
        cflags=_strings(file, table, "cflags"),
        limits=_limits(file, table),
        capabilities=_capabilities(file, table),
        link=_link(file, table),
        vsock=_switch(file, table, "vsock"),
    )


def _capabilities(file: Path, table: Mapping[str, object]) -> tuple[str, ...]:
    found = _strings(file, table, "capabilities")
    if unknown := sorted(set(found) - GRANTABLE.keys()):
        raise CourseError(
            f"{file}: no program may be given the capability {unknown[0]!r}",
            "those that may be given are " + ", ".join(sorted(GRANTABLE)),
        )
    return found


def _link(file: Path, table: Mapping[str, object]) -> str:
    found = _string(file, table, "link", default=_LINKS[0])
    if found not in _LINKS:
        raise CourseError(f"{file}: 'link' must be {' or '.join(_LINKS)}")
    return found


def _given(file: Path, table: Mapping[str, object]) -> tuple[Path, ...]:
    found = tuple((file.parent / name).resolve() for name in _strings(file, table, "given"))
    for path in found:
        if path.suffix not in (".c", ".h") or not path.is_file():
            raise CourseError(f"{file}: 'given' must be C files and headers that exist, and {path} is none")
    return found


def read_toml(file: Path) -> dict[str, object]:
    """Return a TOML file's top table. Raises `CourseError` with the parser's line and column."""
    try:
        return tomllib.loads(read_text(file))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{file}: {error}") from error


def _directories(root: Path) -> list[Path]:
    if not root.is_dir():
        raise CourseError(f"there are no chapters at {root}", "run from a whole checkout of the course")
    found = sorted(path for path in root.iterdir() if path.is_dir() and _DIRECTORY.fullmatch(path.name))
    for one, other in itertools.pairwise(found):
        if one.name[:2] == other.name[:2]:
            raise CourseError(f"{one.name} and {other.name} have the same number")
    return found


def _string(file: Path, table: Mapping[str, object], key: str, default: str = "") -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise CourseError(f"{file}: {key!r} must be a text, and not an empty one")
    return " ".join(value.split())


def _strings(file: Path, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not _is_strings(value):
        raise CourseError(f"{file}: {key!r} must be a list of strings")
    return tuple(value)


def _is_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _switch(file: Path, table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise CourseError(f"{file}: {key!r} must be true or false")
    return value


def _limits(file: Path, table: Mapping[str, object]) -> Mapping[str, int | float]:
    value = table.get("limits", {})
    if not isinstance(value, dict):
        raise CourseError(f"{file}: 'limits' must be a table of numbers")
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise CourseError(f"{file}: 'limits.{name}' must be a number")
    return value
