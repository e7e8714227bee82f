"""The topics as an AsyncAPI 3.0 document: what is on each, by which key, and who writes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas import topics
from schemas.sample_records import SAMPLES

VERSION = "0.1.0"
"""Of the contracts: that of the package."""

DEFAULT_PARTITIONS = 4
DEFAULT_APP_ID = "learner"

_BINDING = "0.5.0"
_UUID = {"type": "string", "format": "uuid"}
_TEXT = {"type": "string"}


class _Message(NamedTuple):
    """``schema``: name of the JSON Schema file, less ``.json``; ``None`` for bytes."""

    schema: str | None
    title: str
    key: dict[str, Any]
    key_meaning: str


class _Topic(NamedTuple):
    """``sent`` and ``received``: what we do with it, ``None`` if we do not.

    ``partitions``: ``None`` for those that have as many as ``learner.events``.
    """

    address: str
    message: str
    description: str
    cleanup: str
    sent: str | None
    received: str | None
    partitions: int | None = None


_DELETED_FROM = ("seen", topics.PENDING)

_MESSAGES = {
    "learnerEvent": _Message(
        "learner-event",
        "Something a learner did, or somebody says of them",
        _UUID,
        "The event's `user_id`, hyphenated, in lower case. Any other key makes the record a dead "
        "letter.",
    ),
    "deadLetter": _Message(
        "dead-letter",
        "A record that nobody could use, whole, with the reason",
        _UUID,
        "`dead_letter_id`, the same for the same record.",
    ),
    "settledLetter": _Message(
        "settled-letter",
        "What a person did with a dead letter",
        _UUID,
        "`dead_letter_id`, so that compaction keeps what was done last.",
    ),
    "decision": _Message(
        "decision", "What a tree said of a learner, and why", _UUID, "`user_id`, in lower case."
    ),
    "chatRecord": _Message(
        "chat-record",
        "A chat message, and what was decided of the learner at that moment",
        _UUID,
        "`user_id`, in lower case.",
    ),
    "delivery": _Message(
        "delivery",
        "A decision for the query-strategy service, with its prompt and what became of it",
        _UUID,
        "`user_id`, in lower case.",
    ),
    "deliveryAck": _Message(
        "delivery-ack",
        "The query-strategy service's answer to a delivery",
        _UUID,
        "The `user_id` of the delivery. Send it to the partition that the delivery was in.",
    ),
    "promptSet": _Message(
        "prompt-set",
        "The templates that prompts were filled in",
        {"type": "string", "pattern": "^[0-9a-f]{12}$"},
        "`version`, so that compaction keeps every set.",
    ),
    "pending": _Message(
        "pending-delivery",
        "The delivery that is not answered for yet",
        _TEXT,
        "`user_id|decision_tree_id`; under `positions` stands where reading goes on.",
    ),
    "treeExample": _Message(
        "tree-example",
        "Features at a decision, and the label that hindsight gave it",
        _UUID,
        "`user_id`, in lower case.",
    ),
    "treeAdoption": _Message(
        "tree-adoption",
        "From which event on a partition was decided by which tree versions",
        {"type": "string", "pattern": "^[0-9]+$"},
        "The partition, as text.",
    ),
    "treeDocument": _Message(
        "tree-document",
        "A version of a decision tree",
        {"type": "string", "pattern": "^[a-z_]+:[0-9]+:[0-9a-f]{8}$"},
        "`tree_id:version:content`, the last a digest, so that compaction keeps every version.",
    ),
    "trainerSnapshot": _Message(
        "trainer-snapshot",
        "Where the trainer stands",
        {"type": "string", "const": "trainer"},
        "Always `trainer`: compaction keeps the newest.",
    ),
    "profile": _Message("profile", "Table `profile`: who the learner is", _UUID, "`user_id`."),
    "behavior": _Message(
        "behavior", "Table `behavior`: the learner across courses", _UUID, "`user_id`."
    ),
    "engagement": _Message(
        "engagement",
        "Table `engagement`: the learner in one course",
        _TEXT,
        "`user_id|course_id`; nothing after the bar for what happens outside any course.",
    ),
    "seen": _Message(
        None,
        "Table `seen`: the event ids of one learner's day",
        _TEXT,
        "`user_id|day|page`; day: days since 1970-01-01 (UTC); page: from 0. Under `position`: "
        "where the partition of learner.events is read on, an offset in decimal digits.",
    ),
}

_TOPICS = {
    "events": _Topic(
        topics.EVENTS,
        "learnerEvent",
        "Everything that is known of learners comes in here. All events of a learner are in one "
        "partition, which their key chooses. At most LEARNER_WORKER__MAX_EVENT_BYTES long.",
        "delete",
        None,
        "Folds the event into the learner's tables and asks both trees.",
    ),
    "deadLetters": _Topic(
        topics.DEAD_LETTERS,
        "deadLetter",
        "Events that were not folded, acknowledgements that answer nothing, and records that a "
        "store refused. In the partition that the record was in.",
        "delete",
        "Keeps a record that cannot be used.",
        None,
    ),
    "settledLetters": _Topic(
        topics.SETTLED_LETTERS,
        "settledLetter",
        "Which dead letters were resent or dropped, kept for longer than the letters are. A mark "
        "is in one transaction with the record that was put back onto its topic.",
        "compact",
        "`learner dlq resend` or `drop` has settled a letter.",
        "`learner dlq` tells open letters from settled ones.",
        1,
    ),
    "decisions": _Topic(
        topics.DECISIONS,
        "decision",
        "What comes out: read it with isolation.level=read_committed. In the partition that the "
        "event was in.",
        "delete",
        "Tells what a tree said at a decision point, or that its label changed.",
        None,
    ),
    "chatMessages": _Topic(
        topics.CHAT,
        "chatRecord",
        "Every chat message once, in the order in which it was folded. In the partition that the "
        "event was in.",
        "delete",
        "Hands a folded message on to whoever answers it, shows it or keeps it.",
        "The gateway shows it to the learner and queues it for a responder.",
    ),
    "deliveries": _Topic(
        topics.DELIVERIES,
        "delivery",
        "Decisions for the query-strategy service: read it with isolation.level=read_committed, "
        "drop a delivery_id taken before, and acknowledge each. In the partition that the decision "
        "was in.",
        "delete",
        "Delivers a decision, or delivers it again after its time was up.",
        None,
    ),
    "acks": _Topic(
        topics.ACKS,
        "deliveryAck",
        "What the query-strategy service answers.",
        "delete",
        None,
        "Ends a delivery with `success` or `fail`.",
    ),
    "deliveryLog": _Topic(
        topics.DELIVERY_LOG,
        "delivery",
        "Every change of a delivery's response_status.",
        "delete",
        "Tells what became of a delivery.",
        None,
    ),
    "promptSets": _Topic(
        topics.PROMPT_SETS,
        "promptSet",
        "Every set of templates that was ever used: any prompt can be made again.",
        "compact",
        "A worker begins to use a set that is not there yet.",
        None,
        1,
    ),
    "treeExamples": _Topic(
        topics.EXAMPLES,
        "treeExample",
        "What the trees learn from, kept for ever: a trainer can begin anew.",
        "delete",
        "Tells what a decision should have been, once that is known.",
        "The trainer learns from it.",
    ),
    "treeVersions": _Topic(
        topics.TREE_VERSIONS,
        "treeDocument",
        "Every version of every tree, for ever: any decision can be worked out again.",
        "compact",
        "The trainer publishes a version that foretells better than the one in force, a person one "
        "that they want. Of two with one number the first is in force.",
        "A worker decides by the highest version from its next event on.",
        1,
    ),
    "treeAdoptions": _Topic(
        topics.ADOPTIONS,
        "treeAdoption",
        "With it a replay of the log makes the very same decisions. In the partition that it tells "
        "of.",
        "delete",
        "A worker begins to decide by other versions, or has taken a partition over.",
        None,
    ),
    "trainerSnapshots": _Topic(
        topics.SNAPSHOTS,
        "trainerSnapshot",
        "The trainer's memory, written in one transaction with the versions.",
        "compact",
        "The trainer remembers.",
        "A trainer that starts goes on from the newest.",
        1,
    ),
} | {
    f"{table}Changelog": _Topic(
        topics.changelog("{app_id}", table),
        table,
        f"Changelog of the table {table}. Ours alone: read it, never write it."
        + (" A record without a value deletes its key." if table in _DELETED_FROM else ""),
        "compact",
        "Written in one transaction with the decisions.",
        "Whoever is given a partition restores its tables.",
    )
    for table in (*topics.TABLES, topics.PENDING)
}


def asyncapi_document() -> dict[str, Any]:
    """The document as plain data; payloads are ``$ref`` s to the schema files beside it."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Learner stream",
            "version": VERSION,
            "description": "Learner events in on Kafka, explained decisions out. Operations are "
            "what our workers and trainer do: `receive` is what they read, `send` what they write. "
            "All they write is transactional.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "LEARNER_KAFKA__BOOTSTRAP_SERVERS",
            }
        },
        "channels": {name: _channel(topic) for name, topic in _TOPICS.items()},
        "operations": {
            f"{action}{name[0].upper()}{name[1:]}": _operation(name, topic, action, summary)
            for name, topic in _TOPICS.items()
            for action, summary in (("receive", topic.received), ("send", topic.sent))
            if summary is not None
        },
        "components": {
            "messages": {name: _message(name, message) for name, message in _MESSAGES.items()}
        },
    }


def _channel(topic: _Topic) -> dict[str, Any]:
    description = topic.description
    binding: dict[str, Any] = {
        "partitions": topic.partitions or DEFAULT_PARTITIONS,
        "topicConfiguration": {"cleanup.policy": [topic.cleanup]},
        "bindingVersion": _BINDING,
    }
    if topic.partitions is None:
        description += " Partitions: LEARNER_KAFKA__PARTITIONS."
    channel: dict[str, Any] = {
        "address": topic.address,
        "description": description,
        "messages": {topic.message: {"$ref": f"#/components/messages/{topic.message}"}},
        "bindings": {"kafka": binding},
    }
    if "{app_id}" in topic.address:
        channel["parameters"] = {
            "app_id": {"description": "LEARNER_WORKER__APP_ID", "default": DEFAULT_APP_ID}
        }
    return channel


def _operation(name: str, topic: _Topic, action: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{topic.message}"}],
    }


def _message(name: str, message: _Message) -> dict[str, Any]:
    key = {**message.key, "description": message.key_meaning}
    described: dict[str, Any] = {
        "name": name,
        "title": message.title,
        "contentType": "application/json",
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING}},
    }
    if message.schema is None:
        described["contentType"] = "application/octet-stream"
        described["description"] = "8 bytes for each event id, one after the other; no JSON."
        described["payload"] = {"type": "string", "format": "binary", "maxLength": 1024}
        # Shown as base64, since JSON has no bytes: two ids.
        described["examples"] = [{"name": "twoIds", "payload": "p1TpZfO2RRo8AXcXpgoPbg=="}]
    else:
        described["payload"] = {"$ref": f"./{message.schema}.json"}
        described["examples"] = [
            {"name": title, "payload": payload} for title, payload in SAMPLES[message.schema]
        ]
    return described
