"""The host's end of a JSON-RPC channel to a guest: calls go out, calls and notifications of the guest come in."""

import asyncio
import contextlib
import itertools
import socket
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from groundup.errors import GroundupError, MachineryError
from groundup_guest.rpc import Decoder, ProtocolError, RpcError, encode, failure, request, response

Handler = Callable[[str, dict[str, Any], bytes], Awaitable[tuple[dict[str, Any], bytes]]]
"""Answers a guest's call: method, parameters, payload → result, payload. Raises RpcError to refuse it."""
Listener = Callable[[str, dict[str, Any], bytes], None]
"""Takes a guest's notification: method, parameters, payload. What it raises ends the channel, see `Channel.broken`."""


class AgentLostError(MachineryError):
    """The machine at the other end has ended, or closed its port."""


async def _refuse(method: str, _params: dict[str, Any], _payload: bytes) -> tuple[dict[str, Any], bytes]:
    raise RpcError(f"nobody answers {method} here")


class Channel:
    """One port. Calls may overlap; each answer finds its caller by its id."""

    def __init__(
        self, name: str, end: socket.socket, *, handler: Handler | None = None, listener: Listener | None = None
    ):
        self._name = name
        self._socket = end
        self._handler = handler
        self._listener = listener
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._lost: AgentLostError | None = None
        self._losing = asyncio.Event()
        self.broken: Exception | None = None
        """What the listener raised, if it did: nothing is read after that, and `lost` raises it."""
        self._reader: asyncio.Task[None] | None = None
        self._write_lock = asyncio.Lock()

    def start(self) -> None:
        """Begin to read. Needs a running event loop."""
        self._socket.setblocking(False)
        self._reader = asyncio.create_task(self._read(), name=f"read {self._name}")

    async def close(self) -> None:
        """Stop reading; whoever still waits for an answer gets AgentLostError."""
        tasks = [task for task in (self._reader, *self._answering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail(AgentLostError(f"{self._name}: closed"))

    async def call(
        self, method: str, params: dict[str, Any] | None = None, payload: bytes = b"", *, deadline: float | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Call `method` in the guest and return its result and payload.

        Raises RpcError with the guest's words where it refuses, AgentLostError where it is gone, MachineryError where
        it does not answer within `deadline` seconds.
        """
        number = next(self._ids)
        future: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_looked_at)
        self._waiting[number] = future
        try:
            async with asyncio.timeout(deadline):
                await self._send(encode(request(number, method, params or {}), payload))
                return await future
        except TimeoutError as error:
            raise MachineryError(
                f"{self._name} did not answer {method} within {deadline:.0f} s",
                "run it again; if it stays, `./groundup clean --snapshots` makes the snapshots anew",
            ) from error
        finally:
            self._waiting.pop(number, None)

    async def notify(self, method: str, params: dict[str, Any], payload: bytes = b"") -> None:
        """Send a notification: no answer comes. Raises AgentLostError."""
        await self._send(encode({"jsonrpc": "2.0", "method": method, "params": params}, payload))

    async def lost(self) -> AgentLostError:
        """Wait until nothing comes from the other end any more, and say why. Raises what the listener raised."""
        await self._losing.wait()
        if self.broken:
            raise self.broken
        assert self._lost is not None
        return self._lost

    async def _send(self, data: bytes) -> None:
        async with self._write_lock:  # a message is never cut by another
            if self._lost:
                raise self._lost
            try:
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
            except OSError as error:
                raise self._fail(AgentLostError(f"{self._name}: {error.strerror}")) from error
            except asyncio.CancelledError:
                # How much of it went out is not known: the other end would take the next message for its rest.
                self._fail(AgentLostError(f"{self._name}: a message was cut"))
                raise

    async def _read(self) -> None:
        """Read until the channel ends; whatever ends it, everybody who waits is told."""
        decoder = Decoder()
        reason = "closed"
        try:
            while data := await self._receive():
                for message in decoder.feed(data):
                    self._dispatch(message.body, message.payload)
            reason = "the machine ended"
        except AgentLostError as error:
            reason = error.message
        except ProtocolError as error:  # nothing that comes after it can be understood
            reason = f"it sent nonsense: {error}"
        except Exception as error:  # the listener's own: not ours to judge, `lost` passes it on
            self.broken = error
        finally:
            self._fail(AgentLostError(f"{self._name}: {reason}"))

    async def _receive(self) -> bytes:
        """Return what has come in; nothing at the end."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, 1 << 18)
        except OSError as error:
            raise AgentLostError(error.strerror or str(error)) from error

    def _dispatch(self, body: dict[str, Any], payload: bytes) -> None:
        method, params = body.get("method"), body.get("params", {})
        if method is None:
            self._answered(body, payload)
            return
        if not isinstance(method, str) or not isinstance(params, dict):
            raise ProtocolError("a call has a method that is no text, or parameters that are no object")
        if "id" in body:
            task = asyncio.create_task(self._answer(body["id"], method, params, payload))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif self._listener:
            self._listener(method, params, payload)

    def _answered(self, message: dict[str, Any], payload: bytes) -> None:
        number, result = message.get("id"), message.get("result")
        future = self._waiting.get(number) if isinstance(number, int) else None
        if future is None or future.done():
            return  # the caller stopped waiting
        if "error" in message:
            error = message["error"]
            text = error.get("message") if isinstance(error, dict) else error
            future.set_exception(RpcError(str(text)))
        elif isinstance(result, dict):
            future.set_result((result, payload))
        else:
            raise ProtocolError("an answer has neither an error nor a result that is an object")

    async def _answer(self, number: Any, method: str, params: dict[str, Any], payload: bytes) -> None:
        """Answer a call. Whatever goes wrong here, the guest gets an answer: it waits for one."""
        try:
            result, data = await (self._handler or _refuse)(method, params, payload)
            reply = encode(response(number, result), data)
        except (RpcError, GroundupError) as error:
            reply = encode(failure(number, str(error)))
        except Exception as error:  # a mistake of the handler's, or of ours
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            reply = encode(failure(number, f"the host failed: {type(error).__name__}: {error} ({place})"))
        with contextlib.suppress(AgentLostError):  # then nobody waits for the answer
            await self._send(reply)

    def _fail(self, error: AgentLostError) -> AgentLostError:
        """End the channel for whoever waits for something; the first reason is the one that counts."""
        self._lost = self._lost or error
        self._losing.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(self._lost)
        return self._lost


def _looked_at(future: "asyncio.Future[Any]") -> None:
    """Take note of how a call ended: its caller may have gone, and asyncio complains of what nobody looked at."""
    if not future.cancelled():
        future.exception()
