"""Learners' messages that Kafka has and that have not come back yet; who waits for long is told,
once."""

from __future__ import annotations

import asyncio

from agents.metrics_chat import GatewayMetrics
from chat.rooms import Member
from schemas.chat_frames import Notice

DELAYED = Notice(
    code="answers_delayed",
    text="Your message is kept, but it takes longer than usual. It will be answered.",
)
_LOOK_SECONDS = 1.0


class Echoes:
    """``seconds``: how long a message may take through Kafka, the worker and Redis."""

    def __init__(self, metrics: GatewayMetrics, seconds: float = 8.0) -> None:
        self._metrics, self._seconds = metrics, seconds
        self._clock = asyncio.get_running_loop().time
        self._awaited: dict[Member, dict[str, float]] = {}
        self._told: set[Member] = set()

    def kept(self, member: Member, event_id: str, since: float) -> None:
        """Kafka has a message; ``since``: when its frame came, by the loop's clock."""
        self._awaited.setdefault(member, {}).setdefault(event_id, since)

    def came(self, member: Member, event_id: str) -> None:
        """Any message of the member's session; also such as were never awaited."""
        awaited = self._awaited.get(member, {})
        since = awaited.pop(event_id, None)
        if since is not None:
            self._metrics.echoed(self._clock() - since)
            if not awaited:
                self.forget(member)

    def forget(self, member: Member) -> None:
        self._awaited.pop(member, None)
        self._told.discard(member)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            too_long = self._clock() - self._seconds
            for member, awaited in self._awaited.items():
                if min(awaited.values()) < too_long and member not in self._told:
                    self._told.add(member)
                    member.connection.tell(DELAYED)
