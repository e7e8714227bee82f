"""Which of two settings wins, and how a wrong one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import load_settings, values, variable
from schemas.errors import InvalidSetting

ENV = "LEARNER_KAFKA__PARTITIONS"
HIDDEN = "**********"


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    file = tmp_path / "dotenv"
    file.write_text(f"{ENV}=5\nLEARNER_WORKER__APP_ID=from-file\n")
    return file


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    dotenv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(env_file=None).kafka.partitions == 4
    assert load_settings(env_file=dotenv).kafka.partitions == 5
    monkeypatch.setenv(ENV, "6")
    assert load_settings(env_file=dotenv).kafka.partitions == 6
    settings = load_settings({"kafka.partitions": 7}, dotenv)
    assert settings.kafka.partitions == 7
    assert settings.worker.app_id == "from-file"


def test_every_value_says_where_it_came_from(dotenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNER_LOG__LEVEL", "debug")
    flags = {"kafka.replication": "3", "kafka.partitions": None}
    found = {v.name: v for v in values(load_settings(flags, dotenv), flags, dotenv)}
    assert found["kafka.replication"][1:] == (3, "flag")
    assert found["log.level"][1:] == ("debug", "environment")
    assert found["kafka.partitions"][1:] == (5, ".env")
    assert found["worker.horizon_days"][1:] == (45, "default")


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNER_KAFKA__SASL_PASSWORD", "correct horse")
    settings = load_settings(env_file=None)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == "correct horse"
    shown = {v.name: v.value for v in values(settings, {}, None)}
    assert shown["kafka.sasl_password"] == HIDDEN
    assert "correct horse" not in str(shown)


@pytest.mark.parametrize(
    ("env", "flags", "said"),
    [
        ({ENV: "many"}, {}, r"LEARNER_KAFKA__PARTITIONS = 'many' \(from environment\): .*integer"),
        ({}, {"kafka.partitions": 0}, r"LEARNER_KAFKA__PARTITIONS = '0' \(from a flag\): .*1"),
        ({"LEARNER_KAFKA__FOO": "1"}, {}, r"LEARNER_KAFKA__FOO .*no such setting"),
        ({"LEARNER_KAFAK__PARTITIONS": "1"}, {}, r"LEARNER_KAFAK__PARTITIONS: .*no such setting"),
        ({"LEARNER_KAFKA": "{not json"}, {}, r"kafka"),
        ({}, {"kafka": 1}, r"kafka: there is no such setting"),
        ({}, {"kafak.partitions": 1}, r"kafak\.partitions: there is no such setting"),
    ],
)
def test_a_wrong_setting_is_named_with_where_it_came_from(
    env: dict[str, str], flags: dict[str, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting, match=said):
        load_settings(flags, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEARNER_KAFKA", '{"sasl_password": ["correct horse"]}'),
        ("LEARNER_CHAT", '{"token_secret": ["correct horse"]}'),
        ("LEARNER_CHAT", '["correct horse"]'),
        ("LEARNER_RESPONDER", '{"llm_key": {"is": "correct horse"}}'),
        ("LEARNER_RESPONDER__LLM_URL", "https://u:correct horse@h/v1"),
        ("LEARNER_RESPONDER__LLM_URL", "u:correct horse@h/v1"),
        ("LEARNER_RESPONDER__LLM_URL", "https://u:correct horse/v1"),
        ("LEARNER_RESPONDER__LLM_URL", "https://u:correct horse@h\u2100/v1"),
        ("LEARNER_POSTGRES__URL", "postgresql://h/d?password=correct horse"),
    ],
)
def test_a_password_in_a_wrong_place_is_not_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting) as error:
        load_settings(env_file=None)
    assert name in str(error.value)
    assert "horse" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://learner@h/d",
        "mongodb://a:27017,b:27018/d?replicaSet=r",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock",
        "https://h",
    ],
)
def test_addresses_of_every_kind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNER_REDIS__URL", url)
    assert load_settings(env_file=None).redis.url == url


def test_a_value_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEARNER_KAFKA__BOOTSTRAP_SERVERS", "kafka\udcff:9092")
    with pytest.raises(InvalidSetting, match=r"LEARNER_KAFKA__BOOTSTRAP_SERVERS .*UTF-8"):
        load_settings(env_file=None)


def test_variables_are_named_by_their_place() -> None:
    assert variable("kafka.sasl_username") == "LEARNER_KAFKA__SASL_USERNAME"
