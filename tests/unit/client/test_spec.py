"""Job specs and profiles: strict, and told with the name of what is wrong."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cji_client.errors import SpecError, Unverified
from cji_client.profile import ClientTls, load_profile
from cji_client.seal import seal
from cji_client.spec import JobSpec, decode_spec, load_spec, only
from cji_core.format.envelope import unwrap_dek, unwrap_project_key, verify_header
from cji_core.format.job import SizeClass, parse
from cji_core.format.keys import (
    PinnedKey,
    load_project_key,
    load_recipient_key,
    load_signing_key,
    new_project_key,
    new_signing_key,
    save_private_key,
    save_project_key,
)
from cji_core.jose import key_id, public_jwk
from cji_core.operations.deidentify import (
    AesToken,
    AgeBand,
    DateShift,
    DateTo,
    Deidentify,
    Ff1,
    HmacToken,
    Mask,
    ZipPrefix,
)
from cji_core.operations.registry import OPERATIONS, plan
from cji_core.operations.validate import Validate
from cji_core.wire.v1 import worker_pb2 as pb
from tests.support.job_specs import KEK_ID, head
from tests.support.private_files import put_private
from tests.support.rsa_keys import rsa_key
from tests.support.sdk_server import Certificates

CMK = rsa_key(0, 3072)
RECIPIENT = rsa_key(1, 3072)
JWK = public_jwk(RECIPIENT.public_key())
HEAD = head(recipient=JWK, kek_thumbprint=key_id(CMK.public_key()), size_class="power_of_two", valid_hours=2)
TEXT = f"""{HEAD}
[input]
schema = "person/1"

[[operations]]
kind = "deidentify"
project = "study-17"

[operations.columns]
record_id = "keep"
SEX = "drop"
RAC = "null"
first = {{ do = "mask", keep_first = 1, with = "x" }}
last = {{ do = "hmac_token", domain = "name", bits = 80 }}
DOB = {{ do = "age_band", width = 5, top = 90, as_of = "2026-01-01" }}
postcode = {{ do = "zip_prefix" }}
"""


def spec(**changes: object) -> JobSpec:
    text = TEXT
    for key, value in changes.items():
        text = text.replace(key, str(value))
    return decode_spec(text)


def pinned() -> PinnedKey:
    return PinnedKey.check(KEK_ID, public_jwk(CMK.public_key()), expected=key_id(CMK.public_key()))


def test_a_spec_becomes_a_signed_header() -> None:
    signing, project = new_signing_key(), new_project_key("study-17")
    job = seal(spec(), kek=pinned(), signing_key=signing, project_key=project, rows=7)
    verify_header(signing.public_key(), job.header.data, job.signature)
    header = parse(job.header.data)
    assert (header.audience, header.purpose_code, header.size_class) == ("pool", "C", SizeClass.POWER_OF_TWO)
    assert (header.not_after - header.created).total_seconds() == 7200
    assert header.inputs[0].rows_declared == 7
    assert header.recipients[0].key_id == key_id(RECIPIENT.public_key())
    [operation] = header.operations
    assert [c.WhichOneof("transform") for c in operation.deidentify.columns] == [
        "keep",
        "drop",
        "null",
        "mask",
        "hmac_token",
        "generalise",
        "generalise",
    ]
    dek = unwrap_dek(CMK, header.wrapped_dek)
    assert unwrap_project_key(dek, "study-17", operation.deidentify.wrapped_project_key) == project.key
    plan([operation], {"records": "person/1"})


def test_e12_every_job_has_its_own_keys_and_id() -> None:
    project = new_project_key("study-17")
    jobs = [seal(spec(), kek=pinned(), signing_key=new_signing_key(), project_key=project) for _ in range(2)]
    assert jobs[0].header.job_id != jobs[1].header.job_id
    assert len({unwrap_dek(CMK, job.header.wrapped_dek) for job in jobs}) == 2


def test_keys_do_not_show_in_reprs() -> None:
    project = new_project_key("study-17")
    job = seal(spec(), kek=pinned(), signing_key=new_signing_key(), project_key=project)
    dek = unwrap_dek(CMK, job.header.wrapped_dek)
    for secret in (dek, project.key):
        for text in (repr(job), repr(project), str(job)):
            assert repr(secret)[2:-1] not in text
            assert secret.hex() not in text
    assert "canary" not in repr(ClientTls(ca_pem=b"a", cert_pem=b"b", key_pem=b"canary"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('audience = "pool"', "", "audience"),
        ('audience = "pool"', 'audience = ""', "audience"),
        ('audience = "pool"', 'audience = "pool"\nunknown = 1', "unknown"),
        ("CA0190000", "ca0190000", "ori"),
        ('purpose_code = "C"', 'purpose_code = "Criminal"', "purpose_code"),
        ('purpose_code = "C"', 'purpose_code = "C"\ncase_number = " x"', "case_number must be at most 256 bytes of"),
        ('audience = "pool"', 'audience = "po\\u202eol"', "audience must be"),
        ('audience = "pool"', f'audience = "{"é" * 200}"', "audience must be"),
        (KEK_ID, "http://vault.example/keys/cji/0", "kek_id"),
        ("power_of_two", "large", "size_class"),
        ("valid_hours = 2", "valid_hours = 25", "valid_hours"),
        ("recipients = [", "recipients = [] #", "recipients"),
        ('do = "mask"', 'do = "reverse"', "reverse"),
        ("keep_first = 1", "keep_first = -1", "keep_first"),
        ('with = "x"', 'with = "xx"', "with"),
        ("bits = 80", "bits = 81", "bits"),
        ('RAC = "null"', 'RAC = "none"', "none"),
        ('as_of = "2026-01-01"', 'as_of = "today"', "as_of"),
        ('as_of = "2026-01-01"', 'as_of = "2026-02-30"', "as_of"),
        ("width = 5", "width = 51", "width"),
        ('kind = "deidentify"', 'kind = "reidentify"', "reidentify"),
        ('kind = "deidentify"', "", "kind"),
        ("[[operations]]", "[operations]", "operations"),
        ('project = "study-17"', 'project = "study 17"', "project"),
        ('project = "study-17"', 'project = "study-17\\n"', "project"),
        ("[input]", "[input", "TOML|job spec"),
    ],
)
def test_specs_name_what_is_wrong(old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError, match=says):
        decode_spec(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("CA0190000", "ZZ0190000", "originating_ori"),
        ("person/1", "Person", "input schema"),
        (JWK, "{}", "recipients"),
        ("person/1", "nibrs.flat/3.1", "not possible with the input schema"),
    ],
)
def test_sealing_refuses_what_the_worker_would_refuse(old: str, new: str, says: str) -> None:
    changed = decode_spec(TEXT.replace(old, new))
    with pytest.raises(SpecError, match=says):
        seal(changed, kek=pinned(), signing_key=new_signing_key(), project_key=new_project_key("study-17"))


def test_project_key_must_be_there_and_of_the_project() -> None:
    for key in (None, new_project_key("other")):
        with pytest.raises(SpecError, match="project"):
            seal(spec(), kek=pinned(), signing_key=new_signing_key(), project_key=key)


def test_all_transforms_have_their_protobuf_form() -> None:
    rules = {
        "a": "keep",
        "b": Mask(keep_last=4),
        "c": HmacToken(domain="d"),
        "d": DateTo(unit="month"),
        "e": ZipPrefix(),
        "f": AgeBand(width=5, top=85, as_of=date(2026, 1, 1)),
        "g": DateShift(subject_column="a", max_days=30),
        "h": AesToken(domain="e"),
        "i": Ff1(domain="f", radix=36),
        "j": "null",
    }
    parameters = Deidentify(project="p", columns=rules, wrapped_project_key=bytes(384))  # type: ignore[arg-type]
    operation = OPERATIONS["deidentify"].message(parameters)
    by_name = {c.column: c for c in operation.deidentify.columns}
    assert list(by_name) == list(rules)
    assert by_name["d"].generalise.date_to.unit == pb.DateTo.MONTH
    assert (by_name["b"].mask.keep_last, getattr(by_name["b"].mask, "with")) == (4, "*")
    assert by_name["g"].date_shift.max_days == 30
    (planned,) = plan([operation], {"records": "person/1"}).operations
    assert planned.parameters == parameters


def test_a_key_is_pinned_by_its_thumbprint_only() -> None:
    good = public_jwk(CMK.public_key())
    weak = '{"e":"AQAB","kty":"RSA","n":"AQAB"}'
    for jwk in (JWK, weak, "", "{}", good + " {}", good.replace("AQAB", "Aw")):
        with pytest.raises(Unverified, match="kek"):
            PinnedKey.check(KEK_ID, jwk, expected=key_id(CMK.public_key()))
    other = PinnedKey.check(KEK_ID, JWK, expected=key_id(RECIPIENT.public_key()))
    with pytest.raises(SpecError, match="pinned"):
        seal(spec(), kek=other, signing_key=new_signing_key(), project_key=new_project_key("study-17"))


def test_files_are_relative_to_the_spec(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "r.jwk").write_text(JWK + "\n")
    text = TEXT.replace(f"'{JWK}'", '"r.jwk"').replace(
        'project = "study-17"', 'project = "study-17"\nproject_key = "p.json"'
    )
    (folder / "job.toml").write_text(text)
    loaded = load_spec(folder / "job.toml")
    assert loaded.recipients == (JWK,)
    (operation,) = loaded.operations
    assert isinstance(operation, Deidentify)
    assert operation.project_key == folder / "p.json"
    (folder / "r.jwk").unlink()
    with pytest.raises(SpecError, match=r"r\.jwk"):
        load_spec(folder / "job.toml")
    with pytest.raises(SpecError, match="absent"):
        load_spec(folder / "absent.toml")


def test_a_profile_says_what_specs_need_not_repeat(tmp_path: Path) -> None:
    (tmp_path / "agency").mkdir()
    (tmp_path / "agency" / "r.jwk").write_text(JWK)
    (tmp_path / "agency" / "client.toml").write_text(
        'target = "h:1"\ncloud = "azure-us"\nmaa_url = "https://m"\nca = "ca.pem"\ncertificate = "c.pem"\n'
        'private_key = "k.pem"\nsigning_key = "s.pem"\n[reference]\nproducts = ["Genoa"]\n'
        '[job]\naudience = "theirs"\nreason = "theirs"\nrecipients = ["r.jwk"]\n'
    )
    defaults = load_profile(tmp_path / "agency" / "client.toml").job
    kept = [line for line in TEXT.splitlines() if not line.startswith(("audience", "recipients"))]
    (tmp_path / "job.toml").write_text("\n".join(kept))
    loaded = load_spec(tmp_path / "job.toml", defaults=defaults)
    own = decode_spec(TEXT)
    assert (loaded.audience, loaded.reason) == ("theirs", own.reason)
    assert loaded.recipients == (JWK,)
    for without in ({}, {**defaults, "audiense": "x"}):
        with pytest.raises(SpecError, match="audien"):
            load_spec(tmp_path / "job.toml", defaults=without)


def test_tls_files_that_no_handshake_could_use_are_named(tmp_path: Path) -> None:
    path, tls = tmp_path / "client.toml", Certificates.make().client
    path.write_text(
        'target = "h:1"\ncloud = "azure-us"\nmaa_url = "https://m"\nca = "ca.pem"\ncertificate = "c.pem"\n'
        'private_key = "k.pem"\nsigning_key = "s.pem"\n[reference]\nproducts = ["Genoa"]\n'
    )
    good = {"ca.pem": tls.ca_pem, "c.pem": tls.cert_pem, "k.pem": tls.key_pem}
    for name, data in good.items():
        put_private(tmp_path / name, data)
    profile = load_profile(path)
    assert profile.tls() == tls
    save_private_key(new_signing_key(), tmp_path / "other.pem", passphrase=None)
    save_private_key(new_signing_key(), tmp_path / "closed.pem", passphrase=b"x")
    for name, data, says in [
        ("ca.pem", b"canary", r"ca\.pem contains no PEM certificate"),
        ("c.pem", tls.key_pem, r"c\.pem contains no PEM certificate"),
        ("k.pem", tls.cert_pem, r"k\.pem contains no PEM private key"),
        ("k.pem", (tmp_path / "closed.pem").read_bytes(), "passphrase"),
        ("k.pem", (tmp_path / "other.pem").read_bytes(), r"does not belong to .*c\.pem"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SpecError, match=says):
            profile.tls()
        (tmp_path / name).write_bytes(good[name])


def test_profiles_are_strict(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    good = (
        'target = "h:1"\ncloud = "azure-us"\nmaa_url = "https://m"\nca = "ca.pem"\ncertificate = "c.pem"\n'
        'private_key = "k.pem"\nsigning_key = "s.pem"\n[reference]\nproducts = ["Genoa"]\n'
    )
    path.write_text(good)
    profile = load_profile(path)
    assert profile.ca == str(tmp_path / "ca.pem")
    assert profile.recipient_key is None
    with pytest.raises(SpecError, match=r"ca\.pem"):
        profile.tls()
    for old, new in [("target", "targot"), ("[reference]", "[referense]"), ('"Genoa"', '"Any"'), ('"h:1"', '""')]:
        path.write_text(good.replace(old, new))
        with pytest.raises(SpecError, match=r"client\.toml"):
            load_profile(path)


def test_keys_survive_their_files_and_are_never_overwritten(tmp_path: Path) -> None:
    signing, project = new_signing_key(), new_project_key("study-17")
    save_private_key(signing, tmp_path / "s", passphrase=b"secret")
    save_private_key(RECIPIENT, tmp_path / "r", passphrase=None)
    save_project_key(project, tmp_path / "p")
    for name in "srp":
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    loaded = load_signing_key(tmp_path / "s", passphrase=b"secret")
    assert key_id(loaded.public_key()) == key_id(signing.public_key())
    assert key_id(load_recipient_key(tmp_path / "r").public_key()) == key_id(RECIPIENT.public_key())
    assert load_project_key(tmp_path / "p") == project
    for passphrase in (None, b"wrong"):
        with pytest.raises(SpecError, match="passphrase"):
            load_signing_key(tmp_path / "s", passphrase=passphrase)
    with pytest.raises(SpecError, match="P-384"):
        load_signing_key(tmp_path / "r")
    with pytest.raises(SpecError, match="RSA-3072"):
        load_recipient_key(tmp_path / "s", passphrase=b"secret")
    saves: tuple[Callable[[Path], None], ...] = (
        lambda path: save_private_key(signing, path, passphrase=None),
        lambda path: save_project_key(project, path),
    )
    for save in saves:
        with pytest.raises(SpecError, match="exists"):
            save(tmp_path / "p")
        with pytest.raises(SpecError, match="cannot be written"):
            save(tmp_path / "absent" / "p")
    assert load_project_key(tmp_path / "p") == project


def test_one_operation_can_be_run_by_its_defaults() -> None:
    own = spec()
    assert only(own, "deidentify") == own
    (validate,) = only(own, "validate").operations
    assert validate == Validate()
    with pytest.raises(SpecError, match="recipient_class"):
        only(own, "disseminate")


def test_a_key_file_of_the_spec_wraps_the_project_key(tmp_path: Path) -> None:
    project = new_project_key("study-17")
    save_project_key(project, tmp_path / "p.json")
    (tmp_path / "job.toml").write_text(
        TEXT.replace('project = "study-17"', 'project = "study-17"\nproject_key = "p.json"')
    )
    job = seal(load_spec(tmp_path / "job.toml"), kek=pinned(), signing_key=new_signing_key())
    dek = unwrap_dek(CMK, job.header.wrapped_dek)
    (opened,) = [unwrap_project_key(dek, name, wrapped) for name, wrapped in job.plan.projects]
    assert opened == project.key
    (tmp_path / "p.json").unlink()
    with pytest.raises(SpecError, match=r"p\.json"):
        seal(load_spec(tmp_path / "job.toml"), kek=pinned(), signing_key=new_signing_key())
