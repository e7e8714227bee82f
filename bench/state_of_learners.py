"""The state of very many learners, as the rows that a worker's changelogs have.

A class is simulated and folded; then each of its learners stands for many, whose rows are the same
under ids of their own. So a million learners take a minute or two, not a million learners' events.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from typing import NamedTuple

from agents.topics import EVENTS, changelog
from bench.feed import Keyed
from config.seed_trees import seed_trees
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules
from streams.tables import TableValue, encode_value

_CLASS = 200
_SEED = 3
_BEFORE_ANY_EVENT = -1


class Row(NamedTuple):
    """Of one learner, whose id is in key and value."""

    table: str
    key: bytes
    value: bytes


def class_of(days: int) -> dict[bytes, list[Row]]:
    """By id, the rows of each learner of a class after ``days`` days."""
    now = datetime.now(UTC)
    replay = Replay(seed_trees(), Rules(), Source(EVENTS, 0))
    lines = simulate(_CLASS, days, _SEED)
    records = (Record(at, routing_key(line), line, now) for at, line in enumerate(lines))
    for _ in replay.feed(records):
        pass
    rows: dict[bytes, list[Row]] = {}
    for table, values in replay.tables.values.items():
        for key, value in values.items():
            raw = encode_value(_as_if_unread(value))
            user_id = key.partition("|")[0].encode()
            rows.setdefault(user_id, []).append(Row(table, key.encode(), raw))
    return rows


def rows_of(known: dict[bytes, list[Row]], numbers: range, app_id: str) -> Iterator[Keyed]:
    """The rows of learners by number, for the changelogs of ``app_id``."""
    learners = list(known.items())
    for number in numbers:
        stands_for, rows = learners[number % len(learners)]
        user_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{_SEED}/{number}")).encode()
        for table, key, value in rows:
            yield Keyed(
                changelog(app_id, table),
                key.replace(stands_for, user_id),
                value.replace(stands_for, user_id),
            )


def _as_if_unread(value: TableValue) -> TableValue:
    """No offset of an event log that is to come was folded into it."""
    if isinstance(value, bytes):
        return value
    unread = copy(value)
    unread.offset = _BEFORE_ANY_EVENT
    return unread
