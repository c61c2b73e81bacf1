"""The fixture `udp`: sockets in the client machine that exchange datagrams with the program."""

import select
import socket
import time

from groundup_guest import mistakes
from groundup_guest.address import Address
from groundup_guest.conditions import Condition
from groundup_guest.program import Program
from groundup_guest.scene import Scene
from groundup_guest.server import Server
from groundup_guest.steps import count, preview
from groundup_guest.tcp import FAMILIES, target
from groundup_guest.udp_listener import Responder

LARGEST = 1 << 16
RECEIVE_BUFFER = 4 << 20
"""Bytes that may wait here until a test asks for them; the kernel gives as much as it gives anybody."""


def compare(expected: bytes, received: bytes) -> str:
    """Return what probably went wrong where `received` came in place of the datagram `expected`."""
    if len(received) < len(expected) and expected.startswith(received):
        return (
            "It was cut: recvmsg(2) throws away what does not fit into the buffer, and says so only by MSG_TRUNC in "
            "msg_flags."
        )
    if len(received) > len(expected) and received.startswith(expected):
        return "More came back than was sent: recvmsg(2) returns how many bytes of the buffer the datagram has filled."
    return mistakes.compare(expected, received)


class Datagrams:
    """One UDP socket that talks to one program."""

    def __init__(self, scene: Scene, family: int, to: tuple[str, int]) -> None:
        self._scene = scene
        self._socket = socket.socket(FAMILIES[family], socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.setblocking(False)
        self._socket.bind(("::" if family == 6 else "0.0.0.0", 0))
        self._to = to
        self.local = Address("udp", *self._socket.getsockname()[:2])
        self.remote = Address("udp", *to)

    def sends(self, data: bytes) -> None:
        """Send one datagram."""
        self._socket.sendto(data, self._to)
        self._scene.steps.add("peer", f"sent a datagram of {count(len(data), 'byte')}", preview(data))

    def receives(self, data: bytes, *, hint: str = "", none: str = "") -> None:
        """Expect one datagram, which holds exactly these bytes and comes from the address that was sent to.

        `none` is the hint where no datagram comes at all.
        """
        received = self.receives_any(hint=none or hint)
        if received != data:
            step = self._scene.steps.steps.pop()
            self._scene.steps.fail(
                "peer",
                f"expected a datagram of {count(len(data), 'byte')}, but received another of {len(received):,}:",
                "The datagram holds other bytes than expected.",
                hint or compare(data, received),
                detail=step.detail,
                expected=data,
                received=received,
            )

    def receives_any(self, *, hint: str = "") -> bytes:
        """Expect one datagram from the address that was sent to; return what it holds."""
        if not self._wait(self._scene.deadlines.default):
            self._scene.steps.fail(
                "peer", "expected a datagram, but none came", "The server did not answer the datagram.", hint
            )
        try:
            data, source = self._socket.recvfrom(LARGEST)
        except ConnectionError as error:
            self._scene.steps.fail(
                "peer", f"expected a datagram, but: {error.strerror}", "Nobody listens at the server's port.", hint
            )
        host, port = self._to
        if source[:2] != (host.partition("%")[0], port):  # Python leaves out the interface of fe80::…%eth0
            self._scene.steps.fail(
                "peer",
                f"expected an answer from {self.remote.text}, but it came from {Address('udp', *source[:2]).text}",
                "The answer came from another address than the one that was asked.",
                hint or "A machine has several addresses: IP_PKTINFO tells which one a datagram was sent to (ip(7)).",
            )
        self._scene.steps.add("peer", f"received a datagram of {count(len(data), 'byte')}", preview(data))
        return data

    def receives_nothing_until(self, condition: Condition, *, hint: str = "") -> None:
        """Expect no datagram until the program has come to rest."""
        found = condition.program.call("settle", deadline=self._scene.deadlines.default)
        if not found["settled"]:
            condition.program.fail_restless(found)
        # Nothing acknowledges a datagram: one that was sent just before is given some round trips to arrive.
        if self._wait(20 * self._scene.deadlines.unit):
            data = self._socket.recv(LARGEST)
            self._scene.steps.fail(
                "peer",
                f"expected no datagram, but received one of {count(len(data), 'byte')}:",
                "The server answered where it should have been silent.",
                hint,
                detail=preview(data, 400),
            )
        self._scene.steps.add("server", f"{condition.text} and is silent")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _wait(self, seconds: float) -> bool:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        until = time.monotonic() + seconds
        return bool(poller.poll(max(0.0, until - time.monotonic()) * 1000))


class Udp:
    """The fixture: opens sockets."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def socket(
        self,
        program: Program | Server,
        family: int | None = None,
        port: int | None = None,
        *,
        host: str | None = None,
    ) -> Datagrams:
        """Open a socket for talking to a program; under `host`, if the machine has more than one address."""
        if host is not None:
            family = 6 if ":" in host else 4
        family, usual, port = target(self._scene, program, family, port, "udp")
        datagrams = Datagrams(self._scene, family, (host or usual, port))
        self._scene.closers.append(datagrams.close)
        return datagrams

    def listens(self, family: int = 4, port: int = 0) -> Responder:
        """Receive in this machine, on its IPv4 or IPv6 address (4 or 6), on a free port or on this one.

        From now on the program is a client.
        """
        return Responder(self._scene, family, port)
