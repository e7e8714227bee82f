"""Where the record of a dead letter may go now: back onto its topic, into its store, or nowhere."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from agents.dead_letter_log import Progress, contents
from agents.dead_letter_stores import LetterStores
from agents.kafka_client import choose_partition
from agents.known_behaviors import known_behaviors
from agents.topic_admin import partition_counts
from agents.worker import rules
from config.settings import Settings
from schemas.behavior import Behavior
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent
from sinks.contract import SinkRecord
from streams.dead_letters import Letter, judge, may_be_too_late

Change = Callable[[DeadLetter], DeadLetter]
"""Gives a letter another record or key; asked twice, it must say the same."""


class Onto(NamedTuple):
    """Back onto its topic. ``corrected``: with another record or key than it had. ``event``: what
    it is there, ``None`` of an acknowledgement."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    corrected: bool
    event: LearnerEvent | None


class Into(NamedTuple):
    """Into the store that refused it; its topic has it already."""

    store: str
    record: SinkRecord


class Judge:
    """Judges letters as the worker would judge their records if they came now."""

    def __init__(
        self, settings: Settings, stores: LetterStores, change: Change | None = None
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._change = change
        self._rules = rules(settings.worker)
        self._choose = choose_partition(settings.kafka)
        self._partitions: Mapping[str, int] = {}
        self._behaviors: Mapping[str, Behavior] = {}

    async def prepare(self, letters: Sequence[Letter], progress: Progress) -> None:
        """Finds out what `destination` has to know beside a letter. The worker's table, which says
        what is forgotten of learners, is read only if an event is older than the horizon.

        Raises:
            BrokerUnavailable: nobody answers.
        """
        self._partitions = await partition_counts(self._settings.kafka)
        old: dict[int, set[str]] = defaultdict(set)
        with progress("judging", len(letters)) as advance:
            async for _, content in contents(self._settings.kafka, letters):
                advance(1)
                with contextlib.suppress(RejectedEvent):  # told when the letter's turn comes
                    where = self.destination(content)
                    if isinstance(where, Onto) and where.event is not None:
                        self._note_if_old(where.event, old[where.partition])
        wanted = {partition: users for partition, users in old.items() if users}
        if wanted:
            self._behaviors = await known_behaviors(self._settings, wanted)

    def _note_if_old(self, event: LearnerEvent, users: set[str]) -> None:
        if may_be_too_late(event, datetime.now(UTC), self._rules):
            users.add(event.user_id)

    def destination(self, letter: DeadLetter) -> Onto | Into:
        """Raises: RejectedEvent, why it is rejected still."""
        now = datetime.now(UTC)
        if letter.reason is DeadLetterReason.STORE_REFUSED:
            return Into(*self._stores.record_of(letter, now, self._rules))
        changed = letter if self._change is None else self._change(letter)
        event = judge(changed, now, self._rules, self._behaviors)
        partition = self._partition(letter, changed)
        key, value = changed.key or b"", changed.raw
        return Onto(letter.topic, partition, key, value, changed != letter, event)

    def _partition(self, letter: DeadLetter, changed: DeadLetter) -> int:
        """Where it was, and so the learner's other events by the same key; by a new key, where
        that belongs."""
        count = self._partitions.get(letter.topic, 0)
        if changed.key != letter.key:
            every = list(range(count))
            return self._choose(changed.key or b"", every, every)
        if letter.partition >= count:
            raise RejectedEvent(
                letter.reason,
                f"{letter.topic} has no partition {letter.partition} any more, where its learner's "
                "state was: let whoever sent it send it again",
            )
        return letter.partition
