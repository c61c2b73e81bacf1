"""What tests need that use real machines: the snapshot, and a way to grade something in a pair of their own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.commands.setup import ready
from groundup.course.chapter import find
from groundup.course.submission import read_submission
from groundup.grade import Job, grade
from groundup.paths import BUILD, ROOT
from groundup.result import ChapterResult
from groundup.vm.snapshot import Snapshot

SEED = 4711

Grade = Callable[..., ChapterResult]
Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """The snapshot of the pair, made if it is missing."""
    return asyncio.run(ready())


@pytest.fixture
def graded(snapshot: Snapshot, tmp_path: Path) -> Grade:
    """Grade a C file, or with `program` an executable, against a chapter."""

    def run(chapter: str, source: Path | None = None, program: Path | None = None, **options: object) -> ChapterResult:
        found = find(chapter)
        submission = read_submission(found, source) if source else None
        job = Job(found, submission, program, seed=SEED, **options)  # type: ignore[arg-type]
        return asyncio.run(grade(job, snapshot, tmp_path))

    return run


def _children() -> dict[int, str]:
    """Return the processes that this one has started and that are still there, by their names."""
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid): Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


def children() -> list[str]:
    """Return the names of this process's children: none is left once a run has ended."""
    return list(_children().values())


def machines() -> list[int]:
    """Return the process ids of the virtual machines that run now."""
    return [pid for pid, name in _children().items() if name.startswith("qemu")]


@pytest.fixture
def saved(snapshot: Snapshot, tmp_path: Path) -> Iterator[Path]:
    """A copy of the snapshot's files, for a test to damage."""
    directory = tmp_path / "build" / "snapshots" / snapshot.directory.name
    directory.parent.mkdir(parents=True)
    # Never a link: a tool that finds its snapshot damaged removes it.
    subprocess.run(["cp", "-r", "--sparse=always", snapshot.directory, directory], check=True)
    yield directory
    shutil.rmtree(tmp_path / "build")


def damage(state: Path) -> None:
    """Overwrite a part of a machine's state with noise, so that QEMU refuses it."""
    with state.open("r+b") as file:
        file.seek(1000)
        file.write(os.urandom(10_000))


@pytest.fixture
def other_build(saved: Path) -> dict[str, str]:
    """An environment with a build directory of its own: the real image, which nobody writes to, and `saved`."""
    directory = saved.parents[1]
    for name in ("vm", "venv", "accelerator.json"):
        if (BUILD / name).exists():
            (directory / name).symlink_to(BUILD / name)
    return {**os.environ, "GROUNDUP_BUILD": str(directory)}


@pytest.fixture(scope="session")
def tool(snapshot: Snapshot) -> Tool:
    """Run the tool as a user does; `env` is added to the environment."""

    def run(*arguments: str | Path, timeout: float = 120, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [ROOT / "groundup", *arguments], capture_output=True, text=True, timeout=timeout, check=False, **options
        )

    return run
