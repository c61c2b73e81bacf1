"""Hints: three for each graded test, from a question to the line of the man page.

`hints.toml` has a table for each test, `[test_name]` with the keys 1, 2 and 3; a list of three texts under the test's
name means the same.
"""

from collections.abc import Mapping

from groundup.course.chapter import Chapter, read_toml
from groundup.course.files import CourseError
from groundup.errors import UsageError

LEVELS = 3


def read_hints(chapter: Chapter) -> dict[str, tuple[str, ...]]:
    """Return every test's hints, level 1 first. Raises `CourseError` for a missing, empty or surplus level."""
    return {name: _levels(chapter, name, value) for name, value in read_toml(chapter.hints_file).items()}


def hint(chapter: Chapter, test: str, level: int) -> str:
    """Return one hint. Raises `UsageError` for an unknown test, one without hints, and a level that does not exist."""
    name = chapter.test(test).name
    if not 1 <= level <= LEVELS:
        raise UsageError(f"there is no hint of level {level}", f"the levels are 1 to {LEVELS}")
    hints = read_hints(chapter)
    if name not in hints:
        raise UsageError(f"{name} has no hints: it gives no points")
    return hints[name][level - 1]


def _levels(chapter: Chapter, name: str, value: object) -> tuple[str, ...]:
    match value:
        case Mapping() if set(value) == {str(level) for level in range(1, LEVELS + 1)}:
            texts = [value[str(level)] for level in range(1, LEVELS + 1)]
        case list() if len(value) == LEVELS:
            texts = value
        case _:
            raise CourseError(f"{chapter.hints_file}: {name} must have the levels 1, 2 and 3 and nothing else")
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise CourseError(f"{chapter.hints_file}: every hint of {name} must be a text, and not an empty one")
    return tuple(str(text).strip() for text in texts)
