"""X16: evidence of a machine that is genuine, but not Azure's. Each check has a test that it alone refuses."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from cji_attestation import Fault
from cji_attestation.appraisal import IdKey, Mrtd, ReferenceValues, Verdict, VtpmRoot, check_reference
from cji_attestation.appraisal.azure import AZURE_POLICY, ID_KEYS, MRTDS, VTPM_ROOTS, id_key, knows_mrtd, knows_root
from cji_attestation.evidence import Evidence, ak_chain
from cji_attestation.evidence.ak_chain import MAX_CERTIFICATES, with_issuers
from cji_core.certs import spki_sha256
from cji_simulator.certificates import Credential, authority, leaf, name
from cji_simulator.snp import FAMILY_ID, GUEST_SVN, ID_KEY_DIGEST, IMAGE_ID
from tests.support.evidence import allowing, refused, with_report
from tests.support.forge import ak_chain_of, decided, machine, vtpm_ca
from tests.support.refusals import rejected
from tests.support.tdx_forge import intel

POLICY = Fault.POLICY_MISMATCH


def findings(verdict: Verdict) -> dict[str, str]:
    return dict(verdict.checks)


def skipped(verdict: Verdict) -> set[str]:
    return {check.id for check in verdict.skipped}


# ---------------------------------------------------------------- E40: whose firmware


def test_x16_firmware_of_ones_own_is_not_azure() -> None:
    """A genuine chip, one's own firmware and vTPM authority, the default values."""
    foreign = with_report(id_key_digest=bytes(48))
    for reference in (ReferenceValues(), decided()):
        with rejected("E40", fault=POLICY) as caught:
            machine().appraise(foreign, reference=reference)
        assert caught.value.failures[0].found == "not Azure: firmware that no ID key signed"
        assert "Azure" in caught.value.remedy


def test_x16_another_id_key_is_not_azure() -> None:
    with rejected("E40", fault=POLICY) as caught:
        machine().appraise(with_report(id_key_digest=b"\x94" * 48))
    assert caught.value.failures[0].found == f"not Azure: ID key {'94' * 48}"


def test_x16_default_values_refuse_the_tests_own_machine() -> None:
    refused(machine().evidence(), "E40", POLICY, reference=ReferenceValues())


@pytest.mark.parametrize("cut", [slice(32, 32 + 1184), slice(32, 32 + 1024)], ids=["snp", "tdx"])
def test_x16_a_bare_report_is_not_azure_rather_than_broken(cut: slice) -> None:
    evidence = machine().evidence() if cut.stop - cut.start == 1184 else intel().evidence(machine())
    bare = msgspec.structs.replace(evidence, hcl_report=evidence.hcl_report[cut])
    with rejected("E40", fault=POLICY) as caught:
        machine().appraise(bare)
    assert caught.value.failures[0].found.endswith("without an HCL report")


def test_x16_a_bare_quote_is_not_azure_rather_than_broken() -> None:
    evidence = intel().evidence(machine())
    refused(msgspec.structs.replace(evidence, hcl_report=evidence.td_quote), "E40", POLICY)
    refused(msgspec.structs.replace(evidence, hcl_report=b"neither"), "E01")


def test_x16_an_unknown_mrtd_is_accepted_and_said() -> None:
    """TDX has no ID key: there the token vouches, and a verdict without it says that nothing does."""
    evidence, trust = intel().evidence(machine()), intel().trust
    unknown = machine().appraise(evidence, trust=trust)
    assert "E40" in skipped(unknown)
    assert "only Microsoft's token can vouch" in findings(unknown)["E40"]
    known = Mrtd(digest=unknown.measurement.hex(), source="test", seen=date(2026, 11, 1))
    verdict = machine().appraise(evidence, trust=trust, reference=decided(mrtds=(known,)))
    assert "E40" not in skipped(verdict)
    assert findings(verdict)["E40"] == f"paravisor with MRTD {known.digest}"


# ---------------------------------------------------------------- E41, E42: which paravisor


def test_x16_an_old_paravisor_is_refused() -> None:
    assert findings(machine().appraise(with_report(guest_svn=GUEST_SVN + 1)))["E41"] == f"guest SVN {GUEST_SVN + 1}"
    with rejected("E41", fault=POLICY) as caught:
        machine().appraise(with_report(guest_svn=GUEST_SVN - 1))
    assert caught.value.failures[0][1:] == (f"guest SVN {GUEST_SVN - 1}", f"at least {GUEST_SVN} on Genoa")


def test_x16_a_product_without_a_known_svn_is_refused() -> None:
    with rejected("E41", fault=POLICY) as caught:
        machine().appraise(machine().evidence(), reference=allowing(least_guest_svn={"Turin": 0}))
    assert caught.value.failures[0].expected == "none known for Genoa"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"family_id": bytes(16)}, f"family id {bytes(16).hex()}"),
        ({"image_id": FAMILY_ID}, f"image id {FAMILY_ID.hex()}"),
        ({"host_data": b"\x01" * 32}, f"host data {'01' * 32}"),
        ({"policy": AZURE_POLICY | 1 << 20}, f"policy {AZURE_POLICY | 1 << 20}"),
        ({"policy": AZURE_POLICY ^ 1 << 16}, f"policy {AZURE_POLICY ^ 1 << 16}"),
    ],
)
def test_x16_another_image_under_the_same_key(fields: dict[str, Any], found: str) -> None:
    with rejected("E42", fault=POLICY) as caught:
        machine().appraise(with_report(**fields))
    (failure,) = caught.value.failures
    assert failure.found == found
    assert failure.expected.startswith(found.rsplit(" ", 1)[0])


def test_x16_several_differences_are_all_named() -> None:
    with rejected("E42", fault=POLICY) as caught:
        machine().appraise(with_report(family_id=bytes(16), image_id=bytes(16)))
    assert caught.value.failures[0].expected == f"family id {FAMILY_ID.hex()}; image id {IMAGE_ID.hex()}"
    assert "; image id" in caught.value.failures[0].found


# ---------------------------------------------------------------- E43: how the machine was started


@pytest.mark.parametrize("off", ["secure-boot", "tpm-enabled"])
@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_x16_secure_boot_and_vtpm_must_be_on(off: str, value: object) -> None:
    claims = msgspec.json.decode(machine().claims())
    claims["vm-configuration"].pop(off)
    if value is not None:
        claims["vm-configuration"][off] = value
    with rejected("E43", fault=POLICY) as caught:
        machine().appraise(machine().evidence(claims=msgspec.json.encode(claims)))
    assert caught.value.failures[0].found == f"not on: {off}"


# ---------------------------------------------------------------- E44: who certified the AK


def stranger(**kw: Any) -> Credential:
    return authority("Test vTPM CA", rsa.generate_private_key(65537, 2048), **kw)


def with_chain(data: bytes) -> Evidence:
    return machine().evidence(ak_cert=data)


def test_x16_an_ak_below_another_authority_is_refused() -> None:
    """Of the same names, with keys of its own."""
    foreign = with_chain(ak_chain_of(machine().ak, stranger(issuer=stranger())))
    with rejected("E44", fault=Fault.UNTRUSTED_ROOT) as caught:
        machine().appraise(foreign)
    assert caught.value.failures[0].found.startswith("a chain that ends below CN=Test vTPM CA")


def test_x16_a_certificate_that_leads_nowhere_is_refused() -> None:
    leaf_only, *above = ak_chain(machine().ak_cert)
    refused(with_chain(leaf_only), "E44", Fault.UNTRUSTED_ROOT)
    refused(with_chain(leaf_only + above[0]), "E44", Fault.UNTRUSTED_ROOT)
    refused(with_chain(leaf_only + above[1]), "E44")


def test_x16_production_refuses_the_tests_authority() -> None:
    """With firmware that an operator added, but no vTPM root."""
    refused(machine().evidence(), "E44", Fault.UNTRUSTED_ROOT, reference=decided(vtpm_roots=()))


def test_x16_no_certificate_is_accepted_and_said() -> None:
    verdict = machine().appraise(with_chain(b""))
    assert "E44" in skipped(verdict)
    assert "the hardware report alone" in findings(verdict)["E44"]
    assert findings(verdict)["E22"] == "AK is restricted"
    sound = machine().appraise(machine().evidence())
    assert "E44" not in skipped(sound)
    assert findings(sound)["E22"] == "AK is restricted and certified"


def test_x16_a_certificate_for_another_purpose_is_refused() -> None:
    refused(with_chain(ak_chain_of(machine().ak, vtpm_ca(), purpose="2.23.133.8.1")), "E44")
    plain = leaf("ak", machine().ak, vtpm_ca())
    refused(with_chain(b"".join(one.public_bytes(Encoding.DER) for one in plain.chain)), "E44")


def test_x16_an_expired_certificate_is_refused() -> None:
    assert machine().appraise(with_chain(made(machine().now, machine().now)))
    for wrong in (machine().now + timedelta(days=1), machine().now - timedelta(days=2)):
        refused(with_chain(made(wrong, wrong + timedelta(days=1))), "E44")


def made(begins: Any, ends: Any) -> bytes:
    """The AK's chain, its own certificate with other dates."""
    issuer = vtpm_ca()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("ak"))
        .issuer_name(issuer.certificate.subject)
        .public_key(machine().ak.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.3")]), critical=False)
    )
    own = builder.sign(issuer.key, hashes.SHA256())
    return b"".join(one.public_bytes(Encoding.DER) for one in (own, *issuer.chain))


def authority_with(constraints: x509.BasicConstraints | None, key: rsa.RSAPrivateKey, above: Credential) -> Credential:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Constrained"))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(8)
        .not_valid_before(machine().now - timedelta(days=1))
        .not_valid_after(machine().now + timedelta(days=1))
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Credential(key=key, certificate=builder.sign(above.key, hashes.SHA256()), above=above.chain)


@pytest.mark.parametrize(
    ("constraints", "deep", "sound"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), False, True),
        (x509.BasicConstraints(ca=True, path_length=0), False, True),
        (x509.BasicConstraints(ca=True, path_length=0), True, False),
        (x509.BasicConstraints(ca=True, path_length=1), True, True),
        (x509.BasicConstraints(ca=False, path_length=None), False, False),
        (None, False, False),
    ],
)
def test_x16_only_authorities_issue(constraints: x509.BasicConstraints | None, *, deep: bool, sound: bool) -> None:
    key = rsa.generate_private_key(65537, 2048)
    issuer = authority_with(constraints, key, vtpm_ca())
    if deep:
        below = rsa.generate_private_key(65537, 2048)
        issuer = authority_with(x509.BasicConstraints(ca=True, path_length=None), below, issuer)
    evidence = with_chain(ak_chain_of(machine().ak, issuer))
    if sound:
        assert "E44" not in skipped(machine().appraise(evidence))
    else:
        refused(evidence, "E44")


def test_x16_a_root_that_issues_itself_is_enough() -> None:
    root = authority("Only Root", rsa.generate_private_key(65537, 2048))
    pin = VtpmRoot(spki_sha256=spki_sha256(root.certificate.public_key()), source="test", seen=date(2026, 11, 1))
    reference = decided(vtpm_roots=(pin,))
    verdict = machine().appraise(with_chain(ak_chain_of(machine().ak, root)), reference=reference)
    assert findings(verdict)["E44"] == f"AK certified below root key {pin.spki_sha256}"


def test_x16_a_chain_has_one_form() -> None:
    """Found by the fuzzer: a root twice, and a signature with an unused bit."""
    own, issuer, root = ak_chain(machine().ak_cert)
    refused(with_chain(own + issuer + root + root), "E44")
    for at in range(3):
        parts = [own, issuer, root]
        unused = bytearray(parts[at])
        assert unused[-257] == 0
        unused[-257], unused[-1] = 1, unused[-1] & 0xFE
        parts[at] = bytes(unused)
        refused(with_chain(b"".join(parts)), "E22")


def test_the_chain_of_an_ak_is_taken_apart_strictly() -> None:
    chain = ak_chain(machine().ak_cert)
    assert b"".join(chain) == machine().ak_cert
    assert ak_chain(b"") == ()
    assert len(ak_chain(chain[0] * MAX_CERTIFICATES)) == MAX_CERTIFICATES
    for wrong in (b"\x30", b"\x30\x82", b"\x30\x82\xff\xff", chain[0] + b"\0", chain[0][:-1], b"\x31" + chain[0][1:]):
        with rejected("E22"):
            ak_chain(wrong)
    with rejected("E22"):
        ak_chain(chain[0] * (MAX_CERTIFICATES + 1))
    with rejected("E22"):
        ak_chain(b"\x30\x82\x4f\xfd" + bytes(0x4FFD))


def test_issuers_are_found_by_name_up_to_a_root() -> None:
    own, *above = ak_chain(machine().ak_cert)
    known = tuple(map(x509.load_der_x509_certificate, above))
    assert with_issuers(own, known[::-1]) == machine().ak_cert
    assert with_issuers(own, known[:1]) == own + above[0]
    assert with_issuers(own, known[1:]) == own
    looped = stranger()
    assert with_issuers(looped.certificate.public_bytes(Encoding.DER), known) == looped.certificate.public_bytes(
        Encoding.DER
    )


def test_issuers_that_name_each_other_end() -> None:
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    one, other = authority("One", keys[0]), authority("Other", keys[1])
    crossed = (authority("One", keys[0], other), authority("Other", keys[1], one))
    own = leaf("ak", machine().ak, one).certificate.public_bytes(Encoding.DER)
    found = with_issuers(own, tuple(each.certificate for each in crossed))
    assert len(ak_chain(found)) == MAX_CERTIFICATES


# ---------------------------------------------------------------- the values themselves


def test_built_in_values_have_sources_and_days() -> None:
    for one in (*ID_KEYS, *MRTDS, *VTPM_ROOTS):
        assert one.source
        assert date(2022, 1, 1) <= one.seen <= date(2026, 11, 26)
    assert len({one.digest for one in ID_KEYS}) == len(ID_KEYS)
    check_reference(ReferenceValues(id_keys=ID_KEYS, mrtds=MRTDS, vtpm_roots=VTPM_ROOTS))


LEAST = {
    "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177": {
        "Milan": 10,
        "Genoa": 65547,
    },
    "0356215882a825279a85b300b0b742931d113bf7e32dde2e50ffde7ec743ca491ecdd7f336dc28a6e0b2bb57af7a44a3": {"Milan": 4},
    "934f68bd8ba01938eec21475c872e3a942b60c59fafc6df9e9a76ee66bc47f2d09c676f61c0315c578da26085fb13a71": {"Milan": 2},
}
FAMILIES = ({"02212" + "0" * 27, "01232" + "0" * 27}, {"01" + "0" * 30}, {"01" + "0" * 30})
KNOWN_MRTDS = (
    "a2e61f1316e9e367e9c1f7a0adc98c48eb13875c399c85d286cee5ea2b05e57f2df9f61d903b0ae7ac5607d843dfffc1",
    "273828c46252fcbdd8ad2dd907130222b03466d52a2911d70c1a5950895d6bd1ae451d382d5a9b1b4c0ed0e5ae9a3dbd",
    "888b31b57a1cad6a358ce8c6a08f40198fa171596e01f70d5f360ee4798150983e55d2f89d804c3bfec06a44220c91b2",
    "024a32b070383331181619fa387cb4d55d1e38879f989933055ccad5bc2db795d1737b66205949d15469dc8c1ba7ab7b",
    "75f3acc2e1dfc3acf404d7eaa69a2eefcd0475a0dd6516ef5ba3cb83399c61b4aa1c638e3622bb650a514bfc6e858886",
)


def test_the_built_in_values_are_these() -> None:
    for (digest, least), families in zip(LEAST.items(), FAMILIES, strict=True):
        found = id_key(bytes.fromhex(digest), ())
        assert found is not None
        assert (found.least_guest_svn, set(found.family_ids)) == (least, families)
        assert (found.image_ids, found.policies) == (("02" + "0" * 30,), (0x3001F,))
    assert all(knows_mrtd(bytes.fromhex(digest), ()) for digest in KNOWN_MRTDS)
    assert knows_root("5cbc52672ae101263c2976736044a964c1182ce9412c39937183baddcccb8cdf", ())


def test_an_operators_entry_takes_the_place_of_a_built_in_one() -> None:
    newest = ID_KEYS[0]
    stricter = msgspec.structs.replace(newest, least_guest_svn={"Genoa": 70000})
    digest = bytes.fromhex(newest.digest)
    assert id_key(digest, ()) == newest
    assert id_key(digest, (stricter,)) == stricter
    assert id_key(bytes(48), (stricter,)) is None
    assert knows_mrtd(bytes.fromhex(MRTDS[0].digest), ())
    assert not knows_mrtd(bytes(48), MRTDS)
    assert knows_root(VTPM_ROOTS[0].spki_sha256, ())
    assert not knows_root("00" * 32, VTPM_ROOTS)


def signer(**changes: Any) -> IdKey:
    return msgspec.structs.replace(decided().id_keys[0], **changes)


def mrtd(**changes: Any) -> Mrtd:
    return msgspec.structs.replace(MRTDS[0], **changes)


def root(**changes: Any) -> VtpmRoot:
    return msgspec.structs.replace(VTPM_ROOTS[0], **changes)


@pytest.mark.parametrize(
    ("field", "entries"),
    [
        ("id_keys", lambda: (signer(), signer())),
        ("id_keys", lambda: (signer(digest=ID_KEY_DIGEST.hex().upper()),)),
        ("id_keys", lambda: (signer(digest="00" * 47),)),
        ("id_keys", lambda: (signer(source=" "),)),
        ("id_keys", lambda: (signer(least_guest_svn={}),)),
        ("id_keys", lambda: (signer(least_guest_svn={"Genoa": -1}),)),
        ("id_keys", lambda: (signer(least_guest_svn={"Genoa": 1 << 32}),)),
        ("id_keys", lambda: (signer(family_ids=()),)),
        ("id_keys", lambda: (signer(family_ids=("00",)),)),
        ("id_keys", lambda: (signer(image_ids=()),)),
        ("id_keys", lambda: (signer(image_ids=("zz" * 16,)),)),
        ("id_keys", lambda: (signer(policies=()),)),
        ("id_keys", lambda: (signer(policies=(-1,)),)),
        ("id_keys", lambda: (signer(policies=(1 << 64,)),)),
        ("mrtds", lambda: (mrtd(), mrtd())),
        ("mrtds", lambda: (mrtd(digest="0" * 95),)),
        ("mrtds", lambda: (mrtd(source=""),)),
        ("vtpm_roots", lambda: (root(), root())),
        ("vtpm_roots", lambda: (root(spki_sha256="0" * 63),)),
        ("vtpm_roots", lambda: (root(source="\t"),)),
    ],
)
def test_unsound_entries_are_refused(field: str, entries: Callable[[], Any]) -> None:
    with rejected(f"reference-{field}", fault=Fault.CONFIG_INVALID):
        check_reference(ReferenceValues(**{field: entries()}))


def test_the_bounds_of_an_entry_are_allowed() -> None:
    for changes in ({"least_guest_svn": {"Genoa": 0, "Turin": (1 << 32) - 1}}, {"policies": (0, (1 << 64) - 1)}):
        check_reference(ReferenceValues(id_keys=(signer(**changes),)))
