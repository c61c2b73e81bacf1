"""Shells in a live pair: who may come in, and that a terminal comes back whatever ends on the other side."""

import os
import shutil
import termios
from pathlib import Path

import pytest

from groundup.paths import CHAPTERS

from .conftest import Run, Terminal, tool

pytestmark = pytest.mark.pair

LOCAL_MODES = 3
"""Where the flags that raw mode takes away are in what tcgetattr(3) returns."""


def prompt(terminal: Terminal, role: str) -> None:
    terminal.shows(rf"root@{role}:\S*[#$] ")


def cooked(terminal: Terminal) -> bool:
    """Tell whether the terminal echoes and takes whole lines, as a shell's user needs it."""
    wanted = termios.ECHO | termios.ICANON | termios.ISIG
    return bool(termios.tcgetattr(terminal.screen)[LOCAL_MODES] & wanted == wanted)


def test_a_shell_runs_commands_and_its_status_is_the_tools(run: Run) -> None:
    server = run("shell", "server")
    prompt(server, "server")
    assert not cooked(server)
    server.types("hostname; stty size; echo $TERM\r")
    server.shows(r"server\r\n\d+ \d+\r\ndumb\r\n")
    # What a learner starts by hand dies of SIGPIPE as anywhere else: no signal is ignored.
    server.types("grep SigIgn /proc/self/status\r")
    server.shows(r"SigIgn:\s+0+\r")
    server.types("sleep 1000 & exit 7\r")
    assert server.ends() == 7


def test_the_machines_see_each_other_and_each_has_one_shell(run: Run) -> None:
    server = run("shell", "server")
    prompt(server, "server")
    client = run("shell", "client")
    prompt(client, "client")
    third = run("shell", "server")
    third.shows("the server machine has a shell already")
    assert third.ends() == 2
    client.types("ping -c1 -W5 server | grep -o '1 received' || getent hosts server\r")
    client.shows(r"\n(1 received|192\.0\.2\.1\s+server|2001:db8::1\s+server)")
    # The one that started the pair leaves first: the pair lives as long as somebody is in it.
    server.types("exit\r")
    server.shows("it lives until that one ends")
    prompt_again = run("shell", "server")
    prompt(prompt_again, "server")
    prompt_again.types("exit 3\r")
    assert prompt_again.ends() == 3
    client.types("exit 0\r")
    assert client.ends() == 0
    assert server.ends() == 0


def test_the_learners_programs_are_there(checkout: Path, run: Run) -> None:
    tool(checkout, "start", "01")
    shutil.copy(CHAPTERS / "01-listen" / "listen.c", checkout / "work" / "01-listen")
    tool(checkout, "start", "02")
    (checkout / "work" / "02-http-hello" / "http-hello.c").write_text("int main(void) { return x; }\n")
    try:
        server = run("shell", "server")
        server.shows(r"has \./listen, your work/01-listen/")
        server.shows(r"work/02-http-hello/ does not compile, `\./groundup check 02` shows why")
        prompt(server, "server")
        server.types("./listen --help; exit\r")
        server.shows(r"usage: listen [^\n]*\n")
        assert server.ends() == 0
    finally:
        shutil.rmtree(checkout / "work")


@pytest.mark.parametrize("role", ["server", "client"])
def test_when_the_machine_ends_both_terminals_come_back(run: Run, role: str) -> None:
    """Of either machine: a pair with one machine is none."""
    first = run("shell", "server")
    prompt(first, "server")
    second = run("shell", "client")
    prompt(second, "client")
    (first if role == "server" else second).types("busybox poweroff -f\r")
    for terminal in (first, second):
        terminal.shows(r"groundup: .*ended")
        assert terminal.ends() == 3
        assert cooked(terminal)
        assert "Traceback" not in terminal.said


def test_a_terminal_that_is_killed_gives_its_machine_back(run: Run) -> None:
    """The shell of a terminal that has gone ends, with what runs in it, and the next one finds the machine free."""
    owner = run("shell", "server")
    prompt(owner, "server")
    for command in ("sleep 1000", "trap '' HUP; sleep 1000"):  # one that hangs up, and one that has to be made to
        joiner = run("shell", "client")
        prompt(joiner, "client")
        joiner.types(f"{command}\r")
        joiner.shows("sleep 1000\r\n")
        joiner.types("typed, and never read\r" * 10)
        joiner.kills()
        joiner.ends()
    last = run("shell", "client")
    prompt(last, "client")
    last.types("echo still $(pgrep -c bash) here\r")
    last.shows("still 1 here")
    assert "typed" not in last.said
    last.types("exit\r")
    assert last.ends() == 0
    owner.types("exit\r")
    assert owner.ends() == 0


def test_when_the_owner_is_killed_the_other_terminal_comes_back(run: Run) -> None:
    owner = run("shell", "server")
    prompt(owner, "server")
    joiner = run("shell", "client")
    prompt(joiner, "client")
    owner.kills()
    joiner.shows("groundup: the pair, or the terminal, has gone")
    assert joiner.ends() == 3
    assert cooked(joiner)


def test_a_shell_needs_a_terminal(checkout: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", f"{checkout}/groundup shell server < /dev/null"]) == 2
    assert "needs a terminal" in capfd.readouterr().err
