"""Every error that this project raises on purpose.

LearnerError
├── RejectedEvent      a record that is not a valid event (it becomes a dead letter)
├── InvalidTree        a tree document that cannot decide
├── EditRefused        an edit of a tree that is not made, or came second
├── InvalidRecord      a decision, example or snapshot that is not what it claims to be
├── InvalidInput       a file or folder that a command cannot read
├── BrokerUnavailable  Kafka, or one of its topics, is not there
├── Fenced             another process has taken this one's place
├── StoreUnavailable   a store does not answer now; the same may succeed later
├── StateInUse         a folder of state that another process has open
├── RecordRefused      a store takes no such record (it becomes a dead letter)
├── TokenRefused       a token for the chat that is not good
└── InvalidSetting     a setting that cannot be used

`LeftInDoubt` is none of them: it says that this process has to end, whatever the reason was.
"""

from __future__ import annotations

from schemas.dead_letter import DeadLetterReason


class LearnerError(Exception):
    """Root of our errors: its text is for the person who gets it, and says what to do."""


class RejectedEvent(LearnerError):
    """A record that is not a valid event.

    Args:
        reason: the class of the fault, counted and shown by it.
        detail: what was wrong and where, at most 2,000 characters.
    """

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail[:2000]


class InvalidTree(LearnerError):
    """A tree document that cannot decide: unknown feature, cycle, missing leaf."""


class EditRefused(LearnerError):
    """An edit of a tree that is not made: why, and what there is instead."""


class InvalidRecord(LearnerError):
    """A decision, example or snapshot that is not what it claims to be."""


class InvalidInput(LearnerError):
    """A file or folder that a command cannot read: which, where in it, and why."""


class BrokerUnavailable(LearnerError):
    """Kafka, or one of its topics, is not there."""


class Fenced(LearnerError):
    """Another process has taken this one's place; what this one would still send is refused."""


class StoreUnavailable(LearnerError):
    """A store does not answer, or not now: which, where, and what it said."""


class StateInUse(LearnerError):
    """A folder of state that another process has open: which."""


class RecordRefused(LearnerError):
    """A store takes no such record, however often it is tried: its text is the store's reason."""


class TokenRefused(LearnerError):
    """A token for the chat that is not good: forged, expired, or for something else."""


class InvalidSetting(LearnerError):
    """A setting that cannot be used: which one, its value, and what it takes."""


class LeftInDoubt(Exception):
    """A process had to leave its work, for the reason that is its ``__cause__``: end it without any
    further clean-up, which might still commit what is in doubt, or wait for what never comes."""
