"""What a learner reads when they have made a mistake that people make: golden files of whole reports.

Each is the report of a mutant, made by real machines. What differs from run to run is replaced by a word, see
`normalised`. GROUNDUP_RENEW_GOLDEN=1 writes the files anew; read the difference before you keep it.
"""

import asyncio
import io
import os
import re
from pathlib import Path

import pytest

from groundup.course.chapter import find
from groundup.course.mutants import list_mutants, mutated_files
from groundup.course.submission import Submission
from groundup.grade import Job, grade
from groundup.report.terminal import TerminalReport
from groundup.report.text import Style
from groundup.vm.snapshot import Snapshot

GOLDEN = Path(__file__).with_name("golden")
SEED = 8841
MISTAKES = [
    ("01", "connection-never-closed"),
    ("01", "no-half-close"),
    ("01", "port-without-htons"),
    ("01", "ready-line-not-flushed"),
    ("02", "content-length-counts-the-nul"),
    ("02", "lines-end-in-newline"),
    ("02", "one-read-is-one-request"),
    ("02", "searches-the-last-piece-only"),
]

# The order matters: an address is replaced before the numbers in it.
VARYING = (
    (r"(192\.0\.2\.\d|\[[0-9a-f:.]*\]|0\.0\.0\.0):\d+", r"\1:PORT"),
    (r"\bport \d{4,5}\b", "port PORT"),
    (r"--port \d{4,5}\b", "--port PORT"),
    (r"\S*/eth0\.pcapng", "RUN/eth0.pcapng"),
    (r" +\d+\.\d+ s\b", " N s"),
    (r"0x[0-9a-f]{6,}", "0xADDRESS"),
    (r"\bpipe:\[\d+\]|\bsocket:\[\d+\]", "NODE"),
)


def normalised(report: str) -> str:
    """Return a report without what differs from run to run: ports, times, paths, and the table of packets.

    Which packets there are depends on timing (an acknowledgement may ride on data, an end may come after the test), so
    of the diagram the head and the packets that open a connection or carry a program's bytes are kept.
    """
    text = "\n".join(line for each in report.splitlines() if (line := _without_timing(each)) is not None)
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.rstrip() + "\n"


def _without_timing(line: str) -> str | None:
    """Return a row of the diagram without its time and port, None for one that is left out, another line as it is."""
    packet = re.match(r"\s+[\d.,]+\s+(?:\d+\s+)?│ (?P<arrow>.*) │\s*(?P<detail>.*)$", line)
    if packet is None:
        return line.rstrip()
    label = re.sub(r"[─◂▸ ]+", " ", packet["arrow"]).strip()
    if "SYN" not in label and "byte" not in label:
        return None
    return f"    {'→' if '▸' in packet['arrow'] else '←'} {label}  {packet['detail']}".rstrip()


@pytest.mark.pair
@pytest.mark.parametrize(("number", "name"), MISTAKES, ids=lambda value: value)
def test_report_of_a_mistake(number: str, name: str, snapshot: Snapshot, tmp_path: Path) -> None:
    chapter = find(number)
    mutant = next(mutant for mutant in list_mutants(chapter) if mutant.name == name)
    submission = Submission.of_texts(mutated_files(chapter, mutant))
    job = Job(chapter, submission, select=(mutant.killed_by,), seed=SEED, independent=True)
    result = asyncio.run(grade(job, snapshot, tmp_path))
    stream = io.StringIO()
    TerminalReport(stream, chapter.label, style=Style(width=100)).end(result)
    report = normalised(stream.getvalue())
    path = GOLDEN / f"{chapter.label}-{name}.txt"
    if os.environ.get("GROUNDUP_RENEW_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(report)
    assert report == path.read_text()
