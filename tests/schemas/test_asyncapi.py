"""The AsyncAPI document: complete, true to what is made on Kafka, no link that leads nowhere."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import topics
from agents.topics import topic_specs
from agents.trainer_log import SNAPSHOT_KEY, version_key
from config.settings import KafkaSettings, WorkerSettings
from schemas.asyncapi import DEFAULT_APP_ID, VERSION
from schemas.export import CONTRACTS, export
from schemas.sample_records import SAMPLES
from schemas.tree import TreeDocument
from streams.seen import PAGE_IDS, event_token
from streams.tables import TABLE_NAMES

ROOT = Path(__file__).parents[2]

Document = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("schemas")
    export(made)
    return made


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    read: Document = json.loads((folder / "asyncapi.json").read_text())
    return read


def test_it_is_asyncapi_3_of_our_version(document: Document) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["version"] == VERSION == project["version"]
    assert document["info"]["title"]


def test_every_reference_resolves(document: Document, folder: Path) -> None:
    found = list(references(document))
    assert len(found) > 40
    for reference in found:
        place, _, pointer = reference.partition("#")
        target = json.loads((folder / place).read_text()) if place else document
        for step in pointer.split("/")[1:]:
            target = target[step]
        assert isinstance(target, dict), reference


def test_a_reference_that_leads_nowhere_would_be_seen(document: Document) -> None:
    assert "./learner-event.json" in set(references(document))
    assert "#/channels/events" in set(references(document))


def test_every_topic_stands_in_it_as_it_is_made(document: Document) -> None:
    kafka, worker = KafkaSettings(), WorkerSettings()
    assert worker.app_id == DEFAULT_APP_ID
    described = {
        channel["address"].replace("{app_id}", worker.app_id): channel["bindings"]["kafka"]
        for channel in document["channels"].values()
    }
    specs = topic_specs(kafka, worker)
    assert described.keys() == {spec.name for spec in specs}
    for spec in specs:
        binding = described[spec.name]
        assert binding["partitions"] == spec.partitions
        assert binding["topicConfiguration"]["cleanup.policy"] == [spec.config["cleanup.policy"]]


def test_every_parameter_of_an_address_is_described(document: Document) -> None:
    for channel in document["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", {}))


def test_every_channel_has_an_operation_and_a_description(document: Document) -> None:
    used = {operation["channel"]["$ref"] for operation in document["operations"].values()}
    assert used == {f"#/channels/{name}" for name in document["channels"]}
    assert all(channel["description"] for channel in document["channels"].values())


def test_we_only_read_events_and_never_read_decisions_back(document: Document) -> None:
    does: dict[str, set[str]] = {}
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"].rpartition("/")[2]
        does.setdefault(channel, set()).add(operation["action"])
    assert does["events"] == {"receive"}
    assert does["decisions"] == does["deadLetters"] == {"send"}
    assert does["settledLetters"] == {"send", "receive"}
    assert does["treeExamples"] == does["treeVersions"] == {"send", "receive"}


def test_an_operation_names_messages_of_its_own_channel(document: Document) -> None:
    for operation in document["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")


def test_every_message_has_a_type_a_key_a_payload_and_examples(document: Document) -> None:
    messages = document["components"]["messages"]
    for name, message in messages.items():
        kind = "application/octet-stream" if name == "seen" else "application/json"
        assert message["contentType"] == kind
        assert message["bindings"]["kafka"]["key"]["description"]
        assert message["examples"]
    payloads = {message["payload"].get("$ref") for message in messages.values()}
    assert payloads - {None} == {f"./{name}.json" for name in CONTRACTS}


def test_keys_are_those_that_are_written(document: Document) -> None:
    def key(message: str) -> Any:
        return document["components"]["messages"][message]["bindings"]["kafka"]["key"]

    tree = TreeDocument.model_validate(SAMPLES["tree-document"][0][1])
    assert re.search(key("treeDocument")["pattern"], version_key(tree).decode())
    assert key("trainerSnapshot")["const"].encode() == SNAPSHOT_KEY


def test_seen_is_described_as_it_is_written(document: Document) -> None:
    seen = document["components"]["messages"]["seen"]
    token = event_token("3f1c0a52-7d7e-4b57-9a0e-0c6a9a4d2b11")
    assert seen["payload"]["maxLength"] == PAGE_IDS * len(token)
    assert len(base64.b64decode(seen["examples"][0]["payload"], validate=True)) == 2 * len(token)


def test_names_of_topics_stay_where_they_were() -> None:
    assert topics.EVENTS == "learner.events"
    assert topics.TABLES == TABLE_NAMES
    assert topics.changelog("a", "seen") == "a-seen-changelog"


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` of a document but those in samples."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)
