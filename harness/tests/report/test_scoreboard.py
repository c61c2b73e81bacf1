"""Tables over chapters."""

from collections.abc import Callable
from dataclasses import replace

from groundup.report.scoreboard import Proof, proof_lines, scoreboard_lines
from groundup.report.text import Style

from . import samples


def test_scoreboard(golden: Callable[[str, str], None]) -> None:
    results = [
        replace(samples.passing(), chapter="01-listen", seconds=0.93),
        samples.early_answer(),
        replace(samples.machinery_failure(), chapter="03-http-parse"),
        replace(samples.build_failure(), chapter="04-http-client"),
    ]
    golden("scoreboard", "\n".join(scoreboard_lines(results, Style())) + "\n")


def test_a_bar_is_full_only_with_all_points() -> None:
    nearly = replace(samples.passing(), tests=(replace(samples.passing().tests[0], score=19.99),))
    assert "█" * 20 not in scoreboard_lines([nearly], Style())[1]
    assert "█" * 20 in scoreboard_lines([samples.passing()], Style())[1]


def test_verify(golden: Callable[[str, str], None]) -> None:
    proofs = [
        Proof("01-listen", 12, 12, 12, 12, 11, 11, 100, 100, 61.24),
        Proof(
            "02-http-hello",
            *(13, 14, 14, 14, 10, 11),
            seconds=8.1,
            complaints=(
                "the starter passes test_help",
                "mutant one-read is not killed by test_request_cut_anywhere, which it names, but by test_other alone",
            ),
        ),
    ]
    assert [proof.holds for proof in proofs] == [True, False]
    assert not Proof("03-x").holds
    golden("verify", "\n".join(proof_lines(proofs, Style())) + "\n")
