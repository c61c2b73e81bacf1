"""Ending processes that asyncio has started."""

import asyncio
import contextlib
import os
import signal


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill a process, unless it has ended, and wait until it is gone.

    `Process.kill` looks first whether the process lives. If it has ended just now that look takes its exit status, and
    asyncio, which waits for it elsewhere, warns of an unknown child.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    await process.wait()
