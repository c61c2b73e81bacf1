from collections.abc import Callable

import pytest

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError
from groundup.course.lint import check_chapter
from groundup.course.requirements import Section, parse_section, read_requirements, table_of

# The chapter of conftest.py: test_prints reads "RFC 1, section 2" and gives points, as does test_twice; test_free none.
TABLE = """\
[[requirement]]
section = "RFC 1, section 2.1"
text = "A number is printed"
tests = ["test_prints", "test_twice"]

[[requirement]]
section = "RFC 1, section 3"
text = "Letters are printed"
why = "There are none."
"""


@pytest.fixture
def table(chapter: Chapter) -> Callable[[str, str], None]:
    """Write the table, with one text in it replaced."""

    def write(old: str, new: str) -> None:
        assert old in TABLE
        table_of(chapter).write_text(TABLE.replace(old, new, 1))

    return write


def test_rows_are_read(chapter: Chapter) -> None:
    table_of(chapter).write_text(TABLE)
    one, other = read_requirements(chapter)
    assert one.section == Section("RFC 1", (2, 1))
    assert str(one.section) == "RFC 1, section 2.1"
    assert one.tests == ("test_prints", "test_twice")
    assert one.why == ""
    assert other.tests == ()
    assert other.why == "There are none."


def test_a_chapter_without_a_table_has_no_rows(chapter: Chapter) -> None:
    assert read_requirements(chapter) == []


def test_a_good_table_has_no_problems(chapter: Chapter) -> None:
    table_of(chapter).write_text(TABLE)
    assert check_chapter(chapter) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('["test_prints", "test_twice"]', '["test_printed"]', "test_printed is not a graded test"),
        ('["test_prints", "test_twice"]', '["test_free"]', "test_free is not a graded test"),
        ('["test_prints", "test_twice"]', "[]", "row 1, RFC 1, section 2.1: 'tests' must be a list"),
        ('["test_prints", "test_twice"]', '"test_prints"', "'tests' must be a list"),
        ('["test_prints", "test_twice"]', "[1]", "'tests' must be a list"),
        ('why = "There are none."', "", "row 2, RFC 1, section 3: either 'tests' or 'why'"),
        ('why = "There are none."', 'why = "a"\ntests = ["test_prints"]', "either 'tests' or 'why'"),
        ('why = "There are none."', 'why = " "', "'why' must be a text"),
        ('why = "There are none."', 'because = "of you"', "row 2: the keys are"),
        ('text = "Letters are printed"', "", "row 2, RFC 1, section 3: 'text' must say"),
        ('section = "RFC 1, section 3"', 'section = "RFC 1, 3"', "row 2: 'section' must be of the form"),
        ('section = "RFC 1, section 3"', 'section = "RFC 1, section 3, item 2"', "'section' must be of the form"),
        ('section = "RFC 1, section 3"', "section = 3", "'section' must be of the form"),
        ("[[requirement]]", "[[requirements]]", "made of [[requirement]] rows and nothing else"),
        ("[[requirement]]", "[[requirement", "requirements.toml: "),
        ('"RFC 1, section 2.1"', '"RFC 1, section 1"', "test_prints reads RFC 1, section 2, which has no row"),
        ('"RFC 1, section 2.1"', '"RFC 1, section 21"', "test_prints reads RFC 1, section 2, which has no row"),
        ('tests = ["test_prints", "test_twice"]', 'why = "Never."', "says that it does not apply: Never."),
        ('3"\ntext = "Letters are printed"', '2.1"\ntext = "A number is printed"', "the row is there twice"),
    ],
)
def test_each_fault_is_named(
    chapter: Chapter, table: Callable[[str, str], None], old: str, new: str, problem: str
) -> None:
    table(old, new)
    problems = check_chapter(chapter)
    assert any(problem in line for line in problems), problems


def test_sections_of_an_rfc_that_the_table_does_not_go_through_are_free(
    chapter: Chapter, edit: Callable[[str, str, str], None]
) -> None:
    table_of(chapter).write_text(TABLE)
    edit("tests/test_answer.py", '"RFC 1, section 2"', '"RFC 1, section 2", "RFC 22, section 9"')
    assert check_chapter(chapter) == []


@pytest.mark.parametrize("text", ["printf(3)", "RFC 12", "RFC 9112, section A.1", "RFC 9112, 6.3", "RFC 0, section 1"])
def test_what_is_no_section(text: str) -> None:
    assert parse_section(text) is None


def test_a_section_contains_itself_and_those_below_it() -> None:
    section = Section("RFC 9112", (6,))
    assert section.contains(section)
    assert section.contains(Section("RFC 9112", (6, 3)))
    assert not section.contains(Section("RFC 9112", (61,)))
    assert not section.contains(Section("RFC 9110", (6,)))
    assert not Section("RFC 9112", (6, 3)).contains(section)


def test_an_unreadable_table_is_the_course_s_fault(chapter: Chapter) -> None:
    table_of(chapter).mkdir()
    with pytest.raises(CourseError, match="cannot read"):
        read_requirements(chapter)
