"""The client role: runs a chapter's tests in forked children that find pytest and Scapy imported already."""

import os
import select
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from groundup_guest import rpc, session
from groundup_guest.rpc import Body, Channel
from groundup_guest.session import Prepared

SESSION_PORT = "groundup.session"
TESTS = Path("/run/groundup/tests")
REHEARSAL = Path("/run/groundup/rehearsal")
SHOWN = 4096


class ClientRole:
    """Runs tests. `open_session` opens the port over which a run talks to the host; its child owns it."""

    name = "client"

    def __init__(self, channel: Channel, open_session: Callable[[], Channel], directory: Path) -> None:
        self._channel = channel
        self._open_session = open_session
        self._prepared: Prepared = session.prepare(directory)

    @classmethod
    def in_guest(cls, channel: Channel) -> "ClientRole":
        """Return the role with Scapy imported (the machine has its addresses already) and everything run once."""
        # Scapy reads routes and interfaces when it is imported.
        from scapy import all as scapy  # noqa: PLC0415

        from groundup_guest import chao, link, wire  # noqa: F401, PLC0415
        from groundup_guest.rehearsal import rehearse  # noqa: PLC0415

        scapy.conf.verb = 0
        rehearse(REHEARSAL)
        return cls(channel, lambda: Channel(rpc.open_port(SESSION_PORT), reconnects=True), TESTS)

    def methods(self) -> dict[str, Callable[[dict[str, Any], bytes], Body]]:
        """Return the methods by name."""
        return {"run": self.run, "cancel": lambda _params, _payload: {"running": False}}

    def idle(self) -> None:
        """Nothing is done ahead."""

    def wake(self) -> None:
        """Nothing is watched beside the port."""

    def pollable(self) -> int | None:
        """Return None: nothing is watched beside the port."""
        return None

    def run(self, params: dict[str, Any], archive: bytes) -> Body:
        """Run a chapter's tests; return pytest's status, and the last of what the child wrote on stdout and stderr.

        `cancel` may come meanwhile and ends the run; other calls are refused.
        """
        output = os.memfd_create("output", os.MFD_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self._channel.close()
            self._child(self._open_session, params, archive, output)
        pidfd = os.pidfd_open(pid)
        try:
            cancelled = self._attend(pid, pidfd)
            _, status = os.waitpid(pid, 0)
            size = os.fstat(output).st_size
            said = os.pread(output, SHOWN, max(0, size - SHOWN)).decode("utf-8", "replace")
        finally:
            os.close(pidfd)
            os.close(output)
        return {"exit": os.waitstatus_to_exitcode(status), "cancelled": cancelled, "output": said}

    def _attend(self, pid: int, pidfd: int) -> bool:
        """Wait for the child's end, answering the host meanwhile; return whether the run was cancelled."""
        cancelled = False
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(self._channel.fileno(), select.POLLIN)
        while True:
            while (message := self._channel.poll()) is not None:
                number = message.body.get("id")
                if message.body.get("method") == "cancel":
                    cancelled = True
                    os.killpg(pid, signal.SIGKILL)
                    self._channel.send(rpc.response(number, {"running": True}))
                elif number is not None:
                    self._channel.send(rpc.failure(number, "tests are running; only cancel is answered"))
            if any(descriptor == pidfd for descriptor, _ in poller.poll()):
                return cancelled

    def _child(
        self, open_session: Callable[[], Channel], params: dict[str, Any], archive: bytes, output: int | None
    ) -> NoReturn:
        """Run in the forked child; never returns into the agent's code."""
        status = session.INTERNAL_ERROR
        try:
            os.setsid()
            if output is not None:
                os.dup2(output, 1)
                os.dup2(output, 2)
            with open_session() as channel:
                status = session.run(self._prepared, channel, params, archive)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
