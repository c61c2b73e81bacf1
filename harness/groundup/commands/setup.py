"""`groundup setup`: the guest image and the snapshot of the pair. Also what every command that needs them calls."""

import argparse
import asyncio
import shutil
import sys
import time

from groundup.errors import EXIT_PASSED, MachineryError
from groundup.vm import image, snapshot
from groundup.vm.snapshot import Snapshot


class Progress:
    """Says on stderr what takes longer than a second, with how long it has taken."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Announce what begins now."""
        print(f"groundup: {text} …", file=sys.stderr, flush=True)

    def done(self, text: str) -> None:
        """Report that something is there."""
        print(f"groundup: {text} ({time.monotonic() - self._start:.1f} s)", file=sys.stderr, flush=True)
        self._start = time.monotonic()


async def ready() -> Snapshot:
    """Return the snapshot of the pair; make it, and the image, first where they are missing or out of date."""
    progress = Progress()
    found = image.find()
    if found is None:
        for tool in ("mmdebstrap", "mkfs.erofs", "cpio", "qemu-system-x86_64"):
            if shutil.which(tool) is None:
                raise MachineryError(f"{tool} is not installed", "run `make setup`")
        progress("building the guest image (half a minute, from Debian's packages)")
        found = await image.build(progress)
        size = sum(path.stat().st_size for path in (found.disk, found.kernel, found.initramfs))
        progress.done(f"guest image of {size / 1e6:.0f} MB built")
    saved = await snapshot.find(found)
    if saved is None:
        progress("saving a snapshot of the pair")
        saved = await snapshot.make(found, progress)
        used = sum(path.stat().st_blocks * 512 for path in saved.directory.iterdir())
        progress.done(f"snapshot of {used / 1e6:.0f} MB saved, accelerator {saved.accelerator}, memory {saved.mode}")
    return saved


def run(_options: argparse.Namespace) -> int:
    """Run the command."""
    asyncio.run(ready())
    return EXIT_PASSED
