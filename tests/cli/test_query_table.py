"""Answers as a table for people: their text is text, whatever stands in it."""

from __future__ import annotations

from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from audit.comparison import Difference, TableReport
from audit.run import StoreReport
from cli.answers import show
from cli.audit import _show as show_audit
from queries.answers import DailyActivity, SkillProgress

ODD = "CS[lab]1 [/quote]"


def test_brackets_in_a_name_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show([SkillProgress(date(2026, 1, 5), ODD, 3, 0.5)], as_json=False)
    assert ODD in capsys.readouterr().out


def test_figures_are_as_exact_as_they_are_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    show([DailyActivity(date(2026, 1, 5), "algebra", 3, 1234.5678, 2, 0.66666)], as_json=False)
    assert capsys.readouterr().out.split()[-5:] == ["algebra", "3", "1235", "2", "0.667"]


def test_brackets_in_what_an_audit_found_are_shown() -> None:
    found = Difference("events", "u|1", "different", {"message_text": (ODD, "a[i] = b")})
    table = TableReport("duckdb", "events", rows=1, different=1, first=[found])
    out = StringIO()
    show_audit([StoreReport("duckdb", tables=[table], note=ODD)], Console(file=out, width=200))
    assert out.getvalue().count(ODD) == 2
    assert "a[i] = b" in out.getvalue()
