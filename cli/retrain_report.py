"""What a retraining found, as a page for people and as an object for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.tree import outline
from schemas.fields import LABELS
from streams.retraining import Report, Retrained
from streams.tree_edits import Differences

_MOST_CHANGES = 8
_LEVELS = 2
"""Of the new tree, shown from its root; the rest is in --out."""


def as_json(retrained: Retrained, objection: str, published: bool) -> dict[str, Any]:
    """The report; ``objection``: what stands against publishing it, "" if nothing does."""
    document, report = retrained
    found = report.changes
    return {
        **asdict(report),
        "changes": {
            "moved": [moved._asdict() for moved in found.moved],
            "added": found.added,
            "removed": found.removed,
            "relabelled": [relabelled._asdict() for relabelled in found.relabelled],
            "said": found.said,
        },
        "better": report.better,
        "objection": objection,
        "published": published,
        "author": document.author,
        "reason": document.reason,
    }


def show(retrained: Retrained, console: Console) -> None:
    """The page, without what became of it."""
    report = retrained.report
    held_out = report.held_out
    console.print(f"\n{report.tree_id}: version {report.before_version} retrained", style="bold")
    console.print(
        f"Learned from {report.examples_used:,} examples of {report.learners_used:,} learners"
        + (f" ({report.refused:,} were of no use)" if report.refused else "")
        + f", measured on {held_out.examples:,} of {held_out.learners:,} others.",
        highlight=False,
    )
    _show_marks(report, console)
    _show_difference(report, console)
    _show_confusion(report, console)
    for line in (*_first_questions(retrained), *_changes(report.changes)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show_marks(report: Report, console: Console) -> None:
    held_out = report.held_out
    before, after = held_out.before, held_out.after
    table = Table(title="\nForetold right of what was held out", title_justify="left")
    table.add_column("")
    for column in ("examples", f"version {report.before_version}", "retrained", "points"):
        table.add_column(column, justify="right", no_wrap=True)
    rows = [("all", held_out.examples, before.accuracy, after.accuracy)]
    rows += [
        (label, count, before.recall[label], after.recall[label])
        for label, count in held_out.labels.items()
    ]
    rows.append(("mean of the labels", held_out.examples, before.mean_recall, after.mean_recall))
    for name, count, was, now in rows:
        points = f"{100 * (now - was):+.1f}"
        table.add_row(name, f"{count:,}", f"{was:.1%}", f"{now:.1%}", points)
    guess = f"{held_out.baseline_accuracy:.1%}"
    table.add_row(f"always {held_out.baseline_label}", f"{held_out.examples:,}", guess, guess, "")
    console.print(table)


def _show_difference(report: Report, console: Console) -> None:
    held_out = report.held_out
    difference = held_out.difference
    if difference.low > 0:
        verdict = "better, and not by chance"
    elif difference.high < 0:
        verdict = "worse, and not by chance"
    else:
        verdict = "chance alone may explain it"
    console.print(
        f"Difference {100 * difference.estimate:+.1f} points, 95% interval "
        f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}: {verdict}. "
        f"{difference.gained:,} examples gained, {difference.lost:,} lost.",
        highlight=False,
    )
    if report.before_learned:
        console.print(
            f"Version {report.before_version} was learned itself, maybe from some of what is held "
            "out here; it then looks better than it is.",
            highlight=False,
        )


def _show_confusion(report: Report, console: Console) -> None:
    labels = [label for label in LABELS[report.tree_id] if _occurs(label, report)]
    table = Table(title="\nForetold (columns) by the retrained tree", title_justify="left")
    table.add_column("true label", no_wrap=True)
    for number, _ in enumerate(labels, 1):
        table.add_column(str(number), justify="right")
    for number, label in enumerate(labels, 1):
        counts = report.held_out.after.confusion.get(label, {})
        cells = [f"{counts[foretold]:,}" if foretold in counts else "·" for foretold in labels]
        table.add_row(f"{number} {label}", *cells)
    console.print(table)


def _occurs(label: str, report: Report) -> bool:
    confusion = report.held_out.after.confusion
    return label in confusion or any(label in counts for counts in confusion.values())


def _first_questions(retrained: Retrained) -> Iterator[str]:
    deepest = "  " * (_LEVELS + 1)
    yield f"\nThe first questions of its {len(retrained.document.nodes):,} nodes"
    for line in outline(retrained.document):
        if not line.startswith(deepest):
            yield f"  {line}"


def _changes(found: Differences) -> Iterator[str]:
    yield (
        f"\nWhat changed: {len(found.moved):,} thresholds moved, {len(found.added):,} rules added, "
        f"{len(found.removed):,} gone, {len(found.relabelled):,} leaves with another label"
    )
    # What is there in both is told first: where all is new, that list says little.
    said = sorted(found.said, key=lambda line: line.startswith(("removed ", "added ", "and ")))
    for line in said[:_MOST_CHANGES]:
        yield f"  {line}"
    if len(said) > _MOST_CHANGES:
        yield f"  … and {len(said) - _MOST_CHANGES:,} more lines: --json has them"
