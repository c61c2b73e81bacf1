import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup_guest import confinement
from groundup_guest.confinement import Confinement
from groundup_guest.programs import Programs
from tests.guest.backend import Backend

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program to be tested, compiled."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    target = tmp_path_factory.mktemp("subject") / "subject"
    subprocess.run([compiler, "-O1", "-Wall", "-Wextra", "-o", target, HERE / "subject.c"], check=True)
    return target


@pytest.fixture
def programs(tmp_path: Path, subject: Path) -> Iterator[Programs]:
    """Programs that nothing confines, in a home of their own, with the subject installed."""
    confinement.adopt_orphans()
    home = tmp_path / "home"
    home.mkdir()
    found = Programs(Confinement(home))
    found.install("subject", subject.read_bytes())
    yield found
    found.close()


@pytest.fixture
def backend(programs: Programs, tmp_path: Path) -> Backend:
    """A host for runs of the plugin."""
    return Backend(programs, tmp_path / "runs")
