"""Grades one submission against one chapter: builds it while the pair is restored, runs the tests, makes the result."""

import asyncio
import random
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from groundup.build import SandboxError, build
from groundup.course.chapter import Chapter
from groundup.course.submission import Submission
from groundup.errors import GroundupError, MachineryError
from groundup.pictures import Windows, with_pictures
from groundup.report.events import PlannedTest, ResultBuilder
from groundup.result import BuildOutcome, ChapterResult, Outcome, PairFacts, merge_retry, whole
from groundup.session import Plan, Session, Watcher
from groundup.timing import Timeline
from groundup.vm.agent import Channel
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot
from groundup_guest.archive import pack_tests

FIRST_ATTEMPT = "first-attempt"
"""Where the captures go of a run that has to be repeated, in the run's directory."""


def new_seed() -> int:
    """Return a seed for a run that was not given one: short enough to be typed again."""
    return random.SystemRandom().randrange(1, 100_000)


@dataclass(frozen=True)
class Job:
    """What to grade: `submission` is compiled; without one, `program`, a ready static executable, is taken.

    `select` names tests, all of them if it is empty. `independent` runs each test even after one that it needs failed;
    those in `first` come before the others.
    """

    chapter: Chapter
    submission: Submission | None = None
    program: Path | None = None
    select: tuple[str, ...] = ()
    seed: int = field(default_factory=new_seed)
    independent: bool = False
    first: tuple[str, ...] = ()


class Observer(Watcher):
    """Is told how a job goes. This one does nothing with it; whoever shows progress overrides what it wants to know."""

    def built(self, outcome: BuildOutcome) -> None:
        """Take what the compiler made of the submission."""

    def retrying(self, result: ChapterResult) -> None:
        """Take a result that the machinery broke; what it could not judge runs once more on a fresh pair."""


async def grade(
    job: Job,
    snapshot: Snapshot,
    directory: Path,
    observer: Observer | None = None,
    timeline: Timeline | None = None,
    *,
    pair: Pair | None = None,
) -> ChapterResult:
    """Grade `job` on a pair restored from `snapshot`; the program, captures and the like go to `directory`.

    `pair` is one that waits already, restored by the caller with its captures in `directory`; it is used up.
    A failure of the machinery is tried again once, and is then a property of the result, never a mark. Raises
    UsageError where the submission is not one, and MachineryError where nothing can be built on this host.
    """
    observer = observer or Observer()
    timeline = timeline or Timeline()
    start = time.perf_counter()
    program = _Building(job, snapshot, directory, observer, timeline)
    try:
        pair = pair or Pair(snapshot, directory, vsock=job.chapter.vsock, timeline=timeline)
        result = await _Attempt(job, pair, program, observer, timeline).run()
        if not result.complete:
            observer.retrying(result)
            first = _set_aside(result, directory)
            unjudged = tuple(test.id for test in result.tests if test.outcome is Outcome.INFRA)
            again = replace(job, select=unjudged or job.select)
            fresh = Pair(snapshot, directory, vsock=job.chapter.vsock, timeline=timeline)
            second = await _Attempt(again, fresh, program, observer, timeline).run()
            result = merge_retry(first, second)
    finally:
        await program.close()
    return replace(result, seconds=time.perf_counter() - start)


def failed(job: Job, error: GroundupError) -> ChapterResult:
    """Return the result of a job that the machinery failed before it began: nothing is judged, and `error` is why."""
    builder = _builder(job)
    builder.plan(_planned(job))
    builder.problem(str(error))
    return builder.finish(0.0)


def _builder(job: Job) -> ResultBuilder:
    return ResultBuilder(job.chapter.name, job.seed, selected=job.select, points=whole(job.chapter.max_score))


def _planned(job: Job) -> list[PlannedTest]:
    """Return the tests of a job that will not run as if they had been collected."""
    return [
        PlannedTest(
            id=test.name,
            title=test.title,
            max_score=whole(test.points),
            needs=test.needs,
            hidden=test.hidden,
            file=test.file.name,
            line=test.line,
        )
        for test in job.chapter.tests
        if not job.select or test.name in job.select
    ]


def _set_aside(result: ChapterResult, directory: Path) -> ChapterResult:
    """Move the captures of a first attempt out of the way: those of the second are the run's."""
    aside = directory / FIRST_ATTEMPT
    try:
        aside.mkdir(exist_ok=True)
        for capture in directory.glob("*.pcapng"):
            capture.rename(aside / capture.name)
    except OSError:  # a full disk: then the second attempt's overwrite them
        return result.map_tests(lambda test: replace(test, capture=""))
    return result.map_tests(
        lambda test: replace(test, capture=str(aside / Path(test.capture).name)) if test.capture else test
    )


@dataclass(frozen=True)
class _Program:
    """The executable to test. Where the host cannot compile both are None, and the server machine has to."""

    build: BuildOutcome | None
    content: bytes | None

    @property
    def refused(self) -> bool:
        """Whether the compiler has said that there is no program."""
        return self.build is not None and not self.build.ok


class _Building:
    """Makes the executable to test, at once and only once, however many attempts it takes to test it."""

    def __init__(self, job: Job, snapshot: Snapshot, directory: Path, observer: Observer, timeline: Timeline) -> None:
        self._job = job
        self._snapshot = snapshot
        self._out = directory / job.chapter.program
        self._observer = observer
        self._timeline = timeline
        self._begun = asyncio.Event()
        self.done = asyncio.create_task(self._build())

    async def possible(self) -> bool:
        """Return, as soon as that is known, whether there is or will be a verdict of the compiler on this host."""
        begun = asyncio.create_task(self._begun.wait())
        try:
            await asyncio.wait([self.done, begun], return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        return not self.done.done() or self.done.result().content is not None or self.done.result().refused

    async def close(self) -> None:
        """End the compiler, if it still runs."""
        self.done.cancel()
        await asyncio.gather(self.done, return_exceptions=True)

    async def _build(self) -> _Program:
        job = self._job
        if job.submission is None:
            assert job.program is not None, "a job has a submission or a program"
            return _Program(None, job.program.read_bytes())
        try:
            with self._timeline.span("build"):
                root, flags = self._snapshot.image.root, job.chapter.cflags
                built = await build(job.submission, root, self._out, cflags=flags, begun=self._begun)
        except SandboxError:
            return _Program(None, None)
        outcome = BuildOutcome(built.ok, built.seconds, built.output, built.warnings)
        self._observer.built(outcome)
        return _Program(outcome, built.program_path.read_bytes() if built.program_path else None)


class _RefusedError(Exception):
    """There is no program: what the compiler in the server machine said of the submission is the verdict."""

    def __init__(self, build: BuildOutcome) -> None:
        super().__init__()
        self.build = build


class _Attempt:
    """One run of a job on one pair."""

    def __init__(self, job: Job, pair: Pair, program: _Building, observer: Observer, timeline: Timeline) -> None:
        self._job = job
        self._pair = pair
        self._program = program
        self._observer = observer
        self._timeline = timeline
        self._builder = _builder(job)
        self._windows: dict[str, Windows] = {}

    async def run(self) -> ChapterResult:
        """Run it; what goes wrong with the machinery is in the result."""
        start = time.perf_counter()
        builder, built = self._builder, self._program.done
        running = asyncio.create_task(self._run_tests())
        try:
            await asyncio.wait([running, built], return_when=asyncio.FIRST_COMPLETED)
            if built.done() and built.result().refused:
                builder.build = built.result().build  # nobody needs to wait for the pair
            else:
                await running
        except MachineryError as error:
            builder.problem(str(error))
        except _RefusedError as refusal:
            builder.build = refusal.build
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if builder.build is not None and not builder.build.ok:
            builder.plan(_planned(self._job))
        with self._timeline.span("pictures"):
            result = builder.finish(time.perf_counter() - start)
            return with_pictures(result, self._pair.captures, self._windows, self._job.chapter.link)

    async def _run_tests(self) -> None:
        job, chapter = self._job, self._job.chapter
        async with self._pair as pair:
            self._builder.pair = PairFacts(pair.accelerator, pair.restore_seconds)
            plan = Plan(
                name=chapter.program,
                tests=pack_tests(chapter.tests_directory),
                select=job.select,
                seed=job.seed,
                install=self._install,
                independent=job.independent,
                first=job.first,
                install_first=not await self._program.possible(),
            )
            session = Session(pair, plan, self._builder, self._observer, self._timeline)
            self._windows = session.windows
            await session.run()

    async def _install(self, server: Channel) -> None:
        """Put the program into the server machine, or compile it there."""
        made = await asyncio.shield(self._program.done)
        self._builder.build = made.build
        if made.content is not None:
            chapter = self._job.chapter
            params = {"name": chapter.program, "mode": 0o755, "capabilities": list(chapter.capabilities)}
            await server.call("install", params, made.content, deadline=60)
        elif made.build is None and self._job.submission is not None:
            from groundup.build_in_guest import build_in_guest  # noqa: PLC0415  on few hosts, and all would wait for it

            chapter = self._job.chapter
            built = await build_in_guest(server, self._job.submission, chapter.program, chapter.cflags)
            await server.call("grant", {"name": chapter.program, "capabilities": list(chapter.capabilities)})
            self._builder.build = BuildOutcome(built.ok, built.seconds, built.output, built.warnings)
            self._observer.built(self._builder.build)
            if not built.ok:
                raise _RefusedError(self._builder.build)
