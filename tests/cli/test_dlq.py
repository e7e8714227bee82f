"""`learner dlq` on a real Kafka: listed, shown, sent again as far as valid, dropped."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from example_streams.dead_letters import USER, answer, letter, marks, values, write_letters
from typer.testing import CliRunner, Result

from agents.kafka_client import choose_partition
from agents.topics import ACKS, CHAT, DEAD_LETTERS, DECISIONS, EVENTS, changelog
from cli.main import app
from config.settings import Settings
from faults.command_process import environment
from queries.duckdb import decisions_of
from schemas.behavior import Behavior
from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.sample_records import SAMPLES

R = DeadLetterReason
FIRST_MS = int(datetime(2026, 11, 1, 9, tzinfo=UTC).timestamp() * 1000)
OTHER = "ffffffff-6a52-4a53-9a6b-2f3a5e8d1c77"


def dlq(settings: Settings, *arguments: str, answered: str | None = None) -> Result:
    command = ["dlq", *arguments]
    return CliRunner().invoke(app, command, input=answered, env=environment(settings))


def told(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def open_ids(settings: Settings) -> set[str]:
    *letters, _ = told(dlq(settings, "list", "--json"))
    return {each["dead_letter_id"] for each in letters}


@pytest.fixture
def mixed(fresh_kafka: Settings) -> tuple[Settings, list[DeadLetter]]:
    """Of several topics and reasons, a second apart, oldest first."""
    decision = json.dumps(SAMPLES["decision"][0][1]).encode()
    letters = [
        letter(1, b"{bad", R.NOT_JSON, partition=0),
        letter(2, b"\xff\x1b[2J\x00", R.NOT_UTF8, partition=1),
        letter(3, answer(3), R.UNKNOWN_FIELD),
        letter(4, answer(4, score=7), R.INVALID_VALUE),
        letter(5, b"{}", R.MISSING_FIELD, ACKS),
        letter(6, b"{}", R.NOT_ACKNOWLEDGED, DECISIONS, partition=3),
        letter(7, decision, R.STORE_REFUSED, DECISIONS, partition=3, detail="postgres: no"),
        letter(8, b"x" * 1_500_000, R.TOO_LARGE),
    ]
    write_letters(fresh_kafka, letters, FIRST_MS)
    return fresh_kafka, letters


def test_a_list_of_mixed_letters(mixed: tuple[Settings, list[DeadLetter]]) -> None:
    settings, letters = mixed
    *listed, last = told(dlq(settings, "list", "--json"))
    newest_first = [each.dead_letter_id for each in reversed(letters)]
    assert [each["dead_letter_id"] for each in listed] == newest_first
    assert last["letters"] == last["shown"] == len(letters)
    assert last["reasons"] == Counter(each.reason.value for each in letters)
    assert "raw" not in listed[0]
    assert (listed[0]["size"], listed[0]["state"]) == (1_500_000, "open")

    shown = dlq(settings, "list", "--limit", "2")
    head, *rows = shown.stdout.splitlines()
    assert head.startswith("written (UTC)")
    assert [row.split()[3] for row in rows[:2]] == ["too_large", "store_refused"]
    assert rows[-1].startswith(f"{len(letters)} letters: ")
    assert "the newest 2" in shown.stderr

    of_events = told(dlq(settings, "list", "--json", "--topic", EVENTS, "--reason", "not_json"))
    assert [each["dead_letter_id"] for each in of_events[:-1]] == [letters[0].dead_letter_id]
    window = ("--since", "2026-11-01T09:00:02", "--until", "2026-11-01T09:00:04")
    between = told(dlq(settings, "list", "--json", *window))
    assert [each["source_offset"] for each in between[:-1]] == [4, 3]
    assert dlq(settings, "list", "--state", "dropped").stdout == "0 letters\n"


def test_what_is_no_letter_does_not_stand_in_the_way(fresh_kafka: Settings) -> None:
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    for value in (b"not ours", None):
        producer.produce(DEAD_LETTERS, value, "k", partition=2)
    assert producer.flush(10) == 0
    only = letter(1, answer(1))
    write_letters(fresh_kafka, [only])
    assert open_ids(fresh_kafka) == {only.dead_letter_id}


def test_a_letter_is_shown_safely_and_written_out_whole(
    mixed: tuple[Settings, list[DeadLetter]], tmp_path: Path
) -> None:
    settings, letters = mixed
    binary, large = letters[1], letters[7]
    shown = dlq(settings, "show", binary.dead_letter_id).stdout
    assert r"\xff\x1b[2J\x00" in shown
    assert "\x1b" not in shown
    cut = dlq(settings, "show", large.dead_letter_id).stdout
    assert len(cut) < 6_000
    assert "--raw FILE" in cut
    file = tmp_path / "raw"
    assert dlq(settings, "show", large.dead_letter_id, "--raw", str(file)).exit_code == 0
    assert file.read_bytes() == large.raw
    assert dlq(settings, "show", binary.dead_letter_id, "--raw", "-").stdout_bytes == binary.raw
    (whole,) = told(dlq(settings, "show", binary.dead_letter_id.upper(), "--json"))
    assert whole.pop("state") == "open"
    assert whole.pop("mark") is None
    assert DeadLetter.model_validate(whole) == binary
    nobody = dlq(settings, "show", USER)
    assert (nobody.exit_code, USER in nobody.stderr) == (1, True)


def test_what_is_valid_now_is_sent_and_the_rest_stays_with_its_reason(
    mixed: tuple[Settings, list[DeadLetter]],
) -> None:
    settings, letters = mixed
    valid = letters[2]
    tried = dlq(settings, "resend", "--all", "--dry-run")
    *_, last = told(tried)
    # Of the store only that its record is one: it is not asked.
    assert last == {"chosen": 8, "resent": 2, "left": 6, "dry_run": True}
    assert values(settings, EVENTS) == {partition: [] for partition in range(4)}
    assert len(open_ids(settings)) == 8

    done = dlq(settings, "resend", "--all")
    *left, last = told(done)
    assert done.exit_code == 1
    assert "7 of 8 letters stay" in done.stderr
    assert last == {"chosen": 8, "resent": 1, "left": 7, "dry_run": False}
    by_id = {each["dead_letter_id"]: each for each in left}
    reasons = {each.dead_letter_id: each.reason.value for each in letters if each is not valid}
    assert {id_: each["reason"] for id_, each in by_id.items()} == reasons
    assert "score" in by_id[letters[3].dead_letter_id]["detail"]
    assert "PostgreSQL" in by_id[letters[6].dead_letter_id]["detail"]
    assert values(settings, EVENTS) == {0: [], 1: [], 2: [valid.raw], 3: []}
    assert open_ids(settings) == reasons.keys()
    (mark,) = marks(settings)
    assert (mark.dead_letter_id, mark.state, mark.corrected) == (
        valid.dead_letter_id, "resent", False
    )  # fmt: skip

    again = dlq(settings, "resend", valid.dead_letter_id)
    assert again.exit_code == 1
    assert "was resent by" in again.stderr
    by_reason = dlq(settings, "resend", "--reason", "unknown_field")
    assert told(by_reason) == [{"chosen": 0, "resent": 0, "left": 0, "dry_run": False}]
    assert [len(each) for each in values(settings, EVENTS).values()] == [0, 0, 1, 0]


def test_acknowledgements_go_back_too(fresh_kafka: Settings) -> None:
    ack = SAMPLES["delivery-ack"][0][1]
    raw, key = json.dumps(ack).encode(), str(ack["user_id"]).encode()
    write_letters(fresh_kafka, [letter(1, raw, topic=ACKS, key=key, partition=1)])
    assert dlq(fresh_kafka, "resend", "--topic", ACKS).exit_code == 0
    assert values(fresh_kafka, ACKS) == {0: [], 1: [raw], 2: [], 3: []}


def test_a_correction_of_one_letter(fresh_kafka: Settings, tmp_path: Path) -> None:
    bad, other = letter(1, answer(1, score=7), R.INVALID_VALUE), letter(2, b"{", R.NOT_JSON)
    write_letters(fresh_kafka, [bad, other])
    file = tmp_path / "value.json"
    file.write_bytes(answer(1, score=8))
    wrong = dlq(fresh_kafka, "resend", bad.dead_letter_id, "--value", str(file))
    assert wrong.exit_code == 1
    assert told(wrong)[0]["reason"] == "invalid_value"
    assert len(open_ids(fresh_kafka)) == 2
    file.write_bytes(answer(1, score=0.7))
    assert dlq(fresh_kafka, "resend", bad.dead_letter_id, "--value", str(file)).exit_code == 0
    assert values(fresh_kafka, EVENTS)[2] == [file.read_bytes()]
    assert [mark.corrected for mark in marks(fresh_kafka)] == [True]
    assert "with a correction" in dlq(fresh_kafka, "show", bad.dead_letter_id).stdout
    for several in (["--all"], [bad.dead_letter_id, other.dead_letter_id]):
        refused = dlq(fresh_kafka, "resend", *several, "--value", str(file))
        assert "--value corrects one letter" in refused.stderr


def test_records_without_their_key_are_keyed_anew(fresh_kafka: Settings) -> None:
    letters = [
        letter(1, answer(1), R.KEY_MISMATCH, key=b"", partition=0),
        letter(2, answer(2, user_id=OTHER), R.KEY_MISMATCH, partition=3),
    ]
    write_letters(fresh_kafka, letters)
    assert dlq(fresh_kafka, "resend", "--reason", "key_mismatch").exit_code == 1
    assert len(open_ids(fresh_kafka)) == 2
    assert dlq(fresh_kafka, "resend", "--reason", "key_mismatch", "--rekey").exit_code == 0
    choose = choose_partition(fresh_kafka.kafka)
    wanted: dict[int, list[bytes]] = {partition: [] for partition in range(4)}
    for user, each in ((USER, letters[0]), (OTHER, letters[1])):
        wanted[choose(user.encode(), [0, 1, 2, 3], [])].append(each.raw)
    assert values(fresh_kafka, EVENTS) == wanted


def test_too_late_is_told_by_the_learners_own_state(fresh_kafka: Settings) -> None:
    """The worker's table is asked: nothing goes back that would only be rejected again."""
    old = "2026-01-01T00:00:00Z"
    letters = [
        letter(1, answer(1, occurred_at=old), R.TOO_LATE),
        letter(2, answer(2, occurred_at=old, user_id=OTHER), R.TOO_LATE, key=OTHER.encode()),
    ]
    write_letters(fresh_kafka, letters)
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    table = changelog(fresh_kafka.worker.app_id, "behavior")
    active = {USER: datetime(2026, 6, 1, tzinfo=UTC), OTHER: datetime(2026, 1, 20, tzinfo=UTC)}
    for user, at in active.items():
        state = encode(Behavior(user, last_activity_at=at))
        producer.produce(table, state, user, partition=2)
    assert producer.flush(10) == 0
    *left, last = told(dlq(fresh_kafka, "resend", "--all"))
    assert last["resent"] == 1
    assert [each["dead_letter_id"] for each in left] == [letters[0].dead_letter_id]
    assert "45 days before the learner's latest event, 2026-06-01" in left[0]["detail"]
    assert values(fresh_kafka, EVENTS)[2] == [letters[1].raw]


def test_what_a_store_refused_goes_into_that_store_and_onto_no_topic(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "kept.duckdb"
    duckdb = fresh_kafka.duckdb.model_copy(update={"file": file})
    settings = fresh_kafka.model_copy(update={"duckdb": duckdb})
    decision = SAMPLES["decision"][0][1]
    raw, key = json.dumps(decision).encode(), str(decision["user_id"]).encode()
    refused = {
        "good": letter(1, raw, R.STORE_REFUSED, DECISIONS, key, detail="duckdb: disk full"),
        "none": letter(2, b"{}", R.STORE_REFUSED, DECISIONS, key, detail="duckdb: no"),
        "elsewhere": letter(3, raw, R.STORE_REFUSED, "x-seen-changelog", key, detail="duckdb: no"),
        "unknown": letter(4, raw, R.STORE_REFUSED, DECISIONS, key, detail="oracle: no"),
        "passed over": letter(5, b"{}", R.STORE_REFUSED, CHAT, key, detail="mongodb: no"),
    }
    write_letters(settings, refused.values())
    *left, last = told(dlq(settings, "resend", "--reason", "store_refused"))
    assert last == {"chosen": 5, "resent": 1, "left": 4, "dry_run": False}
    said = {each["dead_letter_id"]: each["detail"] for each in left}
    assert "no record of learner.decisions" in said[refused["none"].dead_letter_id]
    assert "keeps nothing of" in said[refused["elsewhere"].dead_letter_id]
    assert "learner rebuild mongodb" in said[refused["passed over"].dead_letter_id]
    assert "'oracle'" in said[refused["unknown"].dead_letter_id]
    assert len(list(decisions_of(file, str(decision["user_id"])))) == 1
    assert values(settings, DECISIONS) == {partition: [] for partition in range(4)}
    assert [mark.dead_letter_id for mark in marks(settings)] == [refused["good"].dead_letter_id]


def test_drop_asks_first_and_settles_what_was_counted(
    mixed: tuple[Settings, list[DeadLetter]],
) -> None:
    settings, letters = mixed
    one = letters[0].dead_letter_id
    tried = dlq(settings, "drop", "--reason", "not_json", "--dry-run")
    assert told(tried) == [{"chosen": 1, "reasons": {"not_json": 1}, "dry_run": True}]
    declined = dlq(settings, "drop", one, answered="n\n")
    assert declined.exit_code == 1
    assert "drop 1 letter: 1 not_json?" in declined.stderr
    nobody_there = dlq(settings, "drop", one, answered="")
    assert nobody_there.exit_code == 1
    assert marks(settings) == []

    assert dlq(settings, "drop", one, answered="y\n").exit_code == 0
    by_topic = dlq(settings, "drop", "--topic", ACKS, "--yes", "--author", "Anna")
    assert told(by_topic) == [{"dropped": 1, "dry_run": False}]
    assert [(m.dead_letter_id, m.state) for m in marks(settings)] == [
        (one, "dropped"), (letters[4].dead_letter_id, "dropped")
    ]  # fmt: skip
    assert marks(settings)[1].settled_by == "Anna"
    assert len(open_ids(settings)) == 6
    refused = dlq(settings, "resend", one)
    assert refused.exit_code == 1
    assert "was dropped by" in refused.stderr
    *dropped, _ = told(dlq(settings, "list", "--json", "--state", "dropped"))
    assert {each["dead_letter_id"] for each in dropped} == {one, letters[4].dead_letter_id}
    assert values(settings, EVENTS) == {partition: [] for partition in range(4)}
    assert told(dlq(settings, "drop", "--all", "--yes"))[-1]["dropped"] == 6
    assert open_ids(settings) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("resend",),
        ("drop", "--yes"),
        ("resend", "--all", "--reason", "not_json"),
        ("drop", USER, "--all"),
        ("resend", USER, "--topic", EVENTS),
        ("drop", "7"),
        ("show", "../x"),
        ("list", "--state", "lost"),
        ("resend", USER, "--author", "a\nb"),
    ],
    ids=" ".join,
)
def test_who_does_not_say_which_letters_is_told_so(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["dlq", *arguments, "--kafka", "127.0.0.1:9"])
    assert done.exit_code in (1, 2)
    assert "Kafka" not in done.stderr


def test_a_broker_that_is_not_there_is_named() -> None:
    done = CliRunner().invoke(app, ["dlq", "list", "--kafka", "127.0.0.1:9"])
    assert done.exit_code == 1
    assert "127.0.0.1:9" in done.stderr
