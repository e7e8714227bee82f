"""Why a model gave no answer, how long to wait for it, and when to ask it no more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import structlog

from chat.llm import check_address
from chat.llm_failure import Breaker, seconds_to_wait
from responder_suite.language_model import KEY, quick
from schemas.errors import InvalidSetting


@pytest.mark.parametrize(
    "url", ["ftp://host/v1", "file:///etc/passwd", "http://", "http://h/v1?x=1"]
)
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidSetting, match="LEARNER_RESPONDER__LLM_URL"):
        check_address(quick(url))


def test_a_key_without_tls_is_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        check_address(quick("http://host/v1"))
        check_address(quick("https://host/v1"))
    assert [log["event"] for log in logs] == ["the language model's key is sent without TLS"]
    assert KEY not in str(logs)


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WAITS = {
    "seconds": ("7", 7.0),
    "none": (None, None),
    "nothing": ("", None),
    "less than nothing": ("-3", None),
    "a fraction": ("1.5", None),
    "for ever": ("9" * 400, 86_400.0),
    "a date": ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
    "a date that is past": ("Sun, 01 Mar 2026 11:00:30 GMT", 0.0),
    "a date without a zone": ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
    "other digits": ("٣", None),
    "no date": ("Sun, 99 Mar 2026 99:00:30 GMT", None),
}


@pytest.mark.parametrize(("told", "seconds"), WAITS.values(), ids=WAITS)
def test_retry_after(told: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(told, NOW) == seconds


def test_a_breaker_opens_and_lets_one_try() -> None:
    breaker = Breaker(2, 30)
    assert breaker.lets(0)
    breaker.failed(0)
    assert breaker.lets(1)
    breaker.failed(1)
    assert not breaker.lets(30.9)
    assert breaker.lets(31)
    assert not breaker.lets(32)
    breaker.answered()
    assert breaker.lets(33)


def test_only_failures_in_a_row_open_a_breaker() -> None:
    breaker = Breaker(2, 30)
    for now in range(10):
        breaker.failed(now)
        breaker.answered()
    assert breaker.lets(10)
