"""States as lines for people."""

from __future__ import annotations

from datetime import date

from cli.state_outline import outline


def test_names_stand_beside_values_and_lists_end_with_their_last() -> None:
    state = {
        "user_id": "ada",
        "PMI": 0.37851162325372983,
        "time_spent": 3679.5,
        "flagged_topics": [],
        "module_id": None,
        "topic_scores": {"factoring": 43.333, "roots": 50.0},
        "quiz_attempts": [
            {"question_id": f"q{n}", "score": 0.5, "confidence": None} for n in range(7)
        ],
        "redo_topics": ["roots"],
        "last_activity_date": date(2026, 11, 8),
        "offset": 12,
    }
    assert list(outline(state)) == [
        "user_id             ada",
        "PMI                 0.379",
        "time_spent          3680",
        "topic_scores        factoring: 43.3",
        "                    roots: 50",
        "quiz_attempts       (2 before, see --json)",
        *(f"                    question_id q{n}, score 0.5" for n in range(2, 7)),
        "redo_topics         roots",
        "last_activity_date  2026-11-08",
    ]


def test_a_terminal_acts_on_nothing_that_somebody_wrote() -> None:
    (line,) = outline({"feedback": "fine\x1b[2J\nreally"})
    assert line == r"feedback  fine\x1b[2J really"


def test_nothing_is_no_line() -> None:
    assert list(outline({})) == []
