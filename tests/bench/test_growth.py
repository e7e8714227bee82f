"""A curve gets the name of what it is; every size is given comparable work."""

from __future__ import annotations

import math
from itertools import islice

import pytest

from bench import growth_cases
from bench.curve_shape import Shape, shape_of
from bench.growth import Cost, Curve, figures
from bench.learner_history import FULL, history, learner_id
from bench.step_work import Work, as_records, do, work
from schemas.behavior import CONTENT_FLAGS_WINDOW, MODULE_ORDER_WINDOW
from schemas.engagement import QUIZ_ATTEMPTS_WINDOW, SKILLS_WINDOW, TOPICS_WINDOW
from schemas.fields import TREE_IDS
from schemas.tree import MAX_DEPTH
from streams.scoring import compile_tree, score
from streams.tables import MemoryTables

SIZES = (10, 100, 1_000, 10_000, 100_000)


@pytest.mark.parametrize(
    ("costs", "shape"),
    [
        pytest.param([80, 82, 79, 80, 81], "flat", id="within-five-per-cent"),
        pytest.param([60, 88, 91, 91.5, 92], "levels off", id="windows-fill"),
        pytest.param([140, 104, 100, 100, 100], "levels off", id="shared-among-more"),
        pytest.param([80 + 10 * math.log(n) for n in SIZES], "log n", id="a-search"),
        pytest.param([80 + n / 1_000 for n in SIZES], "linear", id="a-scan"),
        pytest.param([81, 79, 81, 80, 190], "linear", id="only-the-last-rises"),
        pytest.param([80, 160, 80, 160, 80], "irregular", id="up-and-down"),
    ],
)
def test_the_shape_of_a_curve(costs: list[float], shape: Shape) -> None:
    assert shape_of(list(zip(SIZES, costs, strict=True))) == shape


def test_how_flat_is_flat_may_be_said() -> None:
    points = [(1, 80.0), (10, 90.0), (100, 100.0)]
    assert shape_of(points) == "log n"
    assert shape_of(points, flat=0.2) == "flat"


def test_two_points_have_no_shape() -> None:
    with pytest.raises(ValueError, match="three points"):
        shape_of([(1, 1.0), (2, 2.0)])


def test_growth_is_the_last_against_the_first() -> None:
    costs = {
        size: Cost(cost, cost, cost)
        for size, cost in zip(SIZES, (80, 98, 100, 100, 102), strict=True)
    }
    curve = Curve(costs, dict.fromkeys(SIZES, 500.0))
    found = figures({"history": curve})
    assert found["history_growth"] == 0.275
    assert found["history_growth_full_windows"] == 0.02
    assert found["history_growth_instructions"] == 0.0
    assert found["growth_shapes"] == {"history": "flat"}
    assert found["growth_time_shapes"] == {"history": "levels off"}


def test_windows_are_full_when_we_say_so() -> None:
    user_id, tables = learner_id(0), MemoryTables()
    do(work(tables, as_records(history(user_id, 0, FULL))))
    behavior, engagement = tables.behavior(user_id), tables.engagement(f"{user_id}|course-0")
    assert behavior is not None
    assert engagement is not None
    assert len(behavior.module_order_log) == MODULE_ORDER_WINDOW
    assert len(behavior.content_flags) == CONTENT_FLAGS_WINDOW
    assert len(behavior.active_time_distribution) == 24
    assert len(engagement.quiz_attempts) == QUIZ_ATTEMPTS_WINDOW
    assert len(engagement.topic_recency) == TOPICS_WINDOW
    assert len(engagement.skill_recency) == SKILLS_WINDOW
    pages = len(tables.values["seen"])
    assert pages == len(behavior.seen_days) == FULL // 12
    do(work(tables, as_records(history(user_id, FULL, FULL), FULL)))
    assert len(tables.values["seen"]) <= pages + 1


def test_a_history_goes_on_where_it_was_left() -> None:
    whole = list(history("u", 0, 100, courses=3))
    assert [*history("u", 0, 40, courses=3), *history("u", 40, 60, courses=3)] == whole
    assert len(set(whole)) == 100


@pytest.mark.parametrize("depth", [1, 8, MAX_DEPTH])
def test_a_chain_is_as_deep_as_asked_for(depth: int) -> None:
    for tree_id in TREE_IDS:
        tree = compile_tree(growth_cases.chain(tree_id, depth))
        found = score(tree, (0.0,) * 24)
        assert len(found.conditions) == depth
        assert found.rule_ids[-1] == "always"


def test_every_size_of_learners_has_the_same_kinds_of_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(growth_cases, "LEARNERS", (1, 40))
    kinds = []
    for case in growth_cases.by_learners().values():
        for given in islice(case, 5):
            kinds.append(_kinds(given))
            do(given)
    assert all(one == kinds[0] for one in kinds)


def _kinds(given: Work) -> list[bytes]:
    values = [record.value for records in given.batches for record in records]
    return sorted(value.split(b'"type":"')[1].split(b'"')[0] for value in values)
