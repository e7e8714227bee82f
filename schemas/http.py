"""What goes over HTTP between us and the services that call us, besides the records themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from schemas.contract import Contract
from schemas.delivery import Delivery
from schemas.fields import Identifier, UserId, UtcTime

ChatRole = Literal["learner", "expert"]
DisplayName = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=100)
]
"""What others in a chat are shown."""

LONGEST_TOKEN_SECONDS = 86_400
TokenSeconds = Annotated[int, Field(ge=1, le=LONGEST_TOKEN_SECONDS)]


class LatestDecisions(Contract):
    """The latest delivery of a learner by each tree that has one.

    ``complete`` is false when Redis knows of no decision by some tree and PostgreSQL, which would
    know for sure, is away. ``cache_hit`` in a delivery: whether it came from Redis.
    """

    user_id: UserId
    complete: bool
    decisions: tuple[Delivery, ...]


class ChatTokenRequest(Contract):
    """Who is to be let into the chat. ``seconds``: how long the token is good for.

    ``course_id``: the one course it is good for; any when not given.
    """

    user_id: UserId
    role: ChatRole = "learner"
    name: DisplayName | None = None
    course_id: Identifier | None = None
    seconds: TokenSeconds = 3600


class ChatTokenAnswer(Contract):
    """``token`` goes to the learner's browser, and from there to the chat gateway."""

    token: str
    expires_at: UtcTime


class ProblemDocument(Contract):
    """An error (RFC 9457), as ``application/problem+json``.

    ``type`` is ``urn:learner:problem:`` and a word that never changes, for a program to go by;
    ``title`` is that of the status; ``detail`` is for a person.
    """

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str


latest_adapter: TypeAdapter[LatestDecisions] = TypeAdapter(LatestDecisions)
token_request_adapter: TypeAdapter[ChatTokenRequest] = TypeAdapter(ChatTokenRequest)
token_answer_adapter: TypeAdapter[ChatTokenAnswer] = TypeAdapter(ChatTokenAnswer)
problem_adapter: TypeAdapter[ProblemDocument] = TypeAdapter(ProblemDocument)
