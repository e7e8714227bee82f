"""A contest is reported only if every contender made the same decisions, each once a run."""

from __future__ import annotations

import pytest

from bench.results_agree import assert_same_digest, digest, digest_of_runs, mark

A, B = mark(b"a"), mark(b"b")


def test_the_digest_is_that_of_one_run_whatever_the_order() -> None:
    assert digest_of_runs([A, B, B, A], runs=2) == digest([B, A]) == digest([A, B])
    assert digest([A]) != digest([B])


@pytest.mark.parametrize(
    "marks",
    [
        pytest.param([A, A, B], id="missing-in-one-run"),
        pytest.param([A, A, B, B, B], id="once-too-often"),
        pytest.param([A, A, B, mark(b"c")], id="other-bytes"),
        pytest.param([], id="none-at-all"),
    ],
)
def test_decisions_that_differ_get_no_report(marks: list[bytes]) -> None:
    with pytest.raises(SystemExit, match="compares different work"):
        digest_of_runs(marks, runs=2)


def test_a_step_that_decided_otherwise_gets_no_report() -> None:
    assert_same_digest("d", ["d", "d"])
    with pytest.raises(SystemExit, match="compares other work"):
        assert_same_digest("d", ["d", "e"])
