"""The simulated class: valid, ordered, repeatable, and such that labels mean something."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, get_args

import pytest

from config.seed_trees import seed_trees
from schemas.event import LearnerEvent, event_adapter
from schemas.example import TreeExample
from schemas.fields import LABELS, TREE_IDS
from schemas.tree import TreeDocument
from simulation.classroom import START, simulate
from streams.batch import Source
from streams.decode import Record
from streams.learning import Learning, OnlineTree
from streams.replay import Replay
from streams.rules import Rules

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 60


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return list(simulate(100, DAYS, 7))


@pytest.fixture(scope="module")
def events(lines: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def test_every_event_is_valid(lines: list[bytes]) -> None:
    for line in lines:
        event_adapter.validate_json(line)


def test_every_type_occurs(events: list[dict[str, Any]]) -> None:
    union = get_args(LearnerEvent)[0]
    types = {get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(union)}
    assert len(types) == 19
    assert {event["type"] for event in events} == types - {"strategy.delivered"}


def test_times_only_go_forward_and_stay_within_the_days(lines: list[bytes]) -> None:
    times = [event_adapter.validate_json(line).occurred_at for line in lines]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + timedelta(days=DAYS)


def test_a_learner_does_one_thing_at_a_time(events: list[dict[str, Any]]) -> None:
    moments = Counter((event["user_id"], event["occurred_at"]) for event in events)
    assert max(moments.values()) == 1


def test_ids_are_uuids_and_unique(events: list[dict[str, Any]]) -> None:
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    assert all(uuid.UUID(id_).version == 4 and str(uuid.UUID(id_)) == id_ for id_ in ids)
    assert len({event["user_id"] for event in events}) == 100


def test_the_size_of_a_class(events: list[dict[str, Any]]) -> None:
    days = {(event["user_id"], event["occurred_at"][:10]) for event in events}
    assert 15_000 <= len(events) <= 25_000
    assert 3 <= len(events) / len(days) <= 8
    quizzes = sum(event["type"] == "quiz.submitted" for event in events)
    assert 0.2 <= quizzes / len(events) <= 0.6


def test_sessions_end_as_they_began(events: list[dict[str, Any]]) -> None:
    open_: dict[str, str] = {}
    for event in events:
        user = event["user_id"]
        if event["type"] == "session.started":
            assert user not in open_
            open_[user] = event["session_id"]
        elif event["type"] == "session.ended":
            assert open_.pop(user) == event["session_id"]
        elif event["type"] == "quiz.submitted":
            assert user in open_
    assert not open_


def test_a_course_begins_with_enrolment_and_ends_with_its_result(
    events: list[dict[str, Any]],
) -> None:
    enrolled: set[tuple[str, str]] = set()
    ended: set[tuple[str, str]] = set()
    for event in events:
        if "course_id" not in event:
            continue
        course = (event["user_id"], event["course_id"])
        if event["type"] == "course.enrolled":
            assert course not in enrolled
            enrolled.add(course)
        assert course in enrolled
        assert course not in ended
        if event["type"] in {"course.completed", "course.withdrawn"}:
            ended.add(course)
    assert {event["result"] for event in events if event["type"] == "course.completed"} == {
        "distinction",
        "pass",
        "fail",
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first = list(simulate(5, 20, 3))
    assert list(simulate(5, 20, 3)) == first
    other = list(simulate(5, 20, 4))
    assert not {json.loads(line)["event_id"] for line in first} & {
        json.loads(line)["event_id"] for line in other
    }


def test_half_way_it_becomes_harder() -> None:
    def mean_scores(harder: bool) -> list[float]:
        scores: tuple[list[float], list[float]] = ([], [])
        for line in simulate(60, 40, 7, harder_half_way=harder):
            event = event_adapter.validate_json(line)
            if event.type == "quiz.submitted":
                scores[event.occurred_at >= START + timedelta(days=20)].append(event.score)
        return [sum(half) / len(half) for half in scores]

    (before, after), (before_even, after_even) = mean_scores(True), mean_scores(False)
    assert before == before_even
    assert after < after_even - 0.05


def test_events_come_before_the_class_is_through() -> None:
    assert len(list(islice(simulate(2_000, 366, 1), 10))) == 10


def test_start_may_be_in_another_time_zone_but_must_have_one() -> None:
    elsewhere = START.astimezone(UTC) + timedelta(days=1)
    assert event_adapter.validate_json(next(simulate(3, 9, 1, elsewhere))).occurred_at >= elsewhere
    with pytest.raises(ValueError, match="no time zone"):
        simulate(1, 1, 1, datetime(2024, 1, 8))  # noqa: DTZ001


def test_labels_all_occur_and_are_foretold_better_than_by_the_most_common(
    lines: list[bytes],
) -> None:
    online = {tree_id: OnlineTree(tree, Learning()) for tree_id, tree in seed_trees().items()}
    seen: dict[str, Counter[str]] = {tree_id: Counter() for tree_id in TREE_IDS}
    known_by: Counter[str] = Counter()

    def learn(example: TreeExample) -> TreeDocument | None:
        seen[example.tree_id][example.label] += 1
        known_by[example.labelled_by] += 1
        return online[example.tree_id].learn(example)

    replay = Replay(seed_trees(), Rules(), Source("class", 0), learn)
    for _ in replay.feed(Record(n, None, line, NOW) for n, line in enumerate(lines)):
        pass
    assert replay.counts == {"folded": len(lines)}
    assert set(seen["primary_classification"]) == set(LABELS["primary_classification"])
    assert set(known_by) == {"person", "course_result", "silence", "next_attempts"}
    metrics = online["primary_classification"].metrics
    assert metrics.prequential_accuracy > metrics.baseline_accuracy + 0.15
    assert metrics.version > 0
