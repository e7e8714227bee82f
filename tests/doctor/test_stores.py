"""What is judged of stores by what they say of themselves, by worked examples."""

from __future__ import annotations

from typing import Any

import pytest

from doctor import ask_elasticsearch, ask_mongodb, ask_postgres, ask_redis
from doctor.finding import Finding
from doctor.store import SUPPORTED, StoreFacts, Trouble, judge_store, numbers
from sinks.registry import STORES

GIGABYTE = 1_000_000_000


def judged(**changes: Any) -> dict[str, Finding]:
    well = StoreFacts("postgres", "db:5432/learner", "17.6", has_run=True)
    return {finding.check: finding for finding in judge_store(well._replace(**changes))}


def test_a_store_that_is_well() -> None:
    found = judged(disk=(50 * GIGABYTE, 100 * GIGABYTE))
    assert {name: finding.state for name, finding in found.items()} == {
        "version": "ok", "tables": "ok", "writing": "ok", "disk": "ok",
    }  # fmt: skip
    assert found["version"].found == "17.6 at db:5432/learner"
    assert found["disk"].found == "50.0 GB free (50%)"


@pytest.mark.parametrize(
    ("changes", "check", "state", "said"),
    [
        ({"version": "10.4"}, "version", "wrong", "too old"),
        ({"version": "13.1 (Debian 13.1-1)"}, "version", "warning", "never tried"),
        ({"missing": ("every table",), "has_run": False}, "tables", "warning", "never run"),
        ({"missing": ("every table",)}, "tables", "wrong", "has filled some before"),
        ({"outdated": "of revision 0003"}, "tables", "wrong", "0003"),
        ({"refusals": ("it is a standby",)}, "writing", "wrong", "standby"),
        ({"disk": (10, 100)}, "disk", "warning", "10%"),
        ({"disk": (4, 100)}, "disk", "wrong", "4%"),
        (
            {"troubles": (Trouble("memory", "warning", "full", "more"),)},
            "memory",
            "warning",
            "full",
        ),
        ({"untold": ("free disk",)}, "not told", "ok", "free disk"),
    ],
)
def test_what_is_wrong_with_a_store(
    changes: dict[str, Any], check: str, state: str, said: str
) -> None:
    finding = judged(**changes)[check]
    assert (finding.state, said in finding.found) == (state, True), finding
    assert bool(finding.advice) == (state != "ok")


def test_what_a_store_does_not_tell_of_writing_is_not_called_allowed() -> None:
    assert "writing" not in judged(untold=("writing",))


def test_every_store_has_versions() -> None:
    assert set(SUPPORTED) == set(STORES)
    assert all(least <= tried for least, tried in SUPPORTED.values())


@pytest.mark.parametrize(
    ("version", "told"),
    [("15.18 (Debian 15.18-0)", (15, 18)), ("v1.24.2", (1, 24, 2)), ("18.16.1", (18, 16, 1)),
     ("17beta1", (17,)), ("?", ())],
)  # fmt: skip
def test_versions_as_servers_spell_them(version: str, told: tuple[int, ...]) -> None:
    assert numbers(version) == told


@pytest.mark.parametrize(
    ("found", "said"),
    [(None, ""), ("0002", ""), ("0001", "needs 0002"), ("9999", "a newer program")],
)
def test_revisions_of_postgresql(found: str | None, said: str) -> None:
    told = ask_postgres.outdated(found, ["0001", "0002"])
    assert said in told
    assert bool(told) == bool(said)


def test_why_postgresql_could_not_be_written_to() -> None:
    well = {"recovering": False, "read_only": False, "may_make": True, "tables": ()}
    assert ask_postgres.refusals(**well) == ()  # type: ignore[arg-type]
    standby = ask_postgres.refusals(**{**well, "recovering": True, "read_only": True})  # type: ignore[arg-type]
    assert standby == ("it is a standby, which takes no writes",)
    less = ask_postgres.refusals(**{**well, "may_make": False, "tables": ["decisions"]})  # type: ignore[arg-type]
    assert [why.partition("(")[0] for why in less] == [
        "this user may not make the tables ", "this user may not read and write decisions",
    ]  # fmt: skip


def test_tables_that_were_dropped() -> None:
    assert list(ask_postgres.dropped(ask_postgres.TABLES)) == []
    (trouble,) = ask_postgres.dropped(set(ask_postgres.TABLES) - {"decisions"})
    assert (trouble.state, "decisions" in trouble.found) == ("wrong", True)


def privilege(actions: list[str], **resource: Any) -> dict[str, Any]:
    return {"resource": resource, "actions": actions}


@pytest.mark.parametrize(
    ("hello", "allowed", "refused"),
    [
        ({"isWritablePrimary": True}, {"authenticatedUsers": []}, ()),
        ({"isWritablePrimary": False}, {}, ("it is no primary, and takes no writes",)),
        (
            {},
            {
                "authenticatedUsers": [{"user": "learner"}],
                "authenticatedUserPrivileges": [
                    privilege(["find"], db="learner", collection=""),
                    privilege(["insert", "update"], db="other", collection=""),
                ],
            },
            ("this user may not insert, update, remove, createIndex in learner",),
        ),
        (
            {},
            {
                "authenticatedUsers": [{"user": "learner"}],
                "authenticatedUserPrivileges": [
                    privilege(list(ask_mongodb._NEEDED), db="", collection="")
                ],
            },
            (),
        ),
    ],
)
def test_why_mongodb_could_not_be_written_to(
    hello: Any, allowed: Any, refused: tuple[str, ...]
) -> None:
    assert ask_mongodb.refusals(hello, allowed, "learner") == refused


@pytest.mark.parametrize(
    ("info", "dry_run", "refused"),
    [
        ({"role": "master"}, "", 0),
        ({"role": "master"}, None, 0),
        ({"role": "slave"}, "", 1),
        ({"role": "master", "aof_last_write_status": "err"}, "", 1),
        ({"role": "master"}, "User u has no permissions to run the 'hset' command", 1),
    ],
)
def test_why_redis_could_not_be_written_to(info: Any, dry_run: str | None, refused: int) -> None:
    assert len(list(ask_redis.refusals(info, dry_run))) == refused


@pytest.mark.parametrize(
    ("info", "states"),
    [
        ({"maxmemory": 0, "used_memory": 10, "maxmemory_policy": "noeviction"}, {}),
        ({"maxmemory": 100, "used_memory": 50, "maxmemory_policy": "volatile-ttl"}, {}),
        (
            {"maxmemory": 100, "used_memory": 95, "maxmemory_policy": "noeviction"},
            {"memory": "wrong"},
        ),
        (
            {"maxmemory": 100, "used_memory": 50, "maxmemory_policy": "allkeys-lru"},
            {"eviction": "warning"},
        ),
    ],
)
def test_what_redis_does_when_it_is_full(info: Any, states: dict[str, str]) -> None:
    assert {trouble.check: trouble.state for trouble in ask_redis.troubles(info)} == states


@pytest.mark.parametrize(
    ("health", "states"),
    [
        ({"status": "green", "number_of_data_nodes": 1}, []),
        ({"status": "yellow", "number_of_data_nodes": 1, "unassigned_shards": 2}, []),
        ({"status": "yellow", "number_of_data_nodes": 3, "unassigned_shards": 2}, ["warning"]),
        ({"status": "red", "number_of_data_nodes": 1, "unassigned_shards": 2}, ["wrong"]),
    ],
)
def test_the_health_of_elasticsearch(health: Any, states: list[str]) -> None:
    assert [trouble.state for trouble in ask_elasticsearch.troubles(health)] == states


def test_an_index_that_elasticsearch_has_blocked() -> None:
    blocked = {"settings": {"index": {"blocks": {"read_only_allow_delete": "true"}}}}
    free = {"settings": {"index": {"blocks": {"write": "false"}}}}
    told = list(ask_elasticsearch.refusals({"a-1": blocked, "b-1": free}))
    assert told == ["a-1 is blocked (index.blocks.read_only_allow_delete)"]
