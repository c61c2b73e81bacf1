"""Processes of the tests, each in a group of its own and ended by its number, and a wire tap between two of them."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from groundup.course.chapter import find
from groundup.paths import BUILD

PATIENCE = 30.0
"""Seconds that anything may take at most; nothing here is waited for longer than it takes."""
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
_READY = re.compile(r"listening on tcp:(?:\[(?P<v6>[^]]+)\]|(?P<v4>[^:]+)):(?P<port>\d+)\n")


@dataclass(frozen=True)
class Finished:
    """What a program that has ended has left."""

    status: int
    output: bytes
    errors: str


@dataclass(frozen=True)
class Address:
    """Where a server can be reached."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """The address as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "/") -> str:
        """Return the URL of something there."""
        return f"http://{self.authority}{path}"


def needs(command: str, package: str) -> str:
    """Return the path of a command of `harness/packages-test`; without it the test is skipped, with the reason."""
    found = shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{command} is not installed (Debian's package {package}): this peer is NOT tested")
    return found


def compiled(label: str, directory: Path) -> Path:
    """Compile a chapter's solution for this machine, with sanitizers; return the program."""
    chapter = find(label)
    files = [*chapter.files, *chapter.given]
    places = sorted({f"-iquote{path.parent}" for path in files})
    sources = [path for path in files if path.suffix == ".c"]
    program = directory / chapter.program
    gcc = needs("gcc", "gcc")
    subprocess.run([gcc, "-std=gnu17", "-O1", "-g", *SANITIZERS, *places, "-o", program, *sources], check=True)
    return program


def compiled_go(source: Path, directory: Path) -> Path:
    """Compile a program in Go, without C, so that it is static. What is compiled of its library is kept."""
    program = directory / source.stem
    kept = BUILD / "go"
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GOCACHE": str(kept), "GO111MODULE": "off"}
    subprocess.run([needs("go", "golang-go"), "build", "-o", program, source], env=env, check=True, timeout=300)
    return program


@contextlib.contextmanager
def process(*command: str | Path, log: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own, its errors in `log`; in the end, kill what is left of the group."""
    with log.open("wb") as errors:
        started = subprocess.Popen(  # type: ignore[call-overload]
            list(command), stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True, **options
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        if started.stdout is not None:
            started.stdout.close()


def run(*command: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Finished:
    """Run a client to its end, in a group of its own."""
    started = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        output, errors = started.communicate(stdin, timeout=PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    return Finished(started.returncode, output, errors.decode(errors="replace"))


@contextlib.contextmanager
def serving(program: Path, log: Path, *options: str | Path, host: str = "127.0.0.1") -> Iterator[Address]:
    """Run a chapter's server on a free port of `host`; see that it ends well: by SIGTERM, with nothing found in it."""
    command = [program, "--bind", host, "--port", "0", *options]
    with process(*command, log=log, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        # Whoever listens not, and says nothing, is ended by this; then the line is empty.
        alarm = threading.Timer(PATIENCE, server.kill)
        alarm.start()
        line = server.stdout.readline().decode()
        alarm.cancel()
        ready = _READY.fullmatch(line)
        assert ready, f"no ready line but {line!r}\n{log.read_text()}"
        yield Address(ready["v6"] or ready["v4"], int(ready["port"]))
        assert server.poll() is None, f"it ended with status {server.poll()}\n{log.read_text()}"
        server.terminate()
        assert server.wait(PATIENCE) == 0, log.read_text()
    assert_clean(log.read_text())


def assert_clean(errors: str) -> None:
    """Fail if a sanitizer has said something."""
    assert "Sanitizer" not in errors, errors
    assert "runtime error" not in errors, errors


@dataclass
class Exchange:
    """What one connection through a `Tap` carried: what the client sent, and what the server did."""

    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


class Tap:
    """A relay between a client and a server that writes down what both of them say."""

    def __init__(self, server: Address) -> None:
        self.exchanges: list[Exchange] = []
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Tap":
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._relay, "127.0.0.1", 0), self._loop
        ).result(PATIENCE)
        self.address = Address(*self._listener.sockets[0].getsockname())
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._listener.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange()
        self.exchanges.append(exchange)
        answers, questions = await asyncio.open_connection(self._server.host, self._server.port)
        both = (
            self._pass_on(reader, questions, exchange.asked),
            self._pass_on(answers, writer, exchange.answered),
        )
        try:
            # Cancelled at the end; asyncio's streams would log that.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*both)
        finally:
            writer.close()
            questions.close()

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: bytearray) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                record += data
                writer.write(data)
                await writer.drain()
            writer.write_eof()
