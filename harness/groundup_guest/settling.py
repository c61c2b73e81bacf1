"""When a program has nothing left to do: that can be seen in the kernel, but not be waited for."""

import time
from collections.abc import Callable

from groundup_guest import proc
from groundup_guest.running import Running

TICKING_SECONDS, BUSY_SHARE = 0.1, 0.2
"""A program that has run for less than this share of at least so many seconds is not busy."""
FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.02
"""Seconds between two looks at a kernel state that cannot be waited for otherwise; doubled from one to the other."""


def settled(program: Running, pump: Callable[[float], bool], until: float, looks: int = 2) -> bool:
    """Wait until so many looks in a row find a program blocked and its run time the same, or until `until` (monotonic).

    One look says that it waits for something; the second, a moment later, that this was not about to come. A program
    that does something every few milliseconds, as with a timer, is at rest if it is blocked and has run for a small
    part of a longer while. `pump` waits for so many seconds and says whether the program has written or ended.
    """
    pause, taken, alike = FIRST_PAUSE, 0, 0
    began, first_run = time.monotonic(), -1
    before: list[proc.Thread] = []
    while program.exit is None:
        blocked, threads = _look(program)
        alike = (alike + 1 if threads == before else 1) if blocked else 0
        taken, before = taken + 1, threads
        run = sum(thread.run_ns for thread in threads)
        first_run = run if first_run < 0 else first_run
        elapsed = time.monotonic() - began
        idle = elapsed > TICKING_SECONDS and run - first_run < BUSY_SHARE * elapsed * 1e9
        if alike >= looks or (blocked and idle):
            return True
        if taken > looks and time.monotonic() >= until:
            return False
        # Output that is still being drained may have blocked the writer: not settled while some comes.
        if pump(pause):
            alike, before = 0, []
        pause = min(2 * pause, LONGEST_PAUSE)
    return False


def _look(program: Running) -> tuple[bool, list[proc.Thread]]:
    """Return whether something lives in the cell and none of it runs or waits for the disk; and the threads."""
    threads = [thread for pid in program.spare.cell.processes() for thread in proc.threads(pid)]
    living = [thread for thread in threads if thread.state not in "ZX"]
    return bool(living) and all(thread.state not in "RD" for thread in living), threads
