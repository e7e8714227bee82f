"""The indices have a field for everything that a record can tell, of a type that fits it."""

from __future__ import annotations

import typing

from msgspec.structs import fields
from pydantic import TypeAdapter

from schemas.chat import ChatRecord
from schemas.event import LearnerEvent
from sinks.elasticsearch_indices import CHAT_MESSAGE, CONVERSATIONS, INTERACTIONS


def test_every_field_of_every_event_has_a_type_that_fits_it() -> None:
    fitting = {
        "string": {"keyword", "text", "date_nanos"},
        "number": {"double"},
        "integer": {"long"},
        "boolean": {"boolean"},
        "array": {"keyword"},
        "object": {"flattened"},
    }
    found: dict[str, set[str]] = {}
    classes = typing.get_args(typing.get_args(LearnerEvent)[0])
    for class_ in classes:
        described = TypeAdapter(class_).json_schema()["properties"]
        if described["type"]["const"] == CHAT_MESSAGE:
            continue
        for name, schema in described.items():
            one_of = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
            found.setdefault(name, set()).update(s["type"] for s in one_of)
    assert len(classes) == 19
    assert found.keys() == INTERACTIONS.fields.keys()
    for name, types in found.items():
        assert all(INTERACTIONS.fields[name]["type"] in fitting[type_] for type_ in types), name


def test_every_field_of_a_chat_record_has_a_place() -> None:
    assert CONVERSATIONS.fields.keys() == {field.name for field in fields(ChatRecord)}
