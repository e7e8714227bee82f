"""The audit of every store by its name. A store's driver is loaded only when it is asked for."""

from __future__ import annotations

from audit.rows import StoreAudit
from config.settings import Settings
from schemas.errors import InvalidSetting


def audit_of(store: str, settings: Settings) -> StoreAudit:
    """The audit of one of `sinks.registry.STORES`.

    Raises:
        InvalidSetting: no such store, or its driver is not installed.
    """
    try:
        return _make(store, settings)
    except ModuleNotFoundError as error:
        raise InvalidSetting(
            f"the audit of {store} needs {error.name}: pip install 'learner-stream[stores]'"
        ) from None


def _make(store: str, settings: Settings) -> StoreAudit:  # one for each store
    match store:
        case "postgres":
            from audit.postgres import PostgresAudit  # noqa: PLC0415

            return PostgresAudit(settings.postgres)
        case "mongodb":
            from audit.mongodb import MongodbAudit  # noqa: PLC0415

            return MongodbAudit(settings.mongodb)
        case "clickhouse":
            from audit.clickhouse import ClickhouseAudit  # noqa: PLC0415

            return ClickhouseAudit(settings.clickhouse)
        case "redis":
            from audit.redis import RedisAudit  # noqa: PLC0415

            return RedisAudit(settings.redis)
        case "elasticsearch":
            from audit.elasticsearch import ElasticsearchAudit  # noqa: PLC0415

            return ElasticsearchAudit(settings.elasticsearch)
        case "duckdb":
            from audit.duckdb import DuckdbAudit  # noqa: PLC0415

            return DuckdbAudit(settings.duckdb)
    raise InvalidSetting(f"{store!r} is no store")
