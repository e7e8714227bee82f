"""What the author of a store has to write: `setup`, `write`, `close`.

Everything else is done once, in ``agents/sink.py``: reading Kafka, batching, retrying while the
store is away, finding the one record that it refuses, committing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class SinkRecord(NamedTuple):
    """A committed record of one of our topics, already valid by its contract in ``schemas/``.

    ``topic`` is a name of ``schemas.topics``; a changelog is called by its table (``profile``,
    ``behavior``, ``engagement``). ``key`` is the record's key as text: the ``user_id``,
    ``user_id|course_id`` for ``engagement``. ``value`` is the JSON object, ids and times as text;
    ``None`` deletes the row of that key (changelogs only). ``raw`` is the same object as bytes.
    All records of a learner stand in one partition, so there ``offset`` tells their order.
    """

    topic: str
    partition: int
    offset: int
    key: str
    value: dict[str, Any] | None
    raw: bytes


class Sink(Protocol):
    """One store. ``name`` names it in commands, logs and metrics; it takes ``topics``.

    The same records may come again, alone or in other batches, also older ones after newer ones:
    the contents must be what they would be had each come once. So rows are kept by id; of an
    event the first telling stays, of a state the highest ``value["offset"]``.
    """

    @property
    def name(self) -> str: ...

    @property
    def topics(self) -> tuple[str, ...]: ...

    async def setup(self) -> None:
        """Connects and makes what is missing; running it again changes nothing.

        Raises:
            StoreUnavailable: nobody answers, or the store lets nobody in.
        """

    async def write(self, batch: Sequence[SinkRecord]) -> None:
        """Keeps the records, which are of any of ``topics``; once it returns they are durable.

        If it raises, any part of the batch may have been kept.

        Raises:
            StoreUnavailable: try the same batch again later.
            RecordRefused: the store takes no such record, whenever it is tried.
        """

    async def close(self) -> None:
        """Lets go of the store; also after a failed `setup`, and twice."""
