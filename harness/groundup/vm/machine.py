"""One virtual machine: a QEMU process, its control channel, its network links and the ports of its agent.

Everything between QEMU and the tool goes over socket pairs that QEMU inherits, so there is no socket file that could be
left behind, and QEMU ends with the tool (PR_SET_PDEATHSIG), however the tool ends.
"""

import asyncio
import contextlib
import logging
import os
import shlex
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from qemu.qmp import ExecuteError, QMPClient, QMPError

from groundup.errors import MachineryError
from groundup.process import end
from groundup.vm.agent import AgentLostError
from groundup.vm.image import Image

T = TypeVar("T")
Role = Literal["server", "client"]
ROLES: tuple[Role, Role] = ("server", "client")
LINKS = ("eth0", "eth1")
PORTS = ("agent", "session")
MEMORY_MB = 512
END_SECONDS = 2.0
"""How long QEMU may take to be gone after its sockets have closed, which is the first that is seen of its end."""
CONSOLE_TAIL = 16 * 1024
"""How much of what the guest's kernel says is kept, for the message when it dies."""

# QEMU's library reports each broken connection with a traceback; what matters of it reaches the caller as an exception.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Memory:
    """The guest's memory as a file. `shared` writes go to the file; otherwise they stay in the process."""

    path: Path
    shared: bool


KERNEL_OPTIONS = (
    "console=ttyS0 quiet panic=-1 net.ifnames=0 nowatchdog psi=0 audit=0 lsm=capability transparent_hugepage=never "
    "mitigations=off init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off"
)
"""Nothing that guards a machine of many users, or counts for one: without, a run takes a fourteenth less time."""


def command(
    image: Image, guest_code: Path, accelerator: str, role: Role, memory: Memory, fds: dict[str, int]
) -> list[str]:
    """Return QEMU's command line. `fds` names the inherited ends of the socket pairs: qmp, console, links, ports."""
    number = ROLES.index(role) + 1
    # QEMU translates for an older processor in a tenth less time than for "max", with all that it can emulate.
    cpu = "host" if accelerator == "kvm" else "Nehalem"
    share = "on" if memory.shared else "off"
    argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-name", f"groundup-{role}"]
    argv += ["-M", "pc,memory-backend=ram", "-cpu", cpu, "-smp", "1", "-m", str(MEMORY_MB)]
    argv += ["-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi"]
    argv += ["-object", f"memory-backend-file,id=ram,size={MEMORY_MB}M,share={share},mem-path={memory.path}"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(image.kernel), "-initrd", str(guest_code)]
    argv += ["-append", f"{KERNEL_OPTIONS} groundup.role={role}"]
    argv += ["-drive", f"file={image.disk},format=raw,if=virtio,readonly=on"]
    argv += ["-chardev", f"socket,id=console,fd={fds['console']}", "-serial", "chardev:console"]
    argv += ["-chardev", f"socket,id=qmp,fd={fds['qmp']}", "-mon", "chardev=qmp,mode=control"]
    for index, link in enumerate(LINKS):
        argv += ["-netdev", f"stream,id={link},addr.type=fd,addr.str={fds[link]}"]
        argv += ["-device", f"virtio-net-pci,netdev={link},romfile=,mac=52:54:00:00:{index:02x}:{number:02x}"]
    argv += ["-device", "virtio-serial-pci"]
    for port in PORTS:
        argv += ["-chardev", f"socket,id={port},fd={fds[port]}"]
        argv += ["-device", f"virtserialport,chardev={port},name=groundup.{port}"]
    if "vsock" in fds:
        argv += ["-chardev", f"socket,id=vsock,fd={fds['vsock']}"]
    return argv


class RefusedError(MachineryError):
    """QEMU does not take a command of its machine protocol: this version cannot do it."""


class Machine:
    """A running QEMU. Use `start`, then `close`; the host's ends of its sockets are in `sockets`."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.sockets: dict[str, socket.socket] = {}
        self._qmp = QMPClient(role)
        self._process: asyncio.subprocess.Process | None = None
        self._console = bytearray()

    async def start(
        self,
        image: Image,
        guest_code: Path,
        accelerator: str,
        memory: Memory,
        *,
        incoming: bool = False,
        vsock: bool = False,
        keep_fds: tuple[int, ...] = (),
    ) -> None:
        """Start QEMU: booting, or with `incoming` waiting for `restore`. `keep_fds` are inherited as they are.

        Raises MachineryError where QEMU is missing or does not take its command line.
        """
        names = ["qmp", "console", *LINKS, *PORTS, *(["vsock"] if vsock else [])]
        theirs: dict[str, socket.socket] = {}
        for name in names:
            self.sockets[name], theirs[name] = socket.socketpair()
        fds = {name: end.fileno() for name, end in theirs.items()}
        argv = command(image, guest_code, accelerator, self.role, memory, fds)
        if incoming:
            argv += ["-incoming", "defer"]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[*fds.values(), *keep_fds],
                # Ctrl-C in the terminal is the tool's to handle: QEMU must not die of it on its own.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MachineryError(f"{error.filename} is not installed", "run `make setup`") from error
        finally:
            for inherited in theirs.values():
                inherited.close()
        console = self.sockets["console"]
        console.setblocking(False)
        asyncio.get_running_loop().add_reader(console, self._read_console)
        try:
            await self._qmp.connect(self.sockets["qmp"])
        except QMPError as error:
            raise await self._death("did not start") from error

    def _read_console(self) -> None:
        console = self.sockets["console"]
        try:
            data = console.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(console)
        self._console += data
        del self._console[:-CONSOLE_TAIL]

    async def _death(self, what: str) -> MachineryError:
        """Describe the end of QEMU: its own last words, else those of the guest's kernel."""
        assert self._process is not None
        assert self._process.stderr is not None
        await end(self._process)
        words = (await self._process.stderr.read()).decode(errors="replace").strip()
        if not words:
            words = self.last_words()
        return MachineryError(
            f"the {self.role} machine {what}" + (f": {' | '.join(words.splitlines()[-3:])}" if words else ""),
            "run it again; if it stays, `./groundup clean --snapshots` makes the snapshots anew",
        )

    def last_words(self) -> str:
        """Return the last lines that the guest wrote to its console; of a panic, what led to it and its first line."""
        text = self._console.decode(errors="replace").partition("CPU: 0 PID")[0]
        lines = ["".join(c for c in line if c.isprintable()) for line in text.splitlines()]
        return " | ".join(line for line in lines[-4:] if line)

    async def qmp(self, name: str, **arguments: Any) -> Any:
        """Run a command of QEMU's machine protocol; returns its result. Raises RefusedError where it refuses."""
        try:
            return await self._qmp.execute(name, arguments or None)
        except ExecuteError as error:
            raise RefusedError(f"QEMU refused {name} for the {self.role} machine: {error}") from error
        except QMPError as error:
            raise await self._death(f"ended during {name}") from error

    async def _migrated(self) -> None:
        """Wait until the outgoing migration has ended: milliseconds, and QEMU has no event for it unless asked."""
        while True:
            status = (await self.qmp("query-migrate")).get("status")
            if status == "completed":
                return
            if status in {"failed", "cancelled"}:
                raise MachineryError(f"the {self.role} machine's state could not be saved", "is the disk full?")
            await asyncio.sleep(0.002)

    async def save(self, state: Path, *, with_memory: bool) -> None:
        """Stop the machine and write its state to `state`; without memory where that is a shared file already."""
        await self._ignore_shared(not with_memory)
        await self.qmp("stop")
        # QEMU 7.2 has no file: address.
        await self.qmp("migrate", uri=f"exec:cat > {shlex.quote(str(state))}")
        await self._migrated()

    async def restore(self, state_fd: int, *, with_memory: bool) -> None:
        """Load a state that `save` wrote, from a descriptor that QEMU inherited, and run on from there."""
        await self._ignore_shared(not with_memory)
        # QEMU would announce the network cards on every link, as after a move to another host: noise in the captures.
        await self.qmp("migrate-set-parameters", **{"announce-rounds": 0})
        await self.qmp("migrate-incoming", uri=f"fd:{state_fd}")
        while (await self.qmp("query-status"))["status"] == "inmigrate":
            await asyncio.sleep(0.001)
        await self.qmp("cont")

    async def plug_vsock(self) -> None:
        """Plug in a vsock device, served by whoever has the other end of the socket `vsock`."""
        await self.qmp("device_add", driver="vhost-user-vsock-pci", id="vsock0", chardev="vsock")

    async def _ignore_shared(self, on: bool) -> None:
        if on:
            await self.qmp("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])

    async def ended(self) -> MachineryError:
        """Wait until QEMU ends by itself, and return what is known about it."""
        assert self._process is not None
        await self._process.wait()
        return await self._death("ended")

    async def while_running(self, talk: Coroutine[Any, Any, T]) -> T:
        """Await `talk`, which speaks to the guest. If the machine ends meanwhile, raises what it said last."""
        talking, ending = asyncio.create_task(talk), asyncio.create_task(self.ended())
        try:
            await asyncio.wait((talking, ending), return_when=asyncio.FIRST_COMPLETED)
            if talking.done() and isinstance(talking.exception(), AgentLostError):
                await asyncio.wait((ending,), timeout=END_SECONDS)
            if ending.done():
                raise ending.result()
            return await talking
        finally:
            talking.cancel()
            ending.cancel()
            await asyncio.gather(talking, ending, return_exceptions=True)

    async def close(self) -> None:
        """End QEMU at once. Nothing in the guest is asked: its state is worth nothing by now."""
        if self._process is not None:
            await end(self._process)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(QMPError, EOFError, OSError):  # the connection broke just now: we killed the other end
            await self._qmp.disconnect()
        for name, ours in self.sockets.items():
            if name == "console" and ours.fileno() >= 0:
                loop.remove_reader(ours)
            ours.close()
        self.sockets.clear()


def memfd(name: str) -> int:
    """Return an anonymous file in memory (memfd_create(2)): as large as one likes, unlike /dev/shm in a container."""
    return os.memfd_create(name)
