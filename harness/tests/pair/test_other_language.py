"""A server of another language and design gets full marks: a test demands what the lesson states, and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Grade

PEERS = Path(__file__).with_name("peers")


@pytest.mark.pair
@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed: no server of another language to grade")
def test_server_in_go(graded: Grade, tmp_path: Path) -> None:
    program = tmp_path / "http-hello"
    env = {**os.environ, "CGO_ENABLED": "0", "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-trimpath"}
    subprocess.run(["go", "build", "-o", program, PEERS / "http_hello.go"], env=env, check=True, timeout=300)
    result = graded("02", program=program)
    assert result.passed, [(test.id, test.message) for test in result.tests if test.message]
