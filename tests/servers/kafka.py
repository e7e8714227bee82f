"""One Kafka broker for tests, benchmarks and trials: started, killed and started again.

    with KafkaServer() as kafka:
        print(kafka.bootstrap)

needs Java and Maven; `KafkaContainer` is the same on a Docker engine, `start_kafka` takes what is
there.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from servers.kafka_jars import KAFKA_VERSION, ServerUnavailable, java, kafka_jars

_MEGABYTE = 1_048_576
_START_SECONDS = 120


class Life(NamedTuple):
    """What is expected of a broker: options of its JVM, and properties beside `BROKER`."""

    jvm: tuple[str, ...]
    properties: dict[str, str]


SHORT_LIVED = Life(("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"), {})
"""A broker of the tests has two cores for all, and minutes to live: no time for the second
compiler."""
LASTING = Life(
    (
        *("-Xms1g", "-Xmx1g"),
        *("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"),
    ),
    {"broker.session.timeout.ms": "60000"},
)
"""What Kafka's own start scripts give its JVM, heap included: for a broker that is measured. Nobody
kills it, so its silence means that the machine stands still."""
_STOP_SECONDS = 20
_GIVEN_OUT = Path(tempfile.gettempdir(), "learner-ports")
_claims: deque[IO[str]] = deque(maxlen=256)
"""The ports given out last: a lock on a file for each, which ends with the process."""

BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    # A broker that was killed is let back in when it is up again, not after the default of 9 s;
    # one that got no processor for some seconds is not taken for dead.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "message.max.bytes": str(8 * _MEGABYTE),
    "replica.fetch.max.bytes": str(8 * _MEGABYTE),
    "log.cleaner.dedupe.buffer.size": str(16 * _MEGABYTE),
}


class Kafka(Protocol):
    """What a test may do with a broker. It keeps address and data until ``stop``."""

    bootstrap: str

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...


class KafkaServer:
    """Apache Kafka (KRaft, one broker) as a child process, on 127.0.0.1 and random free ports.

    Args:
        data: where its log lives; a folder of its own, removed by `stop`, if not given.
        properties: broker properties beside `BROKER`.
        heap_mb: the JVM's heap, MB.
        jvm: its other options.
    """

    def __init__(
        self,
        data: Path | None = None,
        properties: dict[str, str] | None = None,
        heap_mb: int = 512,
        jvm: tuple[str, ...] = SHORT_LIVED.jvm,
    ) -> None:
        self._java, self._jars = java(), kafka_jars()
        self._own_data = data is None
        self.data = data or Path(tempfile.mkdtemp(prefix="learner-kafka-"))
        self._heap_mb, self._jvm_options = heap_mb, jvm
        self._process: subprocess.Popen[bytes] | None = None
        port, controller = free_ports(2)
        self.log = self.data / "broker.log"
        self._properties = {
            **BROKER,
            "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.data / "log"),
            **(properties or {}),
        }
        first = self._properties["advertised.listeners"].split(",")[0]
        self.bootstrap = first.removeprefix("CLIENT://")

    def start(self) -> None:
        """Until it answers.

        Raises:
            ServerUnavailable: it ended or did not answer, with the last line of its log.
        """
        if self._process is not None:
            return
        config = self.data / "server.properties"
        if not config.exists():
            self.data.mkdir(parents=True, exist_ok=True)
            config.write_text("".join(f"{k}={v}\n" for k, v in self._properties.items()))
            self._format(config)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._jvm(), "kafka.Kafka", str(config)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C ends the tests first, and they end the broker
            )
        atexit.register(self.stop)
        try:
            wait_until_answers(self.bootstrap, self._ended)
        except ServerUnavailable:
            self.kill()
            raise

    def stop(self) -> None:
        """In good order, and its data with it if the folder is its own."""
        self._end(signal.SIGTERM)
        atexit.unregister(self.stop)
        if self._own_data:
            shutil.rmtree(self.data, ignore_errors=True)

    def kill(self) -> None:
        """``kill -9``; the data stays."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Up again on the same port and data; stops it in good order first if it runs."""
        self._end(signal.SIGTERM)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        """Of the JVM, while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _jvm(self) -> list[str]:
        options = (f"-Xmx{self._heap_mb}m", *self._jvm_options)
        return [self._java, *options, "-cp", f"{self._jars}/*"]

    def _format(self, config: Path) -> None:
        tool = [*self._jvm(), "kafka.tools.StorageTool", "format"]
        if "controller.quorum.voters" not in self._properties:
            tool.append("--standalone")
        # Any 16 bytes in base64 are a cluster id; a JVM started to draw one costs half a second.
        done = subprocess.run(
            [*tool, "-t", "bGVhcm5lci1zdHJlYW0tMQ", "-c", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-300:]
            raise ServerUnavailable(f"Kafka could not format {self.data}: {said}", possible=True)

    def _ended(self) -> str | None:
        if self._process is None or self._process.poll() is None:
            return None
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"ended with {self._process.returncode}: {lines[-1][:300] if lines else ''}"

    def _end(self, how: signal.Signals) -> None:
        self._signal(how)
        self._signal(signal.SIGCONT)  # a frozen one hears nothing else than SIGKILL
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _signal(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, how)


class KafkaContainer:
    """The same broker in the image that Apache publishes, on a Docker engine."""

    def __init__(self, more: dict[str, str]) -> None:
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        (port,) = free_ports(1)
        self.bootstrap = f"127.0.0.1:{port}"
        properties = {
            **BROKER,
            "listeners": "CLIENT://0.0.0.0:9092,CONTROLLER://localhost:9093",
            "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
            "controller.quorum.voters": "1@localhost:9093",
            **more,
        }
        self._container: Any = DockerContainer(f"apache/kafka:{KAFKA_VERSION}")
        self._container.with_bind_ports(9092, port)
        self._container.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        for name, value in properties.items():
            self._container.with_env(f"KAFKA_{name.replace('.', '_').upper()}", value)
        self._made = False

    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        wait_until_answers(self.bootstrap, lambda: None)

    def stop(self) -> None:
        if self._made:
            self._container.stop()
        self._made = False

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    @property
    def pid(self) -> int | None:
        """On the host, if the engine runs on it."""
        container = self._container.get_wrapped_container()
        container.reload()
        return int(container.attrs["State"]["Pid"]) or None

    def restart(self) -> None:
        self._container.get_wrapped_container().stop()
        self.start()


def start_kafka(life: Life = SHORT_LIVED) -> Kafka:
    """A broker of one's own: in Docker (with its image's JVM options) if an engine answers,
    otherwise from the jars.

    Raises:
        ServerUnavailable: neither works here.
    """
    kafka: Kafka = (
        KafkaContainer(life.properties)
        if docker_answers()
        else KafkaServer(properties=life.properties, jvm=life.jvm)
    )
    kafka.start()
    return kafka


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that outgoing connections get.

    From that range a client that retries while the broker is down would in time connect to itself,
    and so keep the port. While this process lives no other is given them, nor does it give
    them out again soon: they may be bound only later, and again after a kill.
    """
    _GIVEN_OUT.mkdir(exist_ok=True)
    free: list[int] = []
    while len(free) < count:
        port = random.SystemRandom().randrange(15_000, 32_000)
        claim = (_GIVEN_OUT / str(port)).open("w")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as attempt:
                attempt.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            free.append(port)
    return free


def wait_until_answers(bootstrap: str, ended: Any, seconds: float = _START_SECONDS) -> None:
    """Until the broker gives out metadata; ``ended()`` tells why it never will."""
    host, port = bootstrap.rsplit(":", 1)
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if reason := ended():
            raise ServerUnavailable(f"Kafka {reason}", possible=True)
        with contextlib.suppress(OSError, KafkaException):
            socket.create_connection((host, int(port)), 1).close()
            admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
            if admin.list_topics(timeout=2).brokers:
                return
        time.sleep(0.1)
    raise ServerUnavailable(
        f"Kafka at {bootstrap} did not answer in {seconds:.0f} s", possible=True
    )


def docker_answers() -> bool:
    """Whether a Docker engine runs here."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
