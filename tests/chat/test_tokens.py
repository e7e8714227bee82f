"""Tokens for the chat: what we signed is good for as long as it says, and nothing else is."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.tokens import MAX_TOKEN_BYTES, ChatToken, claimed_user, sign_token, verify_token
from schemas.errors import InvalidSetting, TokenRefused

SECRET = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
USER = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLAIMS: dict[str, Any] = {
    "sub": USER,
    "role": "learner",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 60,
    "aud": "learner-chat",
}


def forged(claims: dict[str, Any], key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


def without_signature(claims: dict[str, Any], algorithm: str) -> str:
    parts = ({"alg": algorithm, "typ": "JWT"}, claims)
    return (
        ".".join(
            base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
        )
        + "."
    )


def test_what_was_signed_is_read_back() -> None:
    token = sign_token(SECRET, USER.upper(), "expert", NOW, 60, name="Ada", course_id="algebra")
    assert verify_token(SECRET, token, NOW) == ChatToken(
        USER, "expert", "Ada", "algebra", NOW, NOW + timedelta(seconds=60)
    )


@pytest.mark.parametrize("letter", ["a", '"', "ж", "𝒜"])
def test_the_longest_that_is_signed_is_read_back(letter: str) -> None:
    name, course_id = letter * 100, letter * 255
    token = sign_token(SECRET, USER, "learner", NOW, 86_400, name, course_id)
    assert verify_token(SECRET, token, NOW)[2:4] == (name, course_id)
    assert len(token) < 2_300


def test_it_is_good_until_it_expires() -> None:
    token = sign_token(SECRET, USER, "learner", NOW, 60)
    assert verify_token(SECRET, token, NOW + timedelta(seconds=59)).user_id == USER
    with pytest.raises(TokenRefused, match="expired"):
        verify_token(SECRET, token, NOW + timedelta(seconds=60))


def test_clocks_may_be_a_minute_apart() -> None:
    token = sign_token(SECRET, USER, "learner", NOW, 600)
    assert verify_token(SECRET, token, NOW - timedelta(seconds=60)).user_id == USER
    with pytest.raises(TokenRefused, match="clocks"):
        verify_token(SECRET, token, NOW - timedelta(seconds=61))


REFUSED = {
    "another secret": forged(CLAIMS, OTHER),
    "no signature": without_signature(CLAIMS, "none"),
    "no signature, capital": without_signature(CLAIMS, "NONE"),
    "signature left out": without_signature(CLAIMS, "HS256"),
    "another algorithm": forged(CLAIMS, SECRET * 2, "HS512"),
    "another audience": forged(CLAIMS | {"aud": "learner-api"}),
    "several audiences": forged(CLAIMS | {"aud": ["learner-chat", "x"]}),
    "no audience": forged({k: v for k, v in CLAIMS.items() if k != "aud"}),
    "no end": forged({k: v for k, v in CLAIMS.items() if k != "exp"}),
    "no beginning": forged({k: v for k, v in CLAIMS.items() if k != "iat"}),
    "nobody": forged({k: v for k, v in CLAIMS.items() if k != "sub"}),
    "no learner's id": forged(CLAIMS | {"sub": "admin"}),
    "unknown role": forged(CLAIMS | {"role": "admin"}),
    "unknown claim": forged(CLAIMS | {"scope": "all"}),
    "end that is no number": forged(CLAIMS | {"exp": "never"}),
    "fraction of a second": forged(CLAIMS | {"exp": CLAIMS["exp"] + 0.5}),
    "end far beyond all time": forged(CLAIMS | {"exp": 10**30}),
    "good for ever": forged(CLAIMS | {"exp": CLAIMS["exp"] + 86_400}),
    "ends before it begins": forged(CLAIMS | {"exp": CLAIMS["iat"] - 1}),
    "name with a line break": forged(CLAIMS | {"name": "Ada\nEve"}),
    "name of 101 characters": forged(CLAIMS | {"name": "a" * 101}),
    "oversized": forged(CLAIMS | {"name": "a" * MAX_TOKEN_BYTES}),
    "empty": "",
    "dots": "..",
    "not ASCII": "é.é.é",
    "a list": jwt.api_jws.encode(b"[]", SECRET, "HS256"),
    "nested too deep": jwt.api_jws.encode(b"[" * 1_000, SECRET, "HS256"),
}  # fmt: skip


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify_token(SECRET, token, NOW)


def test_the_claims_that_the_others_are_made_of_are_good() -> None:
    assert verify_token(SECRET, forged(CLAIMS), NOW).role == "learner"


def test_what_was_wrong_is_said_without_the_token() -> None:
    token = forged(CLAIMS, OTHER)
    with pytest.raises(TokenRefused) as refused:
        verify_token(SECRET, token, NOW)
    assert token not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.text(max_size=300))
def test_no_text_is_a_token(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify_token(SECRET, token, NOW)


@given(st.integers(0, 10_000), st.sampled_from("abcdefghijklmnopqrstuvwxyzABCXYZ0189-_."))
def test_a_token_with_one_character_changed_is_refused(at: int, character: str) -> None:
    token = sign_token(SECRET, USER, "learner", NOW, 60)
    at %= token.rindex(".") + 40  # the last characters of a signature hold spare bits
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        with pytest.raises(TokenRefused):
            verify_token(SECRET, changed, NOW)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_short_secret_is_not_used(secret: str) -> None:
    with pytest.raises(InvalidSetting, match="LEARNER_CHAT__TOKEN_SECRET"):
        sign_token(secret, USER, "learner", NOW, 60)
    with pytest.raises(InvalidSetting, match="LEARNER_CHAT__TOKEN_SECRET"):
        verify_token(secret, forged(CLAIMS), NOW)


@pytest.mark.parametrize(
    ("subject", "role", "seconds", "name"),
    [
        ("admin", "learner", 60, None),
        (USER, "admin", 60, None),
        (USER, "learner", 0, None),
        (USER, "learner", 86_401, None),
        (USER, "learner", 60, ""),
        (USER, "learner", 60, "a\nb"),
    ],
)
def test_what_would_be_refused_is_not_signed(
    subject: str, role: Any, seconds: int, name: str | None
) -> None:
    with pytest.raises(ValueError, match=r"token|Claims"):
        sign_token(SECRET, subject, role, NOW, seconds, name=name)


def test_who_holds_a_token_may_ask_whom_it_is_for() -> None:
    assert claimed_user(sign_token(OTHER, USER, "learner", NOW, 60)) == USER
    assert claimed_user(forged({"sub": USER.upper()})) == USER
    for nothing in ("", "x.y.z", "a\udcae.c", forged({"role": "learner"})):
        with pytest.raises(TokenRefused):
            claimed_user(nothing)
