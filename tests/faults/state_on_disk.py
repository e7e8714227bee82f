"""Workers' state on disk, as a test asks for it and as an older version would have left it."""

from __future__ import annotations

from pathlib import Path

import orjson
from rocksdict import Rdict

from agents.partition_state import MARKS
from config.settings import Settings


def with_state_on_disk(settings: Settings, folder: Path) -> Settings:
    worker = settings.worker.model_copy(update={"state_folder": folder})
    return settings.model_copy(update={"worker": worker})


def leave_as_an_older_version_would(folder: Path) -> None:
    """Rows that nobody of today understands, under a mark that says so."""
    for partition in folder.glob("*/*"):
        state = Rdict(str(partition))
        marks = orjson.loads(state[MARKS])
        state[MARKS] = orjson.dumps({**marks, "belongs_to": f"{marks['belongs_to']}, of 2025"})
        for key in list(state.keys()):
            if key != MARKS:
                state[key] = b"?"
        state.close()
