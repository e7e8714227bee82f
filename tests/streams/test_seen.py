"""Repeats are recognised, near and far, and a write never grows."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from streams.seen import PAGE_IDS, day_number, event_token, find, page_key, pages_of

USER = "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77"
DAY = 20_000


def remember(pages: dict[str, bytes], token: bytes) -> bool:
    """Whether the token was new."""
    place = find(pages.get, USER, DAY, token)
    if place is None:
        return False
    page, content = place
    pages[page_key(USER, DAY, page)] = content + token
    return True


def test_the_epoch_is_day_0_and_its_morrow_day_1() -> None:
    assert day_number(datetime(1970, 1, 1, 23, 59, tzinfo=UTC)) == 0
    assert day_number(datetime(1970, 1, 2, tzinfo=UTC)) == 1


def test_a_token_is_the_two_halves_xored() -> None:
    assert event_token("00000000-0000-0001-0000-000000000003") == bytes([0] * 7 + [2])


def test_clock_made_ids_of_one_instant_differ() -> None:
    ids = [
        uuid.UUID(f"018f0000-0000-7{n:03x}-8000-{uuid.uuid5(uuid.NAMESPACE_DNS, str(n)).hex[:12]}")
        for n in range(1000)
    ]
    assert len({event_token(str(id_)) for id_ in ids}) == len(ids)


@given(st.lists(st.integers(0, 400), max_size=600))
def test_each_id_is_new_exactly_once(numbers: list[int]) -> None:
    pages: dict[str, bytes] = {}
    known: set[int] = set()
    for number in numbers:
        token = number.to_bytes(8, "big")
        assert remember(pages, token) is (number not in known)
        known.add(number)


def test_tokens_are_compared_at_their_places_only() -> None:
    pages: dict[str, bytes] = {}
    remember(pages, bytes.fromhex("0000000000000102"))
    remember(pages, bytes.fromhex("0304000000000000"))
    assert remember(pages, bytes.fromhex("0000000000010203"))  # stands across the two


def test_a_page_is_never_larger_than_its_ids() -> None:
    pages: dict[str, bytes] = {}
    for number in range(3 * PAGE_IDS + 1):
        assert remember(pages, number.to_bytes(8, "big"))
    assert [len(pages[key]) for key in pages_of(pages.get, USER, DAY)] == [
        8 * PAGE_IDS,
        8 * PAGE_IDS,
        8 * PAGE_IDS,
        8,
    ]
    assert pages_of(pages.get, USER, DAY + 1) == []
