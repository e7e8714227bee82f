"""What the rehearsals of the runbook share: processes, a Prometheus that hurries, what is sent."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from agents.topics import EVENTS
from cli.main import app
from config.settings import MetricsSettings, Settings
from faults.command_process import CommandProcess, environment
from servers.kafka import free_ports
from servers.store_server import ChildServer

_LONGEST_SECONDS = 240
_INSTANCES = {
    **dict.fromkeys(("worker", "trainer", "sink"), 2),
    **dict.fromkeys(("facilitator", "api", "responder"), 1),
}
_USERS = [str(uuid.UUID(int=0xB0000 + number)) for number in range(12)]


class Rehearsal:
    """Starts processes where Prometheus looks for them, and waits for its alerts."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        prometheus: Callable[..., ChildServer],
        hurry: float,
    ) -> None:
        self.settings = settings
        self._folder = folder
        self._ports = {job: free_ports(count) for job, count in _INSTANCES.items()}
        self._url = f"{prometheus(self._ports, hurry).url}/api/v1"
        self._processes: list[CommandProcess] = []

    def starts(
        self,
        job: str,
        command: str | None = None,
        number: int = 0,
        settings: Settings | None = None,
    ) -> CommandProcess:
        """``learner COMMAND`` (the job's name when not given), as the ``number``-th of its job."""
        metrics = MetricsSettings(port=self._ports[job][number])
        given = (settings or self.settings).model_copy(update={"metrics": metrics})
        log = self._folder / f"{job}-{number}.log"
        self._processes.append(CommandProcess(command or job, given, log))
        return self._processes[-1]

    def until_up(self, job: str, number: int = 0, *, up: bool = True) -> None:
        """Until Prometheus has an answer of it, or has none."""
        seen = f'up{{instance="127.0.0.1:{self._ports[job][number]}"}}'
        until(lambda: self.value(seen) == up, f"{job}: up is not {up:d}")

    def until_fires(self, *alerts: str) -> None:
        for alert in alerts:
            until(lambda alert=alert: alert in self.firing(), f"{alert} does not fire")

    def until_silent(self, *alerts: str) -> None:
        for alert in alerts:
            until(lambda alert=alert: alert not in self.firing(), f"{alert} does not end")

    def firing(self) -> set[str]:
        alerts = self._get("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def said(self, job: str) -> str:
        """What the first of its job has told so far."""
        return (self._folder / f"{job}-0.log").read_text()

    def said_url(self, job: str) -> str:
        """Where it says that it listens."""
        found: list[str] = []

        def listens() -> bool:
            lines = [line for line in self.said(job).splitlines() if '"listening"' in line]
            found.extend(json.loads(line)["url"] for line in lines)
            return bool(found)

        until(listens, f"{job} does not listen")
        return found[-1]

    def end(self) -> None:
        for process in self._processes:
            process.kill()

    def value(self, query: str) -> float | None:
        found = self._get(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return float(found[0]["value"][1]) if found else None

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/{path}", timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read())["data"]


def until(holds: Callable[[], bool], otherwise: str) -> None:
    """Raises: AssertionError: it never held."""
    ends = time.monotonic() + _LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < ends, otherwise
        time.sleep(0.3)


def learner(settings: Settings, *command: str) -> Result:
    """``learner COMMAND …``, as an operator types it; it must not fail."""
    done = CliRunner().invoke(app, command, env=environment(settings))
    assert done.exit_code == 0, (command, done.output)
    return done


def answers(**changes: Any) -> Iterator[bytes]:
    """Graded answers of a dozen learners, for ever, each with an id of its own; they get worse
    and better, so that there is something to decide."""
    for number in itertools.count():
        event = {
            "event_id": str(uuid.uuid4()),
            "type": "quiz.submitted",
            "user_id": _USERS[number % len(_USERS)],
            "course_id": "algebra",
            "occurred_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "question_id": f"q{number}",
            "score": (number // 60) % 5 / 4,
        }
        yield json.dumps({**event, **changes}).encode()


def send(settings: Settings, values: Iterable[bytes], topic: str = EVENTS) -> None:
    """Each under its ``user_id``, as it goes by default to the partition that it belongs in."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for value in values:
        _produce(producer, value, topic)
    assert producer.flush(30) == 0


def _produce(producer: Producer, value: bytes, topic: str, **options: Any) -> None:
    producer.produce(topic, value=value, key=json.loads(value)["user_id"].encode(), **options)
    producer.poll(0)


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """While the block runs, ``work`` does in a thread; it ends when the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def coming_in(
    settings: Settings,
    values: Iterator[bytes],
    per_second: float = 20,
    topic: str = EVENTS,
    seconds_old: float = 0,
) -> Iterator[None]:
    """While the block runs values come in; ``seconds_old``: by the time that Kafka keeps."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})

    def work(stop: threading.Event) -> None:
        while not stop.wait(1 / per_second):
            at = {"timestamp": int(1000 * (time.time() - seconds_old))} if seconds_old else {}
            _produce(producer, next(values), topic, **at)

    with meanwhile(work):
        yield
    producer.flush(30)


@contextmanager
def asking(url: str, key: str, users: Sequence[str]) -> Iterator[None]:
    """While the block runs the service is asked for learners' decisions, ten times a second."""

    def work(stop: threading.Event) -> None:
        for user in itertools.cycle(users):
            if stop.wait(0.1):
                return
            request = urllib.request.Request(  # noqa: S310
                f"{url}/v1/learners/{user}/decisions", headers={"Authorization": f"Bearer {key}"}
            )
            with contextlib.suppress(OSError):
                urllib.request.urlopen(request, timeout=10).close()  # noqa: S310

    with meanwhile(work):
        yield


@contextmanager
def held_back(process: CommandProcess) -> Iterator[None]:
    """While the block runs the process works a tenth of the time."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            process.freeze()
            stop.wait(0.45)
            process.wake()

    with meanwhile(work):
        yield
