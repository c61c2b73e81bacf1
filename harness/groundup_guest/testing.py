"""What a chapter's tests import: their markers, and the types of the fixtures for annotations.

@points(10)                     what the test is worth
@needs("test_x", …)             skipped, without points, where one of these did not pass
@hidden                         its text is not shown to learners
@timeout(5)                     seconds it may take
@read("read(2)", "RFC …")       where to read when it fails
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from groundup_guest.conditions import Descriptor
from groundup_guest.directory import Directory
from groundup_guest.program import Program
from groundup_guest.server import Server
from groundup_guest.steps import FailedError, Steps

if TYPE_CHECKING:
    from groundup_guest.link import Link, Links
    from groundup_guest.listener import Caller, Listener
    from groundup_guest.machine import Machine
    from groundup_guest.peer import Peer
    from groundup_guest.tcp import Tcp
    from groundup_guest.trace import Trace
    from groundup_guest.udp import Udp
    from groundup_guest.udp_listener import Datagram, Responder
    from groundup_guest.unix import Unix
    from groundup_guest.vsock import Vsock
    from groundup_guest.wire import Wire

__all__ = [
    "Caller",
    "Datagram",
    "Descriptor",
    "Directory",
    "FailedError",
    "Link",
    "Links",
    "Listener",
    "Machine",
    "Peer",
    "Program",
    "Responder",
    "Server",
    "Steps",
    "Tcp",
    "Trace",
    "Udp",
    "Unix",
    "Vsock",
    "Wire",
    "hidden",
    "needs",
    "points",
    "read",
    "timeout",
]

_Test = TypeVar("_Test", bound=Callable[..., Any])


def points(number: float) -> Callable[[_Test], _Test]:
    """Mark a test with what it is worth."""
    return pytest.mark.points(number)


def needs(*tests: str) -> Callable[[_Test], _Test]:
    """Mark a test that makes no sense unless these have passed."""
    return pytest.mark.needs(*tests)


def timeout(seconds: float) -> Callable[[_Test], _Test]:
    """Mark a test with the seconds that it may take."""
    return pytest.mark.timeout(seconds)


def read(*where: str) -> Callable[[_Test], _Test]:
    """Mark a test with man pages and sections to read when it fails."""
    return pytest.mark.read(*where)


def hidden(test: _Test) -> _Test:
    """Mark a test whose text is not shown to learners."""
    marked: _Test = pytest.mark.hidden(test)
    return marked


def __getattr__(name: str) -> Any:
    """Give the fixtures' types to tests that annotate with them, without importing Scapy for those that do not."""
    import importlib  # noqa: PLC0415

    modules = {
        "Caller": "listener",
        "Link": "link",
        "Links": "link",
        "Listener": "listener",
        "Machine": "machine",
        "Datagram": "udp_listener",
        "Peer": "peer",
        "Responder": "udp_listener",
        "Tcp": "tcp",
        "Trace": "trace",
        "Udp": "udp",
        "Unix": "unix",
        "Vsock": "vsock",
        "Wire": "wire",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"groundup_guest.{modules[name]}"), name)
