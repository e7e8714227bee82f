"""Every store by its name. A store's driver is loaded only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from config.settings import Settings
from schemas.errors import InvalidSetting
from sinks.beside import Beside
from sinks.contract import Sink

STORES = ("postgres", "mongodb", "clickhouse", "redis", "elasticsearch", "duckdb")


def sink_of(store: str, settings: Settings) -> Sink:
    """The sink of one of `STORES`, not yet connected: ``PostgresSink`` of ``sinks.postgres``, ….

    Raises:
        InvalidSetting: its driver is not installed.
    """
    sink: Sink = made_for(store, settings, "sinks", "Sink")
    return sink


def beside_of(store: str, settings: Settings) -> Beside:
    """What rebuilds one of `STORES`: ``PostgresBeside`` of ``sinks.postgres_beside``, ….

    Raises:
        InvalidSetting: its driver is not installed.
    """
    beside: Beside = made_for(store, settings, "sinks", "Beside", "_beside")
    return beside


def made_for(store: str, settings: Settings, folder: str, kind: str, suffix: str = "") -> Any:
    """What a folder has for one of `STORES`, made with the store's section of the settings.

    ``suffix``: of the module's name, after the store's.

    Raises:
        InvalidSetting: the store's driver is not installed.
    """
    assert store in STORES, store  # noqa: S101  # commands check what they are given
    try:
        module = importlib.import_module(f"{folder}.{store}{suffix}")
    except ModuleNotFoundError as error:
        raise InvalidSetting(
            f"{store} needs {error.name}: pip install 'learner-stream[stores]'"
        ) from None
    return getattr(module, f"{store.capitalize()}{kind}")(getattr(settings, store))
