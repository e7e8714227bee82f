"""Decoders of what people set and bring: settings, chat rules, prompt texts, OULAD's files."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from example_oulad import invented
from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from config.chat_rules import load_chat_rules
from config.loading import PREFIX, load_settings, values, variable
from config.prompts import prompts_folder, read_prompt_set
from config.settings import Settings
from converters.csv_rows import csv_rows
from converters.oulad import OuladAccount, oulad_events
from fuzz.decoder import ContractBroken, Decoder
from schemas.errors import InvalidInput, InvalidSetting
from schemas.event import event_adapter
from schemas.prompt import PromptSet
from streams.chat_rules import ChatRules, describe
from streams.prompt import Prompts

SEPARATOR = b"\x1c"
PASSWORD = b"correct horse"
"""What no message may hold."""
_SECRET_PLACE = re.compile(
    rb'^(?:export LEARNER_)?(?:\w+_(?:PASSWORD|SECRET|KEY)=|CHAT=\{"token_secret": .?"|'
    rb"RESPONDER__LLM_URL=https://u:)correct horse",
    re.MULTILINE,
)
logging.getLogger("dotenv").setLevel(logging.ERROR)


@cache
def _folder() -> Path:
    """In memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108
    return Path(tempfile.mkdtemp(prefix="learner-fuzz-", dir=memory if memory.is_dir() else None))


def _file(name: str, raw: bytes) -> Path:
    file = _folder() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)
    return file


def _loaded(env_file: Path | None, raw: bytes) -> Settings:
    # Anywhere else it is no password.
    is_secret = raw.count(PASSWORD) == len(_SECRET_PLACE.findall(raw))
    try:
        settings = load_settings(env_file=env_file)
    except (InvalidSetting, InvalidInput) as refused:
        if is_secret and PASSWORD.decode() in str(refused):
            raise ContractBroken(f"a password is shown: {refused}") from None
        raise
    shown = list(values(settings, {}, env_file))
    if is_secret and any(PASSWORD.decode() in str(value.value) for value in shown):
        raise ContractBroken("a password is shown by `learner settings`")
    return settings


def _dotenv(raw: bytes) -> Settings:
    return _loaded(_file("dotenv", raw), raw)


def _environment(raw: bytes) -> Settings:
    """``NAME=value`` lines as variables of ours."""
    lines = raw.replace(b"\0", b"").split(b"\n")
    pairs = [line.partition(b"=") for line in lines if line]
    ours = {os.fsdecode(PREFIX.encode() + name): os.fsdecode(text) for name, _, text in pairs}
    before = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        return _loaded(None, raw)
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)


def _as_variables(settings: Settings) -> bytes:
    """Each section whole, as JSON."""
    lines = []
    for section, group in settings:
        told = to_jsonable_python({field: _revealed(value) for field, value in group})
        name = variable(section).removeprefix(PREFIX)
        lines.append(name.encode() + b"=" + orjson.dumps(told))
    return b"\n".join(lines)


def _revealed(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _chat_rules(raw: bytes) -> ChatRules:
    rules = ChatRules(load_chat_rules(_file("chat_rules.json", raw)))
    text = " ".join([phrase for rule in rules.set.rules for phrase in rule.phrases])
    for direction in ("user", "system"):
        describe(f"I am not sure. {text}", None, "algebra", rules, direction)  # type: ignore[arg-type]
    return rules


def _prompt_text(raw: bytes) -> PromptSet:
    """One text of the folder; the others are the package's own."""
    folder = _prompts_folder()
    (folder / "primary_classification" / "fast-tracker.txt").write_bytes(raw)
    templates = read_prompt_set(folder)
    Prompts(templates)
    return templates


@cache
def _prompts_folder() -> Path:
    folder = _folder() / "prompts"
    _copy(prompts_folder(None), folder)
    return folder


def _copy(source: Any, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir():
        if entry.is_dir():
            _copy(entry, target / entry.name)
        elif entry.name.endswith(".txt"):
            (target / entry.name).write_bytes(entry.read_bytes())


def _oulad(raw: bytes) -> list[bytes]:
    """The five files, one after the other; those that are missing are the invented ones."""
    parts = raw.split(SEPARATOR)
    for place, (name, text) in enumerate(invented.FILES.items()):
        _file(f"oulad/{name}", parts[place] if place < len(parts) else text.encode())
    account = OuladAccount()
    lines = list(oulad_events(_folder() / "oulad", account))
    for line in lines:
        event_adapter.validate_json(line)
    if account.unaccounted or account.events.total() != len(lines):
        raise ContractBroken(f"{len(lines)} events, and the account says {account}")
    return lines


def _csv(raw: bytes) -> list[Any]:
    return list(csv_rows(_file("rows.csv", raw), ("a", "b")))


_ENVIRONMENT = (
    b"KAFKA__PARTITIONS=8\nKAFKA__SASL_PASSWORD=correct horse\nLOG__LEVEL=debug",
    b'CHAT={"token_secret": ["correct horse"], "allowed_origins": ["https://a.org"]}',
    b'KAFKA={"partitions": 3}\nRESPONDER__LLM_URL=https://u:correct horse@h/v1',
    b'CHAT__ALLOWED_ORIGINS=["https://a.org"]\nRESPONDER__LLM_KEY=correct horse\nWORKER=7',
)

DECODERS = (
    Decoder(
        "dotenv",
        _dotenv,
        (InvalidSetting, InvalidInput),
        tuple(
            b"\n".join(b"export LEARNER_" + line for line in each.split(b"\n"))
            for each in _ENVIRONMENT
        ),
        longest=2_048,
    ),
    Decoder(
        "environment", _environment, InvalidSetting, _ENVIRONMENT, _as_variables, longest=2_048
    ),
    Decoder(
        "chat-rules",
        _chat_rules,
        InvalidSetting,
        (
            b'{"language":"en","rules":[{"name":"confused","phrases":["confus*","don\'t get it"],'
            b'"flags":["confused"],"confidence":0.2}],"negations":["not"],"stop_words":["the"],'
            b'"topics":[{"course_id":"algebra","topic_id":"factoring","keywords":["factor*"]}]}',
        ),
    ),
    Decoder(
        "prompt-text",
        _prompt_text,
        InvalidSetting,
        (b"They track fast: {because}. {weakest_topics}, {reading_level}\n", b"\xef\xbb\xbfx\r\n"),
        longest=17_000,
    ),
    Decoder(
        "oulad",
        _oulad,
        InvalidInput,
        (SEPARATOR.join(text.encode() for text in invented.FILES.values()),),
        longest=4_096,
    ),
    Decoder(
        "csv-rows",
        _csv,
        InvalidInput,
        (b"a,b\r\n1,2\n", b'\xef\xbb\xbfb,"a"\n"x\n",y\n'),
        longest=2_048,
    ),
)
