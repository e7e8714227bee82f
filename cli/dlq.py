"""`learner dlq`: the dead letters: which there are, what is in them, sent again or dropped."""

from __future__ import annotations

import asyncio
import getpass
import re
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from datetime import datetime
from heapq import nlargest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.dlq_view import counted, for_programs, lines, table
from cli.failures import fail
from cli.json_lines import write_json
from cli.options import AppId, Kafka, settings_of, utc
from cli.progress import progress
from config.settings import Settings
from schemas.dead_letter import DeadLetter, DeadLetterReason
from streams.dead_letters import Choice, Letter, by_reason, with_value

if TYPE_CHECKING:
    from agents.dead_letter_resend import Left

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: records that were rejected or refused, kept whole until they are settled.",
)

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LONGEST_VALUE = 4 * 1024 * 1024

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Letters by their ids.")]
Reasons = Annotated[
    list[DeadLetterReason] | None, typer.Option("--reason", help="Only of this reason; repeatable.")
]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help="Only of records that were on this topic; repeatable."),
]
Since = Annotated[
    datetime | None, typer.Option(help="Only letters written then or later, by Kafka's time, UTC.")
]
Until = Annotated[datetime | None, typer.Option(help="Only letters written before then.")]
Everything = Annotated[bool, typer.Option("--all", help="Every open letter.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Author = Annotated[
    str | None, typer.Option("--author", help="Who does it; the user logged in when not given.")
]


@app.command("list")
def list_letters(
    ctx: typer.Context,
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[
        str, typer.Option(help="open, resent, dropped, or all.", show_default=True)
    ] = "open",
    limit: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="The newest so many are shown.")
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, for a program.")] = False,
    kafka: Kafka = None,
) -> None:
    """The letters, newest first, and how many there are of each reason."""
    from agents.dead_letter_log import chosen_letters  # noqa: PLC0415

    if state not in ("open", "resent", "dropped", "all"):
        fail(f"{state!r} is no state; there are open, resent, dropped, or all")
    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    choice = _filters(reason, topic, since, until)._replace(only_open=state == "open")
    found = asyncio.run(chosen_letters(settings.kafka, choice, progress))
    wanted = [letter for letter in found if state in ("all", letter.state)]
    newest = nlargest(limit, wanted, key=lambda x: (x.written_at, x.partition, x.offset))
    if as_json:
        for letter in newest:
            write_json(for_programs(letter))
        write_json({"letters": len(wanted), "shown": len(newest), "reasons": by_reason(wanted)})
        return
    if newest:
        for line in table(newest):
            typer.echo(line)
        typer.echo()
    typer.echo(counted(wanted))
    if len(newest) < len(wanted):
        typer.echo(f"the newest {limit} are shown; --limit shows more", err=True)


@app.command()
def show(
    ctx: typer.Context,
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="From `learner dlq list`.")],
    raw: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Only write the record, byte by byte; - is stdout."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object; key and raw in base64.")
    ] = False,
    kafka: Kafka = None,
) -> None:
    """A letter and its record, escaped where it does not print, and cut if it is long."""
    (wanted,) = _ids([letter_id])
    settings = settings_of(ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka)
    letter, content = asyncio.run(_letter(settings, wanted))
    if raw is not None:
        _write_raw(raw, content.raw)
    elif as_json:
        told = content.model_dump(mode="json", round_trip=True)
        write_json({**told, "state": letter.state, "mark": letter.mark})
    else:
        for line in lines(letter, content):
            typer.echo(line)


@app.command()
def resend(
    ctx: typer.Context,
    ids: Ids = None,
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    value: Annotated[
        Path | None,
        typer.Option(help="File with the record as it should have been; of one letter."),
    ] = None,
    rekey: Annotated[
        bool,
        typer.Option("--rekey", help="Key each record by the user_id in it, for key_mismatch."),
    ] = False,
    dry_run: DryRun = False,
    author: Author = None,
    kafka: Kafka = None,
    app_id: AppId = None,
) -> None:
    """Sends letters again that are valid now, judged by the decoder that rejected them.

    An event or acknowledgement goes back onto its topic, a record that a store refused into that
    store. Run it with the worker's settings. A JSON line for each letter that is rejected still,
    and so stays open, and one at the end; exit code 0 only if none stays.
    """
    from agents.dead_letter_resend import resend as resend_letters  # noqa: PLC0415

    choice = _choice(ids, reason, topic, since, until, everything=everything)
    if value is not None and (choice.ids is None or len(choice.ids) != 1 or rekey):
        fail("--value corrects one letter: give its id, and no --rekey")
    settings = settings_of(
        ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka, worker__app_id=app_id
    )
    change = _correction(value, rekey=rekey)
    done = asyncio.run(
        resend_letters(settings, choice, _author(author), progress, _tell, change, dry_run=dry_run)
    )
    write_json({**done._asdict(), "dry_run": dry_run})
    if stay := done.chosen - done.resent:
        fail(f"{stay} of {done.chosen} letters stay as they are: see above")


@app.command()
def drop(
    ctx: typer.Context,
    ids: Ids = None,
    reason: Reasons = None,
    topic: Topics = None,
    since: Since = None,
    until: Until = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    author: Author = None,
    kafka: Kafka = None,
    app_id: AppId = None,
) -> None:
    """Settles letters that nobody wants. They can be read until Kafka deletes them, not resent."""
    from agents.dead_letter_log import open_letters  # noqa: PLC0415
    from agents.dead_letter_resend import drop as drop_letters  # noqa: PLC0415

    choice = _choice(ids, reason, topic, since, until, everything=everything)
    settings = settings_of(
        ctx, quiet_libraries=True, kafka__bootstrap_servers=kafka, worker__app_id=app_id
    )
    if dry_run or not yes:
        found = asyncio.run(open_letters(settings.kafka, choice, progress))
        if dry_run:
            write_json({"chosen": len(found), "reasons": by_reason(found), "dry_run": True})
            return
        if found and not typer.confirm(f"drop {counted(found)}?", err=True):
            fail("nothing was dropped")
        # What was counted, and nothing that came while somebody thought about it.
        choice = Choice(ids=frozenset(letter.dead_letter_id for letter in found))
    dropped = asyncio.run(drop_letters(settings, choice, _author(author), progress))
    write_json({"dropped": dropped, "dry_run": False})


async def _letter(settings: Settings, letter_id: str) -> tuple[Letter, DeadLetter]:
    from agents.dead_letter_log import chosen_letters, contents  # noqa: PLC0415

    found = await chosen_letters(settings.kafka, Choice(ids=frozenset([letter_id])), progress)
    async with aclosing(contents(settings.kafka, found)) as read:
        async for letter, content in read:
            return letter, content
    fail(f"there is no letter {letter_id}, or no longer: `learner dlq list` shows those that are")
    raise AssertionError


def _tell(left: Left) -> None:
    write_json(
        {
            "dead_letter_id": left.letter.dead_letter_id,
            "reason": left.reason,
            "detail": left.detail,
        }
    )


def _choice(
    ids: list[str] | None,
    reason: list[DeadLetterReason] | None,
    topic: list[str] | None,
    since: datetime | None,
    until: datetime | None,
    *,
    everything: bool,
) -> Choice:
    filters = _filters(reason, topic, since, until)
    if bool(ids) + (filters != Choice()) + everything != 1:
        fail("say which letters: their ids, or by --reason, --topic, --since, --until, or --all")
    return Choice(ids=_ids(ids)) if ids else filters


def _filters(
    reason: list[DeadLetterReason] | None,
    topic: list[str] | None,
    since: datetime | None,
    until: datetime | None,
) -> Choice:
    return Choice(None, frozenset(reason or ()), frozenset(topic or ()), utc(since), utc(until))


def _ids(given: list[str]) -> frozenset[str]:
    ids = frozenset(each.lower() for each in given)
    if wrong := [each for each in ids if not _UUID.fullmatch(each)]:
        fail(f"{min(wrong)!r} is no letter's id: those are UUIDs, from `learner dlq list`")
    return ids


def _correction(value: Path | None, *, rekey: bool) -> Callable[[DeadLetter], DeadLetter] | None:
    if rekey:
        return lambda letter: with_value(letter, letter.raw)
    if value is None:
        return None
    with value.open("rb") as file:
        raw = file.read(_LONGEST_VALUE + 1)
    if len(raw) > _LONGEST_VALUE:
        fail(f"{value}: more than {_LONGEST_VALUE:,} bytes, which no topic takes")
    return lambda letter: with_value(letter, raw)


def _write_raw(target: str, raw: bytes) -> None:
    if target == "-":
        sys.stdout.buffer.write(raw)
    else:
        Path(target).write_bytes(raw)


def _author(given: str | None) -> str:
    by = given or ""
    if given is None:
        with suppress(OSError, KeyError):  # a user id without a name, as in some containers
            by = getpass.getuser()
    if not (0 < len(by) <= 255 and by.isprintable()):
        fail("--author: say who does it, in 1 to 255 printable characters")
    return by
