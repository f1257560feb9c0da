"""`cji columns`: encrypted columns of Azure SQL and Cosmos DB described, and their keys sealed for a worker."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from cji_client.columns.describe import describe as described
from cji_client.columns.digests import add_digest, digest_of, read_digests
from cji_client.columns.draft import Finding, several_classes
from cji_client.columns.file import ColumnsFile, load_columns
from cji_client.columns.keys_file import load_keys, save_keys
from cji_client.columns.master_keys import master_keys, public_in, signer_in
from cji_client.columns.opening import CEK_BYTES, open_key
from cji_client.columns.rewrap import Grant, verify_keys
from cji_client.columns.rewrap import rewrap as rewrapped
from cji_client.columns.sql_catalogue import query as catalogue_query
from cji_client.errors import SpecError
from cji_client.verbs.column_answers import CheckedKeys, DescribedTable, ListedDigest, ListedDigests, SealedKeys
from cji_client.verbs.column_rowmac import rowmac
from cji_core.command.common import FILE, explained, prompt
from cji_core.command.json_output import answers, print_answer
from cji_core.format.columns import ColumnKeyStatement
from cji_core.format.keys import PinnedKey, read_private, write_public
from cji_core.format.records import SCHEMAS
from cji_core.jose import public_jwk
from cji_core.moments import moment
from cji_core.strict import StrictError, b64url, b64url_decode

_NEW: Final = click.Path(dir_okay=False, path_type=Path)
_MASTER: Final = click.option(
    "--master-key",
    "masters",
    type=FILE,
    multiple=True,
    required=True,
    help="The column master key: a PEM or PFX file, or TOML that names a vault or token. Repeatable.",
)
_DIGESTS: Final = click.option(
    "--digests", type=_NEW, required=True, help="The agency's list of its column encryption keys, cek-digests.txt."
)
_TO_SIGN: Final = "The signing key: a PEM file, or TOML that names a vault or token."
_THUMBPRINT_BYTES: Final = 32


@click.group()
def columns() -> None:
    """Use records that are encrypted in the database, without decrypting them on the way.

    For columns of Always Encrypted (Azure SQL, SQL Server) and of client-side encryption in Cosmos DB. An agency does
    this once per table:

    \b
      cji columns describe --query > catalogue.sql     # run it, which exports the catalogue as JSON
      cji columns describe catalogue.json --out columns.toml    # then complete columns.toml
      cji columns digest columns.toml --master-key cmk.pem --digests cek-digests.txt    # where keys are made
      cji columns rewrap columns.toml --master-key cmk.pem --digests cek-digests.txt ...
      cji columns check columns.keys.json --signing-key signing.key.pub

    \b
    A master key in a vault or a token has a TOML file, as `signer` in client.toml:
      vault = "https://agency.vault.azure.net/keys/CMK/0123456789abcdef0123456789abcdef"

    The master key stays where it is, and no key is ever printed.
    """  # noqa: D301 - \b is click's mark for text that it must not wrap


columns.add_command(rowmac)


@columns.command()
@click.argument("export", type=FILE, required=False)
@click.option("--keys", type=FILE, help="Cosmos DB: the file with the client encryption keys, if EXPORT lacks them.")
@click.option("--table", help="The table, as schema.table. Cosmos DB: a name for the container.")
@click.option("--schema", default="person/1", show_default=True, help="The schema of its records; `cji schema list`.")
@click.option("--out", type=_NEW, default=Path("columns.toml"), show_default=True, help="A new file.")
@click.option("--query", is_flag=True, help="Print the query that exports a catalogue of SQL Server, and end.")
@answers(DescribedTable)
@explained
def describe(
    export: Path | None, *, keys: Path | None, table: str | None, schema: str, out: Path, query: bool, as_json: bool
) -> None:
    """Write columns.toml from EXPORT, the catalogue of a database as JSON.

    EXPORT is the result of the query, or a container of Cosmos DB with its clientEncryptionPolicy. Then complete
    `record`, the column of the records that each column is, and `rights`: open, seal for results, compare with values
    that were not encrypted. Findings state what to know before keys are made.

    \b
    Examples:
      cji columns describe --query > catalogue.sql
      sqlcmd -S SERVER -d DATABASE -G -i catalogue.sql -y 0 -o catalogue.json
      cji columns describe catalogue.json --table dbo.Persons --out columns.toml
      cji columns describe container.json --keys keys.json --out columns.toml
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if query:
        click.echo(catalogue_query(), nl=False)
        return
    if export is None:
        raise SpecError("EXPORT is missing", remedy="Name it, or print the query for it with --query.")
    if schema not in SCHEMAS or SCHEMAS[schema].output_only:
        raise SpecError(f"{schema} is not a schema of input records", remedy="Choose one of `cji schema list`.")
    draft = described(export, keys=keys, table=table)
    write_public(out, draft.text(schema, f"{out.stem}.keys.json").encode())
    findings = draft.all_findings(schema)
    answer = DescribedTable(
        file=str(out), table=draft.table, columns=len(draft.columns), keys=len(draft.keys), findings=tuple(findings)
    )
    head = f"{out}: {len(draft.columns)} encrypted columns of {draft.table}, {len(draft.keys)} keys"
    print_answer(answer, "\n".join((head, *_lines(findings))), as_json=as_json)


@columns.command()
@click.argument("file", metavar="[COLUMNS]", type=FILE, required=False)
@click.option("--master-key", "masters", type=FILE, multiple=True, help="As for rewrap. Repeatable.")
@click.option("--raw", type=FILE, help="Instead of COLUMNS: a file with the 32 bytes of a key.")
@click.option("--name", help="The name of the key in --raw.")
@_DIGESTS
@answers(ListedDigests)
@explained
def digest(
    file: Path | None, *, masters: tuple[Path, ...], raw: Path | None, name: str | None, digests: Path, as_json: bool
) -> None:
    """Add the SHA-384 of column encryption keys to the agency's list.

    Do it where the keys are made, from values that no database has had since. A digest that is taken from a database
    proves nothing: its administrator can offer a key of their own.

    \b
    Examples:
      cji columns digest columns.toml --master-key cmk.pem --digests cek-digests.txt
      cji columns digest --raw cek.bin --name CEK_Identity --digests cek-digests.txt
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    if (file is None) is (raw is None):
        raise SpecError("name either COLUMNS or --raw", remedy="See `cji columns digest --help`.")
    found = dict[str, str]()
    if raw is not None:
        if name is None:
            raise SpecError("--raw needs --name", remedy="Name the key as the database does.")
        found[name] = _raw_digest(raw)
    elif file is not None:
        if not masters:
            raise SpecError("COLUMNS needs --master-key", remedy="Name the master key that opens its keys.")
        described_file = load_columns(file)
        with master_keys(masters, prompt) as opened:
            for key in described_file.keys:
                found[f"{key.name} of {described_file.table}"] = digest_of(open_key(described_file, key, opened))
    listed = tuple(
        ListedDigest(key=key, sha384=sha384, added=add_digest(digests, sha384, key)) for key, sha384 in found.items()
    )
    lines = (f"{each.sha384}  {each.key}{'' if each.added else ' (was listed)'}" for each in listed)
    print_answer(ListedDigests(file=str(digests), digests=listed), "\n".join(lines), as_json=as_json)


@columns.command()
@click.argument("file", metavar="COLUMNS", type=FILE)
@_MASTER
@_DIGESTS
@click.option("--kek", type=FILE, required=True, help="The worker's public key, a JWK; `cji worker describe --kek`.")
@click.option("--kek-id", required=True, help="Its id with the version, as in a job spec.")
@click.option("--thumbprint", required=True, help="Its RFC 7638 thumbprint, from its owner.")
@click.option("--ml-kem", type=FILE, help="The ML-KEM half of the worker's key, a JWK, for jobs of hybrid-1.")
@click.option("--ml-kem-thumbprint", help="The thumbprint of that half.")
@click.option("--signing-key", type=FILE, required=True, help=_TO_SIGN)
@click.option("--submitter", multiple=True, required=True, help="Signer of such jobs; `cji key show`. Repeatable.")
@click.option("--ori", required=True, help="The originating ORI of the records.")
@click.option("--purpose", multiple=True, required=True, help="A purpose code of the jobs. Repeatable.")
@click.option("--until", required=True, metavar="DAY", help="The last day, such as 2027-06-30, in UTC.")
@answers(SealedKeys)
@explained
def rewrap(
    file: Path,
    *,
    masters: tuple[Path, ...],
    digests: Path,
    kek: Path,
    kek_id: str,
    thumbprint: str,
    ml_kem: Path | None,
    ml_kem_thumbprint: str | None,
    signing_key: Path,
    submitter: tuple[str, ...],
    ori: str,
    purpose: tuple[str, ...],
    until: str,
    as_json: bool,
) -> None:
    """Seal the keys of COLUMNS, a columns.toml, for one worker's key, and sign who may use them for what.

    Opens each key with the master key, after its provider's signature and its path were checked, refuses one that is
    not in the list of digests, and writes `keys_file` of COLUMNS. Prints the lines for the worker's policy: without
    them no job gets a key, and taking the statement out ends its use.

    \b
    Example:
      cji columns rewrap columns.toml --master-key cmk.pem --digests cek-digests.txt \\
          --kek worker.jwk --kek-id https://kv.vault.azure.net/keys/cji/0123456789abcdef0123456789abcdef \\
          --thumbprint NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --signing-key signing.key \\
          --submitter 6pWvTQ0ZTrXo7QjVqqvC2oW0zW3cmAdgUAGxBqT8cQw --ori GA0600000 --purpose C --until 2027-06-30
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    described_file = load_columns(file)
    if (target := Path(described_file.keys_file)).exists():
        raise SpecError(f"{target} exists", remedy="Move it, or name another keys_file; keys are never overwritten.")
    pinned = _pinned(kek, kek_id, thumbprint, ml_kem, ml_kem_thumbprint)
    grant = Grant(
        originating_ori=ori,
        purpose_codes=purpose,
        submitters=tuple(_thumbprint(each) for each in submitter),
        not_after=_last_moment(until),
    )
    listed = read_digests(digests)
    signer = signer_in(signing_key, prompt)
    with master_keys(masters, prompt) as opened:
        now = datetime.now(UTC)
        keys = rewrapped(described_file, grant, masters=opened, digests=listed, kek=pinned, signer=signer, now=now)
    save_keys(keys, target)
    _print_sealed(described_file, keys.statement, public_jwk(signer.public_key()), as_json=as_json)


@columns.command()
@click.argument("file", metavar="KEYS", type=FILE)
@click.option("--signing-key", "key", type=FILE, required=True, help="The public half of the signing key: PEM or JWK.")
@answers(CheckedKeys)
@explained
def check(file: Path, *, key: Path, as_json: bool) -> None:
    """Verify KEYS, a file of `cji columns rewrap`, and show what its statement grants.

    Exit status 3 if it is not signed by this key, or has expired. Whether a worker's policy grants it, only that
    policy shows: `cji policy explain`.

    \b
    Example:
      cji columns check columns.keys.json --signing-key signing.key.pub
    """  # noqa: D301 - \b is click's mark for text that it must not wrap
    keys = load_keys(file)
    verify_keys(keys, public_in(key), now=datetime.now(UTC))
    statement = keys.statement
    answer = CheckedKeys(
        table=statement.table,
        statement_sha384=statement.sha384.hex(),
        signer=b64url(statement.signer),
        originating_ori=statement.originating_ori,
        purpose_codes=statement.purpose_codes,
        submitters=tuple(map(b64url, statement.submitters)),
        kek_id=statement.kek_id,
        created=statement.created.isoformat(),
        not_after=statement.not_after.isoformat(),
        columns=tuple(_column_words(statement)),
        keys=tuple(f"{key.cek_sha384.hex()} under {key.key_path}" for key in statement.keys),
    )
    lines = [
        f"{statement.table}, signed by {answer.signer}",
        f"statement  {answer.statement_sha384}",
        f"from       {statement.created:%Y-%m-%d %H:%M} UTC until {statement.not_after:%Y-%m-%d %H:%M} UTC",
        f"records    of {answer.originating_ori}, purposes {', '.join(answer.purpose_codes)}",
        *(f"submitter  {each}" for each in answer.submitters),
        f"worker     {answer.kek_id}, {statement.suite}",
        *(f"key {number:<6} {each}" for number, each in enumerate(answer.keys)),
        *(f"column     {each}" for each in answer.columns),
    ]
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _print_sealed(file: ColumnsFile, statement: ColumnKeyStatement, jwk: str, *, as_json: bool) -> None:
    sha384 = statement.sha384.hex()
    policy = f"[submitters.agencies.sealed_columns]\nsigning_key = '{jwk}'\nstatements = [\"{sha384}\"]"
    findings = list(several_classes((one.key, one.record, file.data_class(one).value) for one in file.columns))
    answer = SealedKeys(
        file=file.keys_file, table=file.table, statement_sha384=sha384, policy=policy, findings=tuple(findings)
    )
    head = f"{file.keys_file}: {len(statement.keys)} keys until {statement.not_after:%Y-%m-%d %H:%M} UTC"
    lines = (head, f"statement {sha384}", *_lines(findings), "", "For the agency in the worker's policy:", policy)
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _column_words(statement: ColumnKeyStatement) -> list[str]:
    return [
        f"{each.column}  {each.type}, {each.data_class.value}, {each.encryption.name.lower()}, key {each.key}: "
        + ", ".join(right.name.lower() for right in sorted(each.rights))
        for each in statement.columns
    ]


def _lines(findings: list[Finding]) -> list[str]:
    return [f"finding {each.code}: {each.subject}. {each.text}" for each in findings]


def _raw_digest(path: Path) -> str:
    data = read_private(path)
    if len(data) != CEK_BYTES:
        raise SpecError(f"{path.name} has {len(data)} bytes, not {CEK_BYTES}", remedy="Write the key alone, as bytes.")
    return digest_of(data)


def _pinned(kek: Path, kek_id: str, thumbprint: str, ml_kem: Path | None, ml_kem_thumbprint: str | None) -> PinnedKey:
    if (ml_kem is None) is not (ml_kem_thumbprint is None):
        raise SpecError("--ml-kem and --ml-kem-thumbprint belong together", remedy="Give both, or neither.")
    half = "" if ml_kem is None else _text(ml_kem)
    return PinnedKey.check(kek_id, _text(kek), expected=thumbprint, ml_kem_jwk=half, expected_ml_kem=ml_kem_thumbprint)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise SpecError(f"{path.name} is not a JWK") from None


def _thumbprint(text: str) -> bytes:
    try:
        found = b64url_decode(text)
    except StrictError:
        found = b""
    if len(found) != _THUMBPRINT_BYTES:
        remedy = "Give the thumbprint that `cji key show` prints of the submitter's signing key, 43 characters."
        raise SpecError(f"--submitter {text} is not a thumbprint", remedy=remedy)
    return found


def _last_moment(text: str) -> datetime:
    """The end of a day in UTC, or a moment of RFC 3339, in whole seconds."""
    try:
        found = moment(text if "T" in text else f"{text}T23:59:59Z")
    except ValueError:
        raise SpecError(f"--until {text} is not a day", remedy="Write it like 2027-06-30.") from None
    return found.replace(microsecond=0)
