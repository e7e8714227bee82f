"""OULAD's courses and assessments: the small files that the others refer to, kept in memory."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from converters.csv_rows import MISSING, bad_row, csv_rows, whole_number
from converters.oulad_account import OuladAccount
from converters.oulad_calendar import presentation_start
from schemas.errors import InvalidInput

COLUMNS: dict[str, tuple[str, ...]] = {
    "courses.csv": ("code_module", "code_presentation", "module_presentation_length"),
    "assessments.csv": (
        "code_module", "code_presentation", "id_assessment", "assessment_type", "date",
    ),
    "studentInfo.csv": (
        "code_module", "code_presentation", "id_student", "highest_education", "age_band",
        "num_of_prev_attempts", "final_result",
    ),
    "studentRegistration.csv": (
        "code_module", "code_presentation", "id_student", "date_registration",
        "date_unregistration",
    ),
    "studentAssessment.csv": (
        "id_assessment", "id_student", "date_submitted", "is_banked", "score",
    ),
}  # fmt: skip
"""The columns that are read, by file."""

ASSESSMENT_TYPES = ("TMA", "CMA", "Exam")
MOST_DAYS = 3650


class Course(NamedTuple):
    """``start``: ordinal of day 0. ``length`` in days."""

    course_id: str
    module: str
    start: int
    length: int


class Assessment(NamedTuple):
    """``objective``: module, type and the place among the assessments of that type."""

    course: Course
    kind: str
    objective: str


def courses_of(file: Path, account: OuladAccount) -> dict[tuple[str, str], Course]:
    """By module and presentation. Raises: InvalidInput, with file and line."""
    courses: dict[tuple[str, str], Course] = {}
    for line, (module, presentation, length) in csv_rows(file, COLUMNS[file.name]):
        start = presentation_start(presentation)
        if start is None:
            bad_row(file, line, f"code_presentation {presentation!r} is not like 2013B or 2013J")
        if not module.isprintable() or not 0 < len(module) <= 100:
            bad_row(file, line, f"code_module {module!r} is no name of a module")
        if (module, presentation) in courses:
            bad_row(file, line, f"{module} {presentation} stands there already")
        days = whole_number(file, line, "module_presentation_length", length, 1, MOST_DAYS)
        courses[module, presentation] = Course(f"{module}-{presentation}", module, start, days)
        account.rows[file.name] += 1
        account.without_event["a course: its length dates the results"] += 1
    return courses


def assessments_of(
    file: Path, courses: dict[tuple[str, str], Course], account: OuladAccount
) -> dict[str, Assessment]:
    """By id_assessment. Raises: InvalidInput, with file and line."""
    found: list[tuple[Course, str, int, str]] = []
    for line, (module, presentation, assessment, kind, day) in csv_rows(file, COLUMNS[file.name]):
        course = course_of(file, line, courses, module, presentation)
        if kind not in ASSESSMENT_TYPES:
            bad_row(
                file, line, f"assessment_type {kind!r} is none of {', '.join(ASSESSMENT_TYPES)}"
            )
        if not assessment.isdecimal() or len(assessment) > 20:
            bad_row(file, line, f"id_assessment {assessment!r} is no number")
        due = (
            MOST_DAYS  # an exam's day is often not told: it comes last
            if day in MISSING
            else whole_number(file, line, "date", day, -MOST_DAYS, MOST_DAYS)
        )
        found.append((course, kind, due, assessment))
        account.rows[file.name] += 1
        account.without_event["an assessment: it names what submissions are about"] += 1
    found.sort(key=lambda entry: (*entry[:3], int(entry[3])))
    assessments: dict[str, Assessment] = {}
    for (course, kind), group in groupby(found, key=lambda entry: entry[:2]):
        for place, (*_, assessment) in enumerate(group, 1):
            if assessment in assessments:
                raise InvalidInput(f"{file}: id_assessment {assessment} stands there twice")
            assessments[assessment] = Assessment(course, kind, f"{course.module} {kind} {place}")
    return assessments


def course_of(
    file: Path,
    line: int,
    courses: dict[tuple[str, str], Course],
    module: str,
    presentation: str,
) -> Course:
    course = courses.get((module, presentation))
    if course is None:
        bad_row(file, line, f"{module} {presentation} is not in courses.csv")
    return course


def check_student(file: Path, line: int, student: str) -> None:
    """Raises: InvalidInput, if the id is none of theirs."""
    if not student.isdecimal() or len(student) > 20:
        bad_row(file, line, f"id_student {student!r} is no number")
