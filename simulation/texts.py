"""What learners write outside the chat, in four styles."""

from __future__ import annotations

import random

from schemas.fields import WritingStyle

_SENTENCES: dict[str, tuple[str, ...]] = {
    "formal-analytical": (
        "The derivation in the second section appears to omit an intermediate transformation.",
        "A comparison of both methods suggests that the first requires fewer assumptions.",
        "The relationship between the two quantities remains unclear in the given example.",
        "According to the definition, the result should hold for every admissible input.",
        "A further example with a different structure would clarify the limits of the rule.",
    ),
    "conversational": (
        "I don't really get why we do this step, can you show me again?",
        "Okay, I think I've got it now, but I'm not sure about the last part.",
        "You said it's the same rule, but my answer doesn't match yours.",
        "I'm stuck here and I can't see what I'm doing wrong.",
        "That's much clearer, thanks, I'll try the next one on my own.",
    ),
    "narrative": (
        "The teacher showed her class the graph and she asked them what they saw in it.",
        "He had solved it with his brother, and then he found that they had both missed a sign.",
        "They compared their answers after class and she explained hers to him.",
        "She remembered the rule that her tutor gave them, and it helped her group.",
        "When they opened the quiz, he read it twice before he told them his answer.",
    ),
    "concise": (
        "Step two unclear.",
        "Need another example.",
        "Formula works now.",
        "Too fast in the video.",
        "Question four seems wrong.",
        "Table helped a lot.",
        "Units missing here.",
    ),
}


def written(style: WritingStyle, rng: random.Random) -> str:
    """A text of one to three sentences in the learner's style; all four styles are known."""
    sentences = _SENTENCES[style]
    return " ".join([rng.choice(sentences) for _ in range(1 + int(rng.random() * 3))])
