"""A peer: one connection as a test sees it, from the client machine's end; over TCP, where nothing else is said."""

import contextlib
import errno
import math
import select
import socket
import struct
import time
from collections.abc import Mapping

from groundup_guest import http, mistakes
from groundup_guest.address import of_socket
from groundup_guest.conditions import Condition
from groundup_guest.http import Response
from groundup_guest.program import Program
from groundup_guest.rpc import Body
from groundup_guest.scene import Scene
from groundup_guest.slow import Slow
from groundup_guest.steps import count, preview
from groundup_guest.stream import Stream

SHOWN_BYTES = 4096
"""How much of an unwelcome stream is read, to be shown."""


class Peer(Slow):
    """One connection, seen from the peer's end."""

    def __init__(self, scene: Scene, program: Program, connection: socket.socket) -> None:
        self._scene = scene
        self._program = program
        self._stream = Stream(connection)
        self.sent = 0
        """How many bytes it has sent."""
        self._whole = 0
        self.local = of_socket(connection, connection.getsockname())
        self.remote = of_socket(connection, connection.getpeername())

    # Acts

    def sends(self, data: bytes, *, of: bytes | int | None = None, hint: str = "") -> None:
        """Send bytes, all of them. `of` says what they are a part of, for the reader."""
        whole = len(of) if isinstance(of, bytes | bytearray) else of
        self._whole = whole or 0
        amount = f"{len(data)} of {whole} bytes" if whole else count(len(data), "byte")
        deadline = time.monotonic() + self._scene.deadlines.default
        rest = memoryview(data)
        while rest:
            try:
                done = self._stream.socket.send(rest)
                self.sent += done
                rest = rest[done:]
            except BlockingIOError:
                if not self._stream.wait(select.POLLOUT, deadline):
                    self._scene.steps.fail(
                        "peer",
                        f"tried to send {amount}, but the server took only {len(data) - len(rest):,}",
                        "The server has stopped reading: its receive buffer is full.",
                        f"{hint} {self._program.doing()}".strip(),
                    )
            except OSError as error:
                self._scene.steps.fail(
                    "peer",
                    f"tried to send {amount}, but: {error.strerror}",
                    "The server has ended the connection before everything was sent.",
                    hint or (mistakes.RESET if error.errno == errno.ECONNRESET else ""),
                )
        self._scene.steps.add("peer", f"sent {amount}", preview(data))

    def floods(self, data: bytes, at_most: int, *, within: float | None = None, hint: str = "") -> None:
        """Send `data` again and again and read nothing, until the server ends the connection.

        That is expected before it has taken `at_most` bytes, and `within` so many seconds.
        """
        repeated, began = memoryview(data * max(1, (1 << 16) // len(data))), self.sent
        end = math.inf if within is None else time.monotonic() + within + self._scene.deadlines.slack
        while (taken := self.sent - began) < at_most and time.monotonic() < end:
            try:
                self.sent += self._stream.socket.send(repeated[taken % len(data) :])
            except BlockingIOError:
                if not self._stream.wait(select.POLLOUT, time.monotonic() + self._scene.deadlines.default):
                    self._fail_flood(taken, "reads no more, but keeps the connection open", hint)
            except OSError:
                self._scene.steps.add("peer", f"sent {taken:,} bytes and read nothing, until the connection ended")
                return
        self._fail_flood(taken, "goes on reading", hint)

    def _fail_flood(self, taken: int, what: str, hint: str) -> None:
        self._scene.steps.fail(
            "peer",
            f"expected to be given up, but after {taken:,} bytes the server {what}",
            f"A peer sent {taken:,} bytes and read none of the answers; the server {what}.",
            f"{hint} {self._program.doing()}".strip(),
        )

    def half_closes(self) -> None:
        """Say that nothing more will come, and go on listening (shutdown(2) of the sending side)."""
        with contextlib.suppress(OSError):  # ENOTCONN: the server has reset the connection, which a later step notices
            self._stream.socket.shutdown(socket.SHUT_WR)
        self._scene.steps.add("peer", "half-closed: it sends nothing more")

    def resets(self) -> None:
        """End the connection at once with a reset (SO_LINGER with a time of 0)."""
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.socket.close()
        self._scene.steps.add("peer", "reset the connection")

    def closes(self) -> None:
        """Close the connection."""
        self._stream.socket.close()
        self._scene.steps.add("peer", "closed the connection")

    def close(self) -> None:
        """Close the descriptor if the test has not: no step of the test's."""
        self._stream.socket.close()

    # Expectations

    def receives(self, data: bytes, *, hint: str = "") -> None:
        """Expect exactly these bytes next."""
        deadline = time.monotonic() + self._scene.deadlines.default
        while len(self._stream.buffer) < len(data) and data.startswith(bytes(self._stream.buffer)):
            if not self._stream.fill(deadline):
                break
        received = bytes(self._stream.buffer[: len(data)])
        if received != data:
            self._fail_bytes(data, bytes(self._stream.buffer), hint)
        del self._stream.buffer[: len(data)]
        self._scene.steps.add("peer", f"received {count(len(data), 'byte')}", preview(data))

    def receives_to_end(self, *, hint: str = "") -> bytes:
        """Expect the server to end its side of the stream in order; return all that came before."""
        deadline = time.monotonic() + self._scene.deadlines.default
        while self._stream.fill(deadline):
            pass
        data = bytes(self._stream.buffer)
        self._expect_end(f"the end of the stream after {count(len(data), 'byte')}", hint)
        self._stream.buffer.clear()
        self._scene.steps.add("peer", f"received {count(len(data), 'byte')}, then the end", preview(data))
        return data

    def receives_until_close(self, *, hint: str = "") -> bytes:
        """Expect the server to end the connection, in order or by a reset; return all that came before."""
        deadline = time.monotonic() + self._scene.deadlines.default
        while self._stream.fill(deadline):
            pass
        data = bytes(self._stream.buffer)
        if not self._stream.end:
            self._expect_end(f"the end of the connection after {count(len(data), 'byte')}", hint)
        self._stream.buffer.clear()
        how = {"eof": "the end", "reset": "a reset"}[self._stream.end]
        self._scene.steps.add("peer", f"received {count(len(data), 'byte')}, then {how}", preview(data))
        return data

    def receives_response(
        self,
        status: int | None = 200,
        version: str | None = None,
        body_contains: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        request_method: str = "GET",
        hint: str = "",
    ) -> Response:
        """Expect one whole HTTP response and return it.

        `headers` are compared without case, a value of `*` stands for any. `request_method` matters where it decides
        whether there is a body. Bytes beyond the response stay for the next expectation.
        """
        try:
            response = self._read_response(request_method, hint)
        except http.MalformedError as error:
            self._scene.steps.fail(
                "peer",
                f"expected a response, but received {count(len(self._stream.buffer), 'byte')}:",
                error.message,
                hint or error.why,
                detail=preview(bytes(self._stream.buffer), 400),
            )
        line = f"HTTP/{response.version} {response.status} {response.reason}".rstrip()
        wanted = http.Wanted(status, version, headers or {}, body, body_contains)
        problem, why = wanted.difference(response)
        if problem:
            detail = preview(response.raw_head + response.body, 600)
            wrong_status = status not in (None, response.status)
            text = f"received {line}, not {status}:" if wrong_status else f"received {line}:"
            # Bytes are compared only where the body alone is wrong: everything else is told in words.
            differ = body is not None and response.body != body and not wrong_status
            expected, received = (body, response.body) if differ else (None, None)
            self._scene.steps.fail(
                "peer", text, problem, hint or why, detail=detail, expected=expected, received=received
            )
        self._scene.steps.add("peer", f"received a response with {count(len(response.body), 'byte')} of body", line)
        return response

    def sees_close(self, *, hint: str = "") -> None:
        """Expect the server to end its side of the stream in order, and nothing before that."""
        self._stream.fill(time.monotonic() + self._scene.deadlines.default)
        if self._stream.buffer:
            self._read_for_show()
            data = bytes(self._stream.buffer)
            zeros = mistakes.NUL if data == b"\0" else mistakes.BUFFER if not any(data) else ""
            self._scene.steps.fail(
                "peer",
                f"expected the end of the stream, but received {count(len(data), 'byte')} more:",
                f"The server sent {count(len(data), 'byte')} more than it should have.",
                zeros or hint,
                detail=preview(data, 400),
                expected=b"",
                received=data,
            )
        self._expect_end("the end of the stream", hint)
        self._scene.steps.add("peer", "saw the server close its side")

    def sees_end(self, *, hint: str = "") -> None:
        """Expect the server to end the connection, in order or by a reset, and nothing before that."""
        self._stream.fill(time.monotonic() + self._scene.deadlines.default)
        if self._stream.buffer or not self._stream.end:
            self.sees_close(hint=hint)
        self._scene.steps.add("peer", f"saw the server {'reset' if self._stream.end == 'reset' else 'close'} it")

    def sees_reset(self, *, hint: str = "") -> None:
        """Expect the server to reset the connection; what it sent before is not looked at."""
        deadline = time.monotonic() + self._scene.deadlines.default
        while self._stream.fill(deadline):
            self._stream.buffer.clear()
        if self._stream.end != "reset":
            seen = "the end of the stream" if self._stream.end else "nothing"
            self._scene.steps.fail(
                "peer", f"expected a reset, but saw {seen}", "The server did not reset the connection.", hint
            )
        self._scene.steps.add("peer", "saw the server reset the connection")

    def waits_for_acknowledgement(self) -> None:
        """Wait until the server's kernel has acknowledged every byte that was sent; whether they are read is open."""
        self._stream.sent_is_acknowledged(time.monotonic() + self._scene.deadlines.default)

    def stays_silent_until(self, condition: Condition, *, hint: str = "") -> None:
        """Expect nothing from the server until the condition holds. No time is waited for, but the server itself.

        That is certain, not likely: first the server's kernel has acknowledged every byte, then the program has read
        them and is blocked again, then this kernel has acknowledged all that the server sent. Only then is looked.
        """
        deadline = time.monotonic() + self._scene.deadlines.default
        ended = self._stream.end
        self._stream.sent_is_acknowledged(deadline)
        self._stream.acknowledge()
        found = self._await_condition(condition, deadline)
        pause = 0.001
        while found["alive"] and found["drained"] and (found["unsent"] or found["state"] is None):
            # Something is on its way to us, or our acknowledgement of it to the server.
            if self._stream.wait_for_news(min(deadline, time.monotonic() + pause)) or time.monotonic() >= deadline:
                break
            pause = min(2 * pause, 0.05)
            found = self._await_condition(condition, deadline)
        self._stream.fill(time.monotonic())
        self._stream.notice_reset()
        if self._stream.buffer or self._stream.end != ended:
            self._fail_not_silent(condition, hint)
        if not found["alive"]:
            condition.program.fail_dead(None)
        if not found["drained"]:
            self._fail_condition(condition, found, hint)
        self._scene.steps.add("server", f"{condition.text} and is silent")

    # How it is done

    def _await_condition(self, condition: Condition, deadline: float) -> Body:
        seconds = max(0.0, deadline - time.monotonic())
        return condition.program.call(
            "drained",
            local_port=self.remote.port,
            peer_port=self.local.port,
            deadline=seconds,
            unread_matters=condition.peer is not None,
        )

    def _fail_not_silent(self, condition: Condition, hint: str) -> None:
        self._read_for_show()
        data = bytes(self._stream.buffer)
        after = f"after {self.sent} of {self._whole} bytes" if self._whole > self.sent else "too early"
        if data:
            self._scene.steps.fail(
                "peer",
                f"expected silence until the server {condition.text}, but received {count(len(data), 'byte')}:",
                f"The server answered {after}.",
                hint or mistakes.EARLY,
                detail=preview(data, 400),
            )
        what = "reset" if self._stream.end == "reset" else "closed"
        self._scene.steps.fail(
            "peer",
            f"expected silence until the server {condition.text}, but the server {what} the connection",
            f"The server {what} the connection {after}.",
            hint or (mistakes.RESET if what == "reset" else ""),
        )

    def _fail_condition(self, condition: Condition, found: Body, hint: str) -> None:
        if condition.peer is not None and found["unread"]:
            state = "has not accepted the connection" if not found["accepted"] else "does not read it"
            self._scene.steps.fail(
                "server",
                f"expected to read all that was sent, but {count(found['unread'], 'byte')} still "
                f"{'waits' if found['unread'] == 1 else 'wait'}",
                f"The server leaves {count(found['unread'], 'byte')} unread: it {state}.",
                hint,
            )
        condition.program.fail_restless(condition.program.call("facts", sockets=False), hint)

    def _read_for_show(self) -> bytes:
        """Read on for a moment, so that a report shows a whole answer rather than its first segment; return it."""
        self._stream.fill_up_to(SHOWN_BYTES, time.monotonic() + 20 * self._scene.deadlines.unit)
        return bytes(self._stream.buffer)

    def _expect_end(self, wanted: str, hint: str) -> None:
        if self._stream.end == "eof":
            return
        if self._stream.end == "reset":
            self._scene.steps.fail(
                "peer",
                f"expected {wanted}, but the server reset the connection",
                "The server reset the connection in place of closing it in order.",
                hint or mistakes.RESET,
            )
        self._scene.steps.fail(
            "peer",
            f"expected {wanted}, but the connection is still open after {self._scene.deadlines.default:.1f} s",
            "The server keeps the connection open.",
            self._why(hint, mistakes.STILL_OPEN),
        )

    def _fail_bytes(self, expected: bytes, received: bytes, hint: str) -> None:
        """Fail because `received` is not `expected`: other bytes, or too few and then the end, a reset, or nothing."""
        if not expected.startswith(received):
            self._read_for_show()
            received = bytes(self._stream.buffer)
            at = mistakes.first_difference(expected, received)
            self._scene.steps.fail(
                "peer",
                f"expected {count(len(expected), 'byte')}, but received others, from offset {at} on:",
                "The server sent other bytes than expected.",
                hint or mistakes.compare(expected, received),
                detail=preview(received, 400),
                expected=expected,
                received=received,
            )
        amount = f"{len(received)} of {count(len(expected), 'byte')}" if received else "nothing"
        then = {"eof": "the end of the stream", "reset": "a reset", "": "nothing more"}[self._stream.end]
        message = {
            "eof": f"The server closed the connection after it had sent {amount}.",
            "reset": f"The server reset the connection after {amount} had arrived.",
            "": f"The server sent {amount}" + (", then no more." if received else "."),
        }[self._stream.end]
        text = f"expected {count(len(expected), 'byte')}, but received {amount}"
        self._scene.steps.fail(
            "peer",
            text + (f", then {then}" if received or self._stream.end else ""),
            message,
            self._why(hint, mistakes.compare(expected, received) if received else ""),
            detail=preview(received, 400),
            expected=expected if received else None,
            received=received if received else None,
        )

    def _why(self, hint: str, guess: str = "") -> str:
        """Return the sentence on the likely mistake, and where too little came what the server does, or said."""
        guess = hint or guess or (mistakes.RESET if self._stream.end == "reset" else "")
        more = self._program.last_words() if self._stream.end else self._program.doing()
        return f"{guess} {more}".strip()

    def _read_response(self, request_method: str, hint: str) -> Response:
        deadline = time.monotonic() + self._scene.deadlines.default
        while not (length := http.head_length(bytes(self._stream.buffer))):
            if not self._stream.fill(deadline):
                self._fail_response("the blank line that ends the head", hint)
        response = http.parse_head(bytes(self._stream.buffer[:length]))
        if http.is_chunked(response) and request_method != "HEAD":
            while (chunks := http.take_chunks(bytes(self._stream.buffer[length:]))) is None:
                if not self._stream.fill(deadline):
                    self._fail_response("the last chunk of the body", hint)
            response.body, taken = chunks
            del self._stream.buffer[: length + taken]
            return response
        size = http.body_length(response, request_method)
        while size is None or len(self._stream.buffer) < length + size:
            if not self._stream.fill(deadline):
                if size is None and self._stream.end == "eof":
                    break
                promised = f"the {size} bytes of body that Content-Length promises"
                wanted = promised if size is not None else "the end of the body"
                got = None if size is None else len(self._stream.buffer) - length
                self._fail_response(wanted, hint, got, mistakes.LENGTH if got is not None and got + 1 == size else "")
        end = len(self._stream.buffer) if size is None else length + size
        response.body = bytes(self._stream.buffer[length:end])
        del self._stream.buffer[:end]
        return response

    def _fail_response(self, wanted: str, hint: str, got: int | None = None, guess: str = "") -> None:
        data = bytes(self._stream.buffer)
        then = {"eof": "closed the connection", "reset": "reset the connection", "": "sent nothing more"}
        amount = count(len(data), "byte") if got is None else f"{count(got, 'byte')} of body"
        if data:
            message = f"The server {then[self._stream.end]} before {wanted} had come: {amount} came."
            if b"\n\n" in data and b"\r\n\r\n" not in data:
                guess = "Every line of the head ends in \\r\\n, the blank one too (RFC 9112, section 2.1)."
        elif self._stream.end:
            message = f"The server {then[self._stream.end]} without an answer."
        else:
            message = "The server did not answer."
        self._scene.steps.fail(
            "peer",
            f"expected a response, but the server {then[self._stream.end]} after {amount}" + (":" if data else ""),
            message,
            self._why(hint, guess),
            detail=preview(data, 400),
        )
