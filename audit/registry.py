"""The audit of every store by its name."""

from __future__ import annotations

from audit.rows import StoreAudit
from config.settings import Settings
from sinks.registry import made_for


def audit_of(store: str, settings: Settings) -> StoreAudit:
    """Of one of `sinks.registry.STORES`: ``PostgresAudit`` of ``audit.postgres``, ….

    Raises:
        InvalidSetting: the store's driver is not installed.
    """
    audit: StoreAudit = made_for(store, settings, "audit", "Audit")
    return audit
