"""Draws captured packets as a sequence diagram: the client at the left, the server at the right, time downwards."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from groundup.link.checksums import wrong_checksum
from groundup.link.decode import Decoded, decode, octets
from groundup.link.decode_vsock import decode_vsock
from groundup.link.pcapng import LINKTYPE_ETHERNET, LINKTYPE_VSOCK, Direction, Packet
from groundup.link.pcapng_reader import read

_NARROWEST: Final = 60  # columns below which a diagram is not drawn: longer lines are for the terminal to wrap
_ARROW: Final = 23  # characters between the machines' lines, as long as the labels fit
_LONGEST_ARROW: Final = 33
_LONGEST_DETAIL: Final = 60
_MOST_LOOKED_AT: Final = 4000  # packets decoded for one picture: of a flood, the beginning and the end
_MOST_TALLIED: Final = 20_000

# What machines say by themselves, whatever a program does: they join groups (RFC 3810), look for routers (RFC 4861),
# and tell where they are when they have been restored (RFC 5227, section 3; RFC 4861, section 7.2.6).
_HOUSEKEEPING: Final = frozenset(
    {
        "multicast report",
        "multicast query",
        "multicast done",
        "router solicitation",
        "RARP announcement",
        "ARP announcement",
        "neighbour announcement",
    }
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a diagram looks. `columns` is the width it may take, `rows` the most packets it draws."""

    columns: int = 100
    rows: int = 40
    times: bool = True  # milliseconds since the first packet, at the left
    options: bool = False  # the options of SYN segments beside them
    housekeeping: bool = False  # draw what machines say by themselves too


@dataclass(slots=True)
class _Row:
    """A line of the diagram: a packet, or some of a kind that follow each other."""

    time_ns: int
    to_server: bool
    label: str
    detail: str
    flow: tuple[str, int, int]  # protocol, the client's port, the server's port
    remarks: list[str] = field(default_factory=list)
    asked_for: bool = False  # the first remark is the caller's
    lost: bool = False
    options: bool = False  # `detail` is a list of TCP options, which may take several lines
    kind: tuple[object, ...] | None = None  # rows of one kind that follow each other are drawn as one
    count: int = 1
    drawn: bool = True  # False stands for `count` packets that were not looked at

    @property
    def name(self) -> str:
        """What stands on the arrow."""
        if self.count == 1:
            return self.label
        return f"{self.count} fragments" if self.label.startswith("fragment") else f"{self.label} × {self.count}"


def draw(
    packets: Sequence[Packet],
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    ports: Collection[int] = (),
    remarks: Mapping[int, str] | None = None,
    style: Style | None = None,
) -> str:
    """Draw the packets between two moments (wall clock, nanoseconds; both included).

    With `ports`, only packets from or to one of them and those without ports (ARP, ICMP, fragments). `remarks` has
    words to set beside packets, by their index in `packets` (`last_packet` finds one). Returns lines without colour,
    none longer than the style's columns, without a newline at the end. Never raises for what is in the packets.
    """
    style = style or Style()
    rows, hidden = _rows(packets, (start_ns, end_ns), ports, remarks or {}, style)
    lines = _Layout(rows, style).lines() if rows else ["  (no packets)"]
    if hidden:
        plural = "packet that a machine sends by itself" if hidden == 1 else "packets that machines send by themselves"
        lines.append(f"  not shown: {hidden:,} {plural}")
    return "\n".join(_cut(line, max(style.columns, _NARROWEST)).rstrip() for line in lines)


def last_packet(
    packets: Sequence[Packet], *, to_server: bool, end_ns: int | None = None, port: int | None = None
) -> int | None:
    """Return the index of the last packet one way that carries bytes for a program, to set a remark beside it."""
    for index in range(len(packets) - 1, -1, -1):
        packet = packets[index]
        if end_ns is not None and packet.time_ns > end_ns:
            continue
        if packet.direction is not (Direction.INBOUND if to_server else Direction.OUTBOUND):
            continue
        seen = decoded(packet)
        if seen.payload and seen.source_port and (port is None or port in {seen.source_port, seen.destination_port}):
            return index
    return None


def decoded(packet: Packet) -> Decoded:
    """Decode a captured packet by the link type of its interface."""
    link_type = packet.interface.link_type
    if link_type == LINKTYPE_ETHERNET:
        return decode(packet.data)
    if link_type == LINKTYPE_VSOCK:
        return decode_vsock(packet.data)
    return Decoded(label=f"link type {link_type}", detail=octets(len(packet.data)), payload=packet.data)


def describe(path: Path, style: Style | None = None) -> str:
    """Return what `groundup pcap` prints of a capture: for each link what it holds, and the diagram.

    Raises CaptureError where there is nothing to describe; a file that breaks later is described up to there.
    """
    capture = read(path)
    if capture.broken is not None and not capture.interfaces:
        raise capture.broken
    blocks = [str(path)]
    for interface in capture.interfaces:
        packets = [packet for packet in capture.packets if packet.interface is interface]
        blocks.append(f"{_clean(interface.name) or 'a link without a name'}: {_tally(packets)}")
        if packets:
            blocks.append(draw(packets, style=style) + "\n")
    blocks += [_clean(remark) for remark in dict.fromkeys(capture.remarks)]
    if capture.broken is not None:
        blocks += [f"the capture breaks: {capture.broken.message}", capture.broken.remedy]
    return "\n".join(blocks).rstrip("\n")


def _tally(packets: Sequence[Packet]) -> str:
    """Say how many packets of which kinds, how many bytes, in what time."""
    if not packets:
        return "no packets"
    first = packets[:_MOST_TALLIED]
    kinds = Counter((seen := decoded(packet)).protocol or seen.network or "other" for packet in first)
    size = sum(packet.length or len(packet.data) for packet in packets)
    times = [packet.time_ns for packet in packets]
    seconds = (max(times) - min(times)) / 1e9
    names = ", ".join(f"{count:,} {name}" for name, count in kinds.most_common())
    if len(first) < len(packets):
        names = f"of the first {_MOST_TALLIED:,}: {names}"
    plural = "packet" if len(packets) == 1 else "packets"
    return f"{len(packets):,} {plural} ({names}), {size:,} bytes in {seconds:.3f} s"


def _rows(
    packets: Sequence[Packet],
    window: tuple[int | None, int | None],
    ports: Collection[int],
    remarks: Mapping[int, str],
    style: Style,
) -> tuple[list[_Row], int]:
    """Make the rows, and count the packets that are left out as housekeeping."""
    rows: list[_Row] = []
    hidden = 0
    sent: set[tuple[object, ...]] = set()
    client = ""  # the address of whoever speaks first, for captures without directions
    start, end = window
    inside = [
        index
        for index, packet in enumerate(packets)
        if (start is None or packet.time_ns >= start) and (end is None or packet.time_ns <= end)
    ]
    half = _MOST_LOOKED_AT // 2
    for place, index in enumerate(inside):
        packet = packets[index]
        if half <= place < len(inside) - half and index not in remarks:
            if not rows or rows[-1].drawn:
                rows.append(_Row(packet.time_ns, True, "", "", ("", 0, 0), count=0, drawn=False))
            rows[-1].count += 1
            continue
        seen = decoded(packet)
        own = {seen.source_port, seen.destination_port}
        if ports and own != {0} and own.isdisjoint(ports):
            continue
        if seen.label in _HOUSEKEEPING and not style.housekeeping and index not in remarks:
            hidden += 1
            continue
        client = client or seen.source_mac or seen.source
        row = _row(packet, seen, client, style)
        if index in remarks:
            row.remarks.insert(0, "◂ " + _clean(remarks[index]))
            row.asked_for = True
        if _is_repeated(packet, seen, row, sent):
            row.remarks.append("◂ retransmission")
        if rows and row.kind is not None and row.kind == rows[-1].kind and not (row.remarks or rows[-1].remarks):
            rows[-1].count += 1
        else:
            rows.append(row)
    return rows, hidden


def _row(packet: Packet, seen: Decoded, client: str, style: Style) -> _Row:
    if packet.direction is Direction.UNKNOWN:
        to_server = (seen.source_mac or seen.source) == client
    else:
        to_server = packet.direction is Direction.INBOUND
    near, far = seen.source_port, seen.destination_port
    flow = (seen.protocol, near, far) if to_server else (seen.protocol, far, near)
    row = _Row(packet.time_ns, to_server, seen.label or "?", _clean(seen.detail), flow)
    if style.options and seen.options is not None and "SYN" in seen.flags:
        row.detail, row.options = str(seen.options), True
    if seen.is_pure_ack():
        row.kind = ("ack", flow, to_server)
    elif seen.protocol == "fragment":
        row.kind = ("fragment", seen.fragment, to_server)
        row.detail = f"of datagram {seen.fragment}"
    for note in filter(None, packet.comment.split("; ")):
        row.lost = row.lost or note.startswith(("dropped", "not delivered"))
        sign = "✗" if row.lost else "◂"
        row.remarks.append(
            f"{sign} {_clean(note).replace(' by plan', ' by the wire').replace('by test', 'by the test')}"
        )
    wrong = seen.broken
    whole = packet.interface.link_type == LINKTYPE_ETHERNET and packet.length in {0, len(packet.data)}
    if not wrong and whole and "flipped by plan" not in packet.comment:
        wrong = wrong_checksum(packet.data, seen)
    if wrong:
        row.remarks.append(f"◂ {wrong}")
    return row


def _is_repeated(packet: Packet, seen: Decoded, row: _Row, sent: set[tuple[object, ...]]) -> bool:
    """Tell whether a segment was sent before, and remember it. A copy that the wire made is nobody's retransmission."""
    takes_sequence = bool(seen.payload) or bool(seen.flags & {"SYN", "FIN"})
    if seen.protocol != "tcp" or not takes_sequence or "duplicated" in packet.comment or "injected" in packet.comment:
        return False
    key = (row.flow, row.to_server, seen.sequence, len(seen.payload), seen.flags & {"SYN", "FIN"})
    known = key in sent
    sent.add(key)
    return known


class _Layout:
    """Turns rows into lines of equal columns: time, ports, the two machines, details, remarks."""

    def __init__(self, rows: list[_Row], style: Style) -> None:
        self._rows = rows
        self._columns = max(style.columns, _NARROWEST)
        self._start = rows[0].time_ns
        self._times = style.times
        self._kept = _keep(rows, style.rows)
        shown = [rows[index] for index in self._kept]
        self._clock = max([8, *(len(self._when(row)) for row in shown)]) if style.times else 0
        flows = {row.flow[1:] for row in rows if any(row.flow[1:])}
        self._several_servers = len({server for _, server in flows}) > 1
        self._port = max((len(self._which(row)) for row in shown), default=0) if len(flows) > 1 else 0
        self._arrow = min(max([_ARROW, *(len(row.name) + 6 for row in shown)]), _LONGEST_ARROW)
        self._room = self._columns - len(self._prefix("", "")) - self._arrow - 9  # at the right of the machines
        marked = [row for row in shown if row.remarks]
        detail = max((min(len(row.detail), _LONGEST_DETAIL) for row in marked), default=0)
        remark = max((len(_remark(row)) for row in marked), default=0)
        # Remarks are what a reader looks for, and stand in a column: details give way, but keep a third of the room.
        self._wide = min(detail, max(self._room - remark - 3, self._room // 3))

    def lines(self) -> list[str]:
        """Return all lines, with a line for each gap where packets are left out."""
        lines = [self._prefix("ms", "port") + "client" + " " * (self._arrow - 3) + "server"]
        before = -1
        for index in self._kept:
            lines += self._gap(before + 1, index)
            lines += self._line(self._rows[index])
            before = index
        return lines + self._gap(before + 1, len(self._rows))

    def _gap(self, start: int, end: int) -> list[str]:
        left_out = sum(row.count for row in self._rows[start:end])
        plural = "packet" if left_out == 1 else "packets"
        return [self._prefix("", "") + f"  … {left_out:,} more {plural}"] if left_out else []

    def _line(self, row: _Row) -> list[str]:
        when, which = self._when(row), self._which(row)
        wide = self._wide if row.remarks else min(self._room, _LONGEST_DETAIL)
        parts = _wrap(row.detail, wide) if row.options else [_cut(row.detail, wide)]
        line = f"{self._prefix(when, which)}  │ {self._draw_arrow(row)} │   "
        if row.remarks:
            remark = _remark(row)
            # A remark begins in its column, or before it where it would not fit else.
            column = max(len(parts[0]), min(wide, self._room - 3 - len(remark)))
            line += parts[0].ljust(column) + (" " * 3 if column else "") + remark
        else:
            line += parts[0]
        lines = [line]
        empty = f"{self._prefix('', '')}  │ {' ' * self._arrow} │   "
        return lines + [empty + part for part in parts[1:]]

    def _draw_arrow(self, row: _Row) -> str:
        label = _cut(row.name, self._arrow - 6)
        rest = self._arrow - len(label) - 5  # what is left of "── label " and the head, and of " label ─" and the head
        if row.lost:
            reach = max(rest // 2, 0)
            line = "── " + label + " " + "─" * reach + "✗" if row.to_server else "✗" + "─" * reach + " " + label + " ──"
            return line.ljust(self._arrow) if row.to_server else line.rjust(self._arrow)
        if row.to_server:
            return f"── {label} {'─' * rest}▸"
        return f"◂{'─' * (rest + 1)} {label} ─"

    def _prefix(self, when: str, which: str) -> str:
        clock = f"{when:>{self._clock}}  " if self._times else "  "
        return clock + (f"{which:>{self._port}}  " if self._port else "")

    def _when(self, row: _Row) -> str:
        return f"{(row.time_ns - self._start) / 1e6:,.1f}"

    def _which(self, row: _Row) -> str:
        _, client, server = row.flow
        if not client and not server:
            return ""
        return f"{client}→{server}" if self._several_servers else str(client)


def _keep(rows: list[_Row], limit: int) -> list[int]:
    """Choose the rows to draw: up to half with remarks, the caller's and the last first, then from both ends on."""
    limit = max(limit, 2)
    drawn = [index for index, row in enumerate(rows) if row.drawn]
    if len(drawn) <= limit:
        return drawn
    remarked = [index for index in drawn if rows[index].remarks]
    remarked.sort(key=lambda index: (rows[index].asked_for, index), reverse=True)
    kept = set(remarked[: limit // 2])
    low, high = 0, len(drawn) - 1
    while len(kept) < limit and low <= high:
        kept.add(drawn[low])
        if len(kept) < limit:
            kept.add(drawn[high])
        low, high = low + 1, high - 1
    return sorted(kept)


def _remark(row: _Row) -> str:
    return "  ".join(row.remarks)


def _wrap(text: str, width: int) -> list[str]:
    """Break a list at its commas."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) > width and lines[-1]:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return [_cut(line, width + 1) for line in lines]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _clean(text: str) -> str:
    """Make text from a file safe for a terminal: control characters are written as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
