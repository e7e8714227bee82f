"""All of the real data set: valid events in order, every row accounted for."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from converters.oulad import OuladAccount, oulad_events
from schemas.event import event_adapter

FOLDER = Path(os.environ.get("LEARNER_OULAD") or Path(__file__).parents[3] / "shared/data/oulad")

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"OULAD is not in {FOLDER}; name its folder in LEARNER_OULAD",
)


def test_every_row_of_the_real_data_becomes_valid_events_in_order() -> None:
    account = OuladAccount()
    count, previous, ids = 0, ("", ""), set()
    for line in oulad_events(FOLDER, account):
        event_adapter.validate_json(line)
        event = orjson.loads(line)
        key = (event["occurred_at"], event["event_id"])
        assert key > previous
        previous = key
        ids.add(event["event_id"])
        count += 1
    assert count == len(ids) == account.events.total()
    assert account.unaccounted == 0
    for name in ("studentInfo", "studentRegistration", "studentAssessment"):
        rows = sum(1 for _ in (FOLDER / f"{name}.csv").open("rb")) - 1
        assert account.rows[f"{name}.csv"] == rows > 1000
    assert account.events["course.enrolled"] == account.rows["studentInfo.csv"]
    ungraded = account.without_event["a submission without a score"]
    assert account.events["quiz.submitted"] == account.rows["studentAssessment.csv"] - ungraded
