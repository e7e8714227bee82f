"""Elasticsearch's jars, fetched by Maven into ``.tools/elasticsearch/`` when first needed.

Maven has the server and its HTTP module only, no distribution: so neither scripts nor the
analyzers of languages, nor ``delete_by_query``, nor ``GET /``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from servers.kafka_jars import ServerUnavailable, fetch_jars, only_one

ELASTICSEARCH_VERSION = "9.5.3"
_LOWEST_JAVA = 21
_FETCH_SECONDS = 300
_TOOLS = Path(__file__).parents[2] / ".tools" / "elasticsearch"
_JVMS = Path("/usr/lib/jvm")

_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>learner-stream</groupId><artifactId>elasticsearch-jars</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>org.elasticsearch</groupId><artifactId>elasticsearch</artifactId>
    <version>{ELASTICSEARCH_VERSION}</version>
  </dependency><dependency>
    <groupId>org.elasticsearch.plugin</groupId><artifactId>transport-netty4</artifactId>
    <version>{ELASTICSEARCH_VERSION}</version>
  </dependency></dependencies>
</project>
"""
_OF_THE_MODULE = ("netty-*.jar", "transport-netty4-*.jar", "elasticsearch-ssl-config-*.jar")
_DESCRIPTOR = "META-INF/es-plugins/transport-netty4/plugin-descriptor.properties"


def java() -> str:
    """Path of a Java that can run Elasticsearch: ``JAVA_HOME``'s, the PATH's or an installed one.

    Raises:
        ServerUnavailable: none, or all are too old.
    """
    for candidate in _javas():
        said = subprocess.run(
            [candidate, "-version"], capture_output=True, text=True, check=False
        ).stderr
        version = re.search(r'version "(\d+)', said)
        if version is not None and int(version[1]) >= _LOWEST_JAVA:
            return candidate
    raise ServerUnavailable(f"Elasticsearch needs Java {_LOWEST_JAVA} or newer", possible=False)


def _javas() -> Iterator[str]:
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    installed = sorted(map(str, _JVMS.glob("*/bin/java")), reverse=True)
    for candidate in (home and str(Path(home, "bin", "java")), on_path, *installed):
        if candidate and os.access(candidate, os.X_OK):
            yield candidate


def elasticsearch_jars() -> Path:
    """Folder with ``lib`` (class path) and ``modules``; fetched once, and whole or not at all.

    Raises:
        ServerUnavailable: no Maven, or it could not fetch them.
    """
    folder = _TOOLS / ELASTICSEARCH_VERSION
    with only_one(_TOOLS):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=_TOOLS) as scratch:
                made = Path(scratch, "made")
                fetch_jars("Elasticsearch", _POM, made / "lib")
                _lay_out_module(made / "lib", made / "modules" / "transport-netty4")
                made.rename(folder)
    return folder


def _lay_out_module(jars: Path, module: Path) -> None:
    """HTTP comes as a module: its jars leave the class path for a folder with a descriptor."""
    module.mkdir(parents=True)
    for pattern in _OF_THE_MODULE:
        for jar in list(jars.glob(pattern)):
            jar.rename(module / jar.name)
    (jar,) = module.glob("transport-netty4-*.jar")
    with zipfile.ZipFile(jar) as packed:
        descriptor = packed.read(_DESCRIPTOR).decode()
    # Named, it would have to be a Java module, which the server on a class path is not.
    lines = [line for line in descriptor.splitlines() if not line.startswith("modulename=")]
    (module / "plugin-descriptor.properties").write_text("\n".join(lines) + "\n")
