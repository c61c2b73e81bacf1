"""What doctor says of hosts that are not as they should be."""

import subprocess
from pathlib import Path

import pytest

from groundup.commands import doctor


def test_build_directory_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "not" / "there" / "yet"
    monkeypatch.setattr(doctor, "BUILD", place)
    assert str(place) in doctor._disk().found
    assert place.is_dir()


def test_build_directory_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUILD", Path("/proc/none/build"))
    finding = doctor._disk()
    assert "/proc/none/build cannot be made" in finding.found
    assert "GROUNDUP_BUILD" in finding.remedy


@pytest.mark.parametrize(
    ("says", "found", "remedy"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n", "version 7.2.22", ""),
        ("QEMU emulator version 10.0.0\n", "version 10.0.0", ""),
        ("QEMU emulator version 6.2.0\n", "version 6.2.0", "install version 7.2 or newer, which has -netdev stream"),
        ("", "it does not say its version", "reinstall qemu-system-x86"),
    ],
)
def test_qemu(monkeypatch: pytest.MonkeyPatch, says: str, found: str, remedy: str) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=says))
    finding = doctor._qemu()
    assert (finding.found, finding.remedy) == (found, remedy)


def test_another_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    finding = doctor._host()
    assert finding.found.startswith("aarch64 Linux")
    assert finding.remedy.startswith("use an x86-64 host")
