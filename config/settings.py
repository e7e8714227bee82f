"""Every setting, with its unit, range and default.

A command-line flag wins over a ``LEARNER_…`` variable (nested: ``LEARNER_KAFKA__PARTITIONS``),
which wins over a ``.env`` file, which wins over the default here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """How to reach Kafka, and how our topics are made there."""

    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, comma-separated")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT",
        description="how the connection is secured; …SSL outside one machine",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how to log in, with SASL_…"
    )
    sasl_username: str | None = Field(None, description="user to log in as, with SASL_…")
    sasl_password: SecretStr | None = Field(None, description="that user's password, never shown")
    ssl_cafile: Path | None = Field(
        None, description="CA certificates (PEM) that sign the brokers'; the system's when not set"
    )
    check_crcs: bool = Field(
        True, description="check records' checksums; off for the embedded broker, which spoils them"
    )
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(
        4, description="partitions of learner.events and of everything that goes with it"
    )
    replication: Annotated[int, Field(ge=1, le=9)] = Field(
        1, description="copies of each partition; 3 outside one machine"
    )
    min_insync_replicas: Annotated[int, Field(ge=1, le=9)] = Field(
        1, description="copies that must have a record before it counts; 2 outside one machine"
    )


class WorkerSettings(_Section):
    """How events are judged and folded. What decides must be the same for worker and replay."""

    app_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = Field(
        "learner", description="consumer group, and the prefix of changelogs and transactions"
    )
    max_event_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = Field(
        65_536, description="a larger record is a dead letter (too_large)"
    )
    future_tolerance_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        300.0, description="how far a producer's clock may be ahead of the record's Kafka time"
    )
    horizon_days: Annotated[int, Field(ge=1, le=366)] = Field(
        45, description="how long after a learner's latest event an older one still counts"
    )
    decide_on_every_event: bool = Field(
        False, description="send a decision for every event, not only at decision points"
    )
    pin_trees: bool = Field(
        False, description="decide with the seed trees only; ignore tree.versions"
    )
    instance_id: str | None = Field(
        None, description="fixed name of this worker slot: a restart then waits no session timeout"
    )
    transaction_wait_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        150.0, description="how long one transaction may wait for Kafka before the worker exits"
    )


class TrainerSettings(_Section):
    """river's HoeffdingAdaptiveTreeClassifier, and when its tree replaces the one in force."""

    grace_period: Annotated[int, Field(ge=5, le=100_000)] = Field(
        20, description="examples a leaf sees between two attempts to split it"
    )
    delta: Annotated[float, Field(gt=0, lt=1)] = Field(
        1e-2, description="probability of a wrong split (Hoeffding bound)"
    )
    tau: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="bound below which two equal candidates are split all the same"
    )
    max_depth: Annotated[int, Field(ge=1, le=9)] = Field(
        7, description="questions a learned tree asks at most; 9 fill a document's 1,023 nodes"
    )
    seed: int = Field(7, description="of river's random choices")
    min_examples: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        150, description="examples between two versions, and before the first"
    )
    fading: Annotated[float, Field(gt=0, le=1)] = Field(
        0.99, description="factor by which older prequential results count less, per example"
    )
    margin: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="by how much the challenger must be better, in faded accuracy"
    )
    snapshot_examples: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        500, description="examples between two snapshots"
    )


class SinkSettings(_Section):
    """How every sink batches and retries; each has a consumer group ``<app_id>-sink-<store>``."""

    max_records: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="most records in one write"
    )
    max_bytes: Annotated[int, Field(ge=65_536, le=1_073_741_824)] = Field(
        33_554_432, description="most bytes in one write, as they came from Kafka"
    )
    max_age_seconds: Annotated[float, Field(ge=0.01, le=600)] = Field(
        0.5, description="a record waits no longer than this for a fuller batch"
    )
    retry_first_seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(
        0.2, description="pause before the first retry; doubled each time, with jitter"
    )
    retry_longest_seconds: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        15.0, description="longest pause between two tries of a store that is away"
    )


def _without_password(url: str) -> str:
    if urlsplit(url).password is not None:
        raise ValueError("a password has no place in the address: set the PASSWORD beside it")
    return url


StoreUrl = Annotated[str, AfterValidator(_without_password)]


class _ServerSettings(_Section):
    password: SecretStr | None = Field(None, description="that user's password, never shown")
    timeout_seconds: Annotated[float, Field(ge=0.1, le=600)] = Field(
        30.0, description="how long one request may take before the store counts as away"
    )


class PostgresSettings(_ServerSettings):
    url: StoreUrl = Field(
        "postgresql://learner@127.0.0.1:5432/learner", description="postgresql://user@host:port/db"
    )


class MongodbSettings(_ServerSettings):
    url: StoreUrl = Field(
        "mongodb://127.0.0.1:27017/learner", description="mongodb://user@host:port/db"
    )


class ClickhouseSettings(_ServerSettings):
    url: StoreUrl = Field(
        "clickhouse://default@127.0.0.1:9000/default",
        description="clickhouse://user@host:port/db, native protocol; clickhouses:// with TLS",
    )
    create_tables: bool = Field(
        True, description="make tables and views; off where an operator makes them"
    )
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        730, description="events older than this are dropped by ClickHouse, by month"
    )


class RedisSettings(_ServerSettings):
    url: StoreUrl = Field("redis://127.0.0.1:6379/0", description="redis://user@host:port/number")
    expire_days: Annotated[int, Field(ge=1, le=3650)] = Field(
        30, description="a key that nothing was written to for so long is dropped"
    )


class ElasticsearchSettings(_ServerSettings):
    url: StoreUrl = Field("http://127.0.0.1:9200", description="http(s)://user@host:port")
    index: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")] = Field(
        "learner-interactions", description="alias of the interaction log; its index is <alias>-1"
    )
    analyzer: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,50}$")] = Field(
        "standard", description="analyzer of what learners write, when the index is made"
    )


class DuckdbSettings(_Section):
    file: Path = Field(
        Path("learner.duckdb"),
        description="the embedded default's store; examples and decisions for retraining",
    )


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least that is logged; debug includes what the libraries say"
    )
    format: Literal["console", "json"] | None = Field(
        None, description="console on a terminal, json elsewhere, when not set"
    )


class Settings(BaseSettings):
    """All sections. ``Settings()`` reads the environment and ``.env``."""

    model_config = SettingsConfigDict(
        env_prefix="LEARNER_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    worker: WorkerSettings = WorkerSettings()
    trainer: TrainerSettings = TrainerSettings()
    sink: SinkSettings = SinkSettings()
    postgres: PostgresSettings = PostgresSettings()
    mongodb: MongodbSettings = MongodbSettings()
    clickhouse: ClickhouseSettings = ClickhouseSettings()
    redis: RedisSettings = RedisSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    duckdb: DuckdbSettings = DuckdbSettings()
    log: LogSettings = LogSettings()
