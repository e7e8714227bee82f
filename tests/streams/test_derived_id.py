from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from streams.derived_id import derived_id


@given(st.uuids(), st.text())
def test_it_is_uuid5(event_id: uuid.UUID, name: str) -> None:
    assert derived_id(str(event_id), name) == str(uuid.uuid5(event_id, name))
