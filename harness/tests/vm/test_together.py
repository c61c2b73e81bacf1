"""Things done at once: none goes on when one has failed."""

import asyncio

import pytest

from groundup.together import together


def test_results_come_in_order() -> None:
    async def value(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def both() -> list[int]:
        return await together(value(1), value(2))

    assert asyncio.run(both()) == [1, 2]


def test_a_failure_ends_the_others_before_it_is_raised() -> None:
    ended = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ConnectionError("first")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # an end that takes a while is waited for
            ended.append("waits")

    with pytest.raises(ConnectionError, match="first"):
        asyncio.run(together(fails(), waits()))
    assert ended == ["waits"]


def test_a_caller_that_is_cancelled_leaves_nothing_running() -> None:
    ended = []

    async def waits(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def test() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await together(waits("a"), waits("b"))
        assert ended == ["a", "b"]

    asyncio.run(test())
