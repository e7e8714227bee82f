"""Every store by its name. A store's driver is loaded only when it is asked for."""

from __future__ import annotations

from config.settings import Settings
from schemas.errors import InvalidSetting
from sinks.contract import Sink

STORES = ("postgres", "mongodb", "clickhouse", "redis", "elasticsearch", "duckdb")


def sink_of(store: str, settings: Settings) -> Sink:
    """The sink of one of `STORES`, not yet connected.

    Raises:
        InvalidSetting: no such store, or its driver is not installed.
    """
    try:
        return _make(store, settings)
    except ModuleNotFoundError as error:
        raise InvalidSetting(
            f"the sink of {store} needs {error.name}: pip install 'learner-stream[stores]'"
        ) from None


def _make(store: str, settings: Settings) -> Sink:  # one for each store
    match store:
        case "postgres":
            from sinks.postgres import PostgresSink  # noqa: PLC0415

            return PostgresSink(settings.postgres)
        case "mongodb":
            from sinks.mongodb import MongodbSink  # noqa: PLC0415

            return MongodbSink(settings.mongodb)
        case "clickhouse":
            from sinks.clickhouse import ClickhouseSink  # noqa: PLC0415

            return ClickhouseSink(settings.clickhouse)
        case "redis":
            from sinks.redis import RedisSink  # noqa: PLC0415

            return RedisSink(settings.redis)
        case "elasticsearch":
            from sinks.elasticsearch import ElasticsearchSink  # noqa: PLC0415

            return ElasticsearchSink(settings.elasticsearch)
        case "duckdb":
            from sinks.duckdb import DuckdbSink  # noqa: PLC0415

            return DuckdbSink(settings.duckdb)
    raise InvalidSetting(f"{store!r} is no store; there are {', '.join(STORES)}")
