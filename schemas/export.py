"""Writes the contracts out for whoever does not read Python: JSON Schema, AsyncAPI and OpenAPI.

JSON Schema says all that is checked of one field. What it cannot say stays in the descriptions:
``1.0`` is no whole number here, and the nodes of a tree document must make a tree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from schemas.adoption import adoption_adapter
from schemas.asyncapi import asyncapi_document
from schemas.behavior import behavior_adapter
from schemas.chat import chat_adapter
from schemas.dead_letter import DeadLetter, SettledLetter
from schemas.decision import decision_adapter
from schemas.delivery import ack_adapter, delivery_adapter, pending_adapter
from schemas.engagement import engagement_adapter
from schemas.event import event_adapter
from schemas.example import example_adapter
from schemas.openapi import openapi_document
from schemas.profile import profile_adapter
from schemas.prompt import prompt_set_adapter
from schemas.schema_generator import SchemaGenerator
from schemas.snapshot import snapshot_adapter
from schemas.tree import TreeDocument

CONTRACTS: Mapping[str, TypeAdapter[Any]] = {
    "learner-event": event_adapter,
    "profile": profile_adapter,
    "behavior": behavior_adapter,
    "engagement": engagement_adapter,
    "decision": decision_adapter,
    "chat-record": chat_adapter,
    "delivery": delivery_adapter,
    "delivery-ack": ack_adapter,
    "pending-delivery": pending_adapter,
    "prompt-set": prompt_set_adapter,
    "tree-document": TypeAdapter(TreeDocument),
    "tree-example": example_adapter,
    "tree-adoption": adoption_adapter,
    "dead-letter": TypeAdapter(DeadLetter),
    "settled-letter": TypeAdapter(SettledLetter),
    "trainer-snapshot": snapshot_adapter,
}
"""By the name of the file, less ``.json``."""

_TITLES = {"learner-event": "LearnerEvent"}


def json_schema(name: str) -> dict[str, Any]:
    """The contract of a name in `CONTRACTS` as JSON Schema, draft 2020-12: what a reader accepts.

    A field with a default may be missing, so records written before the field was there stay valid.
    """
    schema = CONTRACTS[name].json_schema(schema_generator=SchemaGenerator)
    schema.setdefault("title", _TITLES.get(name))
    _name_base64(schema)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": f"{name}.json", **schema}


def export(folder: Path) -> list[Path]:
    """Writes every contract's file, ``asyncapi.json`` and ``openapi.json`` into a folder, made if
    it is not there.

    The same contracts give the same bytes. Returns the files, in the order written.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    documents = {name: json_schema(name) for name in CONTRACTS}
    documents["asyncapi"] = asyncapi_document()
    documents["openapi"] = openapi_document()
    files = []
    for name, document in documents.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files.append(file)
    return files


def _name_base64(schema: Any) -> None:
    """In place: ``format: base64`` is pydantic's word, ``contentEncoding`` that of JSON Schema."""
    if isinstance(schema, dict):
        if schema.get("format") == "base64":
            del schema["format"]
            schema["contentEncoding"] = "base64"
        for inner in schema.values():
            _name_base64(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _name_base64(inner)
