"""The gateway with a real Kafka, worker and Redis: each message once, in order, to who is there."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest
import redis.asyncio
from example_chat.stack import chat_settings, gateway_at
from example_chat.talk import Talk, new_user, talking, token_of

from chat.gateway import run_gateway
from chat.live_queue import channel_of
from chat.pages import SECURITY_HEADERS
from config.settings import Settings
from faults.committed_records import committed_records
from schemas.chat import ENDED
from schemas.errors import BrokerUnavailable, InvalidSetting
from schemas.topics import EVENTS
from servers.store_server import StoreServer


def events_of(settings: Settings, user_id: str) -> list[dict[str, Any]]:
    """What stands on learner.events of a learner, in order."""
    kafka = settings.kafka
    found = committed_records(kafka.bootstrap_servers, EVENTS, kafka.partitions)
    values = [orjson.loads(m.value()) for records in found.values() for m in records]
    return [value for value in values if value["user_id"] == user_id]


async def session_of(talk: Talk) -> str:
    return str((await talk.next("welcome"))["session_id"])


async def test_a_message_is_accepted_and_comes_back(gateway: str) -> None:
    user = new_user()
    async with talking(gateway, token_of(user)) as talk:
        session = await session_of(talk)
        id = await talk.say("I don't understand fractions")
        accepted = await talk.next("accepted", id=id)
        echo = await talk.next("message")
    assert echo["event_id"] == accepted["event_id"]
    assert echo["message_text"] == "I don't understand fractions"
    assert echo["message_direction"] == "user"
    assert (echo["user_id"], echo["session_id"]) == (user, session)


async def test_a_browser_shows_its_token_as_a_subprotocol(gateway: str) -> None:
    protocols = ("learner-chat", token_of(new_user()))
    options: dict[str, Any] = {"headers": {"Origin": gateway}, "protocols": protocols}
    async with talking(gateway, "", **options) as talk:
        assert talk.ws.protocol == "learner-chat"
        await talk.next("welcome")


async def test_what_is_said_becomes_an_event_with_what_its_words_tell(
    gateway: str, chat_kafka: Settings
) -> None:
    user = new_user()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    token = token_of(user, course_id="algebra")
    headers = {"Authorization": f"Bearer {token}", "traceparent": trace}
    async with talking(gateway, token, headers=headers) as talk:
        await talk.say("I'm confused, can I get a hint?", topic_id="fractions")
        await talk.next("message")
        session = await session_of(talk)
    started, said = events_of(chat_kafka, user)
    assert (started["type"], started["activity_type"]) == ("session.started", "chat")
    assert said["type"] == "chat.message"
    assert {started["session_id"], said["session_id"]} == {session}
    assert {started["course_id"], said["course_id"]} == {"algebra"}
    assert said["contextual_topic_id"] == "fractions"
    assert said["hint_used"]
    assert "confusing" in said["feedback_flags"]
    assert said["source"] == "chat-gateway"
    assert said["traceparent"].split("-")[1] == trace.split("-")[1]
    assert said["traceparent"].split("-")[2] != trace.split("-")[2]


async def test_sent_again_it_is_the_same_message(gateway: str, chat_kafka: Settings) -> None:
    user, token = (user := new_user()), token_of(user)
    async with talking(gateway, token, session="s") as talk:
        await talk.say("once", id="m1")
        await talk.say("once", id="m1")
        await talk.until(lambda: len(talk.of("accepted", id="m1")) == 2)
        await talk.next("message")
        await talk.say("once", id="m1")
        await talk.until(lambda: len(talk.of("accepted", id="m1")) == 3)
    async with talking(gateway, token, session="s") as again:
        await again.say("once", id="m1")
        await again.say("twice", id="m2")
        await again.until(lambda: "twice" in again.texts)
        assert again.texts == ["once", "twice"]
        assert len({f["event_id"] for f in again.of("accepted", id="m1")}) == 1
    folded = {e["event_id"] for e in events_of(chat_kafka, user) if e["type"] == "chat.message"}
    assert len(folded) == 2


async def test_messages_stay_in_the_order_in_which_they_were_sent(gateway: str) -> None:
    async with talking(gateway, token_of(new_user())) as talk:
        texts = [f"message {number}" for number in range(10)]
        for text in texts:
            await talk.say(text)
        await talk.until(lambda: len(talk.texts) == 10)
        assert talk.texts == texts


async def test_every_connection_of_a_session_is_shown_it_and_nobody_else(gateway: str) -> None:
    user, token = (user := new_user()), token_of(user)
    async with (
        talking(gateway, token, session="s") as one,
        talking(gateway, token, session="s") as two,
        talking(gateway, token, session="t") as other_session,
        talking(gateway, token_of(new_user()), session="s") as other_user,
    ):
        await one.say("from one")
        await two.until(lambda: two.texts)
        await two.say("from two")
        await one.until(lambda: len(one.texts) == 2)
        await two.until(lambda: len(two.texts) == 2)
        await other_session.say("another session")
        await other_user.say("another user")
        await other_session.until(lambda: other_session.texts)
        await other_user.until(lambda: other_user.texts)
    assert one.texts == two.texts == ["from one", "from two"]
    assert other_session.texts == ["another session"]
    assert other_user.texts == ["another user"]


async def test_who_comes_back_is_shown_what_they_missed_once(gateway: str) -> None:
    user, token = (user := new_user()), token_of(user)
    async with talking(gateway, token, session="s") as first:
        await first.say("one")
        await first.until(lambda: first.texts)
    async with talking(gateway, token, session="s") as elsewhere:
        for text in ("two", "three"):
            await elsewhere.say(text)
        await elsewhere.until(lambda: len(elsewhere.texts) == 3)
    async with talking(gateway, token, session="s", after=first.last_id) as again:
        await again.say("four")
        await again.until(lambda: "four" in again.texts)
        assert again.texts == ["two", "three", "four"]
        assert again.of("notice") == []
    ids = [frame["id"] for frame in (*first.of("message"), *again.of("message"))]
    assert ids == sorted(set(ids))


async def test_two_gateways_are_one_chat(chat_with: Any) -> None:
    user, token = (user := new_user()), token_of(user)
    async with gateway_at(chat_with()) as a, gateway_at(chat_with()) as b:
        async with talking(a, token, session="s") as here, talking(b, token, session="s") as there:
            await here.say("from here")
            await there.until(lambda: there.texts)
            await there.say("from there")
            await here.until(lambda: len(here.texts) == 2)
            await there.until(lambda: len(there.texts) == 2)
    assert here.of("message") == there.of("message")


async def test_an_ended_session_takes_no_more(gateway: str, chat_kafka: Settings) -> None:
    user, token = (user := new_user()), token_of(user)
    async with talking(gateway, token, session="s") as talk:
        await talk.say("hello")
        await talk.until(lambda: talk.texts)
        await talk.send({"type": "end"})
        await talk.until(lambda: len(talk.texts) == 2)
        end = talk.of("message")[-1]
        assert (end["message_direction"], end["responder"]) == ("system", "gateway")
        assert end["feedback_flags"] == [ENDED]
        id = await talk.say("one more")
        assert (await talk.next("refused"))["code"] == "ended"
        assert talk.of("refused")[0]["id"] == id
    async with talking(gateway, token, session="s", after=talk.last_id) as again:
        await again.say("and now?")
        assert (await again.next("refused"))["code"] == "ended"
    told = events_of(chat_kafka, user)
    types = ["session.started", "chat.message", "chat.message", "session.ended"]
    assert [event["type"] for event in told] == types
    assert {event["session_id"] for event in told} == {"s"}


async def test_a_session_without_a_word_can_be_ended(gateway: str, chat_kafka: Settings) -> None:
    user = new_user()
    async with talking(gateway, token_of(user)) as talk:
        await talk.send({"type": "end"})
        await talk.until(lambda: talk.texts)
    types = [event["type"] for event in events_of(chat_kafka, user)]
    assert types == ["session.started", "chat.message", "session.ended"]


async def test_pieces_of_an_answer_are_passed_on_to_its_session(
    gateway: str, redis_server: StoreServer
) -> None:
    user, token = (user := new_user()), token_of(user)
    piece = {
        "type": "token", "user_id": user, "session_id": "s", "in_reply_to": new_user(),
        "position": 0, "text": "Look", "restart": False,
    }  # fmt: skip
    bad: list[Any] = [
        b"not JSON", b"[" * 5000, orjson.dumps(piece | {"session_id": "t"}),
        orjson.dumps(piece | {"text": "x" * 70_000}), orjson.dumps({"type": "pong"}),
        orjson.dumps(piece | {"extra": 1}),
    ]  # fmt: skip
    async with (
        redis.asyncio.Redis.from_url(redis_server.url) as client,
        talking(gateway, token, session="s") as talk,
        talking(gateway, token, session="t") as other,
    ):
        await talk.say("why?")
        await talk.until(lambda: talk.texts)
        await other.say("and?")
        await other.until(lambda: other.texts)
        channel = channel_of(user, "s")
        while (await client.pubsub_numsub(channel))[0][1] == 0:
            await asyncio.sleep(0.02)
        for raw in (*bad, orjson.dumps(piece)):
            await client.publish(channel, raw)
        notice = {"type": "notice", "code": "llm_away", "text": "A simpler answer follows."}
        await client.publish(channel, orjson.dumps(notice))
        await talk.next("notice")
        assert talk.of("token") == [piece]
        assert other.of("token") == []


async def test_a_token_that_expires_ends_the_connection(gateway: str) -> None:
    async with talking(gateway, token_of(new_user(), seconds=2)) as talk:
        await talk.next("welcome")
        assert await talk.until_closed() == 4401


async def test_a_ping_is_answered(gateway: str) -> None:
    async with talking(gateway, token_of(new_user())) as talk:
        await talk.send({"type": "ping"})
        await talk.next("pong")
        await talk.ws.ping()


async def test_who_answers_no_ping_is_let_go(chat_with: Any) -> None:
    async with gateway_at(chat_with(heartbeat_seconds=1)) as url:
        async with talking(url, token_of(new_user()), autoping=False) as silent:
            assert await silent.until_closed() == 1006
        async with talking(url, token_of(new_user())) as talk:
            await talk.next("welcome")
            await asyncio.sleep(2.5)
            await talk.say("still here")
            await talk.until(lambda: talk.texts)


async def test_a_gateway_that_stops_sends_everybody_elsewhere(chat_with: Any) -> None:
    async with gateway_at(chat_with()) as url:
        client = aiohttp.ClientSession()
        headers = {"Authorization": f"Bearer {token_of(new_user())}"}
        ws = await client.ws_connect(f"{url}/ws", headers=headers)
        talk = Talk(ws)
        await talk.next("welcome")
    assert await talk.until_closed() == 1001
    await client.close()


async def test_it_is_well_and_says_what_it_does(gateway: str) -> None:
    async with (
        talking(gateway, token_of(new_user())) as talk,
        aiohttp.ClientSession(gateway) as client,
    ):
        await talk.say("hello")
        await talk.until(lambda: talk.texts)
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status == 200
        text = await (await client.get("/metrics")).text()
        assert 'learner_chat_connections{role="learner"} 1.0' in text
        assert 'learner_chat_messages_total{direction="in"} 1.0' in text
        assert "learner_chat_echo_seconds_count 1.0" in text
        page = await client.get("/")
        assert page.content_type == "text/html"
        assert SECURITY_HEADERS.items() <= dict(page.headers).items()
        assert (await client.get("/ws")).status == 426
        assert (await client.get("/nothing")).status == 404


@pytest.mark.parametrize("secret", [None, "short", "x" * 31])
async def test_without_a_good_secret_it_does_not_start(secret: str | None) -> None:
    settings = Settings(_env_file=None, chat={"token_secret": secret})
    with pytest.raises(InvalidSetting, match="LEARNER_CHAT__TOKEN_SECRET"):
        await run_gateway(settings, asyncio.Event(), lambda *_: None)


async def test_without_kafka_it_does_not_start() -> None:
    kafka = Settings(_env_file=None, kafka={"bootstrap_servers": "127.0.0.1:9"})
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:9"):
        await run_gateway(
            chat_settings(kafka, "redis://127.0.0.1:9"), asyncio.Event(), lambda *_: None
        )
