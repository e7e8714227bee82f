"""The same step against more and more of one thing: what `bench.growth` measures.

A case gives work again and again; its tables may be changed. All cases of a curve are given events
of the same kinds, each in a batch of its own but where batches are the point: two events of
one state in a batch have it encoded once, and there is more of that the fewer learners there are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import count, islice, repeat

from bench.learner_history import FULL, history, learner_id
from bench.step_work import Work, as_records, class_work, do, fresh, work
from schemas.feature import FEATURES
from schemas.fields import LABELS, TREE_IDS, TreeId
from schemas.tree import Branch, Leaf, TreeDocument
from streams.decode import Record
from streams.tables import MemoryTables, TableValue, decode_value, encode_value

Case = Iterator[Work]

HISTORY = (10, 100, 1_000, 10_000, 100_000)
FULL_WINDOWS = 1_000
"""The first size of `HISTORY` at which every window is full."""
LEARNERS = (1, 10, 100, 1_000)
RESTORED = (3_000, 10_000, 30_000, 100_000)
COURSES = (1, 2, 5, 10, 30)
DEPTHS = (1, 2, 4, 8, 16, 24)
BATCHES = (1, 10, 100, 1_000)
_EVENTS = 48
"""Of one learner four days, so that every case begins as many; of many as many of each kind."""
_KINDS = 12
_LIVED = 24
"""Events of each learner by which a state has lived: most of its objects were made since."""
_LEARNER = learner_id(0)


def by_history() -> dict[int, Case]:
    """Events behind the learner."""
    tables, cases, done = MemoryTables(), {}, 0
    for size in HISTORY:
        do(work(tables, as_records(history(_LEARNER, done, size - done), done)))
        cases[size] = again(_next_events(tables, size))
        done = size
    return cases


def by_courses() -> dict[int, Case]:
    """Courses that the learner is active in by turns, each with full windows."""
    cases = {}
    for courses in COURSES:
        tables, before = MemoryTables(), FULL * courses
        do(work(tables, as_records(history(_LEARNER, 0, before, courses))))
        cases[courses] = again(_next_events(tables, before, courses))
    return cases


def by_depth() -> dict[int, Case]:
    """Questions that both trees ask of every event."""
    tables = MemoryTables()
    do(work(tables, as_records(history(_LEARNER, 0, FULL))))
    records = list(as_records(history(_LEARNER, FULL, _EVENTS), FULL))
    return {
        depth: again(work(tables, records, 1, {t: chain(t, depth) for t in TREE_IDS}))
        for depth in DEPTHS
    }


def by_batch() -> dict[int, Case]:
    """Events of a class in one batch."""
    most = class_work(3_000, BATCHES[-1], BATCHES[-1])
    records = [record for batch in most.batches for record in batch]
    return {size: again(work(most.tables, records, size)) for size in BATCHES}


def by_learners() -> dict[int, Case]:
    """Learners with full windows who have lived on, of whom each event has another one.

    The objects of such a state were made at different times and lie as far from each other as what
    was made in between: it costs more to look at than one that was just restored.
    """
    cases = {size: _in_turn(size) for size in LEARNERS}
    for size, case in cases.items():
        for given in islice(case, max(1, _LIVED * size // _EVENTS)):
            do(given)
    return cases


def by_restored() -> dict[int, Case]:
    """The same as they were restored, each state in one piece of memory; so many that hardly one
    is seen twice."""
    return {size: _in_turn(size) for size in RESTORED}


def again(given: Work) -> Case:
    """The same work each time."""
    return map(fresh, repeat(given))


def chain(tree_id: TreeId, depth: int) -> TreeDocument:
    """A tree whose every question is answered alike, so that all events come to the deepest leaf.

    Args:
        depth: 1 … ``schemas.tree.MAX_DEPTH``.
    """
    distribution = {LABELS[tree_id][0]: 3.0, LABELS[tree_id][1]: 1.0}
    nodes: list[Branch | Leaf] = []
    for level in range(depth):
        feature = FEATURES[level % len(FEATURES)]
        at = len(nodes)
        nodes += [
            Branch(
                rule_id=f"asks-{level}",
                feature=feature.name,
                threshold=feature.low - 1,
                left=at + 1,
                right=at + 2,
            ),
            Leaf(rule_id=f"never-{level}", distribution=distribution),
        ]
    nodes.append(Leaf(rule_id="always", distribution=distribution))
    return TreeDocument(
        tree_id=tree_id,
        version=1,
        author="bench",
        reason="as deep as asked for",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        nodes=tuple(nodes),
    )


def _next_events(tables: MemoryTables, behind: int, courses: int = 1) -> Work:
    """The learner's next events, from where the tables stand now."""
    records = as_records(history(_LEARNER, behind, _EVENTS, courses), behind)
    return fresh(work(tables, records, 1))


Row = tuple[str, str, bytes]
"""Table, key and encoded value."""


@cache
def _rows_after(events: int) -> list[Row]:
    """The state of a learner, with the ids of its latest two days: of others none is looked up."""
    tables = MemoryTables()
    do(work(tables, as_records(history(_LEARNER, 0, events))))
    rows = [
        (table, key, encode_value(value))
        for table, values in tables.values.items()
        for key, value in values.items()
    ]
    pages = [row for row in rows if row[0] == "seen"]
    return [row for row in rows if row[0] != "seen"] + pages[-2:]


def _in_turn(size: int) -> Case:
    """Work of 48 events; `do` each, since the next one goes on from there."""
    # Whole dozens: every twelve events are of each kind once.
    visited = [learner_id(number) for number in range(size - size % _KINDS or size)]
    # In another order than they are restored in, as learners come.
    random.Random(size).shuffle(visited)
    tables, events = _restored(visited), _events_in_turn(visited)
    seeds = work(MemoryTables(), ()).trees
    while True:
        yield Work(tables, [[record] for record in islice(events, _EVENTS)], seeds)


def _restored(visited: list[str]) -> MemoryTables:
    tables, templates = MemoryTables(), [_rows_after(FULL + phase) for phase in range(_KINDS)]
    for user_id, number in sorted(zip(visited, count(), strict=False)):
        for table, key, raw in templates[number % _KINDS]:
            tables.values[table][key.replace(_LEARNER, user_id)] = _value(table, raw, user_id)
    return tables


def _value(table: str, raw: bytes, user_id: str) -> TableValue:
    return decode_value(table, raw.replace(_LEARNER.encode(), user_id.encode()))


def _events_in_turn(visited: list[str]) -> Iterator[Record]:
    """Each learner's next event goes on from its own template, so that kinds are mixed."""
    for turn in count():
        for number, user_id in enumerate(visited):
            (line,) = history(user_id, FULL + number % _KINDS + turn, 1)
            (record,) = as_records([line], FULL + _KINDS + turn * len(visited) + number)
            yield record
