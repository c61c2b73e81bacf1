"""Compiles a submission in the server machine, where bubblewrap cannot run on the host: slower, but walled in too."""

import shlex
import time
from collections.abc import Sequence

from groundup.build import BuildResult, gcc_command, limits_of_shell
from groundup.build_words import Kept, Limits, Run, words_of
from groundup.course.submission import Submission
from groundup.vm.agent import Channel
from groundup_guest.confinement import FILE_BYTES, MEMORY_BYTES

SCRIPT = "build-script"
HOME_BYTES = 64 << 20
"""What the learner's home directory in the server machine holds (vm/init)."""
LIMITS = Limits(
    wall_seconds=60,
    processor_seconds=50,
    memory_bytes=MEMORY_BYTES,
    file_bytes=FILE_BYTES,
    scratch_bytes=HOME_BYTES,
)
"""Translated code is some twenty times slower than the host's own. The rest is what the machine gives any program."""
CALL_SECONDS = 60.0
"""For each call to the machine, which answers in milliseconds."""


async def build_in_guest(server: Channel, submission: Submission, name: str, cflags: Sequence[str] = ()) -> BuildResult:
    """Compile `submission` as the learner's user in the server machine; the program is installed there as `name`.

    `program_path` of the result is None: the program never comes to the host. Raises MachineryError where the machine
    fails.
    """
    started = time.monotonic()
    if submission.refusal:
        return BuildResult(ok=False, seconds=0, output=submission.refusal + "\n", program_path=None)
    files = (*submission.sources, *submission.headers)
    for file in files:
        await server.call("install", {"name": file.name, "mode": 0o644}, file.data, deadline=CALL_SECONDS)
    script = _script(submission, name, cflags).encode()
    await server.call("install", {"name": SCRIPT, "mode": 0o755}, script, deadline=CALL_SECONDS)
    handle = (await server.call("start", {"argv": [SCRIPT]}, deadline=CALL_SECONDS))[0]["handle"]
    patience = LIMITS.wall_seconds + CALL_SECONDS
    waiting = {"handle": handle, "deadline": LIMITS.wall_seconds}
    ended = (await server.call("wait", waiting, deadline=patience))[0]["exit"]
    said = (await server.call("output", {"handle": handle}, deadline=CALL_SECONDS))[0]["stderr"]
    await server.call("stop", {"handle": handle, "deadline": 0}, deadline=CALL_SECONDS)
    status = None
    if ended is not None:
        # A script that a signal ended is reported as a shell would do it: 128 and the signal's number.
        status = 128 + ended["signal"] if ended["status"] is None else ended["status"]
        if ended["oom"]:  # the kernel has killed the whole script, which could not say so any more
            said += "\nvirtual memory exhausted\n"
    output, stopped = words_of(Run(status, b"", Kept(said.encode(), b"", 0)), LIMITS)
    ok = status == 0 and not stopped
    return BuildResult(ok=ok, seconds=time.monotonic() - started, output=output, program_path=None)


def _script(submission: Submission, name: str, cflags: Sequence[str]) -> str:
    """Return a script that compiles, and removes the sources whatever comes of it."""
    compiler = shlex.join([*gcc_command(submission, cflags=cflags)[:-1], name])
    remove = shlex.join(["rm", "--", *(file.name for file in (*submission.sources, *submission.headers))])
    return (
        f"#!/bin/sh\nexport TMPDIR=$PWD LC_ALL=C\n{limits_of_shell(LIMITS)} || exit\n"
        f"{compiler} >&2\nstatus=$?\n{remove}\nexit $status\n"
    )
