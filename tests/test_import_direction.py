"""Imports run one way only, and what decides knows no clock, chance, driver or setting."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "schemas": set[str](),
    "streams": {"schemas"},
    "config": {"schemas"},
    "converters": {"schemas"},
    "simulation": {"schemas"},
    "sinks": {"schemas", "config"},
    "agents": {"schemas", "streams", "config", "sinks", "client"},
    "queries": {"schemas", "config", "sinks"},
    "audit": {"schemas", "streams", "config", "sinks", "agents"},
    "doctor": {"schemas", "config", "sinks", "agents"},
    "client": {"schemas"},
    "api": {"schemas", "config", "sinks", "queries", "agents", "chat"},
    "chat": {"schemas", "streams", "config", "sinks", "queries", "agents", "client"},
    "demo": {"schemas", "streams", "config", "simulation", "sinks", "agents", "queries", "chat"},
    "cli": {
        "schemas",
        "streams",
        "config",
        "converters",
        "simulation",
        "sinks",
        "agents",
        "demo",
        "queries",
        "audit",
        "doctor",
        "client",
        "api",
        "chat",
    },
}
"""Whom a folder may import besides itself."""

PURE = ("schemas", "streams")
IMPURE = {
    "aiokafka", "asyncio", "concurrent", "confluent_kafka", "duckdb", "faust", "http", "logging",
    "mode", "multiprocessing", "os", "random", "secrets", "socket", "sqlite3", "ssl", "structlog",
    "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
ASKS_THE_CLOCK_OR_CHANCE = {"now", "today", "utcnow", "uuid1", "uuid4", "monotonic", "perf_counter"}
WRITES_FILES = {ROOT / "schemas" / "export.py"}

FILES = sorted(file for folder in MAY_IMPORT for file in (ROOT / folder).rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Top-level names of all modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            names.add((node.module or "").partition(".")[0])
    return names


def test_every_product_folder_is_known_here() -> None:
    folders = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert folders - {"bench"} == set(MAY_IMPORT)
    assert len(FILES) > 30


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_what_stands_below_it(folder: str) -> None:
    ours = set(MAY_IMPORT) | {"bench", "tests", "servers"}
    wrong = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (ROOT / folder).rglob("*.py")
        for name in imported(file) & (ours - MAY_IMPORT[folder] - {folder})
    }
    assert not wrong


@pytest.mark.parametrize("folder", PURE)
def test_what_decides_is_pure(folder: str) -> None:
    wrong = set()
    for file in set((ROOT / folder).rglob("*.py")) - WRITES_FILES:
        wrong |= {f"{file.relative_to(ROOT)} imports {name}" for name in imported(file) & IMPURE}
        for node in ast.walk(ast.parse(file.read_bytes())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr in ASKS_THE_CLOCK_OR_CHANCE:
                wrong.add(f"{file.relative_to(ROOT)}:{called.lineno} calls {called.attr}()")
            if isinstance(called, ast.Name) and called.id == "open":
                wrong.add(f"{file.relative_to(ROOT)}:{called.lineno} opens a file")
    assert not wrong


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def f():\n    import time\n    from aiokafka.errors import KafkaError\n")
    assert imported(file) & IMPURE == {"time", "aiokafka"}
