"""The command line `learner`: one file here for each group of commands, each of them thin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import (
    api,
    audit,
    chat,
    conversations,
    convert,
    decisions,
    deliveries,
    demo,
    dlq,
    doctor,
    explain,
    facilitator,
    gateway,
    keys,
    learner_states,
    prompt,
    query,
    rebuild,
    replay,
    responder,
    retrain,
    schemas,
    send,
    settings,
    simulate,
    sink,
    token,
    topics,
    trace,
    trainer,
    tree,
    whatif,
    worker,
)
from cli.failures import Commands
from cli.options import Given

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Follows learners: events in, explained decisions out.",
)


@app.callback()
def learner(
    ctx: typer.Context,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any setting, e.g. kafka.partitions=8; repeatable."
        ),
    ] = None,
    env_file: Annotated[
        Path, typer.Option(help="File with LEARNER_… lines, if it exists.", dir_okay=False)
    ] = Path(".env"),
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error. [LEARNER_LOG__LEVEL]")
    ] = None,
) -> None:
    """Options for every command. A flag wins over a LEARNER_… variable, that over .env."""
    given = ctx.ensure_object(Given)
    given.env_file = env_file
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"{assignment!r} is not NAME=VALUE", param_hint="--set")
        given.flags[name.strip()] = value
    if log_level is not None:
        given.flags["log.level"] = log_level


app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("send")(send.send)
app.command("replay")(replay.replay)
app.command("worker")(worker.worker)
app.command("trainer")(trainer.trainer)
app.command("facilitator")(facilitator.facilitator)
app.command("deliveries")(deliveries.deliveries)
app.command("responder")(responder.responder)
app.command("retrain")(retrain.retrain_trees)
app.command("whatif")(whatif.whatif)
app.command("sink")(sink.sink)
app.command("audit")(audit.audit)
app.command("rebuild")(rebuild.rebuild)
app.command("doctor")(doctor.doctor)
app.command("api")(api.api)
app.command("token")(token.token)
app.command("trace")(trace.trace)
app.command("gateway")(gateway.gateway)
app.command("chat")(chat.chat)
app.command("explain")(explain.explain)
app.command("settings")(settings.show_settings)
app.add_typer(convert.app, name="convert")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")
app.add_typer(tree.app, name="tree")
app.add_typer(decisions.app, name="decisions")
app.add_typer(prompt.app, name="prompt")
query.app.command("journey")(learner_states.journey)
query.app.command("learner")(learner_states.learner)
query.app.command("interactions")(learner_states.interactions)
query.app.command("conversations")(conversations.conversations)
query.app.command("transcript")(conversations.transcript)
app.add_typer(query.app, name="query")
app.add_typer(keys.app, name="keys")
app.add_typer(dlq.app, name="dlq")

if __name__ == "__main__":
    app()
