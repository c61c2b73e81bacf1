"""Programs and clients for tests against peers that nobody here wrote. Everything is on loopback."""

from pathlib import Path

import pytest

from .support import compiled, compiled_go

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs are compiled."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def http_parse(made: Path) -> Path:
    """The solution of chapter 03."""
    return compiled("03", made)


@pytest.fixture(scope="session")
def http_client(made: Path) -> Path:
    """The solution of chapter 04."""
    return compiled("04", made)


@pytest.fixture(scope="session")
def http_files(made: Path) -> Path:
    """The solution of chapter 05."""
    return compiled("05", made)


@pytest.fixture(scope="session")
def go_client(made: Path) -> Path:
    """Go's net/http, driven by name of what to do."""
    return compiled_go(HERE / "go_client.go", made)


@pytest.fixture(scope="session")
def go_server(made: Path) -> Path:
    """Go's net/http, with something for each way in which a response can end."""
    return compiled_go(HERE / "go_server.go", made)


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    """Loopback, of either family."""
    return str(request.param)
