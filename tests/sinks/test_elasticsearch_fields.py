"""The index has a field for everything that an event can tell, of a type that fits it."""

from __future__ import annotations

import typing

from pydantic import TypeAdapter

from schemas.event import LearnerEvent
from sinks.elasticsearch import CHAT, FIELDS


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
        if described["type"]["const"] == CHAT:
            continue
        for name, schema in described.items():
            one_of = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
            found.setdefault(name, set()).update(s["type"] for s in one_of)
    assert len(classes) == 18
    assert found.keys() == FIELDS.keys()
    for name, types in found.items():
        assert all(FIELDS[name] in fitting[type_] for type_ in types), name
