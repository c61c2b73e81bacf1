from collections.abc import Callable

import pytest

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError
from groundup.course.hints import hint, read_hints
from groundup.errors import UsageError

Edit = Callable[[str, str, str], None]


def test_levels_from_a_table_and_from_a_list(chapter: Chapter) -> None:
    chapter.hints_file.write_text('test_prints = ["a", "b", " c\\n"]\n[test_twice]\n1 = "x"\n3 = "z"\n2 = "y"\n')
    assert read_hints(chapter) == {"test_prints": ("a", "b", "c"), "test_twice": ("x", "y", "z")}


def test_one_hint(chapter: Chapter) -> None:
    assert hint(chapter, "prints", 3) == "printf(3)"


@pytest.mark.parametrize(
    ("test", "level", "complaint"),
    [
        ("test_none", 1, "no test 'test_none'"),
        ("test_prints", 0, "no hint of level 0; the levels are 1 to 3"),
        ("test_prints", 4, "no hint of level 4"),
        ("test_free", 1, "test_free has no hints"),
    ],
)
def test_asking_for_what_is_not_there(chapter: Chapter, test: str, level: int, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        hint(chapter, test, level)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('2 = "A number."\n', "", "test_prints must have the levels 1, 2 and 3"),
        ('2 = "A number."\n', '2 = "A number."\n4 = "x"\n', "test_prints must have the levels 1, 2 and 3"),
        ('"A number."', '" "', "every hint of test_prints must be a text"),
        ('"A number."', "2", "every hint of test_prints must be a text"),
        ("[test_prints]", "[test_prints", r"hints\.toml: .*line 1"),
    ],
)
def test_faults_are_named(chapter: Chapter, edit: Edit, old: str, new: str, complaint: str) -> None:
    edit("hints.toml", old, new)
    with pytest.raises(CourseError, match=complaint):
        read_hints(chapter)
