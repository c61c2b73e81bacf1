"""The host's end of a channel: whatever the other end or a listener does, everybody who waits is told, and at once."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from groundup.errors import MachineryError
from groundup.vm.agent import AgentLostError, Channel, Handler, Listener
from groundup_guest.rpc import RpcError


class Guest:
    """The other end of a channel, spoken by hand."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._heard = b""

    async def says(self, *messages: object) -> None:
        lines = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
        await asyncio.get_running_loop().sock_sendall(self.end, b"".join(line + b"\n" for line in lines))

    async def hears(self) -> dict[str, Any]:
        while b"\n" not in self._heard:
            self._heard += await asyncio.get_running_loop().sock_recv(self.end, 4096)
        line, _, self._heard = self._heard.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message


@contextlib.asynccontextmanager
async def connected(
    handler: Handler | None = None, listener: Listener | None = None
) -> AsyncIterator[tuple[Channel, Guest]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        channel = Channel("the guest", ours, handler=handler, listener=listener)
        channel.start()
        async with asyncio.timeout(5):
            yield channel, Guest(theirs)
        await channel.close()


def run(test: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Run a test; asyncio's complaints of forgotten tasks and exceptions fail it."""
    asyncio.run(test())
    assert caplog.records == []


def test_a_listener_that_raises_ends_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    heard = []

    def listen(method: str, _params: dict[str, Any], _payload: bytes) -> None:
        heard.append(method)
        raise BrokenPipeError(32, "Broken pipe")

    async def test() -> None:
        async with connected(listener=listen) as (channel, guest):
            waiting = asyncio.create_task(channel.call("x"))
            await guest.hears()
            await guest.says({"method": "first"}, {"method": "second"})
            with pytest.raises(BrokenPipeError):
                await channel.lost()
            with pytest.raises(AgentLostError):
                await waiting
            with pytest.raises(AgentLostError):
                await channel.call("y")
        assert heard == ["first"]

    run(test, caplog)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"not JSON",
        {"method": "x", "params": [1]},
        {"method": "x", "params": None},
        {"method": 5},
        {"method": "x", "id": 1, "params": "text"},
        {"id": 1, "result": [1]},
        {"id": 1},
    ],
    ids=str,
)
def test_nonsense_ends_the_channel(nonsense: object, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with connected(listener=lambda *_: None) as (channel, guest):
            waiting = asyncio.create_task(channel.call("x"))
            await guest.hears()
            await guest.says(nonsense)
            with pytest.raises(AgentLostError, match="the guest: it sent nonsense"):
                await waiting
            assert "nonsense" in (await channel.lost()).message

    run(test, caplog)


def test_an_end_tells_everybody(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with connected() as (channel, guest):
            calls = [asyncio.create_task(channel.call(name)) for name in "abc"]
            await guest.hears()
            guest.end.close()
            for call in calls:
                with pytest.raises(AgentLostError):
                    await call
            with pytest.raises(AgentLostError):
                await channel.notify("late", {})

    run(test, caplog)


def test_a_call_is_always_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(method: str, _params: dict[str, Any], _payload: bytes) -> tuple[dict[str, Any], bytes]:
        match method:
            case "refused":
                raise RpcError("no")
            case "failed":
                raise MachineryError("the disk is full", "make room")
            case "mistaken":
                raise KeyError("link")
            case "unwritable":
                return {"x": object()}, b""
        return {}, b""

    async def test() -> None:
        async with connected(handler=answer) as (_, guest):
            said = {}
            for number, method in enumerate(("refused", "failed", "mistaken", "unwritable", "well")):
                await guest.says({"id": number, "method": method})
                reply = await guest.hears()
                assert reply["id"] == number
                said[method] = reply.get("error", {}).get("message")
        assert said["refused"] == "no"
        assert said["failed"] == "the disk is full; make room"
        assert "KeyError: 'link' (test_channel.py:" in said["mistaken"]
        assert "TypeError" in said["unwritable"]
        assert said["well"] is None

    run(test, caplog)


def test_nobody_waits_for_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The machine ends while its call is being answered: that is no failure of the answer's."""

    async def test() -> None:
        asked, going = asyncio.Event(), asyncio.Event()

        async def answer(_method: str, _params: dict[str, Any], _payload: bytes) -> tuple[dict[str, Any], bytes]:
            asked.set()
            await going.wait()
            return {}, b""

        async with connected(handler=answer) as (channel, guest):
            await guest.says({"id": 1, "method": "x"})
            await asked.wait()
            guest.end.close()
            await channel.lost()
            going.set()

    run(test, caplog)


def test_a_message_that_was_cut_is_the_last(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with connected() as (channel, _):
            sending = asyncio.create_task(channel.call("big", payload=bytes(16 << 20)))
            await asyncio.wait([sending], timeout=0.1)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            with pytest.raises(AgentLostError, match="a message was cut"):
                await channel.call("next")

    run(test, caplog)


def test_a_deadline_leaves_the_channel_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with connected() as (channel, guest):
            with pytest.raises(MachineryError, match="did not answer slow within 0 s"):
                await channel.call("slow", deadline=0.01)
            late = await guest.hears()
            call = asyncio.create_task(channel.call("next"))
            request = await guest.hears()
            await guest.says({"id": late["id"], "result": {"late": 1}}, {"id": request["id"], "result": {"right": 1}})
            assert await call == ({"right": 1}, b"")

    run(test, caplog)
