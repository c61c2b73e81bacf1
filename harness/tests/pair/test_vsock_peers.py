"""The solutions of the chapters on VM sockets meet programs that nobody here wrote: socat, Go, Python.

All of it happens in the machines, for the host's own vsock may lead to whoever hosts it.
"""

from pathlib import Path

import pytest

from groundup.vm.snapshot import Snapshot

from .vsock_lab import PEERS, Lab, go_peer, in_lab

pytestmark = pytest.mark.pair

MAKE = "head -c 4000000 /dev/urandom > data"
"""Four megabytes, sixteen times as much as a kernel keeps for a connection."""


async def echo_server_is_asked(lab: Lab, peer: str) -> None:
    """Start our echo server, and have `peer` (which reads standard input, and dials 3:7000) ask it."""
    program = await lab.solution("08")
    await lab.run("server", f"./{program} --port 7000 >/dev/null 2>&1 &")
    await lab.ready("server", ":7000")
    await lab.run("client", f"{MAKE} && {peer} < data > back && cmp data back")


async def echo_client_asks(lab: Lab, peer: str) -> None:
    """Start `peer`, an echo server in the client machine at port 7001, and have our client ask it."""
    program = await lab.solution("08")
    await lab.run("client", f"{peer} >/dev/null 2>&1 &")
    await lab.ready("client", ":7001")
    await lab.run("server", f"{MAKE} && ./{program} --input data vsock:4:7001 > back && cmp data back")


def test_echo_and_socat(snapshot: Snapshot, tmp_path: Path) -> None:
    async def act(lab: Lab) -> None:
        await echo_server_is_asked(lab, "socat -t 30 - VSOCK-CONNECT:3:7000")
        await echo_client_asks(lab, "socat -t 30 VSOCK-LISTEN:7001,fork EXEC:cat")

    in_lab(snapshot, tmp_path, act)


def test_echo_and_python(snapshot: Snapshot, tmp_path: Path) -> None:
    async def act(lab: Lab) -> None:
        await lab.bring("client", PEERS / "vsock_peer.py", "peer.py")
        await echo_server_is_asked(lab, "python3 peer.py echo-client 3 7000")
        await echo_client_asks(lab, "python3 peer.py echo-server 7001")

    in_lab(snapshot, tmp_path, act)


def test_echo_and_go(snapshot: Snapshot, tmp_path: Path) -> None:
    async def act(lab: Lab) -> None:
        await lab.bring("client", go_peer(tmp_path), "go-vsock")
        await echo_server_is_asked(lab, "./go-vsock echo-client 3 7000")
        await echo_client_asks(lab, "./go-vsock echo-server 7001")

    in_lab(snapshot, tmp_path, act)


def test_files_and_go(snapshot: Snapshot, tmp_path: Path) -> None:
    """Go's http.FileServer and http.Client over vsock, against our client and our server."""

    async def act(lab: Lab) -> None:
        await lab.bring("client", go_peer(tmp_path), "go-vsock")
        program = await lab.solution("09")
        await lab.run("server", f"mkdir files && cd files && {MAKE} && printf hello > a.txt")
        await lab.run("server", f"./{program} --root files --listen vsock:4294967295:8080 >/dev/null 2>&1 &")
        await lab.ready("server", ":8080")
        whole = await lab.run("client", "./go-vsock http-client 3 8080 /a.txt")
        fields = "Accept-Ranges: bytes\nContent-Length: {}\nContent-Range: {}\nContent-Type: {}\n\n"
        text = "text/plain; charset=utf-8"
        assert whole == "200\n" + fields.format(5, "", text) + "hello"
        part = await lab.run("client", "./go-vsock http-client 3 8080 /a.txt bytes=1-3")
        assert part == "206\n" + fields.format(3, "bytes 1-3/5", text) + "ell"
        nothing = await lab.run("client", "./go-vsock http-client 3 8080 /a.txt bytes=5-")
        assert nothing.startswith("416\n")
        # What Go gets of the large file is what our client gets of it.
        size = await lab.run("client", "./go-vsock http-client 3 8080 /data > got; tail -c 4000000 got | sha256sum")
        assert size == await lab.run("server", "sha256sum < files/data")

        await lab.run("client", f"mkdir served && cd served && {MAKE} && printf hello > a.txt")
        await lab.run("client", "./go-vsock http-server 8081 served >/dev/null 2>&1 &")
        await lab.ready("client", ":8081")
        assert await lab.run("server", f"./{program} http+vsock://4:8081/a.txt") == "hello"
        got = await lab.run("server", f"./{program} http+vsock://4:8081/data | sha256sum")
        assert got == await lab.run("client", "sha256sum < served/data")
        await lab.run("server", f"./{program} http+vsock://4:8081/none", status=7)

    in_lab(snapshot, tmp_path, act)


def test_files_and_socat(snapshot: Snapshot, tmp_path: Path) -> None:
    """Our server behind a Unix socket and over vsock, asked by hand, with socat."""

    async def act(lab: Lab) -> None:
        program = await lab.solution("09")
        await lab.run("server", "printf hello > a.txt")
        await lab.run("server", f"./{program} --listen vsock:4294967295:8080 >/dev/null 2>&1 &")
        await lab.run("server", f"./{program} --listen unix:http.sock >/dev/null 2>&1 &")
        await lab.ready("server", ":8080")
        ask = r"printf 'GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' | socat -t 30 -"
        for answer in (
            await lab.run("client", f"{ask} VSOCK-CONNECT:3:8080"),
            await lab.run("server", f"{ask} UNIX-CONNECT:http.sock"),
        ):
            assert answer.startswith("HTTP/1.1 200 OK\r\n")
            assert answer.endswith("\r\n\r\nhello")

    in_lab(snapshot, tmp_path, act)
