"""What every connection needs of its gateway."""

from __future__ import annotations

from typing import NamedTuple

from agents.metrics_chat import GatewayMetrics
from chat.echoes import Echoes
from chat.event_producer import EventProducer
from chat.history import History
from chat.live_queue import LiveQueue
from chat.rooms import Rooms
from config.settings import ChatSettings
from streams.chat_rules import ChatRules


class Services(NamedTuple):
    settings: ChatSettings
    rules: ChatRules
    metrics: GatewayMetrics
    queue: LiveQueue
    events: EventProducer
    rooms: Rooms
    history: History
    echoes: Echoes
