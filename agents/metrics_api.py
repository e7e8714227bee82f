"""What the HTTP service tells Prometheus, on its own port under ``/metrics``."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from agents.metrics import OTHER, QUICK, FewValues, ProcessMetrics

_MOST_ROUTES = 50
_MOST_REASONS = 20
_STATUSES = range(100, 600)


class ApiMetrics(ProcessMetrics):
    """Declares the service's metrics, and takes what happened to each request."""

    def __init__(self) -> None:
        super().__init__("api")
        registry = self.registry
        self._requests = Counter(
            "learner_api_requests_total",
            "Requests answered, by the route's template and the HTTP status.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "learner_api_request_seconds",
            "From a request to its answer; of a long poll that waited, the wait included.",
            ["route"],
            buckets=(*QUICK, 30.0, 60.0),
            registry=registry,
        )
        cache = Counter(
            "learner_api_cache_requests_total",
            "Answers that stood in Redis (hit), or had to be fetched from PostgreSQL (miss).",
            ["result"],
            registry=registry,
        )
        self._hits, self._misses = cache.labels("hit"), cache.labels("miss")
        self._keys_refused = Counter(
            "learner_api_keys_refused_total",
            "Requests without a key that may ask this, by reason.",
            ["reason"],
            registry=registry,
        )
        self._route, self._reason = FewValues(_MOST_ROUTES), FewValues(_MOST_REASONS)

    def request(self, route: str, status: int, seconds: float) -> None:
        """``route``: the template (``/learners/{user_id}``), never the path; "" if none matched."""
        route = self._route(route)
        self._requests.labels(route, str(status) if status in _STATUSES else OTHER).inc()
        self._seconds.labels(route).observe(seconds)

    def cache(self, *, hit: bool) -> None:
        (self._hits if hit else self._misses).inc()

    def key_refused(self, reason: str) -> None:
        """``reason``: one of a few fixed words (``missing``, ``unknown``, ``revoked``, …)."""
        self._keys_refused.labels(self._reason(reason)).inc()
