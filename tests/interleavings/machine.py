"""Events, repeats, crashes, rebalances and zombies in any order, against one uninterrupted pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from strategies import USERS, event_objects

from agents.partition_owner import SkippedRecords
from interleavings.checked_world import HOME, PARTITIONS, CheckedWorld
from interleavings.modelled_kafka import Guards

TYPES = ("quiz.submitted", "content.viewed", "chat.message", "session.started", "label.assigned")
BAD = (b"", b"{", b"[]", b"\xff", b'{"type":"quiz.submitted"}', b'{"type":"no"}', b"[" * 400)
partitions = st.integers(0, PARTITIONS - 1)
sizes = st.integers(0, 6)
"""Records that are begun before something happens; 0: it happens with what is in hand, if any."""


class Interleavings(RuleBasedStateMachine):
    """What producers do, what workers do, and what happens to them."""

    guards = Guards()

    def __init__(self) -> None:
        super().__init__()
        self._world = CheckedWorld(self.guards)

    def teardown(self) -> None:
        try:
            if not self._world.is_wrong:
                self._read_to_the_end()
        finally:
            self._world.close()

    @initialize(compacts=st.booleans())
    def choose(self, compacts: bool) -> None:
        self._world.compacts = compacts

    @rule(events=st.lists(event_objects(TYPES), min_size=1, max_size=3))
    def produce(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            user = event["user_id"]
            self._world.append(HOME[user], user.encode(), orjson.dumps(event))

    @rule(partition=partitions, days=st.sampled_from((-14, -6, -1, 1, 7, 14, 30)))
    def produce_late_or_ahead(self, partition: int, days: int) -> None:
        """One like the last event, days before or after it."""
        log = self._world.kafka.partitions[partition].events
        for record in reversed(log):
            if record.value not in BAD:
                event = orjson.loads(record.value)
                at = datetime.fromisoformat(event["occurred_at"]) + timedelta(days=days)
                event["event_id"] = f"00000000-0000-4000-8000-{partition:06d}{len(log):06d}"
                event["occurred_at"] = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
                self._world.append(partition, record.key, orjson.dumps(event))
                return

    @rule(partition=partitions, back=st.integers(1, 30))
    def repeat(self, partition: int, back: int) -> None:
        """One of the last events again, or one from long ago."""
        if log := self._world.kafka.partitions[partition].events:
            again = log[-min(back, len(log))]
            self._world.append(partition, again.key, again.value)

    @rule(user=st.sampled_from(USERS), bad=st.sampled_from(BAD))
    def produce_bad(self, user: str, bad: bytes) -> None:
        self._world.append(HOME[user], user.encode(), bad)

    @rule(partition=partitions, most=sizes)
    def begin(self, partition: int, most: int) -> None:
        """A batch is folded, and stands before its commit."""
        world = self._world
        owned = world.owned(partition)
        if most and owned.batch is None and world.is_behind(partition, owned):
            world.begin(world.owner[partition], partition, most)

    @rule(partition=partitions, most=sizes)
    def commit(self, partition: int, most: int) -> None:
        self.begin(partition, most)
        world = self._world
        if world.owned(partition).batch is not None:
            world.commit(world.owner[partition], partition)
            world.finish(partition)

    @rule(partition=partitions, most=sizes, committed=st.booleans())
    def die(self, partition: int, most: int, committed: bool) -> None:
        """With every partition of the process. The batch is gone; or ``committed``, and the process
        never hears of it.

        It came while the next owner was on its way: after its first look, before its fence.
        """
        self.begin(partition, most)
        world = self._world
        if committed and world.owned(partition).batch is not None:
            world.kafka.look(partition)
            world.commit(world.owner[partition], partition)
        world.die(world.owner[partition])

    @rule(partition=partitions, most=sizes, and_back=st.booleans())
    def rebalance(self, partition: int, most: int, and_back: bool) -> None:
        """In an orderly way: the batch in hand is committed, another process takes over; that one
        reads on and may give it back."""
        for _ in range(1 + and_back):
            self.commit(partition, most)
            self._world.owner[partition].give_up(partition)
            self._world.pass_on(partition)

    @rule(partition=partitions, most=sizes)
    def freeze(self, partition: int, most: int) -> None:
        """The owner stands still, with whatever it has in hand."""
        self.begin(partition, most)
        self._world.freeze(self._world.owner[partition])

    @precondition(lambda self: self._world.frozen)
    @rule(which=st.integers(0, 3), most=st.integers(1, 6))
    def wake(self, which: int, most: int) -> None:
        self._world.wake(which, most)

    @rule(partition=partitions, most=sizes, back=st.integers(1, 10))
    def set_back(self, partition: int, most: int, back: int) -> None:
        """Reading begins again before the position, as after a group was reset by hand."""
        self.commit(partition, most)
        reads_from = self._world.owned(partition).reads_from
        self._world.is_set_back[partition] |= reads_from > 0
        self._world.owner[partition].read_from(partition, max(0, reads_from - back))

    @rule(partition=partitions, skipped=st.integers(1, 3))
    def skip(self, partition: int, skipped: int) -> None:
        """The reading jumps: the worker must see it, and leave."""
        world = self._world
        owned = world.owned(partition)
        events = world.kafka.partitions[partition].events
        if owned.batch is None and owned.reads_from + skipped < len(events):
            process = world.owner[partition]
            try:
                world.begin(process, partition, 2, skipped)
            except SkippedRecords:
                world.die(process)

    @invariant()
    def what_is_committed_is_what_one_pass_gives(self) -> None:
        for partition in range(PARTITIONS):
            self._world.check_now(partition)

    def _read_to_the_end(self) -> None:
        """Everybody dies, what is left is read by one who comes new, and every zombie wakes."""
        world = self._world
        for process in dict.fromkeys(world.owner):
            world.die(process)
        for partition in range(PARTITIONS):
            while world.is_behind(partition, world.owned(partition)):
                self.commit(partition, 5)
        while world.frozen:
            world.wake(0, 1)
        for partition in range(PARTITIONS):
            world.check_at_the_end(partition)
