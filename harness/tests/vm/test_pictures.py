"""The packets of a failed test are found in a capture of any size, without reading all of it."""

import itertools
import time
from pathlib import Path

from groundup.link.pcapng import Direction, Interface, Writer
from groundup.pictures import MOST_BYTES, Window, Windows, with_pictures
from groundup.result import ChapterResult, Outcome, TestResult


def frame(number: int, size: int = 60) -> bytes:
    """Return an Ethernet frame of a type for experiments, which begins with a number."""
    return bytes.fromhex("525400000001 525400000002 88b5") + number.to_bytes(4, "big") + bytes(size - 18)


def failing(name: str) -> TestResult:
    return TestResult(id=name, title="", outcome=Outcome.FAIL, score=0, max_score=1)


def captured(directory: Path, counts: list[int], size: int = 60) -> list[Windows]:
    """Write a capture in which so many frames belong to each of some tests."""
    writer = Writer(directory / "eth0.pcapng", [Interface("eth0")])
    windows, clock = [], itertools.count()
    for count in counts:
        start = writer.size
        for number in itertools.islice(clock, count):
            writer.add(frame(number, size), number * 1_000_000, Direction.INBOUND)
        windows.append({"eth0": Window(start, writer.size)})
    writer.close()
    return windows


def test_each_test_gets_its_own_packets(tmp_path: Path) -> None:
    windows = captured(tmp_path, [2, 3, 4])
    result = ChapterResult("01-listen", 1, tests=tuple(map(failing, ("test_a", "test_b", "test_c", "test_d"))))
    tests = with_pictures(result, tmp_path, dict(zip(("test_a", "test_b", "test_c"), windows, strict=True))).tests
    assert [test.diagram.count("───") > 0 for test in tests] == [True, True, True, False]
    arrows = [sum("▸" in line for line in test.diagram.splitlines()) for test in tests[:3]]
    assert arrows == [2, 3, 4]
    assert {test.capture for test in tests} == {str(tmp_path / "eth0.pcapng"), ""}


def test_nothing_was_captured(tmp_path: Path) -> None:
    windows = captured(tmp_path, [0])
    result = ChapterResult("01-listen", 1, tests=(failing("test_a"),))
    assert "(no packets)" in with_pictures(result, tmp_path, {"test_a": windows[0]}).tests[0].diagram


def test_a_flood_is_drawn_in_no_time(tmp_path: Path) -> None:
    windows = captured(tmp_path, [3, 60_000], 1000)
    assert windows[1]["eth0"].end - windows[1]["eth0"].start > 50 * MOST_BYTES
    result = ChapterResult("01-listen", 1, tests=(failing("test_a"), failing("test_b")))
    began = time.monotonic()
    pictured = with_pictures(result, tmp_path, {"test_a": windows[0], "test_b": windows[1]}).tests
    assert time.monotonic() - began < 1.5  # reading all of it takes several times as long
    assert pictured[1].diagram.endswith("MB of packets in the middle")
    assert "not looked at" not in pictured[0].diagram


def test_what_passed_over_vsock_or_else_over_the_lessons_link_is_drawn(tmp_path: Path) -> None:
    for link in ("eth0", "eth1", "vsock"):
        writer = Writer(tmp_path / f"{link}.pcapng", [Interface(link)])
        writer.add(frame(1), 0, Direction.INBOUND)
        size = writer.size
        writer.close()
    some, none = Window(0, size), Window(size, size)
    result = ChapterResult("10-chao", 1, tests=(failing("test_a"), failing("test_b")))
    found = {
        "test_a": {"eth0": some, "eth1": some, "vsock": some},
        "test_b": {"eth0": some, "eth1": some, "vsock": none},
    }
    first, second = with_pictures(result, tmp_path, found, "eth1").tests
    assert (Path(first.capture).name, Path(second.capture).name) == ("vsock.pcapng", "eth1.pcapng")
