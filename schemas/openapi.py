"""The HTTP service as an OpenAPI 3.1 document: what can be asked, and every answer there is."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from schemas.asyncapi import VERSION
from schemas.delivery import delivery_adapter
from schemas.fields import TREE_IDS
from schemas.http import (
    latest_adapter,
    problem_adapter,
    token_answer_adapter,
    token_request_adapter,
)
from schemas.sample_records import SAMPLES
from schemas.schema_generator import SchemaGenerator

Part = dict[str, Any]

_MODELS: dict[str, TypeAdapter[Any]] = {
    "LatestDecisions": latest_adapter,
    "Delivery": delivery_adapter,
    "ChatTokenRequest": token_request_adapter,
    "ChatTokenAnswer": token_answer_adapter,
    "ProblemDocument": problem_adapter,
}
_UUID = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_DAY = {"type": "integer", "minimum": 1, "maximum": 86_400}

_PROBLEMS = {
    "400": "What was asked is none of what can be asked.",
    "401": "No key, or none that is good.",
    "403": "The key has not the scope.",
    "404": "There is no such decision.",
    "406": "Only `text/event-stream` is to be had here.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "414": "The path with its query is too long.",
    "415": "The body is not `application/json`.",
    "422": "The body is JSON, and not what is asked for.",
    "429": "Too many requests, or too many that wait, with this key.",
    "431": "The headers are too large.",
    "501": "Not set up on this server.",
    "503": "The stores do not answer now.",
}
_LATER = ("429", "503")
_ANYWHERE = ("400", "401", "403", "414", "429", "431", "503")


def openapi_document() -> Part:
    """As plain data. ``test_openapi.py`` holds it to what the service does."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Learner decisions",
            "version": VERSION,
            "summary": "Who a learner is now, what to do next, and the words for a prompt",
            "description": "For services that hold a key (`learner keys create`). A decision "
            "comes from Redis, or from PostgreSQL if it is not there (`cache_hit`). "
            "docs/http.md has examples.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "LEARNER_API__HOST, …__PORT"}],
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "lk_<key_id>_<secret>",
                    "description": "`learner keys create NAME --scope …` prints it once.",
                }
            },
            "parameters": _parameters(),
            "responses": {
                f"Problem{status}": _problem(status, said) for status, said in _PROBLEMS.items()
            },
            "schemas": _schemas(),
        },
    }


def _paths() -> Part:
    learner = "/v1/learners/{user_id}/decisions"
    user, wait, known = (_ref("parameters", name) for name in ("user_id", "wait", "known"))
    return {
        learner: {
            "get": {
                "operationId": "latestDecisions",
                "summary": "The latest decision of a learner by each tree",
                "description": "Needs the scope `decisions:read`.",
                "parameters": [user, wait, known],
                "responses": {
                    "200": _tagged("The decisions there are.", "LatestDecisions"),
                    "304": {"description": "Nothing else than what `If-None-Match` names."},
                    **_problems("404"),
                },
            }
        },
        f"{learner}/events": {
            "get": {
                "operationId": "decisionEvents",
                "summary": "Each new decision of a learner, as server-sent events",
                "description": "Needs the scope `decisions:read`. Each event is named `decision`; "
                "its data is a Delivery. What is known now comes first. A comment comes when "
                "nothing else does; after an hour the stream ends: connect again.",
                "parameters": [user, _ref("parameters", "last_event_id")],
                "responses": {
                    "200": {
                        "description": "A stream of events.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    **_problems("406"),
                },
            }
        },
        f"{learner}/{{tree_id}}": {
            "get": {
                "operationId": "latestDecision",
                "summary": "The latest decision of a learner by one tree",
                "description": "Needs the scope `decisions:read`.",
                "parameters": [user, _ref("parameters", "tree_id"), wait, known],
                "responses": {
                    "200": _tagged("The decision.", "Delivery", _delivery_sample()),
                    "304": {"description": "Nothing else than what `If-None-Match` names."},
                    **_problems("404"),
                },
            }
        },
        "/v1/chat/tokens": {
            "post": {
                "operationId": "makeChatToken",
                "summary": "A token that lets a learner, or an expert, into the chat",
                "description": "Needs the scope `chat:tokens`; for an expert `chat:experts` too.",
                "requestBody": {"required": True, "content": _content("ChatTokenRequest")},
                "responses": {
                    "200": _json("The token.", "ChatTokenAnswer"),
                    **_problems("408", "413", "415", "422", "501"),
                },
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This document",
                "description": "Needs a key of any scope.",
                "responses": {"200": _plain("The document."), **_problems()},
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "For Prometheus",
                "description": "From the same machine, not through a proxy, without a key; from "
                "elsewhere with one of the scope `metrics:read`.",
                "security": [{}, {"key": []}],
                "responses": {
                    "200": {
                        "description": "Prometheus' text format.",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                    **_problems(),
                },
            }
        },
        "/healthz": {
            "get": {
                "operationId": "healthz",
                "summary": "Whether the process answers",
                "security": [],
                "responses": {"200": _plain("It does."), **_only("414", "431")},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "readyz",
                "summary": "Whether decisions can be read",
                "description": "`degraded` while one of the stores is away.",
                "security": [],
                "responses": {"200": _plain("They can."), **_only("414", "431", "503")},
            }
        },
    }


def _parameters() -> Part:
    return {
        "user_id": {
            "name": "user_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid", "pattern": f"^{_UUID}$"},
        },
        "tree_id": {
            "name": "tree_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "enum": list(TREE_IDS)},
        },
        "wait": {
            "name": "wait",
            "in": "query",
            "description": "Seconds to wait for something else than what `If-None-Match` names; "
            "at most LEARNER_API__LONGEST_WAIT_SECONDS.",
            "schema": {"type": "number", "minimum": 0, "default": 0},
        },
        "known": {
            "name": "If-None-Match",
            "in": "header",
            "description": "The `ETag` of an earlier answer.",
            "schema": {"type": "string"},
        },
        "last_event_id": {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The id of the last event that was received: only what is new since "
            "comes.",
            "schema": {"type": "string"},
        },
    }


def _schemas() -> Part:
    _, made = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in _MODELS.items()],
        ref_template="#/components/schemas/{model}",
        schema_generator=SchemaGenerator,
    )
    schemas: Part = made["$defs"]
    return {name: schemas[name] for name in sorted(schemas)}


def _delivery_sample() -> Part:
    _, delivery = SAMPLES["delivery"][0]
    return {**delivery, "cache_hit": True}


def _tagged(said: str, model: str, example: Part | None = None) -> Part:
    etag = {"description": "For `If-None-Match`.", "schema": {"type": "string"}}
    return {**_json(said, model, example), "headers": {"ETag": etag}}


def _json(said: str, model: str, example: Part | None = None) -> Part:
    return {"description": said, "content": _content(model, example)}


def _content(model: str, example: Part | None = None) -> Part:
    media: Part = {"schema": _ref("schemas", model)}
    if example is not None:
        media["example"] = example
    return {"application/json": media}


def _plain(said: str) -> Part:
    return {"description": said, "content": {"application/json": {"schema": {"type": "object"}}}}


def _problem(status: str, said: str) -> Part:
    answer: Part = {
        "description": said,
        "content": {"application/problem+json": {"schema": _ref("schemas", "ProblemDocument")}},
    }
    if status in _LATER:
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": _DAY}}
    return answer


def _problems(*more: str) -> Part:
    return _only(*_ANYWHERE, *more)


def _only(*statuses: str) -> Part:
    return {status: _ref("responses", f"Problem{status}") for status in sorted(statuses)}


def _ref(kind: str, name: str) -> Part:
    return {"$ref": f"#/components/{kind}/{name}"}
