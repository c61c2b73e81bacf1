"""A terminal to run the tool on, and a checkout whose `work/` and `build/` are no learner's."""

import asyncio
import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from groundup.commands.setup import ready
from groundup.paths import BUILD, ROOT

PATIENCE = 60.0
"""Seconds, of which a step takes a few at most: this is for a busy host, not a measurement."""


def environment(checkout: Path) -> dict[str, str]:
    """Return an environment in which a checkout's tool uses that checkout, and writes without colour."""
    return {**os.environ, "GROUNDUP_BUILD": str(checkout / "build"), "TERM": "dumb"}


def tool(checkout: Path, *arguments: str) -> str:
    """Run a checkout's tool without a terminal, and return what it has said on stdout. It must not fail."""
    command = [checkout / "groundup", *arguments]
    done = subprocess.run(command, env=environment(checkout), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Terminal:
    """A tool that runs on a pseudo-terminal, as the leader of a session of its own."""

    def __init__(self, checkout: Path, *arguments: str) -> None:
        self.said = ""
        """All that came on the screen so far."""
        self.seen = 0
        """How much of it `shows` has looked at."""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            try:
                os.execve(checkout / "groundup", ["groundup", *arguments], environment(checkout))
            finally:
                os._exit(127)

    def shows(self, pattern: str) -> re.Match[str]:
        """Wait until what came since the last match holds `pattern`, and return where."""
        end = time.monotonic() + PATIENCE
        while (found := re.compile(pattern).search(self.said, self.seen)) is None:
            assert self._read(end), f"{pattern!r} did not come within {PATIENCE:g} s, but:\n{self.said}"
        self.seen = found.end()
        return found

    def ends(self) -> int:
        """Wait until the tool ends, and return its exit status."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        pidfd = os.pidfd_open(self.pid)
        try:
            assert select.select([pidfd], [], [], max(0.0, end - time.monotonic()))[0], self.said
        finally:
            os.close(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status

    def types(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.screen, text.encode())

    def kills(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the tool a signal; nothing of it has time to tidy up after SIGKILL."""
        os.kill(self.pid, number)

    def close(self) -> None:
        """End what still runs."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.screen)

    def _read(self, end: float) -> bool:
        """Read once; return False at the end of the time, or once no process has the terminal open any more."""
        if not select.select([self.screen], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.screen, 1 << 16)
        except OSError:  # EIO, see pty(7)
            return False
        self.said += data.decode(errors="replace")
        return True


Run = Callable[..., Terminal]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout like this one, with the same machines, an empty `work/` and no runs."""
    asyncio.run(ready())
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "groundup", root)
    for name in ("groundup", "groundup_guest"):
        shutil.copytree(ROOT / "harness" / name, root / "harness" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("chapters", "vm"):
        (root / name).symlink_to(ROOT / name)
    (root / "build").mkdir()
    for name in ("vm", "venv", "snapshots", "accelerator.json", "pycache"):
        if (BUILD / name).exists():
            (root / "build" / name).symlink_to(BUILD / name)
    return root


@pytest.fixture
def run(checkout: Path) -> Iterator[Run]:
    """Run the tool on a terminal."""
    terminals: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        terminals.append(Terminal(checkout, *arguments))
        return terminals[-1]

    yield start
    for terminal in reversed(terminals):
        terminal.close()
