"""`groundup doctor`: what is there, what is missing, and what to do about it."""

import argparse
import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import EXIT_MACHINERY, EXIT_PASSED, GroundupError
from groundup.paths import BUILD, HARNESS
from groundup.report.text import Printer, Style
from groundup.vm import image


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found; a remedy where it is not well."""

    subject: str
    found: str
    remedy: str = ""


def _host() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{platform.machine()} Linux {platform.release()}, {os.cpu_count()} processors, {memory >> 30} GiB"
    if platform.machine() == "x86_64":
        return Finding("host", text)
    return Finding("host", text, "use an x86-64 host: the guest image is x86-64, and its compiler runs on the host")


def _disk() -> Finding:
    try:
        BUILD.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Finding("disk", f"{BUILD} cannot be made: {error.strerror}", "set GROUNDUP_BUILD to another place")
    free = shutil.disk_usage(BUILD).free
    needed = image.SNAPSHOT_BYTES + (0 if image.find() else image.NEEDED_BYTES)
    remedy = "" if free > needed else f"make room: what is to be built takes {needed / 1e9:.1f} GB on the way"
    return Finding("disk", f"{free / 1e9:.1f} GB free in {BUILD}", remedy)


def _packages() -> list[Finding]:
    findings = []
    for line in (HARNESS / "packages").read_text().splitlines():
        package, _, command = line.partition("#")[0].strip().partition(" ")
        if not package:
            continue
        path = shutil.which(command.strip())
        remedy = "" if path else f"run `make setup`, or: sudo apt-get install {package}"
        findings.append(Finding(package, path or "missing", remedy))
    return findings


def _python() -> Finding:
    try:
        import qemu.qmp  # noqa: F401, PLC0415
        import watchfiles  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        return Finding("python", f"{sys.executable}, without {error.name}", "run `make setup`")
    return Finding("python", f"{platform.python_version()} in {sys.prefix}")


def _qemu() -> Finding:
    if shutil.which("qemu-system-x86_64") is None:
        return Finding("qemu", "missing", "run `make setup`")
    version = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"version (\d+)\.(\d+)\S*", version)
    if number is None:
        return Finding("qemu", "it does not say its version", "reinstall qemu-system-x86")
    old = (int(number[1]), int(number[2])) < (7, 2)
    return Finding("qemu", number[0], "install version 7.2 or newer, which has -netdev stream" if old else "")


async def _machines() -> list[Finding]:
    """Look at what needs an image: compiler, accelerator, snapshot, and a pair that is really restored."""
    from groundup.build import probe  # noqa: PLC0415  doctor has to work where a dependency is missing
    from groundup.vm import snapshot  # noqa: PLC0415
    from groundup.vm.pair import Pair  # noqa: PLC0415

    found = image.find()
    if found is None:
        return [Finding("image", "not built", "run `make setup`")]
    findings = [Finding("image", f"{found.key}, {found.disk.stat().st_size / 1e6:.0f} MB")]
    try:
        await probe(found.root)
        findings.append(Finding("compiler", "the guest's gcc runs under bubblewrap"))
    except GroundupError as error:
        findings.append(Finding("compiler", error.message, error.remedy))
    saved = await snapshot.find(found)
    if saved is None:
        return [*findings, Finding("snapshot", "none for the code as it is", "run `make setup`")]
    findings.append(
        Finding("snapshot", f"{saved.directory.name}, memory {saved.mode}, accelerator {saved.accelerator}")
    )
    try:
        with tempfile.TemporaryDirectory() as captures:
            async with Pair(saved, Path(captures)) as pair:
                findings.append(Finding("pair", f"restored in {pair.restore_seconds:.2f} s"))
    except GroundupError as error:
        findings.append(Finding("pair", error.message, error.remedy))
    return findings


def _guarded(look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except (GroundupError, ModuleNotFoundError) as error:
        return [Finding("machines", str(error), "run `make setup`")]


def run(_options: argparse.Namespace) -> int:
    """Run the command."""
    findings = [_host(), _disk(), *_packages(), _python(), _qemu()]
    if not any(finding.remedy for finding in findings):
        findings += _guarded(lambda: asyncio.run(_machines()))
    printer = Printer(sys.stdout)
    style = Style.of(sys.stdout)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = style.paint("!", "yellow") if finding.remedy else style.paint("✓", "green")
        printer.line(f"{mark} {finding.subject:<{width}}  {finding.found}")
        if finding.remedy:
            printer.line(f"  {'':<{width}}  {finding.remedy}")
    return EXIT_MACHINERY if any(finding.remedy for finding in findings) else EXIT_PASSED
