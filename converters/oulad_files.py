"""Reads OULAD's CSV files: official names and columns, every fault with its file and line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from schemas.errors import InvalidInput


class Row:
    """One row: values by column, and where it stands for an error."""

    __slots__ = ("_columns", "_path", "_values", "line")

    def __init__(self, path: Path, line: int, columns: dict[str, int], values: list[str]) -> None:
        self._path, self.line, self._columns, self._values = path, line, columns, values

    def __getitem__(self, column: str) -> str:
        return self._values[self._columns[column]]

    def integer(self, column: str) -> int | None:
        """A whole number; ``None`` where the field is empty."""
        value = self[column]
        if not value or value == "?":
            return None
        try:
            return int(float(value))
        except (ValueError, OverflowError):
            raise self.fault(f"{column} is {value!r}, no number") from None

    def required(self, column: str) -> int:
        value = self.integer(column)
        if value is None:
            raise self.fault(f"{column} is empty")
        return value

    def fault(self, what: str) -> InvalidInput:
        return InvalidInput(f"{self._path}, line {self.line}: {what}")


def rows(folder: Path, name: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a file, one at a time.

    Raises:
        InvalidInput: file or column missing, no UTF-8, or a row with too few fields.
    """
    path = folder / name
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise InvalidInput(f"{path}: column {', '.join(missing)} is missing")
            places = {column: place for place, column in enumerate(header)}
            for values in reader:
                row = Row(path, reader.line_num, places, values)
                if len(values) != len(header):
                    raise row.fault(f"{len(values)} fields where the header has {len(header)}")
                yield row
    except OSError as error:
        raise InvalidInput(
            f"{path}: {error.strerror}; name the folder with OULAD's CSV files"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path}: {error}") from None


class Assessment(NamedTuple):
    """A row of assessments.csv."""

    code_module: str
    code_presentation: str
    assessment_type: str


def assessments(folder: Path) -> dict[str, Assessment]:
    """By id_assessment; a few hundred at most."""
    columns = ("code_module", "code_presentation", "id_assessment", "assessment_type")
    return {
        row["id_assessment"]: Assessment(
            row["code_module"], row["code_presentation"], row["assessment_type"]
        )
        for row in rows(folder, "assessments.csv", columns)
    }


def presentation_days(folder: Path) -> dict[tuple[str, str], int]:
    """Length in days by (code_module, code_presentation)."""
    columns = ("code_module", "code_presentation", "module_presentation_length")
    return {
        (row["code_module"], row["code_presentation"]): row.required("module_presentation_length")
        for row in rows(folder, "courses.csv", columns)
    }
