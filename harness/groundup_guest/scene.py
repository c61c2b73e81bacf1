"""What all fixtures of one test share: its steps, the way to the host, how long to wait, what to clean up."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groundup_guest.rpc import Body, Channel, ChannelClosedError, ProtocolError, RpcError
from groundup_guest.steps import InfraError, Steps

if TYPE_CHECKING:
    from groundup_guest.program import Program

GRACE_SECONDS = 20.0
"""How much later than its own deadline a call may be answered before the machinery is said to hang."""
FLOOR_SECONDS = 2.0
UNITS = 400
SLOWEST_UNIT = 0.025
"""Seconds; a slower round trip was a moment's hold-up. A test that waits once in vain ends before its own limit."""


@dataclass(slots=True)
class Deadlines:
    """How long to wait. `unit` is a measured round trip, in seconds; only a failure waits as long as this says."""

    unit: float = 0.002
    floor: float = FLOOR_SECONDS

    def __post_init__(self) -> None:
        """Keep the unit within what such a pair can be."""
        self.unit = min(self.unit, SLOWEST_UNIT)

    @property
    def default(self) -> float:
        """Seconds after which something that should happen at once is taken not to happen."""
        return max(self.floor, UNITS * self.unit)

    @property
    def slack(self) -> float:
        """Seconds by which a contract's time may be exceeded because the machines are slow."""
        return max(0.25, 50 * self.unit)


@dataclass(slots=True)
class Settings:
    """What the run is about. `addresses` are the server machine's, `own` this machine's, by family."""

    program: str
    seed: int = 0
    addresses: dict[int, str] = field(default_factory=lambda: {4: "192.0.2.1", 6: "2001:db8::1"})
    own: dict[int, str] = field(default_factory=lambda: {4: "192.0.2.2", 6: "2001:db8::2"})
    macs: dict[str, str] = field(default_factory=lambda: {f"eth{n}": f"52:54:00:00:{n:02x}:01" for n in (0, 1)})
    """The server machine's interfaces (groundup/vm/machine.py)."""
    floor: float = FLOOR_SECONDS
    """Seconds that the default deadline is never under, however quick the machines are."""
    limit: float = 30.0
    """Seconds a test may take if its `timeout` marker says nothing else."""
    independent: bool = False


class Host:
    """The way to the host. Whatever goes wrong on it is the machinery's fault, so it is an InfraError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def call(self, method: str, payload: bytes = b"", **params: Any) -> tuple[Body, bytes]:
        """Call the host; return the result and its payload."""
        timeout = float(params.get("deadline") or 0) + GRACE_SECONDS
        try:
            message = self._channel.call(method, params, payload, timeout=timeout)
        except (RpcError, ProtocolError, ChannelClosedError) as error:
            raise InfraError(f"{method}: {error}") from error
        return message.body.get("result") or {}, message.payload

    def server(self, method: str, **params: Any) -> Body:
        """Call the server machine's agent."""
        return self.call(f"server.{method}", **params)[0]

    def server_later(self, method: str, **params: Any) -> None:
        """Call the server machine's agent without waiting; it serves calls in order, the next one after this."""
        self._channel.post(f"server.{method}", params)

    def notify(self, method: str, **params: Any) -> None:
        """Send an event."""
        self._channel.notify(method, params)

    def overdue(self) -> str | None:
        """Return the method of a call whose answer is overdue; None if none is."""
        calling = self._channel.calling
        return calling[0] if calling and time.monotonic() > calling[1] - GRACE_SECONDS / 2 else None

    def measure(self) -> float:
        """Return the seconds that a call takes, median of three."""
        times = []
        for _ in range(3):
            began = time.monotonic()
            self.call("wire.counts", link="eth0")
            times.append(time.monotonic() - began)
        return statistics.median(times)


@dataclass(slots=True)
class Scene:
    """One test's stage."""

    name: str
    host: Host
    deadlines: Deadlines
    settings: Settings
    steps: Steps = field(default_factory=Steps)
    programs: list["Program"] = field(default_factory=list)
    latest: "Program | None" = None
    """The program that the test has dealt with last: what it did is shown when the test fails."""
    closers: list[Callable[[], None]] = field(default_factory=list)
    """Called when the test's own part is over, last first: they close its ends of connections, and clear faults."""

    def close_ends(self) -> None:
        """Close what the test has opened in this machine."""
        while self.closers:
            self.closers.pop()()
