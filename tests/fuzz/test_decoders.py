"""Every decoder keeps its contract on its seeds, and on what `make fuzz` has found."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from fuzz import decoder as contract
from fuzz.decoder import ContractBroken, Decoder, outcome
from fuzz.decoders import DECODERS
from fuzz.found_inputs import FOUND, ROOT, found

DECODES = re.compile(
    r"validate_json\(|json\.Decoder\(|model_validate_json\b|\.validate_json,|orjson\.loads|json\.loads\("
    r"|decompressobj\(|b64decode\(|jwt\.decode\(|dotenv_values\(|csv\.reader\("
)
ONLY_OURS = {
    "schemas/sample_records.py": "samples, written in the same file",
    "simulation/disturbance.py": "events that the simulation made",
    "simulation/malformed.py": "events that the simulation made",
    "converters/oulad_enrolment.py": "lines that it wrote and sorted itself",
    "config/seed_trees.py": "files of this package",
    "agents/partition_state.py": "marks that it wrote itself, under RocksDB's checksums",
}
"""Files that decode only what was made in the same process or package."""
FROM_STORES = {
    "audit/clickhouse.py", "audit/duckdb.py", "audit/postgres.py", "audit/redis.py",
    "audit/rows.py", "queries/duckdb.py", "queries/postgres.py", "queries/redis.py",
    "queries/trace.py", "chat/live_queue.py", "sinks/redis_beside.py",
}  # fmt: skip
"""Files that read back what our own sinks and feeders wrote, by the contracts tried here."""
DECODED_IN: dict[str, tuple[str, ...]] = {
    "agents/dead_letter_log.py": ("sink-dead-letter", "settled-letter"),
    "agents/facilitator_records.py": ("pending-delivery", "read-positions"),
    "agents/known_behaviors.py": ("changelog-behavior",),
    "agents/prompt_sets.py": ("prompt-set",),
    "agents/table_rebuild.py": ("changelog-behavior",),
    "agents/sink_records.py": ("sink-decision", "sink-profile", "sink-dead-letter"),
    "agents/trainer.py": ("sink-tree-example",),
    "agents/trainer_log.py": ("trainer-snapshot",),
    "agents/tree_versions.py": ("tree-document",),
    "api/chat_tokens.py": ("chat-token-request",),
    "api/latest.py": ("client-delivery",),
    "audit/kafka_log.py": ("tree-document", "tree-adoption"),
    "audit/worker_rows.py": ("changelog-behavior",),
    "audit/run.py": ("sink-dead-letter", "event"),
    "chat/feed.py": ("sink-chat-record",),
    "chat/frame_loop.py": ("learner-frame", "expert-frame"),
    "chat/llm_sse.py": ("llm-stream",),
    "chat/request_queue.py": ("sink-chat-record",),
    "chat/rooms.py": ("live-frame",),
    "chat/terminal.py": ("gateway-frame",),
    "chat/tokens.py": ("token", "signed-claims"),
    "cli/decisions.py": ("sink-decision",),
    "cli/deliveries.py": ("client-delivery",),
    "cli/event_on_kafka.py": ("event",),
    "cli/explain.py": ("sink-decision",),
    "cli/tree_versions.py": ("tree-document",),
    "cli/whatif.py": ("tree-document",),
    "client/answered_before.py": ("ack",),
    "client/decisions.py": ("client-delivery",),
    "config/chat_rules.py": ("chat-rules",),
    "config/loading.py": ("dotenv", "environment"),
    "converters/csv_rows.py": ("csv-rows", "oulad"),
    "demo/collector.py": ("sink-chat-record", "tree-document", "sink-decision"),
    "doctor/ask_readers.py": ("trainer-snapshot",),
    "doctor/ask_trees.py": ("tree-adoption",),
    "schemas/event.py": ("event",),
    "streams/decode.py": ("event", "user-id", "folded-events", "corrected-letter"),
    "streams/delivery_records.py": ("ack", "deliverable-decision"),
    "streams/learning.py": ("trainer-snapshot",),
    "streams/model_codec.py": ("model", "packed-model"),
    "streams/tables.py": ("changelog-profile", "changelog-behavior", "changelog-engagement"),
}
"""By file, the decoders by which what it reads is tried."""


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_keeps_its_contract(name: str) -> None:
    decoder = DECODERS[name]
    inputs = [*decoder.seeds, *found(decoder).values()]
    assert inputs
    for raw in inputs:
        outcome(decoder, raw)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_has_a_seed_that_it_takes(name: str) -> None:
    said = [outcome(DECODERS[name], raw) for raw in DECODERS[name].seeds]
    assert any(word.startswith("taken") for words in said for word in words)


def test_what_was_found_belongs_to_a_decoder() -> None:
    assert {folder.name for folder in FOUND.iterdir()} <= set(DECODERS)


def test_every_file_that_decodes_is_tried() -> None:
    product = tuple(folder.parent for folder in ROOT.glob("*/__init__.py"))
    files = {
        str(file.relative_to(ROOT))
        for folder in product
        if folder.name != "bench"
        for file in folder.rglob("*.py")
        if DECODES.search(file.read_text())
    }
    assert len(files) > 30
    known = {*ONLY_OURS, *FROM_STORES, *DECODED_IN}
    assert files - known == set(), "name the decoder that tries it (tests/fuzz)"
    assert known - files == set(), "it decodes nothing any more"
    assert {name for names in DECODED_IN.values() for name in names} <= set(DECODERS)


def _raises(_: bytes) -> str:
    raise KeyError("event_id")


def _is_slow(_: bytes) -> str:
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    return "slow"


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (Decoder("another error", _raises, ValueError, (b"",)), KeyError),
        (Decoder("slow", _is_slow, ValueError, (b"",)), ContractBroken),
        (Decoder("forgets", bytes.decode, ValueError, (b"a",), lambda _: b"b"), ContractBroken),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_broken_contract_is_seen(
    broken: Decoder, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "MOST_SECONDS", 0.02)
    with pytest.raises(error):
        outcome(broken, broken.seeds[0])


def test_two_inputs_that_show_the_same_are_kept_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuzz import found_inputs  # noqa: PLC0415

    monkeypatch.setattr(found_inputs, "FOUND", tmp_path)
    csv: Any = DECODERS["csv-rows"]._replace(seeds=(b"a,b\n1,2\n",))
    kept = found_inputs.keep_new(csv, [b"a,b\n3,4\n", b"a\n", b"c\n", b"a,b\n1\n"], most=9)
    assert [file.read_bytes() for file in kept] == [b"a\n", b"a,b\n1\n"]
