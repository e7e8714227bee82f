"""How Elasticsearch is reached: a client, what its errors are to us, and reading page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from elasticsearch import ApiError, AsyncElasticsearch, TransportError

from config.settings import ElasticsearchSettings
from schemas.errors import RecordRefused, StoreUnavailable

_PAGE = 5_000
_PIT = "2m"  # a reader that takes longer between two pages loses its place


def connect(settings: ElasticsearchSettings) -> AsyncElasticsearch:
    """A client that waits ``timeout_seconds`` and tries once: who calls it tries again."""
    url = urlsplit(settings.url)
    login = None
    if settings.password is not None:
        login = (url.username or "elastic", settings.password.get_secret_value())
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return AsyncElasticsearch(
        f"{url.scheme}://{host}:{url.port or 9200}{url.path}",
        basic_auth=login,
        request_timeout=settings.timeout_seconds,
        max_retries=0,
        retry_on_timeout=False,
    )


@contextmanager
def answering(client: AsyncElasticsearch) -> Iterator[None]:
    """Turns what the client raises into our errors; a request that is wrong (400) stays as it is.

    Raises:
        StoreUnavailable: no answer in time, no entry, no such index, or not now.
        RecordRefused: the whole request is too large for whoever stands before Elasticsearch.
    """
    try:
        yield
    except TransportError as error:
        raise StoreUnavailable(
            f"{_address(client)} does not answer: {_short(error)}: start it, or set "
            "LEARNER_ELASTICSEARCH__URL"
        ) from None
    except ApiError as error:
        if error.status_code == 413:
            raise RecordRefused(f"Elasticsearch: {said(error)}") from None
        if error.status_code == 400:
            raise
        raise StoreUnavailable(
            f"{_address(client)} says {error.status_code}: {said(error)}"
        ) from None


async def hits(
    client: AsyncElasticsearch,
    index: str,
    query: Callable[[], Mapping[str, Any]],
    sort: Sequence[Any] = ("_shard_doc",),
    fields: Sequence[str] = ("*",),
) -> AsyncGenerator[Mapping[str, Any], None]:
    """All that match, page by page, as the index was when it was first asked.

    ``query()`` is asked anew for each page and may leave out what is no longer wanted; ``fields``
    are those of ``_source`` to read.

    Raises:
        StoreUnavailable: nobody answers, or there is no such index.
    """
    with answering(client):
        pit = (await client.open_point_in_time(index=index, keep_alive=_PIT))["id"]
    try:
        after: list[Any] | None = None
        while True:
            with answering(client):
                page = await client.search(
                    pit={"id": pit, "keep_alive": _PIT},
                    query=query(),
                    sort=sort,
                    source={"includes": list(fields)},
                    search_after=after,
                    size=_PAGE,
                    track_total_hits=False,
                )
            found = page["hits"]["hits"]
            for hit in found:
                yield hit
            if len(found) < _PAGE:
                return
            after, pit = found[-1]["sort"], page["pit_id"]
    finally:
        with suppress(ApiError, TransportError):  # it ends by itself
            await client.close_point_in_time(id=pit)


def reason_of(error: Mapping[str, Any]) -> str:
    """Why, of an error object of Elasticsearch's: what failed, then what caused it."""
    causes = (error.get("reason"), error.get("caused_by", {}).get("reason"))
    return ": ".join(_short(cause, 245) for cause in causes if cause) or "no reason given"


def said(error: ApiError) -> str:
    """What Elasticsearch said, on one line of 500 characters at most."""
    return _short(error.message if not isinstance(error.body, dict) else _of_body(error.body))


def _of_body(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return reason_of(error) if isinstance(error, dict) else str(error or body)


def _short(text: object, most: int = 500) -> str:
    return (str(text).splitlines() or [""])[0][:most]


def _address(client: AsyncElasticsearch) -> str:
    (node,) = client.transport.node_pool.all()
    return f"Elasticsearch at {node.base_url}"
