"""Much traffic: order, back-pressure, and bounded work."""

import asyncio
import itertools
import os
import struct

import pytest

from groundup.vsock import CID_HOST, Op, Packet, Type, port
from groundup.vsock.packet import HEADER_SIZE, MAX_PAYLOAD

from .driver import AVAILABLE, CLIENT, NO_INTERRUPT, RX, SERVER, TX, network, run, until


def test_order_is_kept_in_a_long_stream():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)

            async def sends():
                for number in range(1000):
                    await client.send(client.packet(Op.RW, SERVER, payload=struct.pack("<I", number) * 300))

            task = asyncio.create_task(sends())
            data = b""
            while len(data) < 1000 * 1200:
                data += (await server.receive()).payload
            await task
            assert data == b"".join(struct.pack("<I", number) * 300 for number in range(1000))

    run(scenario)


def test_no_receive_buffers_hold_up_the_sender_and_not_the_memory():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            server = await net.attach(SERVER).boot(buffers=0)
            payload = bytes(MAX_PAYLOAD)
            sent = 0
            while len(client.free[TX]) >= 2:
                await client.send(client.packet(Op.RW, SERVER, payload=payload))
                sent += 1
                await client_is_idle(client)
            assert port.PENDING_BYTES <= (sent - client.size // 2) * MAX_PAYLOAD <= port.PENDING_BYTES + MAX_PAYLOAD
            # The server offers buffers at last: everything comes, and the client's queue moves on.
            for _ in range(server.size // 2):
                server.offer()
            server.ring(RX)
            received = 0
            while received < sent * MAX_PAYLOAD:
                received += len((await server.receive()).payload)
            await client.reaches(server)
            assert client.reclaim() >= 0
            assert len(client.free[TX]) == client.size

    async def client_is_idle(client):
        for _ in range(5):
            await asyncio.sleep(0)
        client.reclaim()

    run(scenario)


def test_a_host_end_cannot_fill_a_line_either():
    async def scenario():
        async with network() as net:
            await net.attach(SERVER).boot(buffers=0)
            packet = Packet(CID_HOST, SERVER, 1, 2, Type.STREAM, Op.RW, payload=bytes(MAX_PAYLOAD))
            count = 0
            while net.switch.send(packet):
                count += 1
            assert count * MAX_PAYLOAD == port.PENDING_BYTES

    run(scenario)


def test_guests_that_wait_for_each_other_both_get_on():
    """Both send more than fits before either of them offers a receive buffer."""

    async def scenario():
        async with network() as net:
            server = await net.attach(SERVER).boot(buffers=0)
            client = await net.attach(CLIENT).boot(buffers=0)
            count = 400

            async def sends(here, there):
                for _ in range(count):
                    await here.send(here.packet(Op.RW, there.cid, payload=bytes(MAX_PAYLOAD)))

            async def takes(here):
                total = 0
                while total < count * MAX_PAYLOAD:
                    total += len((await here.receive()).payload)

            tasks = [asyncio.create_task(sends(server, client)), asyncio.create_task(sends(client, server))]
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not any(task.done() for task in tasks)
            for guest in (server, client):
                for _ in range(guest.size // 2):
                    guest.offer()
                guest.ring(RX)
            await asyncio.gather(*tasks, takes(server), takes(client))

    run(scenario)


def test_a_flood_leaves_the_event_loop_alive():
    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT)
            # One chain, made available again and again: the ring is never empty for long.
            await client.transmit(client.packet(Op.RST, 99).pack(), kick=False)
            head = client.size - 1
            client.describe(TX, head, (client.buffer(TX, 0), HEADER_SIZE))
            rounds = 0
            seen = 0
            while seen < 20_000:
                for _ in range(client.size - 1):
                    client.post(TX, head)
                client.ring(TX)
                rounds += 1
                while len(client.collect(TX)) == 0:
                    await asyncio.sleep(0)
                seen = net.switch.counters.unreachable
            assert rounds >= 20_000 / client.size / 2
            assert net.reports == []

    run(scenario)


def test_a_batch_is_bounded():
    """However much is in the queue, one wake-up takes 64 packets of it."""

    async def scenario():
        async with network() as net:
            (client,) = await net.boot(CLIENT, size=1024)
            payload = client.packet(Op.RST, 99).pack()
            place = client.place(client.buffer(TX, 0))
            client.memory[place : place + len(payload)] = payload
            client.describe(TX, 0, (client.buffer(TX, 0), HEADER_SIZE))
            for _ in range(1000):
                client.post(TX, 0)
            client.ring(TX)
            steps = []
            while net.switch.counters.unreachable < 1000:
                steps.append(net.switch.counters.unreachable)
                await asyncio.sleep(0)
            steps.append(1000)
            assert max(b - a for a, b in itertools.pairwise(steps)) == port.BATCH

    run(scenario)


def test_a_driver_that_polls_gets_no_interrupts():
    async def scenario():
        async with network() as net:
            server, client = await net.boot(SERVER, CLIENT)
            await client.reaches(server)
            for fd in (server.call[RX], client.call[TX]):
                try:
                    os.eventfd_read(fd)
                except BlockingIOError:
                    continue
            for guest, queue in ((server, RX), (client, TX)):
                struct.pack_into("<H", guest.memory, queue * 0x8000 + AVAILABLE, NO_INTERRUPT)
            packet = client.packet(Op.RW, SERVER, payload=b"quiet")
            await client.send(packet)
            await until(lambda: server._inbox.extend(server.received()) or bool(server._inbox))
            assert server._inbox.popleft() == packet
            for fd in (server.call[RX], client.call[TX]):
                with pytest.raises(BlockingIOError):
                    os.eventfd_read(fd)

    run(scenario)
