"""What the methods count: worked examples, one for each kind of process."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import ConsumerRecord
from msgspec.structs import replace

from agents.facilitator import FacilitatorProgress
from agents.faust_mends import RecordList
from agents.metrics import ProcessMetrics
from agents.metrics_api import ApiMetrics
from agents.metrics_chat import GatewayMetrics, ResponderMetrics
from agents.metrics_facilitator import FacilitatorMetrics
from agents.metrics_sink import SinkMetrics
from agents.metrics_trainer import TrainerMetrics
from agents.metrics_worker import OUTCOMES, WorkerMetrics
from agents.trainer import TrainerProgress
from config.seed_trees import seed_trees
from schemas.delivery import Delivery, delivery_adapter
from schemas.sample_records import SAMPLES
from streams.batch import Source, process
from streams.decode import Record
from streams.learning import TreeMetrics
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables

TREES = compile_trees(seed_trees())
TREE = "primary_classification"
AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def value(metrics: ProcessMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def answer(number: int, **changes: object) -> bytes:
    event = {
        "event_id": f"8a4f0a3c-2f5b-4f1e-8a77-{number:012d}",
        "type": "quiz.submitted",
        "user_id": "0b9d7c1e-6a52-4a53-9a6b-2f3a5e8d1c77",
        "course_id": "algebra",
        "occurred_at": f"2026-03-01T09:{number:02d}:00Z",
        "question_id": "q",
        "score": 0.5,
    }
    return json.dumps({**event, **changes}).encode()


def on_kafka(values: list[bytes], timestamps: list[int]) -> RecordList:
    records = [
        ConsumerRecord("learner.events", 0, n, at, 0, None, raw, -1, 0, len(raw), ())
        for n, (raw, at) in enumerate(zip(values, timestamps, strict=True))
    ]
    return RecordList(0, len(values), records, 0)


def test_a_batch_is_counted_by_outcome_reason_tree_and_label() -> None:
    values = [answer(1), answer(2), answer(1), b"{bad", answer(3, score=7)]
    records = [Record(n, None, raw, AT) for n, raw in enumerate(values)]
    batch = process(records, MemoryTables(), TREES, Rules(), Source("learner.events", 0))
    now = time.time_ns() // 1_000_000
    waits = [now - 60_000, now - 20, now - 20, now - 20, now + 60_000]
    metrics = WorkerMetrics()
    metrics.committed([on_kafka(values, waits)], batch, 0.2, 0.02)

    counted = {o: value(metrics, "learner_events_total", outcome=o) for o in OUTCOMES}
    assert counted == {"folded": 2, "repeated": 1, "replayed": 0, "dead": 2}
    assert value(metrics, "learner_dead_letters_total", reason="not_json") == 1
    assert value(metrics, "learner_dead_letters_total", reason="invalid_value") == 1
    assert value(metrics, "learner_dead_letters_total", reason="too_late") == 0
    decided = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "learner_decisions_total" and sample.value
    ]
    assert sum(sample.value for sample in decided) == len(batch.decisions) == 4
    assert {sample.labels["decision_label"] for sample in decided} == {
        decision.decision_label for decision in batch.decisions
    }
    assert value(metrics, "learner_batch_events_sum") == 5
    assert value(metrics, "learner_decision_execution_seconds_bucket", le="0.1") == 0
    assert value(metrics, "learner_decision_execution_seconds_bucket", le="0.25") == 1
    assert value(metrics, "learner_transaction_seconds_sum") == pytest.approx(0.02)
    # One waited a minute, one is from a clock that is ahead.
    assert value(metrics, "learner_decision_latency_seconds_count") == 5
    assert value(metrics, "learner_decision_latency_seconds_bucket", le="30.0") == 4
    assert value(metrics, "learner_decision_latency_seconds_bucket", le="300.0") == 5


def test_every_outcome_of_a_batch_is_declared() -> None:
    records = [Record(n, None, answer(1), AT) for n in (5, 6)]
    tables = MemoryTables()
    source = Source("learner.events", 0)
    batch = process(records, tables, TREES, Rules(), source)
    tables.apply(batch.tables.changed)
    again = process([*records, Record(9, None, b"", AT)], tables, TREES, Rules(), source)
    assert {*batch.counts, *again.counts} == set(OUTCOMES)


def test_partitions_come_and_go_and_lag_is_asked_for_when_prometheus_asks() -> None:
    metrics = WorkerMetrics()
    metrics.started(2, lambda: TREES)
    behind: dict[int, int] = {}
    metrics.taken_over(0, 1.5, lambda: behind.get(0))
    assert math.isnan(value(metrics, "learner_events_behind", partition="0") or 0)
    behind[0] = 7
    assert value(metrics, "learner_events_behind", partition="0") == 7
    assert value(metrics, "learner_partitions_owned") == 1
    assert value(metrics, "learner_partitions") == 2
    assert value(metrics, "learner_restore_seconds_sum") == 1.5
    assert value(metrics, "learner_tree_version", tree_id=TREE) == 0
    metrics.given_up(0)
    assert value(metrics, "learner_events_behind", partition="0") is None
    assert value(metrics, "learner_partitions_owned") == 0
    metrics.taken_over(0, 1.5, lambda: 5)
    assert value(metrics, "learner_events_behind", partition="0") == 5


def test_the_trainers_progress_becomes_counters_that_only_grow() -> None:
    metrics = TrainerMetrics()
    assert value(metrics, "learner_examples_total", outcome="refused") == 0
    accuracies = TreeMetrics(300, 4, 0.5, 0.6, 0.4, 0.45, 0.3)
    metrics.progress(TrainerProgress(100, 1, 0, 50, {TREE: accuracies}))
    metrics.progress(TrainerProgress(300, 1, 2, 0, {TREE: accuracies}))
    assert value(metrics, "learner_examples_total", outcome="learned") == 300
    assert value(metrics, "learner_examples_total", outcome="refused") == 1
    assert value(metrics, "learner_tree_versions_published_total") == 2
    assert value(metrics, "learner_examples_behind") == 0
    assert value(metrics, "learner_tree_version", tree_id=TREE) == 4
    assert value(metrics, "learner_prequential_examples", tree_id=TREE) == 300
    found = {
        (kind, model): value(metrics, f"learner_{kind}_accuracy_ratio", tree_id=TREE, model=model)
        for kind in ("prequential", "faded")
        for model in ("challenger", "champion", "baseline")
    }
    assert found == {
        ("prequential", "challenger"): 0.5,
        ("prequential", "champion"): 0.4,
        ("prequential", "baseline"): 0.3,
        ("faded", "challenger"): 0.6,
        ("faded", "champion"): 0.45,
        ("faded", "baseline"): None,
    }


def test_sinks_of_one_process_are_told_apart() -> None:
    metrics = SinkMetrics(["redis", "duckdb"])
    assert value(metrics, "learner_sink_store_away", store="duckdb") == 0
    metrics.written("redis", 500, 0.03)
    metrics.refused("redis")
    metrics.behind("redis", 20)
    metrics.away("duckdb", away=True)
    assert value(metrics, "learner_sink_written_records_total", store="redis") == 500
    assert value(metrics, "learner_sink_written_records_total", store="duckdb") == 0
    assert value(metrics, "learner_sink_refused_records_total", store="redis") == 1
    assert value(metrics, "learner_sink_records_behind", store="redis") == 20
    assert value(metrics, "learner_sink_store_away", store="redis") == 0
    assert value(metrics, "learner_sink_store_away", store="duckdb") == 1
    assert value(metrics, "learner_sink_write_seconds_bucket", store="redis", le="0.05") == 1
    metrics.away("duckdb", away=False)
    assert value(metrics, "learner_sink_store_away", store="duckdb") == 0


def delivery() -> Delivery:
    (_, sample), *_ = SAMPLES["delivery"]
    made = delivery_adapter.validate_json(json.dumps(sample))
    return replace(made, delivery_timestamp=AT, latency_ms=80.0, decision_latency_ms=4.0, attempt=1)


def test_a_delivery_that_is_acknowledged_at_the_second_attempt() -> None:
    metrics = FacilitatorMetrics()
    first = delivery()
    again = replace(first, attempt=2, latency_ms=10_080.0, decision_latency_ms=10_004.0)
    metrics.status(first)
    metrics.status(replace(first, response_status="timeout", responded_at=AT))
    metrics.status(again)
    taken = replace(again, response_status="success", responded_at=AT + timedelta(seconds=0.2))
    metrics.status(taken)
    tree = first.decision_tree_id
    attempts = {
        attempt: value(metrics, "learner_delivery_attempts_total", tree_id=tree, attempt=attempt)
        for attempt in ("first", "again")
    }
    assert attempts == {"first": 1, "again": 1}
    statuses = {
        status: value(metrics, "learner_deliveries_total", tree_id=tree, response_status=status)
        for status in ("success", "fail", "timeout", "superseded", "pending")
    }
    assert statuses == {"success": 1, "fail": 0, "timeout": 1, "superseded": 0, "pending": None}
    # The second attempt's latency is our own waiting: it says nothing of how fast we deliver.
    assert value(metrics, "learner_delivery_latency_seconds_count") == 1
    assert value(metrics, "learner_delivery_latency_seconds_sum") == pytest.approx(0.08)
    assert value(metrics, "learner_delivery_decision_latency_seconds_bucket", le="0.005") == 1
    assert value(metrics, "learner_delivery_acknowledgement_seconds_sum") == pytest.approx(0.2)


def test_an_acknowledgement_by_a_clock_behind_ours_took_no_time() -> None:
    metrics = FacilitatorMetrics()
    early = AT - timedelta(seconds=1)
    metrics.status(replace(delivery(), response_status="fail", responded_at=early))
    assert value(metrics, "learner_delivery_acknowledgement_seconds_sum") == 0
    assert value(metrics, "learner_delivery_acknowledgement_seconds_count") == 1


def test_what_the_facilitator_is_left_with() -> None:
    metrics = FacilitatorMetrics()
    assert value(metrics, "learner_dead_letters_total", reason="not_acknowledged") == 0
    counts = Counter({"success": 9, "ignored": 3, "not_acknowledged": 1})
    metrics.progress(FacilitatorProgress(counts, pending=12, partitions=4))
    metrics.progress(FacilitatorProgress(counts + Counter(ignored=1, dead=2), 11, 4))
    assert value(metrics, "learner_deliveries_pending") == 11
    assert value(metrics, "learner_delivery_partitions_owned") == 4
    passed_over = {
        outcome: value(metrics, "learner_delivery_records_passed_over_total", outcome=outcome)
        for outcome in ("ignored", "repeated", "replayed", "dead")
    }
    assert passed_over == {"ignored": 4, "repeated": 0, "replayed": 0, "dead": 2}
    assert value(metrics, "learner_dead_letters_total", reason="not_acknowledged") == 1


def test_requests_by_route_and_the_cache() -> None:
    metrics = ApiMetrics()
    metrics.request("/v1/learners/{user_id}/decisions", 200, 0.003)
    metrics.request("/v1/learners/{user_id}/decisions", 503, 1.2)
    metrics.request("", 404, 0.001)
    metrics.request("/v1/learners/{user_id}/decisions", 99_999, 0.001)
    metrics.cache(hit=True)
    metrics.cache(hit=True)
    metrics.cache(hit=False)
    metrics.key_refused("revoked")
    route = "/v1/learners/{user_id}/decisions"
    assert value(metrics, "learner_api_requests_total", route=route, status="200") == 1
    assert value(metrics, "learner_api_requests_total", route=route, status="503") == 1
    assert value(metrics, "learner_api_requests_total", route=route, status="other") == 1
    assert value(metrics, "learner_api_requests_total", route="other", status="404") == 1
    assert value(metrics, "learner_api_request_seconds_bucket", route=route, le="0.005") == 2
    assert value(metrics, "learner_api_cache_requests_total", result="hit") == 2
    assert value(metrics, "learner_api_cache_requests_total", result="miss") == 1
    assert value(metrics, "learner_api_keys_refused_total", reason="revoked") == 1


def test_connections_are_open_until_they_close() -> None:
    metrics = GatewayMetrics()
    for role in ("learner", "learner", "expert"):
        metrics.connected(role)
    metrics.disconnected("learner", "too_slow")
    metrics.message_in()
    metrics.message_out()
    metrics.message_out()
    metrics.accepted(0.004)
    metrics.echoed(0.3)
    metrics.refused("too_many")
    assert value(metrics, "learner_chat_connections", role="learner") == 1
    assert value(metrics, "learner_chat_connections", role="expert") == 1
    assert value(metrics, "learner_chat_closed_total", reason="too_slow") == 1
    assert value(metrics, "learner_chat_messages_total", direction="in") == 1
    assert value(metrics, "learner_chat_messages_total", direction="out") == 2
    assert value(metrics, "learner_chat_accepted_seconds_bucket", le="0.005") == 1
    assert value(metrics, "learner_chat_echo_seconds_sum") == pytest.approx(0.3)
    assert value(metrics, "learner_chat_refused_total", reason="too_many") == 1


def test_answers_by_who_gave_them() -> None:
    metrics = ResponderMetrics()
    metrics.answered("llm", "answered", 2.0)
    metrics.answered("built_in", "fallback", 0.01)
    metrics.first_token(0.4)
    metrics.llm_error("timeout")
    metrics.tokens(900, 120)
    metrics.queued(3)
    assert value(metrics, "learner_chat_answers_total", responder="llm", outcome="answered") == 1
    built_in = {"responder": "built_in", "outcome": "fallback"}
    assert value(metrics, "learner_chat_answers_total", **built_in) == 1
    assert value(metrics, "learner_chat_answer_seconds_sum", responder="llm") == 2
    assert value(metrics, "learner_chat_first_token_seconds_bucket", le="0.5") == 1
    assert value(metrics, "learner_chat_llm_errors_total", kind="timeout") == 1
    assert value(metrics, "learner_chat_tokens_total", kind="prompt") == 900
    assert value(metrics, "learner_chat_tokens_total", kind="answer") == 120
    assert value(metrics, "learner_chat_queued_messages") == 3
