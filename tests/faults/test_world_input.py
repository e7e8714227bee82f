"""What faults and soak send is what the world sends, and nothing that no producer would."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from faults import world_input as world
from faults.world_input import world_input
from simulation.classroom import simulate

_EVENTS = 2_000


def test_a_learner_of_oulad_comes_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the clocks of another class its ids would be other events'."""
    share = tuple(simulate(1, 60, 1))
    learner = json.loads(share[0])["user_id"].encode()
    monkeypatch.setattr(world, "_oulad_by_share", lambda _: (share,))
    monkeypatch.setattr(world, "_OULAD_SHARES", 1)
    monkeypatch.setattr(world, "_LEARNERS", 1)
    monkeypatch.setattr(world, "_DAYS", 30)
    keys = [sent.key for sent in islice(world_input(1, tmp_path), _EVENTS)]
    assert learner in keys[: _EVENTS // 2]
    assert learner not in keys[_EVENTS // 2 :]
