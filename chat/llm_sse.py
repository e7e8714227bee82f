"""What stands in a stream of server-sent events that an OpenAI-compatible server sends. Pure.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, and in each event one JSON
object ``chat.completion.chunk``, at last ``[DONE]``. Nothing here trusts the server: lines and
events have a largest size, and what is no such object is passed over.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, NoReturn

import orjson

from chat.llm_failure import LlmFailed

MAX_LINE_BYTES = 65_536
MAX_EVENT_BYTES = 262_144
MAX_COUNTED_TOKENS = 10_000_000
DONE = "[DONE]"

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventReader:
    """Cuts bytes into events, however they come in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._ends_in_cr = False
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, raw: bytes) -> list[str]:
        """The data of the events that are complete now.

        Raises:
            LlmFailed: a line or event is too large to be one.
        """
        # A line end of two bytes may come in two pieces; the line was ended by the first.
        if self._ends_in_cr and raw:
            raw, self._ends_in_cr = raw.removeprefix(b"\n"), False
        self._ends_in_cr = self._ends_in_cr or raw.endswith(b"\r")
        self._rest += raw
        events: list[str] = []
        if b"\n" in raw or b"\r" in raw:
            *lines, rest = _LINE_END.split(bytes(self._rest))
            self._rest = bytearray(rest)
            for line in lines:
                self._line(line, events)
        if len(self._rest) > MAX_LINE_BYTES:
            _refuse_line()
        return events

    def _line(self, line: bytes, events: list[str]) -> None:
        if len(line) > MAX_LINE_BYTES:
            _refuse_line()
        if not line:
            if self._data:
                events.append(b"\n".join(self._data).decode(errors="replace"))
            self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            self._size += len(data) + 1
            if self._size > MAX_EVENT_BYTES:
                raise LlmFailed("rubbish", f"an event of more than {MAX_EVENT_BYTES:,} bytes")
            self._data.append(data)


def _refuse_line() -> NoReturn:
    raise LlmFailed("rubbish", f"a line of more than {MAX_LINE_BYTES:,} bytes")


class Usage(NamedTuple):
    """Tokens that the server counted."""

    prompt: int
    answer: int


class Chunk(NamedTuple):
    """A piece of the answer. ``finish``: why it ends with this one, "" if it goes on."""

    text: str = ""
    finish: str = ""
    usage: Usage | None = None


def chunk_of(data: str) -> Chunk | None:
    """What an event says, ``None`` if it is no piece of an answer.

    Raises:
        LlmFailed: the server reports an error.
    """
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict):
        return None
    if told.get("error"):
        raise LlmFailed("reported", "the server broke off with an error of its own")
    choice = _first(told.get("choices"))
    text = _dict(choice.get("delta")).get("content")
    finish = choice.get("finish_reason")
    return Chunk(
        text if isinstance(text, str) else "",
        finish if isinstance(finish, str) else "",
        _usage(told.get("usage")),
    )


def _usage(told: Any) -> Usage | None:
    counts = _dict(told)
    prompt, answer = _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))
    return None if prompt is None or answer is None else Usage(prompt, answer)


def _count(told: Any) -> int | None:
    return told if type(told) is int and 0 <= told <= MAX_COUNTED_TOKENS else None


def _first(choices: Any) -> dict[str, Any]:
    return _dict(choices[0]) if isinstance(choices, list) and choices else {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
