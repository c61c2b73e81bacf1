"""Machines that do not start, boot or restore as they should, and what is left of them then: nothing."""

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from groundup.course.chapter import find
from groundup.course.submission import read_submission
from groundup.errors import MachineryError
from groundup.grade import FIRST_ATTEMPT, Job, Observer, grade
from groundup.link.pcapng_reader import read
from groundup.result import ChapterResult, Outcome, TestResult
from groundup.vm import accelerator
from groundup.vm import snapshot as snapshots
from groundup.vm.machine import Machine, RefusedError
from groundup.vm.pair import Pair
from groundup.vm.snapshot import Snapshot

from .conftest import children, damage, machines

pytestmark = pytest.mark.pair


def test_a_kernel_boots_if_it_says_so(snapshot: Snapshot) -> None:
    """A panic ends QEMU with status 0 too, as a kernel that switches the machine off."""
    assert asyncio.run(accelerator.boots(snapshot.image, "tcg", 60))
    assert not asyncio.run(accelerator.boots(snapshot.image, "tcg", 60, "rdinit=/nothing root=/dev/none"))
    began = time.monotonic()
    assert not asyncio.run(accelerator.boots(snapshot.image, "tcg", 0.2))
    assert time.monotonic() - began < 5
    assert children() == []


@pytest.mark.parametrize("content", ["", "[1]", "5", "null", '{"question": 1}', '{"question": {}, "answer": "xen"}'])
def test_a_damaged_memory_of_the_accelerator_is_asked_again(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    asked = []

    async def boots(*arguments: object) -> bool:
        asked.append(arguments)
        return True

    monkeypatch.delenv("GROUNDUP_ACCELERATOR", raising=False)
    monkeypatch.setattr(accelerator, "BUILD", tmp_path)
    monkeypatch.setattr(accelerator, "boots", boots)
    monkeypatch.setattr(accelerator.os, "access", lambda *_: True)
    (tmp_path / "accelerator.json").write_text(content)
    for _ in range(2):
        assert asyncio.run(accelerator.accelerator(snapshot.image)) == "kvm"
    assert len(asked) == 1
    assert json.loads((tmp_path / "accelerator.json").read_text())["answer"] == "kvm"


def test_one_machine_that_cannot_be_restored_takes_the_other_with_it(
    snapshot: Snapshot, saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(saved / "server.state")

    async def enter() -> None:
        async with Pair(replace(snapshot, directory=saved), tmp_path):
            pass

    began = time.monotonic()
    with pytest.raises(MachineryError, match="the server machine"):
        asyncio.run(enter())
    assert time.monotonic() - began < 20
    assert children() == []
    assert caplog.records == []


def test_a_machine_that_dies_says_why(snapshot: Snapshot, saved: Path, tmp_path: Path) -> None:
    (saved / "initrd").unlink()

    async def enter() -> None:
        async with Pair(replace(snapshot, directory=saved), tmp_path):
            pass

    with pytest.raises(MachineryError, match=r"the (server|client) machine did not start: .*initrd"):
        asyncio.run(enter())
    assert children() == []


def test_a_machine_that_dies_in_a_run_costs_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    """What was judged stands, the rest is judged on a fresh pair, whose captures are the run's."""
    retried: list[ChapterResult] = []

    class Killer(Observer):
        def finished(self, test: TestResult) -> None:
            if test.id == "test_greets" and not retried:
                os.kill(machines()[0], signal.SIGKILL)

        def retrying(self, result: ChapterResult) -> None:
            retried.append(result)

    chapter = find("01")
    job = Job(chapter, read_submission(chapter, chapter.directory))
    result = asyncio.run(grade(job, snapshot, tmp_path, Killer()))
    assert result.passed
    assert result.runs == 2
    (first,) = retried
    assert "machine ended" in first.problems[0]
    judged = [test.id for test in first.tests if test.outcome is Outcome.PASS]
    assert "test_greets" in judged
    for directory in (tmp_path / FIRST_ATTEMPT, tmp_path):
        assert read(directory / "eth0.pcapng").packets
    assert children() == []


def test_a_qemu_that_refuses_mapped_memory(snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair is saved the plain way then, and restored from that."""
    real = Machine.qmp

    async def qmp(self: Machine, name: str, **arguments: Any) -> Any:
        if name == "migrate-set-capabilities":
            raise RefusedError(f"QEMU refused {name}")
        return await real(self, name, **arguments)

    async def make() -> Snapshot:
        made = await snapshots.make(snapshot.image, said.append)
        async with Pair(made, tmp_path / "captures") as pair:
            assert (await pair.client.call("hello", {}))[0]["role"] == "client"
        return made

    said: list[str] = []
    monkeypatch.setattr(Machine, "qmp", qmp)
    monkeypatch.setattr(snapshots, "SNAPSHOTS", tmp_path / "snapshots")
    assert asyncio.run(make()).mode == "stream"
    assert any("QEMU refused migrate-set-capabilities" in line for line in said)
    assert children() == []
