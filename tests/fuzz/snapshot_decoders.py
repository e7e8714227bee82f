"""Decoders of the trainer's snapshot: the record, and river's model inside it."""

from __future__ import annotations

import base64
import random
import zlib
from functools import cache
from typing import Any

import orjson
from pydantic import ValidationError

from config.seed_trees import seed_trees
from fuzz.decoder import ContractBroken, Decoder, samples
from schemas.errors import InvalidRecord
from schemas.example import TreeExample
from schemas.feature import FEATURES
from schemas.fields import LABELS
from schemas.snapshot import TrainerSnapshot, snapshot_adapter
from streams.learning import Learning, OnlineTree, new_model
from streams.model_codec import decode_model, encode_model
from streams.tree_export import export_nodes

_TREE = "primary_classification"
_LEARNING = Learning(grace_period=5)


@cache
def learned(examples: int) -> OnlineTree:
    """A tree that has learned random examples, so that it has branches, windows and splitters."""
    rng = random.Random(examples)
    tree = OnlineTree(seed_trees()[_TREE], _LEARNING)
    for number in range(examples):
        features = {f.name: rng.uniform(f.low, min(f.high, 10)) for f in FEATURES}
        label = LABELS[_TREE][int(features["recent_score"] * 3) + 2 * (features["gpa"] > 2)]
        example = samples("tree-example")[0]
        told = orjson.loads(example) | {
            "features": features,
            "label": label,
            "tree_id": _TREE,
            "example_id": f"00000000-0000-4000-8000-{number:012d}",
        }
        tree.learn(TreeExample(**told))
    return tree


def _model(raw: bytes) -> bytes:
    """The model's JSON, as it stands inside the compression; it then goes on to learn."""
    model = decode_model(zlib.compress(raw, 1), new_model(_LEARNING))
    # Before anything is learned: writing what was read is the round trip.
    written = zlib.decompress(encode_model(model))
    features = {f.name: 0.5 for f in FEATURES}
    for label in LABELS[_TREE]:
        model.predict_one(features)
        model.learn_one(features, label)
    export_nodes(model, _TREE)
    return written


def _packed(raw: bytes) -> bytes:
    return encode_model(decode_model(raw, new_model(_LEARNING)))


def _snapshot(raw: bytes) -> TrainerSnapshot:
    """As the trainer reads its own at a start, trees and all."""
    snapshot = snapshot_adapter.validate_json(raw)
    champions = seed_trees()
    for tree_id, known in snapshot.trees.items():
        tree = OnlineTree.resume(known, champions[tree_id], _LEARNING)
        if not 0 <= tree.metrics.faded_accuracy <= 1:
            raise ContractBroken(f"{tree_id}: an accuracy of {tree.metrics.faded_accuracy}")
    return snapshot


def _whole(examples: int) -> bytes:
    tree = learned(examples)
    return snapshot_adapter.dump_json(TrainerSnapshot({_TREE: tree.snapshot()}, {0: examples}))


def _seeds() -> tuple[bytes, ...]:
    return tuple(zlib.decompress(_model_of(examples)) for examples in (0, 8, 60, 200))


def _model_of(examples: int) -> bytes:
    return base64.b64decode(learned(examples).snapshot().model)


def _same(value: Any) -> bytes:
    return bytes(value)


DECODERS = (
    Decoder("model", _model, InvalidRecord, _seeds(), _same, longest=65_536),
    Decoder(
        "packed-model",
        _packed,
        InvalidRecord,
        tuple(_model_of(examples) for examples in (0, 8, 60)),
        _same,
        longest=16_384,
    ),
    Decoder(
        "trainer-snapshot",
        _snapshot,
        (ValidationError, InvalidRecord),
        (*samples("trainer-snapshot"), _whole(0), _whole(60)),
        snapshot_adapter.dump_json,
        longest=32_768,
    ),
)
