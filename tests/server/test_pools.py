"""Calls that go together: which thread makes them, and what one that fails, hangs or has gone means for the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest

from imgcls_lab.errors import BusyError, NotFoundError
from imgcls_lab.server import pools
from imgcls_lab.server.pools import Pool, Size, Together


@pytest.fixture
def pool() -> Pool:
    return Pool("kept", Size(2, 10))


def counted(pool: Pool) -> tuple[Together[int], list[int]]:
    """Also: how many calls each thread's turn has made."""
    turns: list[int] = []

    async def run(call: Callable[[], list[int | Exception]]) -> list[int | Exception]:
        outcomes = await pool.run(call)
        turns.append(len(outcomes))
        return outcomes

    return Together(run), turns


def test_calls_that_come_while_one_is_made_go_together_next(pool: Pool) -> None:
    async def ask() -> list[int]:
        begun, go = threading.Event(), threading.Event()

        def first() -> int:
            begun.set()
            assert go.wait(10)
            return 0

        asked = [asyncio.create_task(together.call("a", first))]
        await asyncio.to_thread(begun.wait, 10)
        asked += [asyncio.create_task(together.call("a", partial(int, number))) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        go.set()
        return [*await asyncio.gather(*asked)]

    together, turns = counted(pool)
    assert asyncio.run(ask()) == [0, 1, 2, 3]
    assert turns == [1, 3]


def test_a_call_that_hangs_keeps_those_of_its_own_key_alone_waiting(pool: Pool) -> None:
    async def ask() -> None:
        go = threading.Event()
        hangs = asyncio.create_task(together.call("a", lambda: go.wait(10)))
        await asyncio.sleep(0.05)
        assert await together.call("b", lambda: 7) == 7
        assert not hangs.done()
        go.set()
        assert await hangs

    together, _ = counted(pool)
    asyncio.run(ask())


def test_each_call_has_its_own_error(pool: Pool) -> None:
    def refuse() -> int:
        raise NotFoundError("There is no such image.")

    async def ask() -> tuple[int | BaseException, int | BaseException]:
        return await asyncio.gather(
            together.call("a", refuse), together.call("a", lambda: 2), return_exceptions=True
        )  # fmt: skip

    together, _ = counted(pool)
    error, number = asyncio.run(ask())
    assert isinstance(error, NotFoundError)
    assert number == 2


def test_who_has_gone_costs_the_others_nothing(pool: Pool) -> None:
    async def ask() -> int:
        gone = asyncio.create_task(together.call("a", lambda: 1))
        stays = asyncio.create_task(together.call("a", lambda: 2))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    together, _ = counted(pool)
    assert asyncio.run(ask()) == 2


def test_too_many_that_wait_are_refused(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "MOST_TOGETHER", 3)

    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*(together.call("a", lambda: 1) for _ in range(4)), return_exceptions=True)

    together, _ = counted(pool)
    *answers, refused = asyncio.run(ask())
    assert answers == [1, 1, 1]
    assert isinstance(refused, BusyError)
