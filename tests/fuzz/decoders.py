"""Every decoder of bytes from outside, by name."""

from __future__ import annotations

from fuzz import (
    chat_decoders,
    event_decoders,
    file_decoders,
    http_decoders,
    snapshot_decoders,
    topic_decoders,
)
from fuzz.decoder import Decoder

DECODERS: dict[str, Decoder] = {
    decoder.name: decoder
    for module in (
        event_decoders,
        topic_decoders,
        snapshot_decoders,
        chat_decoders,
        http_decoders,
        file_decoders,
    )
    for decoder in module.DECODERS
}
