"""Keys: who is let in, for how long, and what is told to who is not."""

from __future__ import annotations

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from api import keys as api_keys
from api.keys import GRACE_SECONDS, KeyRefused, Keys
from api_suite.served import OTHER, USER, Caller, Stores, delivery, served
from schemas.errors import StoreUnavailable
from sinks.postgres_connection import connected
from sinks.service_keys import SCOPES, ServiceKey, split_key

ALL = f"/v1/learners/{USER}/decisions"
KEY_ID, SECRET = "0123456789abcdef", "s" * 43
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class World:
    """A clock, and PostgreSQL with one key in it, or none, or away."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.row: ServiceKey | None = ServiceKey(
            KEY_ID, "x", sha256(SECRET.encode()).digest(), ("decisions:read",), NOW, None, None
        )
        self.away = False
        self.asked = 0
        self.keys = Keys(self.find, 10.0, lambda: self.seconds, lambda: NOW)

    async def find(self, key_id: str) -> ServiceKey | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return self.row if self.row and key_id == self.row.key_id else None

    def change(self, **fields: Any) -> None:
        assert self.row is not None
        self.row = self.row._replace(**fields)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_key_is_looked_up_once_in_its_time(world: World) -> None:
    for _ in range(3):
        assert (await world.keys.check(KEY_ID, SECRET)).key_id == KEY_ID
    assert world.asked == 1
    world.seconds += 9.9
    await world.keys.check(KEY_ID, SECRET)
    assert world.asked == 1
    world.seconds += 0.1
    await world.keys.check(KEY_ID, SECRET)
    assert world.asked == 2


async def test_who_ask_at_the_same_time_ask_once(world: World) -> None:
    await asyncio.gather(*(world.keys.check(KEY_ID, SECRET) for _ in range(50)))
    assert world.asked == 1


async def test_one_who_leaves_does_not_end_it_for_the_others(world: World) -> None:
    first = asyncio.create_task(world.keys.check(KEY_ID, SECRET))
    second = asyncio.create_task(world.keys.check(KEY_ID, SECRET))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).key_id == KEY_ID


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"revoked_at": NOW}, "revoked"),
        ({"expires_at": NOW}, "expired"),
        ({"secret_sha256": bytes(32)}, "unknown"),
        ({"key_id": "f" * 16}, "unknown"),
    ],
)
async def test_what_ends_a_key_is_noticed_in_time(
    world: World, change: dict[str, Any], reason: str
) -> None:
    await world.keys.check(KEY_ID, SECRET)
    world.change(**change)
    world.seconds += 10
    with pytest.raises(KeyRefused) as refused:
        await world.keys.check(KEY_ID, SECRET)
    assert refused.value.reason == reason


async def test_a_key_expires_at_its_time_remembered_or_not(world: World) -> None:
    today = NOW
    keys = Keys(world.find, 10.0, lambda: world.seconds, lambda: today)
    world.change(expires_at=NOW + timedelta(seconds=1))
    await keys.check(KEY_ID, SECRET)
    today += timedelta(seconds=1)
    with pytest.raises(KeyRefused, match="expired"):
        await keys.check(KEY_ID, SECRET)
    assert world.asked == 1


async def test_how_a_key_ended_is_told_only_to_who_has_its_secret(world: World) -> None:
    for change in ({"revoked_at": NOW}, {"expires_at": NOW}):
        world.keys = Keys(world.find, 0.0)
        world.change(**change)
        with pytest.raises(KeyRefused) as refused:
            await world.keys.check(KEY_ID, "t" * 43)
        assert refused.value.reason == "unknown"


async def test_while_postgres_is_away_a_known_key_goes_on_for_a_while(world: World) -> None:
    await world.keys.check(KEY_ID, SECRET)
    world.away = True
    world.seconds += GRACE_SECONDS
    assert world.keys.any_trusted
    await world.keys.check(KEY_ID, SECRET)
    with pytest.raises(KeyRefused):
        await world.keys.check(KEY_ID, "t" * 43)
    world.seconds += 0.1
    assert not world.keys.any_trusted
    with pytest.raises(StoreUnavailable):
        await world.keys.check(KEY_ID, SECRET)


async def test_while_postgres_is_away_nothing_is_said_of_an_unknown_key(world: World) -> None:
    with pytest.raises(KeyRefused):
        await world.keys.check("f" * 16, SECRET)  # there is none: that is known
    world.away = True
    world.seconds += 10
    for key_id in ("f" * 16, KEY_ID):
        with pytest.raises(StoreUnavailable):
            await world.keys.check(key_id, SECRET)


async def test_a_key_that_was_made_meanwhile_is_found_in_time(world: World) -> None:
    row, world.row = world.row, None
    with pytest.raises(KeyRefused):
        await world.keys.check(KEY_ID, SECRET)
    world.row = row
    world.seconds += 10
    await world.keys.check(KEY_ID, SECRET)


async def test_guesses_do_not_fill_the_memory_nor_push_out_keys(world: World) -> None:
    await world.keys.check(KEY_ID, SECRET)
    for number in range(3_000):
        with pytest.raises(KeyRefused):
            await world.keys.check(f"{number:016x}", SECRET)
    assert len(world.keys._unknown) == api_keys._MOST_UNKNOWN
    asked = world.asked
    await world.keys.check(KEY_ID, SECRET)
    assert world.asked == asked


async def test_secrets_are_compared_in_constant_time_also_of_keys_that_do_not_exist(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr("sinks.service_keys.compare_digest", compare)
    for key_id in (KEY_ID, "f" * 16):
        with pytest.raises(KeyRefused):
            await world.keys.check(key_id, "t" * 43)
    assert compared == [(32, 32), (32, 32)]


@pytest.mark.parametrize(
    "text",
    ["", "lk_", f"lk_{KEY_ID}", f"lk_{KEY_ID}_", f"lk_{KEY_ID}_{SECRET}s", f"lk_{KEY_ID}_{'é' * 43}",  # noqa: E501
     f"lk_{KEY_ID.upper()}_{SECRET}", f"LK_{KEY_ID}_{SECRET}", f"lk_{KEY_ID}_{SECRET}\n", SECRET,
     f"lk_{KEY_ID}_{'٣' * 43}", f"x lk_{KEY_ID}_{SECRET}"],
)  # fmt: skip
def test_what_cannot_be_a_key_is_not_looked_up(text: str) -> None:
    assert split_key(text) is None


# And over HTTP


async def test_nothing_is_answered_without_a_key(kept: Stores) -> None:
    await kept.tell(delivery(1))
    async with served(kept.settings) as nobody:
        for path in (
            ALL,
            f"{ALL}/intervention_strategy",
            f"{ALL}/events",
            "/openapi.json",
            "/",
            "/v1/learners/x/decisions",
            f"/v1/learners/{OTHER}/decisions",
            "/favicon.ico",
        ):
            answer = await nobody.get(path)
            assert (answer.status, answer.word) == (401, "key-missing"), path
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="learner"'
        assert (await nobody.ask("POST", "/v1/chat/tokens", json={})).status == 401
        assert (await nobody.ask("DELETE", ALL)).status == 401
        assert (await nobody.get("/healthz")).json == {"status": "ok"}
        assert (await nobody.get("/readyz")).json == {"status": "ok"}


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Basic bGs6eA==", "lk_0123456789abcdef_" + "s" * 43,
     "Bearer lk_0123456789abcdef_" + "s" * 42, "Bearer " + "a" * 4000, "Bearer a b c"],
)  # fmt: skip
async def test_what_is_no_key_is_401(kept: Stores, caller: Caller, header: str) -> None:
    answer = await caller.ask("GET", ALL, headers={"Authorization": header})
    assert (answer.status, answer.word) == (401, "key-malformed")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_a_key_of_another_is_401(kept: Stores, caller: Caller) -> None:
    good = await kept.key()
    key_id, secret = split_key(good) or ("", "")
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    for bad in (f"lk_{key_id}_{wrong}", f"lk_{'f' * 16}_{secret}"):
        answer = await caller.as_who_has(bad).get(ALL)
        assert (answer.status, answer.word) == (401, "key-unknown")
        assert answer.json["detail"] == "there is no such key"
    lower = await caller.ask("GET", ALL, headers={"Authorization": f"bearer  {good}"})
    assert lower.status == 404  # let in: the scheme is in any case


async def test_an_expired_key_is_401(kept: Stores, caller: Caller) -> None:
    key = await kept.key(expires_at=datetime.now(UTC) + timedelta(seconds=0.8))
    holder = caller.as_who_has(key)
    assert (await holder.get(ALL)).status == 404
    await asyncio.sleep(0.9)
    answer = await holder.get(ALL)
    assert (answer.status, answer.word) == (401, "key-expired")


async def test_a_revoked_key_stops_within_its_seconds(kept: Stores, caller: Caller) -> None:
    key = await kept.key()
    holder = caller.as_who_has(key)
    assert (await holder.get(ALL)).status == 404
    await kept.sql("UPDATE service_keys SET revoked_at = now()")
    await asyncio.sleep(kept.settings.api.key_seconds)
    answer = await holder.get(ALL)
    assert (answer.status, answer.word) == (401, "key-revoked")


async def test_a_revoked_key_gets_no_answer_that_it_waited_for(
    kept: Stores, caller: Caller
) -> None:
    waiting = asyncio.create_task(caller.get(f"{ALL}?wait=1"))
    await asyncio.sleep(0.3)
    await kept.sql("UPDATE service_keys SET revoked_at = now()")
    await asyncio.sleep(kept.settings.api.key_seconds)
    await kept.tell(delivery(1))
    answer = await waiting
    assert (answer.status, answer.word) == (401, "key-revoked")


async def test_a_revoked_key_s_stream_ends(kept: Stores, caller: Caller) -> None:
    await kept.tell(delivery(1))
    async with caller.events(f"{ALL}/events") as stream:
        await stream.next()
        await kept.sql("UPDATE service_keys SET revoked_at = now()")
        with pytest.raises(EOFError):
            await asyncio.wait_for(stream.next(), 10)


@pytest.mark.parametrize("scope", sorted(set(SCOPES) - {"decisions:read"}))
async def test_a_key_of_another_scope_is_403(kept: Stores, caller: Caller, scope: str) -> None:
    await kept.tell(delivery(1))
    holder = caller.as_who_has(await kept.key(scope))
    for path in (ALL, f"{ALL}/events", f"{ALL}/no_tree", "/v1/learners/x/decisions",
                 f"/v1/learners/{OTHER}/decisions"):  # fmt: skip
        answer = await holder.get(path)
        assert (answer.status, answer.word) == (403, "scope-missing")
        assert "decisions:read" in answer.json["detail"]
    assert (await holder.get("/openapi.json")).status == 200


async def test_who_guesses_is_slowed_down_and_who_has_a_key_is_not(
    kept: Stores, caller: Caller
) -> None:
    assert (await caller.get(ALL)).status == 404
    answers = [
        await caller.as_who_has(f"lk_{number:016x}_{SECRET}").get(ALL) for number in range(22)
    ]
    assert [a.status for a in answers[:20]] == [401] * 20
    assert answers[-1].word == "too-many-refusals"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert (await caller.get(ALL)).status == 404


async def test_who_sends_no_key_keeps_nobody_out_who_has_one(kept: Stores) -> None:
    async with served(kept.settings) as nobody:
        for headers in ({}, {"Authorization": "Bearer x"}):
            for _ in range(25):
                assert (await nobody.ask("GET", ALL, headers=headers)).status == 401
        assert (await nobody.as_who_has(await kept.key()).get(ALL)).status == 404


async def test_no_secret_is_kept_or_logged(
    kept: Stores, caller: Caller, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    await kept.tell(delivery(1))
    key = await kept.key()
    _, secret = split_key(key) or ("", "")
    for path in (ALL, f"{ALL}/no_tree", "/v1/learners/x/decisions"):
        await caller.as_who_has(key).get(path)
    await caller.as_who_has(key[:-1]).get(ALL)
    out, err = capfd.readouterr()
    logged = out + err + caplog.text
    assert "/v1/learners/{user_id}/decisions" in logged
    assert secret not in logged
    assert USER not in logged
    async with connected(kept.settings.postgres) as connection:
        rows = await connection.fetch("SELECT service_keys::text AS said FROM service_keys")
    assert len(rows) == 2
    assert not any(secret in row["said"] for row in rows)
