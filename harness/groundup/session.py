"""One run of a chapter's tests in one pair: their calls go to the server machine, their events become a result."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from groundup.errors import GroundupError, MachineryError
from groundup.link.wire import Mark
from groundup.pictures import Windows, windows
from groundup.report.events import ResultBuilder
from groundup.result import TestResult
from groundup.timing import Timeline
from groundup.vm.agent import AgentLostError, Channel
from groundup.vm.machine import END_SECONDS
from groundup.vm.pair import Pair
from groundup.vsock.control import Control
from groundup_guest.archive import pack
from groundup_guest.rpc import RpcError

STALL_SECONDS = 150.0
"""The tests have limits of their own, in the client machine. This one is for a machine that does not get to them."""
TOTAL_SECONDS = 900.0

PYTEST_JUDGED = (0, 1)
"""pytest's exit statuses where tests were judged: all passed, some failed (pytest.ExitCode)."""

WARM_UP = pack({"test_warm_up.py": b"def test_warm_up():\n    assert True\n"})

FORWARDED = frozenset(
    {"start", "wait", "signal", "exhaust", "output", "stdout", "facts", "settle", "drained", "stop", "syscalls", "sh"}
    | {"address", "arm", "delivered", "disarm", "functions", "shut", "file", "files", "tree", "hosts"}
    | {"network", "vsock_device", "relay", "full_socket", "relays_end"}
)
"""What a test may ask of the server machine's agent, as `server.NAME`."""


@dataclass(frozen=True)
class Plan:
    """What to run: the chapter's tests, which of them (all if none is named), and with which seed.

    `tests` is an archive of test files. `install` puts the program into the server machine, whose agent it is given;
    the tests' calls wait for it; where that takes longer than a call may, `install_first` lets the tests begin only
    after it. `independent` runs each test even after one that it needs has failed; those in `first` come before the
    others.
    """

    name: str
    tests: bytes
    select: tuple[str, ...]
    seed: int
    install: Callable[[Channel], Awaitable[None]]
    independent: bool = False
    first: tuple[str, ...] = ()
    install_first: bool = False


class Watcher:
    """Is told of the tests as they come and go. This one does nothing with it."""

    def started(self, test_id: str, *, hidden: bool) -> None:
        """Take note that a test runs now. Of a hidden one no name is told."""

    def finished(self, test: TestResult) -> None:
        """Take a test's result as soon as it is there."""


class Session:
    """Runs a plan. What `watcher` raises ends the run, and is raised by `run`.

    `windows` says for each test that has ended where its packets are in the captures.
    """

    def __init__(self, pair: Pair, plan: Plan, builder: ResultBuilder, watcher: Watcher, timeline: Timeline) -> None:
        self._pair = pair
        self._plan = plan
        self._builder = builder
        self._watcher = watcher
        self._timeline = timeline
        self.windows: dict[str, Windows] = {}
        self._vsock = Control(pair.vsock) if pair.vsock is not None else None
        self._installed = asyncio.Event()
        self._marks: dict[str, Mark] = {}
        self._progress = asyncio.Event()
        self._start: dict[str, int] = {}  # where the running test begins in the captures
        self._began = self._first = self._last = 0.0  # when the run, its first test and its last one began and ended

    async def run(self) -> None:
        """Run the tests to their end. What goes wrong with the machinery becomes a problem of the result."""
        channel = self._pair.open_session("client", self._event, self._answer)
        tests = asyncio.create_task(self._run_tests())
        install = asyncio.create_task(self._install())
        machines = asyncio.create_task(self._machine_ends())
        watchers = [machines, asyncio.create_task(self._stalls()), asyncio.create_task(self._session_ends(channel))]
        try:
            await asyncio.wait([install, tests, *watchers], return_when=asyncio.FIRST_COMPLETED)
            if install.done():
                install.result()
                await asyncio.wait([tests, *watchers], return_when=asyncio.FIRST_COMPLETED)
            for task in (tests, *watchers):
                if task.done():
                    task.result()
        except AgentLostError as error:
            # A machine that ends closes its channels first. What it said last tells more than that they are closed.
            await asyncio.wait([machines], timeout=END_SECONDS)
            self._builder.problem(str(machines.exception() if machines.done() else error))
        except (GroundupError, RpcError) as error:
            self._builder.problem(str(error))
        finally:
            for task in (install, tests, *watchers):
                task.cancel()
            await asyncio.gather(install, tests, *watchers, return_exceptions=True)
            await channel.close()
        if channel.broken:
            raise channel.broken

    async def _run_tests(self) -> None:
        plan = self._plan
        params = {
            "chapter": plan.name,
            "select": list(plan.select),
            "seed": plan.seed,
            "options": {"independent": plan.independent, "first": list(plan.first)},
        }
        if plan.install_first:
            await self._installed.wait()
        self._began = time.perf_counter()
        answer, _ = await self._pair.client.call("run", params, plan.tests)
        if answer.get("exit") not in PYTEST_JUDGED:
            words = str(answer.get("output", "")).strip().splitlines()
            self._builder.problem(f"the tests ended early: {words[-1] if words else 'without a word'}")
        if self._last:
            self._timeline.add("pytest ends", self._last, time.perf_counter())
            self._timeline.add("tests", self._first, self._last)

    async def _install(self) -> None:
        """Put the program into the server machine. Tests may begin meanwhile; their first call waits for it."""
        with self._timeline.span("server machine warms up"):
            await self._pair.server.call("warm", deadline=60)
        with self._timeline.span("install"):
            await self._plan.install(self._pair.server)
        self._installed.set()

    async def _machine_ends(self) -> None:
        raise await self._pair.ended()

    async def _session_ends(self, channel: Channel) -> None:
        raise await channel.lost()

    async def _stalls(self) -> None:
        """Raise once nothing has been heard of the tests for too long."""
        end = time.monotonic() + TOTAL_SECONDS
        while True:
            self._progress.clear()
            try:
                async with asyncio.timeout(min(STALL_SECONDS, end - time.monotonic())):
                    await self._progress.wait()
            except TimeoutError:
                running = self._builder.running or "the collection of the tests"
                raise MachineryError(
                    f"the machines did not get through {running}", "run it again on a host that is less busy"
                ) from None

    def _event(self, method: str, params: dict[str, Any], _payload: bytes) -> None:
        """Take what the tests tell."""
        self._progress.set()
        now = time.perf_counter()
        match method:
            case "collected":
                self._first = now
                self._timeline.add("pytest starts and collects", self._began, now)
            case "test_started":
                self._start = self._pair.captured()
            case "test_finished":
                self._last = now
        result = self._builder.event(method, params)
        if result is not None:
            self.windows[result.id] = windows(self._start, self._pair.captured())
            self._watcher.finished(result)
        elif method == "test_started" and (test := self._builder.planned.get(self._builder.running or "")):
            self._watcher.started("" if test.hidden else test.id, hidden=test.hidden)

    async def _answer(self, method: str, params: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        place, _, name = method.partition(".")
        if place == "server" and name in FORWARDED:
            await self._installed.wait()
            return await self._pair.server.call(name, params, payload)
        if place == "wire":
            try:
                return self._wire(name, params, payload)
            except GroundupError as error:
                raise RpcError(str(error)) from error
        if place == "vsock" and self._vsock is not None:
            return await self._vsock.call(name, params, payload)
        raise RpcError(f"there is no method {method}")

    def _wire(self, name: str, params: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        wire = self._pair.wire
        link = str(params.get("link", "eth0"))
        match name:
            case "faults":
                wire.faults(link, params.get("plan") or {})
            case "clear":
                wire.clear(link)
            case "inject":
                wire.inject(link, str(params.get("to")), payload)
            case "counts":
                return wire.counts(link).as_dict(), b""
            case "mark":
                label = str(params.get("label", ""))
                self._marks[label] = wire.mark(label)
            case "packets":
                since = params.get("since")
                return {}, wire.packets(link, self._marks.get(str(since)) if since is not None else None)
            case _:
                raise RpcError(f"there is no method wire.{name}")
        return {}, b""


async def warm(pair: Pair) -> None:
    """Run a test that nobody sees, in a process of its own: what it leaves is translated code and nothing else.

    A restored machine has translated none of its code yet, which makes its first run slow.
    """

    async def nothing(_server: Channel) -> None:
        """Install no program: the test asks for none."""

    plan = Plan("warm-up", WARM_UP, (), 1, nothing)
    await Session(pair, plan, ResultBuilder("warm-up", 1), Watcher(), Timeline(enabled=False)).run()
