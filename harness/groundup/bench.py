"""`make bench`: medians of what a learner waits for. Numbers to compare with each other in one run, never asserted."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from groundup.build import build
from groundup.cli import positive, reporting_errors
from groundup.commands.setup import ready
from groundup.course.chapter import Chapter, discover
from groundup.course.submission import read_submission
from groundup.errors import EXIT_PASSED, MachineryError
from groundup.paths import ROOT
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot

Measure = Callable[[], Awaitable[float]]


async def _restore(snapshot: Snapshot, directory: Path, *, vsock: bool) -> float:
    """Return the seconds until both agents of a restored pair have answered."""
    async with Pair(snapshot, directory, vsock=vsock) as pair:
        return pair.restore_seconds


async def _build(chapter: Chapter, snapshot: Snapshot, directory: Path) -> float:
    submission = read_submission(chapter, chapter.directory)
    return (await build(submission, snapshot.image.root, directory / "program")).seconds


async def _tool(*arguments: str) -> float:
    """Return the seconds that a command of the tool takes, from its start to its end, as a learner's shell sees it."""
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(ROOT / "groundup", *arguments, stdout=asyncio.subprocess.DEVNULL)
    status = await process.wait()
    if status != EXIT_PASSED:
        raise MachineryError(f"groundup {' '.join(arguments)} ended with status {status}", "run it by itself")
    return time.perf_counter() - start


async def measure(runs: int) -> None:
    """Print the median, the best and the worst of `runs` runs of each measurement."""
    snapshot = await ready()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measures: list[tuple[str, Measure]] = [
            ("restore the pair", lambda: _restore(snapshot, directory, vsock=False)),
            ("restore the pair with vsock", lambda: _restore(snapshot, directory, vsock=True)),
        ]
        for chapter in discover():
            measures.append((f"build {chapter.label}", lambda c=chapter: _build(c, snapshot, directory)))  # type: ignore[misc]
            grade = ("grade", chapter.label, str(chapter.directory))
            measures.append((f"grade {chapter.label}", lambda g=grade: _tool(*g)))  # type: ignore[misc]
        print(f"{'':28} {'median':>8} {'best':>8} {'worst':>8}   seconds, {runs} runs, {snapshot.accelerator}")
        for label, run in measures:
            seconds = [await run() for _ in range(runs)]
            print(f"{label:28} {statistics.median(seconds):8.3f} {min(seconds):8.3f} {max(seconds):8.3f}", flush=True)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=positive, default=10, metavar="N", help="how often each is run (default: 10)")
    options = parser.parse_args()

    def command() -> int:
        asyncio.run(measure(options.runs))
        return EXIT_PASSED

    return reporting_errors(command)


if __name__ == "__main__":
    sys.exit(main())
