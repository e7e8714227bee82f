"""A partition's state on disk: what is kept, and what is thrown away as not to be trusted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents import partition_state
from agents.partition_state import TRUSTED_SECONDS, PartitionState
from schemas.errors import StateInUse, StoreUnavailable

Opens = Callable[..., PartitionState]
TOPICS = "learner-profile-changelog 1, partition 3"


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Opens the same state again and again."""
    opened: list[PartitionState] = []

    def again(belongs_to: str | None = TOPICS) -> PartitionState:
        while opened:
            opened.pop().close()
        opened.append(PartitionState(tmp_path / "learner" / "3", belongs_to))
        return opened[-1]

    yield again
    for state in opened:
        state.close()


def test_rows_and_how_far_they_go_are_there_again(opens: Opens) -> None:
    state = opens()
    assert (state.reached, state.get(b"p1")) == ({}, None)
    state.write([(b"p1", b"old"), (b"p2", b"gone")], {"profile": 2})
    state.write([(b"p1", b"new"), (b"p2", None)], {"profile": 5, "seen": 7})
    again = opens()
    assert again.reached == {"profile": 5, "seen": 7}
    assert (again.get(b"p1"), again.get(b"p2")) == (b"new", None)


@pytest.mark.parametrize("belongs_to", ["learner-profile-changelog 2, partition 3", None])
def test_state_of_other_topics_is_thrown_away(opens: Opens, belongs_to: str | None) -> None:
    opens().write([(b"p1", b"x")], {"profile": 2})
    other = opens(belongs_to)
    assert (other.reached, other.get(b"p1")) == ({}, None)


def test_where_kafka_cannot_say_what_it_is_it_is_thrown_away_each_time(opens: Opens) -> None:
    opens(None).write([(b"p1", b"x")], {"profile": 2})
    assert opens(None).reached == {}


def test_state_of_another_layout_is_thrown_away(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens().write([(b"p1", b"x")], {"profile": 2})
    monkeypatch.setattr(partition_state, "LAYOUT", 2)
    state = opens()
    assert (state.reached, state.get(b"p1")) == ({}, None)


@pytest.mark.parametrize("hours", [-1, TRUSTED_SECONDS / 3600 + 1])
def test_state_that_was_away_too_long_is_thrown_away(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    opens().write([(b"p1", b"x")], {"profile": 2})
    now = time.time() + 3600 * hours
    monkeypatch.setattr(partition_state.time, "time", lambda: now)
    assert opens().reached == {}


def test_rows_without_a_mark_are_thrown_away(opens: Opens) -> None:
    opens()._db.put(b"p1", b"x")
    assert opens().get(b"p1") is None


def test_it_can_be_begun_anew(opens: Opens) -> None:
    state = opens()
    state.write([(b"p1", b"x")], {"profile": 2})
    state.begin_anew()
    assert (state.reached, state.get(b"p1")) == ({}, None)
    state.write([(b"p1", b"y")], {"profile": 1})
    again = opens()
    assert (again.reached, again.get(b"p1")) == ({"profile": 1}, b"y")


def test_two_processes_cannot_have_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from agents.partition_state import PartitionState\n"
        "state = PartitionState(pathlib.Path(sys.argv[1]), 'x'); print('open', flush=True)\n"
        "sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StateInUse, match=r"another process.*still running"):
            PartitionState(tmp_path, "x")
    finally:
        other.kill()
        other.wait()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match=r"state folder .*file.*read from Kafka again"):
        PartitionState(tmp_path / "file" / "0", "x")
