"""Run in the client machine as a test of chapter 06: the echo server, asked by clients that nobody here wrote."""

import socket
import subprocess
import sys

import pytest

from groundup_guest.testing import Program, Server

ASK = """
import socket, sys
family, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
peer = socket.socket(socket.AddressFamily(family), socket.SOCK_DGRAM)
peer.settimeout(10)
peer.connect((host, port))
for size in (0, 1, 1473, 65507):
    message = bytes(n % 251 for n in range(size))
    assert peer.send(message) == size
    assert peer.recv(70000) == message, size
print("all")
"""


def said(argv: list[str], text: bytes = b"") -> bytes:
    """Return what a command writes when it is given `text`."""
    return subprocess.run(argv, input=text, capture_output=True, timeout=20, check=True).stdout


@pytest.fixture
def program(server: Server) -> Program:
    return server.start("--port", "0")


@pytest.mark.parametrize("family", [4, 6])
def test_socat(program: Program, server: Server, family: int) -> None:
    host = server.host(family) if family == 4 else f"[{server.host(family)}]"
    address = f"UDP{family}-SENDTO:{host}:{program.address.port}"  # by sendto(2); UDP4: would connect(2)
    assert said(["socat", "-t", "0.5", "-", address], b"from socat") == b"from socat"


def test_netcat(program: Program, server: Server) -> None:
    argv = ["nc", "-u", "-w", "1", server.host(4), str(program.address.port)]
    assert said(argv, b"from netcat\n") == b"from netcat\n"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_python(program: Program, server: Server, family: int) -> None:
    host = server.host(4 if family == socket.AF_INET else 6)
    assert said([sys.executable, "-c", ASK, str(int(family)), host, str(program.address.port)]) == b"all\n"
