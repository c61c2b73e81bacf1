"""Tables over chapters: the scoreboard of `make grade`, and the proof of `groundup verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.report.text import Style, columns, pad, points_text, visible, wrap
from groundup.result import ChapterResult, Outcome, total

BAR = 20


@dataclass(frozen=True)
class Proof:
    """What `verify` found about one chapter's tests. Counts of 0 of 0 mean: this part was not run.

    `complaints` are lines that say which starter passed a test, which mutant lived, which run flaked; with none of
    them the chapter is proven.
    """

    chapter: str
    starter_failed: int = 0
    starter_tests: int = 0
    solution_passed: int = 0
    solution_tests: int = 0
    mutants_killed: int = 0
    mutants: int = 0
    runs_clean: int = 0
    runs: int = 0
    seconds: float = 0.0
    complaints: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that was run went as it should, and something was run."""
        pairs = (
            (self.starter_failed, self.starter_tests),
            (self.solution_passed, self.solution_tests),
            (self.mutants_killed, self.mutants),
            (self.runs_clean, self.runs),
        )
        return not self.complaints and all(got == of for got, of in pairs) and any(of for _, of in pairs)


def scoreboard_lines(results: Sequence[ChapterResult], style: Style) -> list[str]:
    """Return the scoreboard: each chapter's tests passed, points, seconds and a bar, and the sum of all."""
    rows: list[tuple[str, ...]] = [("chapter", "tests", "points", "seconds")]
    rows += [_score_row(result) for result in results]
    if len(results) > 1:
        rows.append(_total_row(results))
    lines = _table(rows)
    lines[0] = style.paint(lines[0], "bold")
    for position, result in enumerate(results, start=1):
        lines[position] += f"   {_bar(result, style)}"
    if len(results) > 1:
        lines[-1] = style.paint(lines[-1], "bold")
    return [f"  {line}" for line in lines]


def _score_row(result: ChapterResult) -> tuple[str, ...]:
    passed = result.outcomes[Outcome.PASS]
    return (
        visible(f"{result.number} {result.slug}"),
        f"{passed}/{len(result.tests)}",
        f"{points_text(result.judged_score)}/{points_text(result.max_score)}",
        f"{result.seconds:.2f}",
    )


def _total_row(results: Sequence[ChapterResult]) -> tuple[str, ...]:
    passed = sum(result.outcomes[Outcome.PASS] for result in results)
    score = total(result.judged_score for result in results)
    most = total(result.max_score for result in results)
    return (
        "all",
        f"{passed}/{sum(len(result.tests) for result in results)}",
        f"{points_text(score)}/{points_text(most)}",
        f"{sum(result.seconds for result in results):.2f}",
    )


def _bar(result: ChapterResult, style: Style) -> str:
    """Draw the part of the points that was earned; a mark only if it is all of them."""
    share = result.judged_score / result.max_score if result.max_score else 0.0
    filled = BAR if share >= 1 else min(BAR - 1, int(share * BAR))
    verdict = Outcome.INFRA if not result.complete else Outcome.PASS if result.passed else Outcome.FAIL
    note = {
        Outcome.PASS: "",
        Outcome.FAIL: "" if result.built else "  did not build",
        Outcome.INFRA: "  not all judged",
    }[verdict]
    return f"{style.tint('█' * filled, verdict)}{style.paint('·' * (BAR - filled), 'dim')} {style.mark(verdict)}{note}"


def proof_lines(proofs: Sequence[Proof], style: Style) -> list[str]:
    """Return the table of `verify`, and under it what does not hold."""
    rows = [("chapter", "starter fails", "solution passes", "mutants killed", "runs without a flake", "seconds")]
    for proof in proofs:
        rows.append(
            (
                visible(proof.chapter.replace("-", " ", 1)),
                _of(proof.starter_failed, proof.starter_tests),
                _of(proof.solution_passed, proof.solution_tests),
                _of(proof.mutants_killed, proof.mutants),
                _of(proof.runs_clean, proof.runs),
                f"{proof.seconds:.1f}",
            )
        )
    lines = _table(rows)
    lines[0] = style.paint(lines[0], "bold")
    for position, proof in enumerate(proofs, start=1):
        lines[position] += f"   {style.mark(Outcome.PASS if proof.holds else Outcome.FAIL)}"
    lines = [f"  {line}" for line in lines]
    for proof in proofs:
        for complaint in proof.complaints:
            first, *rest = wrap(f"{proof.chapter}: {complaint}", style.width, "    ")
            lines += [f"  {style.mark(Outcome.FAIL)} {first.lstrip()}", *rest]
    return lines


def _of(count: int, of: int) -> str:
    return f"{count} of {of}" if of else "–"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Align the first column left and the others right."""
    widths = [max(columns(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [pad(row[0], widths[0]), *(" " * (w - columns(c)) + c for c, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
