from pathlib import Path

import pytest

from groundup.course.chapter import Chapter, discover, find, load
from groundup.course.files import CourseError
from groundup.errors import UsageError


def test_discovers_chapters_in_order_and_nothing_else(chapters: Path) -> None:
    (chapters / "02-early").mkdir()
    (chapters / "02-early" / "chapter.toml").write_text('title = "Early"\nsummary = "s"\n')
    (chapters / "notes").mkdir()
    (chapters / "README.md").write_text("x")
    assert [chapter.name for chapter in discover(chapters)] == ["02-early", "07-answer"]


@pytest.mark.parametrize("text", ["7", "07", "answer", "07-answer"])
def test_finds_a_chapter_by_any_of_its_names(chapters: Path, text: str) -> None:
    assert find(text, chapters).slug == "answer"


@pytest.mark.parametrize("text", ["", "8", "ans", "07-", "-7", "../07-answer", "٣"])
def test_unknown_chapter_is_a_usage_error_that_lists_the_others(chapters: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(text, chapters)
    assert "07 answer" in caught.value.remedy


def test_a_broken_chapter_does_not_hide_the_others(chapters: Path) -> None:
    (chapters / "08-broken").mkdir()
    assert find("7", chapters).number == 7
    with pytest.raises(CourseError, match=r"08-broken/chapter\.toml"):
        find("8", chapters)


def test_two_chapters_of_one_number(chapters: Path) -> None:
    (chapters / "07-other").mkdir()
    with pytest.raises(CourseError, match="07-answer and 07-other have the same number"):
        discover(chapters)


def test_defaults_and_extra_fields(chapter: Chapter) -> None:
    assert (chapter.program, chapter.sources, chapter.cflags, chapter.limits) == ("answer", ("answer.c",), (), {})
    with (chapter.directory / "chapter.toml").open("a") as file:
        file.write('program = "prog"\nsources = ["answer.c", "more.c"]\ncflags = ["-pthread"]\nlimits = {pids = 3}\n')
        file.write("vsock = true\n")
    other = load(chapter.directory)
    assert (other.program, other.sources, other.cflags) == ("prog", ("answer.c", "more.c"), ("-pthread",))
    assert other.limits == {"pids": 3}
    assert (chapter.vsock, other.vsock) == (False, True)


def test_rights_and_the_link_are_a_chapters_own(chapter: Chapter) -> None:
    assert (chapter.capabilities, chapter.link) == ((), "eth0")
    with (chapter.directory / "chapter.toml").open("a") as file:
        file.write('capabilities = ["net_raw"]\nlink = "eth1"\n')
    other = load(chapter.directory)
    assert (other.capabilities, other.link) == (("net_raw",), "eth1")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("titel = 'x'", "unknown key 'titel'"),
        ("sources = ['more.c', 'answer.c']", "first of them answer.c"),
        ("sources = ['answer.c', '../x.c']", "'sources' must be names of C files"),
        ("cflags = '-O2'", "'cflags' must be a list of strings"),
        ("limits = {pids = 'many'}", "'limits.pids' must be a number"),
        ("vsock = 'yes'", "'vsock' must be true or false"),
        ("program = ''", "'program' must be a text"),
        ("capabilities = ['sys_admin']", "no program may be given the capability 'sys_admin'"),
        ("capabilities = 'net_raw'", "'capabilities' must be a list of strings"),
        ("link = 'eth2'", "'link' must be eth0 or eth1"),
        ("program", "line 3"),
    ],
)
def test_faults_of_chapter_toml_are_named(chapter: Chapter, line: str, complaint: str) -> None:
    with (chapter.directory / "chapter.toml").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(CourseError, match=complaint):
        load(chapter.directory)


def test_lists_tests_without_importing_them(chapter: Chapter) -> None:
    prints, twice, free = chapter.tests
    assert prints.name == "test_prints"
    assert prints.title == "The number is printed, e.g. 42."
    assert prints.reads == ("printf(3)", "RFC 1, section 2")
    assert (prints.points, prints.needs, prints.hidden, prints.timeout, prints.line) == (10, (), False, None, 6)
    assert (twice.points, twice.needs, twice.hidden, twice.timeout) == (2.5, ("test_prints",), True, 3)
    assert (free.points, free.graded) == (0, False)
    assert chapter.max_score == 12.5


def test_a_test_is_found_with_or_without_its_prefix(chapter: Chapter) -> None:
    assert chapter.test("prints") is chapter.test("test_prints")
    with pytest.raises(UsageError, match=r"no test 'nothing'.*prints, twice"):
        chapter.test("nothing")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("@points(10)", "@points(TEN)", r"test_answer\.py:4: @points takes literal values only"),
        ("@points(10)", "@points(-1)", "@points of test_prints takes one number above 0"),
        ("@points(10)", "@points", "@points of test_prints takes one number above 0"),
        ('@needs("test_prints")', "@needs()", "@needs of test_twice takes strings"),
        ("test_twice", "test_prints", r"test_prints exists already in test_answer\.py"),
        ("def helper():", "def helper(", r"test_answer\.py:\d+: "),
    ],
)
def test_faults_of_tests_are_named_with_their_line(chapter: Chapter, edit, old: str, new: str, complaint: str) -> None:
    edit("tests/test_answer.py", old, new)
    with pytest.raises(CourseError, match=complaint):
        _ = chapter.tests
