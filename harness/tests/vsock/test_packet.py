"""The header, the capture's record, and the plan of faults: no switch needed."""

import struct

import pytest

from groundup.link.pcapng import Direction
from groundup.vsock import Op, Packet, Plan, Type, monitor
from groundup.vsock.faults import REMEMBERED, Faults
from groundup.vsock.packet import HEADER_SIZE, MAX_PAYLOAD, PacketError, unpack

PACKET = Packet(3, 4, 1000, 2000, Type.STREAM, Op.RW, 1, 0x40000, 7, b"hello")


def test_the_header_is_the_one_of_the_standard():
    data = PACKET.pack()
    assert len(data) == HEADER_SIZE + 5 == 49
    assert data[:8] == b"\3" + bytes(7)
    assert struct.unpack_from("<I", data, 24) == (5,)
    assert struct.unpack_from("<HHIII", data, 28) == (1, 5, 1, 0x40000, 7)
    assert unpack(data) == PACKET
    assert unpack(data + b"more than it announces") == PACKET


def test_an_rst_comes_from_the_other_end():
    assert PACKET.rst() == Packet(4, 3, 2000, 1000, Type.STREAM, Op.RST)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "shorter than a header"),
        (PACKET.pack()[:43], "shorter than a header"),
        (PACKET.pack()[:-1], "announces 5 bytes of payload but has 4"),
        (PACKET.header(MAX_PAYLOAD + 1, 0) + bytes(MAX_PAYLOAD + 1), "more than 65536"),
        (PACKET.header(0xFFFFFFFF, 0), "more than 65536"),
        (PACKET._replace(op=Op.REQUEST).pack(), "only RW"),
    ],
)
def test_what_is_no_packet(data, message):
    with pytest.raises(PacketError, match=message):
        unpack(data)


def test_a_record_is_what_vsockmon_delivers():
    record = monitor.record(PACKET)
    assert len(record) == 32 + 44 + 5
    assert struct.unpack("<QQIIHHH2s", record[:32]) == (3, 4, 1000, 2000, 4, 2, 44, b"\0\0")
    assert record[32:] == PACKET.pack()


@pytest.mark.parametrize(
    ("op", "expected"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 4), (6, 3), (7, 3), (8, 0), (65535, 0)]
)
def test_a_record_says_what_the_packet_does(op, expected):
    record = monitor.record(PACKET._replace(op=op, payload=b""))
    assert struct.unpack_from("<H", record, 24) == (expected,)


def test_the_direction_is_as_one_guest_sees_it():
    assert monitor.direction(PACKET, 4) is Direction.INBOUND
    assert monitor.direction(PACKET, 3) is Direction.OUTBOUND
    assert monitor.direction(PACKET, 5) is Direction.UNKNOWN


@pytest.mark.parametrize(
    "wrong", [{"delay": -1}, {"jitter": -0.1}, {"reset_chance": 1.1}, {"reset_after": -1}, {"credit": -1}]
)
def test_a_plan_that_makes_no_sense(wrong):
    with pytest.raises(ValueError, match=r"negative|probability|at least 0"):
        Plan(**wrong)


def test_the_same_seed_makes_the_same_choices():
    def fates(seed):
        faults = Faults(Plan(seed=seed, jitter=0.5, reset_chance=0.3))
        return [faults.apply(PACKET) for _ in range(200)]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    resets = sum(fate.packet is None for fate in fates(1))
    assert 30 < resets < 90


def test_a_reset_after_so_many_bytes():
    faults = Faults(Plan(reset_after=10))
    assert [faults.apply(PACKET).packet for _ in range(4)] == [PACKET, PACKET, None, None]
    assert faults.apply(PACKET._replace(op=Op.SHUTDOWN, payload=b"")).packet is not None


def test_a_plan_for_one_port_leaves_others_alone():
    faults = Faults(Plan(port=2000, reset_after=0))
    assert faults.apply(PACKET).packet is None
    assert faults.apply(PACKET._replace(dst_port=2001)).packet is not None


def test_starved_credit_is_given_back():
    faults = Faults(Plan(credit=100))
    assert faults.apply(PACKET).packet == PACKET._replace(buf_alloc=100)
    little = PACKET._replace(src_port=1, buf_alloc=50)
    assert faults.apply(little).packet == little
    closed = PACKET._replace(src_port=2)
    faults.apply(closed)
    faults.apply(closed.rst())
    assert faults.lift() == [PACKET._replace(op=Op.CREDIT_UPDATE, flags=0, payload=b"")]
    assert faults.lift() == []


def test_starvation_remembers_only_so_many():
    faults = Faults(Plan(credit=0))
    for port in range(REMEMBERED + 10):
        assert faults.apply(PACKET._replace(src_port=port)).packet.buf_alloc == 0
    assert len(faults.lift()) == REMEMBERED
