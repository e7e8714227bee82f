"""The same step in Quix Streams: state in its RocksDB, changelog, and its exactly-once guarantee.

Written as its documentation has it: a stateful `apply` by message key, `to_topic` for what comes
of it, `processing_guarantee="exactly-once"`. In its favour:

- decoded values are kept beside the state, as ours are, so it never reads back what it wrote;
- it sends no chat records, nor which versions decided;
- its default interval of 5 s between commits stays, so a state goes to the changelog once in some
  20,000 events (the worker's: 2,000), and a decision can be read up to 5 s after its event;
- Python's full collections are off, as in the worker, and its producer gathers for longer than by
  default: of what was tried, all that saved processor time.

Its process is that of `bench.contender_process`, in a venv of its own (`.venv/bench`): Quix Streams
pins older releases of pydantic and confluent-kafka than ours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

from quixstreams import Application, State, message_context
from quixstreams.checkpointing import Checkpoint
from quixstreams.models.serializers import Serializer

from agents.full_collections import collect_now_and_not_later
from bench.contender_process import Clock, Run, Told, tell, told
from config.prompts import read_prompt_set
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.dead_letter import DeadLetter
from schemas.decision import Decision
from schemas.example import TreeExample
from schemas.topics import DEAD_LETTERS, DECISIONS, EVENTS, EXAMPLES
from streams.batch import Source, process
from streams.decode import Record
from streams.prompt import Prompts
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables, encode_value

Made = Decision | TreeExample | DeadLetter

_LINGER_MS = 100


class QuixWorker:
    """``run`` is that of the events it was told to handle, once they are committed."""

    def __init__(self, told: Told, state_folder: str) -> None:
        self.run: Run | None = None
        self._events = told.events
        self._folded = 0
        self._clock = Clock(0)
        self._trees = compile_trees(seed_trees())
        self._rules = Rules(prompts=Prompts(read_prompt_set()))
        self._decoded = MemoryTables()
        self.app = Application(
            broker_address=told.bootstrap,
            consumer_group=told.app_id,
            auto_offset_reset="earliest",
            processing_guarantee="exactly-once",
            producer_extra_config={"linger.ms": _LINGER_MS},
            state_dir=state_folder,
            loglevel="WARNING",
            on_message_processed=self._count,
        )
        self._topics = {
            Decision: self.app.topic(DECISIONS, value_serializer=ContractJson()),
            TreeExample: self.app.topic(EXAMPLES, value_serializer=ContractJson()),
            DeadLetter: self.app.topic(DEAD_LETTERS, value_serializer=LetterJson()),
        }
        events = self.app.topic(EVENTS, value_deserializer="bytes")
        decided = self.app.dataframe(events).apply(
            self._fold, stateful=True, expand=True, metadata=True
        )
        # One stream with the topic chosen by value: a branch for each would copy by pickling.
        decided.to_topic(lambda made, *_: self._topics[type(made)], key=_key)
        _after_each_commit(self._committed)

    def _fold(
        self, value: bytes, key: bytes, timestamp_ms: int, _headers: object, state: State
    ) -> list[Made]:
        place = message_context()
        recorded_at = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        record = Record(place.offset, key, value, recorded_at)
        source = Source(EVENTS, place.partition)
        batch = process((record,), self._decoded, self._trees, self._rules, source)
        for table, changes in batch.tables.changed.items():
            for name, changed in changes.items():
                if changed is None:
                    state.delete(f"{table}|{name}".encode())
                else:
                    state.set_bytes(f"{table}|{name}".encode(), encode_value(changed))
        self._decoded.apply(batch.tables.changed)
        return [*batch.decisions, *batch.examples, *batch.dead_letters]

    def _count(self, _topic: str, _partition: int, _offset: int) -> None:
        self._folded += 1
        if self._folded == 1:
            self._clock = Clock(1)
        if self._folded == self._events:
            self.app.stop()  # commits what there is

    def _committed(self) -> None:
        if self._folded == self._events and self.run is None:
            self.run = self._clock.stopped(self._folded)


class ContractJson(Serializer):  # type: ignore[misc]  # not installed where types are checked
    """As the worker writes it."""

    def __call__(self, value: object, ctx: object) -> bytes:
        return encode(value)


class LetterJson(Serializer):  # type: ignore[misc]
    """As the worker writes it."""

    def __call__(self, value: DeadLetter, ctx: object) -> bytes:
        return value.model_dump_json().encode()


def _key(made: Made) -> bytes:
    return (made.dead_letter_id if isinstance(made, DeadLetter) else made.user_id).encode()


def _after_each_commit(committed: Callable[[], None]) -> None:
    """Quix Streams itself tells nobody when a checkpoint is through."""
    commit = Checkpoint.commit

    def commit_and_tell(checkpoint: Checkpoint, **options: bool) -> None:
        commit(checkpoint, **options)
        committed()

    Checkpoint.commit = commit_and_tell


def main() -> None:
    with TemporaryDirectory() as folder:
        worker = QuixWorker(told(), folder)
        collect_now_and_not_later()
        worker.app.run()
    assert worker.run is not None, "left before its last commit"
    tell(worker.run)


if __name__ == "__main__":
    main()
