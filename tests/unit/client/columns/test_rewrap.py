"""`cji columns digest`, `rewrap` and `check`: from a database's keys to a statement that a worker can open."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa

from cji_attestation import AZURE_US
from cji_client.columns.errors import ColumnKeyRefused
from cji_client.columns.keys_file import load_keys
from cji_client.columns.rewrap import verify_keys
from cji_core.command import build
from cji_core.format.columns import ColumnEncryption, ColumnRight, open_keys
from cji_core.format.envelope import UnwrappingKey
from cji_core.format.keys import load_signing_key
from cji_core.jose import key_id, parse_verifying, public_jwk, thumbprint
from cji_core.strict import b64url, b64url_decode
from tests.support.column_keys import worker_key
from tests.support.encrypted_values import CEK, PATH, encrypted_value, pem, private_file
from tests.support.encrypted_values import COLUMNS_TOML as GOOD

OTHER = bytes(reversed(CEK))
KEK_ID = "https://kv.vault.azure.net/keys/cji/" + "ab" * 16
SUBMITTER = b64url(bytes(32))


def cji(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["columns", *map(str, arguments)], catch_exceptions=False)


class Desk:
    """A folder with all that an agency has: its description, keys and list."""

    def __init__(self, folder: Path, master: rsa.RSAPrivateKey) -> None:
        self.folder, self.master = folder, master
        private_file(folder / "cmk.pem", pem(master))
        self.describe(GOOD)
        assert cji_key("new-signing", folder / "signing.key").exit_code == 0
        (folder / "kek.jwk").write_text(public_jwk(worker_key().public_key().rsa_key))
        self.list(CEK)

    def describe(self, text: str, cek: bytes = CEK) -> None:
        text = text.replace('"016e00"', f'"{encrypted_value(self.master, cek=cek).hex()}"', 1)
        (self.folder / "columns.toml").write_text(text)

    def list(self, *ceks: bytes) -> None:
        lines = (f"{hashlib.sha384(each).hexdigest()}  # made on 1 June\n" for each in ceks)
        (self.folder / "cek-digests.txt").write_text("".join(lines))

    def rewrap(self, *more: str, **changes: str | None) -> Result:
        options = {
            "master-key": "cmk.pem",
            "digests": "cek-digests.txt",
            "kek": "kek.jwk",
            "kek-id": KEK_ID,
            "thumbprint": key_id(worker_key().public_key().rsa_key),
            "signing-key": "signing.key",
            "submitter": SUBMITTER,
            "ori": "GA0600000",
            "purpose": "C",
            "until": f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}",
            **{name.replace("_", "-"): text for name, text in changes.items()},
        }
        files = {"master-key", "digests", "kek", "signing-key", "ml-kem"}
        given = [
            part
            for name, text in options.items()
            if text is not None
            for part in (f"--{name}", str(self.folder / text) if name in files else text)
        ]
        return cji("rewrap", self.folder / "columns.toml", *given, *more)

    @property
    def keys(self) -> Path:
        return self.folder / "persons.keys.json"


def cji_key(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(AZURE_US), ["key", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def master() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def desk(tmp_path: Path, master: rsa.RSAPrivateKey) -> Desk:
    return Desk(tmp_path, master)


def assert_secret(result: Result, *ceks: bytes) -> None:
    """No output has a key or a half of one, in any encoding that the product writes."""
    for cek in (*ceks, CEK, OTHER):
        for half in (cek[:16], cek[16:]):
            for shown in (half.hex(), b64url(half)[:20], repr(half)[2:20]):
                assert shown not in result.output


def test_keys_reach_the_worker(desk: Desk) -> None:
    made = desk.rewrap()
    assert made.exit_code == 0, made.output
    assert_secret(made)
    keys = load_keys(desk.keys)

    statement = keys.statement
    assert open_keys([keys], worker_key()) == (CEK,)
    assert statement.sha384.hex() in made.stdout
    assert (statement.table, statement.originating_ori, statement.purpose_codes) == (
        "cjis.dbo.Persons",
        "GA0600000",
        ("C",),
    )
    assert (statement.submitters, statement.kek_id) == ((bytes(32),), KEK_ID)
    assert [(key.key_path, key.cek_sha384) for key in statement.keys] == [(PATH, hashlib.sha384(CEK).digest())]
    assert [(one.column, str(one.type), one.data_class.value) for one in statement.columns] == [
        ("last", "nvarchar(60)", "biographic"),
        ("person_token", "varchar(64) utf-8", "control number"),
    ]
    last, token = statement.columns
    assert (last.encryption, token.encryption) == (ColumnEncryption.DETERMINISTIC, ColumnEncryption.RANDOMIZED)
    assert last.rights == frozenset((ColumnRight.OPEN, ColumnRight.COMPARE))
    assert token.rights == frozenset((ColumnRight.SEAL,))
    assert "key-of-several-classes" in made.stdout
    assert desk.keys.stat().st_mode & 0o777 == 0o644
    text = desk.keys.read_text()
    assert CEK.hex() not in text

    again = desk.rewrap()
    assert (again.exit_code, desk.keys.read_text()) == (2, text)
    assert "never overwritten" in again.output


def test_the_lines_for_the_policy_are_its_own(desk: Desk) -> None:
    made = desk.rewrap("--json")
    answer = json.loads(made.stdout)
    jwk = re.search(r"signing_key = '(.*)'", answer["policy"])
    assert jwk is not None
    assert thumbprint(parse_verifying(jwk[1])) == load_keys(desk.keys).statement.signer
    assert answer["policy"].startswith("[submitters.agencies.sealed_columns]\n")
    assert f'statements = ["{answer["statement_sha384"]}"]' in answer["policy"]


def test_a_hybrid_statement(desk: Desk) -> None:
    assert cji_key("new-signing", desk.folder / "pair.key", "--hybrid").exit_code == 0
    half = mlkem.MLKEM1024PrivateKey.generate()
    (desk.folder / "half.jwk").write_text(public_jwk(half.public_key()))
    options = {"ml_kem": "half.jwk", "ml_kem_thumbprint": key_id(half.public_key())}

    assert "belong together" in desk.rewrap(ml_kem="half.jwk").output
    wrong = desk.rewrap(**options)
    assert (wrong.exit_code, "does not sign in hybrid-1" in wrong.output) == (2, True), wrong.output
    made = desk.rewrap(**options, signing_key="pair.key")
    assert made.exit_code == 0, made.output
    assert open_keys([load_keys(desk.keys)], UnwrappingKey(worker_key().rsa_key, half)) == (CEK,)


@pytest.mark.parametrize(
    ("changes", "status", "what"),
    [
        ({"ori": "Fulton"}, 2, "Fulton is not an ORI"),
        ({"until": "2020-01-01"}, 2, "is past"),
        ({"until": "tomorrow"}, 2, "is not a day"),
        ({"submitter": "me"}, 2, "is not a thumbprint"),
        ({"purpose": "criminal"}, 2, "no statement can be made"),
        ({"thumbprint": "A" * 43}, 3, "pins another"),
        ({"kek_id": "cji"}, 2, "no statement can be made"),
        ({"digests": "none.txt"}, 2, "cannot be read"),
    ],
)
def test_an_option_that_cannot_be(desk: Desk, changes: dict[str, str], status: int, what: str) -> None:
    refused = desk.rewrap(**changes)
    assert (refused.exit_code, what in refused.output) == (status, True), refused.output
    assert not desk.keys.exists()
    assert_secret(refused)


def test_a_key_that_the_list_does_not_have(desk: Desk) -> None:
    """The database's administrator replaced the key by their own, under the same master key: every check but one."""
    desk.describe(GOOD, cek=OTHER)
    refused = desk.rewrap()
    assert refused.exit_code == 3
    assert "not in the list of digests" in refused.output
    assert not desk.keys.exists()
    assert_secret(refused)


def test_one_key_for_two_names(desk: Desk) -> None:
    second = (
        f'[[keys]]\nname = "CEK_2"\nmaster_key = "{PATH}"\nprovider = "azure_key_vault"\nencrypted_value = "VALUE"\n\n'
    )
    second = second.replace("VALUE", encrypted_value(desk.master).hex())
    desk.describe(GOOD.replace("https://contoso.vault.azure.net/keys/CMK/0123456789abcdef0123456789abcdef", PATH))
    text = (desk.folder / "columns.toml").read_text().replace("[[columns]]", f"{second}[[columns]]", 1)
    (desk.folder / "columns.toml").write_text(text)
    assert desk.rewrap().exit_code == 0  # a key without a column is left alone
    assert len(load_keys(desk.keys).statement.keys) == 1

    desk.keys.unlink()
    before, _, after = text.rpartition('key = "CEK_Identity"')
    (desk.folder / "columns.toml").write_text(f'{before}key = "CEK_2"{after}')
    refused = desk.rewrap()
    assert (refused.exit_code, "CEK_2 and CEK_Identity are the same key" in refused.output) == (2, True)


def test_the_list_is_written_where_keys_are_made(desk: Desk) -> None:
    (desk.folder / "cek-digests.txt").unlink()
    command = ("digest", desk.folder / "columns.toml", "--digests", desk.folder / "cek-digests.txt")
    master = ("--master-key", desk.folder / "cmk.pem")
    raw = private_file(desk.folder / "cek.bin", OTHER)

    added = cji(*command, *master)
    assert added.exit_code == 0, added.output
    assert (desk.folder / "cek-digests.txt").read_text() == added.stdout.replace("  ", "  # ", 1)
    assert "(was listed)" in cji(*command, *master).stdout
    assert desk.rewrap().exit_code == 0
    listed = cji("digest", "--raw", raw, "--name", "CEK_2", "--digests", desk.folder / "cek-digests.txt")
    assert listed.stdout == f"{hashlib.sha384(OTHER).hexdigest()}  CEK_2\n"
    for result in (added, listed):
        assert_secret(result)
    for wrong in (
        command,
        (*command, *master, "--raw", raw),
        ("digest", "--digests", desk.folder / "cek-digests.txt"),
        ("digest", "--raw", raw, "--digests", desk.folder / "cek-digests.txt"),
        ("digest", "--raw", desk.folder / "cmk.pem", "--name", "a", "--digests", desk.folder / "cek-digests.txt"),
    ):
        assert cji(*wrong).exit_code == 2


def test_a_statement_is_checked(desk: Desk, master: rsa.RSAPrivateKey) -> None:
    assert desk.rewrap().exit_code == 0
    public = desk.folder / "signing.key.pub"

    shown = cji("check", desk.keys, "--signing-key", public)
    assert shown.exit_code == 0, shown.output
    for text in ("cjis.dbo.Persons", "GA0600000", PATH, "nvarchar(60)", "open, compare", KEK_ID, SUBMITTER):
        assert text in shown.stdout
    answer = json.loads(cji("check", desk.keys, "--signing-key", public, "--json").stdout)
    assert answer["statement_sha384"] == load_keys(desk.keys).statement.sha384.hex()

    assert cji_key("new-signing", desk.folder / "other.key").exit_code == 0
    other = cji("check", desk.keys, "--signing-key", desk.folder / "other.key.pub")
    assert (other.exit_code, "not signed by this key" in other.output) == (3, True)
    for file in (desk.folder / "kek.jwk", desk.folder / "signing.key"):
        assert cji("check", desk.keys, "--signing-key", file).exit_code == 2


@pytest.mark.parametrize("member", ["statement", "wrapped_key", "sealed_keys", "signature"])
def test_no_member_of_the_file_can_change(desk: Desk, member: str) -> None:
    assert desk.rewrap().exit_code == 0
    found = json.loads(desk.keys.read_text())
    data = bytearray(b64url_decode(found[member]))
    data[len(data) // 2] ^= 1
    desk.keys.write_text(json.dumps({**found, member: b64url(bytes(data))}))

    assert cji("check", desk.keys, "--signing-key", desk.folder / "signing.key.pub").exit_code in (2, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("signature"),
        lambda found: found.update(more=""),
        lambda found: found.update(statement="!"),
        lambda found: found.update(sealed_keys=found["sealed_keys"][:-8]),
    ],
)
def test_another_file_is_refused(desk: Desk, change: Callable[[dict[str, Any]], None]) -> None:
    assert desk.rewrap().exit_code == 0
    found = json.loads(desk.keys.read_text())
    change(found)
    desk.keys.write_text(json.dumps(found))
    refused = cji("check", desk.keys, "--signing-key", desk.folder / "signing.key.pub")
    assert (refused.exit_code, "has no keys of columns" in refused.output) == (2, True)


def test_an_expired_statement(desk: Desk) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    assert desk.rewrap(until=f"{soon:%Y-%m-%dT%H:%M:%SZ}").exit_code == 0
    keys, signer = load_keys(desk.keys), load_signing_key(desk.folder / "signing.key").public_key()
    verify_keys(keys, signer, now=keys.statement.not_after)
    with pytest.raises(ColumnKeyRefused, match="expired on"):
        verify_keys(keys, signer, now=keys.statement.not_after + timedelta(seconds=1))
