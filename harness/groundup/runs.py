"""The directories of runs: captures, system calls and output of each run, the last few kept under `build/runs/`."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from groundup.errors import UsageError
from groundup.paths import LAST_RUN, RUNS
from groundup.storage import check_space, drop_old, hold

KEPT = 10
NEEDED_BYTES = 100_000_000


@contextlib.contextmanager
def new_run() -> Iterator[Path]:
    """Make a directory for one run; drop the oldest ones, but not the one that `build/last` leads to.

    While the context lasts the directory is held, so that another tool that runs at the same time keeps it. Once what
    the run has found is shown, call `point_last_to`.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    check_space(RUNS, NEEDED_BYTES, "a run")
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    directory = RUNS / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{fraction:09}-{os.getpid()}"
    directory.mkdir()
    lock = hold(directory)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.close(hold(LAST_RUN))  # which makes it one of the newest
        drop_old(RUNS, KEPT)
        yield directory
    finally:
        os.close(lock)


def last_run() -> Path:
    """Return the directory of the last run. Raises UsageError where there is none yet."""
    if not LAST_RUN.is_dir():
        raise UsageError("nothing was run yet", "run `./groundup check 01` first")
    return LAST_RUN.resolve()


def point_last_to(directory: Path) -> None:
    """Make `build/last` lead to a run's directory: the run whose verdict was shown last, which `pcap` reads.

    It is replaced in one step, as another tool may do the same at this moment.
    """
    partial = LAST_RUN.with_name(f"last.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.symlink_to(directory.relative_to(LAST_RUN.parent))
    partial.replace(LAST_RUN)
