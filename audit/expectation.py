"""What must be on Kafka, and so in every store, for a partition of the log: a replay of it.

The trees decide from the very events on from which the worker said that they did
(``tree.adoptions``), so decisions are expected one by one, whatever was published meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agents.sink_records import record_of_event, records_made, state_records
from config.seed_trees import seed_trees
from schemas.adoption import TreeAdoption
from schemas.errors import InvalidInput, RejectedEvent
from schemas.event import LearnerEvent
from schemas.fields import TreeId
from schemas.topics import EVENTS
from schemas.tree import TreeDocument
from sinks.contract import SinkRecord
from streams.batch import Source
from streams.decode import Record, decode
from streams.replay import Replay
from streams.rules import Rules

Versions = Mapping[tuple[TreeId, int], TreeDocument]


class PartitionReplay:
    """One partition of ``learner.events``, record by record from its beginning.

    Args:
        partition: which.
        adoptions: from ``tree.adoptions``, in order.
        versions: every version that an adoption names.
        rules: the worker's.
    """

    def __init__(
        self,
        partition: int,
        adoptions: Sequence[TreeAdoption],
        versions: Versions,
        rules: Rules,
    ) -> None:
        self._partition = partition
        self._rules = rules
        self._replay = Replay(seed_trees(), rules, Source(EVENTS, partition))
        self._switches = _Switches(adoptions, versions)
        self._told: set[tuple[str, str, str]] = set()

    def take(self, record: Record) -> Iterator[SinkRecord]:
        """What the record must leave on any of the topics.

        The event itself, if it is valid and the first telling of (learner, UTC day, id); one that
        came too late is told too, though it was not folded. ``SinkRecord.offset`` of all else is
        -1: where it stands on its topic tells nothing.

        Raises:
            InvalidInput: an adoption names a version that nobody has.
        """
        for tree in self._switches.until(record.offset):
            self._replay.adopt(tree)
        (batch,) = self._replay.feed((record,))
        event = _valid(record, self._rules)
        if event is not None:
            identity = (event.user_id, event.occurred_at.date().isoformat(), event.event_id)
            if identity not in self._told:
                self._told.add(identity)
                yield record_of_event(self._partition, record.offset, event)
        yield from records_made(self._partition, -1, batch)
        yield from state_records(self._partition, -1, batch.tables.changed)


class _Switches:
    """Adoptions in the order of the log; one that goes back over decided events is a replay's."""

    def __init__(self, adoptions: Sequence[TreeAdoption], versions: Versions) -> None:
        self._left = iter(adoptions)
        self._next = next(self._left, None)
        self._versions = versions
        self._in_force: dict[TreeId, int] = dict.fromkeys(seed_trees(), 0)

    def until(self, offset: int) -> Iterator[TreeDocument]:
        """The versions that came into force up to this event."""
        while self._next is not None and self._next.offset <= offset:
            for tree_id, version in self._next.versions.items():
                if self._in_force[tree_id] == version:
                    continue
                if (tree_id, version) not in self._versions:
                    raise InvalidInput(
                        f"{tree_id} version {version} decided from offset {self._next.offset} on, "
                        "and is not on tree.versions"
                    )
                self._in_force[tree_id] = version
                yield self._versions[tree_id, version]
            self._next = next(self._left, None)


def _valid(record: Record, rules: Rules) -> LearnerEvent | None:
    try:
        return decode(record, rules)
    except RejectedEvent:
        return None
