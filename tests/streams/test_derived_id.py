from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams.derived_id import derived_id, made_at


@given(st.uuids(), st.text())
def test_it_is_uuid5(event_id: uuid.UUID, name: str) -> None:
    assert derived_id(str(event_id), name) == str(uuid.uuid5(event_id, name))


def test_the_same_event_id_of_another_learner_or_day_makes_other_ids() -> None:
    """As it counts as another event; of the same day it is the same one."""
    event_id, ann, bob = (str(uuid.UUID(int=number)) for number in (1, 2, 3))
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    made = made_at(event_id, ann, noon, "tree")
    assert made == str(uuid.uuid5(uuid.UUID(event_id), f"tree {ann} 2026-01-31"))
    assert made == made_at(event_id, ann, noon + timedelta(hours=11), "tree")
    others = [(bob, noon, "tree"), (ann, noon + timedelta(days=1), "tree"), (ann, noon, "other")]
    assert len({made, *(made_at(event_id, *other) for other in others)}) == 4
