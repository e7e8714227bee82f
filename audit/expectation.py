"""What must be on Kafka, and so in every store, for a partition of the log: a replay of it.

Trees and prompt sets decide from the very events on from which the worker said that they did
(``tree.adoptions``), so decisions are expected one by one, whatever was published or edited
meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agents.sink_records import record_of_event, records_made, state_records
from config.seed_trees import seed_trees
from schemas.adoption import TreeAdoption
from schemas.errors import InvalidInput, InvalidSetting, RejectedEvent
from schemas.event import LearnerEvent
from schemas.fields import TreeId
from schemas.prompt import PromptSet
from schemas.topics import EVENTS
from schemas.tree import TreeDocument
from sinks.contract import SinkRecord
from streams.batch import Source
from streams.decode import Record, decode
from streams.prompt import Prompts
from streams.replay import Replay
from streams.rules import Rules

Versions = Mapping[tuple[TreeId, int], TreeDocument]
PromptSets = Mapping[str, PromptSet]


class PartitionReplay:
    """One partition of ``learner.events``, record by record from its beginning.

    Args:
        partition: which.
        adoptions: from ``tree.adoptions``, in order.
        versions: every version that an adoption names.
        prompt_sets: every set that an adoption names.
        rules: the worker's, but for its prompts.
    """

    def __init__(
        self,
        partition: int,
        adoptions: Sequence[TreeAdoption],
        versions: Versions,
        prompt_sets: PromptSets,
        rules: Rules,
    ) -> None:
        self._partition = partition
        self._rules = rules
        self._replay = Replay(seed_trees(), rules, Source(EVENTS, partition))
        self._switches = _Switches(self._replay, adoptions, versions, prompt_sets)
        self._told: set[tuple[str, str, str]] = set()

    def take(self, record: Record) -> Iterator[SinkRecord]:
        """What the record must leave on any of the topics.

        The event itself, if it is valid and the first telling of (learner, UTC day, id); one that
        came too late is told too, though it was not folded. ``SinkRecord.offset`` of all else is
        -1: where it stands on its topic tells nothing.

        Raises:
            InvalidInput: an adoption names a version or a prompt set that nobody has, or a set of
                another release, which this one cannot fill.
        """
        self._switches.make_until(record.offset)
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

    def __init__(
        self,
        replay: Replay,
        adoptions: Sequence[TreeAdoption],
        versions: Versions,
        prompt_sets: PromptSets,
    ) -> None:
        self._replay = replay
        self._left = iter(adoptions)
        self._next = next(self._left, None)
        self._versions = versions
        self._prompt_sets = prompt_sets
        self._in_force: dict[TreeId, int] = dict.fromkeys(seed_trees(), 0)
        self._prompt_version = ""

    def make_until(self, offset: int) -> None:
        """Puts in force what decided the event at the offset."""
        while self._next is not None and self._next.offset <= offset:
            for tree_id, version in self._next.versions.items():
                if self._in_force[tree_id] != version:
                    self._adopt(tree_id, version, self._next.offset)
            if self._prompt_version != self._next.prompt_version:
                self._adopt_prompts(self._next.prompt_version, self._next.offset)
            self._next = next(self._left, None)

    def _adopt(self, tree_id: TreeId, version: int, offset: int) -> None:
        if (tree_id, version) not in self._versions:
            raise InvalidInput(
                f"{tree_id} version {version} decided from offset {offset} on, and is not on "
                "tree.versions"
            )
        self._in_force[tree_id] = version
        self._replay.adopt(self._versions[tree_id, version])

    def _adopt_prompts(self, version: str, offset: int) -> None:
        if version not in self._prompt_sets:
            raise InvalidInput(
                f"prompt set {version} decided from offset {offset} on, and is not on prompt.sets"
            )
        self._prompt_version = version
        try:
            self._replay.adopt_prompts(Prompts(self._prompt_sets[version]))
        except InvalidSetting as error:
            raise InvalidInput(
                f"prompt set {version} decided from offset {offset} on, and this release cannot "
                f"fill it: {error}"
            ) from None


def _valid(record: Record, rules: Rules) -> LearnerEvent | None:
    try:
        return decode(record, rules)
    except RejectedEvent:
        return None
