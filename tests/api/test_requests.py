"""Whatever is sent: an answer that the OpenAPI document knows, in bounds, telling nothing."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from api.app import application
from api.latest import Latest
from api.limits import Limits
from api_suite.served import PATIENT, USER, Answer, Caller, Stores, delivery, served
from schemas.export import export
from schemas.fields import TREE_IDS
from schemas.openapi import openapi_document

T = TypeVar("T")
ALL = f"/v1/learners/{USER}/decisions"
DOCUMENT = openapi_document()


def validator(part: Any) -> Any:
    return Draft202012Validator({**part, "components": DOCUMENT["components"]})


def holds(method: str, template: str, answer: Answer) -> None:
    """The document has that status for that request, and its body is as it says."""
    responses = DOCUMENT["paths"][template][method.lower()]["responses"]
    assert str(answer.status) in responses, (answer.status, answer.body)
    response = responses[str(answer.status)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    for name in response.get("headers", {}):
        assert name in answer.headers
    content = response.get("content", {})
    if not content:
        assert answer.body == b""
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in content
    if kind.endswith("json") and answer.body:
        validator(content[kind]["schema"]).validate(answer.json)


@pytest.fixture
async def everything(kept: Stores) -> Any:
    """Somebody whose key opens everything, as often as they like."""
    await kept.tell(delivery(1), delivery(2, "primary_classification"))
    limits = PATIENT._replace(requests_per_second=10_000, requests_at_once=10_000)
    key = await kept.key("decisions:read", "chat:tokens", "metrics:read")
    async with served(kept.settings, key, limits) as caller:
        yield caller


def test_every_path_of_the_service_is_in_the_document() -> None:
    class Bare:
        limits = Limits()

    app = application(Bare())  # type: ignore[arg-type]
    served_ = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {
        (path, method) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert served_ == documented
    operations = [o["operationId"] for m in DOCUMENT["paths"].values() for o in m.values()]
    assert len(set(operations)) == len(operations)


async def test_each_answer_is_as_the_document_says(everything: Caller) -> None:
    asked: list[tuple[str, str, str, dict[str, Any]]] = [
        ("GET", "/v1/learners/{user_id}/decisions", ALL, {}),
        ("GET", "/v1/learners/{user_id}/decisions", ALL, {"headers": {"If-None-Match": "*"}}),
        ("GET", "/v1/learners/{user_id}/decisions", f"{ALL}?wait=x", {}),
        ("GET", "/v1/learners/{user_id}/decisions", ALL.replace(USER[:8], "0" * 8), {}),
        ("GET", "/v1/learners/{user_id}/decisions/{tree_id}", f"{ALL}/{TREE_IDS[0]}", {}),
        ("GET", "/v1/learners/{user_id}/decisions/{tree_id}", f"{ALL}/x", {}),
        ("GET", "/v1/learners/{user_id}/decisions/events", f"{ALL}/events",
         {"headers": {"Accept": "text/html"}}),
        ("POST", "/v1/chat/tokens", "/v1/chat/tokens", {"json": {"user_id": USER}}),
        ("POST", "/v1/chat/tokens", "/v1/chat/tokens",
         {"json": {"user_id": USER, "role": "expert"}}),
        ("POST", "/v1/chat/tokens", "/v1/chat/tokens", {"json": {}}),
        ("POST", "/v1/chat/tokens", "/v1/chat/tokens", {"data": "x"}),
        ("GET", "/openapi.json", "/openapi.json", {}),
        ("GET", "/metrics", "/metrics", {}),
        ("GET", "/healthz", "/healthz", {}),
        ("GET", "/readyz", "/readyz", {}),
    ]  # fmt: skip
    for method, template, path, how in asked:
        answer = await everything.ask(method, path, **how)
        holds(method, template, answer)
        for name in ("X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"):
            assert answer.headers[name]
        assert "aiohttp" not in answer.headers["Server"]
        assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache")


async def test_the_document_is_served_as_it_is_checked_in(
    everything: Caller, tmp_path: Any
) -> None:
    export(tmp_path)
    answer = await everything.get("/openapi.json")
    assert answer.json == json.loads((tmp_path / "openapi.json").read_text())


def test_the_document_is_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    refs = set(_refs(DOCUMENT))
    assert len(refs) > 15
    for ref in refs:
        found: Any = DOCUMENT
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            named = {
                DOCUMENT["components"]["parameters"][p["$ref"].rpartition("/")[2]]["name"]
                for p in operation.get("parameters", ())
            }
            assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= named
            for status, response in operation["responses"].items():
                assert 200 <= int(status) < 600
                assert "$ref" in response or response["description"]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    used = {ref for ref in refs if "/responses/" in ref or "/parameters/" in ref}
    there = {
        f"#/components/{kind}/{name}"
        for kind in ("responses", "parameters")
        for name in DOCUMENT["components"][kind]
    }
    assert used == there
    example_ = DOCUMENT["paths"]["/v1/learners/{user_id}/decisions/{tree_id}"]["get"]["responses"][
        "200"
    ]["content"]["application/json"]
    validator(example_["schema"]).validate(example_["example"])


def _refs(part: Any) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from _refs(inner)


VISIBLE = st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#")
SEGMENT = st.one_of(
    st.sampled_from(["v1", "learners", USER, "decisions", "events", "chat", "tokens", "..", ".", "",
                     "%2e%2e", "%00", "%ff", "%0d%0aX:%20y", "metrics", "healthz", *TREE_IDS]),
    st.text(VISIBLE, max_size=30),
)  # fmt: skip
PATH = st.lists(SEGMENT, max_size=7).map(lambda parts: "/" + "/".join(parts))
KNOWN_PATH = st.sampled_from([ALL, f"{ALL}/{TREE_IDS[0]}", f"{ALL}/events", "/v1/chat/tokens",
                              "/metrics", "/healthz", "/readyz", "/openapi.json"])  # fmt: skip
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
QUERY = st.one_of(
    st.just(""),
    st.dictionaries(st.sampled_from(["wait", "x"]), st.text(VISIBLE), max_size=2).map(
        lambda query: "?" + "&".join(f"{k}={v}" for k, v in query.items())
    ),
    st.sampled_from(["?wait=0", "?wait=0.1", "?wait=0&wait=0", "?wait=60.001", "?", "?=", "?%"]),
)
HEADERS = st.dictionaries(
    st.sampled_from(["If-None-Match", "Last-Event-ID", "Accept", "Accept-Encoding", "Range",
                     "X-Forwarded-For", "Content-Type", "Cookie", "Origin", "Expect-CT"]),
    PRINTABLE.map(str.strip),
    max_size=4,
)  # fmt: skip
METHOD = st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X"])
BODY = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), PRINTABLE),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"user_id": st.sampled_from([USER, "x", 1])},
        optional={"role": st.sampled_from(["learner", "expert", "", 0]), "seconds": st.integers(),
                  "name": st.none() | PRINTABLE, "course_id": PRINTABLE, "more": st.none()},
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip


def test_any_request_has_an_answer_of_ours(kept_settings: Any) -> None:
    """One service for all of them, since to start one for each takes most of the time."""
    settings_, key = kept_settings
    limits = PATIENT._replace(
        requests_per_second=1e6, requests_at_once=10**6, refusals_per_second=1e6,
        refusals_at_once=10**6, stream_seconds=0.05, heartbeat_seconds=0.05,
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    seen: set[int] = set()
    service = served(settings_, key, limits)
    caller = run(service.__aenter__())
    try:

        @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
        @given(METHOD, KNOWN_PATH | PATH, QUERY, HEADERS, BODY, st.booleans())
        @example("GET", ALL, "?wait=" + "9" * 3000, {}, None, True)
        @example("GET", "/" + "a" * 2047, "", {}, None, True)
        @example("GET", "/" + "a" * 2048, "", {}, None, True)
        @example("GET", ALL, "", {"Cookie": "a" * 8000}, None, True)
        @example(
            "POST", "/v1/chat/tokens", "", {"Content-Type": "application/json"}, b"[" * 4000, True
        )
        @example(
            "POST", "/v1/chat/tokens", "", {"Content-Type": "application/json"}, b"x" * 5000, True
        )
        @example(
            "POST",
            "/v1/chat/tokens",
            "",
            {"Content-Type": "application/json"},
            json.dumps({"user_id": USER, "name": "\ud800"}).encode(),
            True,
        )
        @example("GET", f"{ALL}/%69ntervention_strategy", "", {}, None, True)
        @example("POST", "/v1/chat/tokens", "", {"Content-Type": "text/plain"}, b"{}", True)
        @example("POST", "/v1/chat/tokens", "", {"Content-Type": "application/json"}, b"{}", True)
        @example("PUT", ALL, "", {}, None, True)
        @example("GET", ALL + "/x", "", {}, None, True)
        @example("GET", ALL, "", {}, None, False)
        def ask(
            method: str, path: str, query: str, headers: dict[str, str], body: bytes | None,
            with_key: bool,
        ) -> None:  # fmt: skip
            asking = caller if with_key else caller.as_who_has(None)
            answer = run(asking.ask(method, path + query, headers=headers, data=body))
            seen.add(answer.status)
            assert answer.status < 500, answer.body
            open_paths = ("/healthz", "/readyz", "/metrics")
            if not with_key and not path.startswith(open_paths):
                assert answer.status in (400, 401, 414, 431)
            if answer.status == 400 and answer.headers["Content-Type"].startswith("text/plain"):
                return  # it was no HTTP: answered by the parser
            if answer.status >= 400 and method != "HEAD":
                problem = answer.word
                assert problem
            for template in DOCUMENT["paths"]:
                if path == template.replace("{user_id}", USER).replace("{tree_id}", TREE_IDS[0]):
                    known = DOCUMENT["paths"][template]
                    if method.lower() in known and answer.status != 405:
                        holds(method, template, answer)

        ask()
    finally:
        run(service.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
    assert {200, 400, 401, 404, 405, 413, 414, 415, 422, 431} <= seen  # it got somewhere


@pytest.fixture
def kept_settings(redis_server: Any, database: Any) -> Any:
    from api_suite.served import empty_stores  # noqa: PLC0415

    async def fill() -> Any:
        async with empty_stores(redis_server, database) as stores:
            await stores.tell(delivery(1), delivery(2, "primary_classification"))
            return stores.settings, await stores.key("decisions:read", "chat:tokens")

    return asyncio.run(fill())


async def raw(caller: Caller, *sent: bytes, wait: float = 5.0) -> bytes:
    """What comes back for these very bytes, until the other side closes or says no more."""
    host, _, port = caller.base.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in sent:
        writer.write(part)
        await writer.drain()
    got = b""
    try:
        async with asyncio.timeout(wait):
            while data := await reader.read(65_536):
                got += data
    except (TimeoutError, ConnectionResetError):
        pass
    writer.close()
    return got


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://example.org/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer lk_\x00\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"POST /v1/chat/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/chat/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_of_ours_gets_nothing(
    caller: Caller, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answered = await raw(caller, sent, wait=1.0)
    assert answered == b"" or answered.startswith((b"HTTP/1.1 40", b"HTTP/1.0 40"))
    assert b"Traceback" not in answered
    assert (await caller.get("/healthz")).status == 200
    assert "Bearer lk_" not in caplog.text
    assert [r for r in caplog.records if r.name.startswith("learner.api.http")] == []


async def test_a_body_that_does_not_come_is_not_waited_for(kept: Stores) -> None:
    key = await kept.key("chat:tokens")
    async with served(kept.settings, key, PATIENT._replace(body_seconds=0.3)) as caller:
        sent = (
            f"POST /v1/chat/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert (await raw(caller, sent.encode(), wait=1.5)).startswith(b"HTTP/1.1 408 ")


async def test_who_connects_and_says_nothing_is_let_go(kept: Stores) -> None:
    async with served(kept.settings, None, PATIENT._replace(idle_seconds=0.3)) as caller:
        async with asyncio.timeout(10):
            assert await raw(caller, b"GET /healthz HTTP/1.1\r\nHo", wait=9) == b""


async def test_too_much_of_everything_is_said(kept: Stores, caller: Caller) -> None:
    asked: list[tuple[str, dict[str, str], int, str]] = [
        (f"{ALL}?wait={'1' * 2100}", {}, 414, "path-too-long"),
        (ALL, {"Cookie": "x" * 8000}, 431, "headers-too-large"),
    ]
    for path, headers, status, word in asked:
        answer = await caller.ask("GET", path, headers=headers)
        assert (answer.status, answer.word) == (status, word)
    holder = caller.as_who_has(await kept.key("chat:tokens"))
    answer = await holder.ask("POST", "/v1/chat/tokens", json={"user_id": "x" * 5000})
    assert (answer.status, answer.word) == (413, "too-large")
    answer = await caller.ask("PUT", ALL)
    assert (answer.status, answer.word) == (405, "method")
    assert "GET" in answer.headers["Allow"]


async def test_a_key_may_ask_so_often(kept: Stores) -> None:
    limits = PATIENT._replace(requests_per_second=1.0, requests_at_once=3)
    async with served(kept.settings, await kept.key(), limits) as caller:
        answers = [await caller.get(ALL) for _ in range(6)]
        assert [answer.status for answer in answers[:3]] == [404] * 3
        assert answers[-1].word == "too-many-requests"
        assert answers[-1].headers["Retry-After"] == "1"
        another = caller.as_who_has(await kept.key())
        assert (await another.get(ALL)).status == 404
        await asyncio.sleep(1.1)
        assert (await caller.get(ALL)).status == 404


async def test_so_many_may_wait(kept: Stores) -> None:
    async with served(
        kept.settings, await kept.key(), PATIENT._replace(waiters_of_a_key=2)
    ) as caller:
        asked = {asyncio.create_task(caller.get(f"{ALL}?wait=30")) for _ in range(3)}
        async with asyncio.timeout(20):
            (refused,), waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            assert ((await refused).status, (await refused).word) == (429, "too-many-waiters")
            assert (await caller.get(f"{ALL}/events")).status == 429
            assert (await caller.get(ALL)).status == 404  # who does not wait needs no seat
            waiting.pop().cancel()  # who leaves makes room
            while (await caller.get(f"{ALL}?wait=0.01")).status == 429:
                await asyncio.sleep(0.05)
            await kept.tell(delivery(1))
            assert (await waiting.pop()).status == 200


async def test_metrics_are_for_this_machine_or_for_a_key(kept: Stores) -> None:
    async with served(kept.settings) as nobody:
        await nobody.get(ALL)
        answer = await nobody.get("/metrics")
        assert answer.status == 200
        assert b'learner_api_keys_refused_total{reason="missing"} 1.0' in answer.body
        assert b"{user_id}" in answer.body
        assert USER.encode() not in answer.body
        for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
            answer = await nobody.ask("GET", "/metrics", headers={header: "127.0.0.1"})
            assert answer.status == 401
        reader = nobody.as_who_has(await kept.key("metrics:read"))
        assert (await reader.ask("GET", "/metrics", headers={"Via": "x"})).status == 200
        other = nobody.as_who_has(await kept.key("decisions:read"))
        assert (await other.ask("GET", "/metrics", headers={"Via": "x"})).status == 403


async def test_a_bug_of_ours_is_a_500_that_tells_nothing(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Latest:
        raise RuntimeError(f"secret of {USER}")

    monkeypatch.setattr("api.service.latest_of", broken)
    answer = await caller.get(ALL)
    assert (answer.status, answer.word) == (500, "failed")
    assert b"secret" not in answer.body
