"""Release statements and wrapped keys that must not be accepted: one test a row of the pitfalls list."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cji_attestation import AZURE_US, AZURE_USGOV, Fault, Trust
from cji_attestation.checks import Skipped
from cji_attestation.release import KeySpec
from cji_attestation.release.keyspec import locate
from cji_attestation.release.statement import VerifiedStatement, verify_statement
from cji_attestation.release.unwrap import unwrap_into
from cji_core.jose import PublicKey
from cji_simulator import jws
from cji_simulator.certificates import Credential, authority, leaf, pem
from cji_simulator.encoding import b64url, rsa_jwk
from cji_simulator.statement import key_hsm, signed
from cji_simulator.vault_keys import KeyVersion, new_material, wrap
from tests.support.forge import machine
from tests.support.refusals import rejected

KEK = "https://cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef"
NONCE = "bm9uY2U"
POLICY = b'{"version":"1.0.0","anyOf":[]}'
Payload = dict[str, Any]


@functools.cache
def rsa_key(size: int, which: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, size)


def cmk() -> rsa.RSAPrivateKey:
    return rsa_key(3072)


@functools.cache
def signer(*hosts: str, ca: str = "root") -> Credential:
    root = authority(ca, rsa_key(2048, 1 if ca == "root" else 2))
    below = authority(f"{ca} 2", rsa_key(2048, 8), root)
    return leaf("vault.azure.net", rsa_key(2048, 9), below, hosts=hosts or ("vault.azure.net", "*.vault.azure.net"))


@functools.cache
def root_pem() -> str:
    return pem(signer().chain[-1]).decode()


def spec(**kw: Any) -> KeySpec:
    given = {
        "kek_id": KEK,
        "public_thumbprint": jws.thumbprint(cmk().public_key()),
        "policy_sha256": hashlib.sha256(POLICY).hexdigest(),
    }
    return KeySpec(**(given | kw))


def ciphertext(key: rsa.RSAPrivateKey | None = None) -> bytes:
    plain = (key or cmk()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return wrap(plain, target=machine().ephemeral.public_key(), enc="RSA_AES_KEY_WRAP_256")


def payload(*changes: Callable[[Payload], object]) -> Payload:
    hsm = key_hsm(kid="TpmEphemeralEncryptionKey", enc="RSA_AES_KEY_WRAP_256", ciphertext=b"c" * 300)
    jwk = {
        "kid": KEK,
        **rsa_jwk(cmk().public_key()),
        "kty": "RSA-HSM",
        "key_ops": ["wrapKey"],
        "key_hsm": hsm,
        "e": "AAEAAQ",
    }
    out: Payload = {
        "request": {"api-version": "7.4", "enc": "RSA_AES_KEY_WRAP_256", "kid": KEK, "nonce": NONCE},
        "response": {
            "key": {
                "key": jwk,
                "attributes": {"enabled": True, "exportable": True},
                "release_policy": {"data": b64url(POLICY), "immutable": False},
            }
        },
    }
    for change in changes:
        change(out)
    return out


def verify(raw: str, *, key: KeySpec | None = None, **kw: Any) -> VerifiedStatement:
    pinned = key or spec()
    trust = msgspec.structs.replace(AZURE_US, release_roots=root_pem())
    given: dict[str, Any] = {"nonce": NONCE, "trust": trust, "now": machine().now.timestamp()}
    return verify_statement(raw, key=pinned, located=locate(pinned, trust=trust), **(given | kw))


def refused(raw: str, check: str, **kw: Any) -> None:
    with rejected(check, fault=Fault.RELEASE_INVALID):
        verify(raw, **kw)


def changed(change: Callable[[Payload], object], check: str, **kw: Any) -> None:
    refused(signed(payload(change), signer()), check, **kw)


def released(out: Payload) -> Payload:
    key: Payload = out["response"]["key"]
    return key


def test_sound_statement_is_accepted() -> None:
    statement = verify(signed(payload(), signer()))
    assert [check.id for check in statement.checks] == [
        f"S{number:02}" for number in (1, 2, 3, 4, 5, 6, 7, 11, 8, 9, 10)
    ]
    assert statement.public_key == cmk().public_key()
    assert (statement.policy, statement.policy_immutable, statement.ciphertext) == (POLICY, False, b"c" * 300)
    assert not {"cccc", "anyOf"} & set(repr(statement).split("'"))
    assert verify(signed(payload(), signer()), key=spec(policy_sha256=None)).policy == POLICY


def test_a06_only_the_verifier_makes_verified_statements() -> None:
    statement = verify(signed(payload(), signer()))
    with pytest.raises(TypeError):
        VerifiedStatement(
            public_key=cmk().public_key(),
            ciphertext=b"",
            policy=b"",
            policy_immutable=True,
            sha384=b"",
            checks=(),
            constructor_key=object(),
        )
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(statement, policy_immutable=True)  # type: ignore[call-arg]


def test_k02_unsigned_and_symmetric() -> None:
    refused(jws.unsigned(payload()), "S01")
    raw = signed(payload(), signer()).split(".")
    refused(f"{raw[0]}.{b64url(json.dumps(payload(lambda o: o['request'].update(a=1))).encode())}.{raw[2]}", "S03")


def test_k02_chain_to_another_root_or_for_another_host() -> None:
    refused(signed(payload(), signer(ca="evil")), "S02")
    refused(signed(payload(), signer("other.vault.azure.net")), "S02")
    refused(signed(payload(), signer("vault.azure.net.evil.example")), "S02")
    refused(signed(payload(), signer()), "S02", now=machine().now.timestamp() + 31 * 86400)


def test_k02_no_chain() -> None:
    for x5c in ([], None, "x", [1, 2], ["!!", "!!"], jws.x5c(signer())[:1]):
        refused(jws.sign({"x5c": x5c}, payload(), signer().rsa()), "S01")
    refused(jws.sign({}, payload(), signer().rsa()), "S01")


def test_k02_signed_by_another_key_under_the_right_chain() -> None:
    refused(jws.sign({"x5c": jws.x5c(signer())}, payload(), rsa_key(2048, 5)), "S03")


def test_k02_certificate_with_another_kind_of_key() -> None:
    above = signer()
    root = Credential(key=rsa_key(2048, 1), certificate=above.chain[-1])
    curve = leaf("vault.azure.net", ec.generate_private_key(ec.SECP256R1()), root, hosts=["cji.vault.azure.net"])
    refused(jws.sign({"x5c": jws.x5c(curve)}, payload(), rsa_key(2048, 9)), "S03")


@pytest.mark.parametrize(
    "kid",
    [
        KEK.rsplit("/", 1)[0],
        KEK[:-1] + "0",
        KEK.replace("cji-kek", "other"),
        KEK.replace("cji.", "other."),
        KEK.upper(),
        None,
    ],
)
def test_k02_statement_of_another_key(kid: object) -> None:
    changed(lambda out: out["request"].update(kid=kid), "S04")
    changed(lambda out: released(out)["key"].update(kid=kid), "S04")


@pytest.mark.parametrize("nonce", [None, "", "other", "é", [NONCE]])
def test_k02_replayed_statement(nonce: object) -> None:
    changed(lambda out: out["request"].update(nonce=nonce), "S05")


def test_k02_no_nonce() -> None:
    changed(lambda out: out["request"].pop("nonce"), "S05")
    changed(lambda out: out["request"].update(nonce=""), "S05", nonce="")


@pytest.mark.parametrize("enc", ["CKM_RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_384", None])
def test_k05_wrap_is_sha256(enc: object) -> None:
    changed(lambda out: out["request"].update(enc=enc), "S06")
    hsm = key_hsm(kid="x", enc=str(enc), ciphertext=b"c")
    changed(lambda out: released(out)["key"].update(key_hsm=hsm), "S10")


@pytest.mark.parametrize("alg", [None, "RSA-OAEP-256", "none", ["dir"]])
def test_k05_the_wrapped_key_is_used_directly(alg: object) -> None:
    hsm = {"header": {"kid": "x", "alg": alg, "enc": "RSA_AES_KEY_WRAP_256"}, "ciphertext": "Yw"}
    changed(lambda out: released(out)["key"].update(key_hsm=b64url(json.dumps(hsm).encode())), "S10")


@pytest.mark.parametrize(
    "attributes", [{}, {"enabled": True}, {"exportable": True, "enabled": False}, {"exportable": 1}]
)
def test_k02_attributes(attributes: Payload) -> None:
    changed(lambda out: released(out).update(attributes=attributes), "S07")


NOW = int(machine().now.timestamp())


@pytest.mark.parametrize(
    "times", [{"exp": NOW}, {"exp": NOW - 86400}, {"nbf": NOW + 1}, {"nbf": NOW - 9, "exp": NOW - 1}, {"exp": 0}]
)
def test_k02_a_key_that_is_not_in_force(times: Payload) -> None:
    changed(lambda out: released(out)["attributes"].update(times), "S11")


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize("time", ["2026-01-01", 1.5, True, [], {}])
def test_k02_times_of_a_key_are_numbers(name: str, time: object) -> None:
    changed(lambda out: released(out)["attributes"].update({name: time}), "S11")


def test_k02_a_key_in_force_is_accepted() -> None:
    times = {"nbf": NOW, "exp": NOW + 1}
    dated = verify(signed(payload(lambda out: released(out)["attributes"].update(times)), signer()))
    assert ("S11", f"nbf {NOW}, exp {NOW + 1}") in dated.checks
    lasting = verify(signed(payload(lambda out: released(out)["attributes"].update(exp=None)), signer()))
    (found,) = (check for check in lasting.checks if check.id == "S11")
    assert (isinstance(found, Skipped), found.finding) == (True, "nbf None, exp None: the key does not expire")


@pytest.mark.parametrize("kty", ["oct-HSM", "oct", "OKP", "rsa", "", None, ["RSA"], {}, 1])
def test_k02_kinds_of_keys_that_nobody_could_pin(kty: object) -> None:
    changed(lambda out: released(out)["key"].update(kty=kty), "S07")


def test_k02_size_and_operations() -> None:
    changed(lambda out: released(out)["key"].update(key_ops=["sign"]), "S07")
    changed(lambda out: released(out)["key"].update(key_ops=None), "S07")
    small = rsa_jwk(rsa_key(2048, 3).public_key())
    changed(lambda out: released(out)["key"].update(small), "S07")


CURVES = ["P-256", "P-384", "P-521"]


@functools.cache
def curve_key(curve: str) -> KeyVersion:
    return KeyVersion(material=new_material(kty="EC-HSM", size=0, curve=curve), operations=["sign"], exportable=True)


def on_curve(curve: str, **change: object) -> Callable[[Payload], object]:
    hsm = {"key_hsm": payload()["response"]["key"]["key"]["key_hsm"]}
    return lambda out: released(out).update(key={**curve_key(curve).jwk(KEK), **hsm, **change})


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("kty", ["EC-HSM", "EC"])
def test_statement_of_an_ec_key(curve: str, kty: str) -> None:
    public = curve_key(curve).material.public_key()
    pinned = spec(public_thumbprint=jws.thumbprint(public))
    assert verify(signed(payload(on_curve(curve, kty=kty)), signer()), key=pinned).public_key == public
    changed(on_curve(curve), "S08")


@pytest.mark.parametrize(
    "change",
    [
        {"key_ops": ["encrypt", "wrapKey"]},
        {"key_ops": []},
        {"key_ops": "sign"},
        {"crv": "P-256K"},
        {"crv": "P-384"},
        {"crv": None},
        {"crv": ["P-256"]},
        {"x": None},
        {"y": b64url(bytes(32))},
        {"y": b64url(bytes(33))},
        {"x": "="},
        {"kty": "RSA-HSM"},
    ],
)
def test_k02_ec_key_that_is_none(change: Payload) -> None:
    changed(on_curve("P-256", **change), "S07", key=spec(public_thumbprint=jws.thumbprint(cmk().public_key())))


def test_k02_rsa_key_with_the_operations_of_an_ec_key() -> None:
    changed(lambda out: released(out)["key"].update(key_ops=["sign", "verify"]), "S07")
    changed(lambda out: released(out)["key"].update(kty="EC-HSM"), "S07")


def test_k03_another_key_than_the_pinned_one() -> None:
    other = rsa_jwk(rsa_key(3072, 1).public_key()) | {"kty": "RSA"}
    changed(lambda out: released(out)["key"].update(other), "S08")


def test_k11_changed_release_policy() -> None:
    changed(lambda out: released(out)["release_policy"].update(data=b64url(b"{}")), "S09")
    changed(lambda out: released(out)["release_policy"].pop("data"), "S09")
    changed(lambda out: released(out).pop("release_policy"), "S09")


@pytest.mark.parametrize("immutable", [None, 1, "true"])
def test_k11_a_policy_is_immutable_where_the_vault_says_so(immutable: object) -> None:
    changed(lambda out: released(out)["release_policy"].update(immutable=immutable), "S09")
    said = signed(payload(lambda out: released(out)["release_policy"].update(immutable=True)), signer())
    assert verify(said).policy_immutable
    silent = signed(payload(lambda out: released(out)["release_policy"].pop("immutable")), signer())
    assert not verify(silent).policy_immutable


@pytest.mark.parametrize("hsm", [None, "", "!!", b64url(b"[]"), b64url(b"{}"), b64url(b'{"header":{}}')])
def test_k02_key_hsm(hsm: object) -> None:
    changed(lambda out: released(out)["key"].update(key_hsm=hsm), "S10")


@pytest.mark.parametrize(
    "kek",
    [
        "https://evil.example/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net.evil.example/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://a.b.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "http://cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net:8443/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net:443/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://user@cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://CJI.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net/keys/cji-kek",
        "https://cji.vault.azure.net/keys/cji-kek/",
        "https://cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef/",
        "https://cji.vault.azure.net/secrets/cji-kek/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net/keys/../keys/0123456789abcdef0123456789abcdef",
        "https://cji.vault.azure.net/keys/cji-kek/0123456789abcdef0123456789abcdef?x=1",
        "https://cji.vault.azure.net\\@evil.example/keys/k/0123456789abcdef0123456789abcdef",
        "",
        "cji-kek",
    ],
)
def test_k04_key_ids_outside_the_pins(kek: str) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        locate(spec(kek_id=kek), trust=AZURE_US)


def test_k04_an_id_has_a_version_and_no_port() -> None:
    for kek in (KEK.replace(".net/", ".net:443/"), KEK.rpartition("/")[0], f"{KEK}/"):
        with rejected("kek-id", fault=Fault.CONFIG_INVALID) as caught:
            locate(spec(kek_id=kek), trust=AZURE_US)
        assert "leave out the port" in str(caught.value)


def test_k04_no_key_without_tls_whatever_the_trust_says() -> None:
    trust = msgspec.structs.replace(AZURE_US, vault_hosts=("http://cji.vault.azure.net",))
    with rejected("kek-id", fault=Fault.CONFIG_INVALID):
        locate(spec(kek_id=KEK.replace("https", "http")), trust=trust)


@pytest.mark.parametrize(
    "pins",
    [
        {"public_thumbprint": ""},
        {"public_thumbprint": "AAAA"},
        {"public_thumbprint": "="},
        {"policy_sha256": ""},
        {"policy_sha256": "A" * 64},
        {"accept_findings": ("RP12",)},
        {"accept_findings": ("RP01", "RP12")},
        {"accept_findings": ("RP01", "RP01")},
        {"accept_findings": ("",)},
        {"accept_findings": ("RP17",)},
    ],
)
def test_k04_malformed_pins(pins: Payload) -> None:
    with rejected(fault=Fault.CONFIG_INVALID):
        locate(spec(**pins), trust=AZURE_US)


def test_a15_no_pin_is_no_host() -> None:
    for hosts in ((), ("",), (".",)):
        with rejected("kek-host", fault=Fault.CONFIG_INVALID):
            locate(spec(), trust=msgspec.structs.replace(AZURE_US, vault_hosts=hosts))


def test_a15_no_root_is_no_trust() -> None:
    raw = signed(payload(), signer())
    with rejected("release-roots", fault=Fault.CONFIG_INVALID):
        verify(raw, trust=msgspec.structs.replace(AZURE_US, release_roots=""))
    refused(raw, "S02", trust=AZURE_US)  # the system's roots


@pytest.mark.parametrize(
    ("host", "trust", "resource"),
    [
        ("cji.vault.azure.net", AZURE_US, "https://vault.azure.net"),
        ("cji.managedhsm.azure.net", AZURE_US, "https://managedhsm.azure.net"),
        ("cji.vault.usgovcloudapi.net", AZURE_USGOV, "https://vault.usgovcloudapi.net"),
        ("cji.managedhsm.usgovcloudapi.net", AZURE_USGOV, "https://managedhsm.usgovcloudapi.net"),
    ],
)
def test_k04_every_host_has_its_own_audience(host: str, trust: Trust, resource: str) -> None:
    key = spec(kek_id=KEK.replace("cji.vault.azure.net", host))
    assert locate(key, trust=trust).vault.resource == resource
    (other,) = {AZURE_US, AZURE_USGOV} - {trust}
    with rejected("kek-host", fault=Fault.CONFIG_INVALID):
        locate(key, trust=other)


def test_statement_of_a_managed_hsm() -> None:
    kid = KEK.replace("vault", "managedhsm")

    def named(out: Payload) -> None:
        out["request"]["kid"] = released(out)["key"]["kid"] = kid

    hsm = signer("*.managedhsm.azure.net")
    assert verify(signed(payload(named), hsm), key=spec(kek_id=kid)).public_key == cmk().public_key()
    refused(signed(payload(named), signer()), "S02", key=spec(kek_id=kid))
    refused(signed(payload(), hsm), "S02")


@pytest.mark.parametrize(
    ("port", "same"), [("443", True), ("", False), ("0443", False), ("8443", False), ("443.", False)]
)
def test_k02_a_managed_hsm_writes_the_port_of_https_into_an_id(port: str, same: bool) -> None:
    kid = KEK.replace("vault", "managedhsm")
    hsm, key = signer("*.managedhsm.azure.net"), spec(kek_id=kid)
    written = kid.replace(".net/", f".net:{port}/")
    for asked, answered in ((written, written), (kid, written), (written, kid)):
        out = payload()
        out["request"]["kid"], released(out)["key"]["kid"] = asked, answered
        if same:
            assert verify(signed(out, hsm), key=key).public_key == cmk().public_key()
        else:
            refused(signed(out, hsm), "S04", key=key)


def decrypt(data: bytes) -> bytearray:
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    try:
        return bytearray(machine().ephemeral.decrypt(data, oaep))
    except ValueError:
        return bytearray(32)


def test_unwrap_writes_into_the_callers_buffer() -> None:
    buffer = bytearray(4096)
    length = unwrap_into(ciphertext(), memoryview(buffer), decrypt=decrypt, public_key=cmk().public_key())
    assert bytes(buffer[:length]) == cmk().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert not any(buffer[length:])


@pytest.mark.parametrize(("curve", "length"), [("P-256", 67), ("P-384", 80), ("P-521", 98)])
def test_unwrap_of_an_ec_key_that_comes_without_its_public_key(curve: str, length: int) -> None:
    key, buffer = curve_key(curve), bytearray(4096)
    assert len(key.exported()) == length
    wrapped = wrap(key.exported(), target=machine().ephemeral.public_key(), enc="RSA_AES_KEY_WRAP_256")
    public = key.material.public_key()
    assert unwrap_into(wrapped, memoryview(buffer), decrypt=decrypt, public_key=public) == length
    assert bytes(buffer[:length]) == key.exported()
    other = new_material(kty="EC-HSM", size=0, curve=curve).public_key()
    for wrong in (other, cmk().public_key()):
        unwrap_refused(wrapped, public_key=wrong)


def unwrap_refused(
    data: bytes, *, size: int = 4096, fault: Fault = Fault.RELEASE_INVALID, public_key: PublicKey | None = None
) -> None:
    buffer = bytearray(size)
    with rejected("unwrap" if fault is Fault.RELEASE_INVALID else "buffer", fault=fault):
        unwrap_into(data, memoryview(buffer), decrypt=decrypt, public_key=public_key or cmk().public_key())
    assert not any(buffer)


def test_k03_unwrapped_key_is_the_public_one() -> None:
    unwrap_refused(ciphertext(rsa_key(3072, 1)))
    curve = ec.generate_private_key(ec.SECP256R1())
    plain = curve.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    unwrap_refused(wrap(plain, target=machine().ephemeral.public_key(), enc="RSA_AES_KEY_WRAP_256"))
    plain = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    unwrap_refused(wrap(plain, target=machine().ephemeral.public_key(), enc="RSA_AES_KEY_WRAP_256"))


def test_k05_inner_key_has_256_bits() -> None:
    plain = cmk().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    inner = bytes(range(16))
    short = machine().ephemeral.public_key().encrypt(inner, oaep) + aes_key_wrap_with_padding(inner, plain)
    unwrap_refused(short)


def test_inner_key_is_wiped() -> None:
    seen: list[bytearray] = []

    def keep(data: bytes) -> bytearray:
        seen.append(decrypt(data))
        return seen[-1]

    unwrap_into(ciphertext(), memoryview(bytearray(4096)), decrypt=keep, public_key=cmk().public_key())
    with rejected("unwrap"):
        unwrap_into(ciphertext()[:-8], memoryview(bytearray(4096)), decrypt=keep, public_key=cmk().public_key())
    assert [bytes(one) for one in seen] == [bytes(32)] * 2


def test_k05_other_wraps_and_altered_ciphertexts() -> None:
    good = ciphertext()
    plain = cmk().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for enc in ("CKM_RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_384"):
        unwrap_refused(wrap(plain, target=machine().ephemeral.public_key(), enc=enc))
    for data in (
        b"",
        good[:256],
        good[:-1],
        good[:-8],
        good + bytes(8),
        bytes([good[0] ^ 1]) + good[1:],
        good[:-1] + bytes([good[-1] ^ 1]),
    ):
        unwrap_refused(data)
    unwrap_refused(good, size=100, fault=Fault.CONFIG_INVALID)


@pytest.mark.parametrize("size", [0, 255, 256, 256 + 8193, 1 << 20])
def test_a_ciphertext_of_impossible_length_never_reaches_the_tpm(size: int) -> None:
    asked: list[bytes] = []

    def count(data: bytes) -> bytearray:
        asked.append(data)
        return bytearray(32)

    with rejected("unwrap", fault=Fault.RELEASE_INVALID):
        unwrap_into(bytes(size), memoryview(bytearray(4096)), decrypt=count, public_key=cmk().public_key())
    assert asked == []
    with rejected("unwrap"):
        unwrap_into(bytes(256 + 8192), memoryview(bytearray(4096)), decrypt=count, public_key=cmk().public_key())
    assert asked == [bytes(256)]
