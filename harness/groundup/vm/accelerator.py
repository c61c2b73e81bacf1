"""Which accelerator the machines get. Nothing is believed but a boot: /dev/kvm can open, and still hang a kernel."""

import asyncio
import json
import os
from pathlib import Path

from groundup.errors import UsageError
from groundup.files import write_atomically
from groundup.paths import BUILD
from groundup.process import end
from groundup.vm.image import Image

PROBE_SECONDS = 5.0
"""A kernel with an accelerator reaches its initramfs in half a second; a hung one never does."""
PROBE_WORD = b"groundup: this kernel boots"
"""What vm/init writes where it is to show that a kernel boots."""
ANSWERS = frozenset({"kvm", "tcg"})


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


async def accelerator(image: Image) -> str:
    """Return "kvm" where a kernel boots with it, else "tcg" (QEMU's own translator, which works everywhere).

    The answer is remembered until the host reboots or the image changes. GROUNDUP_ACCELERATOR overrides it.
    """
    chosen = os.environ.get("GROUNDUP_ACCELERATOR")
    if chosen:
        if chosen not in ANSWERS:
            raise UsageError(f"GROUNDUP_ACCELERATOR is {chosen!r}", "set it to kvm or tcg, or unset it")
        return chosen
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    memory = BUILD / "accelerator.json"
    question = {"boot": _boot_id(), "image": image.key}
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):  # never asked, or cut short by a kill: ask again
        known = {}
    if not isinstance(known, dict) or known.get("question") != question or known.get("answer") not in ANSWERS:
        known = {"question": question, "answer": "kvm" if await boots(image, "kvm") else "tcg"}
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(memory, json.dumps(known).encode())
    return str(known["answer"])


async def boots(image: Image, accel: str, seconds: float = PROBE_SECONDS, extra: str = "") -> bool:
    """Boot the initramfs, which says so on its console and ends, and see whether that happens within `seconds`.

    `extra` is put on the kernel's command line. QEMU's status alone tells nothing: with panic=-1 and -no-reboot a
    kernel that panics ends it with 0 as well.
    """
    cpu = "host" if accel == "kvm" else "max"
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", "-M", "pc", "-accel", accel, "-cpu", cpu),
        *("-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", image.kernel, "-initrd", image.initramfs),
        *("-append", f"console=ttyS0 quiet panic=-1 groundup.role=probe {extra}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(seconds):
            while PROBE_WORD not in said and (more := await process.stdout.read(4096)):
                said = (said + more)[-4096:]
    except TimeoutError:
        pass  # it hangs: what it has said so far is the answer
    finally:
        await end(process)
    return PROBE_WORD in said
