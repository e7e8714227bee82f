"""Server-sent events: the same however the bytes are cut, and bounded whatever comes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.llm_failure import LlmFailed
from chat.llm_sse import (
    MAX_COUNTED_TOKENS,
    MAX_LINE_BYTES,
    Chunk,
    EventReader,
    Usage,
    chunk_of,
)

STREAM = (
    b': hello\n\ndata: {"a":\ndata: 1}\n\nevent: x\r\ndata: zwei \xc3\xbc\r\n\r\ndata:drei\r\r'
    b"data: vier\r\ndata: 4\r\n\r\ndata\n\nid: 3\n\ndata: [DONE]\n\n"
)
EVENTS = ['{"a":\n1}', "zwei ü", "drei", "vier\n4", "[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_they_come(cuts: list[int]) -> None:
    reader, found, at = EventReader(), [], 0
    for cut in (*sorted(cuts), len(STREAM)):
        found += reader.feed(STREAM[at:cut])
        at = cut
    assert found == EVENTS


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_any_bytes_are_read(parts: list[bytes]) -> None:
    reader = EventReader()
    for part in parts:
        for event in reader.feed(part):
            chunk_of(event)


@pytest.mark.parametrize(
    "part", [b"x" * 1_000, b"data: " + b"x" * 1_000 + b"\n", b"data:\n", b"data: x\r"]
)
def test_no_line_or_event_grows_without_end(part: bytes) -> None:
    with pytest.raises(LlmFailed):
        feed_for_ever(part)


def feed_for_ever(part: bytes) -> None:
    reader = EventReader()
    for _ in range(300_000):
        reader.feed(part)


@pytest.mark.parametrize("field", [b"data: ", b": ", b""])
def test_a_long_line_at_once(field: bytes) -> None:
    with pytest.raises(LlmFailed):
        EventReader().feed(field + b"x" * MAX_LINE_BYTES + b"y\n\n")


CHUNKS = {
    "a piece": ('{"choices":[{"delta":{"content":"a"}}]}', Chunk("a")),
    "the end": ('{"choices":[{"delta":{},"finish_reason":"stop"}]}', Chunk("", "stop")),
    "counted": (
        '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
        Chunk("", "", Usage(3, 4)),
    ),
    "counted below nothing": (
        '{"usage":{"prompt_tokens":-3,"completion_tokens":4}}', Chunk(),
    ),
    "counted beyond all measure": (
        f'{{"usage":{{"prompt_tokens":3,"completion_tokens":{MAX_COUNTED_TOKENS + 1}}}}}', Chunk(),
    ),
    "counted in words": ('{"usage":{"prompt_tokens":true,"completion_tokens":"4"}}', Chunk()),
    "no error": ('{"error":null,"choices":[{"delta":{"content":"a"}}]}', Chunk("a")),
    "nothing": ("{}", Chunk()),
    "a list": ("[]", None),
    "no JSON": ("{", None),
    "empty": ("", None),
    "deep": ("[" * 5_000, None),
}  # fmt: skip


@pytest.mark.parametrize(("data", "chunk"), CHUNKS.values(), ids=CHUNKS)
def test_what_an_event_says(data: str, chunk: Chunk | None) -> None:
    assert chunk_of(data) == chunk


def test_an_error_is_one() -> None:
    with pytest.raises(LlmFailed, match="reported"):
        chunk_of('{"error":{"message":"overloaded"}}')


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "content", "finish_reason", "usage", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_read(told: object) -> None:
    try:
        data = orjson.dumps(told).decode()
    except (orjson.JSONEncodeError, TypeError):
        return
    found = chunk_of(data)
    assert found is None or isinstance(found.text, str)
