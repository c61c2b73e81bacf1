"""Compiles a submission with the guest's own gcc, at the host's speed, where it can reach nothing.

The compiler comes from the unpacked guest image and runs under bubblewrap: it sees the image's `/usr` read-only, the
submission's files read-only in `/src`, and a small `/tmp` in memory. There is no `/dev`, no `/proc`, no `/etc`, no
network and no other process, so `#include "/etc/shadow"` and `.incbin` find nothing, on the host or in the image. The
sources go in through memory files and the program comes out through a pipe: no temporary file on the host.

Time, memory, file sizes and the amount of words are limited (`Limits`). When the time is up the sandbox's first
process is killed, and the kernel ends every other one in its pid namespace with it; the same happens when the tool
itself is killed. There is no limit on processes: gcc starts none on a source's behalf, and RLIMIT_NPROC counts all
the processes of the user, everywhere, before Linux 5.14.
"""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.build_words import TAIL, Kept, Limits, Run, last_line, words_of
from groundup.course.program import accept_program
from groundup.course.submission import SourceFile, Submission
from groundup.errors import MachineryError
from groundup.files import write_atomically

__all__ = ["BuildResult", "Limits", "SandboxError", "Submission", "accept_program", "build", "gcc_command", "probe"]

FLAGS = ("-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic")
LIMITS = Limits()
SANITIZER_FLAGS = ("-fsanitize=address,undefined", "-fno-omit-frame-pointer")

_SOURCES = "/src"
_PROGRAM = "/tmp/program"
# Written to stdout before gcc starts: whatever fails earlier is the sandbox's fault, not the submission's.
_READY = b"ready\n"
# How long bubblewrap may take, once its time is up, to come to start the command (see `_supervise`).
_START_SECONDS = 10.0


class SandboxError(MachineryError):
    """Bubblewrap cannot run on this host. The server machine can still compile (`build_in_guest`)."""


@dataclass(frozen=True)
class BuildResult:
    """A verdict: the program, or why there is none.

    `output` is for the learner: the compiler's words, with the file names as handed in, printable whatever the source
    contains, and a last line if a limit ended the build.
    """

    ok: bool
    seconds: float
    output: str
    program_path: Path | None

    @property
    def warnings(self) -> int:
        """How many of the compiler's warnings are in `output`."""
        return len(re.findall(r"^[^\n]*?: warning: ", self.output, re.MULTILINE))


async def build(
    submission: Submission,
    root: Path,
    out: Path,
    *,
    sanitize: bool = False,
    static: bool = False,
    cflags: Sequence[str] = (),
    limits: Limits = LIMITS,
    begun: asyncio.Event | None = None,
) -> BuildResult:
    """Compile `submission` with the gcc in `root` (an unpacked guest image) and put the program at `out`.

    `out` is written whole or not at all, and executable; its directory must exist. A submission that does not compile
    is a result, not an error. Raises `SandboxError` if the sandbox cannot be set up, `MachineryError` if `out` cannot
    be written.
    Killing or cancelling the task ends the compiler. `begun` is set once the compiler runs: no `SandboxError` then.
    """
    started = time.monotonic()
    if submission.refusal:
        return BuildResult(ok=False, seconds=0, output=submission.refusal + "\n", program_path=None)
    _check_root(root)
    command = gcc_command(submission, sanitize=sanitize, static=static, cflags=cflags)
    with _memory_files((*submission.sources, *submission.headers)) as files:
        confined = sandbox_command(root, files, limited_command(command, limits), limits)
        run = await _run(confined, list(files), limits, begun)
    output, stopped = words_of(run, limits)
    ok = run.status == 0 and not stopped
    if ok:
        write_atomically(out, run.product, mode=0o777)
    return BuildResult(
        ok=ok,
        seconds=time.monotonic() - started,
        output=output,
        program_path=out if ok else None,
    )


async def probe(root: Path) -> None:
    """Raise `MachineryError` with cause and remedy if bubblewrap or the compiler in `root` cannot run on this host."""
    _check_root(root)
    command = limited_command(["sh", "-c", f"gcc --version && : > {_PROGRAM}"], LIMITS)
    run = await _run(sandbox_command(root, {}, command, LIMITS), [], LIMITS)
    if run.status != 0:
        raise MachineryError(f"the compiler in {root} does not run: {last_line(run.words)}", "run 'make setup'")


def gcc_command(
    submission: Submission, *, sanitize: bool = False, static: bool = False, cflags: Sequence[str] = ()
) -> list[str]:
    """Return the compiler's command line, to be run where the submission's files are; the program is /tmp/program.

    The names are bare, so that gcc speaks of `listen.c:12:5` and not of a place the learner has never heard of; the
    debugging information (and with it a sanitizer's report) names them alike.
    """
    return [
        "gcc",
        *FLAGS,
        *(SANITIZER_FLAGS if sanitize else ()),
        *(("-static",) if static else ()),
        *cflags,
        f"-ffile-prefix-map={_SOURCES}=.",
        "-fdiagnostics-color=never",
        "-fmax-errors=50",
        *(file.name for file in submission.sources),
        "-o",
        _PROGRAM,
    ]


def limited_command(command: Sequence[str], limits: Limits) -> list[str]:
    """Return a command that runs `command` under `limits` and then writes the program to stdout after a ready line.

    The status is that of `command`, or 128 and the signal that ended it; its words, on whichever stream, are on stderr.
    """
    script = f'{limits_of_shell(limits)} || exit\necho {_READY.decode().strip()}\n"$@" >&2 || exit\nexec cat {_PROGRAM}'
    return ["sh", "-c", script, "sh", *command]


def limits_of_shell(limits: Limits) -> str:
    """Return a shell command that puts the shell, and what it starts, under `limits`: for each process on its own."""
    # Units: 512 bytes for files, KiB for memory. Time has a soft limit before the hard one: its signal names the cause.
    return (
        f"ulimit -c 0 && ulimit -f {limits.file_bytes // 512} && ulimit -v {limits.memory_bytes // 1024} &&"
        f" ulimit -St {limits.processor_seconds} && ulimit -Ht {limits.processor_seconds + 1}"
    )


def sandbox_command(root: Path, files: dict[int, str], command: Sequence[str], limits: Limits) -> list[str]:
    """Return a bubblewrap command line that runs `command` in the image at `root` with `files` (descriptor → name).

    The user namespace is asked for outright: under root as well, so that the command is nobody's root, and never
    silently left out. The command is the first process of its pid namespace: bubblewrap's own would be left to the
    host's init to reap, and not every container has one that does.
    """
    arguments = ["bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    arguments += ["--as-pid-1", "--die-with-parent", "--new-session", "--clearenv"]
    arguments += ["--setenv", "PATH", "/usr/bin", "--setenv", "LC_ALL", "C"]
    arguments += ["--ro-bind", str(root / "usr"), "/usr"]
    for name in ("bin", "lib", "lib64"):
        arguments += ["--symlink", f"usr/{name}", f"/{name}"]
    arguments += ["--size", str(limits.scratch_bytes), "--tmpfs", "/tmp", "--dir", _SOURCES]
    for descriptor, name in files.items():
        arguments += ["--file", str(descriptor), f"{_SOURCES}/{name}"]
    return [*arguments, "--remount-ro", "/", "--chdir", _SOURCES, "--", *command]


@contextmanager
def _memory_files(files: Sequence[SourceFile]) -> Iterator[dict[int, str]]:
    """Yield descriptors of memory files that hold `files`, each at its beginning, with their names."""
    opened: dict[int, str] = {}
    try:
        for file in files:
            descriptor = os.memfd_create("source")
            opened[descriptor] = file.name
            with os.fdopen(descriptor, "wb", closefd=False) as memory:
                memory.write(file.data)
            os.lseek(descriptor, 0, os.SEEK_SET)
        yield opened
    finally:
        for descriptor in opened:
            os.close(descriptor)


async def _run(
    command: Sequence[str], descriptors: Sequence[int], limits: Limits, begun: asyncio.Event | None = None
) -> Run:
    """Run a sandboxed command to its end or the end of its time; every process of it is gone on return.

    That holds when the caller is cancelled, too. The sandbox has a task of its own then, since asyncio kills at once
    what it is cancelled in starting, and bubblewrap must not be killed so early (see `_supervise`).
    """
    stop = asyncio.Event()
    sandbox = asyncio.create_task(_supervise(command, descriptors, limits, stop, begun or asyncio.Event()))
    try:
        return await asyncio.shield(sandbox)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(sandbox, return_exceptions=True)
        raise


async def _supervise(
    command: Sequence[str], descriptors: Sequence[int], limits: Limits, stop: asyncio.Event, begun: asyncio.Event
) -> Run:
    """Run the command until it ends, its time is up or `stop` is set. `begun` is set once it runs.

    The end of its pipes is the proof that no process is left: each process of the sandbox holds them.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=descriptors,
            process_group=0,
        )
    except FileNotFoundError:
        raise SandboxError("bubblewrap is not installed", "install it: apt-get install bubblewrap") from None
    except OSError as error:
        raise SandboxError(f"cannot start bubblewrap: {error.strerror}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    finished = asyncio.gather(
        _drain(process.stdout, len(_READY) + limits.file_bytes, 0, begun),
        _drain(process.stderr, limits.output_bytes - TAIL, TAIL),
        process.wait(),
    )
    stopped, running = asyncio.create_task(stop.wait()), asyncio.create_task(begun.wait())
    in_time = False
    try:
        either: set[asyncio.Future[Any]] = {finished, stopped}
        await asyncio.wait(either, timeout=limits.wall_seconds, return_when=asyncio.FIRST_COMPLETED)
        in_time = finished.done()
    finally:
        stopped.cancel()
        if not in_time:
            # Only the command dies with bubblewrap. The process that bubblewrap makes first and then lets go on would
            # wait for that for ever; so nothing is killed before the command has spoken. Where it never does, that
            # process is still in bubblewrap's group (the command leaves it) and dies with the group.
            either = {finished, running}
            await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        running.cancel()
        product, words, status = await finished
    if not product.head.startswith(_READY):
        raise _sandbox_error(words)
    return Run(status if in_time else None, product.head[len(_READY) :], words)


async def _drain(stream: asyncio.StreamReader, head: int, tail: int, begun: asyncio.Event | None = None) -> Kept:
    """Read to the end of the stream; keep the first `head` and the last `tail` bytes. The first read sets `begun`."""
    first = bytearray()
    last = bytearray()
    total = 0
    while chunk := await stream.read(1 << 16):
        if begun:
            begun.set()
        total += len(chunk)
        room = head - len(first)
        first += chunk[:room]
        last += chunk[room:]
        del last[: max(len(last) - tail, 0)]
    return Kept(bytes(first), bytes(last), total - len(first) - len(last))


def _check_root(root: Path) -> None:
    if not (root / "usr/bin/gcc").exists():
        raise MachineryError(f"there is no compiler in {root}", "run 'make setup'")


def _sandbox_error(words: Kept) -> SandboxError:
    cause = last_line(words)
    if not cause.startswith("bwrap: "):
        remedy = "raise the limits (ulimit -H) of the shell that starts the tool"
    elif "Unknown option" in cause:
        remedy = "install bubblewrap 0.7 or newer"
    else:
        remedy = _how_to_allow_namespaces()
    return SandboxError(f"the compiler's sandbox cannot be set up: {cause}", remedy)


def _how_to_allow_namespaces() -> str:
    """Return the remedy for what keeps an ordinary user, or a container, from making user namespaces."""
    for name, forbids, allows in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        setting = Path("/proc/sys") / name
        if setting.exists() and setting.read_text().strip() == forbids:
            return f"allow user namespaces: sysctl -w {name.replace('/', '.')}={allows}"
    return "allow user namespaces; in a container: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
