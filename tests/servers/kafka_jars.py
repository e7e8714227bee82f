"""Kafka's jars, fetched by Maven into ``.tools/kafka/`` the first time they are needed."""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

KAFKA_VERSION = "4.3.1"
_LOWEST_JAVA = 17
_FETCH_SECONDS = 300
_TOOLS = Path(__file__).parents[2] / ".tools" / "kafka"

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>learner-stream</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
    <version>{KAFKA_VERSION}</version>
  </dependency></dependencies>
</project>
"""


class ServerUnavailable(Exception):
    """A server that could not be started here, and why.

    ``possible`` is true if the machine has all it takes, so that this is a fault and no lack.
    """

    def __init__(self, reason: str, *, possible: bool) -> None:
        super().__init__(reason)
        self.possible = possible


def java() -> str:
    """Path of a Java that can run Kafka.

    Raises:
        ServerUnavailable: none, or too old.
    """
    found = shutil.which("java")
    if found is None:
        raise ServerUnavailable("no java on the PATH", possible=False)
    said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _LOWEST_JAVA:
        raise ServerUnavailable(f"Kafka needs Java {_LOWEST_JAVA} or newer", possible=False)
    return found


def kafka_jars() -> Path:
    """Folder with the jars; fetched once, and whole or not at all.

    Raises:
        ServerUnavailable: no Maven, or it could not fetch them.
    """
    folder = _TOOLS / KAFKA_VERSION
    with only_one(_TOOLS):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=_TOOLS) as scratch:
                fetch_jars("Kafka", _POM, Path(scratch, "jars")).rename(folder)
    return folder


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """One process at a time; the folder is made. What is fetched into it is fetched once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_jars(server: str, pom: str, jars: Path) -> Path:
    """All that a pom depends on, by Maven, into the folder ``jars``; the pom stands beside it.

    Raises:
        ServerUnavailable: no Maven, or it could not fetch them.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise ServerUnavailable(f"no mvn on the PATH to fetch {server}'s jars", possible=False)
    jars.parent.mkdir(parents=True, exist_ok=True)
    file = jars.with_name("pom.xml")
    file.write_text(pom)
    fetch = [maven, "-q", "-B", "-f", str(file), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*fetch, f"-DoutputDirectory={jars}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ServerUnavailable(
            f"mvn did not fetch {server}'s jars in {_FETCH_SECONDS} s", possible=True
        ) from None
    finally:
        file.unlink()
    if done.returncode or not jars.is_dir():
        said = (done.stdout or done.stderr).strip().splitlines() or ["nothing said"]
        raise ServerUnavailable(
            f"mvn could not fetch {server}'s jars: {said[0][:200]}", possible=True
        )
    return jars
