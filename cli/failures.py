"""How a command ends: an error of ours is one line that says what to do, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from schemas.errors import LearnerError

FAILED = 1
INTERRUPTED = 130
READER_LEFT = 141
"""As a program that SIGPIPE ended: whoever read our output had enough, e.g. ``| head``."""


_STORES = ("alembic", "asyncpg", "bson", "clickhouse_driver", "elasticsearch", "pymongo", "redis")
_EXTRA_OF = dict.fromkeys(_STORES, "stores") | {
    "matplotlib": "pictures",
    "rocksdict": "disk",
}
"""What is imported only where it is needed, and the extra that brings it."""


class Commands(TyperGroup):
    """The root group; usage errors are Typer's own (exit code 2)."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except LearnerError as error:
            fail(str(error))
        except BrokenPipeError:
            _let_go_of_stdout()
            raise typer.Exit(READER_LEFT) from None
        except KeyboardInterrupt:
            fail("stopped", INTERRUPTED)
        except ModuleNotFoundError as error:
            extra = _EXTRA_OF.get(error.name or "")
            if extra is None:
                raise
            fail(f"this needs {error.name}: pip install 'learner-stream[{extra}]'")
        except FileNotFoundError as error:
            fail(f"{error.filename}: there is no such file")
        except OSError as error:
            if error.filename is None:
                raise
            fail(f"{error.filename}: {error.strerror}")
        return result


def fail(said: str, code: int = FAILED) -> Any:
    """Raises: typer.Exit, after one line on stderr."""
    say(said)
    raise typer.Exit(code)


def say(said: str) -> None:
    """One line on stderr."""
    typer.echo(f"learner: {' '.join(said.split())}", err=True)


def _let_go_of_stdout() -> None:
    """Otherwise Python would write what is left at its exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
