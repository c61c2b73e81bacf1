"""A peer over a transport whose kernels do not tell what is still under way, as TCP's do."""

import time

from groundup_guest.conditions import Condition
from groundup_guest.peer import Peer

SETTLING_UNITS = 20


class SettledPeer(Peer):
    """A connection on which silence is likely, not certain: the program rests, and some round trips have passed."""

    def stays_silent_until(self, condition: Condition, *, hint: str = "") -> None:
        """Expect nothing from the server until it has come to rest, and for some round trips after that."""
        ended = self._stream.end
        found = condition.program.call("settle", deadline=self._scene.deadlines.default)
        if not found["alive"]:
            condition.program.fail_dead(found["exit"])
        if not found["settled"]:
            condition.program.fail_restless(found)
        self._stream.fill(time.monotonic() + SETTLING_UNITS * self._scene.deadlines.unit)
        if self._stream.buffer or self._stream.end != ended:
            self._fail_not_silent(condition, hint)
        self._scene.steps.add("server", f"{condition.text} and is silent")
