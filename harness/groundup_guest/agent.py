"""The agent of a guest: `python3 -m groundup_guest.agent --role server|client`.

It answers the host on the virtio-serial port `groundup.agent`. The machine is snapshotted while the agent waits there,
and goes on in every restored copy. So everything that a run needs is imported and has run once before the agent waits,
no timer is running, and `hello` gives each copy its own time and randomness.
"""

import argparse
import fcntl
import gc
import select
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from groundup_guest import confinement, devices, rpc, shell
from groundup_guest.devices import Devices
from groundup_guest.files import Files
from groundup_guest.functions import Functions
from groundup_guest.launch import LaunchError
from groundup_guest.programs import ProgramError, Programs
from groundup_guest.relay import Relays
from groundup_guest.rpc import Body, Channel, Message
from groundup_guest.surroundings import Surroundings
from groundup_guest.syscalls import Tracer

PREPARED = 160
"""How many processes wait, forked and confined, for the starts of a run: more than the tests of a chapter need."""
WARM_UP = b"""#!/bin/busybox sh
echo ready
exec /bin/busybox nc -l -p 0
"""
"""A static program that listens, as most submissions are."""
AGENT_PORT = "groundup.agent"
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
# linux/random.h
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207

Params = dict[str, Any]
Answer = Body | tuple[Body, bytes]
"""What a method returns: a result, and bytes to go with it, if any."""


class Role(Protocol):
    """What an agent can do besides `hello` and `sh`."""

    name: str

    def methods(self) -> Mapping[str, Callable[[Params, bytes], Answer]]:
        """Return the methods by name."""

    def idle(self) -> None:
        """Do what may be done while nobody waits for an answer."""

    def wake(self) -> None:
        """Take what has come in on `pollable`."""

    def pollable(self) -> int | None:
        """Return a descriptor to watch beside the port."""


def set_clock(time_ns: int) -> None:
    """Set the wall clock, in nanoseconds since 1970 (CLOCK_REALTIME)."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)


def add_entropy(seed: bytes) -> None:
    """Feed the kernel's generator and make it use the new seed at once (random(4)).

    Two machines restored from one snapshot would otherwise draw the same numbers.
    """
    if not seed:
        return
    with open("/dev/urandom", "wb", buffering=0) as device:  # noqa: PTH123
        fcntl.ioctl(device, RNDADDENTROPY, struct.pack("=ii", 8 * len(seed), len(seed)) + seed)
        fcntl.ioctl(device, RNDRESEEDCRNG)


def run_command(params: Params, _payload: bytes = b"") -> Body:
    """Run a command to its end, for the harness's own use; `deadline` is in seconds."""
    try:
        done = subprocess.run(
            params["argv"],
            capture_output=True,
            timeout=params.get("deadline", 10.0),
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{params['argv'][0]} did not end within {error.timeout} s") from error
    return {
        "status": done.returncode,
        "stdout": done.stdout.decode("utf-8", "replace"),
        "stderr": done.stderr.decode("utf-8", "replace"),
    }


class ServerRole:
    """Runs the programs under test."""

    name = "server"

    def __init__(self, programs: Programs, surroundings: Surroundings) -> None:
        self.programs = programs
        self.surroundings = surroundings
        self.files = Files(programs.home)
        self.functions = Functions(programs)
        self.devices = Devices()
        self.relays = Relays(programs.home, programs.knows)

    @classmethod
    def in_guest(cls) -> "ServerRole":
        """Return the role with everything that a guest can confine and record, warmed up."""
        confinement.adopt_orphans()
        devices.open_to_all()
        tracer = Tracer()
        cells = confinement.GuestConfinement()
        role = cls(Programs(cells, tracer), Surroundings(cells.home))
        role.warm_up()
        role.programs.prepare(PREPARED)
        tracer.clear()
        return role

    def warm_up(self) -> Body:
        """Run a trivial program once through everything.

        Once before the snapshot; the host may ask for it again in a restored machine, which has translated none of its
        code yet, while nobody waits for that machine.
        """
        programs = self.programs
        programs.install("warm-up", WARM_UP)
        found = programs.start(["warm-up"], ready=True)
        programs.facts(found["handle"])
        programs.syscalls(found["handle"])
        programs.drained(found["handle"], 1, 1, 0.01)
        programs.stop(found["handle"], 0)
        programs.reset()
        programs.remove("warm-up")
        return {}

    def methods(self) -> dict[str, Callable[[Params, bytes], Answer]]:
        """Return the methods by name."""
        programs = self.programs
        found: dict[str, Callable[[Params, bytes], Answer]] = {
            "install": lambda params, payload: programs.install(content=payload, **params),
            "signal": lambda params, _: programs.signal(params["handle"], params["signal"]),
            "tree": lambda params, payload: self.files.change(payload=payload, **params),
            "ping": lambda _params, _payload: {},
            "warm": lambda _params, _payload: self.warm_up(),
        }
        for name in ("start", "wait", "output", "stdout", "shut", "exhaust", "facts", "settle", "drained", "stop"):
            found[name] = _without_payload(getattr(programs, name))
        for name in ("syscalls", "delivered", "grant", "reset"):
            found[name] = _without_payload(getattr(programs, name))
        for name in ("address", "file", "files", "hosts"):
            found[name] = _without_payload(getattr(self.surroundings, name))
        for name in ("arm", "disarm", "functions"):
            found[name] = _without_payload(getattr(self.functions, name))
        for name in ("network", "vsock_device"):
            found[name] = _without_payload(getattr(self.devices, name))
        for name in ("relay", "full_socket", "relays_end"):
            found[name] = _without_payload(getattr(self.relays, name))
        return found

    def idle(self) -> None:
        """Fork the next program's process, so that starting it costs no fork."""
        self.programs.prepare()

    def wake(self) -> None:
        """Drain the programs' output."""
        self.programs.pump(0)

    def pollable(self) -> int | None:
        """Return the programs' descriptor."""
        return self.programs.fileno()


def _without_payload(method: Callable[..., Answer]) -> Callable[[Params, bytes], Answer]:
    return lambda params, _payload: method(**params)


class Agent:
    """Answers the host, one call at a time. Nothing that a method does can end it, but the end of the channel does."""

    def __init__(self, role: Role, channel: Channel) -> None:
        self._channel = channel
        self._role = role
        self._methods = {"hello": self._hello, "sh": run_command, "shell": shell.run, **role.methods()}

    def serve(self) -> None:
        """Answer calls until the channel closes (which a virtio-serial port never does)."""
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        extra = self._role.pollable()
        if extra is not None:
            poller.register(extra, select.POLLIN)
        for message in self._messages(poller, extra):
            if "id" in message.body:
                self._channel.send(*self.answer(message))

    def _messages(self, poller: select.poll, extra: int | None) -> Iterator[Message]:
        while True:
            try:
                message = self._channel.poll()
            except rpc.ChannelClosedError:
                return
            if message is not None:
                yield message
                continue
            self._role.idle()
            if any(descriptor == extra for descriptor, _ in poller.poll()):
                self._role.wake()

    def answer(self, message: Message) -> tuple[Body, bytes]:
        """Return the answer to one call, and the bytes that go with it; an exception becomes an error answer."""
        identity = message.body.get("id")
        name = message.body.get("method")
        method = self._methods.get(str(name))
        if method is None:
            return rpc.failure(identity, f"the {self._role.name} agent has no method {name!r}", METHOD_NOT_FOUND), b""
        try:
            found = method(message.body.get("params") or {}, message.payload)
            result, payload = found if isinstance(found, tuple) else (found, b"")
            return rpc.response(identity, result), payload
        except (ProgramError, LaunchError) as error:
            return rpc.failure(identity, str(error)), b""
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{name}: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            return rpc.failure(identity, text), b""

    def _hello(self, params: Params, _payload: bytes) -> Body:
        if "time_ns" in params:
            set_clock(params["time_ns"])
        add_entropy(bytes.fromhex(params.get("entropy", "")))
        return {"role": self._role.name, "boot_seconds": time.clock_gettime(time.CLOCK_BOOTTIME)}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Become the agent. Prints one line on the console if it cannot, which the host shows."""
    parser = argparse.ArgumentParser(prog="groundup_guest.agent", description=__doc__)
    parser.add_argument("--role", choices=("server", "client"), required=True)
    options = parser.parse_args(arguments)
    sys.dont_write_bytecode = True  # what is imported later is a run's tests, which are imported once
    try:
        channel = Channel(rpc.open_port(AGENT_PORT), reconnects=True)
        if options.role == "server":
            role: Role = ServerRole.in_guest()
        else:
            from groundup_guest.client import ClientRole  # noqa: PLC0415  (the server machine has no use for it)

            role = ClientRole.in_guest(channel)
        gc.collect()
        gc.freeze()  # what is here now stays: neither looked at again nor copied into children page by page
        Agent(role, channel).serve()
    except Exception as error:
        print(f"groundup agent: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
