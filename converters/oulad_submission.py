"""studentAssessment.csv to quiz.submitted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.csv_rows import MISSING, bad_row, csv_rows, whole_number
from converters.oulad_account import OuladAccount
from converters.oulad_course import COLUMNS, MOST_DAYS, Course, assessments_of, check_student
from converters.oulad_event import keyed_event


def submission_events(
    folder: Path, courses: dict[tuple[str, str], Course], account: OuladAccount
) -> Iterator[bytes]:
    """Each graded submission, keyed, in the order of the file.

    Raises: InvalidInput, with file and line.
    """
    assessments = assessments_of(folder / "assessments.csv", courses, account)
    file = folder / "studentAssessment.csv"
    for line, (assessment, student, day, banked, score) in csv_rows(file, COLUMNS[file.name]):
        known = assessments.get(assessment)
        if known is None:
            bad_row(file, line, f"id_assessment {assessment!r} is not in assessments.csv")
        check_student(file, line, student)
        account.rows[file.name] += 1
        if score in MISSING:
            account.without_event["a submission without a score"] += 1
            continue
        fields: dict[str, Any] = {
            "question_id": assessment,
            "score": _score(file, line, score),
            "topic_id": f"{known.course.module} {known.kind}",
            "module_id": known.course.module,
            "skill_tag": known.kind,
            "objective_tag": known.objective,
        }
        if banked == "1":
            fields["source"] = "oulad/banked"
        elif banked != "0":
            bad_row(file, line, f"is_banked {banked!r} is neither 0 nor 1")
        on = whole_number(file, line, "date_submitted", day, -MOST_DAYS, MOST_DAYS)
        account.events["quiz.submitted"] += 1
        cause = f"{assessment}/{student}/{on}/{banked}/{fields['score']}"
        yield keyed_event("quiz.submitted", cause, student, known.course, on, fields)


def _score(file: Path, line: int, text: str) -> float:
    try:
        score = float(text) / 100
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        bad_row(file, line, f"score {text!r} is no number from 0 to 100")
    return score
