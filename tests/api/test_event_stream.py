"""Server-sent events: what is known, what is new, and going on after a lost connection."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from api_suite.served import BEGINNING, PATIENT, USER, Caller, Stores, delivery, served

EVENTS = f"/v1/learners/{USER}/decisions/events"
LABEL = "primary_classification"


async def test_what_is_known_comes_first_then_what_is_new(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1), delivery(2, LABEL))
    async with caller.events(EVENTS) as stream, asyncio.timeout(20):
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store"
        known = {(await stream.next())[1]["delivery_id"] for _ in range(2)}
        assert known == {delivery(1).delivery_id, delivery(2, LABEL).delivery_id}
        for number in range(3, 6):
            await kept.tell(delivery(number))
            _, told = await stream.next()
            assert told["delivery_id"] == delivery(number).delivery_id
            assert told["cache_hit"] is True


async def test_a_learner_without_a_decision_is_waited_for(kept: Stores, caller: Caller) -> None:
    async with caller.events(EVENTS) as stream, asyncio.timeout(20):
        await kept.tell(delivery(1))
        _, told = await stream.next()
        assert told["delivery_id"] == delivery(1).delivery_id


async def test_who_comes_back_hears_what_is_new_since(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1), delivery(2, LABEL))
    async with caller.events(EVENTS) as stream:
        await stream.next()
        last, _ = await stream.next()
    await kept.tell(delivery(3), delivery(4))
    async with caller.events(EVENTS, last) as stream, asyncio.timeout(20):
        last, told = await stream.next()
        assert told["delivery_id"] == delivery(4).delivery_id  # the latest, and the label not again
        await kept.tell(delivery(5, LABEL))
        last, told = await stream.next()
        assert told["delivery_id"] == delivery(5, LABEL).delivery_id
    async with caller.events(EVENTS, last) as stream, asyncio.timeout(20):
        await kept.tell(delivery(6))  # nothing was new before
        _, told = await stream.next()
        assert told["delivery_id"] == delivery(6).delivery_id


async def test_a_connection_lost_between_two_trees_loses_neither(
    kept: Stores, caller: Caller
) -> None:
    await kept.tell(delivery(1), delivery(2, LABEL))
    async with caller.events(EVENTS) as stream:
        last, first = await stream.next()
    async with caller.events(EVENTS, last) as stream, asyncio.timeout(20):
        _, second = await stream.next()
    assert {first["decision_tree_id"], second["decision_tree_id"]} == {
        LABEL,
        "intervention_strategy",
    }


@pytest.mark.parametrize("last", ["x", "", "-", "a.b.c", "A" * 3000, "-.-", "'; DROP TABLE"])
async def test_an_id_that_is_none_of_ours_tells_everything(
    kept: Stores, caller: Caller, last: str
) -> None:
    await kept.tell(delivery(1))
    async with caller.events(EVENTS, last) as stream, asyncio.timeout(20):
        _, told = await stream.next()
        assert told["delivery_id"] == delivery(1).delivery_id


async def test_what_becomes_of_a_delivery_is_no_event(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1))
    async with caller.events(EVENTS) as stream, asyncio.timeout(20):
        await stream.next()
        await kept.tell(replace(delivery(1), response_status="success", responded_at=BEGINNING))
        await kept.tell(delivery(2))
        _, told = await stream.next()
        assert told["delivery_id"] == delivery(2).delivery_id


async def test_a_quiet_stream_gives_signs_of_life_and_ends_at_last(kept: Stores) -> None:
    limits = PATIENT._replace(heartbeat_seconds=0.2, stream_seconds=1.0)
    async with (
        served(kept.settings, await kept.key(), limits) as caller,
        caller.events(EVENTS) as stream,
        asyncio.timeout(20),
    ):
        with pytest.raises(EOFError):
            await stream.next()
        assert stream.comments >= 2


async def test_who_takes_no_events_is_told(caller: Caller) -> None:
    answer = await caller.get(EVENTS, Accept="application/json")
    assert (answer.status, answer.word) == (406, "not-acceptable")
    assert (await caller.get(f"{EVENTS}?since=1")).word == "query"


async def test_who_waits_is_answered_when_the_service_ends(kept: Stores) -> None:
    key = await kept.key()
    service = served(kept.settings, key)
    caller = await service.__aenter__()
    waiting = asyncio.create_task(caller.get(f"{EVENTS.removesuffix('/events')}?wait=50"))
    await kept.waited_for()
    async with asyncio.timeout(20), caller.events(EVENTS) as stream:
        ending = asyncio.create_task(service.__aexit__(None, None, None))
        with pytest.raises(EOFError):
            await stream.next()
        assert (await waiting).word == "no-decision"
        await ending
