"""What must be on Kafka, and so in every store, for a partition of the log: a replay of it.

Trees and prompt sets decide from the very events on from which the worker said that they did
(``tree.adoptions``), so decisions are expected one by one, whatever was published or edited
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from agents.sink_records import record_of_event, records_made, state_records
from config.seed_trees import seed_trees
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent
from schemas.topics import EVENTS
from sinks.contract import SinkRecord
from streams.batch import Source
from streams.decided_replay import Decided, DecidedReplay
from streams.decode import Record, decode
from streams.rules import Rules


class PartitionReplay:
    """One partition of ``learner.events``, record by record from its beginning.

    Args:
        partition: which.
        decided: what decided there.
        rules: the worker's, but for its prompts.
    """

    def __init__(self, partition: int, decided: Decided, rules: Rules) -> None:
        self._partition = partition
        self._rules = rules
        self._replay = DecidedReplay(seed_trees(), rules, Source(EVENTS, partition), decided)
        self._told: set[tuple[str, str, str]] = set()

    def take(self, record: Record) -> Iterator[SinkRecord]:
        """What the record must leave on any of the topics.

        The event itself, if it is valid and the first telling of (learner, UTC day, id); one that
        came too late is told too, though it was not folded. ``SinkRecord.offset`` of all else is
        -1: where it stands on its topic tells nothing.

        Raises:
            InvalidInput: as `streams.decided_replay.DecidedReplay.take`.
        """
        batch = self._replay.take(record)
        event = _valid(record, self._rules)
        if event is not None:
            identity = (event.user_id, event.occurred_at.date().isoformat(), event.event_id)
            if identity not in self._told:
                self._told.add(identity)
                yield record_of_event(self._partition, record.offset, event)
        yield from records_made(self._partition, -1, batch)
        yield from state_records(self._partition, -1, batch.tables.changed)


def _valid(record: Record, rules: Rules) -> LearnerEvent | None:
    try:
        return decode(record, rules)
    except RejectedEvent:
        return None
