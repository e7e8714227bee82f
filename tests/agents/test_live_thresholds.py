"""A threshold that a person has set is in Redis and PostgreSQL, with who did it and why."""

from __future__ import annotations

import asyncio
import time

from agents.sink import run_sinks
from agents.tree_publisher import publish_edit
from config.settings import RedisSettings, Settings
from queries.postgres import thresholds_in_force
from queries.redis import active_tree
from schemas.tree import Branch, TreeDocument
from servers.postgres import new_database
from servers.store_server import StoreServer
from sinks.postgres import PostgresSink
from sinks.postgres_connection import connected
from sinks.redis import RedisSink, connect
from streams.tree_edits import Versions

TREE = "primary_classification"
SECONDS = 5
"""Generous: the sinks' batches wait half a second at most."""


def moved(versions: Versions) -> TreeDocument:
    """The root's threshold, raised."""
    before = versions[-1]
    root = before.nodes[0]
    assert isinstance(root, Branch)
    nodes = (root.model_copy(update={"threshold": root.threshold + 0.125}), *before.nodes[1:])
    told = {"version": before.version + 1, "author": "m.curie", "reason": "too many alarms"}
    return before.model_copy(update={**told, "nodes": nodes})


async def test_it_is_in_both_stores_at_once(
    fresh_kafka: Settings, postgres_server: StoreServer, redis_server: StoreServer
) -> None:
    redis = RedisSettings(url=redis_server.url, password=redis_server.password)
    client = connect(redis)
    await client.flushdb()
    async with new_database(postgres_server) as postgres, connected(postgres) as connection:
        stop = asyncio.Event()
        sinks = asyncio.create_task(
            run_sinks(fresh_kafka, [PostgresSink(postgres), RedisSink(redis)], stop)
        )
        try:
            async with asyncio.timeout(30):
                while (seed := await active_tree(client, TREE)) is None:
                    await asyncio.sleep(0.05)
            assert seed.version == 0
            document = await publish_edit(fresh_kafka.kafka, TREE, moved)
            began = time.monotonic()
            async with asyncio.timeout(SECONDS):
                while await active_tree(client, TREE) != document:
                    await asyncio.sleep(0.02)
                while not (
                    rules := [
                        rule
                        for rule in await thresholds_in_force(connection, TREE, document.created_at)
                        if rule.version == 1
                    ]
                ):
                    await asyncio.sleep(0.02)
            assert time.monotonic() - began < SECONDS
        finally:
            stop.set()
            await asyncio.wait_for(sinks, 30)
            await client.aclose()
    root = document.nodes[0]
    assert isinstance(root, Branch)
    assert {(rule.author, rule.reason) for rule in rules} == {("m.curie", "too many alarms")}
    assert (rules[0].rule_id, rules[0].threshold) == (root.rule_id, root.threshold)
