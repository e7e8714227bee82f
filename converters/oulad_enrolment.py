"""studentInfo.csv and studentRegistration.csv, joined by course and student, to events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from converters.csv_rows import MISSING, bad_row, csv_rows, whole_number
from converters.external_sort import sorted_lines
from converters.oulad_account import OuladAccount
from converters.oulad_course import COLUMNS, MOST_DAYS, Course, check_student, course_of
from converters.oulad_event import keyed_event

AGE_BY_BAND = {"0-35": 27, "35-55": 45, "55<=": 60}
LEVEL_BY_EDUCATION = {
    "No Formal quals": "basic",
    "Lower Than A Level": "basic",
    "A Level or Equivalent": "intermediate",
    "HE Qualification": "advanced",
    "Post Graduate Qualification": "advanced",
}
RESULT = {"Pass": "pass", "Fail": "fail", "Distinction": "distinction", "Withdrawn": None}


class Info(NamedTuple):
    """A row of studentInfo.csv; ``background``: attributes of ours."""

    line: int
    background: dict[str, Any]
    attempts: int
    result: str


class Registration(NamedTuple):
    """A row of studentRegistration.csv, in days; ``None`` where none is told."""

    line: int
    enrolled: int | None
    left: int | None


def enrolment_events(
    folder: Path, courses: dict[tuple[str, str], Course], account: OuladAccount
) -> Iterator[bytes]:
    """What the two files tell, keyed, in no order of time.

    Raises:
        InvalidInput: a row is wrong, stands there twice, or has no partner in the other file.
    """
    infos, registrations = folder / "studentInfo.csv", folder / "studentRegistration.csv"

    def both() -> Iterator[bytes]:
        yield from _infos(infos, courses, account)
        yield from _registrations(registrations, courses, account)

    for _, rows in groupby(map(orjson.loads, sorted_lines(both())), key=lambda row: row[:3]):
        (module, presentation, student, is_registration, fields), *more = rows
        file, other = (registrations, infos) if is_registration else (infos, registrations)
        if not more or more[0][3] == is_registration:
            fault = f"is not in {other.name}" if not more else "stands there twice"
            bad_row(file, fields[0], f"student {student} in {module} {presentation} {fault}")
        if len(more) > 1:
            fault = f"student {student} in {module} {presentation} stands there twice"
            bad_row(registrations, more[1][4][0], fault)
        course = courses[module, presentation]
        yield from _life(course, student, Info(*fields), Registration(*more[0][4]), account)


def _infos(
    file: Path, courses: dict[tuple[str, str], Course], account: OuladAccount
) -> Iterator[bytes]:
    for line, row in csv_rows(file, COLUMNS[file.name]):
        module, presentation, student, education, age, attempts, result = row
        course_of(file, line, courses, module, presentation)
        check_student(file, line, student)
        before = whole_number(file, line, "num_of_prev_attempts", attempts, 0, 1000)
        background: dict[str, Any] = {"learner_purpose": "revising" if before else "scratch"}
        for column, value, attribute, meaning in (
            ("age_band", age, "age", AGE_BY_BAND),
            ("highest_education", education, "learner_level", LEVEL_BY_EDUCATION),
        ):
            if value in meaning:
                background[attribute] = meaning[value]
            elif value not in MISSING:
                bad_row(file, line, f"{column} {value!r} is none of {', '.join(meaning)}")
        if result not in RESULT:
            bad_row(file, line, f"final_result {result!r} is none of {', '.join(RESULT)}")
        account.rows[file.name] += 1
        yield orjson.dumps((module, presentation, student, 0, (line, background, before, result)))


def _registrations(
    file: Path, courses: dict[tuple[str, str], Course], account: OuladAccount
) -> Iterator[bytes]:
    for line, row in csv_rows(file, COLUMNS[file.name]):
        module, presentation, student, enrolled, left = row
        course_of(file, line, courses, module, presentation)
        check_student(file, line, student)
        days = [
            None
            if text in MISSING
            else whole_number(file, line, column, text, -MOST_DAYS, MOST_DAYS)
            for column, text in (("date_registration", enrolled), ("date_unregistration", left))
        ]
        account.rows[file.name] += 1
        yield orjson.dumps((module, presentation, student, 1, (line, *days)))


def _life(
    course: Course, student: str, info: Info, registration: Registration, account: OuladAccount
) -> Iterator[bytes]:
    """One learner in one course: what the two rows tell, two things each."""
    cause = f"{course.course_id}/{student}"
    _, enrolled, left = registration

    def event(event_type: str, day: int, fields: dict[str, Any]) -> bytes:
        account.events[event_type] += 1
        told = orjson.dumps(fields).decode()
        return keyed_event(event_type, f"{cause}/{day}/{told}", student, course, day, fields)

    if enrolled is None:
        account.days_assumed["course.enrolled"] += 1
        enrolled = min(0, left or 0)
    yield event("course.enrolled", enrolled, {"previous_attempts": info.attempts})
    yield event("profile.updated", enrolled, info.background)
    result = RESULT[info.result]
    if result is not None:
        yield event("course.completed", course.length, {"result": result})
    elif left is None:
        account.days_assumed["course.withdrawn"] += 1
        yield event("course.withdrawn", course.length, {})
    else:
        account.without_event["a result Withdrawn: told by the day of unregistration"] += 1
    if left is not None:
        yield event("course.withdrawn", left, {})
    else:
        account.without_event["a registration that was not withdrawn"] += 1
