"""Ratios are taken round by round, and the closing JSON has all that is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench import worker_contest
from bench.contender_process import CONTENDERS, Contender
from bench.worker_contest import Contest, contest

KINDS = ("lists", "per_event", "quix", "step", "step_of_quix")
ROUNDS = Contest(
    events=10,
    rates={kind: [100.0 / (at + 1), 90.0] for at, kind in enumerate(KINDS)},
    cpu={kind: [100.0, 120.0 - at] for at, kind in enumerate(KINDS)},
    changelogs={"lists": [1_000, 1_500], "quix": []},
)


def test_the_first_is_compared_with_whom_one_names() -> None:
    assert ROUNDS.ratios("r") == {"r": 1.5, "r_min": 1.0, "r_max": 2.0}
    assert ROUNDS.ratios("r", "quix") == {"r": 2.0, "r_min": 1.0, "r_max": 3.0}
    assert ROUNDS.cpu_ratios("c", "step") == {"c": 1.01, "c_min": 1.0, "c_max": 1.03}


def test_changelog_bytes_are_an_events_where_they_were_seen() -> None:
    assert ROUNDS.changelog_bytes("lists") == 125.0
    assert ROUNDS.changelog_bytes("quix") is None


def test_a_round_too_few_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Contest(1, {"a": [1.0, 2.0], "b": [1.0]}, {}, {}).ratios("r")


def test_what_throughput_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def held(*asked_for: object) -> Contest:
        asked.append(asked_for)
        return ROUNDS

    monkeypatch.setattr(bench_main, "contest", held)
    found = bench_main.throughput(10, 2)
    assert asked == [(KINDS, 10, 2)]
    ratios = ("ratio_vs_per_event", "ratio_vs_quix", "ratio_to_step")
    assert found.keys() == {
        "events",
        "rounds",
        "changelog_bytes_per_event",
        *(f"{ratio}{end}" for ratio in ratios for end in ("", "_min", "_max")),
        *(f"events_per_s{of}" for of in ("", "_per_event", "_quix")),
        *(f"cpu_us_per_event{of}" for of in ("", "_per_event", "_quix", "_step", "_step_of_quix")),
    }


def test_a_contender_that_is_not_installed_is_refused_before_kafka_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONTENDERS, "quix", Contender("x", Path("/not/there/python")))
    monkeypatch.setattr(worker_contest, "measured_kafka", None)
    with pytest.raises(SystemExit, match="/not/there/python is not there: `make bench` makes it"):
        contest(("lists", "quix"), 10, 1)
