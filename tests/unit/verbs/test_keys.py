"""`cji key` and the command itself: help that teaches, exit statuses as documented, files never overwritten."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import mlkem, rsa

from cji_attestation import AZURE_US, AZURE_USGOV
from cji_client.errors import SpecError, Unreachable, Unverified, WorkerRefused
from cji_client.verbs.answers import NewSeed, ShownKey
from cji_core.command import build
from cji_core.command.common import explained
from cji_core.errors import Reason, Refusal, Stage, StartupError
from cji_core.format.envelope import signer_thumbprint, unwrap_seed
from cji_core.format.keys import load_project_key, load_recipient_key, load_signing_key
from cji_core.jose import key_id, parse_encryption_pair, parse_p384, parse_rsa, parse_verifying, public_jwk
from cji_core.pairs import DecryptionPair, SigningPair
from cji_core.strict import b64url, b64url_decode
from cji_core.suites import Suite
from tests.support.json_answers import answered
from tests.support.paths import ROOT
from tests.support.private_files import put_private


def cji(*arguments: str | Path, text: str = "") -> Result:
    return CliRunner().invoke(
        build(AZURE_US, AZURE_USGOV), [str(a) for a in arguments], input=text, catch_exceptions=False
    )


def test_keys_are_made_with_their_public_halves(tmp_path: Path) -> None:
    assert cji("key", "new-signing", tmp_path / "s").exit_code == 0
    made = cji("key", "new-recipient", tmp_path / "r")
    assert made.exit_code == 0
    assert "thumbprint" in made.stdout
    assert cji("key", "project", "study", tmp_path / "p").exit_code == 0
    parse_rsa((tmp_path / "r.jwk").read_text())
    assert "BEGIN PUBLIC KEY" in (tmp_path / "s.pub").read_text()
    assert load_project_key(tmp_path / "p").project == "study"
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert {modes[name] for name in "srp"} == {0o600}
    again = cji("key", "new-signing", tmp_path / "s")
    assert again.exit_code == 2
    assert "never overwritten" in again.stderr


def test_hybrid_keys_are_pairs(tmp_path: Path) -> None:
    assert cji("key", "new-signing", tmp_path / "s", "--hybrid").exit_code == 0
    made = cji("key", "new-recipient", tmp_path / "r", "--hybrid", "--passphrase", text="one\none\n")
    assert made.exit_code == 0
    signing = load_signing_key(tmp_path / "s")
    assert isinstance(signing, SigningPair)
    assert parse_verifying((tmp_path / "s.pub").read_text()) == signing.public_key()
    recipient = load_recipient_key(tmp_path / "r", passphrase=b"one")
    assert isinstance(recipient, DecryptionPair)
    assert parse_encryption_pair((tmp_path / "r.jwk").read_text().strip()) == recipient.public_key()
    assert key_id(recipient.public_key()) in made.stdout
    for load, name in ((load_recipient_key, "s"), (load_signing_key, "r"), (load_recipient_key, "r")):
        with pytest.raises(SpecError):
            load(tmp_path / name)


@pytest.mark.parametrize("kind", ["signing", "recipient"])
@pytest.mark.parametrize("hybrid", [(), ("--hybrid",)])
def test_each_half_of_a_key_shows_its_thumbprint(tmp_path: Path, kind: str, hybrid: tuple[str, ...]) -> None:
    made = cji("key", f"new-{kind}", tmp_path / "k", *hybrid, "--passphrase", text="one\none\n").stdout
    (thumbprint,) = re.findall("thumbprint (.*)", made)
    (public,) = (path for path in tmp_path.iterdir() if path.name != "k")
    for file, text in ((tmp_path / "k", "one\n"), (public, "")):
        shown = cji("key", "show", file, text=text)
        assert shown.exit_code == 0, shown.output
        assert f"thumbprint  {thumbprint}\n" in shown.stdout
    answer = answered(cji("key", "show", public, "--json"), ShownKey)
    assert answer.thumbprint == thumbprint
    signs = kind == "signing"
    if signs:
        key = parse_verifying(answer.jwk)
        assert b64url(signer_thumbprint(key, Suite.CLASSICAL_1)) == answer.classical_thumbprint
    assert (answer.classical_thumbprint != thumbprint) is (signs and bool(hybrid))


def test_what_is_no_key_is_not_shown(tmp_path: Path) -> None:
    put_private(tmp_path / "open.key", (ROOT / "examples/columns/cmk.pem").read_bytes())
    (tmp_path / "x.jwk").write_text('{"kty":"RSA","n":"AQAB","e":"AQAB"}')
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe")
    for name in ("open.key", "x.jwk", "x.bin"):
        found = cji("key", "show", tmp_path / name)
        assert (found.exit_code, found.stdout) == (2, ""), name
        assert name in found.stderr
    cji("key", "new-signing", tmp_path / "s")
    (tmp_path / "s").chmod(0o644)
    assert "chmod 600" in cji("key", "show", tmp_path / "s").stderr


def test_half_a_pair_is_no_key_of_the_other_kind(tmp_path: Path) -> None:
    """A file that lost a half, or has its halves exchanged, does not sign or open something weaker."""
    cji("key", "new-signing", tmp_path / "s", "--hybrid")
    cji("key", "new-recipient", tmp_path / "r", "--hybrid")
    for name, load in (("s", load_signing_key), ("r", load_recipient_key)):
        text = (tmp_path / name).read_bytes()
        at = text.rindex(b"-----BEGIN")
        for changed in (text[:at], text[at:] + text[:at], text + text[at:], text[:at] * 2):
            put_private(tmp_path / "x", changed)
            with pytest.raises(SpecError):
                load(tmp_path / "x")


def test_a_seed_is_wrapped_and_never_shown(tmp_path: Path) -> None:
    cmk = rsa.generate_private_key(65537, 3072)
    public, kek_id = cmk.public_key(), "https://v.vault.azure.net/keys/cmk/" + "ab" * 16
    (tmp_path / "cmk.jwk").write_text(public_jwk(public) + "\n")
    options = ("--kek-id", kek_id, "--thumbprint")
    file = tmp_path / "cmk.seed"
    made = cji("key", "new-ml-kem-seed", tmp_path / "cmk.jwk", "--out", file, *options, key_id(public))
    assert made.exit_code == 0
    lines = tomllib.loads(made.stdout)
    assert lines["ml_kem_seed_file"] == str(file)
    assert file.stat().st_mode & 0o777 == 0o600
    seed = unwrap_seed(cmk, kek_id, b64url_decode(file.read_text().strip()))
    key = mlkem.MLKEM1024PrivateKey.from_seed_bytes(seed)
    assert key_id(key.public_key()) == lines["ml_kem_thumbprint"]
    assert seed.hex() not in made.output
    assert cji("key", "new-ml-kem-seed", tmp_path / "cmk.jwk", "--out", file, *options, key_id(public)).exit_code != 0
    other = ("--out", tmp_path / "other.seed")
    made = cji("key", "new-ml-kem-seed", tmp_path / "cmk.jwk", *other, *options, key_id(public), "--json")
    again = answered(made, NewSeed)
    assert len(unwrap_seed(cmk, kek_id, b64url_decode(other[1].read_text().strip()))) == len(seed)
    assert again.ml_kem_thumbprint != lines["ml_kem_thumbprint"]
    none = ("--out", tmp_path / "none")
    assert cji("key", "new-ml-kem-seed", tmp_path / "cmk.jwk", *none, *options, "A" * 43).exit_code == 3
    assert not none[1].exists()


def test_passphrases_are_asked_for(tmp_path: Path) -> None:
    made = cji("key", "new-signing", tmp_path / "s", "--passphrase", text="one\none\n")
    assert made.exit_code == 0
    load_signing_key(tmp_path / "s", passphrase=b"one")
    with pytest.raises(SpecError):
        load_signing_key(tmp_path / "s")


def test_private_keys_are_not_printed(tmp_path: Path) -> None:
    made = cji("key", "project", "study", tmp_path / "p")
    secret = load_project_key(tmp_path / "p").key
    assert secret.hex() not in made.output
    assert (tmp_path / "p").read_text()[-50:-5] not in made.output


@pytest.mark.parametrize(
    "command", [[], ["job"], ["job", "run"], ["key"], ["receipt", "verify"], ["doctor"], ["serve"]]
)
def test_help_teaches_with_examples(command: list[str]) -> None:
    shown = cji(*command, "--help")
    assert shown.exit_code == 0
    if len(command) != 1 or command[0] in {"doctor", "serve"}:
        assert "cji " in shown.output.split("Options:")[0].split("\n", 1)[1]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refusal(Reason.INTERNAL, stage=Stage.START), 1),
        (StartupError("what", "remedy"), 1),
        (WorkerRefused(Reason.POLICY_DENIED, stage=None, correlation_id="", retryable=False, retry_after=None), 1),
        (SpecError("spec"), 2),
        (Unverified("claim", "differs"), 3),
        (Unreachable("gone"), 4),
        (WorkerRefused(Reason.OVERLOADED, stage=None, correlation_id="c", retryable=True, retry_after=None), 4),
    ],
)
def test_exit_statuses_are_as_documented(error: Exception, status: int) -> None:
    @click.command()
    @explained
    def failing() -> None:
        raise error

    result = CliRunner().invoke(failing)
    assert result.exit_code == status
    assert str(error) in result.stderr
    assert "Traceback" not in result.output


def test_usage_errors_are_status_two(tmp_path: Path) -> None:
    for arguments in (
        ["job", "run"],
        ["unknown"],
        ["doctor", "--config", str(tmp_path / "absent")],
        ["key", "project"],
    ):
        assert cji(*arguments).exit_code == 2


@pytest.mark.parametrize("name", ["", "study 17", "-17", "étude", "study\n", "x" * 65])
def test_a_project_has_a_name_that_jobs_may_give(tmp_path: Path, name: str) -> None:
    result = cji("key", "project", "--", name, tmp_path / "p")
    assert result.exit_code == 2
    assert "1 to 64 characters" in result.stderr
    assert not (tmp_path / "p").exists()


def test_public_halves_are_those_of_the_policy(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    cji("key", "new-signing", tmp_path / "s")
    key = load_pem_public_key((tmp_path / "s.pub").read_bytes())
    parse_p384(public_jwk(key))  # type: ignore[arg-type]


def test_serve_refuses_a_configuration_that_it_cannot_run(tmp_path: Path) -> None:
    example = ROOT / "deploy" / "worker.example.toml"
    config = tmp_path / "worker.toml"
    text = example.read_text()
    for old, new, status, says in [
        ('cloud = "azure-us" ', 'cloud = "simulation" ', 2, "is unknown"),
        ("audience", "audiance", 2, "audiance"),
    ]:
        assert old in text
        config.write_text(text.replace(old, new, 1))
        result = cji("serve", "--config", config)
        assert result.exit_code == status, result.output
        assert says in result.stderr
