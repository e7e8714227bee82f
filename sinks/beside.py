"""What a store's author writes for its rebuild: a place beside the live one, and a switch.

Everything else is done once, in ``agents/store_rebuild.py``.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from sinks.contract import Sink


class KeptOut(Enum):
    """How a running sink of the live store is kept from writing what the new one would miss.

    ``LOCKED``: the store keeps it out for the moment of the switch, and it tries again by itself.
    ``ANY_ORDER``: it is not kept out; as the store's rows come out the same in whatever order
    records come, what it wrote into the old place is written into the new one after the switch.
    ``STOPPED``: neither is to be had, so it must not run during the switch.
    """

    LOCKED = "locked"
    ANY_ORDER = "any order"
    STOPPED = "stopped"


class Beside(Protocol):
    """A store and what is built beside it. ``name``: the store's.

    Each method raises StoreUnavailable if nobody answers or lets us in; nothing is half-done then
    that the next try from `begin` would not put right.
    """

    name: str
    kept_out: KeptOut

    async def oldest(self) -> datetime | None:
        """When the oldest thing happened that the live store has from a topic that Kafka cuts
        (so no state and no tree version); ``None`` if it has none."""

    async def begin(self) -> Sink:
        """Drops what an earlier try left, makes an empty place; its sink, which is not set up.

        Raises:
            EditRefused: somebody else is rebuilding it now.
            InvalidSetting: the store's settings leave its tables to an operator.
        """

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Within, nobody else writes to the live store, if it is ``LOCKED``; others may read."""

    async def switch(self) -> str:
        """The new place takes the live one's name, within `alone`; the name that the old has now,
        "" if there was no old one."""

    async def old(self) -> list[str]:
        """The names of old ones that are still kept."""

    async def drop_old(self, name: str) -> None:
        """Drops one of `old`."""

    async def close(self) -> None:
        """Lets go of the store, and of what was begun and not switched."""


def stamp(now: datetime) -> str:
    """Of a moment, in the names of old ones: 14 digits, UTC."""
    return f"{now.astimezone(UTC):%Y%m%d%H%M%S}"
