from collections.abc import Callable

import pytest

from groundup.course.chapter import Chapter
from groundup.course.lint import check_chapter

Edit = Callable[[str, str, str], None]


def test_a_good_chapter_has_no_problems(chapter: Chapter) -> None:
    assert check_chapter(chapter) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("tests/test_answer.py", "The number is printed twice.", "", "test_twice has no docstring"),
        ("tests/test_answer.py", 'needs("test_prints")', 'needs("test_x")', "needs test_x, which does not exist"),
        ("tests/test_answer.py", "@points(10)", '@points(10)\n@needs("test_twice")', "in a circle: test_"),
        ("hints.toml", "[test_twice]", "[test_thrice]", "no hints for test_twice"),
        ("hints.toml", "[test_twice]", "[test_thrice]", "hints for test_thrice, which does not exist"),
        ("mutants/m3.patch", "test_prints", "test_free", "m3.patch: killed-by: test_free is not a graded test"),
        ("mutants/m3.patch", "test_prints", "test_none", "m3.patch: killed-by: test_none is not a graded test"),
        ("mutants/m3.patch", "-    return 42;", "-    return 43;", "m3.patch: hunk 1 does not apply"),
        ("answer.c", "/* END SOLUTION */\n", "", "answer.c:7: "),
        ("README.md", "](answer.c)", "](answers.c)", "README.md:3: the link leads nowhere: answers.c"),
        ("README.md", "#what-it-is)", "#what-it-was)", "README.md:3: there is no such heading: #what-it-was"),
        (
            "README.md",
            "return 42;",
            "return 43;",
            "README.md:7: not in answer.c: static int answer(void) { return 43; }",
        ),
        ("README.md", "```c answer.c", "```c answers.c", "README.md:7: the code claims to be 'answers.c'"),
        ("README.md", "```c answer.c", "```c answer.c starter", "README.md:7: not in answer.c (starter)"),
        ("README.md", "## What", "[ref]: gone.md\n\n## What", "README.md:5: the link leads nowhere: gone.md"),
    ],
)
def test_each_fault_is_named_with_its_file(
    chapter: Chapter, edit: Edit, file: str, old: str, new: str, problem: str
) -> None:
    edit(file, old, new)
    problems = check_chapter(chapter)
    assert any(problem in line for line in problems), problems


@pytest.mark.parametrize("missing", ["README.md", "hints.toml", "answer.c"])
def test_a_missing_file_is_told_once(chapter: Chapter, missing: str) -> None:
    (chapter.directory / missing).unlink()
    told = [line for line in check_chapter(chapter) if line.startswith("cannot read") and missing in line]
    assert len(told) == 1


def test_too_few_mutants(chapter: Chapter) -> None:
    (chapter.mutants_directory / "m9.patch").unlink()
    assert check_chapter(chapter) == [f"{chapter.mutants_directory}: 9 mutants, fewer than 10"]


def test_a_solution_without_marks(chapter: Chapter) -> None:
    chapter.source.write_text("int main(void) { return 0; }\n")
    assert any("the starter is the solution" in line for line in check_chapter(chapter))


def test_no_points(chapter: Chapter) -> None:
    (chapter.tests_directory / "test_answer.py").write_text('def test_a():\n    """A."""\n')
    assert any("no test gives points" in line for line in check_chapter(chapter))


def test_links_in_code_are_no_links_and_excerpts_may_be_of_the_starter(chapter: Chapter) -> None:
    chapter.readme.write_text(
        "# `a[i]` and b\n\n`[x](y)`, [top](#ai-and-b)\n\n```\n[z](nowhere)\n```\n\n"
        "```c answer.c starter\n/* … */\nreturn 0;  // which number was it?\n```\n\n```c\nint own;\n```\n"
    )
    assert check_chapter(chapter) == []
