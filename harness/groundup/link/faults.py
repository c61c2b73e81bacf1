"""A plan of faults: which frames are dropped, delayed, duplicated, reordered, corrupted, and what is injected.

Pure logic: a plan looks at a frame and gives a verdict; `pipe` carries it out. The same seed and the same frames in one
direction give the same verdicts, whatever the other direction does in between, because each rule keeps a random
generator and counters for each direction.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from groundup.errors import UsageError
from groundup.link.decode import Decoded, decode
from groundup.link.pcapng import Direction

TO_SERVER: Final = Direction.INBOUND
TO_CLIENT: Final = Direction.OUTBOUND

_DIRECTIONS: Final[dict[str, tuple[Direction, ...]]] = {
    "to-server": (TO_SERVER,),
    "to-client": (TO_CLIENT,),
    "both": (TO_SERVER, TO_CLIENT),
}
_PROTOCOLS: Final = ("tcp", "udp", "icmp", "arp", "ipv4", "ipv6", "chao")
_CHANCES: Final = ("drop", "duplicate", "reorder", "corrupt")
_LONGEST_DELAY_MS: Final = 60_000
_LARGEST_INJECTION: Final = 0xFFFF


class FaultPlanError(UsageError):
    """A plan says something that has no meaning; the message names the place."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A frame to deliver: after `delay` seconds, or, with `hold`, once another overtook it. The capture gets `note`."""

    frame: bytes
    direction: Direction
    note: str = ""
    delay: float = 0.0
    hold: bool = False
    injected: bool = False


@dataclass(slots=True)
class Verdict:
    """What becomes of one frame."""

    deliveries: list[Delivery] = field(default_factory=list)
    dropped: bool = False
    duplicated: bool = False
    corrupted: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Which frames a rule is about: all that agree with every field that is set."""

    protocol: str = ""
    port: int = 0
    data: bool = False  # only frames that carry bytes for a program

    def needs_decoding(self) -> bool:
        """Tell whether a frame has to be decoded to know."""
        return bool(self.protocol or self.port or self.data)

    def fits(self, packet: Decoded) -> bool:
        """Tell whether a frame is meant. `icmp` means ICMPv6 too."""
        if self.protocol:
            names = {packet.protocol.removesuffix("v6"), packet.network}
            if self.protocol not in names:
                return False
        if self.port and self.port not in {packet.source_port, packet.destination_port}:
            return False
        return not self.data or bool(packet.payload and packet.protocol in {"tcp", "udp", "chao"})


@dataclass(frozen=True, slots=True)
class Injection:
    """A frame to send after each one that a rule acts on: the same way, or to the machine `to`."""

    frame: bytes
    to: Direction | None = None


class Rule:
    """One line of a plan: what happens (chances from 0 to 1, delays in seconds) to which frames."""

    def __init__(self, raw: Mapping[str, Any], place: str, seed: str) -> None:
        reader = _Reader(raw, place)
        self.directions = _DIRECTIONS[reader.choice("direction", _DIRECTIONS, "both")]
        self.match = reader.match()
        self.skip = reader.whole("skip", 0)
        self.first = reader.whole("first", 0)
        self.every = reader.whole("every", 1, least=1)
        self.chances = {name: reader.chance(name) for name in _CHANCES}
        self.delay = reader.milliseconds("delay_ms") / 1000
        self.jitter = reader.milliseconds("jitter_ms") / 1000
        self.injection = reader.injection()
        reader.finish()
        if not (any(self.chances.values()) or self.delay or self.jitter or self.injection):
            raise FaultPlanError(
                f"{place} does nothing", f"say what happens: {', '.join(_CHANCES)}, delay_ms, jitter_ms or inject"
            )
        self._random = {direction: random.Random(f"{seed}/{direction.name}") for direction in self.directions}
        self._seen = dict.fromkeys(self.directions, 0)
        self._holding = dict.fromkeys(self.directions, False)

    def wants(self, direction: Direction, packet: Decoded | None) -> bool:
        """Tell whether the rule acts on this frame, and count it."""
        if direction not in self._seen or (packet is not None and not self.match.fits(packet)):
            return False
        number = self._seen[direction] = self._seen[direction] + 1
        number -= self.skip
        if number < 1 or (self.first and number > self.first):
            return False
        return number % self.every == 0

    def judge(self, direction: Direction, frame: bytes, packet: Decoded | None) -> Verdict:
        """Decide what becomes of a frame that the rule wants."""
        chance = self._random[direction]
        # The same number of draws for each frame, so that a change of one chance leaves the others' decisions alone.
        happens = {name: chance.random() < limit for name, limit in self.chances.items()}
        jitter, where = chance.random() * self.jitter, chance.random()
        verdict = Verdict(dropped=happens["drop"])
        if not verdict.dropped:
            self._shape(verdict, happens, Delivery(frame, direction, delay=self.delay + jitter), where, packet)
        if self.injection is not None:
            to = self.injection.to or direction
            verdict.deliveries.append(Delivery(self.injection.frame, to, "injected by plan", injected=True))
        return verdict

    def _shape(
        self, verdict: Verdict, happens: dict[str, bool], plain: Delivery, where: float, packet: Decoded | None
    ) -> None:
        """Fill in the deliveries of a frame that is not dropped."""
        frame, notes = plain.frame, []
        if happens["corrupt"]:
            bit = _bit_to_flip(frame, packet or decode(frame), where)
            if bit is not None:
                frame = _flip(frame, bit)
                notes.append(f"bit {bit % 8} of byte {bit // 8} flipped by plan")
                verdict.corrupted = True
        if plain.delay:
            notes.append(f"delayed {plain.delay * 1000:.0f} ms by plan")
        # A frame behind one that is held must pass, or nothing would ever be overtaken.
        hold = happens["reorder"] and not plain.delay and not self._holding[plain.direction]
        self._holding[plain.direction] = hold
        if hold:
            notes.append("overtaken by plan")
        verdict.deliveries.append(Delivery(frame, plain.direction, "; ".join(notes), plain.delay, hold))
        if happens["duplicate"]:
            verdict.duplicated = True
            notes.append("duplicated by plan")
            verdict.deliveries.append(Delivery(frame, plain.direction, "; ".join(notes), plain.delay, hold))


class Plan:
    """A seed and rules; the first rule that wants a frame decides about it, and frames that none wants pass."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._decodes = any(rule.match.needs_decoding() for rule in rules)

    @classmethod
    def parse(cls, raw: Any) -> "Plan":
        """Make a plan from its JSON form. Raises FaultPlanError, which names what is wrong and where.

        `{"seed": 7, "rules": [RULE, …]}`, or one rule and the seed in one object. A rule may have:

        - `direction`: `to-server`, `to-client`, `both` (default);
        - `match`: `tcp`, `udp`, `icmp`, `arp`, `ipv4`, `ipv6`, `chao`, or an object with `protocol` (one of these),
          `port` (either end's), `data` (true: only frames that carry bytes for a program);
        - `skip`: leave the first N that match alone; `first`: act on N of the rest; `every`: on each Nth of those only.
          The numbers count each direction by itself;
        - `drop`, `duplicate`, `reorder`, `corrupt`: true, or a chance from 0 to 1. `reorder` lets the next frame
          overtake; `corrupt` flips one bit of the payload;
        - `delay_ms`, `jitter_ms`: each frame is delayed by the one and at most the other on top; order is kept;
        - `inject`: a frame in hex, sent after each frame that the rule acts on, or an object with `frame` and `to`
          (`server`, `client`).
        """
        if not isinstance(raw, Mapping):
            raise FaultPlanError("a fault plan is an object", 'for example {"seed": 7, "drop": 0.1}')
        seed = raw.get("seed", 0)
        if not isinstance(seed, int | str) or isinstance(seed, bool):
            raise FaultPlanError(f"the plan's seed is {seed!r}", "give a whole number or a text")
        rest = {name: value for name, value in raw.items() if name != "seed"}
        if "rules" not in rest:
            return cls([Rule(rest, "the plan", f"{seed}/0")])
        rules = rest.pop("rules")
        if rest:
            raise FaultPlanError(f"the plan has {', '.join(map(repr, rest))} beside its rules", "put it into a rule")
        if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
            raise FaultPlanError("the plan's rules are not a list of objects", 'for example "rules": [{"drop": true}]')
        return cls([Rule(rule, f"rule {number}", f"{seed}/{number}") for number, rule in enumerate(rules, 1)])

    def decide(self, direction: Direction, frame: bytes) -> Verdict | None:
        """Return what becomes of a frame on its way in `direction`; None if it passes untouched."""
        packet = decode(frame) if self._decodes else None
        for rule in self._rules:
            if rule.wants(direction, packet):
                return rule.judge(direction, frame, packet)
        return None


class _Reader:
    """Takes a rule's values out of JSON, and knows in the end which ones nobody asked for."""

    def __init__(self, raw: Mapping[str, Any], place: str) -> None:
        self._raw = dict(raw)
        self._place = place

    def _wrong(self, name: str, value: Any, remedy: str) -> FaultPlanError:
        return FaultPlanError(f"{self._place}: {name} is {value!r}", remedy)

    def choice(self, name: str, known: Mapping[str, Any], default: str) -> str:
        value = self._raw.pop(name, default)
        if not isinstance(value, str) or value not in known:
            raise self._wrong(name, value, f"give one of {', '.join(known)}")
        return value

    def whole(self, name: str, default: int, least: int = 0) -> int:
        value = self._raw.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self._wrong(name, value, f"give a whole number from {least} up")
        return value

    def chance(self, name: str) -> float:
        value = self._raw.pop(name, 0)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self._wrong(name, value, "give true, or a chance from 0 to 1")
        return float(value)

    def milliseconds(self, name: str) -> float:
        value = self._raw.pop(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(name, value, "give a number of milliseconds")
        if not 0 <= value <= _LONGEST_DELAY_MS:
            raise self._wrong(name, value, f"give 0 to {_LONGEST_DELAY_MS} milliseconds")
        return float(value)

    def match(self) -> Match:
        value = self._raw.pop("match", {})
        if isinstance(value, str):
            value = {"protocol": value}
        if not isinstance(value, Mapping):
            raise self._wrong("match", value, "give a protocol's name or an object")
        inner = _Reader(value, f"{self._place}, match")
        protocol = inner.choice("protocol", dict.fromkeys(("", *_PROTOCOLS)), "")
        port = inner.whole("port", 0)
        data = inner._raw.pop("data", False)
        inner.finish()
        if port > 0xFFFF:
            raise self._wrong("port", port, "give a port from 1 to 65535")
        if not isinstance(data, bool):
            raise self._wrong("data", data, "give true or false")
        return Match(protocol, port, data)

    def injection(self) -> Injection | None:
        value = self._raw.pop("inject", None)
        if value is None:
            return None
        inner = _Reader(value if isinstance(value, Mapping) else {"frame": value}, f"{self._place}, inject")
        frame = inner._raw.pop("frame", None)
        to = inner.choice("to", {"": None, "server": None, "client": None}, "")
        inner.finish()
        try:
            raw = bytes.fromhex(frame)
        except (TypeError, ValueError):
            raise self._wrong("inject", value, "give the frame in hex") from None
        if not 0 < len(raw) <= _LARGEST_INJECTION:
            raise self._wrong("inject", f"{len(raw)} bytes", f"give 1 to {_LARGEST_INJECTION} bytes")
        return Injection(raw, {"server": TO_SERVER, "client": TO_CLIENT}.get(to))

    def finish(self) -> None:
        """Refuse what is left: a misspelt name would otherwise be a fault that never happens."""
        if self._raw:
            raise FaultPlanError(f"{self._place} has {', '.join(map(repr, self._raw))}, which means nothing")


def _bit_to_flip(frame: bytes, packet: Decoded, where: float) -> int | None:
    """Choose a bit of the innermost payload, or of the last two bytes of the innermost header where there is none."""
    start, size = packet.payload_offset, len(packet.payload)
    if not size:
        end = min(packet.payload_offset or len(frame), len(frame))
        start = max(14, end - 2)
        size = end - start
    return start * 8 + int(where * size * 8) if size > 0 else None


def _flip(frame: bytes, bit: int) -> bytes:
    changed = bytearray(frame)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
