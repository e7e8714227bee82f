"""What is judged of this machine and of the settings, by worked examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from doctor.ask_machine import machine
from doctor.finding import Finding, duration, listed, size
from doctor.machine import Folder, MachineFacts, Package, judge_machine, locked
from doctor.setting_faults import judge_settings

GIGABYTE = 1_000_000_000
ROOM = Folder("embedded file", "/data", 50 * GIGABYTE, 100 * GIGABYTE, True)
LOCKED = Package("aiokafka", "0.14.0", ("0.14.0",), True)


def judged(**changes: Any) -> dict[str, Finding]:
    well = MachineFacts((3, 11, 9), [LOCKED], (65_536, 65_536), [ROOM])
    return {finding.check: finding for finding in judge_machine(well._replace(**changes))}


def test_a_machine_that_is_well() -> None:
    assert {finding.state for finding in judged().values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "state", "said"),
    [
        ({"python": (3, 10, 1)}, "python", "wrong", "3.11 is needed"),
        ({"python": (3, 13, 0)}, "python", "ok", "newer"),
        ({"packages": None}, "packages", "ok", "no lock"),
        ({"packages": [LOCKED._replace(found="0.15")]}, "packages", "wrong", "aiokafka 0.15"),
        (
            {"packages": [Package("rich", "1", ("2",), False)]},
            "packages",
            "warning",
            "rich 1, locked 2",
        ),
        ({"packages": [Package("asyncpg", "", ("2",), False)]}, "packages", "ok", "0, each"),
        ({"files": (1024, 65_536)}, "open files", "warning", "1024 at most (could be 65536)"),
        ({"folders": [ROOM._replace(free=GIGABYTE)]}, "embedded file", "warning", "1.0 GB free"),
        ({"folders": [ROOM._replace(free=10_000_000)]}, "embedded file", "wrong", "10.0 MB free"),
        ({"folders": [ROOM._replace(writable=False)]}, "embedded file", "wrong", "may not write"),
    ],
)
def test_what_is_wrong_with_a_machine(
    changes: dict[str, Any], check: str, state: str, said: str
) -> None:
    finding = judged(**changes)[check]
    assert (finding.state, said in finding.found) == (state, True), finding


def test_a_lock_is_read() -> None:
    text = (
        "aiokafka==0.14.0 \\\n    --hash=sha256:00\n    # via learner-stream (pyproject.toml)\n"
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:01\n"
    )
    assert locked(text) == {"aiokafka": ("0.14.0",), "colorama": ("0.4.6",)}


def test_a_lock_may_have_a_version_for_each_python() -> None:
    text = (
        "numpy==2.4.6 ; python_full_version < '3.12' \\\n"
        "numpy==2.5.5 ; python_full_version >= '3.12'\n"
    )
    assert locked(text) == {"numpy": ("2.4.6", "2.5.5")}
    for found, state in (("2.4.6", "ok"), ("2.5.5", "ok"), ("2.3.0", "warning")):
        package = Package("numpy", found, locked(text)["numpy"], False)
        assert judged(packages=[package])["packages"].state == state


def test_this_very_machine_is_asked() -> None:
    facts = machine(Settings(_env_file=None))
    assert facts.packages is not None
    assert {p.name for p in facts.packages if p.exact} == {
        "aiokafka", "faust-streaming", "mode-streaming", "river",
    }  # fmt: skip
    assert len(facts.packages) > 50
    assert all(folder.total > folder.free > 0 for folder in facts.folders)


def faults(**sections: Any) -> dict[str, Finding]:
    settings = Settings(_env_file=None, **sections)
    return {finding.check: finding for finding in judge_settings(settings)}


def test_the_defaults_are_no_fault() -> None:
    assert {name: finding.state for name, finding in faults().items()} == {"all": "ok"}


@pytest.mark.parametrize(
    ("sections", "check", "state"),
    [
        (
            {"kafka": {"bootstrap_servers": "kafka-1.example.org:9092"}},
            "kafka.security_protocol",
            "warning",
        ),
        ({"kafka": {"check_crcs": False}}, "kafka.check_crcs", "warning"),
        ({"redis": {"password": "changeme"}}, "redis.password", "wrong"),
        (
            {"postgres": {"url": "postgresql://anna@h/x", "password": "anna"}},
            "postgres.password",
            "wrong",
        ),
        ({"chat": {"token_secret": "x" * 40}}, "chat.token_secret", "wrong"),
        ({"chat": {"token_secret": "kJ3-only-19-letters"}}, "chat.token_secret", "wrong"),
        ({"mongodb": {"url": "mongodb://db.example.org/x"}}, "mongodb.url", "warning"),
        (
            {"elasticsearch": {"index": "a", "conversations": "a"}},
            "elasticsearch.conversations",
            "wrong",
        ),
        ({"worker": {"pin_trees": True}}, "worker.pin_trees", "warning"),
        (
            {"responder": {"llm_url": "http://llm.example.org/v1", "llm_key": "kJ3kJ3kJ3"}},
            "responder.llm_url",
            "warning",
        ),
    ],
)
def test_settings_that_look_wrong(sections: dict[str, Any], check: str, state: str) -> None:
    finding = faults(**sections)[check]
    assert finding.state == state
    assert "LEARNER_" in finding.advice


@pytest.mark.parametrize(
    "sections",
    [
        {"kafka": {"bootstrap_servers": "kafka-1.example.org:9092", "security_protocol": "SSL"}},
        {"redis": {"url": "rediss://redis.example.org", "password": "kJ3-long-enough"}},
        {
            "postgres": {
                "url": "postgresql://a@db.example.org/x?sslmode=verify-full",
                "password": "kJ3kJ3",
            }
        },
        {"postgres": {"url": "postgresql://learner@postgres:5432/learner", "password": "kJ3kJ3"}},
        {"chat": {"token_secret": "0123456789abcdef0123456789abcdef"}},
    ],
)
def test_settings_that_are_as_they_should_be(sections: dict[str, Any]) -> None:
    assert {finding.state for finding in faults(**sections).values()} == {"ok"}


def test_no_secret_is_told() -> None:
    told = str(faults(redis={"password": "hunter"}, chat={"token_secret": "hunter2"}))
    assert "hunter" not in told


def test_words_for_people(tmp_path: Path) -> None:
    assert [size(n) for n in (12, 3_200, 5.5e9, 2e13)] == ["12 B", "3.2 kB", "5.5 GB", "20.0 TB"]
    times = [duration(n) for n in (0.85, 42, 210, 12_600, 864_000)]
    assert times == ["850 ms", "42 s", "3.5 min", "3.5 h", "10 days"]
    assert listed("abc") == "a, b, c"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"
