"""Log lines: on stderr, as JSON where no terminal is, libraries routed through and kept quiet."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SAY = """
import logging, sys, structlog
from config.logging import configure_logging
from config.settings import LogSettings
configure_logging(LogSettings(**eval(sys.argv[1])), libraries=sys.argv[2] == "libraries")
structlog.get_logger("ours").info("folded", events=3)
structlog.get_logger("ours").debug("detail")
logging.getLogger("aiokafka.client").info("routine")
logging.getLogger("aiokafka.client").error("no route to %s", "kafka-1")
try:
    secret = "lk_" + "of-nobodys-business"
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("broken")
"""


def say(log: dict[str, str], who: str = "libraries") -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SAY, repr(log), who], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_json_lines_on_stderr_where_no_terminal_is() -> None:
    out, err = say({})
    lines: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert [line["event"] for line in lines] == ["folded", "no route to kafka-1", "broken"]
    assert lines[0]["events"] == 3
    assert lines[0]["level"] == "info"
    assert lines[0]["timestamp"].endswith("Z")
    assert lines[1]["logger"] == "aiokafka.client"
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_debug_includes_what_libraries_say() -> None:
    _, err = say({"level": "debug"})
    said = [json.loads(line)["event"] for line in err.splitlines()]
    assert said == ["folded", "detail", "routine", "no route to kafka-1", "broken"]


def test_libraries_can_be_silenced() -> None:
    _, err = say({}, "no libraries")
    assert "no route" not in err
    assert "folded" in err


def test_the_console_is_for_people() -> None:
    _, err = say({"format": "console"})
    assert "folded" in err
    assert "events=3" in err
    assert not err.startswith("{")


def test_no_format_shows_local_variables() -> None:
    """They hold keys and tokens."""
    for format_ in ("console", "json"):
        _, err = say({"format": format_})
        assert "ZeroDivisionError" in err
        assert "lk_of-nobodys-business" not in err
