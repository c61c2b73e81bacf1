"""A guest at the switch: its device, and the line of packets that wait for it."""

import asyncio
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from groundup.vsock.device import RX, TX, Device
from groundup.vsock.packet import Packet, PacketError

PENDING_PACKETS: Final = 16_384
PENDING_BYTES: Final = 16 << 20
"""What may wait for one guest: packets, and bytes of payload (64 of Linux's receive buffers of 256 KiB).

Generous, because replies wait in the same queue as everything else: a Linux guest stops taking packets while 128
replies of its own cannot get out, so two guests that flood each other could block each other for good if both lines
could fill up easily.
"""
BATCH: Final = 64
"""Packets, and receive buffers, handled in one wake-up of one guest."""


class Router(Protocol):
    """What a port needs of the switch."""

    def route(self, packet: Packet, sender: "Port") -> Iterable["Port"]:
        """Pass a guest's packet on; returns the ports in whose lines something was put."""

    def bounce(self, packets: Iterable[Packet]) -> None:
        """Answer packets that can no longer be delivered."""

    def malformed(self) -> None:
        """Count a chain that held no packet."""

    def stopped(self, port: "Port", reason: str, *, gone: bool) -> None:
        """Take note that a guest broke the rules, or that its front-end is `gone` (empty reason: in good order)."""


@dataclass(slots=True)
class _Waiting:
    """A packet on its way to a guest: not before `due` (loop time), `sent` bytes of its payload delivered already."""

    packet: Packet
    due: float
    sent: int = 0


class Port:
    """A guest. It owns the device, and hears from it (`device.Owner`)."""

    def __init__(self, router: Router, cid: int, sock: socket.socket) -> None:
        self.cid = cid
        self.settled = asyncio.Event()  # the device runs, or has failed for good
        self.failure = ""
        self._router = router
        self._loop = asyncio.get_running_loop()
        self._line: deque[_Waiting] = deque()
        self._line_bytes = 0
        self._held_up: set[Port] = set()  # those that are not read from until this one's line is shorter
        self._holder: Port | None = None  # the port whose line holds this one up
        self._timer: asyncio.TimerHandle | None = None
        self._soon: set[int] = set()  # queues that the event loop will come back to
        self.device = Device(cid, sock, self)

    @property
    def reachable(self) -> bool:
        """Whether packets can be given to the guest, now or once it offers buffers."""
        return self.device.running(RX)

    @property
    def full(self) -> bool:
        """Whether so much waits for the guest that its senders have to wait too."""
        return len(self._line) >= PENDING_PACKETS or self._line_bytes >= PENDING_BYTES

    # ---- what the device tells ----

    def kicked(self, queue: int) -> None:
        """See device.Owner."""
        if self.device.running(RX) and self.device.running(TX):
            self.settled.set()
        self._work(queue)

    def stopped(self, queue: int) -> None:
        """See device.Owner."""
        self.settled.clear()
        if queue == RX:
            self._give_up()

    def broken(self, reason: str) -> None:
        """See device.Owner."""
        self._failed(reason)
        self._router.stopped(self, reason, gone=False)

    def gone(self, reason: str) -> None:
        """See device.Owner."""
        self._router.stopped(self, reason, gone=True)
        self.close()

    # ---- out of the transmit queue ----

    def _work(self, queue: int) -> None:
        self._soon.discard(queue)
        if queue == TX:
            self._drain()
        else:
            self.fill()

    def _again(self, queue: int) -> None:
        """Go on with a queue in the event loop's next round."""
        if queue not in self._soon:
            self._soon.add(queue)
            self._loop.call_soon(self._work, queue)

    def _drain(self) -> None:
        """Route what the guest sent, a batch at most, unless a full line holds it up."""
        count = 0 if self._holder else min(self.device.waiting(TX), BATCH)
        taken = 0
        receivers: set[Port] = set()
        while taken < count and self._holder is None:
            taken += 1
            try:
                packet = self.device.take()
            except PacketError:
                self._router.malformed()
                continue
            if packet is None:
                break
            for port in self._router.route(packet, self):
                receivers.add(port)
                if port.full:
                    self._holder = port
                    port._held_up.add(self)
                    break
        if taken:
            self.device.notify(TX)
        for port in receivers:
            port.fill()
        if taken == BATCH:
            self._again(TX)

    # ---- into the receive queue ----

    def put(self, packet: Packet, delay: float = 0.0) -> None:
        """Add a packet to the line, to be delivered by `fill` in `delay` seconds, but never before those ahead of it.

        The line may exceed its bound by what one batch puts there; senders look at `full` after each packet.
        """
        due = self._loop.time() + delay if delay else 0.0
        if self._line and self._line[-1].due > due:
            due = self._line[-1].due
        self._line.append(_Waiting(packet, due))
        self._line_bytes += len(packet.payload)

    def fill(self) -> None:
        """Deliver what is due into the guest's receive buffers, a batch at most."""
        buffers = min(self.device.waiting(RX), BATCH) if self._line else 0
        used = 0
        while used < buffers and self._line and self._is_due(self._line[0]):
            waiting = self._line[0]
            sent = self.device.put(waiting.packet, waiting.sent)
            if sent is None:
                return  # the device broke, and with it the line is gone
            used += 1
            waiting.sent = sent
            if sent == len(waiting.packet.payload):
                self._line.popleft()
                self._line_bytes -= sent
        if used:
            self.device.notify(RX)
        if used == BATCH:
            self._again(RX)
        self._relieve()

    def _is_due(self, waiting: _Waiting) -> bool:
        """Say whether a packet may be delivered; if not, come back when it may."""
        if waiting.due <= self._loop.time():
            return True
        if self._timer is None:
            self._timer = self._loop.call_at(waiting.due, self._on_time)
        return False

    def _on_time(self) -> None:
        self._timer = None
        self.fill()

    def _relieve(self) -> None:
        """Let those go on whom this line held up, once half of it is gone."""
        if len(self._line) > PENDING_PACKETS // 2 or self._line_bytes > PENDING_BYTES // 2:
            return
        while self._held_up:
            port = self._held_up.pop()
            port._holder = None
            port._again(TX)

    # ---- the end ----

    def _give_up(self) -> None:
        """Tell the senders of what can no longer be delivered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lost = [waiting.packet for waiting in self._line]
        self._line.clear()
        self._line_bytes = 0
        self._relieve()
        self._router.bounce(lost)

    def _failed(self, reason: str) -> None:
        self.failure = self.failure or reason
        self.settled.set()
        self._give_up()

    def close(self) -> None:
        """End the device, answer what waits for the guest, and hold nobody up any more. May be called again."""
        self.device.close()
        if self._holder is not None:
            self._holder._held_up.discard(self)
            self._holder = None
        self._failed("its front-end is gone")
