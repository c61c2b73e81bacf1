"""What is kept on disk between runs: who uses it, how much of it stays, whether there is room for more.

Any number of tools may run at once. Whoever uses a directory holds a shared lock on it (flock(2)), whoever removes one
needs the exclusive lock. The kernel ends a lock with the last descriptor of it, so no lock outlives what it is for.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from groundup.errors import MachineryError

LOCK_PAUSE = 0.1
"""Seconds between two tries to take a lock."""
PARTIAL = "tmp"
"""How the names of directories begin that are not whole yet, or no longer."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on the file `path` and yield its descriptor.

    The lock ends with the process, however that ends, and with the last child that has inherited the descriptor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextlib.asynccontextmanager
async def locked_when_free(path: Path, waiting: Callable[[], None]) -> AsyncIterator[int]:
    """As `locked`, for an event loop, which goes on meanwhile; `waiting` is called if somebody else has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    waiting()
                told = True
                await asyncio.sleep(LOCK_PAUSE)  # flock(2) cannot be polled for
        yield file.fileno()


def hold(directory: Path) -> int:
    """Keep every tool from removing `directory` until the returned descriptor is closed, or the process ends.

    Using it also makes it the newest for `drop_old`. Raises FileNotFoundError where there is no such directory.
    """
    with contextlib.ExitStack() as stack:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(fd), directory.stat()):  # it was replaced while we waited for the lock
            raise FileNotFoundError(f"{directory} was removed")
        with contextlib.suppress(PermissionError):  # somebody else's: then it keeps its age
            os.utime(fd)
        stack.pop_all()
    return fd


def remove_unused(directory: Path) -> bool:
    """Remove a directory unless somebody holds it; return whether it is gone. Raises OSError."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # another tool removed it first
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Under its own name it is whole or not there at all, even if we are killed half-way.
        shutil.rmtree(set_aside(directory))
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def set_aside(directory: Path) -> Path:
    """Take a directory's name from it and return its new path; `drop_old` removes it once nobody holds it."""
    if directory.name.startswith(PARTIAL):
        return directory
    aside = tempfile.mkdtemp(prefix=f"{PARTIAL}-{directory.name}-", dir=directory.parent)
    return directory.rename(aside)  # rename(2) may replace an empty directory


def drop_old(parent: Path, kept: int) -> None:
    """Remove the directories in `parent` that nobody holds, but for the `kept` ones that were used last."""
    found = [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    whole = sorted((path for path in found if not path.name.startswith(PARTIAL)), key=_last_used)
    old = whole[: max(0, len(whole) - kept)]
    for directory in [path for path in found if path not in whole] + old:
        with contextlib.suppress(OSError):  # what cannot be removed takes space, and keeps nobody from working
            remove_unused(directory)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another tool removed it just now
        return 0.0


def check_space(directory: Path, needed: int, purpose: str) -> None:
    """Raise MachineryError unless the file system of `directory` has `needed` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise MachineryError(
            f"{purpose} needs {needed // 1_000_000} MB in {directory}, {free // 1_000_000} MB are free",
            "make room there, or run `./groundup clean --all` to drop what can be made again",
        )
