"""How long the fixtures wait."""

from groundup_guest.scene import FLOOR_SECONDS, SLOWEST_UNIT, UNITS, Deadlines, Settings


def test_times_follow_the_pair_between_two_bounds() -> None:
    assert Deadlines(unit=0.0001).default == FLOOR_SECONDS
    assert Deadlines(unit=0.01).default == UNITS * 0.01
    held_up = Deadlines(unit=10.0)
    assert held_up.unit == SLOWEST_UNIT
    assert held_up.default < Settings("listen").limit / 2
    assert held_up.slack < held_up.default / 4
