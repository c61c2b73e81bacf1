"""The fixtures below TCP: datagrams, raw frames, and the wire between the machines, whose host is a stand-in here."""

import os
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

from tests.guest.backend import Backend

ECHO = b"""#!/usr/bin/env python3
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
print("listening on udp:127.0.0.1:%d" % server.getsockname()[1], flush=True)
while True:
    data, peer = server.recvfrom(65536)
    if data == b"other":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(data, peer)
    elif data != b"quiet":
        server.sendto(data[:4], peer)
"""


def test_datagrams(backend: Backend) -> None:
    backend.programs.install("echo", ECHO)
    source = """
def ask(server, udp, question):
    server.start()
    peer = udp.socket(server)
    peer.sends(question)
    return peer

def test_good(server, udp):
    peer = ask(server, udp, b"quiet")
    peer.receives_nothing_until(server.waits_for_next())
    peer.sends(b"abc")
    peer.receives(b"abc")

def test_cut(server, udp):
    ask(server, udp, b"abcdef").receives(b"abcdef")

def test_stranger(server, udp):
    ask(server, udp, b"other").receives(b"other")

def test_silent(server, udp):
    ask(server, udp, b"quiet").receives(b"quiet")
"""
    results = backend.run(source, program="echo", floor=1.0).results
    assert (results["test_good"]["outcome"], results["test_good"]["message"]) == ("pass", "")
    assert results["test_cut"]["message"] == "The datagram holds other bytes than expected."
    assert results["test_cut"]["diff"] == {"expected": b"abcdef".hex(), "received": b"abcd".hex()}
    assert results["test_stranger"]["message"] == "The answer came from another address than the one that was asked."
    assert results["test_silent"]["message"] == "The server did not answer the datagram."


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
def test_frames_on_an_interface(backend: Backend) -> None:
    source = """
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

def test_good(link):
    lo = link.on("lo")
    lo.sends(Ether() / IP(dst="127.0.0.1") / UDP(sport=9, dport=9) / b"ground")
    packet = lo.receives(lambda packet: UDP in packet and bytes(packet[UDP].payload) == b"ground", what="our datagram")
    assert packet[UDP].dport == 9

def test_nothing(link):
    link.on("lo").receives(lambda packet: False, within=0.05, what="a miracle")
"""
    results = backend.run(source).results
    assert (results["test_good"]["outcome"], results["test_good"]["message"]) == ("pass", "")
    assert results["test_nothing"]["message"] == "No such frame came: a miracle."


HEARS = b"""#!/usr/bin/env python3
import socket, struct, sys
ours = struct.pack("HBBI" * 4, 0x28, 0, 0, 12, 0x15, 0, 1, 0x88B5, 6, 0, 0, 0xFFFF, 6, 0, 0, 0)
hears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
if "filter" in sys.argv:
    import ctypes
    code = ctypes.create_string_buffer(ours)
    hears.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
hears.bind(("lo", 3))
print("listening on packet:lo", flush=True)
while True:
    frame = hears.recv(2000)
    if frame[12:14] == b"\\x88\\xb5" and frame.endswith(b"?"):
        hears.send(frame[:-1] + b"!")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")
def test_frames_that_a_program_is_given_are_counted(backend: Backend) -> None:
    backend.programs.install("hears", HEARS)
    source = """
from scapy.layers.l2 import Ether

OTHER, OURS = Ether(type=0x88B6) / b"other", Ether(type=0x88B5) / b"ours?"

def ask(server, link, *arguments):
    program, lo = server.start(*arguments), link.on("lo")
    assert program.address.text == "packet:lo"
    link.delivered(program, 1000, what="whatever came before")
    with lo.flooded([OTHER], "frames of others"):
        lo.sends(OURS, note="a question")
        lo.receives(lambda frame: bytes(frame).endswith(b"ours!"), what="the answer")
    link.delivered(program, 6, what="the question and two answers, out and in", hint="Filter.")

def test_filtered(server, link):
    ask(server, link, "filter")

def test_unfiltered(server, link):
    ask(server, link)

def test_next(server, link):
    server.start("filter")
    lo = link.on("lo")
    lo.sends(OURS)
    mine = lambda frame: frame.type == 0x88B5
    lo.receives_next(lambda frame: bytes(frame).endswith(b"ours!"), what="an answer", whose=mine, hint="Wait.")

def test_no_packet_socket(server, link):
    link.delivered(server.run("filter"), 0, what="nothing")
"""
    backend.programs.install("subject", backend.programs.home.joinpath("hears").read_bytes())
    results = backend.run(source).results
    assert (results["test_filtered"]["outcome"], results["test_filtered"]["message"]) == ("pass", "")
    message = results["test_unfiltered"]["message"]
    assert message.startswith("The kernel delivered ")
    assert message.endswith(" to the program, of which 6 concerned it.")
    assert results["test_unfiltered"]["why"] == "Filter."
    assert results["test_next"]["message"] == "Another frame came where there should have been an answer."


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_an_address_for_the_time_of_a_test(backend: Backend) -> None:
    """In a network namespace: the machine's own addresses are nobody's to change."""
    source = """
import ctypes, subprocess
CLONE_NEWNET = 0x40000000

def addresses():
    return subprocess.run(["ip", "-o", "-4", "address"], capture_output=True, text=True).stdout

def test_has_it(link):
    assert ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    link.on("lo").has_address("198.51.100.2/24")
    assert "198.51.100.2/24" in addresses()

def test_has_it_no_more():
    assert "198.51.100" not in addresses()
"""
    results = backend.run(source).results
    assert [found["message"] for found in results.values()] == ["", ""]


def test_the_wire_is_disturbed_and_put_right_again(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    with PcapNgWriter(str(file)) as writer:
        for flags in ("S", "SA", "A"):
            writer.write(Ether() / IP() / TCP(sport=5, dport=80, flags=flags))
    backend.capture = file.read_bytes()
    source = """
def test_a(wire):
    wire.drops(0.1, direction="to-server")
    wire.delays(20)
    capture = wire.capture()
    assert capture.count == 3
    assert [str(packet["TCP"].flags) for packet in capture.tcp(80)] == ["S", "SA", "A"]
    assert len(capture.tcp(flags="SA")) == 1
    wire.injects(capture.packets[0])
"""
    result = backend.run(source).only
    assert (result["outcome"], result["message"]) == ("pass", "")
    calls = [call for call in backend.wire_calls if call[0] != "counts"]
    assert calls == [
        ("mark", {"label": "test test_a"}),
        ("faults", {"link": "eth0", "plan": {"seed": 1, "drop": 0.1, "direction": "to-server"}}),
        ("faults", {"link": "eth0", "plan": {"seed": 1, "delay_ms": 20}}),
        ("packets", {"link": "eth0", "since": "test test_a"}),
        ("inject", {"link": "eth0", "to": "server"}),
        ("clear", {"link": "eth0"}),
    ]


def test_what_the_wire_has_lost_is_told_from_what_arrived(backend: Backend, tmp_path: Path) -> None:
    file = tmp_path / "capture.pcapng"
    with PcapNgWriter(str(file)) as writer:
        for port, note in ((7, b""), (7, b"dropped by plan"), (8, b"duplicated by plan")):
            packet = Ether() / IP() / UDP(sport=5, dport=port)
            packet.comments = [note] if note else None
            writer.write(packet)
    backend.capture = file.read_bytes()
    source = """
def test_a(wire):
    capture = wire.capture()
    assert [packet["UDP"].dport for packet in capture.udp()] == [7, 7, 8]
    assert [packet["UDP"].dport for packet in capture.arrived().udp(5)] == [7, 8]
    assert len(capture.udp(to=7)) == 2 and not capture.udp(to=5)
"""
    result = backend.run(source).only
    assert (result["outcome"], result["message"]) == ("pass", "")
