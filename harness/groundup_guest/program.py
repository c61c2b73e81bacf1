"""A program in the server machine, as a test sees it: what it is made to do, and what is expected of it."""

import re
import signal as signals
import time
from typing import TYPE_CHECKING, Any

from groundup_guest import mistakes
from groundup_guest.address import Address, parse
from groundup_guest.conditions import Condition, Descriptor
from groundup_guest.rpc import Body
from groundup_guest.scene import Scene
from groundup_guest.steps import count, preview, said

if TYPE_CHECKING:
    from groundup_guest.peer import Peer

LATE_DESCRIPTORS = 3
"""How many descriptors that are no sockets a server may open after its ready line, and keep."""
READY = re.compile(r"listening on (\S+)")
MUCH_MEMORY = 64 << 20  # bytes, a quarter of what a program may have: worth a word where it does not become ready
LAST_CALLS = 16  # are looked through for what went wrong with a peer


def hears(found: Body) -> bool:
    """Tell whether somebody can reach a program by this socket: it listens, or is bound as one that has no LISTEN."""
    if found["kind"] == "packet":
        return bool(found["protocol"])
    return bool(found["state"] == "LISTEN" or (found["kind"].startswith("udp") and found["local"]["port"]))


class Program:
    """One program in the server machine."""

    def __init__(self, scene: Scene, argv: list[str], started: Body, *, serves: bool) -> None:
        self._scene = scene
        self._handle: int = started["handle"]
        self._argv = argv
        self._serves = serves
        self.pid: int = started["pid"]
        self.expected_to_end = not serves
        """Whether the test has made it end, or lets it end by itself."""
        self.baseline: list[int] | None = None
        """The descriptors that it held when it became ready."""
        self._hint = ""
        self._began = time.monotonic() - started["seconds"]
        self._since, self._since_what = 0.0, "its start"
        """From when on a contract's time for its end counts, in seconds of its life: its start, or the last signal."""
        self._address: Address | None = None
        self._ready_line = ""
        self._final: Body | None = None  # how it ended and what it had written, once it has
        self._told: dict[str, int] = {}  # how many bytes there were when `says` was called last, by stream
        scene.latest = self

    @property
    def address(self) -> Address:
        """Where it listens, as its ready line says."""
        assert self._address is not None, "this program has no address: it was started by server.run"
        return self._address

    @property
    def stdout(self) -> str:
        """What it has written on stdout so far."""
        return str(self.call("output")["stdout"])

    @property
    def stderr(self) -> str:
        """What it has written on stderr so far."""
        return str(self.call("output")["stderr"])

    def call(self, method: str, **params: Any) -> Body:
        """Call a method of the server machine's agent about this program. What cannot change any more is not asked."""
        self._scene.latest = self
        if self._final is not None and method in ("wait", "output"):
            return self._final
        found = self._scene.host.server(method, handle=self._handle, **params)
        if method == "wait" and found["exit"] is not None:
            self._final = found
        return found

    # Acts

    def signals(self, number: int) -> None:
        """Send it a signal."""
        self._scene.steps.add("server", f"gets {mistakes.signal_name(number)}")
        if number in (signals.SIGTERM, signals.SIGINT, signals.SIGKILL):
            self.expected_to_end = True
        self._since, self._since_what = time.monotonic() - self._began, mistakes.signal_name(number)
        self.call("signal", signal=int(number))

    def runs_out_of_descriptors(self) -> None:
        """Let it open no more descriptors: from now on what would return one fails with EMFILE (getrlimit(2))."""
        self._scene.steps.add("server", "may open no more descriptors: RLIMIT_NOFILE is reached")
        self.call("exhaust")

    def loses_its_reader(self) -> None:
        """Let nobody read its standard output any more, as when a pipe's other end has gone."""
        self._scene.steps.add("server", "has nobody any more who reads its standard output")
        self.call("shut")

    # Expectations

    def ends(self) -> Body:
        """Expect it to end by itself, and return how: its `status`, or the `signal` that has killed it; else None."""
        scene, self.expected_to_end = self._scene, True
        exit_ = self.call("wait", deadline=scene.deadlines.default)["exit"]
        if exit_ is None:
            scene.steps.fail("server", "expected to end, but still runs", "The program does not end.", self.doing())
        scene.steps.add("server", mistakes.ending(exit_))
        return dict(exit_)

    def exits(self, status: int = 0, within: float | None = None, *, hint: str = "") -> None:
        """Expect it to end with `status`, `within` so many seconds of the last signal, or of its start."""
        scene, self.expected_to_end = self._scene, True
        allowed = None if within is None else within + scene.deadlines.slack
        patience = max(scene.deadlines.default, allowed or 0.0)
        found = self.call("wait", deadline=patience)
        seconds = max(0.0, found["seconds"] - self._since)
        if found["exit"] is not None and allowed is not None and seconds > allowed:
            late = f"{seconds:.1f} s after {self._since_what}, where {within:g} s are allowed"
            scene.steps.fail("server", f"expected to end in time, but ended {late}", f"The program ends {late}.", hint)
        self._check_exit(found["exit"], seconds, status, patience, hint)

    def _check_exit(self, exit_: Body | None, seconds: float, status: int, patience: float, hint: str) -> None:
        scene = self._scene
        wanted = f"expected to exit with status {status}"
        if exit_ is None:
            scene.steps.fail(
                "server", f"{wanted}, but still runs after {patience:.1f} s", "The program does not end.", hint
            )
        ending = mistakes.ending(exit_)
        time_taken = f"{seconds:.2f} s after {self._since_what}"
        if exit_["status"] != status:
            why = hint or (mistakes.death(exit_["signal"], oom=exit_["oom"]) if exit_["signal"] is not None else "")
            scene.steps.fail(
                "server",
                f"{wanted}, but {ending}, {time_taken}",
                f"The program {ending}, where status {status} was expected.",
                why or self._explained(),
            )
        scene.steps.add("server", f"exited with status {status}, {time_taken}")

    def dies_of(self, number: int, within: float = 1.0, *, hint: str = "") -> None:
        """Expect a signal to end it, as its default action does, `within` so many seconds of that signal."""
        scene, self.expected_to_end = self._scene, True
        found = self.call("wait", deadline=within + scene.deadlines.slack)
        name = mistakes.signal_name(number)
        if found["exit"] is None or found["exit"]["signal"] != number:
            ending = mistakes.ending(found["exit"]) if found["exit"] else f"still runs {within:g} s after it"
            scene.steps.fail("server", f"expected to die of {name}, but {ending}", f"The program {ending}.", hint)
        scene.steps.add("server", f"died of {name}")

    def wrote(self, data: bytes, *, hint: str = "") -> None:
        """Expect a program started by `run` to have written just these bytes on stdout."""
        found, received = self._scene.host.call("server.stdout", handle=self._handle)
        if received != data:
            at = mistakes.first_difference(data, received)
            if at < min(len(data), len(received)):
                what = f"other bytes, from offset {at} on"
            else:
                what = f"{found['stdout_bytes']:,}"
            self._scene.steps.fail(
                "server",
                f"expected {count(len(data), 'byte')} on stdout, but it wrote {what}",
                f"On stdout {count(len(data), 'byte')} were expected, but the program wrote {what}.",
                hint or mistakes.compare(data, received),
                detail=preview(received, 400),
                expected=data,
                received=received,
            )
        self._scene.steps.add("server", f"wrote {count(len(data), 'byte')} on stdout", preview(data))

    @property
    def seconds(self) -> float:
        """How long it has run, or ran: by the clock of the machine that it runs in."""
        return float(self.call("wait", deadline=0)["seconds"])

    def stops(self, *, hint: str = "") -> None:
        """Expect it to end with status 0 within a second of SIGTERM, whatever its peers are doing."""
        scene, self.expected_to_end = self._scene, True
        scene.steps.add("server", "gets SIGTERM")
        self._since_what = "SIGTERM"
        allowed = 1.0 + scene.deadlines.slack
        found = self.call("stop", deadline=max(allowed, scene.deadlines.default))
        if found["killed"] or found["seconds"] > allowed:
            took = "did not end" if found["killed"] else f"took {found['seconds']:.1f} s to end"
            scene.steps.fail(
                "server",
                f"expected to exit within a second of SIGTERM, but {took}",
                "The server does not end within a second of SIGTERM.",
                hint or mistakes.DEAF,
            )
        self._check_exit(found["exit"], found["seconds"], 0, allowed, hint)

    def prints_one_line(self, stream: str = "stderr", matching: str = ".*", *, hint: str = "") -> str:
        """Expect exactly one line on `stream`, which the regular expression `matching` fits whole; return the line."""
        text = str(self.call("output")[stream])
        lines = text.splitlines()
        wanted = f"one line on {stream}" + (f" that matches /{matching}/" if matching != ".*" else "")
        if len(lines) != 1 or not text.endswith("\n") or not re.fullmatch(matching, lines[0]):
            found = "nothing" if not text else f"{count(len(lines), 'line')}"
            if len(lines) == 1:
                found = "a line without an end" if not text.endswith("\n") else "another line"
            self._scene.steps.fail(
                "server",
                f"expected {wanted}, but it printed {found}",
                f"The program did not print {wanted}.",
                hint,
                detail=text[:1000],
            )
        self._scene.steps.add("server", f"printed on {stream}", lines[0])
        return lines[0]

    def says(self, matching: str, stream: str = "stderr", *, hint: str = "") -> re.Match[str]:
        """Expect it to have written a line on `stream`, once it has come to rest, that fits the expression whole.

        What it had written when it was asked the last time does not count. Of several such lines the last one does.
        """
        found = self.call("settle", deadline=self._scene.deadlines.default)
        if not found["settled"]:
            self.fail_restless(found, hint)
        new = found[f"{stream}_bytes"] - self._told.get(stream, 0)
        self._told[stream] = found[f"{stream}_bytes"]
        lines = str(found[stream])[-new:].splitlines()[::-1] if new else []
        last = next(iter(lines), "")
        match = next(filter(None, (re.fullmatch(matching, line) for line in lines)), None)
        if match is None:
            self._scene.steps.fail(
                "server",
                f"expected to say /{matching}/ on {stream}, but " + ("said:" if last else "said nothing more"),
                f"The program did not say on {stream} what it should: /{matching}/.",
                hint,
                detail=last[:1000],
            )
        self._scene.steps.add("server", f"said on {stream}", match[0])
        return match

    def descriptors(self) -> list[Descriptor]:
        """Return the descriptors that it has open now."""
        return [Descriptor(**found) for found in self.call("facts", sockets=False)["descriptors"]]

    def settles(self, *, hint: str = "") -> None:
        """Expect it to come to rest: every thread waits for something, and none uses the CPU."""
        found = self.call("settle", deadline=self._scene.deadlines.default)
        if not found["settled"]:
            self.fail_restless(found, hint)
        self._scene.steps.add("server", "has nothing left to do and waits")

    def fail_restless(self, found: Body, hint: str = "") -> None:
        """Fail the test because the program does not come to rest, or has ended."""
        if not found["alive"]:
            self.fail_dead(found.get("exit"), hint)
        self._scene.steps.fail(
            "server",
            "expected to come to rest, but it goes on running",
            "The server keeps the CPU busy while there is nothing to do.",
            hint or mistakes.RESTLESS,
        )

    def fail_dead(self, exit_: Body | None, hint: str = "") -> None:
        """Fail the test because the program has ended when it should not have."""
        exit_ = exit_ or self.call("wait", deadline=0)["exit"] or {}
        why = mistakes.death(exit_["signal"], oom=exit_["oom"]) if exit_.get("signal") is not None else ""
        self._scene.steps.fail(
            "server",
            f"expected to go on running, but {mistakes.ending(exit_)}",
            f"The server {mistakes.ending(exit_)}.",
            why or hint or self._explained(),
        )

    def _explained(self) -> str:
        """Return why it ended by itself: what its last line on stderr means, else the start's hint; then that line."""
        quoted = said(self.stderr)
        why = mistakes.complaint(quoted) or self._hint
        return f"{why} It said{f': {quoted}' if quoted else ' nothing on stderr.'}".strip()

    def doing(self) -> str:
        """Return what it does now, as a sentence for a report; empty if that cannot be told."""
        found = self.call("facts", sockets=False)
        if not found["alive"]:
            return ""
        if "R" in found["state"]:
            return "It keeps the CPU busy."
        last = self.call("syscalls", last=1)["lines"]
        waiting = next((line["text"].removesuffix(" …") for line in last if line["result"] is None), "")
        held = [each["fd"] for each in found["descriptors"] if self.baseline and each["fd"] not in self.baseline]
        if waiting.startswith("accept") and held:
            return f"It waits in {waiting} for the next peer, and still holds descriptor {held[0]}. {mistakes.LEAK}"
        return f"It waits in {waiting}." if waiting else ""

    def last_words(self) -> str:
        """Return what it has done or said before it gave up a peer, as a sentence for a report; empty if nothing."""
        listeners = [str(descriptor) for descriptor in self.baseline or [] if descriptor > 2]
        calls, quoted = self.call("syscalls", last=LAST_CALLS)["lines"], said(self.stderr)
        return mistakes.sent_on_listener(calls, listeners) or (f"It said: {quoted}" if quoted else "")

    # Conditions

    def has_read(self, peer: "Peer") -> Condition:
        """Return the condition that it has read all that `peer` sent, and waits again."""
        return Condition(self, peer, f"has read all {count(peer.sent, 'byte')}")

    def waits_for_next(self) -> Condition:
        """Return the condition that it waits, whether or not it has read everything."""
        return Condition(self, None, "waits")

    # Beginning and end, for the fixture

    def become_ready(self, started: Body, patience: float, hint: str) -> None:
        """Check the ready line. `hint` is kept for the case that the program ends when it should not."""
        self._hint = hint
        scene, line = self._scene, started["stdout_line"]
        command = f"started: ./{' '.join(self._argv)}"
        if started["exit"] is not None:
            self.expected_to_end = True
            ending = mistakes.ending(started["exit"])
            when = "before it was ready" if line is None else "just after its ready line"
            scene.steps.fail("server", f"{command}, but it {ending}", f"The server {ending} {when}.", self._explained())
        if line is None:
            self._fail_not_ready(command, patience, hint)
        match = READY.fullmatch(line)
        address = parse(match[1]) if match else None
        if address is None:
            scene.steps.fail(
                "server",
                f"{command}, and printed",
                "The first line on stdout is not `listening on ADDRESS`.",
                hint or mistakes.READY_LINE,
                detail=line[:1000],
            )
        self._address, self._ready_line = address, line
        if started["descriptors"] is not None:
            self.baseline = list(started["descriptors"])
        scene.steps.add("server", f"{command} → {line}")

    def _fail_not_ready(self, command: str, patience: float, hint: str) -> None:
        facts = self.call("facts")
        why = mistakes.UNFLUSHED if any(map(hears, facts["sockets"])) else mistakes.NO_LISTENER
        message = "The server did not print its ready line."
        if facts["rss_bytes"] >= MUCH_MEMORY:
            taken = facts["rss_bytes"] >> 20
            message = f"The server did not print its ready line, and had taken {taken} MiB of memory."
        self._scene.steps.fail(
            "server", f"{command}, but printed no line within {patience:.1f} s", message, hint or why
        )

    def check_health(self) -> None:
        """Expect it to be as well after the test as it was when it became ready. The test's peers are closed by now."""
        if not self._serves:
            self._ends_by_itself()
        if self.expected_to_end:
            found = self.call("output")
        else:
            found = self.call("settle", deadline=self._scene.deadlines.default, descriptors=self.baseline)
        if report := mistakes.sanitizer_report(found["stderr"]):
            self._scene.steps.fail(
                "server", "expected no sanitizer report", "A sanitizer found a mistake in the server.", report
            )
        if self._address is not None and found["stdout_bytes"] != len(self._ready_line.encode()) + 1:
            self._scene.steps.fail(
                "server",
                "expected one line on stdout and nothing after it, but it printed more",
                "The server printed more than its ready line on stdout.",
                "Whoever reads the ready line from a pipe may never read on. Messages belong on stderr.",
                detail=found["stdout"][:1000],
            )
        if self.expected_to_end:
            return
        if not found["alive"]:
            self.fail_dead(found["exit"])
        if not found["settled"]:
            self.fail_restless(found)
        if self.baseline is not None:
            self._check_descriptors(found["more"])
        # One may be waited for before the next peer is taken; more than one are never waited for.
        if found["zombies"] > 1:
            self._scene.steps.fail(
                "server",
                f"expected to wait for its children, but left {count(found['zombies'], 'zombie')}",
                "The server has not waited for a child that ended.",
                "A child stays a zombie until its parent calls waitpid(2), or ignores SIGCHLD.",
            )

    def _ends_by_itself(self) -> None:
        """Fail the test if a client runs on although everybody that it could talk to has gone."""
        patience = self._scene.deadlines.default
        if self.call("wait", deadline=patience)["exit"] is None:
            self._scene.steps.fail(
                "server",
                f"expected to end, but still runs after {patience:.1f} s",
                "The program runs on after the test's end of the connection was closed.",
                self.doing(),
            )

    def _check_descriptors(self, found: list[Body]) -> None:
        """Fail the test for connections that stay open, or many things; a log opened once is nobody's leak."""
        sockets = [each for each in found if each["target"].startswith("socket:")]
        leaked = found if len(found) > LATE_DESCRIPTORS else sockets
        if not leaked:
            return
        shown = ", ".join(f"{each['fd']} ({each['target']})" for each in leaked[:4]) + ("…" if len(leaked) > 4 else "")
        self._scene.steps.fail(
            "server",
            f"expected the descriptors it began with, but also open: {shown}",
            f"The server leaks {count(len(leaked), 'descriptor')}: still open after the test's peers have gone.",
            f"{mistakes.LEAK} {self.last_words()}".strip(),
        )

    def end(self) -> None:
        """Kill it and all that it has started; the next call finds them gone."""
        self.expected_to_end = True
        self._scene.host.server_later("stop", handle=self._handle, deadline=0)
