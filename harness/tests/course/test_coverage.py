from pathlib import Path

import pytest

from groundup.course.chapter import Chapter
from groundup.course.coverage import check_coverage, read_coverage
from groundup.course.files import CourseError

# The chapter of conftest.py: test_prints and test_twice give points, test_free none.
TABLE = """\
[[row]]
id = "S1.1"
what = "A number is printed"
tests = ["{label} test_prints", "tests/test_own.py::test_it"]

[[row]]
id = "S1.2"
what = "Letters are printed"
why = "There are none."
"""


@pytest.fixture
def course(chapter: Chapter) -> Path:
    """The course that the chapter is all of, with a table and a harness of one test."""
    root = chapter.directory.parent
    (root / "coverage.toml").write_text(TABLE.format(label=chapter.label))
    (root / "tests").mkdir()
    (root / "tests" / "test_own.py").write_text("def test_it():\n    pass\n")
    return root


def change(course: Path, old: str, new: str) -> None:
    file = course / "coverage.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_the_course_is_covered() -> None:
    assert list(check_coverage()) == []


def test_rows_are_read(course: Path) -> None:
    one, other = read_coverage(course / "coverage.toml")
    assert (one.id, one.what, len(one.tests), one.why) == ("S1.1", "A number is printed", 2, "")
    assert (other.tests, other.why) == ((), "There are none.")
    assert list(check_coverage(course, course)) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("test_prints", "test_printed", "is not a graded test"),
        ("test_prints", "test_free", "is not a graded test"),
        ("tests/test_own.py::test_it", "tests/test_own.py::test_that", "there is no test tests/test_own.py::test_that"),
        ("tests/test_own.py::test_it", "tests/test_no.py::test_it", "there is no test tests/test_no.py::test_it"),
        ("tests/test_own.py::test_it", "test_it", "is neither `NN test_name` nor"),
        ("S1.2", "S1.1", "S1.1 is there twice"),
    ],
)
def test_problems_are_told(course: Path, old: str, new: str, problem: str) -> None:
    change(course, old, new)
    (found,) = check_coverage(course, course)
    assert problem in found
    assert str(course / "coverage.toml") in found


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('id = "S1.1"', 'id = "1.1"', "'id' must be of the form"),
        ('what = "A number is printed"', 'what = ""', "'what' must say"),
        ('why = "There are none."', 'why = ""', "'why' must be a text"),
        ('why = "There are none."', "", "either 'tests' or 'why'"),
        ('why = "There are none."', "tests = []", "'tests' must be a list"),
        ('why = "There are none."', 'because = "none"', "the keys are"),
        ("[[row]]", "[[rows]]", "made of [[row]] rows"),
    ],
)
def test_what_is_no_table(course: Path, old: str, new: str, problem: str) -> None:
    change(course, old, new)
    with pytest.raises(CourseError, match=problem.replace("[", r"\[")):
        list(check_coverage(course, course))
