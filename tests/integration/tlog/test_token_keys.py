"""Keys of logs and witnesses in a PKCS#11 token: SoftHSM. `make pkcs11` runs this."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cji_audit.tlog.cosigning import KeyUnusableError
from cji_audit.tlog.http_server import Request
from cji_audit.tlog.witness import Witness
from cji_core.errors import SpecError
from cji_core.pkcs11 import new_ed25519, token_table
from cji_core.tlog.keys import COSIGNED_ED25519, NOTE_ED25519, parse_vkey
from cji_core.tlog.policy import Policy
from cji_core.tlog.requests import encode_body
from cji_core.tlog.token_keys import TokenNoteSigner
from cji_core.trail.checkpoint import Checkpoint
from cji_core.trail.merkle import EMPTY_ROOT
from tests.support.softhsm import LABEL, LIBRARY, PIN, softhsm
from tests.support.tlog_commands import cji, next_policy, process, set_up, vkeys
from tests.support.tlog_site import ORIGIN, site

pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: make pkcs11")
pytestmark = pytest.mark.skipif(not LIBRARY.exists(), reason="softhsm2 is not installed")
TRAILS = "log.pd.example/trails"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with softhsm(tmp_path_factory.mktemp("softhsm")) as found:
        yield found


def named(folder: Path, label: str, **changes: str) -> Path:
    """The file of a key in the token."""
    (folder / "pin").write_text(PIN + "\n")
    (folder / "pin").chmod(0o600)
    table = {"pkcs11": str(LIBRARY), "token": LABEL, "label": label, "pin_file": "pin", **changes}
    path = folder / f"{label}.toml"
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items()))
    return path


def test_servers_sign_with_tokens_and_the_log_rotates(settings: Path, tmp_path: Path) -> None:
    for label in ("log-1", "log-2", "witness-1"):
        named(tmp_path, label)
    folder = set_up(tmp_path, log_token="log-1.toml", witness_token="witness-1.toml")
    shown = vkeys("log", "vkeys", folder / "log.key", "--pkcs11", folder / "log-1.toml")
    assert [parse_vkey(each).kind for each in shown] == [1, 6]
    assert json.dumps(shown) in (folder / "policy.toml").read_text()
    in_file = (folder / "log.key").read_text().splitlines()
    assert len(in_file) == 1, "the Ed25519 key is in the token alone"
    new = vkeys("log", "key", TRAILS, "-o", folder / "log-2.key", "--pkcs11", folder / "log-2.toml")
    next_policy(folder, new)
    told = ("--token-file", folder / "reader.token", "--policy", folder / "policy.toml")
    by = ("--operator", "jdoe", "--explanation", "yearly rotation", "--key", folder / "operator.key")
    with (
        process("witness", "serve", "--config", folder / "witness.toml"),
        process("log", "serve", "--config", folder / "log.toml"),
    ):
        cji("log", "change-policy", *told, *by, "--new", folder / "policy-2.toml", "-o", folder / "change.json")
        assert "sheriff cosigned" in cji("log", "monitor", *told, "--state", folder / "m.db")
    cji("log", "accept", "--policy", folder / "policy.toml", folder / "policy-2.toml", folder / "change.json")
    _to(folder, shown, new)
    with (
        process("witness", "serve", "--config", folder / "witness.toml"),
        process("log", "serve", "--config", folder / "log.toml"),
    ):
        assert "sheriff cosigned" in cji("log", "monitor", *told, "--state", folder / "m.db")
    witnessed = json.loads(cji("witness", "status", "--config", folder / "witness.toml", "--json"))
    assert witnessed["logs"] == [{"origin": TRAILS, "size": 1}]


def _to(folder: Path, old: list[str], new: list[str]) -> None:
    """The second key is in use, at the log and at its witness."""
    (folder / "policy-2.toml").replace(folder / "policy.toml")
    for name, changes in {
        "witness.toml": {json.dumps(old): json.dumps(new)},
        "log.toml": {'"log.key"': '"log-2.key"', "log-1.toml": "log-2.toml"},
    }.items():
        text = (folder / name).read_text()
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("label", "changes", "kind", "remedy"),
    [
        ("x", {"token": "other"}, "NoSuchToken", "Connect the token"),
        ("x", {"pin_file": "wrong"}, "PinIncorrect", "locks itself"),
        ("x", {"pin_file": "open"}, "others than its owner", "0600"),
        ("x", {"pin_file": "absent"}, "cannot be read", "Correct it"),
        ("x", {}, "NoSuchKey", "Compare `label`"),
        ("p384", {}, "is not an Ed25519 key", "--pkcs11"),
        ("x", {"pkcs11": "/nonexistent.so"}, "PKCS11Error", "Compare the library"),
        ("x", {"slot": "1"}, "unknown field", "pkcs11 .the library's path."),
    ],
)
def test_what_cannot_be_used_is_named(
    settings: Path, tmp_path: Path, label: str, changes: dict[str, str], kind: str, remedy: str
) -> None:
    for name, text, mode in (("wrong", "0000", 0o600), ("open", PIN, 0o644)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    if label == "p384":
        _make_p384()
    file = named(tmp_path, label, **changes)
    with pytest.raises(SpecError, match=kind) as refused:
        TokenNoteSigner(token_table(file), name=TRAILS, kind=NOTE_ED25519)
    assert re.search(remedy, refused.value.remedy)


def _make_p384() -> None:
    from pkcs11.util.ec import encode_named_curve_parameters

    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}
    with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
        session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(
            store=True, label="p384"
        )


def test_a_token_without_the_mechanism_is_named(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_ed25519(token_table(named(tmp_path, "used")))
    less = tmp_path / "less.conf"
    less.write_text(settings.read_text() + "slots.mechanisms = -CKM_DES_ECB,CKM_EDDSA\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(less))
    for label, option in (("fresh", ()), ("used", ("--existing",))):
        made = ("log", "key", TRAILS, "-o", tmp_path / "a.key", *option)
        told = cji(*made, "--pkcs11", named(tmp_path, label), status=2)
        assert "has no CKM_EDDSA\n" in told
        assert "Take another token" in told
        assert not (tmp_path / "a.key").exists()
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    with pytest.raises(SpecError, match="NoSuchKey"):
        TokenNoteSigner(token_table(tmp_path / "fresh.toml"), name=TRAILS, kind=NOTE_ED25519)


def test_a_label_and_a_key_file_are_of_one_use(settings: Path, tmp_path: Path) -> None:
    file = named(tmp_path, "once")
    made = vkeys("log", "key", TRAILS, "-o", tmp_path / "a.key", "--pkcs11", file)
    again = ("log", "key", TRAILS, "-o", tmp_path / "b.key", "--pkcs11", file)
    assert "the token has something" in cji(*again, status=2)
    assert not (tmp_path / "b.key").exists()
    assert vkeys(*again, "--existing")[0] == made[0]
    cji("log", "key", "a b", "-o", tmp_path / "c.key", "--pkcs11", named(tmp_path, "blank"), status=2)
    with pytest.raises(SpecError, match="NoSuchKey"):  # the name was refused before a key was made
        TokenNoteSigner(token_table(tmp_path / "blank.toml"), name=TRAILS, kind=NOTE_ED25519)
    cji("log", "key", TRAILS, "-o", tmp_path / "both.key")
    assert "has an Ed25519 key" in cji("log", "vkeys", tmp_path / "both.key", "--pkcs11", file, status=1)
    assert "--existing is for" in cji("log", "key", TRAILS, "-o", tmp_path / "d.key", "--existing", status=2)


@pytest.mark.parametrize(
    ("label", "template", "found"),
    [
        (
            "extractable",
            {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: True},
            "CKA_EXTRACTABLE = True",
        ),
        ("readable", {pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: False}, "CKA_SENSITIVE = False"),
    ],
)
def test_a_key_that_can_leave_its_token_is_refused(
    settings: Path, tmp_path: Path, label: str, template: dict[Any, bool], found: str
) -> None:
    from pkcs11.util.ec import encode_named_curve_parameters

    file = named(tmp_path, label)
    curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
    with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
        session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True).generate_keypair(
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label, private_template=template
        )
    taken = ("log", "key", TRAILS, "-o", tmp_path / "a.key", "--pkcs11", file, "--existing")
    told = cji(*taken, status=2)
    assert f"has {found}" in told
    assert "A copy of it may exist" in told
    assert not (tmp_path / "a.key").exists()


def test_an_imported_key_is_refused(settings: Path, tmp_path: Path) -> None:
    """Sensitive and not extractable now; the file that it came from is a copy."""
    pair = tmp_path / "pair.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", pair], check=True)
    slot = ("softhsm2-util", "--import", pair, "--token", LABEL, "--label", "imported", "--id", "ab", "--pin", PIN)
    subprocess.run(slot, check=True, capture_output=True)
    file = named(tmp_path, "imported")
    told = cji("log", "key", TRAILS, "-o", tmp_path / "a.key", "--pkcs11", file, "--existing", status=2)
    assert "has CKA_NEVER_EXTRACTABLE = False" in told


def test_a_signature_of_another_pair_is_not_used(settings: Path, tmp_path: Path) -> None:
    table = token_table(named(tmp_path, "mixed"))
    for kind in (pkcs11.ObjectClass.PUBLIC_KEY, pkcs11.ObjectClass.PRIVATE_KEY):  # each pair loses one half
        other = msgspec.structs.replace(table, label=kind.name)
        new_ed25519(other)
        with pkcs11.lib(str(LIBRARY)).get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            session.get_key(object_class=kind, label=kind.name).destroy()
            (half,) = session.get_objects({pkcs11.Attribute.LABEL: kind.name})
            half[pkcs11.Attribute.LABEL] = "mixed"
    signer = TokenNoteSigner(table, name=TRAILS, kind=NOTE_ED25519)
    text = f"{TRAILS}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".encode()
    note = Checkpoint(origin=TRAILS, size=0, root=EMPTY_ROOT, text=text, signatures=())
    with pytest.raises(SpecError, match="signature is not of mixed"):
        signer.sign(note, at=1)
    signer.close()


def test_a_token_that_goes_away_stops_signatures(settings: Path, tmp_path: Path) -> None:
    tables = [token_table(named(tmp_path, label)) for label in ("log-gone", "witness-gone")]
    for each in tables:
        new_ed25519(each)
    now = [time.time()]
    with site(tmp_path, count=3, clock=lambda: now[0]) as agency:
        signer = TokenNoteSigner(tables[0], name=ORIGIN, kind=NOTE_ED25519)
        agency.signers = (signer, agency.signers[1])
        keys = tuple(each.key.vkey for each in agency.signers)
        agency.policy = Policy(msgspec.structs.replace(agency.policy.file, keys=keys))
        for host in agency.witnesses:
            host.logs[ORIGIN] = [each.key for each in agency.signers]
            host.start()
        agency.log.store.close()
        log = agency.start()
        log.refresh()
        note = log.published()
        assert note is not None
        signer.close()
        now[0] += agency.policy.file.max_age_seconds / 2
        with pytest.raises(KeyUnusableError, match="log-gone") as refused:
            log.refresh()
        assert "restart the log" in refused.value.remedy
        assert log.published() == note

        host = agency.witnesses[2]
        at_witness = TokenNoteSigner(tables[1], name="w2.example", kind=COSIGNED_ED25519)
        witness = Witness(host.state, (at_witness,), host.logs)
        asked = Request(
            method="POST", path="/add-checkpoint", body=encode_body(0, (), note.encode()), authorization=None
        )
        assert witness(asked).status == 200
        at_witness.close()
        had = host.state.checkpoint(ORIGIN)
        assert witness(asked).status == 503
        assert host.state.checkpoint(ORIGIN) == had
