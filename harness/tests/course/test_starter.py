from pathlib import Path

import pytest

from groundup.course.chapter import Chapter
from groundup.course.files import CourseError
from groundup.course.starter import regions, solution_text, start, starter_text
from groundup.errors import UsageError

TWO = """\
int a(void)
{
    /* BEGIN SOLUTION */
    for (;;) {
    }
    /* END SOLUTION */
    /* STARTER:
    // look at a(2)
    if (1) {
        return 0;
    }

    return 1;
    */
}
/* BEGIN SOLUTION */
int helper;
/* END SOLUTION */
/* STARTER: */
int b;
"""


def test_regions_give_way_to_their_starter() -> None:
    assert starter_text(TWO) == (
        "int a(void)\n{\n    // look at a(2)\n    if (1) {\n        return 0;\n    }\n\n    return 1;\n}\nint b;\n"
    )


def test_solution_is_shown_without_marks_and_starters() -> None:
    assert solution_text(TWO) == "int a(void)\n{\n    for (;;) {\n    }\n}\nint helper;\nint b;\n"


def test_starter_on_one_line_keeps_its_comment_and_takes_the_marks_depth() -> None:
    text = '\t/* BEGIN SOLUTION */\n\tx();\n\t/* END SOLUTION */\n  /* STARTER: return -1;  // "\\r\\n" ends it */\n'
    assert starter_text(text) == '\treturn -1;  // "\\r\\n" ends it\n'


def test_starter_that_begins_on_the_marks_line_and_goes_on() -> None:
    text = "/* BEGIN SOLUTION */\n/* END SOLUTION */\n/* STARTER: if (x)\n       y();\n   else\n       z(); */\n"
    assert starter_text(text) == "if (x)\n    y();\nelse\n    z();\n"


def test_text_without_regions_is_left_as_it_is() -> None:
    text = "int a;\n\f\nint b; /* STARTERS are not marks; nor is a solution */\n"
    assert starter_text(text) == solution_text(text) == text
    assert regions("") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n/* BEGIN SOLUTION */\nx;\n", "s.c:2: BEGIN SOLUTION without END SOLUTION"),
        ("x;\n/* END SOLUTION */\n", "s.c:2: a mark out of place"),
        ("/* BEGIN SOLUTION */\n/* BEGIN SOLUTION */\n", "s.c:2: .*inside the region begun in line 1"),
        ("/* BEGIN SOLUTION */\n/* STARTER: x */\n/* END SOLUTION */\n", "s.c:2: .*inside the region"),
        ("/* BEGIN SOLUTION */\n/* END SOLUTION */\nx;\n", "s.c:2: no STARTER comment"),
        ("/* BEGIN SOLUTION */\n/* END SOLUTION */", "s.c:2: no STARTER comment"),
        ("/* BEGIN SOLUTION */\n/* END SOLUTION */\n/* STARTER: x\ny", "s.c:3: the STARTER comment has no end"),
        ("/* BEGIN SOLUTION */\n/* END SOLUTION */\n/* STARTER: x */ y;\n", "s.c:3: text after"),
        ("x;\n/* STARTER: y */\n", "s.c:2: a mark out of place"),
        ("// BEGIN SOLUTION\n", "s.c:1: a mark out of place"),
        ("/* begin solution */\n", "s.c:1: a mark out of place"),
        ("x; /* BEGIN SOLUTION */\n", "s.c:1: a mark out of place"),
    ],
)
def test_faults_are_named_with_their_line(text: str, complaint: str) -> None:
    with pytest.raises(CourseError, match=complaint):
        starter_text(text, "s.c")


def test_start_gives_starter_and_lesson_and_nothing_else(chapter: Chapter, tmp_path: Path) -> None:
    done = start(chapter, tmp_path / "work")
    assert done.directory == tmp_path / "work" / "07-answer"
    assert sorted(path.name for path in done.directory.iterdir()) == ["README.md", "answer.c"]
    source = (done.directory / "answer.c").read_text()
    assert "return 0;  // which number" in source
    assert "42" not in source
    assert "SOLUTION" not in source
    assert sorted(done.written) == sorted(done.directory.iterdir())


def test_start_again_does_nothing(chapter: Chapter, tmp_path: Path) -> None:
    start(chapter, tmp_path)
    again = start(chapter, tmp_path, force=True)
    assert (again.written, again.kept, again.backups) == ([], [], [])


def test_an_edited_file_is_kept_and_said_so(chapter: Chapter, tmp_path: Path) -> None:
    source = start(chapter, tmp_path).directory / "answer.c"
    source.write_text("mine")
    again = start(chapter, tmp_path)
    assert (again.written, again.kept) == ([], [source])
    assert source.read_text() == "mine"


def test_force_keeps_every_earlier_version(chapter: Chapter, tmp_path: Path) -> None:
    directory = start(chapter, tmp_path).directory
    for n in (1, 2):
        (directory / "answer.c").write_text(f"mine {n}")
        assert start(chapter, tmp_path, force=True).backups == [directory / f"answer.c.~{n}~"]
    assert (directory / "answer.c.~1~").read_text() == "mine 1"
    assert (directory / "answer.c.~2~").read_text() == "mine 2"
    assert "which number" in (directory / "answer.c").read_text()
    assert len(list(directory.iterdir())) == 4


def test_what_cannot_be_written_is_a_usage_error(chapter: Chapter, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    with pytest.raises(UsageError, match="cannot write"):
        start(chapter, tmp_path / "work")
