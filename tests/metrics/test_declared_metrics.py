"""What each process declares is named, described and bounded as Prometheus would have it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric

from agents.metrics import OTHER, FewValues, ProcessMetrics, WaitHistogram
from agents.metrics_api import ApiMetrics
from agents.metrics_chat import GatewayMetrics, ResponderMetrics
from agents.metrics_facilitator import FacilitatorMetrics
from agents.metrics_sink import SinkMetrics
from agents.metrics_trainer import TrainerMetrics
from agents.metrics_worker import WorkerMetrics

PROCESSES: dict[str, Callable[[], ProcessMetrics]] = {
    "worker": WorkerMetrics,
    "trainer": TrainerMetrics,
    "sink": lambda: SinkMetrics(["postgres", "redis"]),
    "facilitator": FacilitatorMetrics,
    "api": ApiMetrics,
    "gateway": GatewayMetrics,
    "responder": ResponderMetrics,
}
LABELS = {
    "command", "version", "outcome", "reason", "tree_id", "decision_label", "partition", "model",
    "store", "attempt", "response_status", "route", "status", "result", "role", "direction",
    "responder", "kind",
}  # fmt: skip
"""Each has values from a fixed list, or few by `FewValues`; ``partition``: at most 1,024."""
COUNTED = ("events", "records", "examples", "messages", "connections", "partitions")
"""Units of gauges and histograms that count things."""


def families(metrics: ProcessMetrics) -> list[Metric]:
    """Ours; also those that have no sample yet."""
    return [family for family in metrics.registry.collect() if family.name[:8] != "process_"]


@pytest.mark.parametrize("process", PROCESSES)
def test_every_metric_is_ours_and_says_what_it_is(process: str) -> None:
    found = families(PROCESSES[process]())
    assert len(found) > 4
    for family in found:
        assert re.fullmatch(r"learner_[a-z_]+", family.name), family.name
        assert len(family.documentation) > 20, family.name
        assert family.documentation.endswith("."), family.name


@pytest.mark.parametrize("process", PROCESSES)
def test_units_are_in_the_names(process: str) -> None:
    for family in families(PROCESSES[process]()):
        if family.type == "histogram":
            assert family.name.endswith("_seconds") or family.name.endswith(COUNTED), family.name
        if family.type == "counter":
            assert not family.name.endswith("_seconds"), family.name


@pytest.mark.parametrize("process", PROCESSES)
def test_no_label_holds_an_id(process: str) -> None:
    metrics = PROCESSES[process]()
    names = {
        name
        for collector in metrics.registry._collector_to_names
        for name in getattr(collector, "_labelnames", ())
    }
    assert names <= LABELS


@pytest.mark.parametrize("process", PROCESSES)
def test_promtool_finds_nothing_to_mend(process: str, promtool: str) -> None:
    text, kind = PROCESSES[process]().text()
    assert kind.startswith("text/plain; version=0.0.4")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_same_metric_means_the_same_in_every_process() -> None:
    told: dict[str, set[tuple[str, str]]] = {}
    for make in PROCESSES.values():
        for family in families(make()):
            told.setdefault(family.name, set()).add((family.type, family.documentation))
    assert {name: all_ for name, all_ in told.items() if len(all_) > 1} == {}
    assert len(told) > 40


def test_a_process_can_be_made_twice() -> None:
    first, second = ApiMetrics(), ApiMetrics()
    first.cache(hit=True)
    assert second.registry.get_sample_value("learner_api_cache_requests_total", HIT) == 0
    assert first.registry.get_sample_value("learner_api_cache_requests_total", HIT) == 1


HIT = {"result": "hit"}


@given(st.lists(st.text(max_size=5), max_size=60), st.integers(1, 5))
def test_a_label_from_outside_has_few_values(values: list[str], most: int) -> None:
    few = FewValues(most)
    labels = [few(value) for value in values]
    assert len(set(labels) - {OTHER}) <= most
    assert all(label in {value, OTHER} for value, label in zip(values, labels, strict=True))
    assert "" not in labels
    assert [few(value) for value in values] == labels


def test_ids_given_for_a_route_do_not_become_series() -> None:
    metrics = ApiMetrics()
    for number in range(1_000):
        metrics.request(f"/learners/{number}", 200, 0.01)
    assert len(metrics.text()[0].splitlines()) < 51 * 20
    others = {"route": OTHER, "status": "200"}
    assert metrics.registry.get_sample_value("learner_api_requests_total", others) == 950


EDGES = (0.01, 0.5, 2.0)


@given(
    st.lists(st.lists(st.integers(0, 5_000), max_size=30), max_size=4),
    st.integers(0, 5_000),
)
def test_waits_observed_at_once_are_what_they_are_one_by_one(
    lists: list[list[int]], now: int
) -> None:
    registry = CollectorRegistry()
    histogram = WaitHistogram("w_seconds", "Waits.", registry, EDGES)
    for since in lists:
        histogram.observe(since, now)
    waits = [max(0, now - at) / 1000 for since in lists for at in since]
    for edge in (*EDGES, float("inf")):
        le = {"le": "+Inf" if edge == float("inf") else str(edge)}
        within = sum(wait <= edge for wait in waits)
        assert registry.get_sample_value("w_seconds_bucket", le) == within
    assert registry.get_sample_value("w_seconds_count") == len(waits)
    assert registry.get_sample_value("w_seconds_sum") == pytest.approx(sum(waits))
