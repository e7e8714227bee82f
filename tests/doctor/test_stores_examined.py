"""The examination of real stores: well, and broken in a few ways. Kafka is away, so each is asked
with nothing known of its sink."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import (
    ClickhouseSettings,
    DuckdbSettings,
    ElasticsearchSettings,
    KafkaSettings,
    MongodbSettings,
    PostgresSettings,
    RedisSettings,
    Settings,
)
from doctor.finding import Finding
from doctor.run import GROUPS, examine
from servers.clickhouse import drop_database, is_legacy
from servers.clickhouse import new_database as new_clickhouse
from servers.kafka import free_ports
from servers.postgres import new_database as new_postgres
from servers.store_server import StoreServer
from sinks.clickhouse import connect as clickhouse
from sinks.postgres_connection import connected
from sinks.registry import sink_of


def alone(**sections: Any) -> Settings:
    (nobody,) = free_ports(1)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{nobody}")
    return Settings(_env_file=None, kafka=kafka, **sections)


async def of_store(store: str, settings: Settings) -> dict[str, Finding]:
    """By check; how its clock goes is one of them."""
    found = await examine(settings, [store], lambda _: None)
    return {
        "clock" if finding.group == "clocks" else finding.check: finding
        for finding in found
        if store in {finding.group, finding.check}
    }


def states(found: Mapping[str, Finding]) -> dict[str, str]:
    return {check: finding.state for check, finding in found.items()}


@pytest.fixture
async def postgres(postgres_server: StoreServer) -> AsyncIterator[PostgresSettings]:
    async with new_postgres(postgres_server) as settings:
        yield settings


async def test_postgresql_without_our_tables_with_them_and_with_older_ones(
    postgres: PostgresSettings,
) -> None:
    settings = alone(postgres=postgres)
    before = await of_store("postgres", settings)
    assert before["tables"].state == "warning"
    assert "every table not there" in before["tables"].found
    assert before["version"].state == "ok"
    await run_setup("postgres", settings)
    well = await of_store("postgres", settings)
    assert states(well) == {
        "version": "ok", "tables": "ok", "writing": "ok", "not told": "ok", "clock": "ok",
    }  # fmt: skip
    async with connected(postgres) as connection:
        await connection.execute("UPDATE learner_schema_version SET version_num = '0002'")
    older = await of_store("postgres", settings)
    assert (older["tables"].state, "0002" in older["tables"].found) == ("wrong", True)


async def test_a_table_that_was_dropped_by_hand_is_told(postgres: PostgresSettings) -> None:
    settings = alone(postgres=postgres)
    await run_setup("postgres", settings)
    async with connected(postgres) as connection:
        await connection.execute("DROP TABLE retraining_log")
    found = await of_store("postgres", settings)
    assert (found["tables"].state, "retraining_log" in found["tables"].found) == ("wrong", True)


async def test_a_user_of_postgresql_who_may_only_read_is_told(postgres: PostgresSettings) -> None:
    await run_setup("postgres", alone(postgres=postgres))
    user = f"reader_{postgres.url.rpartition('/')[2]}"
    async with connected(postgres) as connection:
        await connection.execute(f"CREATE USER {user}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}")
    try:
        as_reader = postgres.model_copy(
            update={"url": postgres.url.replace("learner@", f"{user}@")}
        )
        found = await of_store("postgres", alone(postgres=as_reader))
        assert (found["writing"].state, "decisions" in found["writing"].found) == ("wrong", True)
    finally:
        async with connected(postgres) as connection:
            await connection.execute(f"DROP OWNED BY {user}")
            await connection.execute(f"DROP USER {user}")


async def test_postgresql_that_reads_only(postgres: PostgresSettings) -> None:
    settings = alone(postgres=postgres)
    await run_setup("postgres", settings)
    name = postgres.url.rpartition("/")[2]
    async with connected(postgres) as connection:
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    found = await of_store("postgres", settings)
    assert (found["writing"].state, "read-only" in found["writing"].found) == ("wrong", True)


async def test_redis_mongodb_and_elasticsearch_that_are_well(
    redis_server: StoreServer,
    mongodb_server: StoreServer,
    elasticsearch_server: StoreServer,
) -> None:
    settings = alone(
        redis=RedisSettings(url=redis_server.url, password=redis_server.password),
        mongodb=MongodbSettings(url=mongodb_server.url, password=mongodb_server.password),
        elasticsearch=ElasticsearchSettings(
            url=elasticsearch_server.url, password=elasticsearch_server.password
        ),
    )
    for store in ("redis", "mongodb", "elasticsearch"):
        await run_setup(store, settings)
        found = await of_store(store, settings)
        told = {check: f for check, f in found.items() if check not in {"disk", "tables"}}
        assert {f.state for f in told.values()} == {"ok"}, told
        assert found["clock"].state == "ok"
        assert "version" in found
        assert "writing" in found


@pytest.fixture
def clickhouse_settings(clickhouse_server: StoreServer) -> Iterator[ClickhouseSettings]:
    made = new_clickhouse(clickhouse_server)
    yield made
    drop_database(made)


async def test_clickhouse_and_a_user_of_it_who_only_reads(
    clickhouse_settings: ClickhouseSettings,
) -> None:
    with clickhouse(clickhouse_settings) as client:
        old = is_legacy(client)
    if not old:
        await run_setup("clickhouse", alone(clickhouse=clickhouse_settings))
    well = await of_store("clickhouse", alone(clickhouse=clickhouse_settings))
    told = states(well)
    assert told.pop("version") == ("wrong" if old else "ok")  # Debian's is of 2018
    assert set(told.values()) == {"ok"}, well
    reading = clickhouse_settings.model_copy(
        update={"url": f"{clickhouse_settings.url}?readonly=1"}
    )
    found = await of_store("clickhouse", alone(clickhouse=reading))
    assert (found["writing"].state, "reads only" in found["writing"].found) == ("wrong", True)


@pytest.mark.parametrize("store", ["postgres", "mongodb", "clickhouse", "redis", "elasticsearch"])
async def test_a_store_that_is_away_is_said_and_no_secret_with_it(store: str) -> None:
    (nobody,) = free_ports(1)
    section = getattr(Settings(_env_file=None), store)
    address = section.url.replace(
        str(section.url).rpartition(":")[2].partition("/")[0], str(nobody)
    )
    away = section.model_copy(
        update={"url": address, "password": SecretStr("kJ3-a-secret"), "timeout_seconds": 2.0}
    )
    found = await of_store(store, alone(**{store: away}))
    assert states(found) == {"reachable": "wrong"}
    assert str(nobody) in found["reachable"].found
    assert "kJ3-a-secret" not in str(found)


async def test_a_check_that_fails_is_told_without_the_secret_that_its_driver_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def leaky(*_: object, **__: object) -> None:
        raise ValueError("cannot parse redis://:kJ3-a-secret@somewhere\nand more")

    monkeypatch.setattr("doctor.ask_redis.facts", leaky)
    settings = alone(redis=RedisSettings(password=SecretStr("kJ3-a-secret")))
    (finding,) = (await of_store("redis", settings)).values()
    assert finding.state == "wrong"
    assert finding.found == (
        "not checked: ValueError: cannot parse redis://:**********@somewhere and more"
    )


async def test_duckdb_before_and_after_its_sink(tmp_path: Path) -> None:
    settings = alone(duckdb=DuckdbSettings(file=tmp_path / "learner.duckdb"))
    before = await of_store("duckdb", settings)
    assert before["tables"].state == "warning"
    await run_setup("duckdb", settings)
    after = await of_store("duckdb", settings)
    assert after["tables"].state == "ok", after
    assert after["writing"].state == "ok"


def test_groups_are_shown_in_one_order() -> None:
    assert len(set(GROUPS)) == len(GROUPS)


async def run_setup(store: str, settings: Settings) -> None:
    sink = sink_of(store, settings)
    try:
        await sink.setup()
    finally:
        await sink.close()
