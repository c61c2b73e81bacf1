"""What a learner reads who has made a mistake that people make: golden files of whole reports, off real machines.

Each is the report of a mutant. What differs from run to run is replaced or left out, see `normalised`.
GROUNDUP_RENEW_GOLDEN=1 writes the files anew; read the difference before you keep it.
"""

import asyncio
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from groundup.commands.setup import ready
from groundup.course.chapter import find
from groundup.course.mutants import list_mutants, mutated_files
from groundup.course.submission import Submission
from groundup.grade import Job, grade
from groundup.report.terminal import TerminalReport
from groundup.report.text import Style
from groundup.vm.snapshot import Snapshot

SEED = 8841
DIRECTORY = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A mutant; `whole` runs all of the chapter's tests, as a learner does, and not only the one that names it."""

    chapter: str
    mutant: str
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.chapter}-{self.mutant}"


CASES = [
    Case("01", "ready-line-not-flushed", whole=True),
    Case("01", "port-without-htons", whole=True),
    Case("01", "no-half-close"),
    Case("01", "connection-never-closed"),
    Case("01", "greeting-ends-in-newline"),
    Case("02", "one-read-is-one-request"),
    Case("02", "lines-end-in-newline"),
    Case("02", "content-length-counts-the-nul"),
]

PACKET = re.compile(r" *[\d,]+\.\d(?P<row> .*│ (?P<arrow>.*?) │.*)")
EPHEMERAL = re.compile(r"\b(3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3})\b")
"""The ports from which a kernel takes one where none is asked for: 32768 to 60999 (ip(7), ip_local_port_range)."""
OTHERS = (
    (r"(?m)^  capture    .*/", "  capture    RUN/"),
    (r" *\b\d+\.\d+ s\b", " N s"),
    (r"\bsocket:\[\d+\]", "socket:[INODE]"),
)


def normalised(report: str) -> str:
    """Return a report without what may differ from run to run though the program and the tests do the same.

    - Times of tests, of steps and of packets; the run's directory; the numbers of sockets.
    - Ports that a kernel chose: each becomes PORT1, PORT2, … in the order in which they appear.
    - Packets that kernels send as they see fit: address resolution, acknowledgements that carry nothing (they may ride
      on the next data), repetitions on a slow host, and the count of packets that are not shown.
    - The end of each diagram, from the last packet on that carries data or opens a connection: who closes first when
      a test has failed is a race between the program and the tests' tidying up.
    """
    lines: list[str] = []
    packets: list[tuple[str, str]] = []  # of the diagram that is being read: label, line
    for line in report.splitlines():
        if packet := PACKET.fullmatch(line):
            label = packet["arrow"].strip("─◂▸ ")
            if not label.startswith(("ACK", "ARP", "neighbour")) and "retransmission" not in line:
                packets.append((label, f"{'T':>8}{packet['row']}"))
            continue
        while packets and packets[-1][0].startswith(("FIN", "RST")):
            packets.pop()
        lines += [line for _, line in packets]
        packets.clear()
        if not re.match(r"  not shown: [\d,]+ packet", line):
            lines.append(line)
    text = "\n".join(lines) + "\n"
    for pattern, word in OTHERS:
        text = re.sub(pattern, word, text)
    ports = list(dict.fromkeys(EPHEMERAL.findall(text)))
    return EPHEMERAL.sub(lambda found: f"PORT{ports.index(found[0]) + 1}", text)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """The snapshot of the pair, made if it is missing."""
    return asyncio.run(ready())


def report_of(case: Case, snapshot: Snapshot, directory: Path) -> str:
    """Return what the tool prints of a mutant, 100 columns wide and without colour."""
    chapter = find(case.chapter)
    (mutant,) = (mutant for mutant in list_mutants(chapter) if mutant.name == case.mutant)
    submission = Submission.of_texts(mutated_files(chapter, mutant))
    job = Job(chapter, submission, select=() if case.whole else (mutant.killed_by,), seed=SEED)
    result = asyncio.run(grade(job, snapshot, directory))
    stream = io.StringIO()
    TerminalReport(stream, chapter.label, style=Style(width=100)).end(result)
    return stream.getvalue()


@pytest.mark.pair
@pytest.mark.parametrize("case", CASES, ids=str)
def test_report(case: Case, snapshot: Snapshot, tmp_path: Path) -> None:
    text = normalised(report_of(case, snapshot, tmp_path))
    path = DIRECTORY / f"{case}.txt"
    if os.environ.get("GROUNDUP_RENEW_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_what_the_program_did_is_not_normalised_away() -> None:
    """The words of a report stay, and so do the packets that carry data, in their order."""
    diagram = """\
   1  server   started: ./listen --port 25720 → listening on tcp:[::]:46723
        ms   port  client                    server
       0.0           │ ── ARP who has ───────▸ │   192.0.2.1? tell 192.0.2.2
      12.0  53490    │ ── SYN ───────────────▸ │
      36.1  53490    │ ── ACK ───────────────▸ │
   1,045.6  53490    │ ◂─────────── 26 bytes ─ │   hello from 53490
      46.9  53490    │ ◂──────────────── FIN ─ │
      57.1  46723    │ ── SYN ───────────────▸ │
      60.1  46723    │ ── FIN ───────────────▸ │
      69.8  53490    │ ── RST ───────────────▸ │
  not shown: 3 packets that machines send by themselves

01 listen   0 of 6 points   0.87 s   seed 8841
"""
    assert (
        normalised(diagram)
        == """\
   1  server   started: ./listen --port 25720 → listening on tcp:[::]:PORT1
        ms   port  client                    server
       T  PORT2    │ ── SYN ───────────────▸ │
       T  PORT2    │ ◂─────────── 26 bytes ─ │   hello from PORT2
       T  PORT2    │ ◂──────────────── FIN ─ │
       T  PORT1    │ ── SYN ───────────────▸ │

01 listen   0 of 6 points N s   seed 8841
"""
    )
