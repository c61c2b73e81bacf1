"""Sequence diagrams for failed tests, cut out of a run's capture."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from groundup.link.pcapng import INTERFACE_DESCRIPTION, SECTION_HEADER
from groundup.result import ChapterResult, Outcome, TestResult

MOST_BYTES = 256 << 10
"""Of a longer window as much is read from its beginning, and as much from its end: a flood is seen in either."""


@dataclass(frozen=True)
class Window:
    """Where a test's packets are in a capture: the positions at which the test began and ended, in bytes."""

    start: int
    end: int


Windows = Mapping[str, Window]
"""A test's windows, by the link."""


def windows(start: Mapping[str, int], end: Mapping[str, int]) -> Windows:
    """Return the windows between two moments, each told by how long the captures were."""
    return {link: Window(start.get(link, 0), size) for link, size in end.items()}


def with_pictures(
    result: ChapterResult, directory: Path, found: Mapping[str, Windows], lesson: str = "eth0"
) -> ChapterResult:
    """Add to each failed test the sequence diagram of its packets, and where the capture is.

    What passed over vsock is drawn if anything did, otherwise what passed over the link `lesson`.
    """
    links = ("vsock", lesson)

    def add(test: TestResult) -> TestResult:
        if test.outcome is not Outcome.FAIL or test.id not in found:
            return test
        seen = {link: found[test.id][link] for link in links if link in found[test.id]}
        link = next((link for link, window in seen.items() if window.end > window.start), lesson)
        path = directory / f"{link}.pcapng"
        return replace(test, capture=str(path), diagram=_picture(path, seen[link]))

    return result.map_tests(add)


def _picture(path: Path, window: Window) -> str:
    # Only for a failure: every run would wait for the import.
    from groundup.link.diagram import draw  # noqa: PLC0415
    from groundup.link.pcapng_reader import read  # noqa: PLC0415

    size = window.end - window.start
    with path.open("rb") as file:
        blocks = _description(file)
        file.seek(window.start)
        if size <= 2 * MOST_BYTES:
            return draw(read(blocks + file.read(size)).packets)
        # The reader passes over a block that is cut at the end of what it gets.
        first = read(blocks + file.read(MOST_BYTES)).packets
        file.seek(window.end - MOST_BYTES)
        last = read(blocks + _whole_blocks(file.read(MOST_BYTES))).packets
    left_out = f"  not looked at: {(size - 2 * MOST_BYTES) / 1e6:.1f} MB of packets in the middle"
    return f"{draw([*first, *last])}\n{left_out}"


def _description(file: BinaryIO) -> bytes:
    """Read the blocks that a pcapng file begins with, which say how to read its packets."""
    blocks = b""
    while len(start := file.read(8)) == 8:
        kind, length = struct.unpack("<II", start)
        if kind not in {SECTION_HEADER, INTERFACE_DESCRIPTION}:
            break
        blocks += start + file.read(length - len(start))
    return blocks


def _whole_blocks(tail: bytes) -> bytes:
    """Drop the part of a block that `tail` begins with. Each block ends with its length: they are found backwards."""
    at = len(tail)
    while at >= 4:
        (length,) = struct.unpack_from("<I", tail, at - 4)
        if not 12 <= length <= at:
            break
        at -= length
    return tail[at:]
