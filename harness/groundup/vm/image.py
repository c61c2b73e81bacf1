"""The guest image: built once for each content of `vm/`, kept under `build/vm/KEY/`."""

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import MachineryError
from groundup.paths import IMAGES, RECIPE
from groundup.storage import PARTIAL, check_space, drop_old, hold, locked_when_free

NEEDED_BYTES = 1_500_000_000
"""Free space that a build asks for: the unpacked root, the image made of it, and Debian's packages on the way."""
SNAPSHOT_BYTES = 900_000_000
"""Free space that saving the pair asks for: what two machines have touched of their memory, and room to spare."""
Progress = Callable[[str], None]
"""Takes a line that says what is being done now."""
KEPT = 1
"""How many images of other recipes stay beside a new one: somebody goes back and forth between two branches."""


@dataclass(frozen=True)
class Image:
    """A built image. `key` changes when, and only when, a file of the recipe does.

    One that `find` or `build` returned stays on disk until this process ends, whatever other tools make or clean.
    """

    key: str
    directory: Path

    @property
    def root(self) -> Path:
        """The unpacked root: submissions are compiled in it."""
        return self.directory / "root"

    @property
    def disk(self) -> Path:
        """The root as a read-only erofs image."""
        return self.directory / "root.erofs"

    @property
    def kernel(self) -> Path:
        """Debian's cloud kernel."""
        return self.directory / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        """Busybox, the modules, and `vm/init`."""
        return self.directory / "initramfs.cpio.gz"


def hash_files(directory: Path, pattern: str = "*") -> str:
    """Return a hash over the names, modes and contents of the files of `directory` that match `pattern`."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob(pattern)):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            executable = os.access(path, os.X_OK)
            digest.update(f"{path.relative_to(directory)}\0{executable}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def find() -> Image | None:
    """Return the image for the recipe as it is now, or None where it was not built yet."""
    key = hash_files(RECIPE)
    image = Image(key, IMAGES / key)
    try:
        hold(image.directory)
    except FileNotFoundError:
        return None
    return image


async def build(progress: Progress) -> Image:
    """Return the image for the recipe as it is now; build it where it is missing (half a minute, needs the network).

    Raises MachineryError with the end of the build's output where it fails; nothing half-made stays behind.
    """

    def waiting() -> None:
        progress("another groundup builds it: waiting for that one")

    async with locked_when_free(IMAGES / "lock", waiting) as lock:
        image = find()
        if image:
            return image
        drop_old(IMAGES, KEPT)  # with what a build has left that was killed
        check_space(IMAGES, NEEDED_BYTES, "building the guest image")
        key = hash_files(RECIPE)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=IMAGES))
        try:
            # The user namespace of an unprivileged mmdebstrap runs as another user, who has to reach the directory.
            partial.chmod(0o755)
            await _run_recipe(partial, (lock, hold(partial)))
            partial.rename(IMAGES / key)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return Image(key, IMAGES / key)


async def _run_recipe(out: Path, locks: tuple[int, ...]) -> None:
    """Build into `out`. Every process of the build inherits the locks, which so last as long as any of them writes."""
    process = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", RECIPE / "build-image", out),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHON": sys.executable},
        pass_fds=locks,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()[-15:]
        raise MachineryError(
            "the guest image could not be built:\n  " + "\n  ".join(lines),
            "check the network and the packages that `./groundup doctor` lists, then run `make setup` again",
        )
