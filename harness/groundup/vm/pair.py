"""The pair: server and client machine restored from a snapshot, with the wire between them and an agent in each."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from groundup.errors import MachineryError
from groundup.link.pcapng import LINKTYPE_VSOCK, Direction, Interface, Writer
from groundup.link.wire import Wire
from groundup.timing import Timeline
from groundup.together import together
from groundup.vm.agent import Channel, Handler, Listener
from groundup.vm.machine import LINKS, MEMORY_MB, ROLES, Machine, Memory, Role, memfd
from groundup.vm.snapshot import Snapshot

if TYPE_CHECKING:
    from groundup.vsock.switch import Switch

CIDS: dict[Role, int] = {"server": 3, "client": 4}
"""The machines' addresses on vsock; 2 is the host's, which the switch plays (vsock(7))."""

RESTORE_SECONDS = 30.0
"""A restore takes a quarter of a second; this is for a host that is very busy."""


class Pair:
    """Both machines, running.

    An asynchronous context manager: leaving it ends everything it started. One that runs already may be entered again,
    and ends with the first of them that is left.

    `server` and `client` are the agents' channels; `wire` carries the frames between the machines and captures them,
    one file a link in the directory `captures`. With `vsock` the machines have a vsock device as well, which `vsock`,
    the switch, serves and captures. `restore_seconds` is what it took until both agents answered and vsock was up.
    """

    def __init__(
        self, snapshot: Snapshot, captures: Path, *, vsock: bool = False, timeline: Timeline | None = None
    ) -> None:
        self._snapshot = snapshot
        self._vsock_capture: Writer | None = None
        self._timeline = timeline or Timeline()
        self._machines: dict[Role, Machine] = {role: Machine(role) for role in ROLES}
        self._channels: list[Channel] = []
        self._running = False
        self.captures = captures
        self.wire = Wire(captures)
        self.vsock = self._make_switch() if vsock else None
        self.restore_seconds = 0.0

    def _make_switch(self) -> "Switch":
        from groundup.vsock.switch import Switch  # noqa: PLC0415  few runs have it, and all would wait for the import

        self.captures.mkdir(parents=True, exist_ok=True)
        self._vsock_capture = Writer(self.captures / "vsock.pcapng", [Interface("vsock", LINKTYPE_VSOCK)])
        return Switch(capture=self._capture_vsock)

    @property
    def accelerator(self) -> str:
        """What runs the guests' code: "kvm" or "tcg"."""
        return self._snapshot.accelerator

    async def __aenter__(self) -> Self:
        if self._running:  # its owner restored it ahead of need
            return self
        try:
            async with asyncio.timeout(RESTORE_SECONDS):
                await self._restore()
        except TimeoutError as error:
            await self.close()
            raise MachineryError(
                f"the pair was not restored within {RESTORE_SECONDS:.0f} s",
                "run it again; if it stays, `./groundup clean --snapshots` makes the snapshots anew",
            ) from error
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _restore(self) -> None:
        start = time.perf_counter()
        self.server, self.client = await together(*(self._restore_one(role) for role in ROLES))
        for link in LINKS:
            for role, machine in self._machines.items():
                self.wire.attach(link, role, machine.sockets[link])
        await self.wire.start()
        self.restore_seconds = time.perf_counter() - start
        self._running = True

    async def _restore_one(self, role: Role) -> Channel:
        snapshot, machine = self._snapshot, self._machines[role]
        mapped = snapshot.mode == "mapped"
        opened = [os.open(snapshot.state(role), os.O_RDONLY)]
        try:
            if self.vsock or not mapped:
                opened.append(_memory_copy(snapshot.memory(role) if mapped else None))
                memory = Memory(Path(f"/proc/self/fd/{opened[-1]}"), shared=True)
            else:
                memory = Memory(snapshot.memory(role), shared=False)
            with self._timeline.span(f"{role}: start QEMU"):
                await machine.start(
                    *(snapshot.image, snapshot.guest_code, snapshot.accelerator, memory),
                    incoming=True,
                    vsock=self.vsock is not None,
                    keep_fds=tuple(opened),
                )
            with self._timeline.span(f"{role}: load state"):
                await machine.restore(opened[0], with_memory=not mapped)
        finally:
            for fd in opened:
                os.close(fd)
        if self.vsock:
            with self._timeline.span(f"{role}: plug vsock"):
                # The device cannot be migrated, so no snapshot holds it.
                self.vsock.attach(CIDS[role], machine.sockets["vsock"])
                await machine.plug_vsock()
        channel = Channel(f"the {role}'s agent", machine.sockets["agent"])
        self._channels.append(channel)
        channel.start()
        with self._timeline.span(f"{role}: agent answers"):
            # The guest's clock stands where the snapshot was taken, and its random numbers would repeat.
            await machine.while_running(
                channel.call("hello", {"time_ns": time.time_ns(), "entropy": os.urandom(64).hex()})
            )
        if self.vsock:
            await self.vsock.ready(CIDS[role])
        return channel

    def captured(self) -> dict[str, int]:
        """Return how long each capture is by now, in bytes, by its link; vsock is one where the machines have it."""
        found = dict(self.wire.mark().positions)
        if self._vsock_capture is not None:
            found["vsock"] = self._vsock_capture.size
        return found

    def _capture_vsock(self, time_ns: int, record: bytes, direction: Direction) -> None:
        assert self._vsock_capture is not None
        self._vsock_capture.add(record, time_ns, direction)

    def open_session(self, role: Role, listener: Listener, handler: Handler | None = None) -> Channel:
        """Open a machine's second port: `listener` takes what comes from there, `handler` answers its calls.

        In the client machine the tests speak over it, and in both the shells. Close a session before the next one.
        """
        end = self._machines[role].sockets["session"]
        channel = Channel(f"the {role}'s session", end, handler=handler, listener=listener)
        self._channels.append(channel)
        channel.start()
        return channel

    async def ended(self) -> MachineryError:
        """Wait until one of the machines ends by itself, and say why."""
        watchers = [asyncio.create_task(machine.ended()) for machine in self._machines.values()]
        try:
            done, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for watcher in watchers:
                watcher.cancel()

    async def close(self) -> None:
        """End both machines, the wire and every channel. Safe to call twice."""
        async with AsyncExitStack() as stack:  # each of these, even if one fails; the last is the first
            stack.push_async_callback(self._close_machines)
            for channel in self._channels:
                stack.push_async_callback(channel.close)
            if self._vsock_capture:
                stack.callback(self._vsock_capture.close)
            if self.vsock:
                stack.push_async_callback(self.vsock.aclose)
            stack.push_async_callback(self.wire.aclose)
        self._channels.clear()

    async def _close_machines(self) -> None:
        for ended in await asyncio.gather(*(each.close() for each in self._machines.values()), return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended


def _memory_copy(source: Path | None) -> int:
    """Return a descriptor of anonymous memory for a machine, filled with the data (not the holes) of `source`."""
    target = memfd("groundup-memory")
    size = MEMORY_MB << 20
    os.truncate(target, size)
    if source is None:
        return target
    fd = os.open(source, os.O_RDONLY)
    try:
        at = 0
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            end = os.lseek(fd, at, os.SEEK_HOLE)
            os.lseek(target, at, os.SEEK_SET)
            while at < end:
                moved = os.sendfile(target, fd, at, end - at)
                if moved == 0:
                    raise MachineryError(f"{source} was cut while it was read", "run it again")
                at += moved
    finally:
        os.close(fd)
    return target
