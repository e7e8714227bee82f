"""Decoders of the topics that we write ourselves: what stands there may be another release's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from pydantic import TypeAdapter, ValidationError

from agents import topics
from agents.facilitator_records import restore_row
from agents.partition_tables import POSITION_KEY, PartitionTables, position_value
from agents.prompt_sets import set_on
from agents.sink_records import made_record
from config.prompts import read_prompt_set
from config.seed_trees import seed_trees
from fuzz.decoder import ContractBroken, Decoder, samples
from schemas.adoption import adoption_adapter
from schemas.contract import encode
from schemas.dead_letter import DeadLetter, SettledLetter
from schemas.delivery import POSITIONS_KEY, DeliveryAck, ReadPositions, delivery_adapter
from schemas.errors import InvalidRecord, InvalidSetting, RejectedEvent
from schemas.fields import LABELS
from schemas.prompt import PromptFigures, PromptSet, TopicFigure, version_of
from schemas.tree import TreeDocument
from streams.dead_letters import judge, with_value
from streams.decode import Record
from streams.delivery_records import DeliverableDecision, decode_ack, decode_decision
from streams.pending_deliveries import PendingDeliveries
from streams.prompt import MAX_PROMPT_CHARACTERS, Prompts
from streams.rules import Rules
from streams.scoring import Score, compile_tree
from streams.tables import decode_value, encode_value

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LONG = "Ω" * 300
FIGURES = PromptFigures(
    *(LONG, LONG, "basic", tuple(TopicFigure(LONG, 99.5) for _ in range(3)), (LONG,) * 3),
    *(0.0, 1.0, None, "unknown"),
)


def _keyed(decode: Callable[[Record], Any]) -> Callable[[bytes], Any]:
    """With the key that the record's ``user_id`` asks for."""

    def read(raw: bytes) -> Any:
        try:
            key = str(orjson.loads(raw)["user_id"]).encode(errors="replace")
        except (ValueError, KeyError, TypeError, IndexError):
            key = b""
        return decode(Record(0, key, raw, NOW))

    return read


def _made(topic: str, name: str) -> Decoder:
    """A record as a sink takes it: its value is what the contract was checked with."""

    def read(raw: bytes) -> dict[str, Any]:
        value = made_record(topic, 0, 0, b"key", raw).value
        assert value is not None
        return value

    return Decoder(f"sink-{name}", read, InvalidRecord, samples(name), orjson.dumps)


def _table(name: str) -> Decoder:
    def read(raw: bytes) -> Any:
        return decode_value(name, raw)

    return Decoder(f"changelog-{name}", read, msgspec.MsgspecError, samples(name), encode_value)


def _contract(name: str, adapter: TypeAdapter[Any]) -> Decoder:
    return Decoder(name, adapter.validate_json, ValidationError, samples(name), encode)


def _tree(raw: bytes) -> TreeDocument:
    document = TreeDocument.model_validate_json(raw)
    leaves = [compile_tree(document).root]
    while leaves:
        node = leaves.pop()
        if not isinstance(node, Score):
            leaves += node[2:]
            continue
        if not 0.999 < sum(node.distribution.values()) < 1.001:
            raise ContractBroken(f"shares of a leaf: {node.distribution}")
        node.sentence((0.0,) * 100)
    return document


def _prompt_set(raw: bytes) -> PromptSet | None:
    """A set whose version is made to fit, so that what it holds is looked at."""
    try:
        told = orjson.loads(raw)
        told["version"] = version_of(told["templates"], told["reading_levels"])
        raw = orjson.dumps(told)
    except (ValueError, KeyError, TypeError):
        pass
    templates = set_on(raw)
    if templates is None:
        return None
    prompts = Prompts(templates)
    words = prompts.words(FIGURES)
    for tree_id, labels in LABELS.items():
        for label in labels:
            prompt = prompts.fill(tree_id, label, words, "because " * 200)
            if len(prompt) > MAX_PROMPT_CHARACTERS:
                raise ContractBroken(f"a prompt of {len(prompt)} characters")
    return templates


def _pending(raw: bytes) -> Any:
    table = PendingDeliveries()
    restore_row(table, "pending", b"row", raw)
    table.due(NOW, 1)
    return table.get("row")


def _positions(raw: bytes) -> ReadPositions:
    table = PendingDeliveries()
    restore_row(table, "pending", POSITIONS_KEY.encode(), raw)
    return table.positions


def _worker_position(raw: bytes) -> int:
    tables = PartitionTables.__new__(PartitionTables)
    tables.restore("seen", POSITION_KEY, raw, 0)
    assert tables.position is not None
    return tables.position


def _newer_delivery(raw: bytes) -> Any:
    return delivery_adapter.validate_json(raw, extra="ignore")


def _ack(record: Record) -> DeliveryAck:
    return decode_ack(record)


def _decision(record: Record) -> DeliverableDecision:
    return decode_decision(record)


def _corrected(raw: bytes) -> DeadLetter:
    """A dead letter's record as somebody has edited it, before it is sent again."""
    told = orjson.loads(samples("dead-letter")[0]) | {"topic": topics.EVENTS}
    letter = with_value(DeadLetter.model_validate_json(orjson.dumps(told)), raw)
    judge(letter, NOW, Rules(), {})
    return letter


DECODERS = (
    Decoder(
        "corrected-letter",
        _corrected,
        RejectedEvent,
        samples("learner-event")[:3],
        lambda letter: bytes(letter.raw),
    ),
    Decoder(
        "settled-letter",
        SettledLetter.model_validate_json,
        ValidationError,
        samples("settled-letter"),
        lambda mark: mark.model_dump_json().encode(),
    ),
    Decoder("ack", _keyed(_ack), RejectedEvent, samples("delivery-ack"), encode),
    Decoder("deliverable-decision", _keyed(_decision), RejectedEvent, samples("decision"), encode),
    Decoder(
        "tree-document",
        _tree,
        ValidationError,
        (
            *samples("tree-document"),
            *(tree.model_dump_json().encode() for tree in seed_trees().values()),
        ),
        lambda document: document.model_dump_json().encode(),
    ),
    Decoder(
        "prompt-set",
        _prompt_set,
        InvalidSetting,
        (*samples("prompt-set"), encode(read_prompt_set())),
        encode,
        longest=16_384,
    ),
    Decoder("client-delivery", _newer_delivery, ValidationError, samples("delivery"), encode),
    Decoder("pending-delivery", _pending, InvalidRecord, samples("pending-delivery"), encode),
    Decoder("read-positions", _positions, InvalidRecord, (b'{"decisions":7,"acks":12}',), encode),
    Decoder("worker-position", _worker_position, InvalidRecord, (b"0", b"1042"), position_value),
    _contract("tree-adoption", adoption_adapter),
    _table("profile"),
    _table("behavior"),
    _table("engagement"),
    _made(topics.DECISIONS, "decision"),
    _made(topics.CHAT, "chat-record"),
    _made(topics.DELIVERY_LOG, "delivery"),
    _made(topics.EXAMPLES, "tree-example"),
    _made(topics.TREE_VERSIONS, "tree-document"),
    _made(topics.PROMPT_SETS, "prompt-set"),
    _made(topics.DEAD_LETTERS, "dead-letter"),
    _made("profile", "profile"),
    _made("behavior", "behavior"),
    _made("engagement", "engagement"),
)
