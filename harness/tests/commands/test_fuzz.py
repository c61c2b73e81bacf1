"""`make fuzz`, on a chapter made for these tests."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundup.paths import HARNESS

PROGRAM = """\
#include <stddef.h>

static int first(const char *text, size_t size)
{
    return size > 2 ? text[2] : 0;
}

int main(void)
{
    return first("abc", 3);
}
"""

SHARED = """\
#include <stddef.h>
#include <stdint.h>
"""

TARGET = """\
#define main answer_main
#include "../answer.c"
#undef main
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    volatile int found = first((const char *)data, size);
    (void)found;
    return 0;
}
"""


def runtime_is_there() -> bool:
    if shutil.which("clang") is None:
        return False
    found = subprocess.run(["clang", "--print-runtime-dir"], capture_output=True, text=True, check=True)
    return any(Path(found.stdout.strip()).glob("libclang_rt.fuzzer*.a"))


pytestmark = pytest.mark.skipif(not runtime_is_there(), reason="libFuzzer is not installed: `make fuzz` is NOT tested")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one chapter, which has one target; that takes a header from beside the chapters."""
    chapter = tmp_path / "chapters" / "01-answer"
    (chapter / "fuzz" / "first").mkdir(parents=True)
    (chapter / "chapter.toml").write_text('title = "An answer"\nsummary = "It is printed."\n')
    (chapter / "answer.c").write_text(PROGRAM)
    (chapter / "fuzz" / "first.c").write_text(TARGET)
    (chapter.parent / "fuzz.h").write_text(SHARED)
    (chapter / "fuzz" / "first" / "abc").write_text("abc")
    return tmp_path


def start(course: Path, *arguments: str) -> "subprocess.Popen[str]":
    # Where things are follows from where the package is.
    code = (
        "import sys, pathlib, groundup.paths as paths\n"
        f"paths.ROOT = pathlib.Path({str(course)!r})\n"
        f"paths.CHAPTERS = paths.ROOT / 'chapters'\n"
        f"paths.BUILD = paths.ROOT / 'build'\n"
        "import groundup.fuzz\n"
        "sys.exit(groundup.fuzz.main())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=course,
        env={**os.environ, "PYTHONPATH": str(HARNESS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def fuzz(course: Path, *arguments: str) -> tuple[int, str]:
    process = start(course, *arguments)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def test_a_sound_program_gets_one_line(course: Path) -> None:
    status, output = fuzz(course, "--seconds", "1")
    assert status == 0, output
    assert len(output.splitlines()) == 2, output
    assert "✓ 01 first" in output
    assert " executions" in output
    assert "corpus" in output
    assert sorted(path.name for path in (course / "chapters").rglob("*") if path.is_file()) == [
        *("abc", "answer.c", "chapter.toml", "first.c", "fuzz.h")
    ]


def test_a_finding_comes_with_the_command_that_repeats_it(course: Path) -> None:
    source = course / "chapters" / "01-answer" / "answer.c"
    source.write_text(PROGRAM.replace("size > 2", "size > 1"))
    status, output = fuzz(course, "--seconds", "20")
    assert status == 1, output
    assert "heap-buffer-overflow" in output
    assert "in first chapters/01-answer/answer.c:5" in output
    command = next(line for line in output.splitlines() if line.startswith("  again")).split()[1:]
    again = subprocess.run(command, cwd=course, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode != 0
    assert "heap-buffer-overflow" in again.stderr


def test_what_does_not_compile_or_exist_is_told(course: Path) -> None:
    status, output = fuzz(course, "nothing")
    assert (status, "no such fuzz target" in output) == (2, True), output
    (course / "chapters" / "01-answer" / "answer.c").write_text("int main(void) { return undeclared; }\n")
    status, output = fuzz(course, "--seconds", "1")
    assert (status, "undeclared" in output) == (3, True), output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_goes_on_alone(course: Path, number: signal.Signals) -> None:
    process = start(course, "--seconds", "600")
    try:
        log = course / "build" / "fuzz" / "01-answer" / "first" / "log"
        deadline = time.monotonic() + 60
        while not log.exists() or b"INITED" not in log.read_bytes():
            assert time.monotonic() < deadline, "the fuzzer does not start"
            assert process.poll() is None
            time.sleep(0.02)
        fuzzer = os.pidfd_open(_fuzzer(course))
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()  # whatever it did with the signal: the next test looks for children
    if number == signal.SIGINT:
        assert (process.returncode, "groundup: stopped" in output) == (130, True), output
    ended, _, _ = select.select([fuzzer], [], [], 60)  # pidfd_open(2): readable when the process has ended
    os.close(fuzzer)
    assert ended, "the fuzzer goes on"


def _fuzzer(course: Path) -> int:
    """Return the process id of the fuzzer that runs in this course."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(f"{course}/build/fuzz/".encode()):
                return int(path.parent.name)
        except OSError:
            continue
    raise AssertionError("no fuzzer runs")
