"""The switch between the guests' socket devices: stateless, in order, and indifferent to what a guest does wrong.

Each packet goes to the guest that its header names. Connections, credit and shutdown are the guests' own affair, end to
end, so the switch can neither lose data nor disagree with a kernel about the state of a connection. What it adds:

- A guest speaks for itself only: a packet with a forged source CID is dropped and counted.
- What cannot be delivered (unknown CID, closed end, nobody on the host) is answered with RST at once.
- A packet is cut to the room of the receiver's buffers; flags that end a message stay with the last piece.
- What waits for a guest is bounded. When the bound is reached, the guest whose packet reached it is not read from until
  half of it is delivered: a guest without receive buffers costs its peers their progress, never the host its memory.
- A wake-up does a bounded amount of work, then the event loop goes on.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from groundup.errors import MachineryError
from groundup.link.pcapng import Direction
from groundup.vsock import monitor
from groundup.vsock.faults import Faults, Plan
from groundup.vsock.packet import CID_HOST, Op, Packet
from groundup.vsock.port import Port

FIRST_GUEST_CID: Final = 3
_LAST_CID: Final = 0xFFFFFFFE  # 0xffffffff is VMADDR_CID_ANY; the upper half of a CID is reserved (virtio 5.10.4)

Report = Callable[[int, str], None]
Capture = Callable[[int, bytes, Direction], None]
_log = logging.getLogger(__name__)


class HostEnd(Protocol):
    """Somebody who plays the host's end of connections: gets every packet for the port it was registered at."""

    def received(self, packet: Packet) -> None:
        """Take a packet from a guest. It may answer with `Switch.send`; it must not block."""


@dataclass(slots=True)
class Counters:
    """What the switch did, in packets except for `payload_bytes`."""

    forwarded: int = 0
    payload_bytes: int = 0
    unreachable: int = 0  # answered with RST: there is nobody at the address, or not any more
    forged: int = 0  # dropped: the source CID is not the sender's
    malformed: int = 0  # dropped: no packet at all
    reset: int = 0  # replaced by RST to both ends, as the plan of faults says


def _to_log(cid: int, message: str) -> None:
    _log.warning("vsock device of CID %d: %s", cid, message)


class Switch:
    """The switch. It belongs to one running event loop; only `ready` and `aclose` are to be awaited."""

    def __init__(
        self, *, report: Report = _to_log, capture: Capture | None = None, viewpoint: int = FIRST_GUEST_CID
    ) -> None:
        """Make a switch without guests.

        `report` gets a CID and one line when a guest's device stopped because of what the guest or its front-end did,
        or (with CID 2) when a host end raised. `capture` gets wall-clock time in nanoseconds, a LINKTYPE_VSOCK record
        and the direction as the guest `viewpoint` sees it, once for every packet that a guest or a host end sent,
        before faults touch it, and for every packet that the switch made itself. Neither may raise.
        """
        self.counters = Counters()
        self._report = report
        self._capture = capture
        self._viewpoint = viewpoint
        self._ports: dict[int, Port] = {}
        self._ends: dict[int, HostEnd] = {}
        self._faults: Faults | None = None

    # ---- guests ----

    def attach(self, cid: int, sock: socket.socket) -> None:
        """Serve the guest with the address `cid` over `sock`, one end of a pair whose other end is QEMU's chardev.

        The switch owns `sock` from here on. A guest whose QEMU ends, or breaks the protocol, is detached by itself.
        Raises MachineryError where the CID is not one for a guest or is taken; the socket is still the caller's then.
        """
        if not FIRST_GUEST_CID <= cid <= _LAST_CID:
            raise MachineryError(f"CID {cid} cannot be a guest's", f"use {FIRST_GUEST_CID} to {_LAST_CID}")
        if cid in self._ports:
            raise MachineryError(f"there is a guest with CID {cid} already", "detach it first")
        self._ports[cid] = Port(self, cid, sock)

    def detach(self, cid: int) -> None:
        """Let go of a guest, if there is one with this CID; packets to it are answered with RST from now on."""
        port = self._ports.pop(cid, None)
        if port is not None:
            port.close()

    async def ready(self, cid: int) -> None:
        """Wait until the guest's driver has started both rings.

        Raises MachineryError where no such guest is attached, or its device failed.
        """
        port = self._ports.get(cid)
        if port is None:
            raise MachineryError(f"there is no guest with CID {cid}", "attach it first")
        await port.settled.wait()
        if port.failure:
            raise MachineryError(f"the vsock device of CID {cid} failed: {port.failure}")

    async def aclose(self) -> None:
        """Let go of all guests and host ends; every descriptor is closed upon return. May be called again."""
        self._ends.clear()
        while self._ports:
            self.detach(next(iter(self._ports)))

    # ---- the host ----

    def listen(self, port: int, end: HostEnd) -> None:
        """Give all packets for CID 2 and this port to `end`. Raises MachineryError where the port is taken."""
        if port in self._ends:
            raise MachineryError(f"port {port} of the vsock host has an end already", "use another port")
        self._ends[port] = end

    def unlisten(self, port: int) -> None:
        """Take the host end away from a port, if there is one; packets for it get RST from now on."""
        self._ends.pop(port, None)

    def send(self, packet: Packet) -> bool:
        """Send a packet of the host's (its source must be CID 2, else ValueError).

        Returns False, and has done nothing, where too much waits for the guest already. If the guest is not reachable,
        the RST comes to the host end before this returns.
        """
        if packet.src_cid != CID_HOST:
            raise ValueError(f"a host end cannot send as CID {packet.src_cid}")
        port = self._ports.get(packet.dst_cid)
        if port is not None and port.full:
            return False
        self._fill(self._pass_on(packet))
        return True

    # ---- faults ----

    def set_faults(self, plan: Plan | None) -> None:
        """Put a plan of faults into force in place of the last one; None ends them.

        Ends the starvation of the last plan: the true credit is announced to all that were told less.
        """
        last, self._faults = self._faults, None
        for update in last.lift() if last else ():
            self._see(update)
            self._fill(self._deliver(update))
        self._faults = Faults(plan) if plan else None

    # ---- what ports ask for ----

    def route(self, packet: Packet, sender: Port) -> Iterable[Port]:
        """See port.Router."""
        if packet.src_cid != sender.cid:
            self.counters.forged += 1
            return ()
        return self._pass_on(packet)

    def bounce(self, packets: Iterable[Packet]) -> None:
        """See port.Router."""
        receivers: set[Port] = set()
        for packet in packets:
            source = self._ports.get(packet.src_cid)
            if source is not None and source.full:
                # No sender is held up here, so this is the one place where a line could grow without bound.
                self.counters.unreachable += 1
            else:
                receivers.update(self._refuse(packet))
        self._fill(receivers)

    def malformed(self) -> None:
        """See port.Router."""
        self.counters.malformed += 1

    def stopped(self, port: Port, reason: str, *, gone: bool) -> None:
        """See port.Router."""
        if gone and self._ports.get(port.cid) is port:
            del self._ports[port.cid]
        if reason:
            self._report(port.cid, reason)

    # ---- inside ----

    def _see(self, packet: Packet) -> None:
        if self._capture is not None:
            self._capture(time.time_ns(), monitor.record(packet), monitor.direction(packet, self._viewpoint))

    @staticmethod
    def _fill(ports: Iterable[Port]) -> None:
        for port in ports:
            port.fill()

    def _pass_on(self, packet: Packet) -> Iterable[Port]:
        """Let faults have their way with a packet, then deliver what is left of it."""
        self._see(packet)
        if self._faults is None:
            return self._deliver(packet)
        fate = self._faults.apply(packet)
        if fate.packet is not None:
            return self._deliver(fate.packet, fate.delay)
        self.counters.reset += 1
        ahead = packet._replace(op=Op.RST, flags=0, buf_alloc=0, fwd_cnt=0, payload=b"")
        back = packet.rst()
        receivers: list[Port] = []
        for rst in (ahead, back):
            self._see(rst)
            receivers += self._deliver(rst)
        return receivers

    def _deliver(self, packet: Packet, delay: float = 0.0) -> Iterable[Port]:
        """Put a packet in its receiver's line, or hand it to a host end; failing both, answer it."""
        if packet.dst_cid == CID_HOST:
            if self._hand_over(packet):
                return ()
            return self._refuse(packet)
        port = self._ports.get(packet.dst_cid)
        if port is None or not port.reachable:
            return self._refuse(packet)
        self.counters.forwarded += 1
        self.counters.payload_bytes += len(packet.payload)
        port.put(packet, delay)
        return (port,)

    def _hand_over(self, packet: Packet) -> bool:
        """Give a packet to a host end. A fault in an end costs that connection, never the switch."""
        end = self._ends.get(packet.dst_port)
        if end is None:
            return False
        try:
            end.received(packet)
        except Exception as error:
            self._report(CID_HOST, f"the host end at port {packet.dst_port} raised {error!r}")
            return False
        self.counters.forwarded += 1
        self.counters.payload_bytes += len(packet.payload)
        return True

    def _refuse(self, packet: Packet) -> Iterable[Port]:
        """Answer what cannot be delivered with RST. Never an RST (as Linux: or two could go on for ever)."""
        self.counters.unreachable += 1
        if packet.op == Op.RST:
            return ()
        rst = packet.rst()
        self._see(rst)
        return self._deliver(rst)
