"""Faults that a test can put on the socket traffic between the machines. Every choice comes from a seed.

There is no loss: a virtio socket never loses a packet, and its peers have no retransmission.
"""

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

from groundup.vsock.packet import Op, Packet

REMEMBERED: Final = 4096
"""Connections whose true credit is remembered while it is starved; more than a guest can open with its descriptors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to go wrong. The default is nothing.

    `delay` and `jitter` are in seconds: every packet waits for `delay` and up to `jitter` more. Packets to one guest
    stay in order, so one that waits holds up those behind it.
    `reset_chance` is the probability with which a packet that carries payload resets its connection at both ends
    instead; `reset_after` does so to every such packet once that many bytes of payload have passed under this plan.
    `credit` caps the receive buffer that a packet announces (`buf_alloc`), in bytes: with 0 its peer may not send, and
    Linux does not call the peer's socket writable, so a non-blocking connect(2) does not complete either.
    `port` confines the plan to connections with that port at either end.
    """

    seed: int = 0
    delay: float = 0.0
    jitter: float = 0.0
    reset_chance: float = 0.0
    reset_after: int | None = None
    credit: int | None = None
    port: int | None = None

    def __post_init__(self) -> None:
        if self.delay < 0 or self.jitter < 0:
            raise ValueError("delay and jitter cannot be negative")
        if not 0 <= self.reset_chance <= 1:
            raise ValueError("reset_chance is a probability, from 0 to 1")
        if (self.reset_after is not None and self.reset_after < 0) or (self.credit is not None and self.credit < 0):
            raise ValueError("reset_after and credit are bytes, at least 0")


class Fate(NamedTuple):
    """What becomes of a packet: it goes on as `packet`, later by `delay` seconds, or (None) its connection is reset."""

    packet: Packet | None
    delay: float = 0.0


class Faults:
    """A plan at work."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._random = random.Random(plan.seed)
        self._passed = 0
        self._starved: dict[tuple[int, ...], Packet] = {}

    def apply(self, packet: Packet) -> Fate:
        """Decide over one packet."""
        plan = self.plan
        if plan.port is not None and plan.port not in (packet.src_port, packet.dst_port):
            return Fate(packet)
        if packet.op == Op.RW:
            if plan.reset_after is not None and self._passed >= plan.reset_after:
                return Fate(None)
            if plan.reset_chance and self._random.random() < plan.reset_chance:
                return Fate(None)
            self._passed += len(packet.payload)
        if plan.credit is not None:
            packet = self._starve(packet, plan.credit)
        delay = plan.delay
        if plan.jitter:
            delay += self._random.uniform(0, plan.jitter)
        return Fate(packet, delay)

    def _starve(self, packet: Packet, credit: int) -> Packet:
        """Cap the announced credit, and remember the true one for `lift`."""
        ends = packet[:4]
        if packet.op == Op.RST:
            self._starved.pop(ends, None)
            self._starved.pop(packet.rst()[:4], None)
        elif packet.buf_alloc > credit:
            if len(self._starved) < REMEMBERED or ends in self._starved:
                self._starved[ends] = packet._replace(op=Op.CREDIT_UPDATE, flags=0, payload=b"")
            return packet._replace(buf_alloc=credit)
        return packet

    def lift(self) -> list[Packet]:
        """Return the credit updates that end the starvation: peers who wait for credit do not ask for it."""
        updates = list(self._starved.values())
        self._starved.clear()
        return updates
