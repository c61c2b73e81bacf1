"""One run of a chapter's tests: pytest, prepared before the machine is snapshotted, run in a forked child."""

import gc
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import _prepareconfig

from groundup_guest.archive import unpack
from groundup_guest.plugin import Plugin
from groundup_guest.rpc import Channel
from groundup_guest.scene import Host, Settings
from groundup_guest.steps import InfraError

INTERNAL_ERROR = 3
UNUSED = (
    *("cacheprovider", "capture", "debugging", "doctest", "faulthandler", "junitxml", "legacypath", "logging"),
    *("monkeypatch", "pastebin", "recwarn", "reports", "setuponly", "setupplan", "skipping", "stepwise", "subtests"),
    *("terminal", "terminalprogress", "threadexception", "tmpdir", "unittest", "unraisableexception", "warnings"),
)
"""pytest's own plugins that a chapter's tests have no use for; each costs a run time under emulation."""


@dataclass(slots=True)
class Run:
    """What the host asks for. `program` is the name that the chapter's program is installed under."""

    chapter: str
    seed: int = 0
    select: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, params: dict[str, Any]) -> "Run":
        """Return the run that the parameters of `run` describe."""
        return cls(
            params["chapter"],
            int(params.get("seed", 0)),
            list(params.get("select") or []),
            dict(params.get("options") or {}),
        )

    def settings(self) -> Settings:
        """Return the settings for the fixtures; `options` may hold any of them, but the seed."""
        settings = Settings(self.options.get("program", self.chapter), self.seed)
        for name in ("addresses", "own"):
            if name in self.options:
                setattr(settings, name, {int(family): host for family, host in self.options[name].items()})
        settings.floor = float(self.options.get("floor", settings.floor))
        settings.limit = float(self.options.get("limit", settings.limit))
        settings.independent = bool(self.options.get("independent", False))
        return settings


@dataclass(slots=True)
class Prepared:
    """A pytest session that has begun and waits for tests in `directory`."""

    directory: Path
    plugin: Plugin
    session: pytest.Session


def prepare(directory: Path) -> Prepared:
    """Make pytest ready to run the tests that will be put into `directory`. Good for one run, in one process.

    What `pytest.main` does up to the collection is done here, before the machine is snapshotted: a third of a run's
    cost. The steps are those of `wrap_session` in _pytest/main.py; the image pins pytest's version.
    """
    directory.mkdir(parents=True, exist_ok=True)
    plugin = Plugin()
    arguments = [f"--rootdir={directory}", f"--confcutdir={directory}", "--noconftest", "--import-mode=importlib"]
    arguments += ["--assert=plain", "--disable-plugin-autoload", "-c/dev/null", "-opython_files=test_*.py"]
    for name in UNUSED:
        arguments += ["-p", f"no:{name}"]
    config = _prepareconfig([*arguments, str(directory)], [plugin])
    session = pytest.Session.from_config(config)
    config._do_configure()
    config.hook.pytest_sessionstart(session=session)
    return Prepared(directory, plugin, session)


def run(prepared: Prepared, channel: Channel, params: dict[str, Any], archive: bytes) -> int:
    """Run the tests in `archive` and send the events.

    Returns 0 if all tests passed, 1 if some did not, another number (pytest.ExitCode) if they could not be run; then
    the last thing that is written on stderr says why.
    """
    wanted = Run.of(params)
    gc.disable()  # a short life: what garbage there is ends with the process
    random.seed(wanted.seed)
    unpack(archive, prepared.directory)
    sys.path.append(str(prepared.directory))  # a chapter's test modules may share one of their own
    host, plugin = Host(channel), prepared.plugin
    try:
        plugin.attach(host, wanted.settings(), wanted.select, list(wanted.options.get("first") or []))
        status = _collect_and_run(prepared.session)
    except pytest.UsageError as error:
        plugin.problems.append(str(error))
        status = pytest.ExitCode.USAGE_ERROR
    except pytest.Session.Interrupted:  # a file could not be collected: the plugin has noted which, and why
        status = pytest.ExitCode.INTERRUPTED
    except InfraError as error:
        plugin.problems.append(str(error))
        status = pytest.ExitCode.INTERNAL_ERROR
    for problem in plugin.problems:
        print(problem, file=sys.stderr)
        host.notify("log", text=problem)
    return int(status)


def _collect_and_run(session: pytest.Session) -> pytest.ExitCode:
    session.perform_collect()
    session.config.hook.pytest_runtestloop(session=session)
    if session.testsfailed:
        return pytest.ExitCode.TESTS_FAILED
    return pytest.ExitCode.OK if session.testscollected else pytest.ExitCode.NO_TESTS_COLLECTED
