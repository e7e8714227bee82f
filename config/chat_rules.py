"""The rules by which chat messages are described: ``chat_rules.json`` beside this file, or one's
own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from schemas.chat_rules import ChatRuleSet
from schemas.errors import InvalidSetting

MAX_BYTES = 4_000_000


def load_chat_rules(file: Path | None = None) -> ChatRuleSet:
    """The rule set in a file, the package's own when not given.

    Raises:
        InvalidSetting: the file cannot be read or is too large, or no rule set stands in it; the
            text says where in it.
    """
    source = files("config") / "chat_rules.json" if file is None else file
    try:
        with source.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSetting(f"chat rules {source} cannot be read: {error}") from None
    if len(raw) > MAX_BYTES:
        raise InvalidSetting(f"chat rules {source}: more than {MAX_BYTES:,} bytes; shorten them")
    try:
        return ChatRuleSet.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise InvalidSetting(f"chat rules {source}: {place}: {first['msg']}") from None
