"""The pytest plugin: fixtures, order and needs of the tests, their outcomes, and the events that tell the host.

It takes the place of pytest's own reporting: under emulation each plugin that is not there is time that a learner does
not wait. See `session` for which are left out.
"""

import random
import signal
import sys
import time
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from groundup_guest.judge import TestTimeoutError, Verdict, diagnose, judge
from groundup_guest.machine import Machine
from groundup_guest.scene import Deadlines, Host, Scene, Settings
from groundup_guest.server import Server
from groundup_guest.steps import FailedError, InfraError
from groundup_guest.tcp import Tcp
from groundup_guest.trace import Trace
from groundup_guest.udp import Udp
from groundup_guest.unix import Unix
from groundup_guest.vsock import Vsock

FAILED_STATUS = 1


def identity(item: pytest.Item) -> str:
    """Return a test's name: the function's, with its parameters in brackets."""
    return item.name


def title(item: pytest.Item) -> str:
    """Return the first sentence of a test's docstring, as one line; its name if it has none."""
    text = " ".join((getattr(getattr(item, "function", None), "__doc__", None) or "").split())
    first, separator, _ = text.partition(". ")
    return (first + separator).strip() or item.name


def marked(item: pytest.Item, name: str) -> list[Any]:
    """Return the arguments of a test's markers of one name."""
    return [argument for marker in item.iter_markers(name) for argument in marker.args]


class Plugin:
    """One run's plugin. It is made before the machine is snapshotted; `attach` gives it the run."""

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._errors: list[BaseException] = []
        self._outcomes: dict[str, str] = {}
        self.problems: list[str] = []
        """What went wrong outside of any test, one line each."""

    def attach(self, host: Host, settings: Settings, select: list[str], first: list[str]) -> None:
        """Give the plugin its run: the way to the host, what to run (all if nothing is named) and what of it first."""
        self._host = host
        self._settings = settings
        self._select = select
        self._first = first
        self._deadlines = Deadlines(host.measure(), settings.floor)

    # Collection

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the markers."""
        for marker in ("points(n)", "needs(*tests)", "hidden", "timeout(seconds)", "read(*where)"):
            config.addinivalue_line("markers", f"{marker}: see groundup_guest.testing")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a test file could not be read: nobody else would say."""
        if report.failed:
            lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
            self.problems.append(f"{report.nodeid}: {lines[-1].removeprefix('E').strip() if lines else 'unknown'}")
            print(report.longrepr, file=sys.stderr)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Choose and order: what failed last first, what is needed before what needs it."""
        known = {name for item in items for name in self._names(item)}
        for name in self._select:
            if name not in known:
                raise pytest.UsageError(f"there is no test {name}")
        for item in items:
            for need in marked(item, "needs"):
                if need not in known:
                    raise pytest.UsageError(f"{item.name} needs {need}, which does not exist")
        if self._select:
            items[:] = [item for item in items if self._names(item) & set(self._select)]
        items.sort(key=lambda item: not self._names(item) & set(self._first))
        items[:] = self._after_needs(items)
        if not self.problems:
            self._host.notify("collected", tests=[self._describe(item) for item in items])

    @staticmethod
    def _names(item: pytest.Item) -> set[str]:
        return {item.name, getattr(item, "originalname", None) or item.name}

    def _after_needs(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Return the items with every needed one before those that need it, otherwise in their order."""
        placed: dict[str, pytest.Item] = {}
        waiting: set[str] = set()

        def place(item: pytest.Item) -> None:
            if item.name in placed:
                return
            if item.name in waiting:
                raise pytest.UsageError(f"{item.name} needs itself")
            waiting.add(item.name)
            for need in marked(item, "needs"):
                for other in items:
                    if need in self._names(other):
                        place(other)
            placed[item.name] = item

        for item in items:
            place(item)
        return list(placed.values())

    def _describe(self, item: pytest.Item) -> dict[str, Any]:
        return {
            "id": identity(item),
            "title": title(item),
            "max_score": sum(marked(item, "points")),
            "needs": marked(item, "needs"),
            "hidden": next(item.iter_markers("hidden"), None) is not None,
            "file": item.path.name,
            "line": (item.reportinfo()[1] or 0) + 1,
        }

    # Running

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run one test from its start to its verdict."""
        name, began = identity(item), time.monotonic()
        self._host.notify("test_started", id=name)
        extra: dict[str, Any] = {}
        culprit = None if self._settings.independent else self._missing(item)
        if culprit:
            state = "did not pass" if self._outcomes[culprit] != "infra" else "could not be judged"
            verdict = Verdict("skipped", f"not run: it needs {culprit}, which {state}")
            # The last test that ran has left its module set up for this one; what comes next may be in another.
            item.session._setupstate.teardown_exact(nextitem)
        else:
            verdict, extra = self._run(item, nextitem)
        self._outcomes[name] = verdict.outcome
        score = sum(marked(item, "points")) if verdict.outcome == "pass" else 0
        self._host.notify(
            "test_finished",
            id=name,
            outcome=verdict.outcome,
            score=None if verdict.outcome == "infra" else score,
            seconds=time.monotonic() - began,
            message=verdict.message,
            why=verdict.why,
            diff=verdict.diff,
            read=[] if verdict.outcome == "pass" else marked(item, "read"),
            **extra,
        )
        if verdict.outcome != "pass":
            item.session.testsfailed += 1
        return True

    def _missing(self, item: pytest.Item) -> str | None:
        """Return the id of a test that this one needs, that has been run, and that did not pass."""
        for need in marked(item, "needs"):
            for name, outcome in self._outcomes.items():
                if outcome != "pass" and (name == need or name.startswith(f"{need}[")):
                    return name
        return None

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None) -> tuple[Verdict, dict[str, Any]]:
        self._errors = []
        self._scene = scene = Scene(identity(item), self._host, self._deadlines, self._settings)
        limit = float(next(iter(marked(item, "timeout")), self._settings.limit))
        previous = signal.signal(signal.SIGALRM, lambda number, frame: self._out_of_time(limit, number, frame))
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            runtestprotocol(item, log=False, nextitem=nextitem)
        except TestTimeoutError as error:  # between two phases of the test
            self._errors.append(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        raised = self._errors[0] if self._errors else None
        verdict = judge(raised, str(item.path))
        if isinstance(raised, AssertionError) and not isinstance(raised, FailedError):
            scene.steps.add("test", verdict.message).failed = True
        extra = self._finish(scene, verdict)
        self._scene = None
        return verdict, extra

    def _out_of_time(self, limit: float, _number: int, _frame: FrameType | None) -> None:
        method = self._host.overdue()
        if method is not None:
            raise InfraError(f"{method}: no answer")
        raise TestTimeoutError(limit)

    def _finish(self, scene: Scene, verdict: Verdict) -> dict[str, Any]:
        """Look at what a failure left behind, then end what the test has started."""
        extra: dict[str, Any] = {}
        try:
            if verdict.outcome == "fail":
                extra = diagnose(scene, verdict)
            scene.close_ends()
            for program in scene.programs:
                program.end()
        except InfraError as error:
            verdict.outcome, verdict.message, verdict.why = "infra", str(error), ""
        if verdict.outcome != "pass":
            extra["steps"] = scene.steps.as_dicts()
        return extra

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """After a test that has passed so far: its peers go, and the programs must be as well as they were before."""
        result = yield
        assert self._scene is not None
        self._scene.close_ends()
        for program in self._scene.programs:
            program.check_health()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep what was raised; report without pytest's own rendering of it, which costs more than the test."""
        if call.excinfo is not None:
            self._errors.append(call.excinfo.value)
        when: Any = call.when
        outcome: Any = "passed" if call.excinfo is None else "failed"
        return pytest.TestReport(
            item.nodeid, item.location, {}, outcome, None, when, (), call.duration, call.start, call.stop
        )

    # Fixtures

    @pytest.fixture
    def scene(self) -> Scene:
        """Return what the fixtures of this test share."""
        assert self._scene is not None
        return self._scene

    @pytest.fixture
    def server(self, scene: Scene) -> Server:
        """Start programs in the server machine."""
        return Server(scene)

    @pytest.fixture
    def machine(self, scene: Scene) -> Machine:
        """Look at files of the server machine, and give it names for addresses."""
        return Machine(scene)

    @pytest.fixture
    def tcp(self, scene: Scene) -> Tcp:
        """Connect to programs over TCP, or be connected to."""
        return Tcp(scene)

    @pytest.fixture
    def udp(self, scene: Scene) -> Udp:
        """Send datagrams to programs."""
        return Udp(scene)

    @pytest.fixture
    def vsock(self, scene: Scene) -> Vsock:
        """Connect to programs over vsock, or be connected to, from this machine or as its host."""
        return Vsock(scene)

    @pytest.fixture
    def unix(self, scene: Scene) -> Unix:
        """Connect to programs that listen on a Unix socket in their own machine, or be connected to there."""
        return Unix(scene)

    @pytest.fixture
    def trace(self, scene: Scene) -> Trace:
        """Look at programs' system calls."""
        return Trace(scene)

    @pytest.fixture
    def link(self, scene: Scene) -> Any:
        """Send and receive frames with Scapy on an interface."""
        from groundup_guest.link import Links  # noqa: PLC0415  (Scapy takes a second to import where it is not yet)

        return Links(scene)

    @pytest.fixture
    def wire(self, scene: Scene) -> Any:
        """Disturb the link between the machines, and see what passed over it."""
        from groundup_guest.wire import Wire  # noqa: PLC0415

        return Wire(scene)

    @pytest.fixture
    def rng(self, scene: Scene) -> Iterator[random.Random]:
        """Random numbers that the seed and the test's name decide."""
        yield random.Random(f"{scene.settings.seed}:{scene.name}")
