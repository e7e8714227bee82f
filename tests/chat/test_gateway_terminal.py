"""`learner chat`: talking from a terminal and from a pipe, and what a terminal must not be sent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from example_chat.gateway_process import GatewayProcess
from example_chat.stack import gateway_at
from example_chat.talk import SECONDS, new_user, token_of
from example_chat.tutor import Tutor

from chat.terminal import TerminalChat, printable
from config.settings import Settings
from faults.command_process import environment
from schemas.errors import InvalidInput, TokenRefused
from servers.kafka import free_ports


class Terminal:
    """A person at it: what they type, and what they see."""

    def __init__(self, url: str, token: str, *, pieces: bool = False, session: str = "") -> None:
        self.lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.seen: list[tuple[str, str]] = []
        self.written = ""
        show_piece = self._show_piece if pieces else None
        self.chat = TerminalChat(url, token, session, self._show, show_piece)
        self._came = asyncio.Event()

    def type(self, *lines: str | None) -> None:
        for line in lines:
            self.lines.put_nowait(line)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(SECONDS):
            while not holds():
                self._came.clear()
                await self._came.wait()

    def _show(self, who: str, text: str) -> None:
        self.seen.append((who, text))
        self._came.set()

    def _show_piece(self, who: str, text: str) -> None:
        self.written += f"{who}: {text}" if who else text
        self._came.set()


async def question(tutor: Tutor) -> str:
    """The last one, once Redis has it."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return tutor.last_question()
            except ValueError:
                await asyncio.sleep(0.05)


async def test_lines_are_said_and_answers_shown(chat_with: Any) -> None:
    user, settings = new_user(), chat_with()
    async with gateway_at(settings) as url:
        terminal = Terminal(url, token_of(user), session="s")
        running = asyncio.create_task(terminal.chat.run(terminal.lines, SECONDS))
        terminal.type("why?", "  ")
        tutor = Tutor(settings, user, "s")
        asked = await question(tutor)
        terminal.type(None)
        tutor.answer(asked, "Because.")
        await running
    assert terminal.seen == [("tutor", "Because."), ("", "The session has ended.")]


async def test_an_answer_is_shown_as_it_is_written(chat_with: Any) -> None:
    user, settings = new_user(), chat_with()
    async with gateway_at(settings) as url:
        terminal = Terminal(url, token_of(user), session="s", pieces=True)
        running = asyncio.create_task(terminal.chat.run(terminal.lines, SECONDS))
        terminal.type("why?")
        tutor = Tutor(settings, user, "s")
        asked = await question(tutor)
        tutor.piece(asked, 0, "Be")
        tutor.piece(asked, 2, "cau")
        await terminal.until(lambda: terminal.written == "tutor: Becau")
        tutor.answer(asked, "Because.")
        await terminal.until(lambda: terminal.written == "tutor: Because.\n")
        terminal.type("and?")
        await asyncio.sleep(0.5)
        asked = await question(tutor)
        tutor.piece(asked, 0, "Wrong")
        await terminal.until(lambda: terminal.written.endswith("tutor: Wrong"))
        tutor.answer(asked, "Right.")
        await terminal.until(lambda: ("tutor", "Right.") in terminal.seen)
        terminal.type(None)
        await running


async def test_it_goes_on_at_the_gateway_that_comes_back(chat_with: Any, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    user, settings = new_user(), chat_with(port=port)
    process = GatewayProcess(settings, tmp_path / "gateway.log")
    try:
        terminal = Terminal(process.url, token_of(user))
        running = asyncio.create_task(terminal.chat.run(terminal.lines, 0))
        terminal.type("one")
        async with asyncio.timeout(SECONDS):
            while not terminal.chat.session:
                await asyncio.sleep(0.05)
        tutor = Tutor(settings, user, terminal.chat.session)
        asked = await question(tutor)
        process.kill()
        await terminal.until(lambda: ("", "connection lost, trying again") in terminal.seen)
        terminal.type("two")
        tutor.answer(asked, "missed")
        await asyncio.to_thread(process.start)
        await terminal.until(lambda: ("tutor", "missed") in terminal.seen)
        terminal.type(None)
        await running
        assert ("", "The session has ended.") in terminal.seen
        assert terminal.seen.count(("tutor", "missed")) == 1
    finally:
        process.kill()


async def test_a_bad_token_or_no_gateway_is_told(gateway: str) -> None:
    for token in ("x.y.z", token_of(new_user(), "expert", name="Ada")):
        with pytest.raises(TokenRefused):
            await Terminal(gateway, token).chat.run(asyncio.Queue(), 1)
    with pytest.raises(InvalidInput, match="learner gateway"):
        await Terminal("http://127.0.0.1:9", token_of(new_user())).chat.run(asyncio.Queue(), 1)


async def test_a_gateway_that_is_full_is_tried_again() -> None:
    answers = [503, 503, 401]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=answers.pop(0))

    app = web.Application()
    app.router.add_get("/ws", answer)
    async with TestServer(app) as server:
        chat = TerminalChat(str(server.make_url("/")), "x", "", lambda *_: None)
        with pytest.raises(TokenRefused, match="401"):
            await asyncio.wait_for(chat.run(asyncio.Queue(), 1), SECONDS)
    assert answers == []


async def test_the_command_talks_through_a_pipe(chat_with: Any) -> None:
    user, settings = new_user(), chat_with()
    async with gateway_at(settings) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", "chat", user, "--url", url, "--session", "s",
            "--wait", "0",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=environment(settings),
        )  # fmt: skip
        async with asyncio.timeout(60):
            assert process.stdin
            process.stdin.write(b"hello\n")
            tutor = Tutor(settings, user, "s")
            asked = await question(tutor)
            tutor.answer(asked, "Hello \x1b[31myou\x1b[0m!")
            assert process.stdout
            said = (await process.stdout.readline()).decode()
            process.stdin.close()
            _, complaints = await process.communicate()
        assert said == "tutor: Hello \ufffd[31myou\ufffd[0m!\n"
        assert process.returncode == 0, complaints
        assert b"session s" in complaints


async def test_the_command_needs_a_token_or_the_secret(fresh_settings: Settings) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "chat", new_user(),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env=environment(fresh_settings),
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"LEARNER_CHAT__TOKEN_SECRET" in said


@pytest.fixture
def fresh_settings() -> Settings:
    return Settings(_env_file=None)


def test_nothing_that_steers_a_terminal_is_printed() -> None:
    text = "a\tb\nc\x1b]0;owned\x07\x9b31m\r\u202edcba\u2066"
    assert printable(text) == "a\tb\nc\ufffd]0;owned\ufffd\ufffd31m\ufffd\ufffddcba\ufffd"
    for good in ("👩\u200d🚀", "می\u200cخواهم", "naïve", "e\u0301"):
        assert printable(good) == good


async def test_a_frame_that_a_terminal_does_not_know_is_passed_over() -> None:
    terminal = Terminal("http://127.0.0.1:9", "")
    for frame in (b"", b"<html>", b"[]", b'{"type":"weather"}', b'{"type":"notice"}'):
        await terminal.chat.take(frame)
    assert terminal.seen == []
    newer = '{"type":"notice","code":"llm_away","text":"away","until":"9:00"}'
    await terminal.chat.take(newer)
    assert terminal.seen == [("", "away")]
