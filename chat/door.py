"""Lets WebSockets in, and keeps each until it ends.

Who is not let in gets a WebSocket that is closed at once with a code that says why: of anything
else a browser tells its page nothing. Only where the page itself may not connect, or the gateway
is full, there is none.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from datetime import UTC, datetime

import structlog
from aiohttp import hdrs, web

from chat.admission import SUBPROTOCOL, Asked, Caller, NotAdmitted, admit
from chat.connection import EXPIRED, GOING_AWAY, TOO_MANY, Connection, Ending
from chat.expert import ExpertDesk
from chat.expert_absence import ExpertAbsence
from chat.frame_loop import FrameLoop, FrameRates
from chat.learner import LearnerSession
from chat.services import Services
from chat.session_events import Session
from schemas.chat_frames import Welcome, expert_frames, learner_frames
from schemas.http import ChatRole

log = structlog.get_logger(__name__)

MOST_OF_ONE = 10
"""Connections of one learner or expert at this gateway."""
_CLOSE_SECONDS = 2.0
_GOODBYE_SECONDS = 5.0


class Door:
    """``most``: connections in all."""

    def __init__(self, services: Services, absence: ExpertAbsence, secret: str, most: int) -> None:
        self._services, self._absence = services, absence
        self._secret, self._most = secret, most
        self._open: set[Connection] = set()
        self._of_one: Counter[str] = Counter()
        self._rates = FrameRates(services.settings, most)
        self._left = asyncio.Event()
        self.closing = False
        self.let_in = 0
        """Connections since the start."""

    async def learner(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "learner")

    async def expert(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "expert")

    async def close(self) -> None:
        """Everybody is told to connect again, elsewhere."""
        self.closing = True
        for connection in self._open:
            connection.close(GOING_AWAY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                while self._open:
                    self._left.clear()
                    await self._left.wait()

    async def _serve(self, request: web.Request, role: ChatRole) -> web.StreamResponse:
        metrics, settings = self._services.metrics, self._services.settings
        if self.closing or len(self._open) >= self._most:
            metrics.refused("full")
            return _plain(503, "the gateway is full or stops: try again", {"Retry-After": "2"})
        if not _speaks_ours(request):
            return _plain(400, f"the first subprotocol is {SUBPROTOCOL}")
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=settings.heartbeat_seconds,
            max_msg_size=settings.max_frame_bytes,
            timeout=_CLOSE_SECONDS,
            compress=False,  # costs 50 kB and more for each connection
            autoping=False,  # a pong waits in line like all else
            decode_text=False,
        )
        if not _is_websocket(ws, request):
            return _plain(426, "a WebSocket (RFC 6455) is served here", {hdrs.UPGRADE: "websocket"})
        refused: NotAdmitted | None = None
        try:
            caller = admit(
                _asked(request), role, self._secret, settings.allowed_origins, datetime.now(UTC)
            )
            if self._of_one[caller.token.user_id] >= MOST_OF_ONE:
                text = f"at most {MOST_OF_ONE} connections at once"
                raise NotAdmitted(TOO_MANY, "too_many", text)
        except NotAdmitted as not_admitted:
            refused = not_admitted
            metrics.refused(refused.reason)
            if refused.code == 403:
                return _plain(403, refused.text)
        transport = request.transport
        await ws.prepare(request)
        connection = Connection(ws, transport, settings.queued_frames, settings.heartbeat_seconds)
        self._open.add(connection)
        try:
            if refused is not None:
                connection.close(Ending(refused.code, refused.reason, refused.text))
                await ws.receive()
            else:
                await self._keep(ws, connection, caller, role)
        finally:
            connection.gone()
            self._open.discard(connection)
            self._left.set()
        return ws

    async def _keep(
        self, ws: web.WebSocketResponse, connection: Connection, caller: Caller, role: ChatRole
    ) -> None:
        user_id, expires_at = caller.token.user_id, caller.token.expires_at
        loop, metrics = asyncio.get_running_loop(), self._services.metrics
        left = (expires_at - datetime.now(UTC)).total_seconds()
        expiry = loop.call_later(left, connection.close, EXPIRED)
        self.let_in += 1
        self._of_one[user_id] += 1
        metrics.connected(role)
        reason = "failed"
        try:
            serve = self._learner if role == "learner" else self._expert
            reason = await serve(ws, connection, caller)
        finally:
            expiry.cancel()
            self._of_one[user_id] -= 1
            if not self._of_one[user_id]:
                del self._of_one[user_id]
            metrics.disconnected(role, reason)

    async def _learner(
        self, ws: web.WebSocketResponse, connection: Connection, caller: Caller
    ) -> str:
        services, token = self._services, caller.token
        session_id = caller.session_id or secrets.token_urlsafe(16)
        session = Session(token.user_id, session_id, token.course_id, caller.trace_id)
        member = LearnerSession(services, connection, session, caller.after)
        self._welcome(connection, session_id)
        services.rooms.join(member)
        if caller.session_id:
            services.history.read_for(member)
        else:
            member.live = True  # a session that did not exist has missed nothing
            member.known.set()
        try:
            loop = FrameLoop(
                connection,
                caller.token.user_id,
                self._rates,
                services.metrics,
                learner_frames,
                member.take,
            )
            return await loop.run(ws)
        finally:
            services.rooms.leave(member)
            services.echoes.forget(member)

    async def _expert(
        self, ws: web.WebSocketResponse, connection: Connection, caller: Caller
    ) -> str:
        services = self._services
        desk = ExpertDesk(services, connection, caller.token)
        self._welcome(connection, "")
        self._absence.came(desk.expert)
        try:
            loop = FrameLoop(
                connection,
                caller.token.user_id,
                self._rates,
                services.metrics,
                expert_frames,
                desk.take,
            )
            return await loop.run(ws)
        finally:
            self._absence.left(desk.expert)
            desk.leave()

    def _welcome(self, connection: Connection, session_id: str) -> None:
        seconds = self._services.settings.heartbeat_seconds
        connection.tell(Welcome(session_id=session_id, heartbeat_seconds=seconds))


def _speaks_ours(request: web.Request) -> bool:
    """By the first line of the header: aiohttp takes no other, and would log a token there."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    return offered is None or SUBPROTOCOL in _names(offered)


def _names(line: str) -> list[str]:
    return [name.strip() for name in line.split(",")]


def _asked(request: web.Request) -> Asked:
    headers = request.headers
    protocols = headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return Asked(
        host=headers.get(hdrs.HOST, ""),
        origins=headers.getall(hdrs.ORIGIN, []),
        authorizations=headers.getall(hdrs.AUTHORIZATION, []),
        protocols=[name for line in protocols for name in _names(line)],
        traceparents=headers.getall("traceparent", []),
        query=list(request.query.items()),
    )


def _is_websocket(ws: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return bool(ws.can_prepare(request))
    except ValueError:  # aiohttp's own, of a Sec-WebSocket-Key that is not ASCII
        return False


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=headers)
