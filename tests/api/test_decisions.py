"""The latest decisions over HTTP: from Redis, from PostgreSQL; and as soon as they change."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from api_suite.served import BEGINNING, OTHER, USER, Caller, Stores, delivery, nowhere, served
from schemas.delivery import delivery_adapter
from schemas.http import latest_adapter
from sinks.redis import connect, delivery_key

ALL = f"/v1/learners/{USER}/decisions"
ONE = f"{ALL}/intervention_strategy"
LABEL, STRATEGY = "primary_classification", "intervention_strategy"


async def test_a_decision_that_redis_has_is_a_hit(kept: Stores, caller: Caller) -> None:
    told = delivery(1)
    await kept.tell(told, to="redis")
    answer = await caller.get(ONE)
    assert answer.status == 200
    assert delivery_adapter.validate_json(answer.body) == replace(told, cache_hit=True)


async def test_a_decision_that_redis_does_not_have_comes_from_postgres(
    kept: Stores, caller: Caller
) -> None:
    told = delivery(1)
    await kept.tell(told, to="postgres")
    answer = await caller.get(ONE)
    assert answer.status == 200
    assert delivery_adapter.validate_json(answer.body) == told
    assert answer.json["cache_hit"] is False


async def test_the_latest_by_each_tree(kept: Stores, caller: Caller) -> None:
    label = delivery(5, LABEL)
    await kept.tell(delivery(1), delivery(2, LABEL), delivery(3), label)
    await kept.tell(delivery(9, user_id=OTHER))
    answer = await caller.get(f"/v1/learners/{USER.upper()}/decisions")
    latest = latest_adapter.validate_json(answer.body)
    assert latest.user_id == USER
    assert latest.complete
    assert [d.delivery_id for d in latest.decisions] == [label.delivery_id, delivery(3).delivery_id]
    assert all(d.cache_hit for d in latest.decisions)


async def test_each_store_gives_what_it_has(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1, LABEL), to="postgres")
    await kept.tell(delivery(2), to="redis")
    latest = latest_adapter.validate_json((await caller.get(ALL)).body)
    assert {d.decision_tree_id: d.cache_hit for d in latest.decisions} == {
        LABEL: False,
        STRATEGY: True,
    }


async def test_both_stores_give_the_same_latest_one(kept: Stores, caller: Caller) -> None:
    """Sent again, superseded in the same instant, answered: whatever happened on its way."""
    first, second, third = (replace(delivery(n), delivery_timestamp=BEGINNING) for n in (1, 2, 3))
    again = replace(third, attempt=2, delivery_timestamp=BEGINNING + timedelta(seconds=10))
    steps = [
        first,
        replace(first, response_status="superseded"),
        second,
        replace(second, response_status="superseded"),
        third,
        replace(third, response_status="timeout"),
        again,
        replace(again, response_status="success", responded_at=BEGINNING + timedelta(seconds=11)),
    ]
    client = connect(kept.settings.redis)
    for step in steps:
        await kept.tell(step)
        hit = (await caller.get(ONE)).json
        await client.delete(delivery_key(USER, STRATEGY))
        miss = (await caller.get(ONE)).json
        await kept.tell(step, to="redis")
        if step.response_status != "superseded":
            assert miss == to_builtins(step)
            assert hit == {**miss, "cache_hit": True}
    await client.aclose()


async def test_no_decision_is_404(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1, LABEL, OTHER))
    answer = await caller.get(ALL)
    assert (answer.status, answer.word) == (404, "no-decision")
    answer = await caller.get(f"/v1/learners/{OTHER}/decisions/{STRATEGY}")
    assert (answer.status, answer.word) == (404, "no-decision")
    assert STRATEGY in answer.json["detail"]


async def test_a_tree_that_does_not_exist_is_404(caller: Caller) -> None:
    answer = await caller.get(f"{ALL}/family_tree")
    assert (answer.status, answer.word) == (404, "no-such-tree")


async def test_without_redis_postgres_answers(kept: Stores) -> None:
    await kept.tell(delivery(1), delivery(2, LABEL))
    key = await kept.key()
    async with served(kept.settings, key) as caller:
        etag = (await caller.get(ONE)).headers["ETag"]
    async with served(nowhere(kept.settings, "redis"), key) as caller:
        answer = await caller.get(ONE)
        assert (answer.status, answer.json["cache_hit"]) == (200, False)
        assert answer.headers["ETag"] != etag  # strong: the bytes are others
        assert answer.headers["ETag"].partition("-")[0] == etag.partition("-")[0]


async def test_an_unreadable_record_in_redis_is_a_miss(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1))
    client = connect(kept.settings.redis)
    await client.hset(delivery_key(USER, STRATEGY), "record", b'{"of": "another version"}')
    await client.aclose()
    answer = await caller.get(ONE)
    assert (answer.status, answer.json["cache_hit"]) == (200, False)


async def test_what_has_not_changed_is_304(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1), delivery(2, LABEL))
    for path in (ALL, ONE):
        etag = (await caller.get(path)).headers["ETag"]
        assert etag.startswith('"')
        for known in (etag, f'"x", {etag}', f"W/{etag}", "*"):
            answer = await caller.get(path, If_None_Match=known)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["ETag"] == etag
        for unknown in ('"x"', "x", '"', "", etag.upper() + "x"):
            assert (await caller.get(path, If_None_Match=unknown)).status == 200


async def test_another_status_is_another_etag(kept: Stores, caller: Caller) -> None:
    told = delivery(1)
    await kept.tell(told)
    before = await caller.get(ONE)
    assert (await caller.get(ONE)).headers["ETag"] == before.headers["ETag"]
    await kept.tell(replace(told, response_status="success", responded_at=BEGINNING))
    after = await caller.get(ONE, If_None_Match=before.headers["ETag"])
    assert (after.status, after.json["response_status"]) == (200, "success")


async def test_who_waits_is_answered_once_there_is_another(kept: Stores, caller: Caller) -> None:
    first, second = delivery(1), delivery(2)
    await kept.tell(first)
    etag = (await caller.get(ONE)).headers["ETag"]
    waiting = asyncio.create_task(caller.get(f"{ONE}?wait=50", If_None_Match=etag))
    await kept.waited_for()
    assert not waiting.done()
    await kept.tell(second)
    answer = await asyncio.wait_for(waiting, 5)
    assert (answer.status, answer.json["delivery_id"]) == (200, second.delivery_id)


async def test_who_waits_for_the_first_is_answered_with_it(kept: Stores, caller: Caller) -> None:
    waiting = asyncio.create_task(caller.get(f"{ALL}?wait=50"))
    await kept.waited_for()
    await kept.tell(delivery(1))
    answer = await asyncio.wait_for(waiting, 5)
    assert [d["delivery_id"] for d in answer.json["decisions"]] == [delivery(1).delivery_id]


async def test_who_does_not_know_the_latest_does_not_wait(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1))
    etag = (await caller.get(ONE)).headers["ETag"]
    await kept.tell(delivery(2))
    async with asyncio.timeout(20):
        assert (await caller.get(f"{ONE}?wait=50")).status == 200
        assert (await caller.get(f"{ONE}?wait=50", If_None_Match=etag)).status == 200


async def test_what_becomes_of_a_delivery_wakes_nobody(kept: Stores, caller: Caller) -> None:
    told = delivery(1)
    await kept.tell(told)
    etag = (await caller.get(ONE)).headers["ETag"]
    waiting = asyncio.create_task(caller.get(f"{ONE}?wait=1.5", If_None_Match=etag))
    await kept.waited_for()
    await kept.tell(replace(told, response_status="success", responded_at=BEGINNING))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    answer = await waiting  # at the end it is told all the same: 304 would not be true
    assert (answer.status, answer.json["response_status"]) == (200, "success")


async def test_a_wait_in_vain_ends_with_304_or_404(kept: Stores, caller: Caller) -> None:
    assert (await caller.get(f"{ONE}?wait=0.1")).word == "no-decision"
    await kept.tell(delivery(1))
    etag = (await caller.get(ONE)).headers["ETag"]
    assert (await caller.get(f"{ONE}?wait=0.2", If_None_Match=etag)).status == 304


@pytest.mark.parametrize(
    "query",
    [
        "wait=61",
        "wait=-1",
        "wait=nan",
        "wait=inf",
        "wait=1e1",
        "wait=",
        "wait=1&wait=2",
        "weight=1",
        "wait=%D9%A3",
        "wait=1;drop",
    ],
)
async def test_what_cannot_be_asked_is_400(caller: Caller, query: str) -> None:
    answer = await caller.get(f"{ONE}?{query}")
    assert answer.status == 400
    assert answer.word in ("wait", "query")


@pytest.mark.parametrize(
    "user_id",
    ["x", USER[:-1], USER + "0", USER.replace("-", ""), "%00", "..%2f..", "a" * 500],
)
async def test_who_is_no_uuid_is_400(caller: Caller, user_id: str) -> None:
    answer = await caller.get(f"/v1/learners/{user_id}/decisions")
    assert (answer.status, answer.word) == (400, "user-id")


async def test_many_wait_on_one_connection_and_each_is_woken(kept: Stores, caller: Caller) -> None:
    paths = [f"/v1/learners/{user}/decisions?wait=50" for user in (USER, OTHER) for _ in range(20)]
    waiting = [asyncio.create_task(caller.get(path)) for path in paths]
    await kept.waited_for()
    await kept.waited_for(OTHER)
    await kept.tell(delivery(1), delivery(1, user_id=OTHER))
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 20)
    assert {answer.status for answer in answers} == {200}


async def test_who_leaves_leaves_nothing_behind(kept: Stores, caller: Caller) -> None:
    waiting = [asyncio.create_task(caller.get(f"{ONE}?wait=50")) for _ in range(5)]
    await kept.waited_for()
    for task in waiting:
        task.cancel()
    await kept.left_alone()
