"""A pair with vsock in which tests run programs by hand, and the Go programs that are peers there."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from groundup.build import build
from groundup.course.chapter import find
from groundup.course.submission import read_submission
from groundup.paths import BUILD
from groundup.vm.pair import Pair, Role
from groundup.vm.snapshot import Snapshot

HOME = "/home/student"
PEERS = Path(__file__).with_name("peers")
SECONDS = 60


class Lab:
    """Both machines, and a directory in each with the programs that were brought there."""

    def __init__(self, pair: Pair, snapshot: Snapshot, directory: Path) -> None:
        self.pair = pair
        self._snapshot = snapshot
        self._directory = directory

    async def bring(self, role: Role, program: Path, name: str) -> None:
        """Put a program into a machine."""
        call = self.pair.server.call if role == "server" else self.pair.client.call
        if role == "server":
            await call("install", {"name": name, "mode": 0o755}, program.read_bytes(), deadline=SECONDS)
            return
        # The client's agent installs nothing: the program crosses the wire, in the clear.
        await self.bring("server", program, name)
        await self.run("server", f"socat -u OPEN:{name} VSOCK-LISTEN:4000 >/dev/null 2>&1 &")
        await self.ready("server", ":4000")
        await self.run("client", f"socat -u VSOCK-CONNECT:3:4000 CREATE:{name} && chmod 755 {name}")

    async def solution(self, number: str) -> str:
        """Compile a chapter's solution, put it into the server machine, and return its name."""
        chapter = find(number)
        out = self._directory / chapter.program
        submission = read_submission(chapter, chapter.directory)
        built = await build(submission, self._snapshot.image.root, out, cflags=chapter.cflags)
        assert built.program_path is not None, built.output
        await self.bring("server", built.program_path, chapter.program)
        return chapter.program

    async def run(self, role: Role, command: str, *, status: int = 0) -> str:
        """Run a shell's command in a machine; return what it wrote, and expect its exit status."""
        channel = self.pair.server if role == "server" else self.pair.client
        argv = ["sh", "-c", f"mkdir -p {HOME} && cd {HOME} && {command}"]
        answer, _ = await channel.call("sh", {"argv": argv, "deadline": SECONDS}, deadline=SECONDS + 10)
        assert answer["status"] == status, (role, command, answer)
        return str(answer["stdout"]) + str(answer["stderr"])

    async def ready(self, role: Role, port: str) -> None:
        """Wait until somebody listens on vsock at a port, written as `:7000`."""
        await self.until(role, f"ss --vsock -l -n | grep -q '{port} '")

    async def until(self, role: Role, condition: str) -> None:
        """Wait until a shell's command ends with status 0."""
        await self.run(role, f"for try in $(seq 300); do {condition} && exit 0; sleep 0.1; done; exit 1")


def in_lab(snapshot: Snapshot, directory: Path, act: Callable[[Lab], Coroutine[Any, Any, None]]) -> None:
    """Run `act` in a lab of its own."""

    async def run() -> None:
        async with Pair(snapshot, directory, vsock=True) as pair:
            await act(Lab(pair, snapshot, directory))

    asyncio.run(run())


def go_peer(directory: Path) -> Path:
    """Compile the peer on github.com/mdlayher/vsock, which go.mod and go.sum pin; skip where that cannot be."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed (Debian's package golang-go): no peer in Go")
    program = directory / "go-vsock"
    # -mod=mod would let it change go.mod; what is pinned is what is built. An old Go knows no GOTOOLCHAIN.
    settings = {"CGO_ENABLED": "0", "GOCACHE": str(BUILD / "go"), "GOFLAGS": "-trimpath -mod=readonly -modcacherw"}
    settings |= {"GOMODCACHE": str(BUILD / "go-modules"), "GOTOOLCHAIN": "local", "GO111MODULE": "on"}
    command = [go, "build", "-o", program, "."]
    done = subprocess.run(
        command,
        env={**os.environ, **settings},
        cwd=PEERS / "vsock",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode and "dial tcp" in done.stderr:
        pytest.skip("the Go module proxy cannot be reached: no peer in Go")
    assert done.returncode == 0, done.stderr
    return program
