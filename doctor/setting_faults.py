"""Settings that can be used, and ought not to be."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from config.loading import variable
from config.settings import Settings
from doctor.finding import Finding, State, listed

GROUP = "settings"
SERVERS = ("postgres", "mongodb", "clickhouse", "redis", "elasticsearch")

_GUESSED = {
    "", "admin", "changeme", "changeit", "clickhouse", "default", "elastic", "example", "guest",
    "learner", "mongo", "mongodb", "pass", "passwd", "password", "postgres", "redis", "root",
    "secret", "test", "12345678", "123456",
}  # fmt: skip
_OURS = {"localhost", "127.0.0.1", "::1"}
_HTTP, _TLS = (
    {"http", "clickhouse", "redis", "postgresql", "mongodb"},
    {"https", "clickhouses", "rediss"},
)


def judge_settings(settings: Settings) -> Iterator[Finding]:
    """Every fault; one line if there is none. No secret is in any of them."""
    faults = [*_kafka(settings), *_secrets(settings), *_stores(settings), *_deciding(settings)]
    yield from faults
    if not faults:
        yield Finding(GROUP, "all", "ok", "none of them looks wrong")


def _kafka(settings: Settings) -> Iterator[Finding]:
    kafka = settings.kafka
    far = sorted({host for host in _hosts(kafka.bootstrap_servers) if host not in _OURS})
    if far and not kafka.security_protocol.endswith("SSL"):
        yield _fault(
            "warning",
            "kafka.security_protocol",
            f"{kafka.security_protocol} to {listed(far)}: whoever is on the way reads along",
            "set SASL_SSL or SSL, unless the network is yours alone",
        )
    if not kafka.check_crcs:
        yield _fault(
            "warning",
            "kafka.check_crcs",
            "off, which is for the embedded broker: spoiled records are not noticed",
            "leave it on",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    secrets = {
        f"{section}.{name}": value.get_secret_value()
        for section, group in settings
        for name, value in group
        if isinstance(value, SecretStr) and value.get_secret_value()
    }
    for name, secret in secrets.items():
        user = urlsplit(getattr(getattr(settings, name.split(".")[0]), "url", "")).username
        if secret.lower() in _GUESSED or secret == user or len(set(secret)) < 3:
            yield _fault("wrong", name, "a secret that everybody tries first", "choose another one")
    token = secrets.get("chat.token_secret")
    if token is not None and len(token) < 32:
        yield _fault(
            "wrong",
            "chat.token_secret",
            f"{len(token)} characters: 32 are the least, and gateway and api do not start with it",
            "`openssl rand -hex 24` makes one",
        )


def _stores(settings: Settings) -> Iterator[Finding]:
    for store in SERVERS:
        section = getattr(settings, store)
        url = urlsplit(section.url)
        host = url.hostname or ""
        if host in _OURS or "." not in host:  # this machine, or one network's own names
            continue
        if section.password is None and "ssl" not in url.query:
            yield _fault(
                "warning", f"{store}.password", f"none, to {host}", "let no store in without one"
            )
        if url.scheme not in _TLS and not any(w in url.query for w in ("ssl", "tls", "secure")):
            yield _fault(
                "warning",
                f"{store}.url",
                f"{url.scheme}://{host} without TLS: password and learners' data go openly",
                "use TLS (https, rediss, clickhouses, ?sslmode=verify-full, ?tls=true)",
            )
    if settings.elasticsearch.index == settings.elasticsearch.conversations:
        yield _fault(
            "wrong",
            "elasticsearch.conversations",
            "the same index as elasticsearch.index, whose fields are others",
            "give them two names",
        )


def _deciding(settings: Settings) -> Iterator[Finding]:
    if settings.worker.pin_trees:
        yield _fault(
            "warning",
            "worker.pin_trees",
            "on: what the trainer learns and operators set has no effect",
            "turn it off, unless you mean it",
        )
    llm = urlsplit(settings.responder.llm_url or "")
    open_ = llm.scheme == "http" and (llm.hostname or "") not in _OURS
    if open_ and settings.responder.llm_key:
        yield _fault(
            "warning",
            "responder.llm_url",
            "not https: the key and what learners write go openly",
            "use https",
        )


def _fault(state: State, name: str, found: str, advice: str) -> Finding:
    return Finding(GROUP, name, state, found, f"{variable(name)}: {advice}")


def _hosts(servers: str) -> Iterator[str]:
    for server in servers.split(","):
        yield server.strip().rpartition(":")[0].strip("[]")
