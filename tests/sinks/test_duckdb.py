"""DuckDB: the contract of all sinks, and what a file needs that others read meanwhile."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest

from audit.duckdb import DuckdbAudit
from config.settings import DuckdbSettings
from schemas.errors import InvalidInput, RecordRefused, StoreUnavailable
from sink_suite.contract_tests import Made, SinkContract, contents, write
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import ALL, RETRAINING_TOPICS, DuckdbSink, stage
from sinks.duckdb_file import reading
from sinks.duckdb_tables import TABLES

ROOT = Path(__file__).parents[2]
TABLE = {table.topic: table for table in TABLES}


def changed(record: SinkRecord, **fields: Any) -> SinkRecord:
    value = {**(record.value or {}), **fields}
    return record._replace(value=value, raw=orjson.dumps(value))


def of_no_tree(record: SinkRecord) -> SinkRecord:
    return changed(record, decision_id=str(uuid.uuid4()), tree_id="no_tree")


def first(topic: str) -> SinkRecord:
    return next(record for record in stream_records() if record.topic == topic)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.duckdb"


@pytest.fixture
def made(file: Path) -> Made:
    settings = DuckdbSettings(file=file)
    # A folder of that name: what is away of a file is the folder that it lies in.
    away = DuckdbSettings(file=file.parent / "127.0.0.1" / "kept.duckdb")
    return Made(
        sink=lambda: DuckdbSink(settings),
        audit=DuckdbAudit(settings),
        unreachable=lambda: DuckdbSink(away),
        refused=of_no_tree,
    )


class TestDuckdb(SinkContract):
    """Each test in a file of its own."""


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with reading(file) as db:
        found: list[tuple[Any, ...]] = db.execute(sql).fetchall()
        return found


async def test_what_learner_sink_keeps_is_for_retraining(made: Made, file: Path) -> None:
    sink = DuckdbSink(DuckdbSettings(file=file), RETRAINING_TOPICS)
    assert set(sink.topics) < set(ALL)
    await sink.setup()
    await sink.write([record for record in stream_records() if record.topic in sink.topics])
    await sink.close()
    tables = {row[0] for row in rows(file, "SELECT table_name FROM information_schema.tables")}
    assert tables >= {"decisions", "examples", "tree_versions", "tree_thresholds", "dead_letters"}
    assert not tables & {"events", "profiles", "behavior", "engagement", "summaries"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tree_id": "no_tree"}, "CHECK constraint failed on table"),
        ({"decision_version": -1}, "CHECK constraint failed"),
        ({"decision_version": 2**40}, "INT32"),
        ({"decision_id": "no id"}, "Could not convert string 'no id' to UUID"),
        ({"timestamp": "yesterday"}, "invalid timestamp field format"),
        ({"decision_label": None}, r"NOT NULL constraint failed: decisions\.decision_label"),
    ],
)
async def test_what_fits_no_column_is_refused(made: Made, fields: Any, said: str) -> None:
    sink = made.sink()
    await sink.setup()
    with pytest.raises(RecordRefused, match=said):
        await sink.write([changed(first("learner.decisions"), **fields)])
    await sink.close()
    assert await contents(made.audit) == {}


@pytest.mark.parametrize("order", [[[0, 5]], [[5, 0]], [[0], [5]], [[5], [0]], [[5, 0], [5]]])
async def test_of_an_event_the_first_telling_stays(
    made: Made, file: Path, order: list[list[int]]
) -> None:
    event = first("learner.events")
    told = {0: event, 5: changed(event, source="again")._replace(offset=event.offset + 5)}
    await write(made, *([told[later] for later in batch] for batch in order))
    assert rows(file, 'SELECT source, "offset" FROM events') == [("registry", event.offset)]


async def test_the_same_id_on_another_day_is_another_event(made: Made, file: Path) -> None:
    event = first("learner.events")
    await write(made, [event, changed(event, occurred_at="2024-02-01T23:59:59.5Z")])
    days = rows(file, "SELECT CAST(occurred_on AS VARCHAR) FROM events ORDER BY 1")
    assert days == [("2024-01-08",), ("2024-02-01",)]


async def test_the_first_version_with_a_number_stays(made: Made, file: Path) -> None:
    version = first("tree.versions")
    assert version.value is not None
    leaf = {"rule_id": "all", "distribution": {"Fast Tracker": 1.0}}
    late = changed(version, author="late", nodes=[leaf])
    await write(made, [version, late], [late])
    assert rows(file, "SELECT author FROM tree_versions") == [("trainer",)]
    asked = [node["rule_id"] for node in version.value["nodes"] if "feature" in node]
    kept = rows(file, "SELECT rule_id FROM tree_thresholds ORDER BY node")
    assert [rule_id for (rule_id,) in kept] == asked


@pytest.mark.parametrize("topic", ["profile", "behavior", "engagement"])
async def test_a_deleted_state_is_gone_and_may_come_back(made: Made, topic: str) -> None:
    states = [record for record in stream_records() if record.topic == topic]
    state = states[-1]
    others = [record for record in states if record.key != state.key]
    gone = state._replace(value=None, raw=b"")
    older = changed(state, offset=0)
    await write(made, [*others, state], [gone])
    assert state.key not in {key for _, key in await contents(made.audit)}
    assert len(await contents(made.audit)) >= len({record.key for record in others}) > 0
    await write(made, [gone, older])
    assert (await contents(made.audit))[TABLE[topic].name, state.key]["offset"] == 0
    await write(made, [state, gone, older, gone])
    assert state.key not in {key for _, key in await contents(made.audit)}


def test_a_batch_is_narrowed_to_one_record_for_each_key() -> None:
    state = first("behavior")
    at = [changed(state, offset=offset) for offset in range(4)]
    gone = state._replace(value=None)
    key = (state.key,)
    assert stage(TABLE["behavior"], [at[1], at[3], at[2]]) == (set(), {key: at[3]})
    assert stage(TABLE["behavior"], [at[3], gone, at[1], at[0]]) == ({key}, {key: at[1]})
    assert stage(TABLE["behavior"], [at[3], gone]) == ({key}, {})


def test_another_programs_file_is_named(made: Made, file: Path) -> None:
    file.write_text("not a database")
    with pytest.raises(InvalidInput, match=r"kept\.duckdb: .*not a valid DuckDB"):
        asyncio.run(made.sink().setup())


async def test_without_setup_the_missing_table_is_said(made: Made) -> None:
    sink = made.sink()
    with pytest.raises(StoreUnavailable, match="decisions does not exist"):
        await sink.write([first("learner.decisions")])
    await sink.close()


@pytest.mark.parametrize("order", [[[0, 5]], [[5, 0]], [[0], [5]], [[5], [0]], [[5, 0], [5]]])
async def test_of_a_delivery_the_status_told_last_stays(
    made: Made, file: Path, order: list[list[int]]
) -> None:
    sent = first("facilitator.log")
    taken = changed(sent, response_status="success")._replace(offset=sent.offset + 5)
    told = {0: sent, 5: taken, 9: changed(sent, attempt=2)._replace(offset=sent.offset + 9)}
    await write(made, *([told[later] for later in batch] for batch in order), [told[9]])
    found = rows(file, 'SELECT attempt, response_status, "offset" FROM deliveries ORDER BY attempt')
    assert found == [(1, "success", taken.offset), (2, "pending", sent.offset + 9)]
