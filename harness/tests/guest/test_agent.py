"""The agents natively, over a socket in place of a port. `hello` is not called: it would set the clock."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from groundup_guest import confinement
from groundup_guest.agent import Agent, ServerRole, add_entropy
from groundup_guest.archive import pack
from groundup_guest.client import ClientRole
from groundup_guest.confinement import Confinement
from groundup_guest.programs import Programs
from groundup_guest.rehearsal import rehearse
from groundup_guest.rpc import Channel, RpcError
from groundup_guest.surroundings import Surroundings


@contextmanager
def agent(make_role: Any) -> Iterator[Channel]:
    """An agent in a forked child, as it is in a guest; the channel to it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        status = 1
        try:
            confinement.adopt_orphans()
            with Channel(theirs.detach()) as channel:
                Agent(make_role(channel), channel).serve()
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    with Channel(ours.detach()) as channel:
        yield channel
    assert os.waitpid(pid, 0)[1] == 0


def call(channel: Channel, method: str, payload: bytes = b"", **params: Any) -> Any:
    return channel.call(method, params, payload, timeout=20).body["result"]


def test_the_server_role_runs_a_program(tmp_path: Path, subject: Path, launcher: Path) -> None:
    with agent(lambda _: ServerRole(Programs(Confinement(tmp_path, launcher)), Surroundings(tmp_path))) as channel:
        assert call(channel, "ping") == {}
        assert call(channel, "install", subject.read_bytes(), name="subject", mode=0o755)["path"].endswith("/subject")
        started = call(channel, "start", argv=["subject"], ready=True, deadline=5)
        assert started["stdout_line"].startswith("listening on tcp:")
        assert call(channel, "facts", handle=started["handle"])["alive"]
        assert call(channel, "signal", handle=started["handle"], signal=15) == {}
        assert call(channel, "wait", handle=started["handle"], deadline=5)["exit"]["status"] == 0
        assert call(channel, "syscalls", handle=started["handle"], last=5) == {"lines": [], "available": False}
        assert call(channel, "reset") == {}


def test_nothing_that_is_asked_ends_the_agent(tmp_path: Path, launcher: Path) -> None:
    with agent(lambda _: ServerRole(Programs(Confinement(tmp_path, launcher)), Surroundings(tmp_path))) as channel:
        for method, params, words in (
            ("nonsense", {}, "the server agent has no method 'nonsense'"),
            ("wait", {"handle": 9, "deadline": 1}, "no program has the handle 9"),
            ("wait", {"bogus": 9}, "TypeError"),
            ("start", {"argv": ["missing"]}, "cannot run missing: No such file or directory"),
            ("start", {"argv": []}, "IndexError"),
            ("sh", {"argv": ["sleep", "9"], "deadline": 0.05}, "sleep did not end within 0.05 s"),
            ("install", {"name": "../x"}, "is not a name"),
        ):
            with pytest.raises(RpcError, match=words):
                call(channel, method, **params)
        assert call(channel, "sh", argv=["sh", "-c", "echo a; echo b >&2; exit 3"]) == {
            "status": 3,
            "stdout": "a\n",
            "stderr": "b\n",
        }


def test_the_client_role_runs_tests_and_takes_a_cancellation(tmp_path: Path) -> None:
    session, theirs = socket.socketpair()
    tests = {"test_a.py": b"import time\n\ndef test_a():\n    time.sleep(60)\n"}

    def client(channel: Channel) -> ClientRole:
        session.close()
        return ClientRole(channel, lambda: Channel(theirs.detach()), tmp_path / "tests")

    with agent(client) as channel, Channel(session.detach()) as host:
        theirs.close()
        channel.send({"id": "run", "method": "run", "params": {"chapter": "x", "seed": 1}}, pack(tests))
        events = []
        while not events or events[-1].body["method"] != "test_started":
            events.append(host.receive())
            if "id" in events[-1].body:
                host.send({"id": events[-1].body["id"], "result": {}})
        with pytest.raises(RpcError, match="only cancel is answered"):
            call(channel, "sh", argv=["true"])
        assert call(channel, "cancel") == {"running": True}
        answer = channel.receive().body
        assert answer["id"] == "run"
        assert answer["result"] == {"exit": -9, "cancelled": True, "output": ""}
        assert call(channel, "cancel") == {"running": False}


def test_the_rehearsal_goes_as_it_should_and_leaves_no_files(tmp_path: Path) -> None:
    pid = os.fork()  # it runs pytest in its own process, which is not to be this one
    if pid == 0:
        status = 1
        try:
            sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AssertionRewritingHook)]
            rehearse(tmp_path / "tests")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


def test_no_entropy_is_no_entropy() -> None:
    add_entropy(b"")
