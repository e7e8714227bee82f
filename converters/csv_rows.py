"""Rows of a CSV file by the names of their columns; what is wrong is told with file and line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

from schemas.errors import InvalidInput

MISSING = frozenset(("", "?"))
"""How the files write a value that is not known."""


def bad_row(file: Path, line: int, fault: str) -> NoReturn:
    """Raises: InvalidInput, always."""
    raise InvalidInput(f"{file}:{line}: {fault}")


def check_columns(file: Path, columns: tuple[str, ...]) -> None:
    """Raises: InvalidInput, if the file is not there or lacks one of the columns."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file}: no CSV in UTF-8: {error}") from None
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise InvalidInput(f"{file}: it has no column {', '.join(lacking)}")


def csv_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, values of ``columns``) row by row; empty lines are passed over.

    Args:
        columns: at least two names; their order in the file does not matter.

    Raises:
        InvalidInput: it cannot be read, is no UTF-8, or a row is shorter or longer than the header.
    """
    check_columns(file, columns)
    line = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines)
            header = next(reader)
            values = itemgetter(*(header.index(column) for column in columns))
            for row in reader:
                line = reader.line_num
                if len(row) != len(header):
                    if not row:
                        continue
                    bad_row(file, line, f"{len(row)} values for {len(header)} columns")
                yield line, values(row)
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{file}: after line {line}: {error}") from None


def whole_number(  # noqa: PLR0913, PLR0917
    file: Path, line: int, column: str, text: str, low: int, high: int
) -> int:
    """``12`` or ``12.0``, as files that went through a data frame have it.

    Raises:
        InvalidInput: the text is no whole number from ``low`` to ``high``.
    """
    try:
        number = int(text.removesuffix(".0"))
    except ValueError:
        bad_row(file, line, f"{column} {text!r} is no whole number")
    if not low <= number <= high:
        bad_row(file, line, f"{column} {number} is not in {low}–{high}")
    return number
