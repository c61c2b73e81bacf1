"""A run of tests, with sockets in place of machines: what ends it, when, and what it then says."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from groundup.errors import MachineryError
from groundup.pictures import Window
from groundup.report.events import ResultBuilder
from groundup.result import ChapterResult, Outcome, TestResult
from groundup.session import Plan, Session, Watcher
from groundup.timing import Timeline
from groundup.vm.agent import AgentLostError, Channel, Handler, Listener
from groundup.vm.pair import Pair

TESTS = [
    {"id": "test_a", "title": "A.", "max_score": 1, "needs": [], "hidden": False, "file": "t.py", "line": 1},
    {"id": "test_b", "title": "B.", "max_score": 1, "needs": [], "hidden": True, "file": "t.py", "line": 9},
]
PASSED = {"outcome": "pass", "score": 1, "seconds": 0.1}


class Agent:
    """A machine's agent. The client's `run` is a script that plays the tests."""

    def __init__(self, script: Callable[[socket.socket], Awaitable[None]] | None = None) -> None:
        self.script = script
        self.end: socket.socket | None = None
        self.called: list[str] = []

    async def call(self, method: str, *_arguments: object, **_options: object) -> tuple[dict[str, Any], bytes]:
        self.called.append(method)
        if method == "run" and self.script is not None:
            assert self.end is not None
            await self.script(self.end)
        return {"exit": 0}, b""


class FakePair:
    """As much of a pair as a session needs."""

    def __init__(self, script: Callable[[socket.socket], Awaitable[None]]) -> None:
        self.server, self.client = Agent(), Agent(script)
        self.vsock = None
        self.size = 0
        self.dead: asyncio.Future[MachineryError] = asyncio.get_running_loop().create_future()

    def open_session(self, _role: str, listener: Listener, handler: Handler | None = None) -> Channel:
        ours, self.client.end = socket.socketpair()
        self.client.end.setblocking(False)
        channel = Channel("the client's session", ours, handler=handler, listener=listener)
        channel.start()
        return channel

    def captured(self) -> dict[str, int]:
        """Find a hundred bytes more at each look."""
        self.size += 100
        return {"eth0": self.size}

    async def ended(self) -> MachineryError:
        return await asyncio.shield(self.dead)


def tells(end: socket.socket, method: str, **params: object) -> None:
    end.send(json.dumps({"method": method, "params": params}).encode() + b"\n")


async def plays(end: socket.socket) -> None:
    """Play a run in which everything passes."""
    tells(end, "collected", tests=TESTS)
    for test in ("test_a", "test_b"):
        tells(end, "test_started", id=test)
        tells(end, "test_finished", id=test, **PASSED)
    await asyncio.sleep(0.05)  # the answer to `run` comes over another port: what was told is there before it


async def never_ends(_end: socket.socket) -> None:
    await asyncio.Event().wait()


async def installs_nothing(_server: Channel) -> None:
    pass


def run(
    script: Callable[[socket.socket], Awaitable[None]],
    watcher: Watcher | None = None,
    install: Callable[[Channel], Awaitable[None]] = installs_nothing,
    *,
    dies: str = "",
    install_first: bool = False,
) -> tuple[ChapterResult, Session]:
    """Run a session to its end, which comes at once whatever happens."""

    async def scene() -> tuple[ChapterResult, Session]:
        builder = ResultBuilder("01-listen", 1)
        pair = FakePair(script)
        if dies:
            pair.dead.set_result(MachineryError(dies))
        plan = Plan("listen", b"", (), 1, install, install_first=install_first)
        session = Session(cast(Pair, pair), plan, builder, watcher or Watcher(), Timeline(enabled=False))
        await session.run()
        return builder.finish(0.0), session

    began = time.monotonic()
    try:
        return asyncio.run(scene())
    finally:
        assert time.monotonic() - began < 10


def test_a_whole_run(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, object]] = []

    class Noting(Watcher):
        def started(self, test_id: str, *, hidden: bool) -> None:
            seen.append((test_id, hidden))

        def finished(self, test: TestResult) -> None:
            seen.append((test.id, test.outcome))

    result, session = run(plays, Noting())
    assert result.passed
    # A hidden test's name is not told while it runs; its result is for the writers, which redact it.
    assert seen == [("test_a", False), ("test_a", Outcome.PASS), ("", True), ("test_b", Outcome.PASS)]
    assert session.windows == {"test_a": {"eth0": Window(100, 200)}, "test_b": {"eth0": Window(300, 400)}}
    assert caplog.records == []


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), MachineryError("a full disk")])
def test_a_watcher_that_raises_ends_the_run_with_its_exception(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Raising(Watcher):
        def finished(self, test: TestResult) -> None:  # noqa: ARG002
            raise error

    async def then_hangs(end: socket.socket) -> None:
        await plays(end)
        await never_ends(end)

    for script in (plays, then_hangs):
        with pytest.raises(type(error)) as caught:
            run(script, Raising())
        assert caught.value is error
    assert caplog.records == []


def test_nonsense_is_a_problem_at_once() -> None:
    async def lies(end: socket.socket) -> None:
        tells(end, "collected", tests=TESTS)
        end.send(b'{"method": "test_started", "params": [1]}\n')
        await never_ends(end)

    result, _ = run(lies)
    assert result.score is None
    assert "nonsense" in result.problems[0]


def test_a_machine_that_ends_says_why() -> None:
    async def dies(end: socket.socket) -> None:
        end.close()
        raise AgentLostError("the client's agent: the machine ended")

    result, _ = run(dies, dies="the client machine ended: Kernel panic")
    assert result.problems == ("the client machine ended: Kernel panic",)
    result, _ = run(dies)
    assert len(result.problems) == 1
    assert "the machine ended" in result.problems[0]


@pytest.mark.parametrize("first", [False, True])
def test_tests_wait_for_a_slow_installation_if_they_have_to(first: bool) -> None:
    events: list[str] = []

    async def slow(_server: Channel) -> None:
        await asyncio.sleep(0.1)
        events.append("installed")

    async def noted(end: socket.socket) -> None:
        events.append("tests")
        await plays(end)

    result, _ = run(noted, install=slow, install_first=first)
    assert events[0] == ("installed" if first else "tests")
    assert result.passed


def test_an_installation_that_fails_ends_the_run() -> None:
    async def fails(_server: Channel) -> None:
        raise MachineryError("the server's agent did not answer install within 60 s")

    result, _ = run(never_ends, install=fails)
    assert result.problems == ("the server's agent did not answer install within 60 s",)
