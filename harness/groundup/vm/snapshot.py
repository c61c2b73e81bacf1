"""Snapshots: both machines booted once, their agents waiting, kept so that every run begins from the same state.

The guest's memory is a file that the booting machine shares; what is saved besides is half a megabyte of device state.
A restored machine maps the file privately: nothing is read or copied before the guest touches it.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from groundup.errors import MachineryError
from groundup.paths import GUEST_PACKAGE, SNAPSHOTS
from groundup.storage import PARTIAL, check_space, drop_old, hold, locked_when_free, set_aside
from groundup.together import together
from groundup.vm.accelerator import accelerator
from groundup.vm.agent import Channel
from groundup.vm.image import SNAPSHOT_BYTES, Image, Progress, hash_files
from groundup.vm.machine import MEMORY_MB, ROLES, Machine, Memory, RefusedError, Role, command, memfd

BOOT_SECONDS = 300.0
"""A cold boot under translation takes eight seconds on an idle machine; this is for a very busy one."""
KEPT = 2
"""How many snapshots of other images, guest code or accelerators stay beside a new one."""


class RestoreError(MachineryError):
    """A snapshot was saved, but cannot be restored."""


@dataclass(frozen=True)
class Snapshot:
    """A pair of saved machines.

    `mode` is "mapped" where this QEMU restores from mapped memory, "stream" where memory is part of the saved state.
    One that `find` or `make` returned stays on disk until this process ends: `watch` restores from it again and again,
    while another tool, of another accelerator or with other guest code, makes its own and drops old ones.
    """

    image: Image
    accelerator: str
    directory: Path
    mode: Literal["mapped", "stream"]

    @property
    def guest_code(self) -> Path:
        """The initramfs with the guest's half of the harness."""
        return self.directory / "initrd"

    def memory(self, role: Role) -> Path:
        """Return the file that holds the machine's memory."""
        return self.directory / f"{role}.memory"

    def state(self, role: Role) -> Path:
        """Return the file that holds the state of the machine's devices."""
        return self.directory / f"{role}.state"


def _key(image: Image, accel: str) -> str:
    """Hash everything that goes into a snapshot: image, guest code, QEMU itself and its command line."""
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        raise MachineryError("qemu-system-x86_64 is not installed", "run `make setup`")
    stat = Path(qemu).stat()
    nothing = Memory(Path("memory"), shared=False)
    fds = dict.fromkeys(("qmp", "console", "eth0", "eth1", "agent", "session"), 0)
    placeless = Image(image.key, Path("image"))  # a checkout may be moved
    template = [command(placeless, Path("initrd"), accel, role, nothing, fds) for role in ROLES]
    parts = [image.key, hash_files(GUEST_PACKAGE, "*.py"), accel, stat.st_size, stat.st_mtime_ns, template]
    if accel == "kvm":
        parts.append(_processor())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    """Return what /proc/cpuinfo says of the host's processor: under KVM the guest has seen the same one."""
    first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
    return [line for line in first.splitlines() if line.partition(":")[0].strip() in names]


async def find(image: Image) -> Snapshot | None:
    """Return the snapshot for everything as it is now, or None where there is none, or a damaged one."""
    accel = await accelerator(image)
    directory = SNAPSHOTS / _key(image, accel)
    try:
        lock = hold(directory)  # before it is looked at, so that it stays as it is
    except FileNotFoundError:
        return None
    facts = _facts(directory)
    if facts is None or _damage(directory, facts):
        os.close(lock)
        return None
    return Snapshot(image, accel, directory, facts["mode"])


def _facts(directory: Path) -> dict[str, Any] | None:
    """Return what a snapshot says of itself: its mode, and the size of each file. None where that is lost."""
    try:
        facts = json.loads((directory / "facts.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict) or facts.get("mode") not in ("mapped", "stream"):
        return None
    files = facts.get("files")
    return facts if isinstance(files, dict) and all(isinstance(size, int) for size in files.values()) else None


def _damage(directory: Path, facts: dict[str, Any]) -> str:
    """Say what is wrong with a snapshot's files, or return the empty string.

    Sizes are enough: the files were on the disk before they got their place, so a crash cuts none of them. How many
    blocks a file takes says nothing, as some file systems pack or trim them later.
    """
    for name, size in facts["files"].items():
        try:
            stat = (directory / name).stat()
        except FileNotFoundError:
            return f"{name} is missing"
        if stat.st_size != size:
            return f"{name} has {stat.st_size} bytes in place of {size}"
    return ""


async def make(image: Image, progress: Progress) -> Snapshot:
    """Return the snapshot for everything as it is now; boot and save the pair where it is missing or damaged."""
    accel = await accelerator(image)
    directory = SNAPSHOTS / _key(image, accel)

    def waiting() -> None:
        progress("another groundup saves it: waiting for that one")

    async with locked_when_free(SNAPSHOTS / "lock", waiting):
        found = await find(image)
        if found:
            return found
        if directory.exists():
            facts = _facts(directory)
            damage = _damage(directory, facts) if facts else "facts.json is missing or cut"
            progress(f"the snapshot is damaged ({damage}): making it anew")
            set_aside(directory)
        drop_old(SNAPSHOTS, KEPT)
        check_space(SNAPSHOTS, SNAPSHOT_BYTES, "a snapshot of the pair")
        try:
            return await _make(Snapshot(image, accel, directory, "mapped"), progress)
        except (RestoreError, RefusedError) as error:
            progress(f"this QEMU does not restore from mapped memory ({error.message}): saving it the plain way")
            return await _make(Snapshot(image, accel, directory, "stream"), progress)


async def _make(snapshot: Snapshot, progress: Progress) -> Snapshot:
    """Boot, save and try; the files get their place only when all is well."""
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=SNAPSHOTS))
    lock = hold(partial)
    try:
        draft = replace(snapshot, directory=partial)
        initramfs = snapshot.image.initramfs.read_bytes()
        # The kernel finds the second archive at the next multiple of four bytes.
        padding = bytes(-len(initramfs) % 4)
        draft.guest_code.write_bytes(initramfs + padding + _guest_archive())
        progress("booting both machines")
        await together(*(_boot_and_save(draft, role) for role in ROLES))
        await _try(draft)
        sizes = {path.name: path.stat().st_size for path in partial.iterdir()}
        (partial / "facts.json").write_text(json.dumps({"mode": snapshot.mode, "files": sizes}))
        await asyncio.to_thread(_to_disk, partial)
        partial.rename(snapshot.directory)
    except BaseException as error:
        os.close(lock)
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise MachineryError(
                f"the snapshot could not be written: {error.strerror}", f"see to the disk that {SNAPSHOTS} is on"
            ) from error
        raise
    return snapshot


def _to_disk(directory: Path) -> None:
    """Wait until every file of a directory is on the disk (fsync(2))."""
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _guest_archive() -> bytes:
    """Pack the guest's half of the harness as a cpio archive: the kernel unpacks it behind the initramfs."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "groundup" / GUEST_PACKAGE.name
        shutil.copytree(GUEST_PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
        names = "\n".join(str(path.relative_to(directory)) for path in sorted(Path(directory).rglob("*")))
        pack = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
        return subprocess.run(pack, input=names.encode(), cwd=directory, check=True, stdout=subprocess.PIPE).stdout


async def _boot_and_save(snapshot: Snapshot, role: Role) -> None:
    machine = Machine(role)
    mapped = snapshot.mode == "mapped"
    # Where memory is part of the saved state the file is anonymous: nothing of it stays.
    fd = os.open(snapshot.memory(role), os.O_RDWR | os.O_CREAT, 0o644) if mapped else memfd("groundup-memory")
    os.truncate(fd, MEMORY_MB << 20)
    memory = Memory(snapshot.memory(role) if mapped else Path(f"/proc/self/fd/{fd}"), shared=True)
    channel = None
    try:
        image = snapshot.image
        await machine.start(image, snapshot.guest_code, snapshot.accelerator, memory, keep_fds=(fd,))
        channel = Channel(f"the {role}'s agent", machine.sockets["agent"])
        channel.start()
        try:
            await machine.while_running(channel.call("hello", deadline=BOOT_SECONDS))
        except MachineryError as error:
            said = machine.last_words()
            if not said or said in error.message:
                raise
            raise MachineryError(f"{error.message}; its console says: {said}", error.remedy) from error
        await machine.save(snapshot.state(role), with_memory=not mapped)
    finally:
        if channel:
            await channel.close()
        await machine.close()
        os.close(fd)


async def _try(snapshot: Snapshot) -> None:
    """Restore the pair once: not every QEMU that saves such a state can load it."""
    from groundup.vm.pair import Pair  # noqa: PLC0415  the pair is restored from a snapshot, and this tries it

    with tempfile.TemporaryDirectory() as captures:
        try:
            async with Pair(snapshot, Path(captures)):
                pass
        except MachineryError as error:
            raise RestoreError(error.message, error.remedy) from error
