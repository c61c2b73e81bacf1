"""The command line: which commands there are, what they take, and how errors end the tool."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from groundup.errors import EXIT_MACHINERY, GroundupError

EXIT_INTERRUPTED = 130
"""As a shell reports a command that ended by SIGINT."""

EPILOG = """exit status: 0 all tests passed, 1 a test failed or nothing could be built, 2 wrong usage,
3 the machinery failed (which never costs a submission points)"""


class _Command(argparse.ArgumentParser):
    """The parser of one command: its options may stand anywhere among the operands (`check 07 --all test_options`)."""

    _within = False

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        if self._within:  # which parse_known_intermixed_args calls for a part of its work
            return super().parse_known_args(args, namespace)
        self._within = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a converter for argparse that takes whole numbers in a range and says so of anything else."""

    def convert(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return int(text)

    return convert


_seed = _number(1, (1 << 31) - 1)
positive = _number(1, 1_000_000)


def _run_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--seed", type=_seed, metavar="N", help="repeat a run: ports, payloads and cuts follow from it")
    sub.add_argument("--all", action="store_true", help="report every failure in full; without it the first one is")
    sub.add_argument("--timing", action="store_true", help="show where the time went")


def _trace_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("patterns", nargs="+", metavar="PATTERN", help="names of kernel functions, with * ('udp_*')")
    sub.add_argument("--stacks", action="store_true", help="show the way to each function as well")
    sub.add_argument("--run", metavar="ARGUMENTS", help="start the program with these, in place of the usual ones")
    sub.add_argument("--path", type=Path, metavar="PATH", help="a program's sources elsewhere (default: work/NN-…)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line. Each command's code is imported only when it runs."""
    top = argparse.ArgumentParser(
        prog="groundup",
        description="Learn Linux network programming in C from the system call up.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Command)

    def command(name: str, summary: str, module: str, function: str = "run") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.set_defaults(function=(module, function))
        return sub

    def chapter_argument(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("chapter", metavar="NN", help="the chapter: its number or its name")

    sub = command("doctor", "say what is installed, what is missing and what to do about it", "doctor")

    sub = command("start", "copy a chapter's starter and its lesson to work/", "learn", "start")
    chapter_argument(sub)
    sub.add_argument("--force", action="store_true", help="begin again: keep the edited file under another name")

    sub = command("check", "build your work on a chapter and test it", "check")
    chapter_argument(sub)
    sub.add_argument("tests", nargs="*", default=[], metavar="TEST", help="only these tests (default: all)")
    _run_options(sub)

    sub = command("watch", "check again whenever a file is saved, what failed last comes first", "watch")
    chapter_argument(sub)
    sub.add_argument("--seed", type=_seed, metavar="N", help="use this seed in every run")

    sub = command("grade", "grade a submission and write the result", "grade")
    chapter_argument(sub)
    sub.add_argument("path", nargs="?", type=Path, metavar="PATH", help="the submission: a C file or a directory")
    sub.add_argument("--program", type=Path, metavar="FILE", help="a ready static Linux executable of any language")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the result as groundup/result/v1")
    sub.add_argument("--junit", type=Path, metavar="FILE", help="write the result as JUnit XML")
    _run_options(sub)

    sub = command("hint", "give a hint for a test, from a question to the line of the man page", "learn", "hint")
    chapter_argument(sub)
    sub.add_argument("test", metavar="TEST")
    sub.add_argument("--level", type=int, choices=(1, 2, 3), help="how much to give away (default: one more than last)")

    sub = command("progress", "show how far you are", "learn", "show_progress")

    sub = command("pcap", "show the packets of the last run as a sequence diagram", "pcap")
    sub.add_argument("--options", action="store_true", help="show the TCP options of SYN segments")

    sub = command("trace", "show which functions the kernel runs for your program, system call by system call", "trace")
    chapter_argument(sub)
    _trace_options(sub)

    sub = command("shell", "open a shell in a machine of a live pair; a second one joins the first's pair", "shell")
    sub.add_argument("role", choices=("server", "client"))

    sub = command("verify", "prove the tests: starter fails, solution passes, every mutant dies by name", "verify")
    sub.add_argument("chapters", nargs="*", default=[], metavar="NN", help="only these chapters (default: all)")
    sub.add_argument("--runs", type=positive, default=1, metavar="N", help="run each solution N times")
    sub.add_argument("--seed", type=_seed, metavar="N", help="use this seed in every run")
    sub.add_argument(
        "--jobs", type=positive, metavar="N", help="pairs at a time (default: one for each two processors)"
    )

    sub = command("scoreboard", "grade the course's own solutions", "scoreboard")

    sub = command("setup", "build the guest image and save the pair (make setup does this and more)", "setup")

    sub = command("clean", "remove what runs have left: captures, old snapshots", "clean")
    sub.add_argument(
        "--snapshots", action="store_true", help="also the current snapshot, which is made again in seconds"
    )
    sub.add_argument("--all", action="store_true", help="also the guest image: everything that was built")
    return top


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    options = parser().parse_args(arguments)
    module, function = options.function

    def command() -> int:
        entry: Callable[[argparse.Namespace], int] = getattr(
            importlib.import_module(f"groundup.commands.{module}"), function
        )
        return entry(options)

    return reporting_errors(command)


def reporting_errors(command: Callable[[], int]) -> int:
    """Run a command and return its exit status; what ends it early is reported as a person wants to read it."""
    try:
        return command()
    except GroundupError as error:
        print(f"groundup: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"          {error.remedy}", file=sys.stderr)
        return error.status
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("groundup"):
            raise
        print(f"groundup: the Python package {error.name} is missing\n          run `make setup`", file=sys.stderr)
        return EXIT_MACHINERY
    except KeyboardInterrupt:
        print("\ngroundup: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_MACHINERY
    except OSError as error:
        return _system_error(error)


def _system_error(error: OSError) -> int:
    """Report what the operating system refused, as a full disk or a file that cannot be read, in one line."""
    place = f"{error.filename}: " if error.filename else ""
    print(f"groundup: {place}{error.strerror or error}", file=sys.stderr)
    return EXIT_MACHINERY
