"""A small conversation with a program in a live pair, so that there is something to look at.

A server is asked once: over TCP for a page, over UDP with one datagram. A client finds the server that it needs on
PORT of the client machine. The other end is a few lines of Python in that machine.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from groundup.errors import MachineryError, UsageError
from groundup.vm.pair import Pair
from groundup_guest.address import parse

PORT = 7000
SERVER, CLIENT = "192.0.2.1", "192.0.2.2"
PATIENCE = 20.0
"""Seconds for each step. All of them take a moment; this is for a busy host, or a program that hangs."""

CLIENTS: dict[str, tuple[str, list[str]]] = {
    "http-client": ("http", [f"http://{CLIENT}:{PORT}/"]),
    "udp-client": ("udp", ["--count", "1", f"udp:{CLIENT}:{PORT}"]),
}
"""Programs that ask: what kind of server they need, and what they are told."""

_ASK = {
    "tcp": (
        "s = socket.create_connection((host, port), 5)\n"
        "s.sendall(b'GET / HTTP/1.1\\r\\nHost: ground\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "s.shutdown(socket.SHUT_WR)\n"
        "while s.recv(65536):\n    pass\n"
    ),
    "udp": (
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.settimeout(5)\n"
        "s.sendto(b'hello from the ground up', (host, port))\ns.recv(65536)\n"
    ),
}
_SERVE = {
    "http": (
        "def listen():\n    return socket.create_server((host, port))\n"
        "def serve():\n"
        "    c, _ = s.accept()\n"
        "    while b'\\r\\n\\r\\n' not in c.recv(65536):\n        pass\n"
        "    c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\nhello\\n')\n"
        "    c.close()\n"
    ),
    "udp": (
        "def listen():\n"
        "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    s.bind((host, port))\n    return s\n"
        "def serve():\n    s.sendto(*s.recvfrom(65536))\n"
    ),
}
_IN_BACKGROUND = (
    # Once the parent has ended the socket is bound; the child lets go of the pipes that its end would be awaited at.
    # A server of an earlier conversation may be there still: then it serves this one, too.
    "import errno, os\n"
    "try:\n    s = listen()\n"
    "except OSError as error:\n    raise SystemExit(error.errno != errno.EADDRINUSE)\n"
    "if os.fork() == 0:\n"
    "    for n in (0, 1, 2):\n        os.dup2(os.open('/dev/null', os.O_RDWR), n)\n"
    "    while True:\n        serve()\n"
)


def _script(body: str, host: str, port: int) -> list[str]:
    return ["python3", "-c", f"import socket\nhost, port = {host!r}, {port}\n{body}"]


async def _in_client_machine(pair: Pair, argv: list[str]) -> None:
    found, _ = await pair.client.call("sh", {"argv": argv, "deadline": PATIENCE}, deadline=2 * PATIENCE)
    if found["status"] != 0:
        lines = str(found["stderr"]).strip().splitlines()
        raise MachineryError(f"the other end of the conversation: {lines[-1] if lines else 'ended early'}")


async def converse(pair: Pair, program: str, arguments: Sequence[str] | None) -> dict[str, Any]:
    """Run an installed program through its conversation; return what the server machine's agent says of its start.

    `arguments` take the place of those that the program gets otherwise. The program is left running if it is a server.
    """
    if program in CLIENTS:
        kind, usual = CLIENTS[program]
        await _in_client_machine(pair, _script(_SERVE[kind] + _IN_BACKGROUND, CLIENT, PORT))
        argv = [program, *(usual if arguments is None else arguments)]
        started, _ = await pair.server.call("start", {"argv": argv}, deadline=2 * PATIENCE)
        ended, _ = await pair.server.call(
            "wait", {"handle": started["handle"], "deadline": PATIENCE}, deadline=2 * PATIENCE
        )
        return {**started, "argv": argv, "exit": ended["exit"]}
    argv = [program, *(["--port", "0"] if arguments is None else arguments)]
    params = {"argv": argv, "ready": True, "deadline": PATIENCE}
    started, _ = await pair.server.call("start", params, deadline=2 * PATIENCE)
    line = str(started["stdout_line"] or "")
    address = parse(line.removeprefix("listening on "))
    if address is None:
        raise UsageError(f"{' '.join(argv)} did not say where it listens", f"it said: {line[:200] or 'nothing'}")
    if address.kind not in _ASK:
        raise UsageError(f"there is no conversation for a server at {address.text}", "only tcp and udp are known here")
    host = SERVER if address.is_any or address.family == 6 else address.host
    # What is asked may be left unanswered by a program that is not finished yet: then there is less to see.
    with contextlib.suppress(MachineryError):
        await _in_client_machine(pair, _script(_ASK[address.kind], host, address.port))
    await pair.server.call("settle", {"handle": started["handle"], "deadline": 2.0}, deadline=PATIENCE)
    return {**started, "argv": argv}
