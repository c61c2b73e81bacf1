import os
from pathlib import Path

import pytest

from groundup.course import submission
from groundup.course.submission import SourceFile, Submission
from groundup.errors import UsageError

NAMES = ("listen.c",)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "listen.c").write_text("int main(void) { return 0; }\n")
    return tmp_path


def test_one_file_keeps_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "anna's.c"
    path.write_bytes(b"\xff\0")
    assert Submission.read(path, NAMES).sources == (SourceFile("listen.c", b"\xff\0"),)
    path = path.rename(tmp_path / "anna s-2.c")
    assert Submission.read(path, NAMES).sources == (SourceFile("anna s-2.c", b"\xff\0"),)


@pytest.mark.parametrize("name", ["-o.c", "@x.c", "x.o", "x\n.c", ".c"])
def test_a_name_that_the_compiler_could_mistake_is_not_given_to_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert Submission.read(tmp_path / name, NAMES).sources[0].name == "listen.c"


def test_a_directory_gives_the_programs_sources_and_all_headers(directory: Path) -> None:
    for name in ("b.h", "a.h", "other.c", "README.md", "listen.c.~1~"):
        (directory / name).write_text(name)
    (directory / "sub").mkdir()
    handed_in = Submission.read(directory, NAMES)
    assert [file.name for file in handed_in.sources] == ["listen.c"]
    assert handed_in.headers == (SourceFile("a.h", b"a.h"), SourceFile("b.h", b"b.h"))
    assert handed_in.refusal == ""


def test_several_sources_need_a_directory(directory: Path) -> None:
    (directory / "conn.c").write_text("")
    names = ("listen.c", "conn.c")
    assert [file.name for file in Submission.read(directory, names).sources] == ["listen.c", "conn.c"]
    assert "made of listen.c, conn.c" in Submission.read(directory / "listen.c", names).refusal


def test_nothing_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is nothing at .*/none"):
        Submission.read(tmp_path / "none", NAMES)


@pytest.mark.parametrize(
    ("target", "as_directory"), [("/etc/passwd", True), ("/dev/zero", True), ("/etc/passwd", False), ("gone", False)]
)
def test_a_symbolic_link_is_refused(tmp_path: Path, target: str, as_directory: bool) -> None:
    (tmp_path / "listen.c").symlink_to(target)
    refusal = Submission.read(tmp_path if as_directory else tmp_path / "listen.c", NAMES).refusal
    assert refusal == "listen.c is a symbolic link: hand in the file itself"


def test_a_header_that_is_a_symbolic_link_is_refused(directory: Path) -> None:
    (directory / "x.h").symlink_to("/etc/shadow")
    assert "x.h is a symbolic link" in Submission.read(directory, NAMES).refusal


def test_a_fifo_a_directory_and_a_device_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "listen.c")
    assert Submission.read(tmp_path, NAMES).refusal == "listen.c is not a regular file"
    assert Submission.read(tmp_path / "listen.c", NAMES).refusal == "listen.c is not a regular file"
    (tmp_path / "listen.c").unlink()
    (tmp_path / "listen.c").mkdir()
    assert Submission.read(tmp_path, NAMES).refusal == "listen.c is not a regular file"
    assert Submission.read(Path("/dev/zero"), NAMES).refusal == "zero is not a regular file"


def test_a_link_that_comes_after_the_look_is_not_followed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    regular = (directory / "listen.c").lstat()
    (directory / "listen.c").unlink()
    (directory / "listen.c").symlink_to("/etc/passwd")
    monkeypatch.setattr(Path, "lstat", lambda _: regular)
    with pytest.raises(UsageError, match="symbolic links"):
        Submission.read(directory, NAMES)


def test_size_is_limited_for_one_file_and_for_all(directory: Path) -> None:
    with (directory / "listen.c").open("r+") as file:
        file.truncate(submission.MAX_BYTES)
    assert Submission.read(directory, NAMES).refusal == ""
    (directory / "x.h").write_text("x")
    assert "x.h is too large" in Submission.read(directory, NAMES).refusal
    with (directory / "listen.c").open("r+") as file:
        file.truncate(1 << 40)
    assert "listen.c is too large" in Submission.read(directory, NAMES).refusal


def test_number_of_files_is_limited(directory: Path) -> None:
    for n in range(submission.MAX_FILES):
        (directory / f"{n}.h").touch()
    assert "more than 64 C files" in Submission.read(directory, NAMES).refusal
    for n in range(10_000):
        (directory / f"{n}").touch()
    assert "more than 1000 files" in Submission.read(directory, NAMES).refusal


def test_missing_source(tmp_path: Path) -> None:
    (tmp_path / "main.c").touch()
    assert Submission.read(tmp_path, NAMES).refusal == "there is no listen.c in the directory"


def test_texts_of_the_courses_own() -> None:
    made = Submission.of_texts({"a.c": "é", "a.h": ""})
    assert made == Submission((SourceFile("a.c", b"\xc3\xa9"),), (SourceFile("a.h", b""),))
