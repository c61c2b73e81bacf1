"""A headless Chromium, driven through its pipe by the DevTools protocol: one JSON object and a NUL for each message."""

import contextlib
import itertools
import json
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .support import PATIENCE, needs, process

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--remote-debugging-pipe",
)


class Browser:
    """One page of a browser that runs."""

    def __init__(self, commands: int, messages: int) -> None:
        self._commands = commands
        self._messages = messages
        self._numbers = itertools.count(1)
        self._read = b""
        self._session = ""
        self._events: list[str] = []
        page = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._call("Page.enable")

    def open(self, url: str) -> None:
        """Go to a page; return when it is loaded, with its pictures and all."""
        self._events.clear()
        found = self._call("Page.navigate", url=url)
        assert "errorText" not in found, found
        while "Page.loadEventFired" not in self._events:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """Return what JavaScript makes of an expression; a promise is waited for."""
        found = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        message = json.dumps({"id": number, "method": method, "params": parameters, **session})
        os.write(self._commands, message.encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._messages], [], [], deadline - time.monotonic())
            assert ready, f"the browser says nothing; events so far: {self._events}"
            data = os.read(self._messages, 65536)
            if not data:
                raise EOFError("the browser has ended")
            self._read += data
        message, _, self._read = self._read.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self._events.append(found["method"])
        return found


@contextlib.contextmanager
def browsing(home: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own. One that cannot start is a skip that says why."""
    chromium = needs("chromium", "chromium")
    home.mkdir()
    to_browser, commands = os.pipe()
    messages, from_browser = os.pipe()
    # It reads descriptor 3 and writes descriptor 4, whatever the shell script that starts it does with others.
    start = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    command = ("bash", "-c", start, chromium, *OPTIONS, f"--user-data-dir={home / 'profile'}")
    try:
        with process(*command, log=home / "log", pass_fds=[to_browser, from_browser], env=_environment(home)):
            os.close(to_browser)
            os.close(from_browser)
            try:
                browser = Browser(commands, messages)
            except (EOFError, BrokenPipeError):
                last = (home / "log").read_text(errors="replace").strip().splitlines()[-1:]
                pytest.skip(f"chromium does not start here, so a browser is NOT tested: {last}")
            yield browser
    finally:
        os.close(commands)
        os.close(messages)


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which nothing is written outside `home`, and no proxy stands between."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
