"""Prometheus for tests: scrapes processes of ours by the rules that we ship."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from servers.kafka_jars import ServerUnavailable
from servers.store_server import ChildServer

CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
RULES = (CONFIG / "recording.yml", CONFIG / "alerts.yml")


_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=for: )(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def start(targets: Mapping[str, Sequence[int]], hurry: float = 1) -> ChildServer:
    """Debian's ``prometheus``, which scrapes ports on this machine, by job, every second.

    Args:
        hurry: by what the rules' windows and waits are divided.

    Raises:
        ServerUnavailable: it is not here, or it does not start.
    """
    if shutil.which("prometheus") is None:
        raise ServerUnavailable(
            "no prometheus here (Debian: apt install prometheus)", possible=False
        )

    def prepare(data: Path) -> None:
        # JSON is YAML.
        rules = [_hurried(file, hurry, data) for file in RULES]
        (data / "prometheus.yml").write_text(json.dumps(_config(targets, rules)))

    server = ChildServer("prometheus", _command, _url, _ready, prepare)
    server.start()
    return server


def _hurried(file: Path, hurry: float, folder: Path) -> Path:
    def divided(found: re.Match[str]) -> str:
        number, unit = (part for part in found.groups() if part is not None)
        return f"{max(1, round(int(number) * _SECONDS[unit] / hurry))}s"

    copy = folder / file.name
    copy.write_text(_DURATION.sub(divided, file.read_text()))
    return copy


def _config(targets: Mapping[str, Sequence[int]], rules: Sequence[Path]) -> dict[str, object]:
    jobs = [
        {
            "job_name": job,
            "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
        }
        for job, ports in targets.items()
    ]
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in rules],
        "scrape_configs": jobs,
    }


def _command(data: Path, port: int) -> list[str]:
    return [
        "prometheus",
        f"--config.file={data / 'prometheus.yml'}",
        f"--storage.tsdb.path={data / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _ready(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:  # noqa: S310  # our own
        return bool(answer.status == 200)
