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

Partitioner = Literal["murmur2", "crc32"]


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
    partitioner: Partitioner = Field(
        "murmur2",
        description="how the LMS's producers choose a learner's partition: Kafka's own (murmur2), "
        "or librdkafka's default (crc32)",
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
    state_folder: Path | None = Field(
        None, description="keeps learners' state on disk, in this folder; in memory, if not given"
    )
    decoded_values: Annotated[int, Field(ge=0, le=100_000_000)] = Field(
        4_000,
        description="with a state folder: so many values of each of the four tables and of each "
        "partition are kept decoded, some 10 kB each; others are read from disk",
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
        2_000, description="examples between two snapshots"
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


_LARGEST_PORT = 65_535


def _without_password(url: str) -> str:
    if "://" not in url:
        raise ValueError("an address begins with its scheme, such as https://")
    try:
        parts = urlsplit(url)
    except ValueError:  # its own words may hold the password
        raise ValueError("that is no address") from None
    if parts.password is not None or "password=" in parts.query:
        raise ValueError("a password has no place in the address: set the PASSWORD beside it")
    for host in parts.netloc.rpartition("@")[2].split(","):
        port = host.rpartition("]")[2].partition(":")[2]
        if port and not (port.isdecimal() and int(port) <= _LARGEST_PORT):
            raise ValueError(f"a port is a number up to {_LARGEST_PORT}")
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
    conversations: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")] = Field(
        "learner-conversations", description="alias of the chat messages; its index is <alias>-1"
    )
    analyzer: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,50}$")] = Field(
        "standard", description="analyzer of what learners write, when the index is made"
    )


class DuckdbSettings(_Section):
    file: Path = Field(
        Path("learner.duckdb"),
        description="the embedded default's store; examples and decisions for retraining",
    )


class PromptSettings(_Section):
    """The templates of what the tutor is told."""

    folder: Path | None = Field(
        None, description="folder laid out as config/prompts; the package's own when not set"
    )


class FacilitatorSettings(_Section):
    """How decisions are delivered to the query-strategy service, and how long it may take."""

    ack_timeout_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = Field(
        10.0, description="time to acknowledge the first attempt; then its status is timeout"
    )
    backoff: Annotated[float, Field(ge=1, le=10)] = Field(
        2.0, description="factor by which each further attempt may take longer"
    )
    attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        4, description="times a decision is sent at most; then it is a dead letter"
    )


class ApiSettings(_Section):
    """The HTTP service that answers with a learner's latest decision."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8080, description="port to listen on")
    longest_wait_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        60.0, description="how long a caller may wait for a change in one request"
    )
    key_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        10.0, description="how long a key that was looked up is trusted; a revoked one at most so"
    )


class MetricsSettings(_Section):
    """Where a process serves /metrics for Prometheus."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None, description="port to listen on; when not set, the command's own or the next free one"
    )


class ChatSettings(_Section):
    """The chat gateway: who may connect, and how much each may send."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8090, description="port to listen on")
    token_secret: SecretStr | None = Field(
        None, description="signs learners' and experts' tokens (HS256); 32 characters or more"
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="web origins that may connect, beside the gateway's own"
    )
    rules_file: Path | None = Field(
        None, description="rules that describe messages; config/chat_rules.json when not set"
    )
    max_frame_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = Field(
        32_768, description="a longer frame closes the connection (1009)"
    )
    messages_per_minute: Annotated[int, Field(ge=1, le=6000)] = Field(
        30, description="messages that one person may send, on average, over all their connections"
    )
    burst: Annotated[int, Field(ge=1, le=1000)] = Field(
        10, description="messages that they may send at once"
    )
    heartbeat_seconds: Annotated[float, Field(ge=1, le=600)] = Field(
        20.0, description="between two pings; a connection that answers none is closed"
    )
    queued_frames: Annotated[int, Field(ge=16, le=10_000)] = Field(
        256, description="frames that wait for a slow reader before its connection is closed"
    )
    history_seconds: Annotated[int, Field(ge=60, le=604_800)] = Field(
        3600, description="how far back Redis holds sessions; an empty one is filled so far"
    )
    session_entries: Annotated[int, Field(ge=10, le=10_000)] = Field(
        500, description="messages of one session that Redis holds at most"
    )


class ResponderSettings(_Section):
    """Who answers learners: a language model if one is given, else the built-in responder."""

    llm_url: StoreUrl | None = Field(
        None, description="OpenAI-compatible base URL, e.g. https://host/v1; built-in when not set"
    )
    llm_key: SecretStr | None = Field(None, description="its API key, never shown")
    llm_model: str = Field("default", description="model to ask for")
    first_token_seconds: Annotated[float, Field(ge=0.1, le=600)] = Field(
        10.0, description="how long the model may take to begin"
    )
    next_token_seconds: Annotated[float, Field(ge=0.1, le=600)] = Field(
        5.0, description="how long it may stall in mid-answer"
    )
    answer_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        45.0, description="how long all tries of one answer may take together"
    )
    tries: Annotated[int, Field(ge=1, le=10)] = Field(
        3, description="times the model is asked for one answer, with a growing pause"
    )
    answer_tokens: Annotated[int, Field(ge=16, le=8192)] = Field(
        400, description="longest answer of the model"
    )
    session_tokens: Annotated[int, Field(ge=100, le=10_000_000)] = Field(
        100_000, description="tokens that one session may use; then the built-in responder answers"
    )
    recent_turns: Annotated[int, Field(ge=0, le=100)] = Field(
        10, description="messages of the session that the model is shown"
    )
    passages: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="passages of the learner's earlier conversations that it is shown"
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
    prompts: PromptSettings = PromptSettings()
    facilitator: FacilitatorSettings = FacilitatorSettings()
    api: ApiSettings = ApiSettings()
    chat: ChatSettings = ChatSettings()
    responder: ResponderSettings = ResponderSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
