"""`make fuzz`: throws mutated input at the solutions' parsers for a while, with clang's libFuzzer and sanitizers.

A target is `chapters/NN-slug/fuzz/NAME.c`; `NAME.dict` beside it has words that its input is made of, `NAME/` examples
of it. `chapters/fuzz.h` is what they share. What is found on the way grows under `build/fuzz/`, where the next run goes
on.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from groundup.cli import positive, reporting_errors
from groundup.course.chapter import load
from groundup.errors import EXIT_FAILED, EXIT_PASSED, MachineryError, UsageError
from groundup.paths import BUILD, CHAPTERS, ROOT
from groundup.report.text import visible_lines

COMPILE = (
    *("clang", "-std=gnu17", "-g", "-O1", "-Wall", "-Wextra", "-Werror"),
    *("-fno-omit-frame-pointer", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"),
)
LONGEST_INPUT = 20_000
"""Bytes: more than two heads of the longest kind that a chapter takes."""
LINES_OF_A_FINDING = 30
_ERROR = re.compile(r"^.*(ERROR: |runtime error: )", re.MULTILINE)
_INCLUDED = re.compile(r'^#include "(?:[^"]*/)?([^"/]+\.c)"', re.MULTILINE)
_END = re.compile(r"^(?:NOTE: |SUMMARY: |Shadow bytes around )", re.MULTILINE)
"""Begins what says nothing to whoever mends a chapter."""
_FRAME = re.compile(rf"^ +#\d+ 0x\w+ +(?:in (\S+) +(?:{re.escape(str(ROOT))}/(\S+\.[ch](?::\d+)?)|))?.*$", re.MULTILINE)
"""A line of a stack trace; the second group is empty in the libraries' functions."""


@dataclass(frozen=True)
class Target:
    """A fuzz target's source, and where what is made for it lies."""

    source: Path
    build: Path

    @property
    def label(self) -> str:
        """The chapter's number and the target's name: `03 request`."""
        return f"{self.source.parents[1].name[:2]} {self.source.stem}"

    @property
    def program(self) -> Path:
        """The compiled target: run with the path of a file, it replays that file alone."""
        return self.build / self.source.stem

    @property
    def corpus(self) -> Path:
        """Inputs that reached something new, found in this and in earlier runs."""
        return self.build / "corpus"

    @property
    def findings(self) -> Path:
        """Inputs that broke something."""
        return self.build / "findings"

    @property
    def log(self) -> Path:
        """What libFuzzer printed in the last run."""
        return self.build / "log"

    def command(self, seconds: int) -> list[str]:
        """Return the command line of a run."""
        options = {
            "max_total_time": seconds,
            "max_len": LONGEST_INPUT,
            "timeout": 10,
            "rss_limit_mb": 1024,
            "print_final_stats": 1,
            "artifact_prefix": f"{self.findings}/",
        }
        dictionary = self.source.with_suffix(".dict")
        if dictionary.exists():
            options["dict"] = str(dictionary)
        seeds = self.source.with_suffix("")
        directories = [self.corpus, *([seeds] if seeds.is_dir() else [])]
        return [str(self.program), *(f"-{name}={value}" for name, value in options.items()), *map(str, directories)]


@dataclass(frozen=True)
class Outcome:
    """What a run of libFuzzer came to. `reproducer` is the input that broke something, if it is known."""

    status: int
    log: str
    reproducer: Path | None

    def number(self, pattern: str) -> int:
        """Return the last number in the log that `pattern` has a group for, 0 if there is none."""
        found = re.findall(pattern, self.log)
        return int(found[-1]) if found else 0

    @property
    def executions(self) -> int:
        """How often the target ran."""
        return self.number(r"stat::number_of_executed_units:\s*(\d+)") or self.number(r"(?m)^#(\d+)")

    @property
    def failed(self) -> bool:
        """Whether something is wrong: with the program, or with the run. One without a single execution is no proof."""
        return self.status != 0 or self.executions == 0


def targets(words: list[str], chapters: Path = CHAPTERS, build: Path = BUILD / "fuzz") -> list[Target]:
    """Return the targets whose label or path has one of `words`, all of them if there are none."""
    sources = sorted(chapters.glob("*/fuzz/*.c"))
    found = [Target(source, build / source.parents[1].name / source.stem) for source in sources]
    named = {one: f"{one.label} {one.source.relative_to(chapters)}" for one in found}
    chosen = [one for one in found if not words or any(word in named[one] for word in words)]
    if not chosen:
        raise UsageError("no such fuzz target", "the targets: " + ", ".join(one.label for one in found))
    return chosen


async def _run(command: list[str], log: Path) -> int:
    """Run a command in a process group of its own, which ends with this one; return its exit status."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            # However this process ends, the fuzzer does not go on alone.
            *("setpriv", "--pdeathsig", "KILL", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _compile_command(target: Target) -> list[str]:
    """Return how a target is compiled: linked with what else the chapter has, but for what it includes, and main."""
    chapter = load(target.source.parents[1])
    files = [*chapter.files, *chapter.given]
    included = {*_INCLUDED.findall(target.source.read_text()), chapter.source.name}
    others = [path for path in files if path.suffix == ".c" and path.name not in included]
    places = sorted({f"-iquote{path}" for path in (chapter.directory.parent, *(path.parent for path in files))})
    return [*COMPILE, *places, "-o", str(target.program), str(target.source), *map(str, others)]


async def _build(target: Target) -> None:
    target.corpus.mkdir(parents=True, exist_ok=True)
    target.findings.mkdir(exist_ok=True)
    if await _run(_compile_command(target), target.log):
        said = "\n".join(visible_lines(target.log.read_text(errors="replace"), most=LINES_OF_A_FINDING))
        raise MachineryError(f"{_short(target.source)} does not compile", f"clang says:\n{said}")


async def _fuzz(target: Target, seconds: int, slots: asyncio.Semaphore) -> bool:
    """Build a target and run it; print what came of it. Return whether all was well."""
    async with slots:
        await _build(target)
        status = await _run(target.command(seconds), target.log)
    log = target.log.read_text(errors="replace")
    written = re.findall(r"Test unit written to (.+)", log)
    outcome = Outcome(status, log, Path(written[-1]) if written else None)
    print(_line(target, outcome), flush=True)
    if outcome.failed:
        print("\n".join(_finding(target, outcome)), flush=True)
    return not outcome.failed


def _line(target: Target, outcome: Outcome) -> str:
    rate = outcome.number(r"stat::average_exec_per_sec:\s*(\d+)")
    seconds = outcome.number(r"Done \d+ runs in (\d+) second")
    corpus = outcome.number(r"corp: (\d+)/")
    return (
        f"{'✗' if outcome.failed else '✓'} {target.label:14} {outcome.executions:>11,} executions {rate:>8,} a second"
        f"   corpus {corpus:>5,}" + (f" {seconds:>5} s" if seconds else "")
    )


def _finding(target: Target, outcome: Outcome) -> list[str]:
    """Return the lines that say what broke and how to see it again."""
    start = _ERROR.search(outcome.log)
    what = _END.split(outcome.log[start.start() :])[0] if start else outcome.log
    frames = _FRAME.sub(lambda frame: f"    in {frame[1]} {os.path.normpath(frame[2])}" if frame[2] else "", what)
    lines = [f"    {line}" for line in visible_lines(frames, most=LINES_OF_A_FINDING) if line]
    lines += ["", f"  whole log   {_short(target.log)}"]
    if outcome.reproducer is None:
        return [*lines, f"  status      {outcome.status}, and no input was kept"]
    replay = shlex.join([_short(target.program), _short(outcome.reproducer)])
    return [*lines, f"  reproducer  {_short(outcome.reproducer)}", f"  again       {replay}"]


def _short(path: Path) -> str:
    """Write a path as seen from the directory in which the command was given, if it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


async def fuzz(chosen: list[Target], seconds: int, jobs: int) -> bool:
    """Fuzz each of the targets, `jobs` at a time. Return whether all was well."""
    count = "1 target" if len(chosen) == 1 else f"{len(chosen)} targets"
    print(f"fuzzing {count} for {seconds} seconds each, {jobs} at a time", flush=True)
    slots = asyncio.Semaphore(jobs)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_fuzz(target, seconds, slots)) for target in chosen]
    return all(task.result() for task in tasks)


def main() -> int:
    """Run the fuzzers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only targets with this in their name: 03, request")
    parser.add_argument("--seconds", type=positive, default=60, metavar="N", help="for each target (default: 60)")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)), metavar="N")
    options = parser.parse_args()

    def command() -> int:
        try:
            passed = asyncio.run(fuzz(targets(options.words), options.seconds, options.jobs))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return EXIT_PASSED if passed else EXIT_FAILED

    return reporting_errors(command)


if __name__ == "__main__":
    sys.exit(main())
