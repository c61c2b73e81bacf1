"""`groundup watch`: every save is built and tested. While the learner types, the next pair waits, restored and warm."""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from watchfiles import awatch

from groundup.commands.check import Printing, record, submission_of
from groundup.commands.setup import ready
from groundup.course.chapter import Chapter, find
from groundup.errors import EXIT_PASSED, MachineryError
from groundup.grade import Job, grade, new_seed
from groundup.paths import ROOT, WORK
from groundup.report.terminal import TerminalReport
from groundup.result import ChapterResult, Outcome
from groundup.runs import new_run, point_last_to
from groundup.session import warm
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot

WAITING = "waiting for you to save a file in"


class Waiting:
    """A pair that is restored and warm, with the directory of the run that it is for."""

    def __init__(self, snapshot: Snapshot, *, vsock: bool = False) -> None:
        self._stack = AsyncExitStack()
        self.directory = self._stack.enter_context(new_run())
        self._pair = Pair(snapshot, self.directory, vsock=vsock)
        self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        await self._stack.enter_async_context(self._pair)
        # A restored machine has translated none of its code yet; a run that nobody sees has that behind it.
        await warm(self._pair)

    async def __aenter__(self) -> "Waiting":
        return self

    async def pair(self) -> Pair | None:
        """Return the pair once it is restored and warm; None where that failed, and a run has to restore its own."""
        try:
            await self._restoring
        except MachineryError as error:
            print(f"groundup: {error}; trying again", file=sys.stderr)
            return None
        return self._pair

    async def __aexit__(self, *exception: object) -> None:
        self._restoring.cancel()
        await asyncio.gather(self._restoring, return_exceptions=True)
        await self._stack.aclose()


class Saves:
    """Tells of each save of a C file or header in a directory; editors' backups and swap files do not count."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._saved = asyncio.Event()

    async def __aenter__(self) -> "Saves":
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(lambda _: self._saved.set())
        await asyncio.sleep(0)  # the task begins: from here on no save is missed
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        async for changes in awatch(self._directory, debounce=50, step=10, recursive=False):
            if any(Path(path).suffix in {".c", ".h"} for _, path in changes):
                self._saved.set()

    async def next(self) -> None:
        """Wait for a save, unless there was one since the last call returned: it may have come during a run."""
        await self._saved.wait()
        self._saved.clear()
        if self._following.done():  # the directory cannot be watched any more
            self._following.result()


class Watch:
    """Runs a chapter's tests again and again."""

    def __init__(self, chapter: Chapter, seed: int | None, snapshot: Snapshot) -> None:
        self._chapter = chapter
        self._seed = seed
        self._snapshot = snapshot
        self._failed: tuple[str, ...] = ()

    async def run(self, directory: Path, pair: Pair | None) -> None:
        """Build what is there now and test it, what failed last first; `pair` waits already, if there is one."""
        chapter = self._chapter
        job = Job(chapter, submission_of(chapter), seed=self._seed or new_seed(), first=self._failed)
        report = TerminalReport(sys.stdout, chapter.label)
        result = await grade(job, self._snapshot, directory, Printing(report), pair=pair)
        point_last_to(directory)
        report.end(result)
        record(result)
        if result.built:  # otherwise what failed before is still what the learner is at
            self._failed = _failed(result)


def _failed(result: ChapterResult) -> tuple[str, ...]:
    return tuple(test.id for test in result.tests if test.outcome is Outcome.FAIL)


async def _watch(chapter: Chapter, seed: int | None) -> None:
    submission_of(chapter)  # was it started at all?
    directory = WORK / chapter.name
    snapshot = await ready()
    watch = Watch(chapter, seed, snapshot)
    async with Saves(directory) as saves:
        with new_run() as run:
            await watch.run(run, None)
        while True:
            async with Waiting(snapshot, vsock=chapter.vsock) as waiting:
                print(f"\n{WAITING} {directory.relative_to(ROOT)}/ (Ctrl-C ends)", flush=True)
                await saves.next()
                await watch.run(waiting.directory, await waiting.pair())


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    chapter = find(options.chapter)
    try:
        asyncio.run(_watch(chapter, options.seed))
    except KeyboardInterrupt:
        print()
    return EXIT_PASSED
