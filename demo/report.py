"""The figures of a class run, as a page for people and as one JSON line for machines."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.class_run import Figures
from queries.duckdb import decisions_of, labels_given, most_decided, versions_of
from schemas.fields import LABELS
from schemas.tree import TreeDocument
from streams.explanation import explain
from streams.scoring import compile_tree


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures under their published keys."""
    p50, p99 = latency_ms(figures)
    metrics = figures.metrics["primary_classification"]
    return {
        "events": figures.sent,
        "decisions": figures.decisions,
        "labels": dict(figures.labels.most_common()),
        "tree_versions": figures.versions.total(),
        "prequential_accuracy": round(metrics.prequential_accuracy, 4),
        "baseline_accuracy": round(metrics.baseline_accuracy, 4),
        "events_per_s": round(figures.events_per_s),
        "latency_p50_ms": round(p50, 1),
        "latency_p99_ms": round(p99, 1),
        "dead_letters": dict(figures.dead_letters.most_common()),
        "unaccounted": figures.unaccounted,
    }


def latency_ms(figures: Figures) -> tuple[float, float]:
    """p50 and p99 of event to decision, milliseconds; zeros if nothing was measured."""
    if len(figures.latencies) < 2:
        return 0.0, 0.0
    cuts = quantiles(figures.latencies, n=100, method="inclusive")
    return cuts[49], cuts[98]


def show(figures: Figures, file: Path, console: Console) -> None:
    """The page."""
    _show_labels(file, console)
    _show_foretelling(figures, console)
    _show_counts(figures, console)
    _show_learner(file, console)
    _show_talk(figures, console)
    console.print(
        f"\nAll of it is in {file}: `learner explain USER_ID --file {file}`, "
        f"`learner tree list --file {file}`."
    )


def _show_labels(file: Path, console: Console) -> None:
    table = Table(title="Decisions by label, week by week", title_justify="left")
    table.add_column("week of", no_wrap=True, min_width=10)
    labels = LABELS["primary_classification"]
    for label in labels:
        table.add_column(label, justify="right")
    weeks: dict[Any, Counter[str]] = {}
    for given in labels_given(file, tree_id="primary_classification"):
        monday = given.day - timedelta(days=given.day.weekday())
        weeks.setdefault(monday, Counter())[given.decision_label] += given.decisions
    for monday, counts in sorted(weeks.items()):
        table.add_row(str(monday), *(str(counts[label] or "·") for label in labels))
    console.print(table)


def _show_foretelling(figures: Figures, console: Console) -> None:
    table = Table(title="\nHow well the online trees foretold", title_justify="left")
    for column in ("tree", "examples", "online tree", "most common label", "versions published"):
        table.add_column(column, justify="left" if column == "tree" else "right")
    for tree_id, metrics in figures.metrics.items():
        table.add_row(
            tree_id,
            f"{metrics.examples:,}",
            f"{metrics.prequential_accuracy:.1%}",
            f"{metrics.baseline_accuracy:.1%}",
            str(figures.versions[tree_id]),
        )
    console.print(table)


def _show_counts(figures: Figures, console: Console) -> None:
    p50, p99 = latency_ms(figures)
    outcomes, ledger = figures.outcomes, figures.ledger
    letters = ", ".join(f"{n} {reason}" for reason, n in figures.dead_letters.most_common())
    console.print(
        f"\nEvents in      {figures.sent:,} ({outcomes['folded']:,} folded, "
        f"{outcomes['repeated']:,} repeats recognised, {ledger.late:,} came late)\n"
        f"Decisions out  {figures.decisions:,}, each worked out again from its record "
        f"({figures.faults} did not hold)\n"
        f"Throughput     {figures.events_per_s:,.0f} events/s, worker, trainer, broker and reader "
        "in one process\n"
        f"Event→decision p50 {p50:.0f} ms, p99 {p99:.0f} ms at a steady pace\n"
        f"Dead letters   {outcomes['dead']:,} ({letters or 'none'})\n"
        f"Unaccounted    {figures.unaccounted:,}"
    )


def _show_learner(file: Path, console: Console) -> None:
    user_id = most_decided(file)
    if user_id is None:
        return
    trees: dict[tuple[str, int], TreeDocument] = {
        (tree.tree_id, tree.version): tree for tree in versions_of(file)
    }
    latest = {decision.tree_id: decision for decision in decisions_of(file, user_id)}
    console.print("\nOne learner's latest decisions, explained", style="bold")
    for decision in latest.values():
        tree = compile_tree(trees[(decision.tree_id, decision.decision_version)])
        console.print(explain(decision, tree), markup=False, highlight=False)


def _show_talk(figures: Figures, console: Console) -> None:
    talk = figures.talk
    if talk is None:
        return
    console.print("\nA turn of conversation, folded and decided upon as it came in", style="bold")
    known = f"{_labels(talk.before.labels)} → {_labels(talk.question.labels)}"
    for line in (
        f"Learner  {talk.question.message_text}",
        f"         ({known}; flags {', '.join(talk.question.feedback_flags) or 'none'}, "
        f"{'hint asked' if talk.question.hint_used else 'no hint asked'})",
        f"Tutor    {talk.answer.message_text}",
    ):
        console.print(line, markup=False, highlight=False)


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(labels.get(tree_id, "undecided") for tree_id in LABELS)
