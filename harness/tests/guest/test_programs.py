"""The server role's methods natively; hostile programs among them. Everything but cgroups, users and ftrace."""

import contextlib
import os
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from groundup_guest import confinement, proc
from groundup_guest.confinement import Rights
from groundup_guest.launch import LaunchError
from groundup_guest.programs import ProgramError, Programs
from groundup_guest.running import KEPT, Kept


def script(programs: Programs, text: str) -> str:
    programs.install("script", ("#!/bin/sh\n" + text).encode())
    return "script"


def test_a_program_is_installed_whole(programs: Programs) -> None:
    path = Path(programs.install("tool", b"#!/bin/sh\n", 0o755)["path"])
    assert path.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    for name in ("", "..", "a/b", "/etc/passwd"):
        with pytest.raises(ProgramError, match="is not a name"):
            programs.install(name, b"")


def test_a_program_starts_clean(programs: Programs) -> None:
    os.environ["LEFT_OVER"] = "1"
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        name = script(
            programs,
            'set -- /proc/$$/fd/*; echo $#; env | sort; pwd; grep -E "^Sig(Ign|Blk)" /proc/self/status; ps -o sid= $$',
        )
        found = programs.start([name], env={"EXTRA": "2"})
    finally:
        os.close(leaked)
        del os.environ["LEFT_OVER"]
    assert programs.wait(found["handle"], 5)["exit"] == {"status": 0, "signal": None, "core": False, "oom": False}
    lines = programs.output(found["handle"])["stdout"].split("\n")
    assert int(lines[0]) <= 5  # 0, 1, 2, the script itself, which the shell reads, and that directory
    assert "EXTRA=2" in lines
    assert not any(line.startswith("LEFT_OVER") for line in lines)
    ignored = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:"))
    # An interpreter's children would ignore SIGPIPE. 32 and 33 are the C library's own, and nobody else can set them.
    assert ignored & ~(1 << 31 | 1 << 32) == 0
    assert f"SigBlk:\t{0:016x}" in lines
    assert int(lines[-2]) == found["pid"]


def test_what_a_program_may_be_granted(programs: Programs) -> None:
    usual = Rights().mask()
    assert usual == 1 << confinement.CAP_NET_BIND_SERVICE
    assert Rights().with_granted(["net_raw"]).mask() == usual | 1 << confinement.CAP_NET_RAW
    programs.install("tool", b"#!/bin/sh\n", capabilities=["net_raw"])
    with pytest.raises(ProgramError, match="no program may have the capability 'sys_admin'"):
        programs.install("tool", b"#!/bin/sh\n", capabilities=["sys_admin"])
    with pytest.raises(ProgramError, match="no program may have the capability 'everything'"):
        programs.grant("tool", ["everything"])


def test_what_cannot_be_run_is_said(programs: Programs) -> None:
    programs.install("garbage", b"\x00\x01\x02")
    for name, words in (("missing", "No such file"), ("garbage", "Exec format error")):
        with pytest.raises(LaunchError, match=f"cannot run {name}: {words}"):
            programs.start([name])
    with pytest.raises(ProgramError, match="no program has the handle 42"):
        programs.wait(42, 0)


def test_the_ready_line_is_waited_for(programs: Programs) -> None:
    found = programs.start(
        [script(programs, "printf list; sleep 0.05; echo ening; exec sleep 60")], ready=True, deadline=5
    )
    assert found["stdout_line"] == "listening"
    assert found["descriptors"] == [0, 1, 2]
    assert found["exit"] is None
    assert found["seconds"] >= 0.05
    assert programs.start([script(programs, "exit 3")], ready=True, deadline=5)["exit"]["status"] == 3
    slow = programs.start([script(programs, "exec sleep 60")], ready=True, deadline=0.05)
    assert (slow["stdout_line"], slow["exit"], slow["descriptors"]) == (None, None, None)


def test_a_program_may_run_out_of_descriptors(programs: Programs) -> None:
    found = programs.start(["subject"], ready=True)
    programs.exhaust(found["handle"])
    socket.create_connection(("127.0.0.1", int(found["stdout_line"].rpartition(":")[2]))).close()
    assert programs.wait(found["handle"], 5)["exit"]["status"] == 1
    assert "Too many open files" in programs.output(found["handle"])["stderr"]


def test_output_before_the_end_is_all_there(programs: Programs) -> None:
    found = programs.start([script(programs, "echo out; echo err >&2; exit 0")])
    programs.wait(found["handle"], 5)
    output = programs.output(found["handle"])
    assert (output["stdout"], output["stderr"]) == ("out\n", "err\n")


def test_signals_are_told_from_statuses(programs: Programs) -> None:
    found = programs.start([script(programs, "kill -SEGV $$")])
    assert programs.wait(found["handle"], 5)["exit"] == {"status": None, "signal": 11, "core": False, "oom": False}
    found = programs.start([script(programs, "exec sleep 60")])
    programs.signal(found["handle"], signal.SIGKILL)
    assert programs.wait(found["handle"], 5)["exit"]["signal"] == signal.SIGKILL
    assert programs.signal(found["handle"], signal.SIGTERM) == {}


def test_stopping_is_patient_once_then_kills(programs: Programs) -> None:
    good = programs.start(["subject"], ready=True)
    stopped = programs.stop(good["handle"], 5)
    assert (stopped["exit"]["status"], stopped["killed"], stopped["leftover"]) == (0, False, 0)
    assert programs.stop(good["handle"], 5)["exit"]["status"] == 0
    bad = programs.start(["subject", "--mistake", "ignores-sigterm"], ready=True)
    stopped = programs.stop(bad["handle"], 0.05)
    assert (stopped["exit"]["signal"], stopped["killed"]) == (signal.SIGKILL, True)
    assert 0.05 <= stopped["seconds"] < 1


def test_a_daemon_left_behind_is_found_and_ended(programs: Programs) -> None:
    found = programs.start(["subject", "--mistake", "daemonises"], ready=True)
    facts = programs.facts(found["handle"])
    assert facts["processes"] == 2
    stopped = programs.stop(found["handle"], 5)
    assert (stopped["exit"]["status"], stopped["leftover"]) == (0, 1)
    assert proc.children(os.getpid()) == []


def test_a_daemon_that_keeps_stdout_open_does_not_hold_up_the_end(programs: Programs) -> None:
    found = programs.start([script(programs, "(while :; do echo x; done) & exit 0")])
    assert programs.wait(found["handle"], 5)["exit"]["status"] == 0
    assert programs.stop(found["handle"], 0)["leftover"] >= 1


def test_an_endless_printer_is_bounded_and_can_be_ended(programs: Programs) -> None:
    found = programs.start(["subject", "--mistake", "floods"], ready=True, deadline=5)
    began = time.monotonic()
    while programs.output(found["handle"])["stdout_bytes"] < 1 << 20:
        assert time.monotonic() < began + 10
    output = programs.output(found["handle"])
    assert len(output["stdout"]) < 2 * KEPT + 100
    assert "bytes left out]" in output["stdout"]
    assert not programs.settle(found["handle"], 0.02)["settled"]
    assert programs.stop(found["handle"], 0.1)["exit"] is not None


def test_what_is_kept_is_the_beginning_and_the_end() -> None:
    kept = Kept()
    kept.add(b"first\n")
    assert (kept.first_line(), kept.text()) == ("first", "first\n")
    for _ in range(100):
        kept.add(b"m" * 5000)
    kept.add(b"last")
    text = kept.text()
    assert text.startswith("first\nmmm")
    assert text.endswith("mlast")
    assert f"[{kept.total - 2 * KEPT} bytes left out]" in text
    endless = Kept()
    endless.add(b"x" * KEPT)
    assert endless.first_line() == "x" * KEPT


def test_settling_sees_what_runs_and_what_waits(programs: Programs) -> None:
    found = programs.start(["subject", "--mistake", "spins"], ready=True)
    settled = programs.settle(found["handle"], 5, descriptors=[0, 1, 2])
    assert (settled["settled"], settled["alive"], settled["zombies"]) == (True, True, 0)
    assert [(each["fd"], each["target"][:7], each["cloexec"]) for each in settled["more"]] == [(3, "socket:", True)]
    facts = programs.facts(found["handle"])
    assert (facts["state"], facts["threads"], facts["processes"], facts["zombies"]) == ("S", 1, 1, 0)
    assert facts["rss_bytes"] > 0
    with socket.create_connection(("127.0.0.1", int(found["stdout_line"].rpartition(":")[2]))) as peer:
        peer.sendall(b"x\n")
        peer.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            peer.recv(1)
        assert not programs.settle(found["handle"], 0.05)["settled"]
    facts = programs.facts(found["handle"])
    assert facts["state"] == "R"
    assert facts["cpu_ns"] > 0


@pytest.mark.parametrize("family", ["IPv4", "IPv4 to a socket of IPv6"])
def test_draining_waits_until_the_program_has_read(programs: Programs, family: str) -> None:
    if family == "IPv4":
        found = programs.start(["subject", "--mistake", "silent"], ready=True)
        port = int(found["stdout_line"].rpartition(":")[2])
    else:
        source = (
            "import socket,sys,time\ns=socket.socket(socket.AF_INET6)\n"
            "s.setsockopt(41,26,0)\ns.bind(('::',0))\ns.listen()\nprint(s.getsockname()[1],flush=True)\n"
            "c=s.accept()[0]\nc.recv(2)\ntime.sleep(60)\n"
        )
        programs.install("server6", b"#!/usr/bin/env python3\n" + source.encode())
        found = programs.start(["server6"], ready=True, deadline=10)
        port = int(found["stdout_line"])
    with socket.create_connection(("127.0.0.1", port)) as peer:
        ours = peer.getsockname()[1]
        peer.sendall(b"ab")
        state = programs.drained(found["handle"], port, ours, 5)
        assert (state["drained"], state["unread"], state["state"]) == (True, 0, "ESTABLISHED")
        peer.sendall(b"c\n")
        if family != "IPv4":
            state = programs.drained(found["handle"], port, ours, 0.05)
            assert (state["drained"], state["unread"]) == (False, 2)
            assert programs.drained(found["handle"], port, ours, 1, unread_matters=False)["drained"]
    facts = programs.facts(found["handle"])
    assert any(each["state"] == "LISTEN" and each["local"]["port"] == port for each in facts["sockets"])


def test_a_reset_ends_everything(programs: Programs) -> None:
    for _ in range(3):
        programs.start(["subject"], ready=True)
    programs.reset()
    assert proc.children(os.getpid()) == []
    with pytest.raises(ProgramError):
        programs.output(1)


def test_faults_are_injected_into_system_calls(programs: Programs) -> None:
    if not os.access("/usr/bin/strace", os.X_OK):
        pytest.skip("no strace")
    found = programs.start(["subject"], inject="bind:error=EADDRINUSE", ready=True, deadline=10)
    assert programs.wait(found["handle"], 10)["exit"]["status"] == 1
    assert programs.output(found["handle"])["stderr"] == "subject: bind: Address already in use\n"
