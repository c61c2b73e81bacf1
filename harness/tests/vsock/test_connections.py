"""Whole connections between guests, played packet by packet."""

import asyncio
import os

import pytest

from groundup.errors import MachineryError
from groundup.vsock import CID_HOST, Op, Packet, Seqpacket, Shutdown, Type
from groundup.vsock.packet import MAX_PAYLOAD

from .driver import CLIENT, RX, SERVER, TX, Request, network, run, until, vu


def test_a_connection_from_request_to_reset():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            await net.switch.ready(SERVER)
            there, back = {"to": SERVER, "ports": (5, 6)}, {"to": CLIENT, "ports": (6, 5)}
            story = [
                (client, server, client.packet(Op.REQUEST, **there)),
                (server, client, server.packet(Op.RESPONSE, **back)),
                (client, server, client.packet(Op.RW, payload=b"GET /", **there)),
                (server, client, server.packet(Op.CREDIT_UPDATE, fwd_cnt=5, **back)),
                (client, server, client.packet(Op.SHUTDOWN, flags=Shutdown.SEND, **there)),
                (server, client, server.packet(Op.RW, payload=os.urandom(4000), **back)),
                (server, client, server.packet(Op.SHUTDOWN, flags=Shutdown.SEND | Shutdown.RECEIVE, **back)),
                (client, server, client.packet(Op.RST, **there)),
            ]
            for sender, receiver, packet in story:
                await sender.send(packet)
                await receiver.hears(packet)
            assert net.switch.counters.forwarded == len(story)
            assert net.switch.counters.payload_bytes == 4005
            assert [record[32:] for _, record, _ in net.captured] == [packet.pack() for *_, packet in story]
            assert [direction for *_, direction in net.captured] == [1, 2, 1, 2, 1, 2, 2, 1]
            assert net.reports == []

    run(scenario)


@pytest.mark.parametrize("cid", [0, 1, CID_HOST, 5, 77, 0xFFFFFFFF, SERVER + (1 << 32)])
def test_nobody_there_is_a_reset_at_once(cid):
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            request = client.packet(Op.REQUEST, cid, type=Type.SEQPACKET)
            await client.send(request)
            await client.hears(Packet(cid, CLIENT, 2000, 1000, Type.SEQPACKET, Op.RST))
            assert net.switch.counters.unreachable == 1

    run(scenario)


def test_an_rst_is_never_answered():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            await client.send(client.packet(Op.RST, 99))
            await client.reaches(server)
            await server.reaches(client)  # the next thing the client hears is this

    run(scenario)


def test_a_forged_source_is_dropped():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            for cid in (SERVER, CID_HOST, 0, 1 << 40):
                await client.send(client.packet(Op.REQUEST, SERVER)._replace(src_cid=cid))
            await client.reaches(server)
            assert net.switch.counters.forged == 4
            assert len(net.captured) == 1

    run(scenario)


def test_a_guest_may_talk_to_itself():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            await client.reaches(client)

    run(scenario)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65536])
def test_payload_is_cut_to_the_receive_buffers(size):
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            data = os.urandom(size)
            packet = client.packet(Op.RW, SERVER, payload=data, type=Type.SEQPACKET, flags=Seqpacket.END_OF_MESSAGE)
            await client.send(packet)
            got, flags = b"", []
            while len(got) < size:
                piece = await server.receive()
                assert piece[:6] == packet[:6]
                assert (piece.buf_alloc, piece.fwd_cnt) == (packet.buf_alloc, packet.fwd_cnt)
                got += piece.payload
                flags.append(piece.flags)
            assert got == data
            assert flags == [0] * (len(flags) - 1) + [Seqpacket.END_OF_MESSAGE]
            assert len(flags) == -(-size // 4096)

    run(scenario)


def test_a_receive_buffer_may_have_any_shape():
    """One byte beside the header is enough, and the header may be cut in two."""

    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            server = net.attach(SERVER)
            server.rx_buffer = (20, 25)
            await server.boot()
            await client.send(client.packet(Op.RW, SERVER, payload=b"seven b", flags=3))
            pieces = [await server.receive() for _ in range(7)]
            assert b"".join(piece.payload for piece in pieces) == b"seven b"
            assert [piece.flags for piece in pieces] == [0] * 6 + [3]

    run(scenario)


def test_a_packet_may_lie_in_one_descriptor():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            packet = client.packet(Op.RW, SERVER, payload=b"x" * 100)
            await client.transmit(packet.pack() + b"the rest of the buffer", pieces=1)
            await server.hears(packet)

    run(scenario)


def test_what_is_no_packet_is_dropped_and_the_device_goes_on():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            good = client.packet(Op.RW, SERVER, payload=b"data")
            await client.transmit(good.pack()[:10], pieces=1)
            await client.transmit(good.header(MAX_PAYLOAD, 0) + b"short")
            await client.transmit(good.header(0xFFFFFFFF, 0) + bytes(100))
            await client.transmit(good._replace(op=Op.RST).pack())
            await client.reaches(server)
            assert net.switch.counters.malformed == 4
            assert net.reports == []
            await until(lambda: client.reclaim() or len(client.free[TX]) == client.size)

    run(scenario)


# ---- guests come and go ----


def test_a_guest_whose_driver_has_not_started_is_not_there():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            server = net.attach(SERVER)
            await server.negotiate()
            request = client.packet(Op.REQUEST, SERVER)
            await client.send(request)
            await client.hears(request.rst())
            ready = asyncio.create_task(net.switch.ready(SERVER))
            await asyncio.sleep(0)
            assert not ready.done()
            await server.boot()
            await ready
            await client.reaches(server)

    run(scenario)


def test_what_waits_for_a_guest_that_leaves_is_reset():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            server = await net.attach(SERVER).boot(buffers=0)
            packets = [client.packet(Op.RW, SERVER, payload=b"lost", ports=(number, 1)) for number in range(3)]
            for packet in packets:
                await client.send(packet)
            await until(lambda: net.switch.counters.forwarded == 3)
            server.sock.close()
            for packet in packets:
                await client.hears(packet.rst())
            assert net.reports == []
            await client.send(packets[0])
            await client.hears(packets[0].rst())
            with pytest.raises(MachineryError, match="no guest"):
                await net.switch.ready(SERVER)
            # The address is free again.
            again = await net.attach(SERVER).boot()
            await client.reaches(again)

    run(scenario)


def test_a_driver_that_is_reset_begins_anew():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            for _ in range(3):
                await client.reaches(server)
            for queue in (RX, TX):
                await server.succeed(Request.SET_VRING_ENABLE, vu.VRING_STATE.pack(queue, 0))
            for queue, expected in ((RX, 3 + server.size // 2), (TX, 0)):
                answer = await server.ask(Request.GET_VRING_BASE, vu.VRING_STATE.pack(queue, 0))
                index, base = vu.VRING_STATE.unpack(answer)
                assert index == queue
                # As many as the driver saw come back: the others are still available.
                assert base == server.seen[queue]
                assert queue == TX or base == expected - server.size // 2
            request = client.packet(Op.REQUEST, SERVER)
            await client.send(request)
            await client.hears(request.rst())
            for queue in (RX, TX):
                await server.start_queue(queue, base=server.seen[queue])
            await client.reaches(server)
            await server.reaches(client)

    run(scenario)


def test_the_memory_table_may_change_while_the_rings_run():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            await client.reaches(server)
            for _ in range(3):
                await server.set_memory()
                await client.reaches(server)
                await server.reaches(client)

    run(scenario)


def test_attaching_wrongly():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            for cid in (0, 2, CLIENT, 0xFFFFFFFF, 1 << 33):
                with pytest.raises(MachineryError, match="CID"):
                    net.switch.attach(cid, client.sock)
            net.switch.detach(99)
            assert client.sock.fileno() >= 0

    run(scenario)


def test_ready_tells_of_a_device_that_fails():
    async def scenario():
        async with network() as net:
            server = net.attach(SERVER)
            ready = asyncio.create_task(net.switch.ready(SERVER))
            await asyncio.sleep(0)
            server.sock.close()
            with pytest.raises(MachineryError, match="front-end is gone"):
                await ready

    run(scenario)
