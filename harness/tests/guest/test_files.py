"""Directories of files in the server machine: what may be done with them, and that nothing leads out of them."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup_guest.files import Files, FilesError
from tests.guest.backend import Backend


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A program's home."""
    found = tmp_path / "home"
    found.mkdir()
    return found


def test_files_of_every_kind_are_made(home: Path) -> None:
    files = Files(home)
    operations: list[dict[str, Any]] = [
        {"do": "write", "path": "a.txt", "size": 5},
        {"do": "append", "path": "a.txt", "size": 3},
        {"do": "write", "path": "deep/er/b", "size": 0},
        {"do": "truncate", "path": "large", "length": 1 << 40},
        {"do": "directory", "path": "empty"},
        {"do": "symlink", "path": "link", "target": "../../out"},
        {"do": "special", "path": "pipe", "kind": "fifo"},
        {"do": "special", "path": "sock", "kind": "socket"},
        {"do": "mode", "path": "a.txt", "mode": 0o200},
        {"do": "mtime", "path": "a.txt", "ns": 1_000_000_123_456_789},
    ]
    assert files.change("www", operations, b"helloyou") == {}
    root = home / "www"
    found = (root / "a.txt").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns, found.st_size) == (0o200, 1_000_000_123_456_789, 8)
    assert (root / "deep/er/b").read_bytes() == b""
    assert ((root / "large").stat().st_size, (root / "large").stat().st_blocks) == (1 << 40, 0)
    assert (root / "link").readlink() == Path("../../out")
    assert (root / "pipe").is_fifo()
    assert (root / "sock").is_socket()
    files.change("www", [{"do": "rename", "path": "a.txt", "to": "c"}, {"do": "remove", "path": "deep"}])
    assert sorted(path.name for path in root.iterdir()) == ["c", "empty", "large", "link", "pipe", "sock"]
    assert files.change("www", None) == {}
    assert list(home.iterdir()) == []
    assert files.change("www", None) == {}


def leads_up(home: Path) -> list[dict[str, Any]]:
    del home
    return [{"do": "write", "path": "a/../../x", "size": 1}]


def is_absolute(home: Path) -> list[dict[str, Any]]:
    return [{"do": "write", "path": str(home.parent / "x"), "size": 1}]


def follows_a_file_link(home: Path) -> list[dict[str, Any]]:
    link = {"do": "symlink", "path": "link", "target": str(home.parent / "x")}
    return [link, {"do": "write", "path": "link", "size": 1}]


def follows_a_directory_link(home: Path) -> list[dict[str, Any]]:
    return [
        {"do": "symlink", "path": "link", "target": str(home.parent)},
        {"do": "write", "path": "link/x", "size": 1},
    ]


def renames_away(home: Path) -> list[dict[str, Any]]:
    del home
    return [{"do": "write", "path": "x", "size": 1}, {"do": "rename", "path": "x", "to": "../../x"}]


@pytest.mark.parametrize(
    "operations", [leads_up, is_absolute, follows_a_file_link, follows_a_directory_link, renames_away]
)
def test_nothing_leads_out_of_the_directory(home: Path, operations: Callable[[Path], list[dict[str, Any]]]) -> None:
    with pytest.raises(FilesError):
        Files(home).change("www", operations(home), b"!")
    assert sorted(path.name for path in home.parent.iterdir()) == ["home"]
    assert [path.name for path in home.iterdir()] == ["www"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp", "a\0"])
def test_a_directory_has_a_plain_name(home: Path, name: str) -> None:
    with pytest.raises(FilesError, match="is not a"):
        Files(home).change(name, [])


def test_what_the_program_has_made_is_no_directory_of_ours(home: Path) -> None:
    (home / "www").symlink_to(home.parent)
    with pytest.raises(FilesError, match="cannot make the directory www: File exists"):
        Files(home).change("www", [])


def test_a_directory_that_the_program_has_replaced_is_still_ours(home: Path) -> None:
    files, outside = Files(home), home.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    files.change("www", [])
    (home / "www").rename(home / "moved")
    (home / "www").symlink_to(outside)
    files.change("www", [{"do": "write", "path": "a", "size": 1}], b"!")
    assert (home / "moved/a").read_bytes() == b"!"
    files.reset()
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    assert list((home / "moved").iterdir()) == []


def test_removing_follows_no_link(home: Path) -> None:
    files, kept = Files(home), home.parent / "kept"
    kept.write_bytes(b"")
    operations = [{"do": "symlink", "path": name, "target": str(home.parent)} for name in ("a", "b/c")]
    files.change("www", operations)
    files.reset()
    assert kept.exists()
    assert list(home.iterdir()) == []


def test_a_wrong_operation_is_told(home: Path) -> None:
    for operation, words in (
        ({"do": "explode", "path": "a"}, "there is no operation 'explode'"),
        ({"do": "remove", "path": "a"}, "operation 1, remove a: .*No such file"),
    ):
        with pytest.raises(FilesError, match=words):
            Files(home).change("www", [operation])
        (home / "www").rmdir()


def test_a_test_fills_a_directory(backend: Backend) -> None:
    source = r"""
import os
from pathlib import Path

def test_a(server):
    root = server.directory({"a.txt": b"one", "b/c": b"two"})
    other = server.directory()
    home = Path(HOME)
    assert (root.name, other.name) == ("files1", "files2")
    assert (home / root.name / "b/c").read_bytes() == b"two"
    root.write("a.txt", b"three").append("a.txt", b"!").mtime("a.txt", 1_000_000_000, 5)
    assert (home / root.name / "a.txt").read_bytes() == b"three!"
    assert (home / root.name / "a.txt").stat().st_mtime_ns == 1_000_000_000_000_000_005
    root.truncate("a.txt", 2).sparse("d", 1 << 33, b"end").links({"e": "d"}).fifo("f").socket("g").directory("h")
    assert (home / root.name / "d").stat().st_size == (1 << 33) + 3
    root.unreadable("h").rename("e", "i").remove("b")
    assert sorted(os.listdir(home / root.name)) == ["a.txt", "d", "f", "g", "h", "i"]
    assert False, "shown"
"""
    result = backend.run(f"HOME = {str(backend.programs.home)!r}\n{source}").only
    assert result["message"] == "shown"
    assert [step["text"] for step in result["steps"]][:3] == [
        "files1/ was made: a.txt (3 bytes), b/c (3 bytes)",
        "files2/ was made",
        "files1/a.txt: 5 bytes written",
    ]
    assert "files1/h: mode 0000, owner root" in [step["text"] for step in result["steps"]]
    assert [path.name for path in backend.programs.home.iterdir()] == ["subject"]
