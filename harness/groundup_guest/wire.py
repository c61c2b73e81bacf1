"""The fixture `wire`: faults on the link between the machines, and what has passed over it."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet
from scapy.utils import PcapNgReader

from groundup_guest.scene import Scene

LOST = {b"dropped by plan", b"not delivered: the machine has gone"}
"""What the wire notes beside a frame that it has not delivered."""


@dataclass(frozen=True, slots=True)
class Capture:
    """The packets that have been sent since the test began, in order; those that the wire has lost are among them."""

    packets: list[Packet]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.packets)

    def __iter__(self) -> Iterator[Packet]:
        return iter(self.packets)

    def arrived(self) -> "Capture":
        """Return those that reached the other machine, in the order and as often as they did."""
        return Capture([packet for packet in self.packets if not set(packet.comments or ()) & LOST])

    def udp(self, port: int | None = None, *, to: int | None = None) -> list[Packet]:
        """Return the UDP datagrams, of fragments the first; only those from or to `port`, only those sent to `to`."""
        return [
            packet
            for packet in self.packets
            if UDP in packet
            and (port is None or port in (packet[UDP].sport, packet[UDP].dport))
            and (to is None or packet[UDP].dport == to)
        ]

    def tcp(self, port: int | None = None, flags: str | None = None) -> list[Packet]:
        """Return the TCP segments; only those from or to `port`, only those with just these flags (`S`, `SA`, `FA`)."""
        return [
            packet
            for packet in self.packets
            if TCP in packet
            and (port is None or port in (packet[TCP].sport, packet[TCP].dport))
            and (flags is None or packet[TCP].flags == flags)
        ]


class Wire:
    """The fixture. Faults last until the test ends; each method replaces the link's faults by its own."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._faulty: set[str] = set()
        self._mark = f"test {scene.name}"
        scene.host.call("wire.mark", label=self._mark)
        scene.closers.append(self._clear_all)

    def faults(self, plan: dict[str, Any], *, link: str = "eth0") -> None:
        """Set faults by a plan: drop, duplicate, reorder, corrupt (shares of 1), delay_ms, direction, match, seed."""
        plan = {"seed": self._scene.settings.seed, **plan}
        self._faulty.add(link)
        self._scene.host.call("wire.faults", link=link, plan=plan)
        shown = ", ".join(f"{name} {value}" for name, value in plan.items() if name != "seed")
        self._scene.steps.add("wire", f"faults on {link}: {shown}")

    def drops(self, share: float, *, link: str = "eth0", **plan: Any) -> None:
        """Lose this share of the frames."""
        self.faults({"drop": share, **plan}, link=link)

    def delays(self, milliseconds: float, *, link: str = "eth0", **plan: Any) -> None:
        """Deliver each frame later."""
        self.faults({"delay_ms": milliseconds, **plan}, link=link)

    def duplicates(self, share: float, *, link: str = "eth0", **plan: Any) -> None:
        """Deliver this share of the frames twice."""
        self.faults({"duplicate": share, **plan}, link=link)

    def reorders(self, share: float, *, link: str = "eth0", **plan: Any) -> None:
        """Let this share of the frames be overtaken by the next."""
        self.faults({"reorder": share, **plan}, link=link)

    def corrupts(self, share: float, *, link: str = "eth0", **plan: Any) -> None:
        """Flip a bit in this share of the frames."""
        self.faults({"corrupt": share, **plan}, link=link)

    def clears(self, *, link: str = "eth0") -> None:
        """End the link's faults."""
        self._faulty.discard(link)
        self._scene.host.call("wire.clear", link=link)
        self._scene.steps.add("wire", f"no more faults on {link}")

    def injects(self, packet: Packet | bytes, to: str = "server", *, link: str = "eth0") -> None:
        """Put a frame on the wire that nobody has sent."""
        self._scene.host.call("wire.inject", bytes(packet), link=link, to=to)
        summary = packet.summary() if isinstance(packet, Packet) else f"{len(packet)} bytes"
        self._scene.steps.add("wire", f"injected a frame to the {to}", summary)

    def counts(self, *, link: str = "eth0") -> dict[str, Any]:
        """Return the link's counters."""
        return self._scene.host.call("wire.counts", link=link)[0]

    def capture(self, *, link: str = "eth0") -> Capture:
        """Return the packets that have passed since the test began."""
        _, content = self._scene.host.call("wire.packets", link=link, since=self._mark)
        with PcapNgReader(io.BytesIO(content)) as reader:  # type: ignore[arg-type]
            return Capture(list(reader))

    def _clear_all(self) -> None:
        for link in self._faulty:
            self._scene.host.call("wire.clear", link=link)
        self._faulty.clear()
