"""The kernel's own tests of AF_VSOCK (tools/testing/vsock in its source), one half in each machine, the switch between.

They were written for a guest and its host; here each half is in a guest, and what they say of the host's end the switch
has to keep. A TCP connection between the halves sets the pace of their steps.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from groundup.paths import BUILD
from groundup.vm.pair import CIDS, Role
from groundup.vm.snapshot import Snapshot

from .vsock_lab import Lab, in_lab

pytestmark = pytest.mark.pair

SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
"""Debian's package linux-source-6.1: the release that the guests run."""
LEAST = {"vsock_test": 11, "vsock_diag_test": 3}
"""How many tests each of the programs has, at least: a later release may have more."""
CONTROL_PORT = 1234
ROLES: tuple[Role, Role] = ("server", "client")
ADDRESSES: dict[Role, str] = {"server": "192.0.2.1", "client": "192.0.2.2"}  # a static program asks no resolver


def unpacked() -> Path:
    """Return tools/ of the kernel's source as far as it is needed, unpacked once for each version of the package."""
    if not SOURCE.exists():
        pytest.skip(f"{SOURCE} is missing (Debian's package linux-source-6.1): the kernel's tests of vsock do not run")
    status = SOURCE.stat()
    place = BUILD / "linux-source" / f"{status.st_size}-{status.st_mtime_ns}"
    if not place.exists():
        shutil.rmtree(place.parent, ignore_errors=True)
        partial = place.with_suffix(".partial")
        partial.mkdir(parents=True)
        names = [f"linux-source-6.1/tools/{name}" for name in ("include", "testing/vsock")]
        subprocess.run(["tar", "-xJf", SOURCE, "-C", partial, "--strip-components=1", *names], check=True, timeout=300)
        partial.rename(place)
    return place / "tools"


def compiled(name: str, directory: Path) -> Path:
    """Compile one of the kernel's tests by what its Makefile says, and static: the guests have no more than libc."""
    tools, program = unpacked(), directory / name
    sources = [tools / "testing/vsock" / f"{part}.c" for part in (name, "timeout", "control", "util")]
    flags = ["-O2", "-D_GNU_SOURCE", "-Wno-pointer-sign", "-fno-strict-overflow", "-fno-strict-aliasing", "-fno-common"]
    command = ["gcc", "-static", *flags, "-I", tools / "include", "-o", program, *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("name", LEAST)
def test_the_kernels_own_tests(name: str, snapshot: Snapshot, tmp_path: Path) -> None:
    """Each machine accepts once, and asks once."""
    program = compiled(name, tmp_path)

    async def act(lab: Lab) -> None:
        for role in ROLES:
            await lab.bring(role, program, name)
        for accepting, asking in (ROLES, ROLES[::-1]):
            common = f"--control-port={CONTROL_PORT}"
            accepts = f"./{name} --mode=server {common} --peer-cid={CIDS[asking]}"
            await lab.run(accepting, f"sh -c '{accepts}; echo status $?' > said 2>&1 &")
            await lab.until(accepting, f"ss -tln | grep -q ':{CONTROL_PORT} '")
            address = f"--control-host={ADDRESSES[accepting]}"
            said = await lab.run(asking, f"./{name} --mode=client {common} {address} --peer-cid={CIDS[accepting]}")
            assert_all_well(said, LEAST[name])
            await lab.until(accepting, "grep -q ^status said")
            other = await lab.run(accepting, "cat said")
            assert other.endswith("status 0\n"), other
            assert_all_well(other, LEAST[name])

    in_lab(snapshot, tmp_path, act)


def assert_all_well(said: str, least: int) -> None:
    """Each test has a line, which ends in ok; a skipped one ends otherwise."""
    lines = re.findall(r"^\d+ - (.*)\.\.\.(.*)$", said, re.MULTILINE)
    assert len(lines) >= least, said
    assert {verdict for _, verdict in lines} == {"ok"}, said
