"""The language of a test: numbered steps, and the failure that one of them ends in."""

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

PREVIEW = 64
"""How many bytes of a message a step shows."""
_THE_SERVER = re.compile(r"\b([Tt]he) server\b(?! machine)")


class FailedError(AssertionError):
    """An expectation was not met: the program's fault.

    `message` is one line that says what was wrong as the learner reads it, `why` a sentence or two on the likely
    mistake; `expected` and `received` are bytes to compare, where the expectation was about bytes.
    """

    def __init__(
        self, message: str, why: str = "", expected: bytes | None = None, received: bytes | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.expected = expected
        self.received = received


class InfraError(Exception):
    """The machinery failed: nothing can be said about the program."""


@dataclass(slots=True)
class Step:
    """One act or expectation. `actor` is who acted or was looked at: server, peer, wire, link."""

    n: int
    actor: str
    text: str
    detail: str = ""
    failed: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as the protocol carries it."""
        return {"n": self.n, "actor": self.actor, "text": self.text, "detail": self.detail, "failed": self.failed}


MOST = 120
"""Steps of one test that are reported."""


@dataclass(slots=True)
class Steps:
    """The steps of one test, in order."""

    steps: list[Step] = field(default_factory=list)
    program_is_client: bool = False
    """Then the test plays the server, and what is said of "the server" is said of "the program"."""

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return them as the protocol carries them; of very many the first and the last, for its lines have a limit."""
        shown = self.steps if len(self.steps) <= MOST else [*self.steps[: MOST // 2], *self.steps[-MOST // 2 :]]
        return [step.as_dict() for step in shown]

    def add(self, actor: str, text: str, detail: str = "") -> Step:
        """Note a step; return it, so that what comes of it can be added."""
        if self.program_is_client and actor == "server":
            actor = "program"
        step = Step(len(self.steps) + 1, actor, self._named(text), detail)
        self.steps.append(step)
        return step

    def fail(
        self,
        actor: str,
        text: str,
        message: str,
        why: str = "",
        *,
        detail: str = "",
        expected: bytes | None = None,
        received: bytes | None = None,
    ) -> NoReturn:
        """Note the step that failed, and fail the test."""
        self.add(actor, text, detail).failed = True
        raise FailedError(self._named(message), why, expected, received)

    def _named(self, text: str) -> str:
        return _THE_SERVER.sub(r"\1 program", text) if self.program_is_client else text


def preview(data: bytes, limit: int = PREVIEW) -> str:
    r"""Return bytes as one line of text, escaped as in C (`\r\n`, `\x00`), cut after `limit` of them."""
    escapes = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x5C: "\\\\"}
    shown = "".join(escapes.get(byte, chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data[:limit])
    return shown + ("…" if len(data) > limit else "")


def count(number: int, noun: str) -> str:
    """Return `number` with `noun`, which gets an s where there are several: `1 byte`, `2 bytes`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def said(output: str) -> str:
    """Return the last line that a program wrote, for quoting; empty if it wrote none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
