"""JSON-RPC 2.0 as lines, with raw bytes behind a line where a message carries some.

One message is one line of UTF-8 JSON. A message with a top-level member `"bytes": N` is followed by exactly N raw
bytes, its payload: a program of 800 kB as hex inside JSON costs a guest half a second, as bytes next to nothing.

`encode` and `Decoder` know no descriptors, so that the host can use them with asyncio; `Channel` is the guests' side:
one descriptor, no threads, no timers, nothing that a snapshot taken in the middle of a wait could upset.
"""

import contextlib
import errno
import json
import os
import select
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

MAX_LINE = 1 << 20
"""Longest line, in bytes, that a decoder takes before it gives up on its peer."""
MAX_PAYLOAD = 64 << 20
"""Largest payload in bytes."""
READ_SIZE = 1 << 16

Body = dict[str, Any]
"""A JSON object: a request, a response or a notification."""


class ProtocolError(Exception):
    """The other side sent something that is not this protocol. The channel is of no further use."""


class ChannelClosedError(Exception):
    """The other side has gone."""


class RpcError(Exception):
    """A call came back with an error; the message is one line for a person."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class CallTimeoutError(RpcError):
    """A call was not answered in time: the machinery hangs, whatever the program under test does."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came: the JSON object and the bytes that followed it."""

    body: Body
    payload: bytes = b""


def encode(body: Body, payload: bytes = b"") -> bytes:
    """Return the bytes that carry `body` and, where there is one, its payload."""
    if payload:
        body = {**body, "bytes": len(payload)}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n" + payload


def request(identity: int, method: str, params: Body) -> Body:
    """Return the body of a request."""
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


def response(identity: object, result: Body) -> Body:
    """Return the body of a successful answer."""
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def failure(identity: object, message: str, code: int = -32000) -> Body:
    """Return the body of an answer that reports an error."""
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": " ".join(message.split())}}


class Decoder:
    """Turns a stream of bytes, however it is cut, into messages. Bounded: no peer can make it hold more than it may."""

    def __init__(self, max_line: int = MAX_LINE, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_line = max_line
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._searched = 0
        self._waiting: tuple[Body, int] | None = None

    def feed(self, data: bytes) -> list[Message]:
        """Take some bytes; return the messages that they complete. Raises ProtocolError on anything malformed."""
        self._buffer += data
        return list(self._messages())

    def _messages(self) -> Iterator[Message]:
        while True:
            if self._waiting is None and not self._take_line():
                return
            if self._waiting is None:
                continue
            body, size = self._waiting
            if len(self._buffer) < size:
                return
            payload = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._waiting = None
            yield Message(body, payload)

    def _take_line(self) -> bool:
        """Move one whole line, if there is one, from the buffer into `_waiting`; blank lines vanish."""
        end = self._buffer.find(b"\n", self._searched)
        if (end if end >= 0 else len(self._buffer)) > self._max_line:
            raise ProtocolError(f"a line is longer than {self._max_line} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        if line.strip():
            self._waiting = self._parse(line)
        return True

    def _parse(self, line: bytes) -> tuple[Body, int]:
        try:
            body = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a line is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise ProtocolError("a line is JSON but not an object")
        size = body.get("bytes", 0)
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= self._max_payload:
            raise ProtocolError(f"a payload's size is {size!r}, not a number from 0 to {self._max_payload}")
        return body, size


class Channel:
    """The protocol over one descriptor, which the channel owns: a virtio-serial port, or a socket in tests.

    A virtio-serial port whose host end is not connected reads as end-of-file and polls as POLLHUP for as long as that
    lasts, so that a level-triggered poll would spin. Edge-triggered epoll reports each change once: with `reconnects`
    the channel takes an end-of-file as "nobody there yet" and sleeps until the kernel reports the next change.
    """

    def __init__(self, descriptor: int, *, reconnects: bool = False) -> None:
        self._descriptor = descriptor
        self._reconnects = reconnects
        os.set_blocking(descriptor, False)
        self._epoll = select.epoll()
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        self._decoder = Decoder()
        self._arrived: deque[Message] = deque()
        self._calls = 0
        self.calling: tuple[str, float] | None = None
        """The method of the call that is being waited for, and when (monotonic) it is overdue."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return a descriptor that polls as readable when `poll` is worth calling."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close the descriptor. Closing twice is harmless."""
        if self._descriptor >= 0:
            self._epoll.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def poll(self) -> Message | None:
        """Return the next message if it is there, without waiting."""
        if not self._arrived:
            # The event that woke the caller is taken first, so that a change after the read below is a new event.
            self._epoll.poll(0)
            self._read()
        return self._arrived.popleft() if self._arrived else None

    def receive(self, deadline: float | None = None) -> Message:
        """Wait for the next message until `deadline` (monotonic seconds), for ever if None.

        Raises TimeoutError, ProtocolError, ChannelClosedError.
        """
        while not self._arrived:
            self._read()
            if not self._arrived:
                self._wait(deadline)
        return self._arrived.popleft()

    def send(self, body: Body, payload: bytes = b"", deadline: float | None = None) -> None:
        """Send one message whole. Waits while the other side does not take it."""
        rest = memoryview(encode(body, payload))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                self._wait(deadline)
            except OSError as error:
                raise ChannelClosedError(f"cannot write: {error.strerror}") from error

    def notify(self, method: str, params: Body) -> None:
        """Send a notification: no answer is expected."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def post(self, method: str, params: Body) -> None:
        """Call the other side and never look at the answer."""
        self._calls += 1
        self.send(request(self._calls, method, params))

    def call(self, method: str, params: Body, payload: bytes = b"", *, timeout: float) -> Message:
        """Call the other side and return its answer (`body["result"]`, payload).

        `timeout` is in seconds; CallTimeoutError is raised after it. An answer to an earlier call that was given up is
        dropped when it comes at last. Raises RpcError for an error answer.
        """
        self._calls += 1
        identity = self._calls
        deadline = time.monotonic() + timeout
        self.calling = (method, deadline)
        try:
            self.send(request(identity, method, params), payload, deadline)
            message = self._answer(identity, deadline)
        except TimeoutError as error:
            raise CallTimeoutError(f"{method}: no answer within {timeout:.1f} s") from error
        finally:
            self.calling = None
        problem = message.body.get("error")
        if problem is not None:
            raise RpcError(str(problem.get("message", problem)), int(problem.get("code", -32000)))
        return message

    def _answer(self, identity: int, deadline: float) -> Message:
        while True:
            message = self.receive(deadline)
            if message.body.get("id") == identity and "method" not in message.body:
                return message

    def _wait(self, deadline: float | None) -> None:
        left = -1.0 if deadline is None else deadline - time.monotonic()
        if deadline is not None and left <= 0:
            raise TimeoutError
        self._epoll.poll(left)

    def _read(self) -> None:
        """Read everything there is; edge-triggered events come once, so one read would not do."""
        while True:
            try:
                data = os.read(self._descriptor, READ_SIZE)
            except BlockingIOError:
                return
            except OSError as error:
                if self._arrived or (error.errno == errno.EPIPE and self._reconnects):
                    return  # what came before the end is taken first
                raise ChannelClosedError(f"cannot read: {error.strerror}") from error
            if not data:
                if self._reconnects or self._arrived:
                    return
                raise ChannelClosedError("the other side has closed the channel")
            self._arrived.extend(self._decoder.feed(data))


def open_port(name: str, root: str = "/sys/class/virtio-ports") -> int:
    """Open the virtio-serial port that the host has named `name`; the caller owns the descriptor.

    Raises FileNotFoundError with a sentence if there is none.
    """
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted(os.listdir(root)):  # noqa: PTH208  (pathlib costs a guest milliseconds)
            with open(f"{root}/{entry}/name", encoding="ascii") as file:  # noqa: PTH123
                if file.read().strip() == name:
                    return os.open(f"/dev/{entry}", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    raise FileNotFoundError(f"no virtio-serial port is named {name}")
