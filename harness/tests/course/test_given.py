"""What a chapter takes from elsewhere in the course: in the starter, in a mutant, and in a submission without it."""

from pathlib import Path

import pytest

from groundup.course.chapter import Chapter, load
from groundup.course.files import CourseError
from groundup.course.mutants import Mutant, list_mutants, mutated_files
from groundup.course.starter import starter_files
from groundup.course.submission import Submission, read_submission

GIVEN = """\
int earlier(void)
{
    /* BEGIN SOLUTION */
    return 1;
    /* END SOLUTION */
    /* STARTER: return 0; */
}
"""
WHOLE = "int earlier(void)\n{\n    return 1;\n}\n"


@pytest.fixture
def with_given(chapter: Chapter) -> Chapter:
    """The chapter, which takes a source and a header of an earlier one."""
    earlier = chapter.directory.parent / "01-earlier"
    earlier.mkdir()
    (earlier / "earlier.c").write_text(GIVEN)
    (earlier / "earlier.h").write_text("int earlier(void);\n")
    with (chapter.directory / "chapter.toml").open("a") as file:
        file.write('given = ["../01-earlier/earlier.c", "../01-earlier/earlier.h"]\n')
    return load(chapter.directory)


def names(submission: Submission) -> tuple[list[str], list[str]]:
    return [file.name for file in submission.sources], [file.name for file in submission.headers]


def test_the_starter_has_what_was_taught_before_whole(with_given: Chapter) -> None:
    found = starter_files(with_given)
    assert found["earlier.c"] == WHOLE
    assert found["earlier.h"] == "int earlier(void);\n"
    assert "return 0;  // which number was it?" in found["answer.c"]


def test_a_submission_without_it_gets_the_courses(with_given: Chapter) -> None:
    for path in (with_given.directory, with_given.source):
        handed_in = read_submission(with_given, path)
        assert names(handed_in) == (["answer.c", "earlier.c"], ["earlier.h"])
        assert handed_in.sources[1].data.decode() == WHOLE


def test_a_learner_may_change_what_was_given(with_given: Chapter, tmp_path: Path) -> None:
    (tmp_path / "answer.c").write_text("")
    (tmp_path / "earlier.c").write_text("mine")
    (tmp_path / "later.c").write_text("not asked for")
    handed_in = read_submission(with_given, tmp_path)
    assert names(handed_in) == (["answer.c", "earlier.c"], ["earlier.h"])
    assert handed_in.sources[1].data == b"mine"


def test_a_mutant_is_whole_and_changes_nothing_of_it(with_given: Chapter) -> None:
    mutants: list[Mutant] = list_mutants(with_given)
    assert mutants
    for mutant in mutants:
        assert mutated_files(with_given, mutant)["earlier.c"] == WHOLE


def test_what_is_given_has_to_exist(chapter: Chapter) -> None:
    for name in ("none.c", "chapter.toml"):
        text = (chapter.directory / "chapter.toml").read_text()
        (chapter.directory / "chapter.toml").write_text(f'{text}given = ["{name}"]\n')
        with pytest.raises(CourseError, match=f"'given' must be C files and headers that exist, .*{name} is none"):
            load(chapter.directory)
        (chapter.directory / "chapter.toml").write_text(text)
