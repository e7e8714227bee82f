"""Elasticsearch for tests: the image that users take, or one node from the published jars."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from servers.elasticsearch_jars import ELASTICSEARCH_VERSION, elasticsearch_jars, java
from servers.kafka import docker_answers
from servers.store_server import ChildServer, ContainerServer, StoreServer

_IMAGE = f"docker.elastic.co/elasticsearch/elasticsearch:{ELASTICSEARCH_VERSION}"
_START = Path(__file__).parent / "elasticsearch" / "StartElasticsearch.java"
_ENVIRONMENT = {
    "discovery.type": "single-node",
    "xpack.security.enabled": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "ES_JAVA_OPTS": "-Xms512m -Xmx512m",
}


def start() -> StoreServer:
    """One node that answers.

    Raises:
        ServerUnavailable: no Docker engine, and no Java, or jars that could not be fetched.
    """
    server: StoreServer = _in_docker() if docker_answers() else _from_jars()
    server.start()
    return server


def _in_docker() -> StoreServer:
    return ContainerServer(_IMAGE, 9200, _url, _healthy, _ENVIRONMENT)


def _from_jars() -> StoreServer:
    java_, made = java(), elasticsearch_jars()
    # One compiler less: it starts in half the time, and bulk writes are hardly slower.
    options = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    def command(data: Path, port: int) -> list[str]:
        jvm = [java_, *options, "-cp", f"{made / 'lib'}/*"]
        return [*jvm, str(_START), str(data), str(made / "modules"), str(port)]

    return ChildServer("elasticsearch", command, _url, _healthy)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _healthy(url: str) -> bool:
    """Whether every primary shard is there: after a kill they come back after the port does."""
    with urllib.request.urlopen(f"{url}/_cluster/health?local=true", timeout=2) as answer:  # noqa: S310  # our own http address
        return b'"status":"red"' not in answer.read()
