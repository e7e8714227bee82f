"""Why a language model gave no answer, and when not to ask it any more."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

FailureKind = Literal[
    "connection", "slow_start", "stalled", "broke_off", "rate_limited", "server_error", "refused",
    "not_a_stream", "rubbish", "empty", "reported",
]  # fmt: skip

_HINTS = {
    401: "look at LEARNER_RESPONDER__LLM_KEY",
    403: "look at LEARNER_RESPONDER__LLM_KEY",
    404: "look at LEARNER_RESPONDER__LLM_URL and LEARNER_RESPONDER__LLM_MODEL",
}
_NOT_THE_MESSAGE = (401, 403, 404)
"""Refused whatever is asked."""
_LONGEST_WAIT = 86_400.0


class LlmFailed(Exception):
    """One try gave no answer. Never holds what the server said, which may repeat the key.

    Args:
        again: another try may succeed.
        pause: seconds that the server wants us to wait before it.
        away: it is the model's own fault, and not that of the message.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str = "",
        *,
        again: bool = True,
        pause: float | None = None,
        away: bool = True,
    ) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.again = again
        self.pause = pause
        self.away = away


def refusal(status: int, retry_after: str | None, now: datetime) -> LlmFailed:
    """What an HTTP status other than 200 means."""
    detail = f"HTTP {status}"
    if status in {429, 408, 425} or status >= 500:
        kind: FailureKind = "server_error" if status >= 500 else "rate_limited"
        return LlmFailed(kind, detail, pause=seconds_to_wait(retry_after, now))
    if 300 <= status < 400:
        return LlmFailed("refused", f"{detail}: redirects are not followed", again=False)
    if status in _HINTS:
        detail += f": {_HINTS[status]}"
    return LlmFailed("refused", detail, again=False, away=status in _NOT_THE_MESSAGE)


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3), seconds or a date; ``None`` if it says nothing."""
    if retry_after is None:
        return None
    told = retry_after.strip()
    if told.isascii() and told.isdigit():
        return min(float(told[:9]), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_WAIT)


class Breaker:
    """Open after so many failures in a row: for a while nothing is asked, then once to try.

    Without it each learner would wait through all tries while the other side is away.
    """

    def __init__(self, failures: int, seconds: float) -> None:
        self._most = failures
        self._seconds = seconds
        self._failures = 0
        self._closed_at = 0.0

    def lets(self, now: float) -> bool:
        """Whether to ask; ``now`` in seconds of a clock that only goes forward."""
        if self._failures < self._most:
            return True
        if now < self._closed_at:
            return False
        self._closed_at = now + self._seconds  # one goes ahead, the others wait for how it ends
        return True

    def failed(self, now: float) -> None:
        self._failures += 1
        self._closed_at = now + self._seconds

    def answered(self) -> None:
        self._failures = 0
