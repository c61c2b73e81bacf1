"""How long the fixtures wait."""

from groundup_guest.scene import CEILING_SECONDS, FLOOR_SECONDS, UNITS, Deadlines, Settings


def test_the_default_deadline_follows_the_pair_between_two_bounds() -> None:
    assert Deadlines(unit=0.0001).default == FLOOR_SECONDS
    assert Deadlines(unit=0.01).default == UNITS * 0.01
    assert Deadlines(unit=10.0).default == CEILING_SECONDS
    assert Settings("listen").limit / 2 > CEILING_SECONDS
