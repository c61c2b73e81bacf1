"""Several things at once, of which none may be left running when one fails."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run all of `work` at once and return the results in order.

    When one raises, or the caller is cancelled, the others are cancelled and waited for before that is raised.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first(*work: Coroutine[Any, Any, T]) -> T:
    """Run all of `work` at once and return the result of whichever ends first, or raise what that one raised.

    The others are cancelled and waited for before that. Of several that have ended the first in order counts.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
