"""A disk of some megabytes that can be filled: a file system of its own, in memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from servers.kafka_jars import ServerUnavailable

_BALLAST = "ballast"


class SmallDisk:
    """``folder``: where it is mounted; made by `small_disk`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, left: int = 0) -> None:
        """Whatever is free goes, but for ``left`` bytes; again, if something was let go since."""
        disk = os.statvfs(self.folder)
        more = disk.f_bavail * disk.f_frsize - left
        with (self.folder / _BALLAST).open("ab") as ballast, contextlib.suppress(OSError):
            if more > 0:
                os.posix_fallocate(ballast.fileno(), ballast.tell(), more)

    def free(self) -> None:
        """There is room again."""
        (self.folder / _BALLAST).unlink()


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[SmallDisk]:
    """
    Raises:
        ServerUnavailable: mounting takes root.
    """
    with tempfile.TemporaryDirectory(prefix="learner-disk-") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "learner-disk", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode:
            raise ServerUnavailable(f"a small disk: {mounted.stderr.strip()}", possible=False)
        try:
            yield SmallDisk(Path(folder))
        finally:
            # Lazily: a process killed a moment ago may still hold a file.
            subprocess.run(["umount", "--lazy", folder], check=True)
