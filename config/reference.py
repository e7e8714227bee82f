"""Every setting as a table for people: ``docs/settings.md`` is this, written by `make schemas`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.loading import variable
from config.settings import Settings

_HEAD = """\
# Settings

A command's flag wins over the variable, the variable over a line in `.env`, and that over the
default. Any setting has a flag `--set`: `learner --set kafka.partitions=8 topics create`.
`learner settings` prints what is in force and where each value came from. Written by
`make schemas` from `config/settings.py`; a test fails when it is stale.
"""


def settings_reference() -> str:
    """Markdown: a section for each section, a row for each setting."""
    schema = Settings.model_json_schema()
    return "\n".join([_HEAD, *_sections(schema)])


def _sections(schema: dict[str, Any]) -> Iterator[str]:
    defaults = Settings.model_construct()
    for section, entry in schema["properties"].items():
        definition = schema["$defs"][_reference(entry)]
        yield f"## {section}\n"
        if said := definition.get("description"):
            yield f"{said}\n"
        yield "| variable | takes | default | what it is |\n| --- | --- | --- | --- |"
        for field, spec in definition["properties"].items():
            default = getattr(getattr(defaults, section), field)
            shown = "" if default is None else f"`{str(default).lower()}`"
            if isinstance(default, str):
                shown = f"`{default}`"
            yield (
                f"| `{variable(f'{section}.{field}')}` | {_takes(spec)} | {shown} "
                f"| {spec.get('description', '')} |"
            )
        yield ""


def _reference(entry: dict[str, Any]) -> str:
    found = entry.get("$ref") or entry["allOf"][0]["$ref"]
    return str(found).rsplit("/", 1)[-1]


def _takes(spec: dict[str, Any]) -> str:
    options = [option for option in spec.get("anyOf", [spec]) if option.get("type") != "null"]
    option = options[0]
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "pattern" in option:
        return f"text like `{option['pattern']}`"
    if option.get("format") == "password":
        return "secret text"
    if option.get("format") == "path":
        return "path"
    words = {"integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    kind = words.get(option["type"], "text")
    low = option.get("minimum", option.get("exclusiveMinimum"))
    high = option.get("maximum", option.get("exclusiveMaximum"))
    if low is None:
        return kind
    return f"{kind}, {'>' if 'exclusiveMinimum' in option else '≥'} {low}, " + (
        f"{'<' if 'exclusiveMaximum' in option else '≤'} {high}"
    )
