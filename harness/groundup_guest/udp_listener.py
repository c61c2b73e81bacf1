"""Where the program under test asks over UDP, the test plays the server: a bound socket, and what comes to it."""

import select
import socket
import time
from dataclasses import dataclass
from typing import Any, NoReturn

from groundup_guest import mistakes
from groundup_guest.address import Address
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.steps import count, preview, said

LARGEST = 1 << 16
MANY = 1000
"""So many datagrams no program has reason to send in one test; a list of all that a flood brings would fill memory."""
LOOK_SECONDS = 0.05
"""How often it is asked whether a program that has sent nothing yet still runs."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """What came, from where (as Python has it), and when by this machine's clock, in monotonic seconds."""

    data: bytes
    source: tuple[Any, ...]
    t: float


class Responder:
    """A socket of this machine to which programs send, on one address and port."""

    def __init__(self, scene: Scene, family: int, port: int) -> None:
        self._scene = scene
        self.host = scene.settings.own[family]
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self._socket = socket.socket(kind, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind((self.host, port))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        scene.closers.append(self._socket.close)
        scene.steps.program_is_client = True
        scene.steps.add("peer", f"receives at {self.target()}")

    def target(self, host: str | None = None) -> str:
        """Return the address as the course writes it, under this address or another name for it."""
        return Address("udp", self.host, self.port).text if host is None else f"udp:{host}:{self.port}"

    def receives(self, program: Program, *, hint: str = "") -> Datagram:
        """Expect a datagram from the program, and return it."""
        datagram = self._next(program)
        if datagram is None:
            self._fail_nothing(program, hint)
        self._scene.steps.add(
            "peer", f"received a datagram of {count(len(datagram.data), 'byte')}", preview(datagram.data)
        )
        return datagram

    def replies(self, data: bytes, to: Datagram) -> None:
        """Send a datagram back to where another came from."""
        self._socket.sendto(data, to.source)
        self._scene.steps.add("peer", f"replied with {count(len(data), 'byte')}", preview(data))

    def echoes(self, program: Program, times: int = 1, *, hint: str = "") -> list[Datagram]:
        """Receive so many datagrams, and send each of them back."""
        found = []
        for _ in range(times):
            found.append(self.receives(program, hint=hint))
            self._socket.sendto(found[-1].data, found[-1].source)
            self._scene.steps.steps[-1].text += ", and sent it back"
        return found

    def echoes_to_the_end(self, program: Program) -> list[Datagram]:
        """Send back whatever comes until the program ends."""
        found: list[Datagram] = []
        while (datagram := self._next(program)) is not None:
            self._keep(found, datagram)
            self._socket.sendto(datagram.data, datagram.source)
        self._scene.steps.add("peer", f"received {count(len(found), 'datagram')}, and sent them back")
        return found

    def receives_to_the_end(self, program: Program) -> list[Datagram]:
        """Take whatever comes until the program ends, and be silent."""
        found: list[Datagram] = []
        while (datagram := self._next(program)) is not None:
            self._keep(found, datagram)
        self._scene.steps.add("peer", f"received {count(len(found), 'datagram')}, and said nothing")
        return found

    def sees_nothing(self, *, hint: str = "") -> None:
        """Expect that nothing has come (any more). Certain once the program has ended."""
        if self._ready(0):
            datagram = self._take()
            self._scene.steps.fail(
                "peer",
                f"expected no datagram, but there is one of {count(len(datagram.data), 'byte')}:",
                "The program has sent a datagram where it should have sent none.",
                hint,
                detail=preview(datagram.data, 400),
            )
        self._scene.steps.add("peer", "received nothing")

    def closes(self) -> None:
        """Receive no more: from now on this machine answers that nobody has this port."""
        self._socket.close()
        self._scene.steps.add("peer", f"has left {self.target()}: its port is unreachable now")

    def _keep(self, found: list[Datagram], datagram: Datagram) -> None:
        found.append(datagram)
        if len(found) > MANY:
            self._scene.steps.fail(
                "peer",
                f"expected the program to end, but received {count(MANY, 'datagram')}, and more come",
                "The program sends without end.",
            )

    def _ready(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def _take(self) -> Datagram:
        data, source = self._socket.recvfrom(LARGEST)
        return Datagram(data, source, time.monotonic())

    def _next(self, program: Program) -> Datagram | None:
        """Return the next datagram; None when the program has ended, or none comes for long enough."""
        deadline = time.monotonic() + self._scene.deadlines.default
        while not self._ready(LOOK_SECONDS):
            ended = program.call("wait", deadline=0)["exit"] is not None
            if ended or time.monotonic() > deadline:
                return self._take() if self._ready(0) else None
        return self._take()

    def _fail_nothing(self, program: Program, hint: str) -> NoReturn:
        exit_ = program.call("wait", deadline=0)["exit"]
        quoted = said(program.stderr)
        then = f"it {mistakes.ending(exit_)}" if exit_ else "it still runs"
        words = f"It said: {quoted}" if quoted else program.doing()
        self._scene.steps.fail(
            "peer",
            f"expected a datagram at {self.target()}, but none came: {then}",
            f"The program sent nothing to {self.target()}: {then}.",
            f"{hint} {words}".strip(),
        )
