"""What decides beside the trees: the same for worker and replay."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from streams.prompt import PLAIN, Prompts


class Rules(NamedTuple):
    """How events are judged, when decisions are sent, and in which words.

    See ``config.settings``: ``WorkerSettings``, ``PromptSettings``.
    """

    max_event_bytes: int = 65_536
    future_tolerance: timedelta = timedelta(minutes=5)
    horizon: timedelta = timedelta(days=45)
    decide_on_every_event: bool = False
    prompts: Prompts = PLAIN
