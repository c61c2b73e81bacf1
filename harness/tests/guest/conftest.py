import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.paths import RECIPE
from groundup_guest import confinement
from groundup_guest.confinement import Confinement
from groundup_guest.programs import Programs
from groundup_guest.surroundings import Surroundings
from tests.guest.backend import Backend

HERE = Path(__file__).parent


def compiled(source: Path, target: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-O1", "-Wall", "-Wextra", "-o", target, source], check=True)
    return target


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program to be tested, compiled."""
    return compiled(HERE / "subject.c", tmp_path_factory.mktemp("subject") / "subject")


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has at confinement.LAUNCHER, compiled for this machine."""
    return compiled(RECIPE / "launcher.c", tmp_path_factory.mktemp("launcher") / "launcher")


@pytest.fixture
def programs(tmp_path: Path, subject: Path, launcher: Path) -> Iterator[Programs]:
    """Programs that nothing confines, in a home of their own, with the subject installed."""
    confinement.adopt_orphans()
    home = tmp_path / "home"
    home.mkdir()
    found = Programs(Confinement(home, launcher))
    found.install("subject", subject.read_bytes())
    yield found
    found.close()


@pytest.fixture
def backend(programs: Programs, tmp_path: Path) -> Backend:
    """A host for runs of the plugin."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    return Backend(programs, Surroundings(tmp_path / "home", hosts), tmp_path / "runs")
