"""What learners say in the chat, by mood and in four styles, and what the tutor answers.

The attributes of a saying are those that `config/chat_rules.json` finds in its words; a test holds
them to it.
"""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

from schemas.fields import WritingStyle

Mood = Literal[
    "asks", "confused", "to review", "too hard", "too easy", "interested", "stuck", "no idea",
    "unsure", "sure", "thanks",
]  # fmt: skip


class Saying(NamedTuple):
    """A chat message's text and what it tells; ``confidence`` ``None`` if nothing."""

    text: str
    feedback_flags: tuple[str, ...] = ()
    hint_used: bool = False
    confidence: float | None = None


_TELLS: dict[Mood, Saying] = {
    "asks": Saying(""),
    "confused": Saying("", ("confusing",)),
    "to review": Saying("", ("needs_revision",)),
    "too hard": Saying("", ("too_hard",)),
    "too easy": Saying("", ("too_easy",)),
    "interested": Saying("", ("interesting",)),
    "stuck": Saying("", hint_used=True),
    "no idea": Saying("", confidence=0.1),
    "unsure": Saying("", confidence=0.25),
    "sure": Saying("", confidence=0.9),
    "thanks": Saying("", ("thanks",)),
}

_TEXTS: dict[str, dict[Mood, tuple[str, ...]]] = {
    "formal-analytical": {
        "asks": (
            "Under which assumptions does the second method remain valid?",
            "Is the order of the two transformations relevant for the result?",
        ),
        "confused": ("The second step of the derivation remains unclear in the given form.",),
        "to review": ("The section on this rule needs revision before the next assessment.",),
        "too hard": ("The exercise appears too difficult at the present stage of the course.",),
        "too easy": ("The exercise appears too easy after the previous module of the course.",),
        "interested": ("The relationship between the two methods is an interesting result.",),
        "stuck": ("Would a hint for the transformation in the second line be possible?",),
        "no idea": ("At present there is no idea of how the argument could continue.",),
        "unsure": ("Of the sign in the final result one is not entirely certain.",),
        "sure": ("The result is correct without a doubt, as the substitution confirms.",),
        "thanks": ("Many thanks for the precise explanation of the second step.",),
    },
    "conversational": {
        "asks": (
            "Does it matter which one we do first?",
            "My answer doesn't match yours, did I mix up the rule?",
        ),
        "confused": (
            "I don't really get why we do this step.",
            "I'm stuck here and I can't see what I did.",
        ),
        "to review": ("Can you show me again how we did that?",),
        "too hard": ("It's too hard for me, I can't do it.",),
        "too easy": ("It's too easy for me, I've done them all.",),
        "interested": ("That's so cool, tell me more!",),
        "stuck": (
            "Can you give me a hint?",
            "I'm trying, but I need some help with my second line.",
        ),
        "no idea": ("I've no idea what I'm doing here.",),
        "unsure": ("I'm not sure about my last line.", "I'm just guessing here, I'd say it's two."),
        "sure": ("I'm sure I've done it right.",),
        "thanks": ("Thanks, I'll try the next one on my own!",),
    },
    "narrative": {
        "asks": ("She wondered which of the rules he would have used for her problem.",),
        "confused": ("She went through her notes with him and they were confused by the line.",),
        "to review": ("He asked her to go over it again, since he had missed their class.",),
        "too hard": ("She told him that it was too hard for her, and he agreed with her.",),
        "too easy": ("He said to her that his quiz was too easy for him.",),
        "interested": ("They found it interesting, and she told her brother of it.",),
        "stuck": ("He had tried it with her twice, and then they asked for a hint.",),
        "no idea": ("They looked at each other, and she told him that she had no idea.",),
        "unsure": ("He gave his answer, and then he told her that he was not sure.",),
        "sure": ("She checked her result with his, and they were absolutely sure.",),
        "thanks": ("They solved it together, and she thanked him for his patience.",),
    },
    "concise": {
        "asks": ("Which rule here?", "Units missing here?"),
        "confused": ("Step two unclear.", "Makes no sense."),
        "to review": ("Explain again, slower.",),
        "too hard": ("Too hard.",),
        "too easy": ("Too easy.",),
        "interested": ("Interesting.",),
        "stuck": ("Hint please.", "Need help with question four."),
        "no idea": ("No idea.",),
        "unsure": ("Not sure about question four.",),
        "sure": ("Answer is two, absolutely sure.",),
        "thanks": ("Thanks!",),
    },
}

_HINTS = (
    "Look at the first step again: which rule allows it?",
    "Try a smaller case first, then go back to the question.",
)
_ANSWERS = (
    "Good question. Compare your result with the worked example of this topic.",
    "That is right. The next question asks for the same idea in another form.",
    "Let us go through it together: tell me what you did first.",
)


def said(mood: Mood, style: WritingStyle, rng: random.Random) -> Saying:
    """A learner's message in their style; all four styles are known."""
    return _TELLS[mood]._replace(text=rng.choice(_TEXTS[style][mood]))


def every_saying() -> list[tuple[WritingStyle, Saying]]:
    """All of them, with their style."""
    return [
        (style, _TELLS[mood]._replace(text=text))  # type: ignore[misc]
        for style, moods in _TEXTS.items()
        for mood, texts in moods.items()
        for text in texts
    ]


def answered(hint: bool, rng: random.Random) -> str:
    """The tutor's message: a hint if one was asked for."""
    return rng.choice(_HINTS if hint else _ANSWERS)
