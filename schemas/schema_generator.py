"""JSON Schema of our contracts: pydantic's own, mended where it says less than pydantic checks."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class SchemaGenerator(GenerateJsonSchema):
    """For ``json_schema(schema_generator=…)``."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # "Event Id" tells nothing that "event_id" does not

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        union = super().tagged_union_schema(schema)
        union.pop("discriminator", None)  # OpenAPI's; AsyncAPI means something else by the word
        return union

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        if "patternProperties" in made:  # else a key outside the pattern would be let through
            made["additionalProperties"] = False
        if schema.get("keys_schema", {}).get("type") == "int":
            made["propertyNames"] = {"pattern": "^(0|[1-9][0-9]*)$"}
        return made
