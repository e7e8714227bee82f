"""What the machine tells: Python, packages, open files, disks."""

from __future__ import annotations

import importlib.metadata
import os
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from config.settings import Settings
from doctor.machine import Folder, MachineFacts, Package, locked

_LOCK = Path(__file__).parents[1] / "requirements" / "stores.lock"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^; ]+)$")


def machine(settings: Settings) -> MachineFacts:
    """Of the process that asks, and of the folders that the settings lead to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    folders = (
        ("embedded file", settings.duckdb.file.resolve().parent),
        ("temporary files", Path(tempfile.gettempdir())),
        ("working folder", Path.cwd()),
    )
    return MachineFacts(
        sys.version_info[:3],
        _packages(),
        (soft, hard),
        [_folder(what, path) for what, path in folders],
    )


def _packages() -> list[Package] | None:
    """Against the lock where there is one, else against what is pinned exactly."""
    try:
        needs = importlib.metadata.requires("learner-stream") or []
    except importlib.metadata.PackageNotFoundError:
        needs = []
    pinned = {m[1]: (m[2],) for need in needs if (m := _PINNED.match(need))}
    wanted = locked(_LOCK.read_text()) if _LOCK.exists() else pinned
    if not wanted:
        return None
    return [
        Package(name, _found(name), version, name in pinned) for name, version in wanted.items()
    ]


def _found(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _folder(what: str, path: Path) -> Folder:
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    usage = shutil.disk_usage(there)
    return Folder(what, str(path), usage.free, usage.total, os.access(there, os.W_OK))
