"""What stays on disk and what goes, with several tools at work."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundup.paths import HARNESS
from groundup.storage import drop_old, hold, locked, locked_when_free, remove_unused, set_aside


def directories(parent: Path, *names: str) -> list[Path]:
    """Make directories with a file each, used in this order."""
    made = []
    for age, name in enumerate(names):
        path = parent / name
        path.mkdir()
        (path / "file").write_text("x")
        os.utime(path, (age, age))
        made.append(path)
    return made


def names(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


def test_the_newest_stay(tmp_path: Path) -> None:
    directories(tmp_path, "d", "c", "b", "a")
    (tmp_path / "lock").touch()
    drop_old(tmp_path, 2)
    assert names(tmp_path) == ["a", "b", "lock"]
    drop_old(tmp_path, 5)
    assert names(tmp_path) == ["a", "b", "lock"]
    drop_old(tmp_path, 0)
    assert names(tmp_path) == ["lock"]


def test_what_is_held_stays(tmp_path: Path) -> None:
    old, _, _ = directories(tmp_path, "old", "middle", "new")
    lock = hold(old)
    os.utime(old, (0, 0))
    drop_old(tmp_path, 1)
    assert names(tmp_path) == ["new", "old"]
    assert not remove_unused(old)
    os.close(lock)
    drop_old(tmp_path, 1)
    assert names(tmp_path) == ["new"]


def test_use_makes_young(tmp_path: Path) -> None:
    old, _ = directories(tmp_path, "old", "new")
    os.close(hold(old))
    drop_old(tmp_path, 1)
    assert names(tmp_path) == ["old"]


def test_partial_ones_go_unless_somebody_works_on_them(tmp_path: Path) -> None:
    left, building = directories(tmp_path, "tmpleft", "tmpbuilding")
    lock = hold(building)
    drop_old(tmp_path, 5)
    assert not left.exists()
    assert building.exists()
    os.close(lock)


def test_a_damaged_one_gives_up_its_name_though_it_is_held(tmp_path: Path) -> None:
    (damaged,) = directories(tmp_path, "key")
    lock = hold(damaged)
    set_aside(damaged)
    assert not damaged.exists()
    directories(tmp_path, "key")
    drop_old(tmp_path, 1)
    assert len(names(tmp_path)) == 2
    os.close(lock)
    drop_old(tmp_path, 1)
    assert names(tmp_path) == ["key"]


def test_nothing_to_hold(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "none")
    assert remove_unused(tmp_path / "none")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_lock_lasts_as_long_as_the_last_child_that_inherited_it(tmp_path: Path) -> None:
    """The tool is killed, what it has started goes on: nobody else may take the lock for free."""
    script = (
        "import os, signal, subprocess, sys\nfrom pathlib import Path\nfrom groundup.storage import locked\n"
        "with locked(Path(sys.argv[1])) as fd:\n"
        "    subprocess.Popen(['sh', '-c', 'echo; read line'], pass_fds=[fd])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "lock"
    command = [sys.executable, "-c", script, path]
    with subprocess.Popen(command, cwd=HARNESS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tool:
        assert tool.stdin is not None
        assert tool.stdout is not None
        tool.stdout.readline()
        tool.wait()
        check = ["flock", "--nonblock", path, "true"]
        assert subprocess.run(check, check=False).returncode == 1
        tool.stdin.write(b"\n")
        tool.stdin.flush()
        tool.stdout.read()
    with locked(path):
        pass


def test_a_lock_that_is_taken_is_waited_for_with_a_word(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        path, told = tmp_path / "lock", []
        holder = contextlib.ExitStack()
        holder.enter_context(locked(path))

        def waiting() -> None:
            told.append("waiting")
            asyncio.get_running_loop().call_soon(holder.close)  # the event loop goes on: this is called at all

        async with asyncio.timeout(10), locked_when_free(path, waiting):
            told.append("locked")
        async with locked_when_free(path, waiting):
            told.append("at once")
        return told

    assert asyncio.run(scenario()) == ["waiting", "locked", "at once"]
