"""OULAD to learner events, in time order, with memory flat in the number of events.

Open University Learning Analytics Dataset (Kuzilek, Hlosta, Zdrahal 2017, doi
10.1038/sdata.2017.171). Days count from the start of the presentation: B starts on 1 February,
J on 1 October. The hour within a day is not known; a fixed one is drawn from the ids.

| row of | becomes |
| --- | --- |
| studentRegistration | course.enrolled; course.withdrawn where a date of unregistration stands |
| studentInfo | profile.updated on the first day of the presentation; course.completed on its last day for Pass, Fail and Distinction |
| studentAssessment | quiz.submitted; none where the score is missing or was banked (carried over from an earlier presentation, so not an answer given in this one) |

Age bands become a representative age (0-35: 27, 35-55: 45, 55<=: 60), highest education the
learner level (below A level basic, A level intermediate, higher advanced). Gender, region,
deprivation, disability and credits have no counterpart among the source's attributes.
"""  # noqa: E501

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from converters.external_sort import externally_sorted
from converters.oulad_files import Row, assessments, presentation_days, rows

_OULAD = uuid.uuid5(uuid.NAMESPACE_URL, "https://doi.org/10.1038/sdata.2017.171")
_START_MONTH = {"B": 2, "J": 10}
_AGE = {"0-35": 27, "35-55": 45, "55<=": 60}
_LEVEL = {
    "No Formal quals": "basic",
    "Lower Than A Level": "basic",
    "A Level or Equivalent": "intermediate",
    "HE Qualification": "advanced",
    "Post Graduate Qualification": "advanced",
}
_RESULT = {"Pass": "pass", "Fail": "fail", "Distinction": "distinction"}
_KEY = ("code_module", "code_presentation", "id_student")
_DAY_SECONDS = 86_400


class OuladAccount:
    """Every row read, by file; every event made, by type; rows or parts that make none, by why."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.without_event: Counter[str] = Counter()


def oulad_events(folder: Path, account: OuladAccount | None = None) -> Iterator[bytes]:
    """Every event as a JSON line without its newline, oldest first.

    Raises:
        InvalidInput: a file, column or value is missing or wrong: which, and in which line.
    """
    account = account or OuladAccount()
    events = _Events(folder, account)
    for line in externally_sorted(events.unsorted()):
        yield line.partition(b"\t")[2]


class _Events:
    """Makes the events of all files, each behind its sort key."""

    def __init__(self, folder: Path, account: OuladAccount) -> None:
        self._folder = folder
        self._account = account
        self._days = presentation_days(folder)
        self._assessments = assessments(folder)

    def unsorted(self) -> Iterator[bytes]:
        yield from self._registrations()
        yield from self._students()
        yield from self._submissions()

    def _registrations(self) -> Iterator[bytes]:
        columns = (*_KEY, "date_registration", "date_unregistration")
        for row in self._rows("studentRegistration.csv", columns):
            registered = row.integer("date_registration")
            if registered is None:
                self._account.without_event["registration without a date"] += 1
            else:
                yield self._event(row, "course.enrolled", registered, 0)
            left = row.integer("date_unregistration")
            if left is not None:
                yield self._event(row, "course.withdrawn", left, 3)

    def _students(self) -> Iterator[bytes]:
        columns = (*_KEY, "highest_education", "age_band", "num_of_prev_attempts", "final_result")
        for row in self._rows("studentInfo.csv", columns):
            profile: dict[str, Any] = {}
            if row["age_band"] in _AGE:
                profile["age"] = _AGE[row["age_band"]]
            if row["highest_education"] in _LEVEL:
                profile["learner_level"] = _LEVEL[row["highest_education"]]
            yield self._event(row, "profile.updated", 0, 1, **profile)
            result = _RESULT.get(row["final_result"])
            if result is not None:
                last_day = self._days[(row["code_module"], row["code_presentation"])]
                yield self._event(row, "course.completed", last_day, 4, result=result)
            elif row["final_result"] != "Withdrawn":
                raise row.fault(f"final_result is {row['final_result']!r}")

    def _submissions(self) -> Iterator[bytes]:
        columns = ("id_assessment", "id_student", "date_submitted", "is_banked", "score")
        for row in self._rows("studentAssessment.csv", columns):
            score = row.integer("score")
            if row.integer("is_banked"):
                self._account.without_event["banked score"] += 1
                continue
            if score is None:
                self._account.without_event["submission without a score"] += 1
                continue
            if not 0 <= score <= 100:
                raise row.fault(f"score is {score}, not 0 to 100")
            yield self._submission(row, score)

    def _submission(self, row: Row, score: int) -> bytes:
        assessment = self._assessments.get(row["id_assessment"])
        if assessment is None:
            raise row.fault(f"id_assessment {row['id_assessment']} is not in assessments.csv")
        kind = assessment.assessment_type
        return self._line(
            row,
            "quiz.submitted",
            row.required("date_submitted"),
            2,
            (assessment.code_module, assessment.code_presentation),
            id_in_event=row["id_assessment"],
            question_id=row["id_assessment"],
            score=score / 100,
            topic_id=f"{assessment.code_module} {kind}",
            skill_tag=kind,
            objective_tag=assessment.code_module,
        )

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[Row]:
        for row in rows(self._folder, name, columns):
            self._account.rows[name] += 1
            yield row

    def _event(self, row: Row, kind: str, day: int, order: int, **fields: Any) -> bytes:
        presentation = (row["code_module"], row["code_presentation"])
        if presentation not in self._days:
            raise row.fault(f"{'-'.join(presentation)} is not in courses.csv")
        return self._line(row, kind, day, order, presentation, **fields)

    def _line(  # noqa: PLR0913, PLR0917
        self,
        row: Row,
        kind: str,
        day: int,
        order: int,
        presentation: tuple[str, str],
        id_in_event: str = "",
        **fields: Any,
    ) -> bytes:
        """The event behind its sort key: time, order within it, event id."""
        course_id = "-".join(presentation)
        student = row["id_student"]
        name = f"{kind}/{course_id}/{student}/{id_in_event}"
        event_id = str(uuid.uuid5(_OULAD, name))
        # A learner's events of one day share their time, apart by ``order`` seconds.
        at = _start(row, presentation[1]) + timedelta(days=day, seconds=_hour(student, day))
        body = {
            "event_id": event_id,
            "type": kind,
            "user_id": str(uuid.uuid5(_OULAD, student)),
            "course_id": course_id,
            "occurred_at": at + timedelta(seconds=order),
            "source": "oulad",
            **fields,
        }
        self._account.events[kind] += 1
        key = f"{body['occurred_at']:%Y%m%d%H%M%S}{order}{event_id}"
        return key.encode() + b"\t" + orjson.dumps(body, option=orjson.OPT_UTC_Z)


def _start(row: Row, presentation: str) -> datetime:
    month = _START_MONTH.get(presentation[4:])
    if month is None or not presentation[:4].isdigit():
        raise row.fault(f"code_presentation is {presentation!r}, not a year and B or J")
    return datetime(int(presentation[:4]), month, 1, tzinfo=UTC)


def _hour(student: str, day: int) -> int:
    """Seconds into the day, fixed for a learner and day."""
    digest = blake2b(f"{student}/{day}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % (_DAY_SECONDS - 10)
