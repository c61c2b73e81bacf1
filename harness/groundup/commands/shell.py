"""`groundup shell server|client`: a terminal in a live pair. The first one starts the pair, others join it.

Every terminal, the first one too, speaks to the owner of the pair over a socket, in notifications. The terminal sends
`open` {role, term, rows, columns}, and then what `groundup_guest.shell` takes. It gets `opened` and what that sends, or
one of `refused` and `broken` {message}: nothing comes after these.
"""

import argparse
import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import shutil
import signal
import socket
import struct
import sys
import termios
import tty
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, NoReturn

from groundup.build import build
from groundup.commands.setup import ready
from groundup.course.chapter import discover
from groundup.course.submission import read_submission
from groundup.errors import GroundupError, MachineryError, UsageError
from groundup.paths import ROOT, WORK
from groundup.runs import new_run, point_last_to
from groundup.together import first, together
from groundup.vm.agent import AgentLostError, Channel, Listener
from groundup.vm.machine import Role
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot
from groundup_guest.rpc import RpcError

# An abstract socket (unix(7)) is no file: nothing is left behind, whatever ends the tool. Its name has 108 bytes.
MEETING_POINT = f"\0groundup-shell-{os.getuid()}-{hashlib.sha256(bytes(ROOT)).hexdigest()[:32]}"
CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)."""

Message = tuple[str, dict[str, Any], bytes]
Inbox = asyncio.Queue[Message]
"""What has come over a channel, in order. The last message is `GONE`."""
GONE: Message = ("gone", {}, b"")


def _into(inbox: Inbox) -> Listener:
    return lambda *message: inbox.put_nowait(message)


@contextlib.asynccontextmanager
async def _until_gone(channel: Channel, inbox: Inbox) -> AsyncIterator[None]:
    """Put `GONE` into `inbox` once the other end of `channel` has gone; leaving closes the channel."""
    watching = asyncio.create_task(channel.lost())
    watching.add_done_callback(lambda _: inbox.put_nowait(GONE))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await channel.close()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do `work` while the block lasts. If its channel goes that is no error: whoever reads from it is told."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and not isinstance(task.exception(), AgentLostError):
            task.result()


# The terminal's side


def _size() -> dict[str, Any]:
    size = shutil.get_terminal_size()
    return {"rows": size.lines, "columns": size.columns}


@contextlib.contextmanager
def _raw_terminal(typed: Inbox, inbox: Inbox) -> Iterator[None]:
    """Put the terminal into raw mode; what is typed, and each new size, goes into `typed`, its end into `inbox`."""
    loop = asyncio.get_running_loop()
    terminal = sys.stdin.fileno()

    def read() -> None:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: the terminal has gone
            data = b""
        if data:
            typed.put_nowait(("input", {}, data))
        else:
            loop.remove_reader(terminal)
            inbox.put_nowait(GONE)

    saved = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    loop.add_reader(terminal, read)
    loop.add_signal_handler(signal.SIGWINCH, lambda: typed.put_nowait(("resize", _size(), b"")))
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        loop.remove_signal_handler(signal.SIGWINCH)
        with contextlib.suppress(termios.error):  # it has gone
            termios.tcsetattr(terminal, termios.TCSADRAIN, saved)


async def _type(typed: Inbox, channel: Channel) -> None:
    """Send what is typed until cancelled."""
    while True:
        await channel.notify(*await typed.get())


async def _show(inbox: Inbox) -> dict[str, Any]:
    """Show the shell's output up to the next message that is none, and return that one's parameters.

    Raises UsageError where the shell is refused, MachineryError where it has broken.
    """
    while True:
        method, params, payload = await inbox.get()
        match method:
            case "output":
                sys.stdout.buffer.write(payload)
                sys.stdout.buffer.flush()
            case "refused":
                raise UsageError(str(params["message"]))
            case "broken":
                raise MachineryError(str(params["message"]), "start another shell")
            case "gone":
                raise MachineryError("the pair, or the terminal, has gone", "start another shell")
            case _:
                return params


async def _terminal(connection: socket.socket, role: Role) -> int:
    """Be the terminal of one shell until it ends; returns its exit status. Errors as for `_show`."""
    inbox: Inbox = asyncio.Queue()
    typed: Inbox = asyncio.Queue()
    with connection:
        channel = Channel("the pair", connection, listener=_into(inbox))
        channel.start()
        async with _until_gone(channel, inbox):
            await channel.notify("open", {"role": role, "term": os.environ.get("TERM", "dumb"), **_size()})
            await _show(inbox)
            # Not before: until the machines are there, Ctrl-C is for us.
            with _raw_terminal(typed, inbox):
                async with _beside(_type(typed, channel)):
                    return int((await _show(inbox))["status"])


# The owner's side


class Owner:
    """Runs the pair and lets terminals of the same user in: one shell in each machine at a time."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._taken: dict[Role, asyncio.Future[None]] = {}
        self._leaving: set[Role] = set()  # the taken ones whose terminal has gone
        self._numbers = itertools.count(1)
        self._serving: set[asyncio.Task[None]] = set()
        self._end = asyncio.create_task(pair.ended())

    async def listen(self, listening: socket.socket) -> NoReturn:
        """Let terminals in until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            if _user_of(connection) != os.getuid():
                connection.close()
                continue
            task = asyncio.create_task(self._serve(connection))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """End every shell."""
        tasks = [*self._serving, self._end]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, connection: socket.socket) -> None:
        """Carry one terminal to its machine and back, until its shell, the terminal or the pair ends."""
        inbox: Inbox = asyncio.Queue()
        with connection:
            terminal = Channel("a terminal", connection, listener=_into(inbox))
            terminal.start()
            async with _until_gone(terminal, inbox):
                method, params, _ = await inbox.get()
                if method == "open":
                    with contextlib.suppress(AgentLostError):  # the terminal has gone: there is nobody to tell
                        last = await self._last_word(inbox, params, terminal)
                        await terminal.notify(*last)

    async def _last_word(self, typed: Inbox, params: dict[str, Any], terminal: Channel) -> Message:
        """Run a shell; return the message that it is to end with."""
        role: Role = params["role"]
        while over := self._taken.get(role):
            if role not in self._leaving:
                return "refused", {"message": f"the {role} machine has a shell already; end that one first"}, b""
            await asyncio.shield(over)
        self._taken[role] = over = asyncio.get_running_loop().create_future()
        try:
            await terminal.notify("opened", {})
            return "ended", {"status": await self._carry(role, typed, params, terminal)}, b""
        except RpcError as error:
            return "refused", {"message": error.message}, b""
        except GroundupError as error:
            return "broken", {"message": error.message}, b""
        finally:
            del self._taken[role]
            self._leaving.discard(role)
            over.set_result(None)

    async def _carry(self, role: Role, typed: Inbox, params: dict[str, Any], terminal: Channel) -> int:
        """Return a shell's exit status. Raises RpcError where it cannot start, MachineryError if the pair ends."""
        number = next(self._numbers)
        shown: Inbox = asyncio.Queue()
        machine = self._pair.open_session(role, _into(shown))
        agent = self._pair.server if role == "server" else self._pair.client

        async def type_() -> None:
            while True:
                method, more, payload = await typed.get()
                if method == "gone":
                    self._leaving.add(role)
                    method = "hangup"
                await machine.notify(method, {**more, "number": number}, payload)

        async def show() -> int:
            while True:
                message = await shown.get()
                if message is GONE:
                    raise MachineryError(f"the {role} machine has ended")
                if message[0] == "ended":
                    return int(message[1]["status"])
                with contextlib.suppress(AgentLostError):  # the shell is told, and has still to end
                    await terminal.notify(*message)

        async def run() -> int:
            await agent.call("shell", {**params, "number": number})
            return 0

        async def pair_ends() -> NoReturn:
            raise await asyncio.shield(self._end)

        async def status() -> int:
            # Not before the call is answered can the machine take the next shell.
            return (await together(show(), run()))[0]

        async with _until_gone(machine, shown), _beside(type_()):
            return await first(status(), pair_ends())

    @property
    def busy(self) -> bool:
        """Whether a terminal is in the pair."""
        return bool(self._serving)

    async def idle(self) -> None:
        """Wait until no terminal is in the pair."""
        while self._serving:
            await asyncio.wait(self._serving)


async def _bring_work(pair: Pair, snapshot: Snapshot, directory: Path) -> None:
    """Put what the learner has written so far, as far as it compiles, into the server machine; say what is there."""
    for chapter in discover():
        place = WORK / chapter.name
        if not place.is_dir():
            continue
        try:
            submission = read_submission(chapter, place)
            out = directory / chapter.program
            built = await build(submission, snapshot.image.root, out, cflags=chapter.cflags)
        except GroundupError as error:
            print(f"groundup: without {place.relative_to(ROOT)}/: {error}", file=sys.stderr)
            continue
        if built.program_path is None:
            again = f"./groundup check {chapter.label}"
            print(f"groundup: {place.relative_to(ROOT)}/ does not compile, `{again}` shows why", file=sys.stderr)
            continue
        params = {"name": chapter.program, "mode": 0o755, "capabilities": list(chapter.capabilities)}
        await pair.server.call("install", params, built.program_path.read_bytes(), deadline=60)
        print(f"groundup: the server machine has ./{chapter.program}, your {place.relative_to(ROOT)}/", file=sys.stderr)


async def _own(listening: socket.socket, role: Role) -> int:
    """Start the pair, be its first terminal, keep it for those that join."""
    snapshot = await ready()
    with new_run() as directory:
        point_last_to(directory)  # its packets are what there is to see from now on
        async with Pair(snapshot, directory, vsock=True) as pair:
            await _bring_work(pair, snapshot, directory)
            owner = Owner(pair)

            async def first_terminal() -> int:
                print("groundup: `exit` leaves; a second `./groundup shell` joins this pair", file=sys.stderr)
                try:
                    status = await _terminal(_connect(), role)
                except MachineryError:
                    await owner.idle()  # whoever has joined is told as well
                    raise
                if owner.busy:
                    print("groundup: another terminal is in this pair: it lives until that one ends", file=sys.stderr)
                await owner.idle()
                return status

            try:
                return await first(first_terminal(), owner.listen(listening))
            finally:
                await owner.close()


def _connect() -> socket.socket:
    """Connect to the owner of a live pair. Raises ConnectionRefusedError where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(MEETING_POINT)
    except ConnectionRefusedError:
        connection.close()
        raise
    user = _user_of(connection)
    if user != os.getuid():
        connection.close()
        raise MachineryError(f"user {user} listens where your shells meet", "ask them to end that program")
    return connection


def _user_of(connection: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(credentials)[1])


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if not sys.stdin.isatty():
        raise UsageError("a shell needs a terminal on standard input")
    try:
        connection = _connect()
    except ConnectionRefusedError:
        with socket.socket(socket.AF_UNIX) as listening:
            _bind(listening)
            return asyncio.run(_own(listening, options.role))
    return asyncio.run(_terminal(connection, options.role))


def _bind(listening: socket.socket) -> None:
    """Become the owner of the pair that is to be. Raises UsageError where another shell was quicker."""
    try:
        listening.bind(MEETING_POINT)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UsageError("another shell starts a pair at this moment", "try again") from error
    listening.listen()
    listening.setblocking(False)
