"""A run before the snapshot, with a stand-in for the host, so that later nothing is done for the first time.

Imports that functions make, compiled patterns, Scapy's tables, code that the interpreter has specialised: all that is
kept in the process that is snapshotted. So it is the stand-in that is forked off, not the run.
"""

import os
import select
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils import PcapNgWriter

from groundup_guest import rpc, session
from groundup_guest.archive import pack
from groundup_guest.rpc import Body, Channel

TESTS = b'''
from groundup_guest.testing import needs, points, read


@points(1)
@read("nothing")
def test_serves(server, tcp, rng):
    """A server serves."""
    program = server.start("--port", "0")
    peer = tcp.connect(program)
    request = b"GET / HTTP/1.1\\r\\n\\r\\n"
    cut = rng.sample(range(1, 9), k=1)[0]
    peer.sends(request[:cut], of=request)
    peer.stays_silent_until(program.has_read(peer))
    peer.sends(request[cut:])
    peer.receives_response(status=200, body_contains=b"hello", headers={"connection": "close"})
    peer.sees_close()
    peer.closes()
    assert not program.descriptors()
    program.settles()
    program.stops()


@needs("test_serves")
def test_ends(server):
    program = server.run("--bogus")
    program.exits(0)
    program.prints_one_line(matching="x")


def test_fails(server, tcp):
    peer = tcp.connect(server.start())
    peer.half_closes()
    peer.receives(b"HTTP/1.0 200")


def test_looks_at_packets(wire):
    assert len(wire.capture().tcp(80, flags="SA")) == 2
'''
OUTCOMES = {"test_serves": "pass", "test_ends": "pass", "test_fails": "fail", "test_looks_at_packets": "pass"}
MAC = "02:00:00:00:00:01"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class RehearsalError(Exception):
    """The rehearsal did not go as it should: this machine cannot run tests."""


def rehearse(directory: Path) -> None:
    """Run a few tests in `directory`, which is removed afterwards. Raises RehearsalError."""
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    packets = _packets()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _play_host(Channel(theirs.detach()), listener, packets)
    theirs.close()
    listener.close()
    prepared = session.prepare(directory)
    params = {"chapter": "rehearsal", "seed": 1, "options": {"addresses": {"4": "127.0.0.1"}}}
    with Channel(ours.detach()) as channel:
        status = session.run(prepared, channel, params, pack({"test_rehearsal.py": TESTS}))
    shutil.rmtree(directory)
    if os.waitpid(pid, 0)[1] != 0:
        raise RehearsalError(f"the tests before the snapshot did not end as they should (status {status})")


def _packets() -> bytes:
    """Return a capture with a packet of each kind that tests look at."""
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    transports = (TCP(sport=80, flags="SA", options=options), UDP() / b"x")
    packets: list[Packet] = [network / transport for network in (IP(), IPv6()) for transport in transports]
    packets += [ARP(), IP() / ICMP(), IPv6() / ICMPv6ND_NS()]
    with tempfile.NamedTemporaryFile() as file, PcapNgWriter(file.name) as writer:
        for packet in packets:
            writer.write(Ether(src=MAC, dst=MAC) / packet)
        writer.flush()
        return Path(file.name).read_bytes()


def _play_host(channel: Channel, listener: socket.socket, packets: bytes) -> NoReturn:
    """Be the host and the server machine, in a child; end with status 0 if every test came out as it should."""
    outcomes: dict[str, str] = {}
    status = 1
    try:
        poller = select.poll()
        poller.register(channel.fileno(), select.POLLIN)
        poller.register(listener.fileno(), select.POLLIN)
        while True:
            while (message := channel.poll()) is not None:
                method, params = message.body["method"], message.body["params"]
                if "id" in message.body:
                    answer = rpc.response(message.body["id"], _answers(listener).get(method, {}))
                    channel.send(answer, packets if method == "wire.packets" else b"")
                elif method == "test_finished":
                    outcomes[params["id"]] = params["outcome"]
            if any(descriptor == listener.fileno() for descriptor, _ in poller.poll()):
                _serve(listener.accept()[0])
    except rpc.ChannelClosedError:
        status = 0 if outcomes == OUTCOMES else 1
    finally:
        os._exit(status)


def _serve(connection: socket.socket) -> None:
    """Answer one request, in a child of its own: its peer calls the host in between."""
    if os.fork() == 0:
        data = b""
        while b"\r\n\r\n" not in data and (part := connection.recv(4096)):
            data += part
        connection.sendall(ANSWER)
        os._exit(0)
    connection.close()


def _answers(listener: socket.socket) -> dict[str, Body]:
    """Return what the server machine says about its only program, which is well."""
    exit_ = {"status": 0, "signal": None, "core": False, "oom": False}
    facts: dict[str, Any] = {"alive": True, "exit": None, "settled": True, "state": "S", "zombies": 0}
    facts["descriptors"] = []
    line = f"listening on tcp:127.0.0.1:{listener.getsockname()[1]}"
    output: dict[str, Any] = {"stdout": f"{line}\n", "stdout_bytes": len(line) + 1}
    output |= {"stderr": "x\n", "stderr_bytes": 2}
    return {
        "server.start": {"handle": 1, "pid": 1, "stdout_line": line, "exit": None, "seconds": 0.0, "descriptors": []},
        "server.drained": {"drained": True, "alive": True, "unread": 0, "unsent": 0, "state": "ESTABLISHED"},
        "server.facts": facts,
        "server.settle": {**facts, **output, "more": []},
        "server.output": output,
        "server.wait": {"exit": exit_, "seconds": 0.0, **output},
        "server.stop": {"exit": exit_, "seconds": 0.0, "killed": False, "leftover": 0},
        "server.syscalls": {"lines": []},
    }
