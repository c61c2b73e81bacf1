"""What the fixtures do to the machines for the chapters on VM sockets, in real ones."""

from pathlib import Path

import pytest

from groundup.course.chapter import find
from groundup.vm.snapshot import Snapshot

from .conftest import Grade
from .vsock_lab import Lab, in_lab

pytestmark = pytest.mark.pair

CID = """python3 -c '
import fcntl, struct
print(*struct.unpack("I", fcntl.ioctl(open("/dev/vsock"), 1977, bytes(4))))'"""
"""Asks /dev/vsock (IOCTL_VM_SOCKETS_GET_LOCAL_CID)."""


def test_device(snapshot: Snapshot, tmp_path: Path) -> None:
    """A device that was taken away comes back: its CID, and connections over it."""

    async def act(lab: Lab) -> None:
        assert await lab.run("server", CID) == "3\n"
        assert await lab.run("client", CID) == "4\n"
        assert (await lab.run("server", "stat -c %a /dev/vsock")) == "666\n"
        for _ in range(3):
            await lab.pair.server.call("vsock_device", {"present": False})
            assert await lab.run("server", CID) == "1\n"  # what is left is the loopback
            await lab.pair.server.call("vsock_device", {"present": True})
            await lab.pair.server.call("vsock_device", {"present": True})  # there is nothing left to do
            assert await lab.run("server", CID) == "3\n"
            await lab.run("server", "socat VSOCK-LISTEN:7000 EXEC:cat >/dev/null 2>&1 &")
            await lab.ready("server", ":7000")
            assert await lab.run("client", "echo there | socat -t 30 - VSOCK-CONNECT:3:7000") == "there\n"

    in_lab(snapshot, tmp_path, act)


def test_network(snapshot: Snapshot, tmp_path: Path) -> None:
    """A network that was taken away comes back, with its addresses of both families."""

    async def act(lab: Lab) -> None:
        reach = "ping -c 1 -w 10 -q 192.0.2.1 && ping -c 1 -w 10 -q 2001:db8::1"
        before = await lab.run("server", "ip -br address; ip route; ip -6 route")
        await lab.pair.server.call("network", {"present": False})
        assert "UP" not in await lab.run("server", "ip -br link | grep -v LOWER_UP || true")
        await lab.pair.server.call("network", {"present": True})
        await lab.run("client", reach)
        assert await lab.run("server", "ip -br address; ip route; ip -6 route") == before

    in_lab(snapshot, tmp_path, act)


def test_a_chapter_without_vsock_has_none(graded: Grade) -> None:
    """Only chapters that ask for it pay for it."""
    assert not find("02").vsock
    assert find("08").vsock
    result = graded("02", source=find("02").directory, select=("test_answers_a_whole_request",))
    assert result.passed


def test_a_failed_test_shows_its_packets_on_vsock(graded: Grade, tmp_path: Path) -> None:
    """The picture of a failed test is of the link that it has used, and so is the capture that it names."""
    source = tmp_path / "source"
    source.mkdir()
    for path in find("08").files:
        text = path.read_text()
        # A server that ends each conversation before it has said anything.
        broken = text.replace("if (n <= 0 || !send_all(connection, peer, buffer, (size_t)n)) {", "if (n >= -1) {")
        (source / path.name).write_text(broken)
    result = graded("08", source=source, select=("test_echoes",))
    (test,) = result.tests
    assert "REQUEST" in test.diagram
    assert "1000 bytes" in test.diagram
    assert Path(test.capture).name == "vsock.pcapng"
