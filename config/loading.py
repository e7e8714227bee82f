"""Settings from flags, environment, ``.env`` and defaults, and where each of them came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from config.settings import Settings
from schemas.errors import InvalidInput, InvalidSetting

PREFIX = "LEARNER_"
_SECRET = ("password", "secret", "key", "url")
"""How the names of settings end whose values no message shows."""
_OF_THE_TESTS = ("LEARNER_REQUIRE_SERVERS", "LEARNER_TEST_")

Origin = Literal["flag", "environment", ".env", "default"]


class Value(NamedTuple):
    """One setting: ``kafka.partitions``, what it is (secrets hidden), who said so."""

    name: str
    value: Any
    origin: Origin


def load_settings(
    flags: Mapping[str, Any] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """All settings; ``flags`` are named like ``kafka.partitions``, ``None`` is not given.

    Raises:
        InvalidSetting: one that does not exist or takes no such value.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    env = _environment(env_file)
    _refuse_what_is_no_text()
    for variable in env:
        if variable.split("__")[0] not in _sections():
            raise InvalidSetting(
                f"{variable}: there is no such setting; `learner settings` lists all"
            )
    try:
        return Settings(_env_file=env_file, **_nested(given))
    except ValidationError as error:
        said = "; ".join(_in_words(fault, given, env) for fault in error.errors())
        raise InvalidSetting(said) from None
    except SettingsError as error:  # a whole section as one variable, and no JSON in it
        raise InvalidSetting(f"{error}: {error.__cause__}") from None


def values(
    settings: Settings, flags: Mapping[str, Any], env_file: Path | None = Path(".env")
) -> Iterator[Value]:
    """Every setting in the order of its declaration."""
    env = _environment(env_file)
    for section, group in settings:
        for field, value in group:
            name = f"{section}.{field}"
            shown = _hidden(value) if isinstance(value, SecretStr) else value
            yield Value(name, shown, _origin(name, flags, env))


def variable(name: str) -> str:
    """``kafka.partitions`` as ``LEARNER_KAFKA__PARTITIONS``."""
    return PREFIX + name.replace(".", "__").upper()


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        section, _, field = name.partition(".")
        if not field or variable(section) not in _sections():
            raise InvalidSetting(f"{name}: there is no such setting; `learner settings` lists all")
        nested.setdefault(section, {})[field] = value
    return nested


def _refuse_what_is_no_text() -> None:
    for name, value in os.environ.items():
        if name.upper().startswith(PREFIX) and any("\udc80" <= sign <= "\udcff" for sign in value):
            raise InvalidSetting(f"{name} (from environment): its value is not UTF-8")


def _sections() -> set[str]:
    return {variable(section) for section in Settings.model_fields}


def _environment(env_file: Path | None) -> dict[str, Origin]:
    """Our variables that are set, and where; the environment hides ``.env``."""
    found: dict[str, Origin] = {}
    if env_file is not None and env_file.exists():
        try:
            found.update({name.upper(): ".env" for name in dotenv_values(env_file)})
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{env_file} cannot be read: {error}") from None
    found.update({name.upper(): "environment" for name in os.environ})
    return {
        name: origin
        for name, origin in found.items()
        if name.startswith(PREFIX) and not name.startswith(_OF_THE_TESTS)
    }


def _origin(name: str, flags: Mapping[str, Any], env: Mapping[str, Origin]) -> Origin:
    if flags.get(name) is not None:
        return "flag"
    whole_section = variable(name.partition(".")[0])
    return env.get(variable(name)) or env.get(whole_section) or "default"


def _in_words(fault: Any, flags: Mapping[str, Any], env: Mapping[str, Origin]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    origin = "a flag" if name in flags else env.get(variable(name), "environment")
    if fault["type"] == "extra_forbidden":
        return (
            f"{variable(name)} (from {origin}): there is no such setting; `learner settings` "
            "lists all"
        )
    # A section as a whole may hold a secret anywhere.
    secret = len(fault["loc"]) < 2 or fault["loc"][1].endswith(_SECRET)
    given = "" if secret else f" = {str(fault['input'])[:80]!r}"
    return f"{variable(name)}{given} (from {origin}): {fault['msg']}"


def _hidden(secret: SecretStr) -> str:
    return "**********" if secret.get_secret_value() else ""
