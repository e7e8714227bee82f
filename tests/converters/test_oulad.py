"""OULAD's rows become the right events, in order, and what is wrong is told with its line."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
from example_oulad.invented import (
    ASSESSMENTS,
    COURSES,
    FILES,
    INFO,
    REGISTRATION,
    SUBMISSIONS,
    write,
)

from converters.oulad import OuladAccount, oulad_events
from converters.oulad_event import NAMESPACE, derived_uuid
from schemas.errors import InvalidInput
from schemas.event import event_adapter

ENDS = {"event_id", "user_id", "occurred_at", "type", "course_id", "source"}


def converted(folder: Path, account: OuladAccount | None = None) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in oulad_events(folder, account)]


def told(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ENDS}


def test_every_row_becomes_what_it_tells(tmp_path: Path) -> None:
    events = converted(write(tmp_path))
    first, second = (str(uuid.uuid5(uuid.UUID(NAMESPACE), f"student/{n}")) for n in (501, 502))
    got = [
        (e["occurred_at"][:10], e["type"], e["course_id"], e["user_id"], told(e)) for e in events
    ]
    b, j = "ZZZ-2013B", "ZZZ-2013J"
    middle = {"age": 45, "learner_level": "intermediate"}
    ever_502 = {"age": 60, "learner_level": "basic", "learner_purpose": "scratch"}
    tma = {"topic_id": "ZZZ TMA", "module_id": "ZZZ", "skill_tag": "TMA"}
    assert got == [
        ("2013-01-22", "course.enrolled", b, first, {"previous_attempts": 0}),
        ("2013-01-22", "profile.updated", b, first, {**middle, "learner_purpose": "scratch"}),
        ("2013-02-06", "course.withdrawn", b, first, {}),
        ("2013-08-31", "course.enrolled", j, first, {"previous_attempts": 1}),
        ("2013-08-31", "profile.updated", j, first, {**middle, "learner_purpose": "revising"}),
        ("2013-09-30", "quiz.submitted", j, first,
         {**tma, "question_id": "12", "score": 0.55, "objective_tag": "ZZZ TMA 2"}),
        ("2013-10-01", "course.enrolled", j, second, {"previous_attempts": 0}),
        ("2013-10-01", "profile.updated", j, second, ever_502),
        ("2013-10-19", "quiz.submitted", j, first,
         {**tma, "question_id": "11", "score": 0.78, "objective_tag": "ZZZ TMA 1"}),
        ("2014-06-26", "quiz.submitted", j, first,
         {"question_id": "13", "score": 1.0, "topic_id": "ZZZ Exam", "module_id": "ZZZ",
          "skill_tag": "Exam", "objective_tag": "ZZZ Exam 1"}),
        *sorted([
            ("2014-06-26", "course.completed", j, first, {"result": "pass"}),
            ("2014-06-26", "course.completed", j, second, {"result": "fail"}),
        ], key=lambda entry: [e["user_id"] for e in events].index(entry[3], len(events) - 2)),
    ]  # fmt: skip
    assert [e["source"] for e in events].count("oulad/banked") == 1
    assert events[5]["source"] == "oulad/banked"


def test_events_are_valid_ordered_and_told_apart(tmp_path: Path) -> None:
    lines = list(oulad_events(write(tmp_path)))
    for line in lines:
        event_adapter.validate_json(line)
    events = [orjson.loads(line) for line in lines]
    times = [event["occurred_at"] for event in events]
    assert times == sorted(times)
    assert len({event["event_id"] for event in events}) == len(events) == 12


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    def upside_down(text: str) -> str:
        header, *rows = text.splitlines()
        return "\n".join([header, *reversed(rows), ""])

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    turned = {name.removesuffix(".csv"): upside_down(text) for name, text in FILES.items()}
    straight = list(oulad_events(write(tmp_path / "a")))
    assert list(oulad_events(write(tmp_path / "b", **turned))) == straight


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    account = OuladAccount()
    assert len(converted(write(tmp_path), account)) == 12
    assert account.rows == {
        "courses.csv": 2, "assessments.csv": 4, "studentInfo.csv": 3,
        "studentRegistration.csv": 3, "studentAssessment.csv": 4,
    }  # fmt: skip
    assert account.events == {
        "course.enrolled": 3, "profile.updated": 3, "course.withdrawn": 1, "course.completed": 2,
        "quiz.submitted": 3,
    }  # fmt: skip
    assert sorted(account.without_event.values()) == [1, 1, 2, 2, 4]
    assert account.days_assumed == {"course.enrolled": 1}
    assert account.unaccounted == 0
    account.events["quiz.submitted"] -= 1
    assert account.unaccounted == 1


def test_withdrawn_without_a_day_is_dated_at_the_end(tmp_path: Path) -> None:
    account = OuladAccount()
    info = INFO.replace("Pass", "Withdrawn")
    events = converted(write(tmp_path, studentInfo=info), account)
    left = [e["occurred_at"][:10] for e in events if e["type"] == "course.withdrawn"]
    assert left == ["2013-02-06", "2014-06-26"]
    assert account.days_assumed["course.withdrawn"] == 1
    assert account.unaccounted == 0


def test_failed_after_leaving_tells_both(tmp_path: Path) -> None:
    registration = REGISTRATION.replace("502,,", "502,3,100")
    account = OuladAccount()
    events = converted(write(tmp_path, studentRegistration=registration), account)
    second = derived_uuid("student/502")[0]
    assert [
        (e["occurred_at"][:10], e["type"]) for e in events if e["user_id"] == second
    ] == [
        ("2013-10-04", "course.enrolled"),
        ("2013-10-04", "profile.updated"),
        ("2014-01-09", "course.withdrawn"),
        ("2014-06-26", "course.completed"),
    ]  # fmt: skip
    assert account.unaccounted == 0


def test_unknown_registration_is_not_after_leaving(tmp_path: Path) -> None:
    registration = REGISTRATION.replace("502,,", "502,,-4")
    events = converted(write(tmp_path, studentRegistration=registration))
    second = derived_uuid("student/502")[0]
    mine = [e["occurred_at"][:10] for e in events if e["user_id"] == second]
    assert mine[:3] == ["2013-09-27"] * 3


@pytest.mark.parametrize("missing", ["", "?"])
def test_unknown_background_is_left_out(tmp_path: Path, missing: str) -> None:
    info = INFO.replace("No Formal quals", missing).replace("55<=", missing)
    events = converted(write(tmp_path, studentInfo=info))
    second = derived_uuid("student/502")[0]
    profile = next(e for e in events if e["type"] == "profile.updated" and e["user_id"] == second)
    assert told(profile) == {"learner_purpose": "scratch"}


def test_the_published_files_with_quotes_mark_and_windows_ends(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "quoted").mkdir()
    plain = list(oulad_events(write(tmp_path / "plain")))
    for name, text in FILES.items():
        rows = [",".join(f'"{v}"' for v in line.split(",")) for line in text.splitlines()]
        raw = b"\xef\xbb\xbf" + "\r\n".join([*rows, ""]).encode()
        (tmp_path / "quoted" / name).write_bytes(raw)
    assert list(oulad_events(tmp_path / "quoted")) == plain


def test_numbers_that_went_through_a_data_frame_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "floats").mkdir()
    plain = list(oulad_events(write(tmp_path / "plain")))
    floats = write(
        tmp_path / "floats",
        assessments=ASSESSMENTS.replace(",60,", ",60.0,"),
        studentRegistration=REGISTRATION.replace("-10,5", "-10.0,5.0"),
        studentAssessment=SUBMISSIONS.replace("18,0,78", "18.0,0,78.0"),
    )
    assert list(oulad_events(floats)) == plain


def test_ids_are_version_5_uuids_of_their_names() -> None:
    for name in ("student/1", "quiz.submitted/é"):
        assert derived_uuid(name)[0] == str(uuid.uuid5(uuid.UUID(NAMESPACE), name))


BAD = {
    "course twice": ("courses", COURSES + "ZZZ,2013J,9\n", 4, "stands there already"),
    "presentation": ("courses", COURSES.replace("2013B", "2013K"), 2, "not like 2013B"),
    "length": ("courses", COURSES.replace("240", "long"), 2, "'long' is no whole number"),
    "length range": ("courses", COURSES.replace("240", "0"), 2, "0 is not in 1–3650"),
    "type": ("assessments", ASSESSMENTS.replace("CMA", "XMA"), 5, "'XMA' is none of TMA"),
    "unknown course": ("assessments", ASSESSMENTS.replace("2013B", "2014B"), 5, "courses.csv"),
    "assessment id": ("assessments", ASSESSMENTS.replace(",21,", ",x,"), 5, "'x' is no number"),
    "education": ("studentInfo", INFO.replace("No Formal quals", "PhD"), 4, "'PhD' is none of"),
    "age": ("studentInfo", INFO.replace("55<=", "old"), 4, "'old' is none of"),
    "result": ("studentInfo", INFO.replace("Fail", "Maybe"), 4, "'Maybe' is none of"),
    "attempts": ("studentInfo", INFO.replace(",1,60", ",-1,60"), 2, "-1 is not in 0–1000"),
    "student": ("studentInfo", INFO.replace(",502,", ",bob,"), 4, "'bob' is no number"),
    "half a day": ("courses", COURSES.replace("240", "240.5"), 2, "'240.5' is no whole number"),
    "row too short": ("studentInfo", INFO + "ZZZ,2013J\n", 5, "2 values for 12 columns"),
    "info alone": (
        "studentInfo", INFO + INFO.splitlines()[3].replace("502", "503") + "\n", 5,
        "503 in ZZZ 2013J is not in studentRegistration.csv",
    ),
    "info twice": (
        "studentInfo", INFO + INFO.splitlines()[3] + "\n", 4,
        "502 in ZZZ 2013J stands there twice",
    ),
    "registration alone": (
        "studentRegistration", REGISTRATION + "ZZZ,2013J,509,1,\n", 5,
        "509 in ZZZ 2013J is not in studentInfo.csv",
    ),
    "registration twice": (
        "studentRegistration", REGISTRATION + "ZZZ,2013J,501,1,\n", 5, "stands there twice",
    ),
    "day": ("studentRegistration", REGISTRATION.replace("-10", "soon"), 2, "'soon' is no whole"),
    "assessment": ("studentAssessment", SUBMISSIONS + "99,501,1,0,5\n", 6, "assessments.csv"),
    "no day": ("studentAssessment", SUBMISSIONS.replace(",18,", ",,"), 2, "'' is no whole number"),
    "score": ("studentAssessment", SUBMISSIONS.replace(",78", ",101"), 2, "'101' is no number"),
    "score nan": ("studentAssessment", SUBMISSIONS.replace(",78", ",nan"), 2, "'nan' is no number"),
    "banked": ("studentAssessment", SUBMISSIONS.replace("18,0", "18,2"), 2, "neither 0 nor 1"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "line", "fault"), BAD.values(), ids=BAD)
def test_a_bad_row_is_told_with_file_and_line(
    tmp_path: Path, name: str, text: str, line: int, fault: str
) -> None:
    folder = write(tmp_path, **{name: text})
    place = re.escape(f"{folder / name}.csv:{line}: ")
    with pytest.raises(InvalidInput, match=f"^{place}.*{re.escape(fault)}"):
        list(oulad_events(folder))


def test_an_assessment_that_stands_twice(tmp_path: Path) -> None:
    folder = write(tmp_path, assessments=ASSESSMENTS + "ZZZ,2013B,11,TMA,30,1\n")
    with pytest.raises(InvalidInput, match="id_assessment 11 stands there twice"):
        list(oulad_events(folder))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_told_at_once(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InvalidInput, match=f"{name}: No such file"):
        oulad_events(tmp_path)


def test_a_missing_column_or_folder_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, studentAssessment=SUBMISSIONS.replace("is_banked", "bank").replace("sc", "xx"))
    with pytest.raises(InvalidInput, match=r"has no column is_banked, score$"):
        oulad_events(tmp_path)
    with pytest.raises(InvalidInput, match="no such folder"):
        oulad_events(tmp_path / "nowhere")


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "studentInfo.csv").open("ab") as file:
        file.write(b"\n" * 20_000 + b"ZZZ,2013J,\xff\n")
    with pytest.raises(InvalidInput, match=r"studentInfo\.csv: after line \d+: .*utf-8"):
        list(oulad_events(tmp_path))
    (tmp_path / "courses.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match=r"courses\.csv: no CSV in UTF-8"):
        oulad_events(tmp_path)
