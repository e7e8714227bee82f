"""`make faults` by itself, with faults that need no server: its last line and its exit code."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from faults import __main__ as make_faults
from faults.fault import Fault, Outcome, Progress
from faults.log_oracle import Compared, Difference
from servers.kafka import Kafka


class Told(NamedTuple):
    """A fault whose runs end as ``ends`` says, by seed: a comparison, or an error."""

    name: str
    ends: dict[int, Compared | Exception]
    about: str = "nothing is done"
    asked: int = 4
    together: int = 2

    def run(
        self, bootstrap: str, rounds: int, seed: int, broker: Kafka | None, progress: Progress
    ) -> Outcome:
        end = self.ends[seed]
        if isinstance(end, Exception):
            raise end
        return Outcome(rounds, end, 1.0, {"longest_pause": seed})


EXACT = Compared(100, [], [], [])
LOST = Compared(100, [Difference("decision", "d1", "0/7")], [], [])


class Run(NamedTuple):
    code: int
    figures: dict[str, object]
    told: str
    restarts: int


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *faults: Fault) -> Run:
    restarts: list[str] = []
    kafka = SimpleNamespace(
        bootstrap="nowhere", restart=lambda: restarts.append("again"), stop=lambda: None
    )
    monkeypatch.setattr(make_faults, "start_kafka", lambda: kafka)
    monkeypatch.setattr(make_faults, "FAULTS", {fault.name: fault for fault in faults})
    monkeypatch.setattr("sys.argv", ["faults", "--seed", "7"])
    with pytest.raises(SystemExit) as left:
        make_faults.main()
    out, told = capsys.readouterr()
    return Run(int(left.value.code or 0), json.loads(out), told, len(restarts))


def test_nothing_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(monkeypatch, capsys, Told("a", {7: EXACT, 8: EXACT}))
    assert done.code == 0
    assert done.figures["rounds"] == 4
    assert done.figures["failed"] == 0


@pytest.mark.parametrize("error", [AssertionError("not ready"), TimeoutError("no answer")])
def test_a_run_that_breaks_off_is_told_and_counted_and_the_next_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    first, second = Told("a", {7: error, 8: EXACT}), Told("b", {7: EXACT, 8: EXACT})
    done = run(monkeypatch, capsys, first, second)
    assert done.code == 1
    assert "seed 7: failed" in done.told
    assert str(error) in done.told
    assert done.restarts == 1
    total = {"rounds": 6, "events": 300, "lost": 0, "doubled": 0, "different": 0, "failed": 1}
    assert done.figures.items() >= total.items()
    by_fault = done.figures["faults"]
    assert isinstance(by_fault, dict)
    assert (by_fault["a"]["rounds"], by_fault["a"]["failed_seeds"]) == (2, [7])
    assert (by_fault["b"]["rounds"], by_fault["b"]["failed"]) == (4, 0)


def test_what_was_lost_makes_the_exit_code_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(monkeypatch, capsys, Told("a", {7: LOST, 8: EXACT}))
    assert (done.code, done.figures["lost"], done.figures["failed"]) == (1, 1, 0)
    assert "decision d1 at 0/7" in done.told
