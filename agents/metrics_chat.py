"""What the chat gateway and the responders tell Prometheus, each in its own process.

Every word given to a method (role, reason, outcome, kind) is one of a few fixed ones, never an id.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from agents.metrics import QUICK, FewValues, ProcessMetrics

_MOST_VALUES = 20


class GatewayMetrics(ProcessMetrics):
    """Declares the gateway's metrics, and takes what happened on its connections."""

    def __init__(self) -> None:
        super().__init__("gateway")
        registry = self.registry
        self._connections = Gauge(
            "learner_chat_connections",
            "Connections open now, by who is at the other end.",
            ["role"],
            registry=registry,
        )
        messages = Counter(
            "learner_chat_messages_total",
            "Messages taken from connections (in) and shown on them (out).",
            ["direction"],
            registry=registry,
        )
        self._in, self._out = messages.labels("in"), messages.labels("out")
        self._accepted = Histogram(
            "learner_chat_accepted_seconds",
            "From a message's frame to its event on Kafka.",
            buckets=QUICK,
            registry=registry,
        )
        self._echo = Histogram(
            "learner_chat_echo_seconds",
            "From a message's frame to its coming back through the worker to its sender.",
            buckets=(*QUICK, 30.0, 60.0),
            registry=registry,
        )
        self._refused = Counter(
            "learner_chat_refused_total",
            "Connections and messages that were not taken, by reason.",
            ["reason"],
            registry=registry,
        )
        self._closed = Counter(
            "learner_chat_closed_total",
            "Connections that ended, by reason.",
            ["reason"],
            registry=registry,
        )
        self._role = FewValues(_MOST_VALUES)
        self._refusal = FewValues(_MOST_VALUES)
        self._ending = FewValues(_MOST_VALUES)

    def connected(self, role: str) -> None:
        self._connections.labels(self._role(role)).inc()

    def disconnected(self, role: str, reason: str) -> None:
        self._connections.labels(self._role(role)).dec()
        self._closed.labels(self._ending(reason)).inc()

    def message_in(self) -> None:
        self._in.inc()

    def message_out(self) -> None:
        self._out.inc()

    def accepted(self, seconds: float) -> None:
        """A message is on Kafka, so long after its frame came."""
        self._accepted.observe(seconds)

    def echoed(self, seconds: float) -> None:
        """A message came back to its sender, so long after its frame came."""
        self._echo.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(self._refusal(reason)).inc()


class ResponderMetrics(ProcessMetrics):
    """Declares the responders' metrics, and takes what became of each message."""

    def __init__(self) -> None:
        super().__init__("responder")
        registry = self.registry
        self._answers = Counter(
            "learner_chat_answers_total",
            "Answers to learners' messages, by who answered and how it went.",
            ["responder", "outcome"],
            registry=registry,
        )
        self._answer_seconds = Histogram(
            "learner_chat_answer_seconds",
            "From a learner's message to its whole answer.",
            ["responder"],
            buckets=(*QUICK, 20.0, 45.0, 60.0),
            registry=registry,
        )
        self._first_token = Histogram(
            "learner_chat_first_token_seconds",
            "From asking the language model to the first piece of its answer.",
            buckets=QUICK,
            registry=registry,
        )
        self._errors = Counter(
            "learner_chat_llm_errors_total",
            "Tries of the language model that gave no answer, by kind.",
            ["kind"],
            registry=registry,
        )
        tokens = Counter(
            "learner_chat_tokens_total",
            "Tokens of the language model: shown to it (prompt), and answered by it (answer).",
            ["kind"],
            registry=registry,
        )
        self._shown, self._answered_tokens = tokens.labels("prompt"), tokens.labels("answer")
        self._queued = Gauge(
            "learner_chat_queued_messages",
            "Learners' messages that wait for an answer.",
            registry=registry,
        )
        self._responder = FewValues(_MOST_VALUES)
        self._outcome = FewValues(_MOST_VALUES)
        self._kind = FewValues(_MOST_VALUES)

    def answered(self, responder: str, outcome: str, seconds: float) -> None:
        responder = self._responder(responder)
        self._answers.labels(responder, self._outcome(outcome)).inc()
        self._answer_seconds.labels(responder).observe(seconds)

    def first_token(self, seconds: float) -> None:
        self._first_token.observe(seconds)

    def llm_error(self, kind: str) -> None:
        self._errors.labels(self._kind(kind)).inc()

    def tokens(self, prompt: int, answer: int) -> None:
        """Of one answer."""
        self._shown.inc(prompt)
        self._answered_tokens.inc(answer)

    def queued(self, count: int) -> None:
        """So many messages wait now."""
        self._queued.set(count)
