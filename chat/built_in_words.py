"""What the built-in responder says: sentences by what was asked, by strategy and by learner level.

Between braces stand `topic` (quoted, or in words of ours) and nothing else.
"""

from __future__ import annotations

from chat.built_in_intent import Intent
from schemas.fields import LearnerLevel, StrategyLabel

NO_TOPIC = "what you are working on"

INTRODUCTION: dict[LearnerLevel, str] = {
    "basic": "I am the built-in tutor. I am a program, not a person. I know how your course is "
    "going. I do not know the whole subject.",
    "intermediate": "I'm the built-in tutor: a program, not a person. I go by how your course is "
    "going; the subject itself I can't explain.",
    "advanced": "I'm the built-in tutor: a program, not a person. I work from your course data and "
    "suggest how to proceed; I have no knowledge of the subject itself.",
}

DISTRESS = (
    "I'm only a program, and this matters more than any course. Please talk to somebody now: "
    "someone you trust, or a doctor. If you could be in danger, call your local emergency number "
    "or a crisis line. You don't have to handle this alone."
)

AFTER_HINT = "Then tell me how far you got."

OPENINGS: dict[Intent, tuple[str, ...]] = {
    "who-are-you": ("No teacher is reading this unless one joins and says so.",),
    "hint": (
        "A hint: write down what is given and what is asked, then look for the one rule of {topic} "
        "that links the two.",
        "A hint: try {topic} with the smallest numbers or the simplest case first, and watch what "
        "changes.",
        "A hint: start from the end. What would you need to know one step before the answer?",
    ),
    "confused": (
        "That's fine: being stuck shows where to look.",
        "Let's make it smaller.",
        "Good that you say so. We take it step by step.",
    ),
    "next": ("Here is what I would do next.", "This is a good next step.", "Try this next."),
    "too-easy": (
        "Then you're ready for more. Before you move on, make it harder for yourself.",
        "Good. Let's find out how far it carries.",
    ),
    "understood": (
        "Well done. Make sure of it while it's fresh.",
        "Good. The best proof is to use it without help.",
    ),
    "thanks": ("You're welcome. When you're ready:", "Glad it helped. One more thing to try:"),
    "greeting": ("Hello! Here is something to begin with.", "Hello! Shall we start with this?"),
    "question": (
        "I can't answer that from the subject itself, but this should bring you closer.",
        "The subject itself is beyond me, so ask your teacher or look into the course page as "
        "well. Meanwhile:",
        "I don't know the answer to that, but I know a way to work on it.",
    ),
}

STEPS: dict[StrategyLabel, dict[LearnerLevel, tuple[str, ...]]] = {
    "Scaffolded Remediation": {
        "basic": (
            "Go back one step in {topic}. Write down one thing that you are sure of. Then do just "
            "the next small step. Tell me what you get.",
            "Take an easy task on {topic}. Do only the first line. Check it. Then do the next one.",
        ),
        "intermediate": (
            "Go back to what {topic} builds on: name the last step that you can explain in your "
            "own words, and go on from there, one step at a time.",
            "Split an easy task on {topic} into three steps. Do the first, check it, and only then "
            "go on.",
        ),
        "advanced": (
            "Find the first step of {topic} that you cannot justify, rebuild from the prerequisite "
            "just before it, then redo the whole task unaided.",
            "Reduce a task on {topic} to its simplest case, solve that, and add one condition at a "
            "time until it breaks: there is the gap.",
        ),
    },
    "Worked Examples": {
        "basic": (
            "Find a task on {topic} that is solved in full. Read one line at a time. Say why each "
            "line is right. Then do the last line yourself.",
            "Copy a solved example on {topic}. Leave out the last step. Now fill it in from "
            "memory.",
        ),
        "intermediate": (
            "Take a solved example on {topic} and explain two of its steps to yourself: why this "
            "one, and why here? Then cover the last step and do it yourself.",
            "Put a solved example on {topic} beside a similar task and carry it over step by step. "
            "Tell me where it stops fitting.",
        ),
        "advanced": (
            "Study one worked solution on {topic}, state the principle behind each step, then "
            "solve a variant with the last two steps hidden.",
            "Compare two worked solutions on {topic} that look alike but use different methods: "
            "what in the task decides between them?",
        ),
    },
    "Confidence Calibration": {
        "basic": (
            "Do three short tasks on {topic}. Before each one, write how sure you are, from 0 to "
            "100. Then check your answer. Look at both numbers.",
            "Say how sure you are of {topic}, from 0 to 100. Now do one task and check it. Was "
            "your number right?",
        ),
        "intermediate": (
            "Before each of three tasks on {topic}, forecast how sure you are, 0 to 100. "
            "Afterwards set forecast and result side by side.",
            "Explain an answer on {topic} before you check it, and say what could be wrong with "
            "it. Then check, and compare.",
        ),
        "advanced": (
            "Forecast your result on three tasks on {topic}, give a reason with each forecast, and "
            "afterwards explain every difference of more than 20 points.",
            "Design a check for an answer on {topic}, such as a special case or a limit, that "
            "would expose your most likely mistake; then apply it.",
        ),
    },
    "Encouragement": {
        "basic": (
            "Think of one thing in {topic} that you got right. How did you do it? Use the same way "
            "on the next task.",
            "Try one task on {topic} by yourself. A mistake is fine: it shows what to learn next.",
        ),
        "intermediate": (
            "Name one thing in {topic} that you did well lately, and how you did it. Use the same "
            "method on the next task, without help.",
            "Pick a task on {topic} that is just within reach and do it alone. If something goes "
            "wrong, ask what it tells you.",
        ),
        "advanced": (
            "Recall a harder task that you solved, name the method that did it, and apply it to an "
            "open task on {topic}.",
            "Take an error you made in {topic} as information: state what it rules out, and what "
            "you would try next because of it.",
        ),
    },
    "Spaced Review": {
        "basic": (
            "Close your notes. Write what you remember of {topic}. Then look, and fix only what "
            "was wrong. Do it again tomorrow.",
            "Do one task on {topic} from memory. If it works, come back in three days. If not, "
            "tomorrow.",
        ),
        "intermediate": (
            "Without looking, write down what you remember of {topic}; then put right only what "
            "was wrong. Come back to it tomorrow, and again in three days.",
            "Mix one task on {topic} with one on an earlier topic, from memory. Whichever fails "
            "comes back sooner.",
        ),
        "advanced": (
            "Reconstruct {topic} from memory, derive what you cannot recall, and schedule the next "
            "recall: a day if it failed, a week if it held.",
            "Interleave tasks on {topic} with ones that need a similar method, so that you have to "
            "choose it each time.",
        ),
    },
    "Enrichment Challenge": {
        "basic": (
            "Make up your own task on {topic}. Make it a bit harder than the last one. Then solve "
            "it.",
            "Explain {topic} to a friend in five sentences. Then answer one question of theirs.",
        ),
        "intermediate": (
            "Use {topic} on a real case from your own life: plan it first, say what you expect, "
            "then work it out.",
            "Look for a second way to solve a task on {topic}. Which of the two is better, and "
            "when?",
        ),
        "advanced": (
            "Find where {topic} stops holding: drop one condition, predict what happens, and prove "
            "or refute it.",
            "Pose a problem that needs {topic} and another topic at once, solve it, and look for a "
            "shorter way.",
        ),
    },
    "Re-engagement Outreach": {
        "basic": (
            "Let's start small. Take five minutes for {topic}. Do one easy task, or read one page. "
            "Which one do you want?",
            "Begin with a task on {topic} that you can do. Just one. Then tell me how it went.",
        ),
        "intermediate": (
            "Start with five minutes on {topic}: one task that you know you can do, or one page to "
            "read again. Which of the two?",
            "Choose one small thing in {topic} for today and say when you'll do it. If something "
            "is in the way, tell me what.",
        ),
        "advanced": (
            "Pick one open question on {topic} and give it ten minutes; or recall the last thing "
            "you solved and go one step further. Which one?",
            "Fix one next step on {topic}, with a time for it. If something gets in the way, name "
            "it, and we plan around it.",
        ),
    },
}

FORMATS = {"text": "a short text", "image": "a picture or a sketch", "video": "a video"}
"""What `best_format` is called in a sentence."""
