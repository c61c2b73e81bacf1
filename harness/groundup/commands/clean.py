"""`groundup clean`: remove what runs have left, and on request what was built. Never touches `work/`."""

import argparse
from pathlib import Path

from groundup.errors import EXIT_PASSED, MachineryError
from groundup.paths import BUILD, IMAGES, LAST_RUN, RUNS, SNAPSHOTS
from groundup.storage import remove_unused


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    parents = [RUNS]
    if options.snapshots or options.all:
        parents += [SNAPSHOTS]
    if options.all:
        parents += [IMAGES]
        (BUILD / "accelerator.json").unlink(missing_ok=True)
    removed, kept = 0, []
    for directory in [path for parent in parents if parent.is_dir() for path in parent.iterdir() if path.is_dir()]:
        used = _used(directory)
        if _remove(directory):
            removed += used
        else:
            kept.append(directory)
    if LAST_RUN.is_symlink() and not LAST_RUN.exists():
        LAST_RUN.unlink()
    print(f"removed {removed / 1e6:.0f} MB")
    for directory in kept:
        print(f"left {directory}: another groundup uses it")
    return EXIT_PASSED


def _remove(directory: Path) -> bool:
    try:
        return remove_unused(directory)
    except OSError as error:
        raise MachineryError(f"cannot remove {directory}: {error.strerror}", "see who owns it") from error


def _used(directory: Path) -> int:
    """Return how many bytes of the disk a directory's files take."""
    return sum(file.lstat().st_blocks * 512 for file in directory.rglob("*") if not file.is_dir())
