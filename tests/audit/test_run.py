"""The audit while everything runs, on a real Kafka: versions change, rows go wrong on purpose."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from agents.prompt_sets import prompts_in
from agents.sink import run_sinks
from agents.topics import ADOPTIONS, DECISIONS, EVENTS, EXAMPLES, PROMPT_SETS, TREE_VERSIONS
from agents.worker import run_worker
from audit.rows import Row
from audit.run import Asked, StoreReport, run_audit
from config.prompts import prompts_folder
from config.settings import PromptSettings, Settings, SinkSettings
from schemas.adoption import TreeAdoption
from schemas.contract import encode
from schemas.errors import InvalidInput
from schemas.topics import DEAD_LETTERS
from simulation.classroom import simulate
from sink_suite.stream_records import published_versions
from sink_suite.told_store import ToldStore
from sinks.contract import SinkRecord

TOPICS = (
    *(EVENTS, DECISIONS, EXAMPLES, TREE_VERSIONS, PROMPT_SETS, DEAD_LETTERS),
    *("profile", "engagement"),
)
BAD = b'{"bad'
IDS = {
    DECISIONS: "decision_id",
    EXAMPLES: "example_id",
    PROMPT_SETS: "version",
    DEAD_LETTERS: "dead_letter_id",
}


class KeptById(ToldStore):
    """Rows by id as a real store has them, and its audit in one."""

    tables = TOPICS

    def __init__(self) -> None:
        super().__init__(TOPICS)
        self.name = "kept"
        self.kept: dict[tuple[str, str], Row] = {}

    async def write(self, batch: object) -> None:
        await super().write(batch)  # type: ignore[arg-type]
        for record in batch:  # type: ignore[attr-defined]
            for row in self.expected(record):
                self.kept[row.table, row.id] = row

    def expected(self, record: SinkRecord) -> Iterator[Row]:
        value = record.value
        assert value is not None
        if record.topic == EVENTS:
            id_ = value["event_id"]
        elif record.topic == TREE_VERSIONS:
            id_ = f"{value['tree_id']}:{value['version']}"
        else:
            id_ = value[IDS[record.topic]] if record.topic in IDS else record.key
        yield Row(record.topic, id_, value)

    async def stored(self) -> AsyncIterator[Row]:
        for row in list(self.kept.values()):
            yield row


def send(settings: Settings, topic: str, lines: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for line in lines:
        key = "" if line == BAD else json.loads(line).get("user_id", "")
        producer.produce(topic, line, key)
    assert producer.flush(10) == 0


@asynccontextmanager
async def running(settings: Settings, store: KeptById) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(run_worker(settings, stop)),
        asyncio.create_task(run_sinks(settings, [store], stop)),
    ]
    try:
        yield
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def audited(settings: Settings, store: KeptById, asked: Asked | None = None) -> StoreReport:
    (report,) = await run_audit(settings, [store], asked or Asked(), lambda _: None)
    return report


@pytest.fixture
def settings(fresh_kafka: Settings) -> Settings:
    quick = SinkSettings(max_age_seconds=0.05, retry_first_seconds=0.02)
    return fresh_kafka.model_copy(update={"sink": quick})


async def test_in_step_although_versions_change_meanwhile(settings: Settings) -> None:
    lines = list(simulate(8, 12, seed=3))
    third = len(lines) // 3
    store = KeptById()
    async with running(settings, store):
        send(settings, EVENTS, [*lines[:third], BAD, lines[0], lines[third - 1]])
        await until(lambda: any(topic == DECISIONS for topic, _ in store.kept))
        for version in published_versions():
            send(settings, TREE_VERSIONS, [version.model_dump_json().encode()])
        await until(lambda: (TREE_VERSIONS, "intervention_strategy:1") in store.kept)
        send(settings, EVENTS, lines[third:])
        report = await audited(settings, store)
    assert report.in_step, [table.first for table in report.tables]
    rows = {table.table: table.rows for table in report.tables}
    assert rows[EVENTS] == len(lines)
    assert rows[DEAD_LETTERS] == 1
    assert rows[TREE_VERSIONS] == 4
    versions = {
        row.values["decision_version"]
        for (topic, _), row in store.kept.items()
        if topic == DECISIONS and row.values is not None
    }
    assert versions == {0, 1}, "otherwise the test shows nothing"


async def test_in_step_although_the_prompts_were_edited(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(Path(str(prompts_folder(None))), folder)
    for file in folder.glob("*_*/*.txt"):
        file.write_text("Be kind. {because} {weakest_topics}")
    edited = settings.model_copy(update={"prompts": PromptSettings(folder=folder)})
    lines = list(simulate(6, 12, seed=3))
    store = KeptById()
    for half, its in ((lines[::2], settings), (lines[1::2], edited), (lines[:40], settings)):
        async with running(its, store):
            send(its, EVENTS, half)
            # Whoever audits needs no folder: what decided stands on the topic.
            report = await audited(settings, store)
        assert report.in_step, [table.first for table in report.tables]
    versions = {prompts_in(None).version, prompts_in(folder).version}
    made = [row.values for (topic, _), row in store.kept.items() if topic == DECISIONS]
    assert {values["prompt_version"] for values in made if values is not None} == versions
    assert {id_ for topic, id_ in store.kept if topic == PROMPT_SETS} == versions
    lost = store.kept.pop((PROMPT_SETS, prompts_in(folder).version))
    async with running(settings, store):
        report = await audited(settings, store)
    assert [(d.kind, d.id) for table in report.tables for d in table.first] == [
        ("missing", lost.id)
    ]


async def test_a_set_that_nobody_has_is_named(settings: Settings) -> None:
    store = KeptById()
    async with running(settings, store):
        send(settings, EVENTS, list(simulate(2, 3, seed=5)))
        assert (await audited(settings, store)).in_step
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for partition in range(settings.kafka.partitions):
        told = TreeAdoption(partition, 0, {}, "0123456789ab")
        producer.produce(ADOPTIONS, encode(told), str(partition), partition)
    assert producer.flush(10) == 0
    with pytest.raises(InvalidInput, match="prompt set 0123456789ab decided from offset 0 on"):
        await audited(settings, store)


async def test_while_events_come_in_nothing_is_wrong(settings: Settings) -> None:
    lines = list(simulate(10, 20, seed=4))
    store = KeptById()

    async def load() -> None:
        for at in range(0, len(lines), 20):
            send(settings, EVENTS, lines[at : at + 20])
            await asyncio.sleep(0.05)

    async with running(settings, store):
        loading = asyncio.create_task(load())
        for _ in range(3):
            report = await audited(settings, store)
            assert report.in_step, [table.first for table in report.tables]
        await loading
        assert (await audited(settings, store)).in_step


async def test_each_kind_of_difference_is_found_and_told(settings: Settings) -> None:
    store = KeptById()
    async with running(settings, store):
        send(settings, EVENTS, list(simulate(3, 5, seed=5)))
        assert (await audited(settings, store)).in_step
        decision = next(key for key in store.kept if key[0] == DECISIONS)
        values = store.kept[decision].values
        assert values is not None
        store.kept[decision] = Row(*decision, {**values, "decision_label": "Another"})
        lost = next(key for key in store.kept if key[0] == EVENTS)
        del store.kept[lost]
        store.kept[EXAMPLES, "odd"] = Row(EXAMPLES, "odd", {"label": "?"})
        report = await audited(settings, store)
    tables = {table.table: table for table in report.tables}
    assert not report.in_step
    assert (report.total("missing"), report.total("extra"), report.total("different")) == (1, 1, 1)
    (wrong,) = tables[DECISIONS].first
    assert wrong.fields == {"decision_label": ("Another", values["decision_label"])}
    (missing,) = tables[EVENTS].first
    assert (missing.kind, missing.id) == ("missing", lost[1])
    assert missing.fields["event_id"] == (None, lost[1])
    (extra,) = tables[EXAMPLES].first
    assert (extra.kind, extra.id) == ("extra", "odd")


async def test_what_the_store_refused_is_not_missing(settings: Settings) -> None:
    store = KeptById()
    store.refuses = lambda record: record.topic == EVENTS and record.offset % 7 == 0
    async with running(settings, store):
        send(settings, EVENTS, list(simulate(3, 5, seed=5)))
        report = await audited(settings, store)
    assert report.in_step, [table.first for table in report.tables]
    assert report.total("refused") > 3


async def test_a_sink_that_does_not_follow_is_behind_and_its_rows_missing(
    settings: Settings,
) -> None:
    store = KeptById()
    async with running(settings, store):
        send(settings, EVENTS, list(simulate(2, 3, seed=5)))
        assert (await audited(settings, store)).in_step
        store.away = True
        send(settings, EVENTS, list(simulate(2, 3, seed=6)))
        report = await audited(settings, store, Asked(wait_seconds=3))
        store.away = False
        assert report.behind > 0
        assert report.total("missing") > 0
        assert not report.in_step
        assert (await audited(settings, store)).in_step


async def test_only_the_range_that_was_asked_for(settings: Settings) -> None:
    store = KeptById()
    async with running(settings, store):
        send(settings, EVENTS, list(simulate(2, 3, seed=5)))
        assert (await audited(settings, store)).in_step
        await asyncio.sleep(0.05)
        between = datetime.now(UTC)
        await asyncio.sleep(0.05)
        early = next(key for key in store.kept if key[0] == EVENTS)
        lost = store.kept.pop(early)
        send(settings, EVENTS, list(simulate(2, 3, seed=6)))
        assert (await audited(settings, store, Asked(since=between))).in_step
        assert (await audited(settings, store, Asked(until=between))).total("missing") == 1
        store.kept[early] = lost
        soon = Asked(until=between + timedelta(days=1))
        assert (await audited(settings, store, soon)).in_step


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
