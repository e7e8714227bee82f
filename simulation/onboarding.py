"""What is told of a learner: background at first, preferences as they change."""

from __future__ import annotations

import random
from typing import Any

from simulation.traits import Traits

_YEARS = ("freshman", "sophomore", "junior", "senior", "graduate")
_PURPOSES = ("scratch", "revising", "exploring")
_LAYOUTS = ("single_column", "two_column", "grid", "list", "compact")


def background(traits: Traits, rng: random.Random) -> dict[str, Any]:
    """Fields of the first profile.updated; grades go with ability, loosely."""
    gpa = min(4.0, max(0.5, rng.gauss(2.6 + 0.35 * traits.ability, 0.4)))
    felt = traits.ability + 3 * traits.confidence_bias + rng.gauss(0, 0.5)
    return {
        "age": 17 + int(rng.expovariate(0.2)) % 40,
        "class_year": rng.choice(_YEARS),
        "courses_completed": int(rng.random() * 12),
        "gpa": round(gpa, 2),
        "learner_purpose": rng.choice(_PURPOSES),
        "learner_level": "basic" if felt < -0.5 else "advanced" if felt > 1 else "intermediate",
        "session_preference": traits.session,
        "study_mode": "solo" if rng.random() < 0.7 else "group",
        "format_comprehension_score_text": round(rng.uniform(0.3, 1), 2),
        "format_comprehension_score_image": round(rng.uniform(0.3, 1), 2),
        "format_comprehension_score_video": round(rng.uniform(0.3, 1), 2),
        **preferences(traits, rng),
    }


def preferences(traits: Traits, rng: random.Random) -> dict[str, Any]:
    """Fields of a later profile.updated: what a learner changes in the settings."""
    comfort = {
        f"format_comfort_rating_{name}": 5 if name == traits.format else rng.randint(2, 4)
        for name in ("text", "image", "video")
    }
    return {
        "format_preference": traits.format,
        "ui_theme_preference": "dark" if rng.random() < 0.5 else "light",
        "layout_preference": rng.choice(_LAYOUTS),
        **comfort,
    }
