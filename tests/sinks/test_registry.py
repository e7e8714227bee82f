"""Every store has a sink and an audit that go together, and says what it lacks."""

from __future__ import annotations

import sys

import pytest

from audit.registry import audit_of
from config.settings import Settings
from schemas.errors import InvalidSetting
from sinks.registry import STORES, sink_of

SETTINGS = Settings(_env_file=None)


@pytest.mark.parametrize("store", STORES)
def test_sink_and_audit_are_of_one_store(store: str) -> None:
    sink, audit = sink_of(store, SETTINGS), audit_of(store, SETTINGS)
    assert sink.name == audit.name == store
    assert sink.topics == audit.topics
    assert audit.tables


def test_a_missing_driver_is_told_with_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("sinks.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(InvalidSetting, match=r"asyncpg: pip install 'learner-stream\[stores\]'"):
        sink_of("postgres", SETTINGS)
