"""Tokens by which a learner or an expert connects to the chat: signed by us, short-lived (JWT).

The LMS gets one over HTTP (``POST /v1/chat/tokens``) and hands it to the learner's browser, which
shows it to the gateway. Both know one secret; the token itself holds none.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

import jwt
from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import InvalidSetting, TokenRefused
from schemas.fields import Identifier, UserId
from schemas.http import LONGEST_TOKEN_SECONDS, ChatRole, DisplayName

AUDIENCE = "learner-chat"
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
"""As many as the digest has (RFC 7518, 3.2)."""
MAX_TOKEN_BYTES = 3_072
"""The longest name and course, 4 bytes to a character, make a token of 2,300."""
_CLOCKS_APART = timedelta(seconds=60)
"""By how much the signer's clock may be ahead of the gateway's."""

_Instant = Annotated[int, Field(strict=True, ge=0, le=253_402_300_799)]  # until the year 9999


class ChatToken(NamedTuple):
    """Who holds the token. ``course_id``: the one course it is good for; any when ``None``."""

    user_id: str
    role: ChatRole
    name: str | None
    course_id: str | None
    issued_at: datetime
    expires_at: datetime


class _Utf8Encoder(json.JSONEncoder):
    """PyJWT's own writes 6 to 12 bytes for a letter that is not ASCII."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "ensure_ascii": False})


class _Claims(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sub: UserId
    role: ChatRole
    name: DisplayName | None = None
    course_id: Identifier | None = None
    iat: _Instant
    exp: _Instant
    aud: Literal["learner-chat"]


def sign_token(  # noqa: PLR0913, PLR0917  # the claims
    secret: str,
    subject: str,
    role: ChatRole,
    issued_at: datetime,
    seconds: int,
    name: str | None = None,
    course_id: str | None = None,
) -> str:
    """A token that is good for ``seconds`` (1 to 86,400) from ``issued_at``.

    Args:
        secret: ``LEARNER_CHAT__TOKEN_SECRET``, 32 bytes or more.
        subject: the ``user_id``, a UUID.
        name: what others in the chat are shown, at most 100 characters.

    Raises:
        InvalidSetting: the secret is too short to sign with.
        ValueError: what the token would say is none of the above.
    """
    if not 1 <= seconds <= LONGEST_TOKEN_SECONDS:
        raise ValueError(
            f"a token is good for 1 to {LONGEST_TOKEN_SECONDS:,} seconds, not {seconds:,}"
        )
    begins = int(issued_at.timestamp())
    claims = _Claims.model_validate(
        {
            "sub": subject,
            "role": role,
            "name": name,
            "course_id": course_id,
            "iat": begins,
            "exp": begins + seconds,
            "aud": AUDIENCE,
        }
    )
    told = claims.model_dump(exclude_none=True)
    return jwt.encode(told, _key(secret), ALGORITHM, json_encoder=_Utf8Encoder)


def verify_token(secret: str, token: str, now: datetime) -> ChatToken:
    """Who holds the token, if we signed it and ``now`` it is good.

    Raises:
        TokenRefused: forged, expired, for something else, or no token at all.
        InvalidSetting: the secret is too short.
    """
    key = _key(secret)
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused(f"a token has at most {MAX_TOKEN_BYTES:,} characters")
    claims = _claims(key, token)
    issued_at = datetime.fromtimestamp(claims.iat, UTC)
    expires_at = datetime.fromtimestamp(claims.exp, UTC)
    if issued_at > now + _CLOCKS_APART:
        raise TokenRefused("the token is not good yet: one of the two clocks is wrong")
    if not issued_at < expires_at <= issued_at + timedelta(seconds=LONGEST_TOKEN_SECONDS):
        raise TokenRefused(
            f"the token is good for more than {LONGEST_TOKEN_SECONDS:,} seconds, or for none"
        )
    if expires_at <= now:
        raise TokenRefused("the token has expired; get a new one")
    return ChatToken(claims.sub, claims.role, claims.name, claims.course_id, issued_at, expires_at)


def claimed_user(token: str) -> str:
    """Whom a token is for, by its own word: enough for who holds it, not for who is shown it.

    Raises:
        TokenRefused: it is no token.
    """
    try:
        return str(jwt.decode(token, options={"verify_signature": False})["sub"]).lower()
    except (jwt.PyJWTError, KeyError, ValueError, RecursionError):
        raise TokenRefused("this is no token of ours") from None


def check_secret(secret: str) -> None:
    """Raises: InvalidSetting, if that is too short to sign with."""
    _key(secret)


def _claims(key: bytes, token: str) -> _Claims:
    try:
        # The times are checked by the caller, whose clock it is.
        told: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            options={
                "require": ["sub", "iat", "exp", "aud"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        return _Claims.model_validate(told)
    except jwt.InvalidAudienceError:
        raise TokenRefused(f"the token is not for the chat ({AUDIENCE})") from None
    except (jwt.PyJWTError, ValueError, RecursionError):
        # Also ValidationError. What was wrong with a forged token is not told.
        raise TokenRefused("this is no token of ours") from None


def _key(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < MIN_SECRET_BYTES:
        raise InvalidSetting(
            f"LEARNER_CHAT__TOKEN_SECRET: {MIN_SECRET_BYTES} characters or more are needed, e.g. "
            "from `openssl rand -hex 32`"
        )
    return key
