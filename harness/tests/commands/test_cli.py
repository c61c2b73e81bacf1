"""What the command line takes."""

import pytest

from groundup.cli import parser


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "07", "test_options", "--all"],
        ["check", "07", "--all", "test_options"],
        ["check", "--all", "07", "test_options"],
    ],
)
def test_options_may_stand_anywhere_among_the_operands(arguments: list[str]) -> None:
    found = parser().parse_args(arguments)
    assert (found.chapter, found.tests, found.all) == ("07", ["test_options"], True)


def test_what_begins_with_a_dash_may_be_an_operand_behind_two() -> None:
    found = parser().parse_args(["trace", "07", "--stacks", "--", "tcp_*", "-x"])
    assert (found.patterns, found.stacks) == (["tcp_*", "-x"], True)


def test_the_one_operand_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["check"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("groundup check: error: the following arguments are required: NN\n")
