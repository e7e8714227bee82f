"""What a responder is: it writes the answer to one message of a learner, piece by piece.

An answer is a sequence of `Part`: a `Start` says who writes it now, text follows. Another `Start`
voids what was shown before, as somebody else, or the same one, begins anew. A `Notice` is told to
the learner beside it. Every answer ends within its time and has text after its last `Start`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.chat import ENDED, JOINED, LEFT, ChatRecord
from schemas.chat_frames import GatewayFrame, Notice, Token
from schemas.fields import MessageDirection

BUILT_IN = "built-in"
MAX_ANSWER_CHARACTERS = 6_000
"""Of the 8,000 that a message may have."""

_CHANGES_HANDS = frozenset((JOINED, LEFT, ENDED))
_UNSEEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs"))
_KEPT = frozenset("\n\t\u200c\u200d")
"""Line ends, and the joiners that some scripts are not written without."""


class Said(NamedTuple):
    """An earlier message of the session."""

    direction: MessageDirection
    text: str
    responder: str = ""


class Turn(NamedTuple):
    """A learner's message that is to be answered; ``recent``: those before it, oldest first."""

    record: ChatRecord
    recent: tuple[Said, ...] = ()


class Start(NamedTuple):
    """An answer begins; ``hint_used``: it is a hint."""

    responder: str
    hint_used: bool = False


Part = Start | Notice | str


class Responder(Protocol):
    """Whoever answers. ``answer`` is closed (`aclose`) when it is not wanted any more."""

    def answer(self, turn: Turn) -> AsyncGenerator[Part, None]: ...


class Draft:
    """An answer as it grows: takes its parts, and says what to show of each."""

    def __init__(self, record: ChatRecord) -> None:
        self._record = record
        self._text = ""
        self.start = Start(BUILT_IN)

    @property
    def text(self) -> str:
        return self._text.strip()

    def take(self, part: Part) -> GatewayFrame | None:
        """The frame for whoever has the session open, ``None`` if there is nothing to show.

        Text beyond `MAX_ANSWER_CHARACTERS` is cut off, and what nobody can see is left out.
        """
        if isinstance(part, Notice):
            return part
        if isinstance(part, Start):
            shown, self._text, self.start = bool(self._text), "", part
            return self._token("") if shown else None
        piece = plain(part)[: MAX_ANSWER_CHARACTERS - len(self._text)]
        frame = self._token(piece) if piece else None
        self._text += piece
        return frame

    def _token(self, piece: str) -> Token:
        # Every beginning voids what may be there: perhaps of one that died while it wrote.
        record = self._record
        return Token(
            user_id=record.user_id,
            session_id=record.session_id,
            in_reply_to=record.event_id,
            position=len(self._text),
            text=piece,
            restart=not self._text,
        )


def plain(text: str) -> str:
    """The text without signs that nobody sees: controls, direction marks, tags, halves of pairs.

    An attacker could hide words from the person, or from us, with them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join([char for char in text if char in _KEPT or not _unseen(char)])


def _unseen(char: str) -> bool:
    # The supplement of variation selectors is marks to Unicode, and can carry whole texts.
    return unicodedata.category(char) in _UNSEEN or "\U000e0100" <= char <= "\U000e01ef"


def said_before(
    messages: Sequence[ChatRecord], asked: ChatRecord, given: Mapping[str, Said]
) -> tuple[Said, ...]:
    """The session up to the message that is asked about, each answer behind what it answers.

    Args:
        messages: of the session, in the order of ``chat.messages``: an answer may stand behind
            messages that were sent while it was written.
        given: answers, by the message's ``event_id``, that are on their way to ``messages``.
    """
    answers: dict[str, list[Said]] = {}
    for message in messages:
        if message.message_direction == "system" and message.in_reply_to is not None:
            answers.setdefault(message.in_reply_to, []).append(_said(message))
    before: list[Said] = []
    questions = {m.event_id for m in messages if m.message_direction == "user"}
    for message in messages:
        if message.event_id == asked.event_id:
            break
        if message.message_direction == "user":
            before.append(_said(message))
            own = given.get(message.event_id)
            before += answers.get(message.event_id, [own] if own else [])
        elif message.in_reply_to not in questions and not _CHANGES_HANDS.intersection(
            message.feedback_flags
        ):
            before.append(_said(message))
    return tuple(before)


def _said(message: ChatRecord) -> Said:
    return Said(message.message_direction, message.message_text, message.responder)
