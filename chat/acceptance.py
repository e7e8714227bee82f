"""A connection's events on their way to Kafka, and what the connection is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from agents.metrics_chat import GatewayMetrics
from chat.connection import Connection
from chat.event_producer import EventProducer, SessionEvent
from schemas.chat_frames import Accepted, Refused
from schemas.errors import BrokerUnavailable

ACCEPT_SECONDS = 10.0
"""How long Kafka may take before a message is refused. It may arrive all the same: who sends it
again sends the same event."""


class Acceptance:
    def __init__(
        self, connection: Connection, events: EventProducer, metrics: GatewayMetrics
    ) -> None:
        self._connection, self._events, self._metrics = connection, events, metrics
        self._loop = asyncio.get_running_loop()

    async def send(
        self,
        events: Sequence[SessionEvent],
        client_id: str | None = None,
        accepted: Callable[[], None] = lambda: None,
    ) -> bool:
        """Whether they were handed over, in this order; the last is the message ``client_id``.

        `Accepted` follows once Kafka has it, and ``accepted`` is called; or `Refused` if that
        takes too long.
        """
        since = self._loop.time()
        try:
            for event in events:
                delivery = await self._events.send(event)
        except BrokerUnavailable:
            self._refuse(client_id)
            return False
        timer = self._loop.call_later(ACCEPT_SECONDS, self._refuse, client_id)
        delivery.add_done_callback(
            partial(self._done, timer, client_id, events[-1].event_id, since, accepted)
        )
        return True

    def accept(self, client_id: str, event_id: str) -> None:
        """Tells that a message is kept."""
        self._connection.tell(Accepted(id=client_id, event_id=event_id))

    def _done(  # noqa: PLR0913, PLR0917
        self,
        timer: asyncio.TimerHandle,
        client_id: str | None,
        event_id: str,
        since: float,
        accepted: Callable[[], None],
        delivery: asyncio.Future[object],
    ) -> None:
        timer.cancel()
        if delivery.cancelled() or delivery.exception() is not None:
            self._refuse(client_id)
            return
        self._metrics.accepted(self._loop.time() - since)
        accepted()
        if client_id is not None:
            self.accept(client_id, event_id)

    def _refuse(self, client_id: str | None) -> None:
        text = "not sent: try again in a moment"
        self._metrics.refused("not_accepted")
        self._connection.tell(Refused(code="not_accepted", text=text, id=client_id))
