"""How often each label was given over time, drawn: a stacked area for each tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from queries.answers import LabelsGiven
from schemas.errors import InvalidInput
from schemas.fields import LABELS, TREE_IDS

_MOST_BARS = 60


def draw(given: Sequence[LabelsGiven], file: Path) -> None:
    """Writes the picture in the format of the file's name; by day, or by week or month if long.

    Raises:
        InvalidInput: nothing to draw, no such folder, or a format that cannot be drawn.
    """
    import pandas as pd  # noqa: PLC0415
    from matplotlib import pyplot  # noqa: PLC0415

    if not file.suffix:
        raise InvalidInput(f"{file}: name the format too, as in {file}.svg or {file}.png")
    if not file.parent.is_dir():
        raise InvalidInput(f"{file.parent}: there is no such folder")
    if not given:
        raise InvalidInput("no decision in that time: nothing to draw")
    frame = pd.DataFrame(given, columns=LabelsGiven._fields)
    frame["day"] = pd.to_datetime(frame["day"])
    trees = [tree_id for tree_id in TREE_IDS if (frame["tree_id"] == tree_id).any()]
    figure, panels = pyplot.subplots(
        len(trees), 1, figsize=(9, 3.4 * len(trees)), sharex=True, squeeze=False
    )
    days = (frame["day"].max() - frame["day"].min()).days
    rule = "D" if days <= _MOST_BARS else "W" if days <= 7 * _MOST_BARS else "MS"
    for panel, tree_id in zip(panels[:, 0], trees, strict=True):
        counts = frame[frame["tree_id"] == tree_id].pivot_table(
            index="day", columns="decision_label", values="decisions", aggfunc="sum", fill_value=0
        )
        counts = counts.resample(rule).sum()
        labels = [label for label in LABELS[tree_id] if label in counts]
        shares = counts[labels].div(counts[labels].sum(axis=1), axis=0).fillna(0)
        panel.stackplot(shares.index, shares.to_numpy().T, labels=labels, step="mid", alpha=0.9)
        panel.set_title(f"{tree_id}: share of decisions", loc="left", fontsize=10)
        panel.set_ylim(0, 1)
        panel.margins(x=0)
        panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    figure.autofmt_xdate()
    figure.tight_layout()
    try:
        figure.savefig(file, dpi=120)
    except ValueError as error:
        raise InvalidInput(f"{file}: {error}") from None
    finally:
        pyplot.close(figure)
