"""`cji init`: a submitter's first files, a look at the worker, and a first job with made-up records."""

import getpass
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from cji_attestation.verbs.trusts import trust_named
from cji_client.connection import connect
from cji_client.first_files import PROFILE, RECORDS, SPEC, Choices, Written, default_ori, write_first_files
from cji_client.profile import load_profile, read_pool
from cji_client.samples import SAMPLES
from cji_client.verbs.answers import FirstFile, Started
from cji_client.verbs.job.outputs import introduce
from cji_client.verbs.job.run import run
from cji_core.command.common import FILE, Failure, explained
from cji_core.command.json_output import answers, print_json

_OUT: Final = "result"
_ORI: Final = re.compile(r"[A-Z0-9]{9}", re.ASCII)
_OPERATION: Final = click.Choice(list(SAMPLES))

_ABOUT: Final = {
    "pool": "The file that the worker's operator gave you, a client.toml without your keys: the worker's address and "
    "key, its authorities, and what its machine must be.",
    "certificate": "Your client certificate in PEM, with its key beside it as NAME.key. Leave it empty for that of the "
    "operator's file, or if you have none: a request for one is made.",
    "ori": "The ORI of your agency, nine characters. The worker's policy decides by it.",
    "operator": "You, the person at the keyboard. It travels sealed, and the worker's audit trail has it.",
    "operation": "What a first job does. " + " ".join(f"{name}: {sample.does}." for name, sample in SAMPLES.items()),
}
"""The questions, in their order."""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--pool", type=FILE, help="File from the worker's operator. Default: pool.toml.")
@click.option("--certificate", type=FILE, help="Your client certificate, PEM. Default: that of --pool, or a request.")
@click.option("--private-key", type=FILE, help="Its key. Default: NAME.key beside NAME.pem.")
@click.option(
    "--signing-key", type=FILE, help="A signing key that the operator knows. Default: that of --pool, or new."
)
@click.option(
    "--recipient-key", type=FILE, help="A recipient key, its .jwk beside it. Default: that of --pool, or new."
)
@click.option("--ori", help="ORI of your agency. Default: that of --pool.")
@click.option("--operator", help="Your name or id. Default: your login.")
@click.option("--operation", type=_OPERATION, help="What a first job does. Default: link.")
@click.option("--purpose", default="C", show_default=True, help="Purpose code of the first job.")
@click.option("--check/--no-check", default=True, show_default=True, help="Attest the worker, and run the sample.")
@answers(Started)
@click.pass_context
@explained
def init(
    context: click.Context,
    folder: Path,
    *,
    pool: Path | None,
    certificate: Path | None,
    private_key: Path | None,
    signing_key: Path | None,
    recipient_key: Path | None,
    ori: str | None,
    operator: str | None,
    operation: str | None,
    purpose: str,
    check: bool,
    as_json: bool,
) -> None:
    """Write client.toml, keys, job.toml and made-up records into FOLDER, by default this one; then try them.

    Five questions are asked in a terminal, for what no option answers: --pool, --certificate, --ori, --operator and
    --operation. Elsewhere their defaults hold. Nothing is overwritten.

    Then the worker is attested. If the operator knows your keys already, the sample runs as a job, which shows that
    the worker's policy permits it. New keys have to be made known first: the last line has the command for afterwards.

    \b
    Examples:
      cji init
      cji init desk --pool pool.toml --ori GA0600000 --operator jdoe --operation deidentify
    """  # noqa: D301 - \b is click\'s mark for text that it must not wrap
    given = {"pool": pool, "certificate": certificate, "ori": ori, "operator": operator, "operation": operation}
    choices = _choices(given, private_key, signing_key, recipient_key, purpose)
    written = write_first_files(folder, choices)
    if not as_json:
        _list(written)
    ready = not any(each.hand_out for each in written)
    attested, ran = False, False
    if check and not _waits_for_certificate(written):
        attested = _attest(context, folder, quiet=as_json)
        if ready:
            _run(context, folder)
            ran = True
    _conclude(folder, written, attested=attested, ran=ran, as_json=as_json)


def _choices(
    given: Mapping[str, object], private_key: Path | None, signing: Path | None, recipient: Path | None, purpose: str
) -> Choices:
    ask = _Asker(given)
    pool = Path(ask("pool", "pool.toml", check=_file))
    table = read_pool(pool)
    certificate = ask("certificate", "", check=lambda text: text and _file(text))
    ori = ask("ori", default_ori(table), check=_ori)
    operator = ask("operator", _login())
    operation = ask("operation", next(iter(SAMPLES)), check=lambda text: _OPERATION.convert(text, None, None))
    return Choices(
        pool=pool,
        ori=ori,
        operator=operator,
        operation=operation,
        purpose=purpose,
        certificate=Path(certificate) if certificate else None,
        private_key=private_key,
        signing_key=signing,
        recipient_key=recipient,
    )


class _Asker:
    """Answers from options, else from a person at a terminal, else the defaults."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given, self._asks = given, sys.stdin.isatty()

    def __call__(self, name: str, default: str, *, check: Callable[[str], str] = str) -> str:
        if (given := self._given[name]) is not None:
            return check(str(given))
        if not self._asks:
            if not default and name != "certificate":
                raise Failure(f"--{name} is missing", remedy=f"Give --{name}. {_ABOUT[name]}", status=2)
            try:
                return check(default)
            except click.BadParameter as error:
                raise Failure(error.message, remedy=f"Give --{name}. {_ABOUT[name]}", status=2) from None
        number = list(_ABOUT).index(name) + 1
        click.echo(f"\n{number} of {len(_ABOUT)}. {_ABOUT[name]}", err=True)
        found: str = click.prompt(
            name, default=default or (None if name != "certificate" else ""), value_proc=check, err=True
        )
        return found


def _file(text: str) -> str:
    return str(FILE.convert(text, None, None))


def _ori(text: str) -> str:
    if _ORI.fullmatch(text) is None:
        raise click.BadParameter(f"{text!r} is not an ORI: nine characters A-Z 0-9.", param_hint="--ori")
    return text


def _login() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # no account of this number, or no accounts
        return "operator"


def _list(written: list[Written]) -> None:
    width = max(len(str(each.path)) for each in written)
    for each in written:
        click.echo(f"{each.path!s:{width}}  {each.what}{': give it to the operator' if each.hand_out else ''}")


def _waits_for_certificate(written: list[Written]) -> bool:
    return any(each.path.suffix == ".csr" for each in written)


def _attest(context: click.Context, folder: Path, *, quiet: bool) -> bool:
    profile = load_profile(folder / PROFILE)
    with connect(profile, trusts=[trust_named(context, profile.cloud)]) as worker:
        introduce(Console(stderr=True, quiet=quiet), worker.attest())
    return True


def _run(context: click.Context, folder: Path) -> None:
    files = {"given": folder / RECORDS, "spec_file": folder / SPEC, "profile_file": folder / PROFILE}
    context.invoke(run, **files, out=folder / _OUT, quiet=True)


def _conclude(folder: Path, written: list[Written], *, attested: bool, ran: bool, as_json: bool) -> None:
    again = _command(folder)
    if ran:
        done, following = f"{folder / _OUT}  the result of the sample; open report.html in a browser", again
    else:
        public = " ".join(str(each.path) for each in written if each.hand_out)
        done = f"Give the operator {public}; when the worker's policy has them:" if public else ""
        following = _command(folder, sample=True)
    if as_json:
        files = tuple(FirstFile(file=str(e.path), what=e.what, hand_out=e.hand_out) for e in written)
        print_json(Started(files=files, attested=attested, ran=ran, next=following))
        return
    click.echo(f"\n{done}\nNext: {following}" if done else f"\nNext: {following}")


def _command(folder: Path, *, sample: bool = False) -> str:
    """The command for the sample, or for records of one's own."""
    spec, profile, out = (shlex.quote(str(folder / name)) for name in (SPEC, PROFILE, _OUT if sample else "out"))
    records = shlex.quote(str(folder / RECORDS)) if sample else "YOURS.csv"
    return f"cji job run {records} --spec {spec} --profile {profile} --out {out}"
