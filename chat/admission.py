"""Who may connect: by where the page comes from, by the token, and by what they ask for. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from chat.connection import BAD_REQUEST, FORBIDDEN, TOKEN
from chat.tokens import ChatToken, verify_token
from schemas.errors import TokenRefused
from schemas.http import ChatRole

SUBPROTOCOL = "learner-chat"

_BEARER = re.compile(r"Bearer ([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_AFTER = re.compile(r"-1|[0-9]{1,18}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


class Asked(NamedTuple):
    """A request for a WebSocket: each header as often as it was sent, and the query's pairs."""

    host: str
    origins: Sequence[str]
    authorizations: Sequence[str]
    protocols: Sequence[str]
    traceparents: Sequence[str]
    query: Sequence[tuple[str, str]]


class Caller(NamedTuple):
    """Who was let in. ``session_id``: "" if the gateway is to make one; ``after``: the id of the
    last message that they have, -1 for none; ``trace_id``: of the client's own trace."""

    token: ChatToken
    session_id: str
    after: int
    trace_id: str | None


class NotAdmitted(Exception):
    """``code``: WebSocket's close code, or 403 where not even a WebSocket is opened."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason, self.text = code, reason, text


def admit(
    asked: Asked, role: ChatRole, secret: str, allowed_origins: Collection[str], now: datetime
) -> Caller:
    """The caller, if they may connect in this role.

    A browser says from which page it connects: that must be ours or an allowed one. Who names no
    origin is no browser, and can set a header: without one they are not let in either.

    Raises:
        NotAdmitted: why not, in words that hold nothing of the token.
    """
    _check_origin(asked, allowed_origins)
    try:
        token = verify_token(secret, _presented(asked), now)
    except TokenRefused as refused:
        raise NotAdmitted(TOKEN, "token", str(refused)) from None
    if token.role != role:
        raise NotAdmitted(FORBIDDEN, "role", f"this is for an {role}'s token" if role == "expert"
                          else "this is for a learner's token")  # fmt: skip
    session_id, after = _wanted(asked.query, role)
    traced = _TRACEPARENT.fullmatch(asked.traceparents[0]) if asked.traceparents else None
    return Caller(token, session_id, after, traced.group(1) if traced else None)


def _check_origin(asked: Asked, allowed: Collection[str]) -> None:
    if not asked.origins:
        if not asked.authorizations:
            raise NotAdmitted(403, "origin", "say where you come from (Origin), or send the token "
                              "as Authorization: Bearer …")  # fmt: skip
        return
    origin = asked.origins[0]
    if len(asked.origins) > 1 or not (_is_host(origin, asked.host) or origin in allowed):
        raise NotAdmitted(403, "origin", "pages from there may not connect: see "
                          "LEARNER_CHAT__ALLOWED_ORIGINS")  # fmt: skip


def _is_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    port = _DEFAULT_PORT.get(parts.scheme)
    if port is None or origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin:
        return False
    return parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)


def _presented(asked: Asked) -> str:
    """Raises: TokenRefused, if there is no token or more than one."""
    offered = [name.strip() for line in asked.protocols for name in line.split(",")]
    tokens = [name for name in offered if name != SUBPROTOCOL]
    for line in asked.authorizations:
        bearer = _BEARER.fullmatch(line)
        tokens.append(bearer.group(1) if bearer else "")
    if not tokens:
        raise TokenRefused("a token is needed: as the second subprotocol, or as Authorization")
    if len(tokens) > 1:
        raise TokenRefused("one token is needed, not several")
    return tokens[0]


def _wanted(query: Sequence[tuple[str, str]], role: ChatRole) -> tuple[str, int]:
    given = dict(query)
    known = {"session", "after"} if role == "learner" else set[str]()
    if len(given) < len(query) or given.keys() - known:
        said = f"only {' and '.join(sorted(known))}, each once" if known else "nothing"
        raise NotAdmitted(BAD_REQUEST, "query", f"{said} may stand in the query, no token ever")
    session_id, after = given.get("session", ""), given.get("after", "-1")
    if "session" in given and not _SESSION_ID.fullmatch(session_id):
        raise NotAdmitted(BAD_REQUEST, "query", "session: 1 to 64 of A–Z, a–z, 0–9, _ and -")
    if not _AFTER.fullmatch(after):
        raise NotAdmitted(BAD_REQUEST, "query", "after: the id of the last message you have")
    return session_id, int(after)
