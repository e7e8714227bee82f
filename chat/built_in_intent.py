"""What a learner's message asks of the built-in responder, by its words (English)."""

from __future__ import annotations

from typing import Literal, get_args

from schemas.chat import ChatRecord
from schemas.chat_rules import ChatRule, ChatRuleSet
from streams.chat_rules import ChatRules, matched

Intent = Literal[
    "distress", "who-are-you", "hint", "confused", "progress", "next", "too-easy", "understood",
    "thanks", "greeting", "question",
]  # fmt: skip
"""In this order: of several that a message holds the first counts."""

_PHRASES: dict[Intent, tuple[str, ...]] = {
    "distress": (
        "kill myself", "killing myself", "suicid*", "end my life", "hurt myself", "hurting myself",
        "harm myself", "self harm", "cut myself", "want to die", "wanna die", "better off dead",
    ),
    "who-are-you": (
        "who are you", "what are you", "who am i talking to", "who is this", "are you a bot",
        "are you a robot", "are you human", "are you a human", "are you a person", "are you real",
        "are you a real person", "are you a teacher", "are you an ai", "are you ai",
        "are you chatgpt", "am i talking to a bot", "am i talking to a person", "is this a bot",
    ),
    "hint": ("hint", "hints", "clue", "clues", "a tip", "give me a tip", "help me start"),
    "confused": (
        "confus*", "don't understand", "do not understand", "don't get", "i'm lost", "i am lost",
        "stuck", "help", "help me", "makes no sense", "doesn't make sense", "too hard",
        "too difficult", "no idea", "no clue", "i can't do", "explain again", "explain it again",
    ),
    "progress": (
        "how am i doing", "how i am doing", "how i'm doing", "how do i do", "how did i do",
        "how was i", "my progress", "my results", "my scores", "my score", "my grades", "my grade",
        "how good am i", "am i doing well", "am i doing ok", "am i doing okay", "am i on track",
        "where do i stand", "where am i", "my weak topics", "my weakest topic*", "what am i bad at",
        "what am i good at", "my strengths", "my weaknesses",
    ),
    "next": (
        "what next", "what's next", "what is next", "what now", "what should i do", "what do i do",
        "what can i do", "what should i learn", "what should i study", "what should i practise",
        "what should i practice", "what to do", "what to study", "what to learn", "next step*",
        "where do i start", "where should i start", "where to start", "what shall i do",
        "what should i work on", "how should i go on", "how do i go on", "how can i improve",
        "how do i improve", "how can i get better", "how do i get better", "give me an exercise",
        "give me a task", "something to do",
    ),
    "too-easy": ("too easy", "too simple", "boring", "bored", "something harder", "a challenge"),
    "understood": (
        "i get it", "i got it", "got it", "i understand now", "now i understand", "makes sense now",
        "that makes sense", "i see", "i solved it", "it worked", "figured it out",
    ),
    "thanks": ("thank*", "thx", "cheers", "much appreciated"),
    "greeting": (
        "hi", "hello", "hey", "hiya", "good morning", "good afternoon", "good evening", "greetings",
        "i'm back", "i am back",
    ),
}  # fmt: skip

_NOT_MEANT = (
    "are you sure", "no thanks", "no thank you", "hint at", "confusion matrix", "hey presto",
    "help desk",
)  # fmt: skip
_NEGATIONS = ("not", "never", "don't want", "do not want", "don't need", "do not need", "without")
_FLAGGED: dict[str, Intent] = {
    "confusing": "confused",
    "too_hard": "confused",
    "needs_revision": "confused",
    "too_easy": "too-easy",
    "understood": "understood",
    "thanks": "thanks",
}
"""What ``feedback_flags`` mean that the message came with."""

_RULES = ChatRules(
    ChatRuleSet(
        language="en",
        rules=(
            *(ChatRule(name=intent, phrases=phrases) for intent, phrases in _PHRASES.items()),
            ChatRule(name="not-meant", phrases=_NOT_MEANT),
        ),
        negations=_NEGATIONS,
    )
)


def intent_of(record: ChatRecord) -> Intent:
    """What a learner wants to hear; ``question`` where the words do not tell."""
    found = {match.rule for match in matched(record.message_text, _RULES)}
    found |= {_FLAGGED[flag] for flag in record.feedback_flags if flag in _FLAGGED}
    if record.hint_used:
        found.add("hint")
    for intent in _ORDER:
        if intent in found:
            return intent
    return "question"


_ORDER: tuple[Intent, ...] = get_args(Intent)
