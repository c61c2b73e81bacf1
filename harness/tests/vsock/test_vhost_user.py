"""The protocol between QEMU and the switch: what is answered, what is refused, what ends the connection."""

import asyncio
import os
import socket

import pytest

from groundup.vsock import Op
from groundup.vsock import vhost_user as vu
from groundup.vsock.device import FEATURES
from groundup.vsock.memory import REGION

from .driver import CLIENT, RX, SERVER, SIZE, TX, Guest, Request, network, run, until

U64 = vu.U64.pack
STATE = vu.VRING_STATE.pack


async def expect_end(net, guest: Guest, message: str) -> None:
    """See the connection closed, the reason reported, and everything else well."""
    await guest.closed()
    assert [cid for cid, _ in net.reports] == [guest.cid]
    assert message in net.reports[0][1]
    first, second = await net.boot(CLIENT, 5)
    await first.reaches(second)


def ends(message: str, action, *, negotiated: bool = True) -> None:
    """Run a scenario in which a front-end does something that ends its connection."""

    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            if negotiated:
                await guest.negotiate()
            await action(guest)
            await expect_end(net, guest, message)

    run(scenario)


def test_negotiation_may_come_in_any_number_of_bytes():
    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            request = vu.HEADER.pack(Request.GET_CONFIG, vu.VERSION, 20) + vu.CONFIG.pack(0, 8, 0) + bytes(8)
            for byte in request * 3:
                guest.sock.send(bytes([byte]))
                await asyncio.sleep(0)
            for _ in range(3):
                assert (await guest.answer(Request.GET_CONFIG))[12:] == bytes([SERVER]) + bytes(7)

    run(scenario)


def test_part_of_the_configuration():
    async def scenario():
        async with network() as net:
            guest = net.attach(0x01020304)
            body = vu.CONFIG.pack(1, 2, 0) + bytes(2)
            assert await guest.ask(Request.GET_CONFIG, body) == vu.CONFIG.pack(1, 2, 0) + b"\3\2"
            for offset, size in ((8, 1), (0, 9), (0, 0), (0xFFFFFFFF, 8)):
                assert await guest.ask(Request.GET_CONFIG, vu.CONFIG.pack(offset, size, 0)) == b""

    run(scenario)


@pytest.mark.parametrize("request_number", [6, 7, 19, 20, 21, 23, 29, 32, 34, 35, 37, 38, 39, 41, 12345, 0, 0xFFFFFFFF])
def test_unknown_requests_are_refused_or_passed_over(request_number):
    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            guest.tell(request_number, U64(0), [guest.error])  # not negotiated yet: no answer to any request
            guest.tell(request_number, U64(0), flags=vu.VERSION | vu.FLAG_NEED_REPLY)
            await guest.negotiate()
            await guest.fail(request_number, U64(0), [guest.error])
            guest.tell(request_number, U64(0))
            await guest.boot()
            assert net.reports == []

    run(scenario)


@pytest.mark.parametrize("request_number", sorted(vu.OWN_REPLY - {1, 11, 15, 17, 24}))
def test_unknown_requests_that_wait_for_a_body_end_the_connection(request_number):
    async def action(guest):
        guest.tell(request_number, U64(0), flags=vu.VERSION | vu.FLAG_NEED_REPLY)

    ends("was not negotiated", action)


def test_what_is_refused_goes_on():
    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            await guest.negotiate()
            await guest.fail(Request.SET_FEATURES, U64(FEATURES | 1 << 28))
            await guest.fail(Request.SET_PROTOCOL_FEATURES, U64(0xFFFF))
            await guest.fail(Request.SET_CONFIG, vu.CONFIG.pack(0, 8, 0) + bytes(8))
            for size in (0, 3, 2048, 0xFFFFFFFF):
                await guest.fail(Request.SET_VRING_NUM, STATE(RX, size))
            await guest.succeed(Request.RESET_OWNER)
            await guest.boot()
            await guest.reaches(guest)

    run(scenario)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (vu.HEADER.pack(1, 0, 0), "not a request of version 1"),
        (vu.HEADER.pack(1, 2, 0), "not a request of version 1"),
        (vu.HEADER.pack(1, vu.VERSION | vu.FLAG_REPLY, 0), "not a request of version 1"),
        (vu.HEADER.pack(5, vu.VERSION, 513), "announces 513 bytes"),
        (vu.HEADER.pack(5, vu.VERSION, 0xFFFFFFFF), "announces 4294967295 bytes"),
    ],
)
def test_headers_that_make_no_sense(header, message):
    async def action(guest):
        guest.sock.send(header)

    ends(message, action, negotiated=False)


@pytest.mark.parametrize(
    ("request_number", "body", "message"),
    [
        (Request.SET_FEATURES, b"short", "SET_FEATURES has 5 bytes instead of 8"),
        (Request.SET_FEATURES, U64(1 << 60), "were not offered"),  # no answer wanted: it would rely on it
        (Request.SET_VRING_NUM, STATE(2, 16), "names queue 2"),
        (Request.SET_VRING_NUM, STATE(0xFFFFFFFF, 16), "names queue 4294967295"),
        (Request.SET_VRING_BASE, STATE(9, 0), "names queue 9"),
        (Request.SET_VRING_ENABLE, STATE(0, 2), "the state 2"),
        (Request.GET_VRING_BASE, STATE(3, 0), "names queue 3"),
        (Request.SET_VRING_KICK, U64(255), "names queue 255"),
        (Request.SET_VRING_KICK, U64(0), "came with 0 descriptors"),
        (Request.SET_VRING_KICK, U64(vu.VRING_NO_FD), "asks for polling"),
        (Request.SET_VRING_CALL, U64(1), "came with 0 descriptors"),
        (Request.SET_MEM_TABLE, b"", "has 0 bytes"),
        (Request.SET_MEM_TABLE, vu.MEMORY_TABLE.pack(2, 0) + REGION.pack(0, 1, 0, 0), "40 bytes for 2 regions"),
        (Request.SET_MEM_TABLE, vu.MEMORY_TABLE.pack(0xFFFFFFFF, 0), "8 bytes for 4294967295 regions"),
        (Request.SET_MEM_TABLE, vu.MEMORY_TABLE.pack(1, 0) + REGION.pack(0, 1, 0, 0), "came with 0 descriptors"),
        (Request.GET_CONFIG, b"abc", "GET_CONFIG has 3 bytes"),
    ],
)
def test_bodies_that_make_no_sense(request_number, body, message):
    async def action(guest):
        guest.tell(request_number, body)

    ends(message, action)


def test_descriptors_that_make_no_sense():
    async def regular_file(guest):
        guest.tell(Request.SET_VRING_KICK, U64(0), [guest.fd])

    async def path_only(guest):
        fd = os.open("/", os.O_PATH)
        guest.tell(Request.SET_VRING_CALL, U64(0), [fd])
        os.close(fd)

    async def two(guest):
        guest.tell(Request.SET_VRING_CALL, U64(0), [guest.error, guest.error])

    async def nine(guest):
        guest.tell(Request.SET_VRING_CALL, U64(0), [guest.error] * 9)

    async def in_pieces(guest):
        for byte in vu.HEADER.pack(Request.SET_VRING_CALL, vu.VERSION, 8):
            socket.send_fds(guest.sock, [bytes([byte])], [guest.error])

    ends("nobody can wait for", regular_file)
    ends("is no eventfd", path_only)
    ends("came with 2 descriptors", two)
    ends("more than 8 descriptors", nine)
    ends("more than 8 descriptors", in_pieces)


def test_a_message_cut_off_leaves_no_descriptor():
    """`run` counts them."""

    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            socket.send_fds(guest.sock, [vu.HEADER.pack(Request.SET_VRING_CALL, vu.VERSION, 8)], [guest.error] * 8)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            guest.sock.close()
            await until(lambda: not net.switch._ports)
            assert net.reports == []

    run(scenario)


def test_a_front_end_that_reads_no_answers():
    async def action(guest):
        guest.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        while True:
            try:
                guest.tell(Request.GET_FEATURES)
            except BlockingIOError:
                await asyncio.sleep(0)
            except BrokenPipeError:
                return

    ends("does not read the answers", action)


def test_rings_wait_until_they_are_enabled():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            guest = net.attach(SERVER)
            await guest.negotiate()
            await guest.set_memory()
            for queue in (RX, TX):
                await guest.succeed(Request.SET_VRING_NUM, STATE(queue, SIZE))
                await guest.succeed(Request.SET_VRING_ADDR, guest.addresses(queue))
                await guest.succeed(Request.SET_VRING_CALL, U64(queue), [guest.call[queue]])
                await guest.succeed(Request.SET_VRING_KICK, U64(queue), [guest.kick[queue]])
            guest.offer()
            guest.ring(RX)
            request = guest.packet(Op.REQUEST, CLIENT)
            await guest.send(request)
            await client.reaches(client)
            assert net.switch.counters.forwarded == 1
            for queue in (RX, TX):
                await guest.succeed(Request.SET_VRING_ENABLE, STATE(queue, 1))
            await client.hears(request)

    run(scenario)


def test_a_front_end_without_protocol_features_needs_not_enable():
    async def scenario():
        async with network() as net:
            guest = net.attach(SERVER)
            guest.tell(Request.SET_FEATURES, U64(vu.F_VERSION_1))
            body = vu.MEMORY_TABLE.pack(2, 0) + b"".join(REGION.pack(*region) for region in guest.regions())
            guest.tell(Request.SET_MEM_TABLE, body, [guest.fd] * 2)
            for queue in (RX, TX):
                guest.tell(Request.SET_VRING_NUM, STATE(queue, SIZE))
                guest.tell(Request.SET_VRING_ADDR, guest.addresses(queue))
                guest.tell(Request.SET_VRING_CALL, U64(queue), [guest.call[queue]])
                guest.tell(Request.SET_VRING_KICK, U64(queue), [guest.kick[queue]])
            guest.offer()
            await net.switch.ready(SERVER)
            await guest.reaches(guest)

    run(scenario)


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        ({"descriptors": 8}, "descriptor table at 0x7f0000000008 is not aligned to 16 bytes"),
        ({"available": 1}, "available ring at 0x7f0000004001 is not aligned to 2 bytes"),
        ({"used": 2}, "used ring at 0x7f0000005002 is not aligned to 4 bytes"),
        ({"descriptors": 1 << 20}, "descriptor table: user address"),
        ({"used": (1 << 20) - 0x5000 - 4}, "used ring: user address"),
        ({"available": 1 << 60}, "available ring: user address"),
    ],
)
def test_rings_in_impossible_places(shift, message):
    """The guest chooses them, so that breaks the device and not the connection."""

    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            guest = await net.attach(SERVER).boot()
            await guest.succeed(Request.SET_VRING_ADDR, guest.addresses(RX, **shift))
            assert [cid for cid, _ in net.reports] == [SERVER]
            assert message in net.reports[0][1]
            assert (await guest.ask(Request.GET_VRING_BASE, STATE(RX, 0)))[:4] == bytes(4)
            # It stays out of service, whatever the front-end does, until it is attached anew.
            await guest.start_queue(RX)
            request = client.packet(Op.REQUEST, SERVER)
            await client.send(request)
            await client.hears(request.rst())

    run(scenario)


def test_memory_that_goes_away_under_a_ring():
    async def scenario():
        async with network() as net:
            guest, client = await net.boot(SERVER, CLIENT)
            await guest.succeed(Request.SET_MEM_TABLE, vu.MEMORY_TABLE.pack(0, 0))
            assert [cid for cid, _ in net.reports] == [SERVER]
            assert "descriptor table: user address" in net.reports[0][1]
            await client.reaches(client)

    run(scenario)


def test_a_kick_pipe_that_ends():
    async def scenario():
        async with network() as net:
            guest, client = await net.boot(SERVER, CLIENT)
            reading, writing = os.pipe()
            await guest.succeed(Request.SET_VRING_KICK, U64(TX), [reading])
            os.close(reading)
            os.write(writing, U64(1))
            await guest.reaches(client)
            os.close(writing)
            await until(lambda: bool(net.reports))
            assert net.reports == [(SERVER, "the kick descriptor of queue 1 cannot be read: it is at its end")]
            await client.reaches(client)

    run(scenario)


def test_a_call_pipe_that_nobody_reads():
    async def scenario():
        async with network() as net:
            guest, client = await net.boot(SERVER, CLIENT)
            reading, writing = os.pipe()
            await guest.succeed(Request.SET_VRING_CALL, U64(TX), [writing])
            os.close(writing)
            os.close(reading)
            await guest.send(guest.packet(Op.RST, 99))
            await until(lambda: bool(net.reports))
            assert net.reports == [(SERVER, "cannot interrupt the guest: Broken pipe")]
            await client.reaches(client)

    run(scenario)


def test_an_eventfd_that_is_full_is_no_error():
    async def scenario():
        async with network() as net:
            guest, client = await net.boot(SERVER, CLIENT)
            os.eventfd_write(client.call[RX], (1 << 64) - 2)
            packet = guest.packet(Op.RW, CLIENT, payload=b"!")
            await guest.send(packet)
            await client.hears(packet)
            assert net.reports == []

    run(scenario)
