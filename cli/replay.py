"""`learner replay`: events from a file through the same step as in the worker, without a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import fail
from cli.json_lines import open_lines, write_lines
from cli.options import EveryEvent, Input, settings_of
from cli.progress import counted
from config.settings import Settings

if TYPE_CHECKING:
    from cli.kept_replay import KeptReplay
    from streams.decode import Record
    from streams.replay import Learn
    from streams.rules import Rules


def replay(
    ctx: typer.Context,
    source: Input,
    learn: Annotated[
        bool, typer.Option("--learn", help="Run the trainer inline, the same way every time.")
    ] = False,
    trees: Annotated[
        Path | None,
        typer.Option("--trees", help="Write every tree version that decided, as JSON lines."),
    ] = None,
    dead_letters: Annotated[
        Path | None, typer.Option("--dead-letters", help="Write the dead letters, as JSON lines.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", help="Keep all that comes of it in this DuckDB file.", dir_okay=False
        ),
    ] = None,
    every_event: EveryEvent = None,
) -> None:
    """Decisions on stdout, one a line; what happened to the events on stderr at the end.

    Exit code 0 only if every line is accounted for: folded, a repeat, or a dead letter.
    """
    from agents.full_collections import not_while_restoring  # noqa: PLC0415
    from agents.prompt_sets import prompts_in  # noqa: PLC0415
    from agents.worker import rules  # noqa: PLC0415
    from config.seed_trees import seed_trees  # noqa: PLC0415
    from schemas.contract import encode  # noqa: PLC0415
    from streams.batch import Source  # noqa: PLC0415
    from streams.replay import Replay  # noqa: PLC0415

    settings = settings_of(ctx, worker__decide_on_every_event=every_event)
    decides = rules(settings.worker, prompts_in(settings.prompts.folder))
    engine = Replay(
        seed_trees(),
        decides,
        Source(source, 0),
        _learn(settings) if learn else None,
    )
    not_while_restoring()  # each would look at every learner so far
    lines = decisions = examples = 0
    dead = Counter[str]()
    with (
        open_lines(source) as read,
        _writer(dead_letters) as write_letter,
        _kept(file, decides) as kept,
    ):
        for record in _records(counted(read, "replaying")):
            known = len(engine.versions) if lines else 0
            (batch,) = engine.feed((record,))
            lines += 1
            if kept is not None:
                kept.keep(record, batch)
                for version in engine.versions[known:]:
                    kept.keep_version(version)
            decisions += len(batch.decisions)
            examples += len(batch.examples)
            write_lines(map(encode, batch.decisions))
            for letter in batch.dead_letters:
                dead[letter.reason.value] += 1
                write_letter(letter.model_dump_json() + "\n")
    if trees is not None:
        trees.write_text("".join(t.model_dump_json() + "\n" for t in engine.versions))
    typer.echo(
        f"{lines} events: "
        + ", ".join(f"{count} {outcome}" for outcome, count in sorted(engine.counts.items()))
        + f"; {decisions} decisions, {examples} examples, {len(engine.versions)} tree versions",
        err=True,
    )
    if dead:
        told = ", ".join(f"{count} {reason}" for reason, count in dead.most_common())
        kept_in = f"in {dead_letters}" if dead_letters else "--dead-letters FILE keeps them"
        typer.echo(f"dead letters: {told}; {kept_in}", err=True)
    if sum(engine.counts.values()) != lines:
        fail(f"{lines - sum(engine.counts.values())} events are not accounted for")


@contextmanager
def _writer(file: Path | None) -> Iterator[Callable[[str], object]]:
    if file is None:
        yield lambda _: None
        return
    with file.open("w") as out:
        yield out.write


def _kept(file: Path | None, rules: Rules) -> AbstractContextManager[KeptReplay | None]:
    if file is None:
        return nullcontext()
    from cli.kept_replay import KeptReplay  # noqa: PLC0415

    return KeptReplay(file, rules)


def _records(lines: Iterable[bytes]) -> Iterator[Record]:
    from streams.decode import Record  # noqa: PLC0415

    began = datetime.now(UTC)
    for number, line in enumerate(lines):
        if line.strip():
            yield Record(number, None, line.rstrip(b"\r\n"), began)


def _learn(settings: Settings) -> Learn:
    from config.seed_trees import seed_trees  # noqa: PLC0415
    from streams.learning import Learning, OnlineTree  # noqa: PLC0415

    learning = Learning(**settings.trainer.model_dump(include=set(Learning._fields)))
    online = {tree_id: OnlineTree(tree, learning) for tree_id, tree in seed_trees().items()}
    return lambda example: online[example.tree_id].learn(example)
