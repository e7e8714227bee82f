"""A disk of its own with little room, to be filled: a tmpfs, which only root can mount."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Self

from servers.kafka_jars import ServerUnavailable

_FILLER = "filler"
_CHUNK = bytes(1024 * 1024)


class SmallDisk:
    """Mounted on ``folder``, which is made, while the block runs.

    Raises:
        ServerUnavailable: nothing can be mounted here.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder, self._megabytes = folder, megabytes

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        size = f"size={self._megabytes}m"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            raise ServerUnavailable(f"a disk to fill: {mounted.stderr.strip()}", possible=False)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self) -> None:
        """To the last byte."""
        with (self.folder / _FILLER).open("ab", buffering=0) as filler:
            for chunk in (_CHUNK, b"\0"):
                try:
                    while filler.write(chunk):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def make_room(self) -> None:
        os.truncate(self.folder / _FILLER, 0)
