"""``strategy.delivered`` through the whole step: it tells the trees which examples count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import event_objects

from config.seed_trees import seed_trees
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.derived_id import made_at
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables, encode_value

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TREES = compile_trees(seed_trees())
USER = "00000000-0000-4000-8000-000000000000"
LONG_AFTER = datetime(2026, 12, 24, tzinfo=UTC)
LOG_BEGINS = datetime(2014, 3, 1, 10, tzinfo=UTC)
"""An old log, read today by a facilitator whose service takes its decisions today."""


class Log:
    """Events of one learner in one course, folded as they are written."""

    def __init__(self, rules: Rules = Rules()) -> None:  # noqa: B008
        self.tables = MemoryTables()
        self._rules = rules
        self._offset = 0

    def fold(self, *events: dict[str, Any]) -> Batch:
        values = [orjson.dumps(event, option=orjson.OPT_UTC_Z) for event in events]
        records = [Record(self._offset + n, None, value, NOW) for n, value in enumerate(values)]
        self._offset += len(values)
        batch = process(records, self.tables, TREES, self._rules, Source("learner.events", 0))
        self.tables.apply(batch.tables.changed)
        return batch

    def state(self) -> dict[str, Any]:
        """All that is known, less what counts events and deliveries and tells places in the log."""
        found = {}
        for table in ("profile", "behavior", "engagement"):
            for key, value in self.tables.values[table].items():
                known = orjson.loads(encode_value(value))
                for name in ("offset", "seen_days", "deliveries", "events"):
                    known.pop(name, None)
                found[f"{table}:{key}"] = known
        return found


def written(number: int, kind: str, at: datetime, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012}",
        "user_id": USER,
        "course_id": "algebra",
        "occurred_at": at,
        "type": kind,
        **fields,
    }


def quiz(number: int, days: float, score: float = 0.5) -> dict[str, Any]:
    at = LOG_BEGINS + timedelta(days=days)
    return written(number, "quiz.submitted", at, question_id="q", score=score)


def delivered(number: int, event: dict[str, Any], at: datetime = LONG_AFTER) -> dict[str, Any]:
    """What was decided at the event was taken."""
    decision = made_at(event["event_id"], USER, event["occurred_at"], "intervention_strategy")
    return written(
        number, "strategy.delivered", at, decision_id=decision, strategy_label="Worked Examples"
    )


def test_what_was_delivered_teaches_and_what_was_not_does_not() -> None:
    log = Log()
    first = log.fold(quiz(1, 0))
    (decision,) = [d for d in first.decisions if d.tree_id == "intervention_strategy"]
    told = delivered(900, quiz(1, 0))
    assert told["decision_id"] == decision.decision_id
    assert log.fold(told).counts == {"folded": 1}
    batch = log.fold(*[quiz(n, n) for n in range(2, 10)])
    # opened at the first answer and at every second one after; only the first was delivered
    learned = {
        tree_id: [e.decided_at for e in batch.examples if e.tree_id == tree_id] for tree_id in TREES
    }
    assert learned["intervention_strategy"] == [LOG_BEGINS]
    assert learned["primary_classification"] == [LOG_BEGINS + timedelta(days=n) for n in (0, 3, 5)]
    (engagement,) = [log.tables.engagement(f"{USER}|algebra")]
    assert engagement is not None
    assert engagement.deliveries == 1


def test_it_is_no_decision_point_even_where_every_event_is_one() -> None:
    log = Log(Rules(decide_on_every_event=True))
    log.fold(quiz(1, 0))
    batch = log.fold(delivered(900, quiz(1, 0)))
    assert (batch.decisions, batch.examples, batch.chat) == ([], [], [])


def test_todays_delivery_does_not_make_an_old_log_too_late_or_its_repeats_new() -> None:
    log = Log()
    log.fold(quiz(1, 0))
    log.fold(delivered(900, quiz(1, 0)))
    assert log.fold(quiz(2, 1)).counts == {"folded": 1}
    again = log.fold(quiz(1, 0), quiz(2, 1), delivered(900, quiz(1, 0)))
    assert again.counts == {"repeated": 3}
    # 46 days on, and again: what is beyond the horizon of the learner's own clock is forgotten
    log.fold(quiz(3, 60))
    assert log.fold(quiz(1, 0)).counts == {"dead": 1}
    assert log.fold(quiz(3, 60), delivered(900, quiz(1, 0))).counts == {"repeated": 2}
    behavior = log.tables.behavior(USER)
    assert behavior is not None
    assert len(behavior.seen_days) == len(log.tables.values["seen"]) == 2


def test_days_on_which_only_others_did_something_are_bounded() -> None:
    log = Log(Rules(horizon=timedelta(days=5)))
    log.fold(quiz(1, 0))
    for n in range(40):
        log.fold(delivered(900 + n, quiz(1, 0), LONG_AFTER - timedelta(days=40 - n)))
    assert log.fold(quiz(1, 0)).counts == {"repeated": 1}
    behavior = log.tables.behavior(USER)
    assert behavior is not None
    assert len(behavior.seen_days) == len(log.tables.values["seen"]) == 1 + 7


EVENTS = st.lists(
    event_objects(courses=("algebra",)).filter(lambda e: e["type"] != "strategy.delivered"),
    max_size=20,
    unique_by=lambda event: event["event_id"],
)
DELIVERED = st.lists(
    event_objects(types=("strategy.delivered",), courses=("algebra",)),
    max_size=5,
    unique_by=lambda event: event["event_id"],
)


@settings(deadline=None, max_examples=60)
@given(EVENTS, DELIVERED, st.data(), st.booleans())
def test_deliveries_anywhere_change_no_state_no_decision_and_no_other_example(
    events: list[dict[str, Any]],
    deliveries: list[dict[str, Any]],
    data: st.DataObject,
    every_event: bool,
) -> None:
    mixed = list(events)
    for one in deliveries:
        mixed.insert(data.draw(st.integers(0, len(mixed))), one)
    rules = Rules(decide_on_every_event=every_event)
    plain, with_them = Log(rules), Log(rules)
    expected, found = plain.fold(*events), with_them.fold(*mixed)
    assert found.decisions == expected.decisions
    assert found.chat == expected.chat
    primary = [e for e in expected.examples if e.tree_id == "primary_classification"]
    assert [e for e in found.examples if e.tree_id == "primary_classification"] == primary
    assert all(example in expected.examples for example in found.examples)
    state, known = with_them.state(), plain.state()
    assert {key: value for key, value in state.items() if key in known} == known
    # learners of whom there is nothing but deliveries
    others = [value for key, value in state.items() if key not in known]
    assert not any(value.get("last_activity_at") or value.get("labels") for value in others)
