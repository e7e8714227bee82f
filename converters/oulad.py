"""The Open University Learning Analytics Dataset as events (Kuzilek, Hlosta & Zdrahal 2017).

    studentRegistration.csv ─┬─ joined by course and student ─► course.enrolled, profile.updated,
    studentInfo.csv ─────────┘                                  course.withdrawn, course.completed
    studentAssessment.csv ───── with assessments.csv, courses.csv ─► quiz.submitted

What is chosen, since the data set leaves it open:

- A course is a module in a presentation (``AAA-2013J``), a learner one ``id_student`` in all.
- Times of day: `converters.oulad_calendar`. ``date_registration`` unknown: day 0, or the day of
  unregistration if that is earlier.
- ``course.withdrawn`` on ``date_unregistration``; a ``final_result`` Withdrawn without one: at the
  end of the presentation. ``course.completed`` at its end, for Pass, Fail and Distinction.
- An assessment is one question. ``topic_id`` is module and type (``AAA TMA``), ``skill_tag`` the
  type, ``objective_tag`` its place among those of its type (``AAA TMA 2``), so that presentations
  compare; ``module_id`` is their module, the whole course. ``score`` = score / 100, exams too.
- A banked score (carried over from an earlier presentation) is an event like any other on the day
  told, since the module counts it; its ``source`` is ``oulad/banked``.
- A submission without a score makes no event: nothing is graded.
- ``age``: the middle of the band, from 18 and to 65. ``learner_level`` by the qualification before.
  ``learner_purpose``: revising if the module was tried before, else scratch.
- Left out, as no attribute of ours: gender, region, imd_band, disability, studied_credits, weight;
  vle.csv and studentVle.csv are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from converters.csv_rows import check_columns
from converters.external_sort import sorted_lines
from converters.oulad_account import OuladAccount
from converters.oulad_course import COLUMNS, courses_of
from converters.oulad_enrolment import enrolment_events
from converters.oulad_event import KEY_LENGTH
from converters.oulad_submission import submission_events
from schemas.errors import InvalidInput

__all__ = ["OuladAccount", "oulad_events"]


def oulad_events(folder: Path, account: OuladAccount | None = None) -> Iterator[bytes]:
    """The data set's events in order of time, each one a JSON object without a newline.

    Memory stays flat in the number of rows; only courses.csv and assessments.csv are kept.

    Args:
        folder: where the official CSV files are.
        account: filled while the events are taken: what became of each row.

    Raises:
        InvalidInput: a file or column is missing (at once), or a row is not what it should be
            (when it is read, before the first event; with file and line).
    """
    if not folder.is_dir():
        raise InvalidInput(f"{folder}: no such folder; name the one with OULAD's CSV files")
    for name, columns in COLUMNS.items():
        check_columns(folder / name, columns)
    if account is None:
        account = OuladAccount()
    return _in_time_order(folder, account)


def _in_time_order(folder: Path, account: OuladAccount) -> Iterator[bytes]:
    courses = courses_of(folder / "courses.csv", account)

    def keyed() -> Iterator[bytes]:
        yield from enrolment_events(folder, courses, account)
        yield from submission_events(folder, courses, account)

    for line in sorted_lines(keyed()):
        yield line[KEY_LENGTH:]
