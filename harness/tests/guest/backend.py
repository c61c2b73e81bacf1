"""Runs the plugin natively: programs on loopback, a host in this process, the tests in a forked child."""

import contextlib
import os
import select
import socket
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _pytest.assertion.rewrite import AssertionRewritingHook

from groundup_guest import rpc, session
from groundup_guest.archive import pack
from groundup_guest.files import Files, FilesError
from groundup_guest.launch import LaunchError
from groundup_guest.programs import ProgramError, Programs
from groundup_guest.rpc import Body, Channel, ChannelClosedError, Message
from groundup_guest.surroundings import Surroundings

LOOPBACK = {"4": "127.0.0.1", "6": "::1"}
NATIVE = {"addresses": LOOPBACK, "own": LOOPBACK, "floor": 0.4}
PATIENCE = 30.0


@dataclass
class Outcome:
    """What one run of a test file told its host."""

    status: int = -1
    events: list[Body] = field(default_factory=list)
    seconds: float = 0.0

    def of(self, method: str) -> list[Body]:
        return [event["params"] for event in self.events if event["method"] == method]

    @property
    def results(self) -> dict[str, Body]:
        return {found["id"]: found for found in self.of("test_finished")}

    @property
    def only(self) -> Body:
        (found,) = self.of("test_finished")
        return found


class Backend:
    """One host, one server machine's programs."""

    def __init__(self, programs: Programs, surroundings: Surroundings, directory: Path) -> None:
        self.programs = programs
        self.files = Files(programs.home)
        self.surroundings = surroundings
        self._directory = directory
        self._runs = 0
        self.wire_calls: list[tuple[str, Body]] = []
        self.capture = b""
        self.broken: set[str] = set()
        """Methods that fail as if the machinery did."""

    def run(
        self,
        source: str,
        *,
        select_: list[str] | None = None,
        program: str = "subject",
        beside: dict[str, bytes] | None = None,
        **options: Any,
    ) -> Outcome:
        self._runs += 1
        params = {"chapter": program, "seed": 1, "select": select_ or [], "options": {**NATIVE, **options}}
        archive = pack({"test_subject.py": (HEADER + source).encode(), **(beside or {})})
        outcome, began = Outcome(), time.monotonic()
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._child(theirs, params, archive)
        theirs.close()
        with Channel(ours.detach()) as channel:
            self._serve(channel, outcome)
        self.programs.reset()
        outcome.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        outcome.seconds = time.monotonic() - began
        return outcome

    def _child(self, theirs: socket.socket, params: Body, archive: bytes) -> None:
        status = 99
        try:
            # The child is a fork of a pytest that rewrites assertions; the one that it is to be does not.
            sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AssertionRewritingHook)]
            prepared = session.prepare(self._directory / f"run{self._runs}")
            with Channel(theirs.detach()) as channel:
                status = session.run(prepared, channel, params, archive)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _serve(self, channel: Channel, outcome: Outcome) -> None:
        poller = select.poll()
        poller.register(channel.fileno(), select.POLLIN)
        poller.register(self.programs.fileno(), select.POLLIN)
        while True:
            try:
                while (message := channel.poll()) is not None:
                    if "id" in message.body:
                        answer = self._answer(message)
                        # The run does not wait for the answers to its last calls: it may be gone, its events are not.
                        with contextlib.suppress(ChannelClosedError):
                            channel.send(*answer)
                    else:
                        outcome.events.append(message.body)
            except ChannelClosedError:
                return
            poller.poll(PATIENCE * 1000)
            self.programs.pump(0)

    def _answer(self, message: Message) -> tuple[Body, bytes]:
        number, method, params = message.body["id"], message.body["method"], message.body["params"]
        place, _, name = method.partition(".")
        if method in self.broken:
            return rpc.failure(number, "the machine has caught fire"), b""
        if place == "wire":
            self.wire_calls.append((name, params))
            return rpc.response(number, {}), self.capture if name == "packets" else b""
        if name == "signal":
            return rpc.response(number, self.programs.signal(params["handle"], params["signal"])), b""
        owner = self.surroundings if hasattr(self.surroundings, name) else self.programs
        try:
            if name == "tree":
                return rpc.response(number, self.files.change(payload=message.payload, **params)), b""
            found = getattr(owner, name)(**params)
        except (ProgramError, LaunchError, FilesError) as error:
            return rpc.failure(number, str(error)), b""
        result, payload = found if isinstance(found, tuple) else (found, b"")
        return rpc.response(number, result), payload


HEADER = """
import signal
from groundup_guest.testing import hidden, needs, points, read, timeout
"""
