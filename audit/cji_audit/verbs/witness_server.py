"""`cji witness`: a witness of logs, by C2SP tlog-witness."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

from cji_audit.verbs.log import log_faults
from cji_audit.verbs.note_keys import EXISTING, KEY_FILE, OUT, PKCS11, NoteKeys, make_keys, show_keys
from cji_core.command.common import FILE, Failure, explained, plural
from cji_core.command.json_output import answers, member, print_document
from cji_core.tlog.keys import WITNESS_TYPES
from cji_core.trail.checkpoint import parse_cosigned
from cji_core.trail.fields import utc_hundredths

_CONFIG: Final = click.option("--config", type=FILE, required=True, help="witness.toml; see docs/witnesses.md.")


class WitnessedLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log that a witness has cosigned."""

    origin: Annotated[str, member("the log")]
    size: Annotated[int, member("leaves that were cosigned last")]


class WitnessedConflict(msgspec.Struct, frozen=True, kw_only=True):
    """Two checkpoints of one log that contradict each other, both signed by it."""

    origin: Annotated[str, member("the log")]
    at: Annotated[str, member("when the second one came")]
    had: Annotated[str, member("the checkpoint that was cosigned")]
    got: Annotated[str, member("the other one, which was refused")]


class WitnessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`cji witness status`: what a witness remembers."""

    logs: Annotated[tuple[WitnessedLog, ...], member("objects of the kind WitnessedLog")]
    conflicts: Annotated[tuple[WitnessedConflict, ...], member("objects of the kind WitnessedConflict")]


@click.group()
def witness() -> None:
    """Run a witness of transparency logs, docs/witnesses.md."""


@witness.command("key")
@click.argument("name")
@OUT
@PKCS11
@EXISTING
@answers(NoteKeys)
@explained
def key(name: str, out: Path, pkcs11_file: Path | None, *, existing: bool, as_json: bool) -> None:
    """Make a witness's keys: Ed25519 and ML-DSA-44, in one file that only you can read, or Ed25519 in a token.

    Make new ones after a restoration from a backup, and give the new vkeys to the logs: the old ones may have cosigned
    what the backup does not know.

    \b
    Example:
      cji witness key witness.sheriff.example/w1 -o witness.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    make_keys(name, out, pkcs11_file, kinds=WITNESS_TYPES, existing=existing, as_json=as_json)


@witness.command("vkeys")
@KEY_FILE
@PKCS11
@answers(NoteKeys)
@explained
def vkeys(key_file: Path, pkcs11_file: Path | None, *, as_json: bool) -> None:
    """Show the vkeys of a witness's keys, for the policies of logs; with --pkcs11, the token must answer.

    \b
    Example:
      cji witness vkeys witness.key
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    show_keys(key_file, pkcs11_file, kinds=WITNESS_TYPES, as_json=as_json)


@witness.command("serve")
@_CONFIG
@explained
@log_faults
def serve(config: Path) -> None:
    """Run a witness, until SIGTERM: it cosigns a log's checkpoint if it continues the one before.

    It serves `add-checkpoint` of C2SP tlog-witness to any log whose key witness.toml has, and remembers one checkpoint
    of each.

    \b
    Example:
      cji witness serve --config /etc/cji-witness/witness.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_audit.tlog.serving import run, witness_server  # noqa: PLC0415 - for this verb alone
    from cji_audit.tlog.settings import WitnessFile, load_file  # noqa: PLC0415

    file = load_file(config, WitnessFile)
    with witness_server(file) as server:
        run(server, started=lambda: click.echo(f"listening on {file.host}:{server.port}"))


@witness.command("status")
@_CONFIG
@answers(WitnessStatus)
@explained
@log_faults
def status(config: Path, *, as_json: bool) -> None:
    """Show what a witness remembers, also while it serves: the size of each log, and logs with two histories.

    The exit status is 3 if a log signed two histories: --json prints both checkpoints, with its signatures, as proof.

    \b
    Example:
      cji witness status --config /etc/cji-witness/witness.toml
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    from cji_audit.tlog.settings import WitnessFile, load_file  # noqa: PLC0415 - for this verb alone
    from cji_audit.tlog.witness import WitnessState  # noqa: PLC0415

    state = WitnessState(Path(load_file(config, WitnessFile).state), reads=True)
    try:
        answer = WitnessStatus(
            logs=tuple(WitnessedLog(origin=origin, size=size) for origin, size in state.sizes()),
            conflicts=tuple(
                WitnessedConflict(
                    origin=each.origin,
                    at=utc_hundredths(datetime.fromtimestamp(each.at, UTC)),
                    had=each.had.decode(),
                    got=each.got.decode(),
                )
                for each in state.conflicts()
            ),
        )
    finally:
        state.close()
    if as_json:
        print_document(msgspec.to_builtins(answer))
    else:
        _show(answer)
    if answer.conflicts:
        remedy = (
            "Give both checkpoints, which --json prints, to the log's readers, and ask its operator to explain them."
        )
        what = f"{plural(len(answer.conflicts), 'contradiction')} of logs"
        raise Failure(what, remedy=remedy, status=3)


def _show(answer: WitnessStatus) -> None:
    for one in answer.logs:
        click.echo(f"{one.origin}: {plural(one.size, 'leaf', 'leaves')}")
    for each in answer.conflicts:
        had, got = (parse_cosigned(note.encode()) for note in (each.had, each.got))
        click.echo(f"{each.origin} signed two histories of {plural(had.size, 'leaf', 'leaves')}:")
        click.echo(f"  cosigned           root {had.root.hex()}")
        click.echo(f"  refused, {each.at[:16]}Z root {got.root.hex()}")
