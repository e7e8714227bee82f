"""`Contract`: how what we write to topics and tables is declared, in one definition.

A msgspec ``Struct``, so that the folds work on plain attributes and msgspec writes and reads them
in C, which pydantic can check too: it says what is wrong with a record, and what a right one is
(JSON Schema), to whoever did not write it (docs/decisions/0030).

A state is never edited in place once it is in a table: a fold makes a shallow ``copy``, and
replaces the containers in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


# Nothing in a record points back to it, so the collector need not look at any.
class Contract(Struct, forbid_unknown_fields=True, gc=False):
    """A record of a topic, a table's value, or a part of one."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        told = core_schema.no_info_after_validator_function(
            lambda fields: cls(**fields), _fields(cls, handler)
        )
        made = core_schema.union_schema([core_schema.is_instance_schema(cls), told])
        ref = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
        written = core_schema.plain_serializer_function_ser_schema(
            msgspec.to_builtins, when_used="json"
        )
        return core_schema.json_or_python_schema(told, made, ref=ref, serialization=written)


def _fields(cls: type[Contract], handler: GetCoreSchemaHandler) -> CoreSchema:
    types = get_type_hints(cls, include_extras=True)
    fields: dict[str, core_schema.TypedDictField] = {}
    for field in msgspec.structs.fields(cls):
        schema = handler.generate_schema(types[field.name])
        if field.default is not NODEFAULT:
            schema = core_schema.with_default_schema(schema, default=field.default)
        elif field.default_factory is not NODEFAULT:
            make = field.default_factory
            schema = core_schema.with_default_schema(schema, default_factory=make)
        fields[field.name] = core_schema.typed_dict_field(schema, required=field.required)
    return core_schema.typed_dict_schema(
        fields,
        cls=cls,
        extra_behavior="forbid",
        config=core_schema.CoreConfig(title=cls.__name__, allow_inf_nan=False),
    )


encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
"""Any contract, or a value of plain types, as compact JSON, times in RFC 3339 with ``Z``."""
