"""What every sink must do, written once: a store's test file subclasses `SinkContract`.

    class TestPostgres(SinkContract):
        @pytest.fixture
        def make(self, …) -> Make: …

Contents are read back through the store's audit, so that it is tested with it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson
import pytest

from audit.rows import StoreAudit, digest
from schemas.errors import RecordRefused, StoreUnavailable
from sink_suite.stream_records import stream_records
from sinks.contract import Sink, SinkRecord

Contents = dict[tuple[str, str], dict[str, Any]]


class Made(NamedTuple):
    """An empty store of the test's own, twice: ``sink()`` is a new one each time it is called."""

    sink: Callable[[], Sink]
    audit: StoreAudit
    unreachable: Callable[[], Sink]
    """A sink whose store's port nobody listens on."""
    refused: Callable[[SinkRecord], SinkRecord]
    """Makes, of a valid record of the first of ``topics``, one with another id that the store
    refuses."""


class SinkContract:
    """Subclasses supply the fixture ``made``."""

    async def test_setup_twice_changes_nothing(self, made: Made) -> None:
        records = of(made)[:50]
        await write(made, records)
        await write(made, ())
        assert await contents(made.audit) == expected(made.audit, records)

    async def test_everything_written_stands_there_as_it_was_said(self, made: Made) -> None:
        records = of(made)
        await write(made, *chunks(records, 400))
        found, must = await contents(made.audit), expected(made.audit, records)
        assert {table for table, _ in must} == set(made.audit.tables)
        assert_equal(found, must)

    async def test_the_same_again_changes_nothing(self, made: Made) -> None:
        records = of(made)[:1500]
        await write(made, records, records, *chunks(records, 100))
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_an_older_state_never_replaces_a_newer_one(self, made: Made) -> None:
        records = of(made)[:1500]
        await write(made, records, records[:700], [records[0]])
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_a_state_that_was_deleted_and_told_anew_takes_the_old_ones_place(
        self, made: Made
    ) -> None:
        """What a rebuild of the worker's tables writes: as much was folded, but another state."""
        records = of(made)
        wrongly = {"profile": ("writing_style_category", "narrative"), "behavior": ("avg_score", 0)}
        states = [r for r in records if r.topic in wrongly]
        if not states:
            pytest.skip("takes no states")
        last = states[-1]
        assert last.value is not None
        name, other = wrongly[last.topic]
        told = {**last.value, name: other}
        wrong = last._replace(value=told, raw=orjson.dumps(told))
        gone = last._replace(offset=last.offset + 1, value=None, raw=b"")
        again = last._replace(offset=last.offset + 2)
        must = expected(made.audit, [last])
        for batches in ([[wrong, gone, again]], [[wrong], [gone, again]], [[wrong, gone], [again]]):
            await write(made, [gone], *batches)
            found = await contents(made.audit)
            assert {key: found[key] for key in must} == must

    @pytest.mark.parametrize("seed", range(3))
    async def test_cut_and_repeated_anyhow(self, made: Made, seed: int) -> None:
        """A sink that dies goes back to what it had committed, and cuts its batches otherwise."""
        records = of(made)[: 400 + 300 * seed]
        random_ = random.Random(seed)
        at = 0
        batches: list[Sequence[SinkRecord]] = []
        while at < len(records):
            size = random_.randrange(1, 200)
            batches.append(records[at : at + size])
            at += random_.randrange(0, size + 1)
        await write(made, *batches)
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_a_refused_record_says_why_and_its_neighbours_go_in(self, made: Made) -> None:
        records = of(made)[:40]
        first = next(r for r in records if r.topic == made.sink().topics[0])
        bad = made.refused(first)
        sink = made.sink()
        await sink.setup()
        try:
            with pytest.raises(RecordRefused, match=r"\w{3}"):
                await sink.write([bad])
            with pytest.raises(RecordRefused, match=r"\w{3}"):
                await sink.write([*records[:20], bad, *records[20:]])
            await sink.write(records)
        finally:
            await sink.close()
        assert_equal(await contents(made.audit), expected(made.audit, records))

    async def test_a_store_that_does_not_answer_is_unavailable(self, made: Made) -> None:
        sink = made.unreachable()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            await sink.setup()
        await sink.close()
        await sink.close()


def of(made: Made) -> list[SinkRecord]:
    """The records that the store takes."""
    topics = made.sink().topics
    return [record for record in stream_records() if record.topic in topics]


async def write(made: Made, *batches: Sequence[SinkRecord]) -> None:
    """By a sink of its own, set up and closed."""
    sink = made.sink()
    await sink.setup()
    try:
        for batch in batches:
            await sink.write(batch)
    finally:
        await sink.close()


def expected(audit: StoreAudit, records: Iterable[SinkRecord]) -> Contents:
    rows: Contents = {}
    for record in records:
        for row in audit.expected(record):
            if row.values is None:
                rows.pop((row.table, row.id), None)
            else:
                rows[row.table, row.id] = row.values
    return rows


async def contents(audit: StoreAudit) -> Contents:
    """What the store holds but for what its setup put there (version 0 of each tree)."""
    rows: Contents = {}
    async for row in audit.stored():
        assert row.values is not None
        assert (row.table, row.id) not in rows, f"twice: {row.table} {row.id}"
        rows[row.table, row.id] = row.values
    return rows


def assert_equal(found: Contents, must: Contents) -> None:
    missing, extra = must.keys() - found.keys(), found.keys() - must.keys()
    assert not missing, f"{len(missing)} missing, e.g. {sorted(missing)[0]}"
    assert not extra, f"{len(extra)} too many, e.g. {sorted(extra)[0]}"
    for key, values in must.items():
        differing = {
            name: (found[key].get(name), values.get(name))
            for name in values.keys() | found[key].keys()
            if found[key].get(name) != values.get(name)
        }
        assert not differing, f"{key}: (stored, expected) {differing}"
        # To Python 1 and 1.0 are the same, to an audit they are not.
        assert digest(found[key]) == digest(values), f"{key}: {found[key]} {values}"


def chunks(records: Sequence[SinkRecord], size: int) -> Iterable[Sequence[SinkRecord]]:
    return (records[at : at + size] for at in range(0, len(records), size))
