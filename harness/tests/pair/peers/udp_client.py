"""Run in the client machine as a test of chapter 07: the client asks servers that nobody here wrote, and is traced."""

import contextlib
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup_guest.testing import Server, Trace

HOST = {4: "192.0.2.2", 6: "2001:db8::2"}
SERVE = """
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)
socketserver.UDPServer.max_packet_size = 65536
with socketserver.UDPServer((sys.argv[1], int(sys.argv[2])), Echo) as server:
    server.serve_forever()
"""


def bound(port: int) -> bool:
    """Tell whether this machine has a UDP socket on `port`."""
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("udp", "udp6")]
    return any(line.split()[1].endswith(f":{port:04X}") for table in tables for line in table)


@contextlib.contextmanager
def running(port: int, *argv: str, pipe: str | None = None) -> Iterator[None]:
    """Run a server until the block ends; it begins when the port is bound."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL) if pipe is None else subprocess.Popen(["sh", "-c", pipe])
    try:
        end = time.monotonic() + 20
        while not bound(port):
            assert process.poll() is None, f"{argv or pipe} has ended"
            assert time.monotonic() < end
            select.select([], [], [], 0.01)
        yield
    finally:
        process.kill()
        process.wait()


def asks(server: Server, port: int, family: int = 4, *options: str) -> None:
    """Run the program against a port of this machine, and expect all answers."""
    host = HOST[family] if family == 4 else f"[{HOST[family]}]"
    program = server.run("--count", "3", "--timeout", "20", *options, f"udp:{host}:{port}")
    program.call("wait", deadline=20)  # the first wait is of three seconds, and other people's programs start slowly
    program.exits(0)
    assert "3 messages, 3 datagrams sent, 3 answered, 0 lost (0%), 0 late, 0 strange" in program.stdout


@pytest.mark.parametrize("family", [4, 6])
def test_socat(server: Server, family: int) -> None:
    with running(7001, "socat", "-b", "65536", f"UDP{family}-RECVFROM:7001,fork", "PIPE"):
        asks(server, 7001, family, "--size", "1473")


def test_netcat(server: Server) -> None:
    with tempfile.TemporaryDirectory() as place:
        pipe = f"mkfifo {place}/back && exec 3<>{place}/back && exec nc -u -l 7002 <&3 >&3"
        with running(7002, pipe=pipe):
            asks(server, 7002)


@pytest.mark.parametrize("size", ["16", "65507"])
def test_python(server: Server, size: str) -> None:
    with running(7003, sys.executable, "-c", SERVE, HOST[4], "7003"):
        asks(server, 7003, 4, "--size", size)


def test_the_kernel_at_work(server: Server, trace: Trace) -> None:
    before = server.run("--count", "0", f"udp:{HOST[4]}:7004")
    kernel = trace.kernel("udp_*", "*ip4_datagram_connect", "__dev_queue_xmit", stacks=True)
    program = server.run("--count", "0", f"udp:{HOST[4]}:7004")
    program.exits(0)
    assert kernel.counts(program, "connect")["ip4_datagram_connect"] == 1
    assert kernel.counts(program)["__dev_queue_xmit"] == 0
    (bound_by,) = (call for call in kernel.calls(program) if call.name == "udp_v4_get_port")
    assert bound_by.system_call.startswith("connect(")
    assert bound_by.stack[0] == bound_by.caller == "inet_autobind"
    assert not kernel.calls(before)
