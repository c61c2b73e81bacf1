"""Plans of faults: what they mean, that they repeat, and what they say to a plan that means nothing."""

from typing import Any

import pytest
from scapy.all import ICMPv6EchoRequest

from groundup.link.decode import decode
from groundup.link.faults import TO_CLIENT, TO_SERVER, FaultPlanError, Plan, Verdict
from groundup.link.pcapng import Direction

from .link_frames import arp_request, ipv6, tcp, udp

SEGMENTS = [tcp(True, "PA", f"segment {number}".encode(), seq=number) for number in range(200)]


def verdicts(plan: dict[str, Any], frames: list[bytes], direction: Direction = TO_SERVER) -> list[Verdict | None]:
    parsed = Plan.parse(plan)
    return [parsed.decide(direction, frame) for frame in frames]


def dropped(plan: dict[str, Any], frames: list[bytes], direction: Direction = TO_SERVER) -> list[int]:
    return [
        number
        for number, verdict in enumerate(verdicts(plan, frames, direction))
        if verdict is not None and verdict.dropped
    ]


def test_the_same_seed_and_frames_give_the_same_verdicts() -> None:
    plan = {"seed": 7, "drop": 0.2, "corrupt": 0.2, "duplicate": 0.2, "jitter_ms": 9}
    assert verdicts(plan, SEGMENTS) == verdicts(plan, SEGMENTS)
    assert verdicts(plan, SEGMENTS) != verdicts(plan | {"seed": 8}, SEGMENTS)


def test_one_direction_does_not_disturb_the_other() -> None:
    plan = {"seed": 7, "drop": 0.3}
    parsed = Plan.parse(plan)
    mixed = []
    for number, frame in enumerate(SEGMENTS):
        for _ in range(number % 3):
            parsed.decide(TO_CLIENT, frame)
        mixed.append(parsed.decide(TO_SERVER, frame))
    assert mixed == verdicts(plan, SEGMENTS)


def test_a_chance_is_kept_to() -> None:
    assert 20 <= len(dropped({"seed": 1, "drop": 0.2}, SEGMENTS)) <= 60
    assert len(dropped({"drop": True}, SEGMENTS)) == 200
    assert dropped({"drop": 0, "delay_ms": 1}, SEGMENTS) == []


def test_numbers_choose_frames() -> None:
    assert dropped({"drop": True, "first": 3}, SEGMENTS) == [0, 1, 2]
    assert dropped({"drop": True, "skip": 2, "first": 1}, SEGMENTS) == [2]
    assert dropped({"drop": True, "every": 50}, SEGMENTS) == [49, 99, 149, 199]
    assert dropped({"drop": True, "skip": 100, "first": 50, "every": 20}, SEGMENTS) == [119, 139]


def test_directions() -> None:
    assert dropped({"drop": True, "direction": "to-client"}, SEGMENTS) == []
    assert len(dropped({"drop": True, "direction": "to-client"}, SEGMENTS, TO_CLIENT)) == 200
    assert len(dropped({"drop": True, "direction": "both", "first": 5}, SEGMENTS, TO_CLIENT)) == 5


@pytest.mark.parametrize(
    ("match", "which"),
    [
        ("tcp", [0, 1]),
        ("udp", [2]),
        ("arp", [3]),
        ("icmp", [4]),
        ("ipv4", [0, 1, 2]),
        ("ipv6", [4]),
        ({"port": 7}, [2]),
        ({"protocol": "tcp", "port": 40113}, [0, 1]),
        ({"protocol": "tcp", "data": True}, [1]),
        ({"data": True}, [1, 2]),
        ({}, [0, 1, 2, 3, 4]),
    ],
)
def test_matches(match: Any, which: list[int]) -> None:
    frames = [tcp(True, "S"), tcp(True, "PA", b"x"), udp(True, b"y"), arp_request(), ipv6(True, ICMPv6EchoRequest())]
    assert dropped({"drop": True, "match": match}, frames) == which


def test_the_first_rule_that_wants_a_frame_decides() -> None:
    plan = {"seed": 3, "rules": [{"match": "udp", "delay_ms": 5}, {"drop": True, "first": 1}]}
    frames = [udp(True, b"a"), tcp(True, "S"), tcp(True, "S")]
    first, second, third = verdicts(plan, frames)
    assert first is not None
    assert first.deliveries[0].delay == 0.005
    assert first.deliveries[0].note == "delayed 5 ms by plan"
    assert second is not None
    assert second.dropped
    assert third is None


def test_corruption_flips_one_bit_of_the_payload() -> None:
    for frame in [*SEGMENTS, udp(True, b"z"), arp_request(), tcp(True, "A"), b"x" * 14, b"x" * 15]:
        (verdict,) = verdicts({"corrupt": True, "seed": len(frame)}, [frame])
        assert verdict is not None
        (delivery,) = verdict.deliveries
        changed = [index for index, byte in enumerate(frame) if delivery.frame[index] != byte]
        assert len(delivery.frame) == len(frame)
        if len(frame) > 14:
            (index,) = changed
            assert (delivery.frame[index] ^ frame[index]).bit_count() == 1
            assert index >= min(decode(frame).payload_offset, len(frame) - 1) or not decode(frame).payload
        else:
            assert not changed
            assert not verdict.corrupted


def test_duplicates_reorders_and_injections() -> None:
    (verdict,) = verdicts({"duplicate": 1}, SEGMENTS[:1])
    assert verdict is not None
    assert [delivery.note for delivery in verdict.deliveries] == ["", "duplicated by plan"]
    held = [verdict is not None and verdict.deliveries[0].hold for verdict in verdicts({"reorder": True}, SEGMENTS[:4])]
    assert held == [True, False, True, False]
    (verdict,) = verdicts({"inject": {"frame": b"CHAO".hex(), "to": "client"}}, SEGMENTS[:1])
    assert verdict is not None
    own, forged = verdict.deliveries
    assert own.frame == SEGMENTS[0]
    assert (forged.frame, forged.direction, forged.injected) == (b"CHAO", TO_CLIENT, True)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "a fault plan is an object"),
        ({}, "the plan does nothing"),
        ({"seed": 1.5, "drop": 1}, "the plan's seed is 1.5"),
        ({"drop": 1.5}, "the plan: drop is 1.5"),
        ({"drop": "often"}, "the plan: drop is 'often'"),
        ({"drop": float("nan")}, "the plan: drop is nan"),
        ({"dorp": 1, "drop": 1}, "the plan has 'dorp', which means nothing"),
        ({"drop": 1, "direction": "up"}, "direction is 'up'"),
        ({"drop": 1, "match": "tpc"}, "match: protocol is 'tpc'"),
        ({"drop": 1, "match": 5}, "match is 5"),
        ({"drop": 1, "match": {"port": 70000}}, "port is 70000"),
        ({"drop": 1, "match": {"port": "http"}}, "match: port is 'http'"),
        ({"drop": 1, "match": {"data": 1}}, "data is 1"),
        ({"drop": 1, "match": {"host": "a"}}, "match has 'host'"),
        ({"drop": 1, "first": -1}, "first is -1"),
        ({"drop": 1, "every": 0}, "every is 0"),
        ({"drop": 1, "first": True}, "first is True"),
        ({"delay_ms": -1}, "delay_ms is -1"),
        ({"delay_ms": 1e9}, "delay_ms is 1000000000.0"),
        ({"delay_ms": float("inf")}, "delay_ms is inf"),
        ({"inject": "xyz"}, "inject is 'xyz'"),
        ({"inject": ""}, "inject is '0 bytes'"),
        ({"inject": {"frame": "00", "to": "nobody"}}, "to is 'nobody'"),
        ({"rules": {}}, "rules are not a list"),
        ({"rules": [1]}, "rules are not a list"),
        ({"rules": [], "drop": 1}, "'drop' beside its rules"),
        ({"rules": [{"drop": 1}, {"drop": 2}]}, "rule 2: drop is 2"),
    ],
)
def test_plans_that_mean_nothing_are_refused(plan: Any, words: str) -> None:
    with pytest.raises(FaultPlanError) as caught:
        Plan.parse(plan)
    assert words in caught.value.message


def test_an_empty_list_of_rules_is_a_plan() -> None:
    assert verdicts({"rules": []}, SEGMENTS[:2]) == [None, None]
