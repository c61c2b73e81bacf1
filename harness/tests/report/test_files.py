"""Files are written whole or not at all, whatever keeps them from being written."""

import errno
import os
import stat
from pathlib import Path

import pytest

from groundup.errors import MachineryError
from groundup.files import write_atomically


@pytest.mark.parametrize(("asked", "umask", "given"), [(0o666, 0o022, 0o644), (0o777, 0o077, 0o700)])
def test_the_mode_is_the_umasks(tmp_path: Path, asked: int, umask: int, given: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"\0\xff", mode=asked)
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"\0\xff"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == given


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EIO, "choose a place")],
)
def test_a_full_disk_is_a_clear_error_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineryError) as caught:
        write_atomically(path, b"new")
    assert caught.value.message == f"cannot write {path}: {os.strerror(number)}"
    assert remedy in caught.value.remedy
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_text() == "old"
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize("place", ["file/result.json", "missing/result.json"])
def test_a_place_that_cannot_be_is_a_clear_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineryError, match=r"cannot write .*/result\.json: No"):
        write_atomically(tmp_path / place, b"x")
