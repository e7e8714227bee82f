"""A learner's end of the chat without a page: what `learner chat` does. A client in 150 lines.

Messages that were not accepted are sent again after every new connection, under the same id; what
was missed comes by asking for all after the last id seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
import orjson
from pydantic import ValidationError

from chat.ending_tasks import first_of
from schemas.chat import ENDED
from schemas.chat_frames import (
    Accepted,
    GatewayFrame,
    Message,
    Notice,
    Refused,
    Token,
    Welcome,
    gateway_frames,
)
from schemas.errors import InvalidInput, TokenRefused

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_TRY_AGAIN_SECONDS = 2.0
_GOODBYE_SECONDS = 5.0
_FOR_GOOD = (4400, 4401, 4403, 4429)
_REFUSED, _FULL = (400, 401, 403), 503
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")

Show = Callable[[str, str], None]
"""Called with who speaks and what they say, ready for a terminal."""


class TerminalChat:
    """One session.

    Args:
        url: of a gateway, http(s)://….
        session: to go on with; "" for a new one.
        show: a whole message.
        show_piece: a piece of an answer as it is written: with whom, and what to add.
    """

    def __init__(
        self, url: str, token: str, session: str, show: Show, show_piece: Show | None = None
    ) -> None:
        self._url, self._token = url.rstrip("/"), token
        self.session = session
        self._show, self._show_piece = show, show_piece
        self._outbox: dict[str, dict[str, str]] = {}
        self._unanswered: set[str] = set()
        self._shown: set[str] = set()
        self._written: dict[str, str] = {}
        self._last_id = -1
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._changed = asyncio.Event()
        self._ended = False
        self._began = False

    async def run(self, lines: asyncio.Queue[str | None], wait_seconds: float) -> None:
        """Says each line; after ``None`` waits so long for answers, then ends the session.

        Raises:
            TokenRefused: the gateway does not let us in.
            InvalidInput: there is no gateway.
        """
        connected = asyncio.create_task(self._stay_connected())
        speaking = asyncio.create_task(self._speak(lines, wait_seconds))
        await first_of([connected, speaking])

    async def _speak(self, lines: asyncio.Queue[str | None], wait_seconds: float) -> None:
        while (line := await lines.get()) is not None:
            if line.strip():
                id_ = secrets.token_hex(8)
                said_at = datetime.now(UTC).isoformat()
                self._outbox[id_] = {"type": "say", "id": id_, "text": line, "sent_at": said_at}
                await self._say(id_)
        await self._until(lambda: not self._outbox and not self._unanswered, wait_seconds)
        if self._ws is not None and not self._ended:
            await self._send({"type": "end"})
            await self._until(lambda: self._ended, _GOODBYE_SECONDS)

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()

    async def _stay_connected(self) -> None:
        pause = _FIRST_PAUSE
        async with aiohttp.ClientSession() as client:
            while not self._ended:
                self._began = False
                try:
                    await self._follow(client)
                except (aiohttp.ClientError, OSError) as error:
                    status = getattr(error, "status", None)
                    if status in _REFUSED:
                        raise TokenRefused(f"{self._url} answers {status}") from None
                    if not self.session and status != _FULL:
                        raise InvalidInput(
                            f"there is no chat gateway at {self._url} ({error}): start one with "
                            "`learner gateway`, or name another with --url"
                        ) from None
                if self._ended:
                    return
                pause = _FIRST_PAUSE if self._began else min(2 * pause, _LONGEST_PAUSE)
                self._show("", "connection lost, trying again")
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311

    async def _follow(self, client: aiohttp.ClientSession) -> None:
        query: dict[str, str | int] = {"session": self.session} if self.session else {}
        if self._last_id >= 0:
            query["after"] = self._last_id
        headers = {"Authorization": f"Bearer {self._token}"}
        async with client.ws_connect(
            f"{self._url}/ws", params=query, headers=headers, heartbeat=30
        ) as ws:
            self._ws = ws
            try:
                async for message in ws:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self.take(message.data)
            finally:
                self._ws = None
            if ws.close_code in _FOR_GOOD:
                raise TokenRefused(
                    f"the gateway does not let you in (close code {ws.close_code}): is the token "
                    "good, and a learner's?"
                )

    async def take(self, raw: str | bytes) -> None:
        """A frame of the gateway; what is none that we know is passed over."""
        match frame_in(raw):
            case Welcome() as frame:
                self._began = True
                self.session = frame.session_id
                for id_ in list(self._outbox):
                    await self._say(id_)
            case Accepted() as frame:
                if self._outbox.pop(frame.id, None) is not None:
                    self._unanswered.add(frame.event_id)
            case Message() as frame:
                self._message(frame)
            case Token() as frame:
                self._piece(frame)
            case Notice() as frame:
                self._show("", printable(frame.text))
            case Refused() as frame:
                self._refused(frame)
        self._changed.set()

    def _message(self, frame: Message) -> None:
        if frame.event_id in self._shown or frame.id <= self._last_id:
            return
        self._last_id = frame.id
        self._shown.add(frame.event_id)
        answered = frame.in_reply_to or ""
        self._unanswered.discard(answered)
        self._ended = self._ended or ENDED in frame.feedback_flags
        text = printable(frame.message_text)
        written = self._written.pop(answered, "")
        if self._show_piece is not None and written:
            goes_on = text.startswith(written)
            self._show_piece("", (text[len(written) :] if goes_on else "…") + "\n")
            if goes_on:
                return
        if frame.message_direction == "system":
            self._show(_author(frame.responder), text)

    def _piece(self, frame: Token) -> None:
        """Only where the piece before ended: what is missing comes with the whole message."""
        answered = frame.in_reply_to
        written = self._written.get(answered, "")
        if self._show_piece is not None and frame.position == len(written):
            text = printable(frame.text)
            self._show_piece("" if written else "tutor", text)
            self._written[answered] = written + text

    def _refused(self, frame: Refused) -> None:
        id_ = frame.id or ""
        if frame.code in ("too_fast", "not_accepted") and id_ in self._outbox:
            loop = asyncio.get_running_loop()
            loop.call_later(_TRY_AGAIN_SECONDS, lambda: loop.create_task(self._say(id_)))
        else:
            self._outbox.pop(id_, None)
            self._show("", f"not sent: {printable(frame.text)}")

    async def _say(self, id_: str) -> None:
        if id_ in self._outbox:
            await self._send(self._outbox[id_])

    async def _send(self, frame: dict[str, str]) -> None:
        if self._ws is not None and not self._ws.closed:
            # What was not accepted is sent again.
            with contextlib.suppress(ConnectionError):
                await self._ws.send_str(orjson.dumps(frame).decode())


def printable(text: str) -> str:
    """Without signs that could steer a terminal, or turn the direction of what follows; of the
    same length."""
    return "".join(
        "\ufffd"
        if (unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t")
        or unicodedata.bidirectional(sign) in _TURNS
        else sign
        for sign in text
    )


def frame_in(raw: str | bytes) -> GatewayFrame | None:
    """``None`` for what is no frame, or one of a newer gateway; what it adds to ours is ignored."""
    try:
        return gateway_frames.validate_json(raw, extra="ignore")
    except ValidationError:
        return None


def _author(responder: str) -> str:
    if responder.startswith("expert:"):
        return printable(responder.removeprefix("expert:"))
    return "" if responder == "gateway" else "tutor"
