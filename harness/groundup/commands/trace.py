"""`groundup trace NN -- 'udp_*'`: which functions the kernel runs for a program, system call by system call."""

import argparse
import asyncio
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundup.build import build
from groundup.commands.setup import ready
from groundup.course.chapter import Chapter, find
from groundup.course.submission import read_submission
from groundup.errors import EXIT_FAILED, EXIT_PASSED, GroundupError, UsageError
from groundup.exchange import converse
from groundup.paths import ROOT, WORK
from groundup.report.text import Printer
from groundup.runs import new_run, point_last_to
from groundup.vm.pair import Pair
from groundup_guest.rpc import RpcError

ARM_SECONDS = 60.0
"""The kernel looks at 37,000 names for each pattern: well under a second each; this is for a busy host."""
IN_NO_CALL = "(in no system call)"


async def traced(
    pair: Pair, program: str, patterns: Sequence[str], arguments: Sequence[str] | None = None, *, stacks: bool = False
) -> dict[str, Any]:
    """Record the kernel's functions for an installed program while it has its conversation; return what was recorded.

    `argv` and `exit` are the program's; the rest is as `groundup_guest.functions.Functions.functions` returns it.
    """
    try:
        await pair.server.call("arm", {"patterns": list(patterns), "stacks": stacks}, deadline=ARM_SECONDS)
    except RpcError as error:
        raise UsageError(error.message) from error
    started = await converse(pair, program, arguments)
    found, _ = await pair.server.call("functions", {"handle": started["handle"]}, deadline=ARM_SECONDS)
    await pair.server.call("disarm", deadline=ARM_SECONDS)
    return {**found, "argv": started["argv"], "exit": started["exit"]}


def lines(found: dict[str, Any], *, stacks: bool) -> list[str]:
    """Return what was recorded for a person: each system call, and under it its functions with their counts."""
    texts = [*found["system_calls"], IN_NO_CALL]
    last = len(texts) - 1
    by_call: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
    for index, name, _, stack in found["calls"]:
        by_call.setdefault(last if index < 0 else index, []).append((name, tuple(stack) if stacks else ()))
    shown = [f"./{shlex.join(found['argv'])}"]
    for index in sorted(by_call):
        shown += ["", texts[index]]
        for (name, stack), number in Counter(by_call[index]).items():
            shown.append(f"  {number:5d}  {name}")
            shown += [f"           ◂ {frame}" for frame in stack]
    if not by_call:
        shown += ["", "none of these functions was called for it"]
    if found["lost"]:
        shown += ["", "the kernel had no room for all of them: some are missing"]
    return shown


async def _trace(chapter: Chapter, path: Path, options: argparse.Namespace) -> int:
    submission = read_submission(chapter, path)
    snapshot = await ready()
    arguments = None if options.run is None else shlex.split(options.run)
    out = Printer(sys.stdout)
    with new_run() as directory:
        built = await build(submission, snapshot.image.root, directory / chapter.program, cflags=chapter.cflags)
        if built.program_path is None:
            raise UsageError(f"{path} does not compile", f"`./groundup check {chapter.label}` shows why")
        point_last_to(directory)
        async with Pair(snapshot, directory) as pair:
            params = {"name": chapter.program, "mode": 0o755}
            await pair.server.call("install", params, built.program_path.read_bytes(), deadline=60)
            found = await traced(pair, chapter.program, options.patterns, arguments, stacks=options.stacks)
    out.lines(lines(found, stacks=options.stacks))
    if found["exit"] is not None and found["exit"]["status"] != 0:
        out.line(f"\nit ended with {found['exit']}")
        return EXIT_FAILED
    return EXIT_PASSED


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    chapter = find(options.chapter)
    path = options.path or WORK / chapter.name
    if not path.exists():
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise UsageError(f"there is no {shown}", f"`./groundup start {chapter.label}` begins it; --path names another")
    try:
        return asyncio.run(_trace(chapter, path, options))
    except RpcError as error:
        raise GroundupError(error.message) from error
