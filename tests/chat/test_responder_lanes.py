"""Lanes: sessions side by side, each in order; what is given up is not in hand any more."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest
from example_chat.conversation import event_id, said

from chat.request_queue import Request
from chat.responder_lanes import Lanes


def request(number: int, learner: int = 0, partition: int = 0) -> Request:
    return Request(partition, number, said(number, user_id=event_id(f"learner {learner}")).record)


class Work:
    """Waits for its word before each message is done."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.gates: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    async def __call__(self, request: Request) -> None:
        self.begun.append(request.id)
        await self.gates[request.id].wait()
        self.done.append(request.id)

    def let(self, *numbers: int) -> None:
        for number in numbers:
            self.gates[number].set()


@pytest.fixture
def work() -> Work:
    return Work()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_session_is_answered_in_order_and_others_meanwhile(work: Work) -> None:
    lanes = Lanes(work, 10)
    for number in range(6):
        lanes.put(request(number, number % 2))
    work.let(2, 3, 4, 5)
    await settle()
    assert work.begun == [0, 1]
    work.let(1)
    await settle()
    assert work.done == [1, 3, 5]
    work.let(0)
    await lanes.ended()
    assert work.done == [1, 3, 5, 0, 2, 4]
    assert lanes.in_hand == 0


async def test_no_more_than_that_at_once(work: Work) -> None:
    lanes = Lanes(work, 2)
    for number in range(5):
        lanes.put(request(number, number))
    await settle()
    assert (work.begun, lanes.in_hand, lanes.room) == ([0, 1], 5, 0)
    work.let(0)
    await settle()
    assert work.begun == [0, 1, 2]
    work.let(1, 2, 3, 4)
    await lanes.ended()
    assert (sorted(work.done), lanes.room) == ([0, 1, 2, 3, 4], 4)


async def test_what_is_in_hand_is_not_taken_twice(work: Work) -> None:
    lanes = Lanes(work, 2)
    for _ in range(3):
        lanes.put(request(0))
        await settle()
    work.let(0)
    await lanes.ended()
    assert work.done == [0]


async def test_what_was_not_begun_can_be_given_up(work: Work) -> None:
    lanes = Lanes(work, 5)
    for number in range(3):
        lanes.put(request(number))
    lanes.put(request(7, 1, partition=1))
    lanes.put(request(8, 1, partition=1))
    await settle()
    lanes.give_up_waiting(0)
    assert (lanes.count(0), lanes.count(1)) == (1, 2)
    lanes.put(request(1))
    work.let(0, 1, 7, 8)
    await lanes.ended(0)
    await lanes.ended()
    assert work.done == [0, 1, 7, 8]


async def test_everything_of_a_partition_can_be_given_up(work: Work) -> None:
    lanes = Lanes(work, 1)
    lanes.put(request(0))
    lanes.put(request(1, 1))
    lanes.put(request(7, 2, partition=1))
    await settle()
    lanes.give_up(0)
    assert lanes.partitions == {1}
    work.let(0, 1, 7)
    await lanes.ended()
    await settle()
    assert (work.done, lanes.in_hand) == ([7], 0)
    lanes.put(request(0))
    await lanes.ended()
    assert work.done == [7, 0]


async def test_what_was_given_up_can_be_taken_again_before_it_has_ended() -> None:
    ends = asyncio.Event()
    begun: list[int] = []

    async def slow_to_end(request: Request) -> None:
        begun.append(request.id)
        if len(begun) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await ends.wait()

    lanes = Lanes(slow_to_end, 2)
    lanes.put(request(0))
    await settle()
    lanes.give_up()
    assert lanes.in_hand == 0
    lanes.put(request(0))
    await settle()
    assert begun == [0, 0]
    lanes.put(request(1))
    assert lanes.in_hand == 1
    ends.set()
    await settle()
    assert (begun, lanes.in_hand) == ([0, 0, 1], 0)


async def test_a_failure_is_told() -> None:
    async def fails(_: Request) -> None:
        raise ValueError("a fault of ours")

    lanes = Lanes(fails, 1)
    lanes.put(request(0))
    with pytest.raises(ValueError, match="a fault of ours"):
        await asyncio.wait_for(lanes.failed, 1)
    assert lanes.in_hand == 0
