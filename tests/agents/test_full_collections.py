"""Full collections: none while events are handled, and yet nothing is kept for ever."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from agents.full_collections import (
    collect_now_and_not_later,
    not_while_restoring,
    rare_full_collections,
)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # Python's own, whatever ran here before
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Cycle:
    """Found by the collector only."""

    def __init__(self) -> None:
        self.itself = self


def full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])


def handle(events: int) -> list[Cycle]:
    """Leaves a cycle for each event behind, and keeps something of each."""
    kept = []
    for _ in range(events):
        Cycle()
        kept.append(Cycle())
    return kept


def test_none_while_a_state_is_restored() -> None:
    not_while_restoring()
    before = full_collections()
    kept = handle(200_000)
    assert full_collections() == before
    assert kept


def test_without_it_there_are_many_and_with_it_none() -> None:
    gc.collect()
    gc.freeze()
    gc.collect()  # Python looks again when what is new is a quarter of what it found here
    before = full_collections()
    kept = handle(200_000)
    assert full_collections() > before
    collect_now_and_not_later()
    before = full_collections()
    kept += handle(200_000)
    assert full_collections() == before


def test_what_an_event_leaves_behind_goes_all_the_same() -> None:
    collect_now_and_not_later()
    left = weakref.ref(Cycle())
    handle(50_000)
    assert left() is None


async def test_what_a_connection_leaves_behind_goes_with_the_next_full_one() -> None:
    async with rare_full_collections(0.2):
        await asyncio.sleep(0.05)
        connection = Cycle()
        left = weakref.ref(connection)
        gc.collect()
        gc.freeze()  # it has lived for long
        del connection
        await asyncio.sleep(0.5)
        assert left() is None
    assert gc.get_freeze_count() == 0
