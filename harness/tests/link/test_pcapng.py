"""Captures: written, read back by us and by Scapy, cut off anywhere, foreign, too large."""

import os
import random
import struct
from io import BytesIO
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgReader

from groundup.errors import MachineryError
from groundup.link.pcapng import (
    LINKTYPE_ETHERNET,
    LINKTYPE_VSOCK,
    CaptureError,
    Direction,
    Interface,
    Packet,
    Writer,
    header,
)
from groundup.link.pcapng_reader import read

from .link_frames import ETH0, START, tcp

FRAMES = [tcp(True, "S"), tcp(False, "SA"), b"x", b"xy", b"xyz", b"", bytes(range(256)) * 200]


def written(path: Path, interface: Interface = ETH0, limit: int = 1 << 20) -> Writer:
    writer = Writer(path, [interface], limit)
    for number, frame in enumerate(FRAMES):
        writer.add(
            frame, START + number * 1_000_000_007, Direction(number % 3), "dropped by plan" if number == 3 else ""
        )
    writer.close()
    return writer


def test_what_is_written_is_read(tmp_path: Path) -> None:
    interface = Interface("eth0", LINKTYPE_ETHERNET, "the first link")
    writer = written(tmp_path / "a.pcapng", interface)
    capture = read(writer.path)
    assert capture.broken is None
    assert capture.interfaces == [interface]
    assert [packet.data for packet in capture.packets] == FRAMES
    assert [packet.time_ns for packet in capture.packets] == [START + n * 1_000_000_007 for n in range(len(FRAMES))]
    assert [packet.direction for packet in capture.packets] == [Direction(n % 3) for n in range(len(FRAMES))]
    assert [packet.comment for packet in capture.packets] == ["", "", "", "dropped by plan", "", "", ""]
    assert writer.packets == len(FRAMES)
    assert writer.overflow == 0


@pytest.mark.parametrize("link_type", [LINKTYPE_ETHERNET, LINKTYPE_VSOCK])
def test_scapy_reads_the_same(tmp_path: Path, link_type: int) -> None:
    writer = written(tmp_path / "a.pcapng", Interface("eth0", link_type))
    with RawPcapNgReader(str(writer.path)) as reader:
        packets = list(reader)
    assert [data for data, _ in packets] == FRAMES
    for number, (_, meta) in enumerate(packets):
        assert meta.linktype == link_type
        assert meta.tsresol == 10**9
        assert (meta.tshigh << 32 | meta.tslow) == START + number * 1_000_000_007
        assert meta.ifname == b"eth0"
        assert meta.direction == number % 3
        expected = [b"dropped by plan"] if number == 3 else None
        assert (getattr(meta, "comments", None) or getattr(meta, "comment", None)) == expected


def test_a_file_holds_whole_blocks_at_any_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [ETH0])
    for number in range(50):
        writer.add(bytes(number), START, Direction.INBOUND)
        writer.flush()
        capture = read(writer.path)
        assert capture.broken is None
        assert len(capture.packets) == number + 1
    writer.close()


def test_a_cut_file_gives_what_came_before(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.pcapng").path.read_bytes()[:1200]
    sizes = [len(header([ETH0])) + sum(map(block_size, range(n + 1))) for n in range(len(FRAMES))]
    for cut in range(len(whole)):
        capture = read(whole[:cut])
        complete = sum(size <= cut for size in sizes)
        assert len(capture.packets) == complete, cut
        if capture.broken is None:
            assert cut in sizes or cut in {28 + 20, len(header([ETH0]))} or cut == len(header([])), cut
        else:
            assert capture.broken.message
            assert capture.broken.remedy
            assert 0 <= capture.broken.offset <= cut


def block_size(number: int) -> int:
    comment = 20 if number == 3 else 0  # its code and length, 15 bytes and a byte of padding
    return 32 + (len(FRAMES[number]) + 3) // 4 * 4 + 12 + comment


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, world", "not a pcapng file"),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "classic pcap"),
        (b"\x1f\x8b" + bytes(20), "gzip"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "no byte order"),
        (header([ETH0]) + struct.pack("<II", 6, 13) + bytes(20), "claims a length of 13"),
        (header([ETH0]) + struct.pack("<III", 6, 0xFFFFFFFC, 0), "claims a length"),
        (header([ETH0]) + struct.pack("<IIII", 6, 16, 0, 16), "too short"),
        (header([ETH0]) + struct.pack("<IIII", 6, 16, 0, 20), "two lengths"),
        (header([]) + struct.pack("<8I", 6, 32, 0, 0, 0, 0, 0, 32), "names interface 0"),
        (header([ETH0]) + struct.pack("<8I", 6, 32, 0, 0, 0, 9, 9, 32), "claims 9 bytes"),
    ],
)
def test_foreign_and_damaged_files_are_named(content: bytes, words: str) -> None:
    capture = read(content)
    assert capture.broken is not None
    assert words in capture.broken.message
    assert capture.broken.remedy
    assert capture.packets == []


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"cannot read the capture .*No such file"):
        read(tmp_path / "none.pcapng")
    with pytest.raises(MachineryError, match="cannot create the capture"):
        Writer(tmp_path / "none" / "a.pcapng", [ETH0])


def test_big_endian_microseconds_and_unknown_blocks_are_read() -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body) + 12) + body + struct.pack(">I", len(body) + 12)

    file = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    file += block(1, struct.pack(">HHI", 1, 0, 2)) + block(0x0BAD, b"whatever")
    file += block(6, struct.pack(">IIIII", 0, 0, 1_500_000, 4, 9) + b"data")
    file += block(3, struct.pack(">I", 3) + b"si\0\0")
    capture = read(file)
    assert capture.broken is None
    assert [(packet.data, packet.time_ns, packet.length) for packet in capture.packets] == [
        (b"data", 1_500_000_000, 9),
        (b"si", 0, 3),
    ]


def test_mutated_files_never_raise(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.pcapng").path.read_bytes()[:1000]
    chance = random.Random(8841)
    for _ in range(3000):
        file = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            file[chance.randrange(len(file))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        read(bytes(file))


def test_the_limit_ends_the_capture_and_the_capture_says_so(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [ETH0], limit=5000)
    for number in range(100):
        writer.add(bytes(100), START + number)
    writer.close()
    assert writer.path.stat().st_size <= 5000
    capture = read(writer.path)
    assert capture.broken is None
    assert len(capture.packets) == writer.packets
    assert 0 < writer.packets < 100
    assert writer.packets + writer.overflow == 100
    assert capture.remarks[0] == "capture limit of 5,000 bytes reached, later packets are counted but not kept"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_capture_but_not_the_program(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [ETH0])
    writer.add(b"first", START)
    writer.flush()
    real, full = writer._fd, os.open("/dev/full", os.O_WRONLY)
    keep = os.dup(real)
    os.dup2(full, real)
    writer.add(b"second", START)
    writer.add(b"third", START)
    with pytest.MonkeyPatch.context() as patch:  # /dev/full cannot be truncated; the file behind it can
        patch.setattr(os, "ftruncate", lambda _, size: os.truncate(writer.path, size))
        writer.flush()
    os.dup2(keep, real)
    os.close(keep)
    os.close(full)
    assert writer.stopped == "the capture ended: No space left on device"
    writer.add(b"fourth", START)
    assert (writer.packets, writer.overflow) == (1, 3)
    assert [packet.data for packet in read(writer.path).packets] == [b"first"]


def test_a_snap_length_keeps_the_true_length(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [Interface("vsock", LINKTYPE_VSOCK, snap=10)])
    writer.add(bytes(100), START)
    writer.close()
    (packet,) = read(writer.path).packets
    assert (len(packet.data), packet.length, packet.interface.snap) == (10, 100, 10)


def test_packets_since_a_position_are_a_capture_of_their_own(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [ETH0])
    writer.add(b"before", START)
    position = writer.size
    writer.add(b"after", START, Direction.OUTBOUND)
    assert [packet.data for packet in read(writer.since(position)).packets] == [b"after"]
    assert [packet.data for packet in read(writer.since()).packets] == [b"before", b"after"]
    writer.close()
    assert [packet.data for packet in read(writer.since(position)).packets] == [b"after"]


def test_scapy_reads_a_cut_out_too(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.pcapng", [ETH0])
    writer.add(FRAMES[0], START)
    with RawPcapNgReader(BytesIO(writer.since())) as reader:
        assert next(reader)[0] == FRAMES[0]
    assert read(writer.since()).packets[0] == Packet(FRAMES[0], START, interface=ETH0, length=len(FRAMES[0]))
    writer.close()
