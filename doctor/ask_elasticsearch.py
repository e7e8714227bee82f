"""What Elasticsearch tells of itself; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError

from config.settings import ElasticsearchSettings
from doctor.clocks import measured
from doctor.store import StoreFacts, Trouble
from sinks.elasticsearch_client import answering, connect
from sinks.elasticsearch_indices import INDICES

_BLOCKS = ("read_only", "read_only_allow_delete", "write")
_NEEDED = ["create_index", "read", "view_index_metadata", "write"]
_UNKNOWN = {400, 404, 405}
"""What a server without the security module answers."""


async def facts(settings: ElasticsearchSettings, *, has_run: bool) -> StoreFacts:
    """See `StoreFacts`.

    Raises:
        StoreUnavailable: nobody answers, or the server lets nobody in.
    """
    client = connect(settings)
    aliases = [index.alias(settings) for index in INDICES]
    try:
        with answering(client):
            before = time.time()
            stats = await client.nodes.stats(metric="fs")
            after = time.time()
            versions = await client.nodes.info(filter_path="nodes.*.version")
            health = (await client.cluster.health()).body
            there = [a for a in aliases if await client.indices.exists_alias(name=a)]
            told = await client.indices.get_settings(index=there) if there else None
            granted = await _granted(client, aliases)
    finally:
        await client.close()
    parts = urlsplit(settings.url)
    nodes = stats["nodes"].values()
    fullest = min((node["fs"]["total"] for node in nodes), key=lambda fs: fs["available_in_bytes"])
    clock = max(node["timestamp"] for node in nodes) / 1000
    lacking = [] if granted is None else [f"this user may not {', '.join(granted)}"] * bool(granted)
    return StoreFacts(
        "elasticsearch",
        parts.netloc.rpartition("@")[2] + parts.path,
        min(node["version"] for node in versions["nodes"].values()),
        missing=tuple(alias for alias in aliases if alias not in there),
        has_run=has_run,
        refusals=(*refusals(told.body if told else {}), *lacking),
        disk=(fullest["available_in_bytes"], fullest["total_in_bytes"]),
        clock=measured("elasticsearch", before, clock, after),
        troubles=tuple(troubles(health)),
        untold=("what this user may do",) if granted is None else (),
    )


def refusals(settings: Mapping[str, Any]) -> Iterator[str]:
    """Of ``GET index/_settings``: indices that are blocked, mostly because a disk is full."""
    for name, described in settings.items():
        blocks = described["settings"]["index"].get("blocks", {})
        for block in _BLOCKS:
            if str(blocks.get(block, "false")) == "true":
                yield f"{name} is blocked (index.blocks.{block})"


def troubles(health: Mapping[str, Any]) -> Iterator[Trouble]:
    """Of the cluster's health. Yellow on one node is as it has to be."""
    status, nodes = health["status"], health["number_of_data_nodes"]
    if status == "red":
        yield Trouble(
            "health",
            "wrong",
            f"red: {health['unassigned_shards']} shards are nowhere",
            "GET _cluster/allocation/explain says why",
        )
    elif status == "yellow" and nodes > 1:
        yield Trouble(
            "health",
            "warning",
            f"yellow: {health['unassigned_shards']} copies are missing on {nodes} nodes",
            "GET _cluster/allocation/explain says why",
        )


async def _granted(client: AsyncElasticsearch, aliases: list[str]) -> list[str] | None:
    """What this user lacks; ``None`` where nobody can be asked."""
    names = [*aliases, *(f"{alias}-1" for alias in aliases)]
    try:
        answer = await client.security.has_privileges(
            index=[{"names": names, "privileges": _NEEDED}]
        )
    except NotFoundError:
        return None
    except ApiError as error:
        if error.status_code in _UNKNOWN:
            return None
        raise
    told = answer["index"].values()
    return sorted({right for rights in told for right, has in rights.items() if not has})
