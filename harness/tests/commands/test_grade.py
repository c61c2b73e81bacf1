"""Grading where something else than the submission is wrong."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from groundup import progress
from groundup.commands import check
from groundup.course.chapter import find
from groundup.errors import MachineryError
from groundup.paths import BUILD, ROOT
from groundup.progress import Progress
from tests.report import samples

SOLUTION = find("01").source


def test_files_are_written_where_the_machinery_fails_before_any_test(tmp_path: Path) -> None:
    """With nothing on the host but a shell and Python there can be no image, and that is what the files say."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "readlink"):
        (programs / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "venv").symlink_to(BUILD / "venv")
    command = [ROOT / "groundup", "grade", "01", SOLUTION, "--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml"]
    env = {**os.environ, "PATH": str(programs), "GROUNDUP_BUILD": str(tmp_path / "build")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["groundup: mmdebstrap is not installed", "          run `make setup`"]
    written = json.loads((tmp_path / "r.json").read_text())
    assert (written["score"], written["complete"], written["outcomes"]["infra"]) == (None, False, len(find("01").tests))
    assert written["problems"] == ["mmdebstrap is not installed; run `make setup`"]
    assert "mmdebstrap" in (tmp_path / "r.xml").read_text()


def test_nothing_in_the_current_directory_is_run(tmp_path: Path) -> None:
    """Whoever grades stands where the submissions are."""
    (tmp_path / "json.py").write_text("raise SystemExit(42)\n")
    (tmp_path / "groundup").mkdir()
    (tmp_path / "groundup" / "__main__.py").write_text("raise SystemExit(43)\n")
    done = subprocess.run([ROOT / "groundup", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "usage: groundup" in done.stdout


@pytest.mark.parametrize("fails", [True, False])
def test_what_is_wrong_with_the_progress_is_said_and_costs_no_verdict(
    fails: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def record(_: object) -> Progress:
        if fails:
            raise MachineryError("cannot write it: No space left on device")
        return Progress(warning="it made no sense, and is kept")

    monkeypatch.setattr(progress, "record", record)
    check.record(samples.passing())
    said = capsys.readouterr().err
    assert said.count("No space left" if fails else "is kept") == len(said.splitlines()) == 1
