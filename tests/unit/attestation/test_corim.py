"""Reference values from CoRIMs: what is read, from whom, and what is refused by its name."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import Fault
from cji_attestation.appraisal import IdKey, Mrtd, ReferenceValues, TcbFloor, check_reference
from cji_attestation.appraisal.corim import MAX_CORIM_BYTES, CorimValues, read_corim
from cji_attestation.appraisal.corim.document import MOST_TRIPLES, _decoded
from tests.support.corim_forge import (
    AMD,
    GENOA_TCB,
    ID_KEY,
    INTEL,
    MEASUREMENT,
    MRTD,
    NOW,
    comid,
    corim,
    intel_triple,
    measurement,
    oid_bytes,
    raw,
    sign1,
    snp_triple,
)
from tests.support.refusals import rejected

P256, P384, P521 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
PROFILE = CBORTag(32, AMD)
INTEL_PROFILE = oid_bytes(INTEL)
END = int(NOW.timestamp()) + 100


def read(data: bytes, *, key: ec.EllipticCurvePrivateKey | None = None, **kw: Any) -> CorimValues:
    return read_corim(data, key=None if key is None else key.public_key(), now=kw.get("now", NOW))


def refused(data: bytes, found: str, *, check: str = "corim", **kw: Any) -> None:
    with rejected(check, fault=Fault.CONFIG_INVALID) as caught:
        read(data, **kw)
    assert found in caught.value.failures[0].found, caught.value.failures


def test_values_of_an_snp_machine() -> None:
    found = read(corim())
    assert found.measurements == (MEASUREMENT.hex(),)
    assert found.floors == {"Genoa": TcbFloor(bootloader=10, tee=0, snp=23, microcode=84)}
    assert found.id_keys == (
        IdKey(
            digest=ID_KEY.hex(),
            least_guest_svn={"Genoa": 65549},
            family_ids=("012320" + 26 * "0",),
            image_ids=("02" + 30 * "0",),
            policies=(0x3001F,),
            source="CoRIM corim-1, not signed",
            seen=date(2026, 11, 26),
        ),
    )
    assert (found.id, found.profile, found.signer, found.left_out) == ("corim-1", AMD, "", ())
    check_reference(ReferenceValues(id_keys=found.id_keys, measurements=found.measurements))


def test_values_of_a_trust_domain() -> None:
    found = read(corim(intel_triple(), profile=INTEL_PROFILE))
    assert found.mrtds == (Mrtd(digest=MRTD.hex(), source="CoRIM corim-1, not signed", seen=date(2026, 11, 26)),)
    assert (found.tcb_evaluation, found.tcb_statuses) == (17, ("SWHardeningNeeded", "UpToDate"))
    assert (found.profile, found.measurements, found.left_out) == (INTEL, (), ())
    check_reference(
        ReferenceValues(mrtds=found.mrtds, tcb_statuses=found.tcb_statuses, tcb_evaluation=found.tcb_evaluation)
    )


@pytest.mark.parametrize(
    ("values", "mrtds"),
    [
        ({-83: [[7, MRTD], ["sha-384", b"o" * 48]]}, [MRTD, b"o" * 48]),
        ({-83: CBORTag(60020, [6, [["sha-384", MRTD]]])}, [MRTD]),
        ({-83: None}, []),
        ({-71: "TDX"}, [MRTD]),
        ({-71: "TDX TD"}, [MRTD]),
    ],
)
def test_forms_of_an_mrtd(values: dict[int, Any], mrtds: list[bytes]) -> None:
    found = read(corim(intel_triple(values), profile=INTEL_PROFILE))
    assert [one.digest for one in found.mrtds] == [one.hex() for one in mrtds]
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("values", "status", "number"),
    [
        ({-86: 18, -88: ["UpToDate"]}, ("UpToDate",), 18),
        ({-86: None, -88: None}, (), None),
    ],
)
def test_forms_of_status_and_number(values: dict[int, Any], status: tuple[str, ...], number: int | None) -> None:
    found = read(corim(intel_triple(values), profile=INTEL_PROFILE))
    assert (found.tcb_statuses, found.tcb_evaluation) == (status, number)


@pytest.mark.parametrize("svn", [GENOA_TCB, CBORTag(552, GENOA_TCB), CBORTag(553, GENOA_TCB)])
def test_a_level_is_the_least_one(svn: Any) -> None:
    assert read(corim(snp_triple({647: measurement(647, svn=svn)}))).floors["Genoa"].snp == 23


def test_a_turin_level_has_its_own_layout() -> None:
    changes = {
        647: measurement(647, svn=int.from_bytes(bytes([1, 2, 3, 4, 0, 0, 0, 80]), "little")),
        648: measurement(648, raw=raw(b"\x1a")),
        649: measurement(649, raw=raw(b"\x02")),
    }
    found = read(corim(snp_triple(changes)))
    assert found.floors == {"Turin": TcbFloor(fmc=1, bootloader=2, tee=3, snp=4, microcode=80)}
    assert found.id_keys[0].least_guest_svn == {"Turin": 65549}


def test_states_are_joined_and_levels_are_not() -> None:
    other = {
        1: measurement(1, svn=CBORTag(553, 9)),
        2: measurement(2, raw=raw((0x30000).to_bytes(8, "big"))),
        641: measurement(641, digests=[[7, b"o" * 48]]),
    }
    found = read(corim(snp_triple(), snp_triple(other), snp_triple()))
    assert found.measurements == (MEASUREMENT.hex(), (b"o" * 48).hex())
    (key,) = found.id_keys
    assert (key.least_guest_svn, key.policies) == ({"Genoa": 9}, (0x3001F, 0x30000))
    milan = {649: measurement(649, raw=raw(b"\x01"))}
    assert read(corim(snp_triple(), snp_triple(milan))).id_keys[0].least_guest_svn == {"Genoa": 65549, "Milan": 65549}
    higher = {647: measurement(647, svn=GENOA_TCB + 1)}
    refused(corim(snp_triple(), snp_triple(higher)), "two different levels of Genoa")
    for key_number, value in ((-86, 18), (-88, ["UpToDate"])):
        both = corim(intel_triple(), intel_triple({key_number: value}), profile=INTEL_PROFILE)
        refused(both, "two different TCB evaluation numbers, or lists of TCB statuses")


def test_only_parts_may_be_stated() -> None:
    nothing = dict.fromkeys((1, 2, 3, 4, 641, 643, 647, 648, 649, 650))
    found = read(corim(snp_triple(nothing | {641: measurement(641, digests=[["sha-384", MEASUREMENT]])})))
    assert (found.measurements, found.id_keys, found.floors) == ((MEASUREMENT.hex(),), (), {})


@pytest.mark.parametrize("tag", [1, 18, 32, 37, 111, 501, 505, 506, 508, 550, 564, 60010, 60020, 60021])
def test_tags_of_the_standard_can_be_decoded(tag: int) -> None:
    assert _decoded(cbor2.dumps(CBORTag(tag, 0))) == CBORTag(tag, 0)
    with rejected("corim", fault=Fault.CONFIG_INVALID):
        _decoded(cbor2.dumps(CBORTag(tag + 1000, 0)))


def test_what_no_reference_value_holds_is_named() -> None:
    environment = {
        0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1"), 1: "AMD", 2: "Genoa", 3: 0},
        1: raw(b"chip"),
    }
    more = {5: measurement(5, raw=raw(bytes(4))), 3328: measurement(3328, raw=raw(bytes(64)))}
    signed = {641: {**measurement(641, digests=[[7, MEASUREMENT]]), 2: [CBORTag(554, "key")]}}
    found = read(corim(snp_triple(more | signed, environment=environment), changes={2: [{0: "https://a.example"}]}))
    names = {"dependent RIMs", "instance", "vendor", "layer", "model", "VMPL", "CHIP_ID", "authorized by"}
    assert set(found.left_out) == names
    domain = intel_triple({-70: "Intel", -82: b"attributes", -84: [7, MRTD]}, more={2: [CBORTag(554, "key")]})
    found = read(corim(domain, profile=INTEL_PROFILE))
    assert set(found.left_out) == {"authorized by", "tee.vendor", "tee.attributes", "tee.mrsigner"}


@pytest.mark.parametrize("profile", [AMD, [PROFILE], CBORTag(32, AMD)])
def test_forms_of_a_profile(profile: Any) -> None:
    assert read(corim(profile=profile)).profile == AMD


def test_a_number_is_an_id_as_well() -> None:
    assert read(corim(changes={0: b"u" * 16})).id == (b"u" * 16).hex()


# ---- signatures ----


@pytest.mark.parametrize("key", [P256, P384], ids=["ES256", "ES384"])
@pytest.mark.parametrize("content", ["application/rim+cbor", "application/corim-unsigned+cbor"])
def test_a_signed_corim(key: ec.EllipticCurvePrivateKey, content: str) -> None:
    found = read(sign1(corim(), key, header={3: content}), key=key)
    assert (found.signer, found.measurements) == ("publisher", (MEASUREMENT.hex(),))
    assert found.id_keys[0].source == "CoRIM corim-1, signed by publisher"
    assert found.ends == NOW + timedelta(days=1)


def test_claims_name_a_signer_too() -> None:
    signed = sign1(corim(), P384, header={8: None, 15: {1: "issuer", 4: END, 5: END - 200}})
    found = read(signed, key=P384)
    assert (found.signer, found.begins, found.ends) == (
        "issuer",
        NOW - timedelta(seconds=100),
        NOW + timedelta(seconds=100),
    )


def changed(at: int, value: Any, data: bytes) -> bytes:
    parts = list(cbor2.loads(data).value)
    parts[at] = value(parts[at]) if callable(value) else value
    return cbor2.dumps(CBORTag(18, parts))


@pytest.mark.parametrize(
    "data",
    [
        lambda: sign1(corim(), P256),  # another key
        lambda: sign1(corim(), ec.generate_private_key(ec.SECP384R1())),
        lambda: sign1(corim(), P384, header={1: -7}),  # another algorithm than the key's
        lambda: sign1(corim(), P384, header={1: True}),
        lambda: sign1(corim(), P384, header={1: None}, unprotected={1: -35}),
        lambda: sign1(corim(), P384, digest=hashes.SHA256()),
        lambda: changed(2, corim(snp_triple({641: None})), sign1(corim(), P384)),
        lambda: changed(3, lambda s: s[:-1], sign1(corim(), P384)),
        lambda: changed(3, lambda s: s + b"\0", sign1(corim(), P384)),
        lambda: changed(3, bytes(96), sign1(corim(), P384)),
        lambda: changed(3, lambda s: b"\0" + s[:48] + b"\0" + s[48:], sign1(corim(), P384)),
        lambda: changed(3, lambda s: s[:48] + b"\0" + s[48:], sign1(corim(), P384)),  # the same numbers
    ],
)
def test_a_signature_of_nobody_that_was_named(data: Callable[[], bytes]) -> None:
    refused(data(), "", check="corim-signature", key=P384)


def test_a_key_of_another_kind_signs_nothing() -> None:
    refused(sign1(corim(), P384), "", check="corim-signature", key=P521)


def test_a_signature_is_not_optional() -> None:
    refused(corim(), "no signature", key=P384)
    refused(sign1(corim(), P384), "no key to verify it with")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ({3: "text/plain"}, "without the content type"),
        ({3: None}, "without the content type"),
        ({2: [3]}, "critical parameters"),
        ({258: -16}, "key 258 of protected header"),  # a hash envelope
        ({8: None}, "names no signer"),
        ({8: "text"}, "names no signer"),
        ({8: cbor2.dumps({1: {1: CBORTag(1, END)}})}, "no signer, or an empty one"),
        ({8: cbor2.dumps({0: {0: 7}})}, "signer's name that is not text"),
        ({8: cbor2.dumps({0: {0: "a"}, 7: 0})}, "key 7 of corim-meta"),
        ({8: cbor2.dumps({0: {0: "a"}, 1: {1: CBORTag(1, END - 200)}})}, "in force from"),
        ({15: {4: END}, 8: None}, "issuer that is not text"),
        ({15: {1: "a", 7: 0}, 8: None}, "key 7 of CWT claims"),
        ({15: {1: "a", 4: END - 200}, 8: None}, "in force from"),
        ({15: {1: "a", 5: END}, 8: None}, "in force from"),
        ({15: {1: "a", 4: -1}, 8: None}, "time that is not a number"),
    ],
)
def test_what_a_signer_must_state(header: dict[int, Any], found: str) -> None:
    refused(sign1(corim(), P384, header=header), found, key=P384)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (7, "no COSE_Sign1"),
        ([b"", {}, b""], "no COSE_Sign1"),
        ([b"", [], b"", b""], "no COSE_Sign1"),
        ([{}, {}, b"", b""], "no COSE_Sign1"),
        ([b"", {}, b"", "s"], "no COSE_Sign1"),
        ([b"", {}, None, b""], "detached payload"),
        ([b"", {}, b"p", b""], ""),  # no header at all
        ([b"\x80", {}, b"p", b""], "not a map"),
    ],
)
def test_what_is_no_signed_message(parts: Any, found: str) -> None:
    refused(cbor2.dumps(CBORTag(18, parts)), found, key=P384)


# ---- the envelope ----


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({9: 0}, "key 9 of corim-map"),
        ({0: None}, "id that is not text"),
        ({0: b"short"}, "id that has not 16 bytes"),
        ({1: None}, "no array of tags"),
        ({1: []}, "no array of tags"),
        ({1: [CBORTag(505, b"coswid")]}, "tag that is not tagged 506"),
        ({1: [CBORTag(506, {})]}, "CoMID that is not a byte string"),
        ({3: None}, "profile that is not text"),
        ({3: CBORTag(1, AMD)}, "profile that is not text"),
        ({3: "https://other.example"}, "profile https://other.example"),
        ({3: ["a", "b"]}, "profile that is not text"),
        ({3: CBORTag(111, b"\x80")}, "profile that is not an object identifier"),
        ({3: CBORTag(111, "1.2.3")}, "profile that is not an object identifier"),
        ({3: CBORTag(111, b"")}, "profile that is not an object identifier"),
        ({3: CBORTag(111, b"\x01" * 65)}, "profile that is not an object identifier"),
        ({3: oid_bytes("1.2.3")}, "profile 1.2.3"),
        ({4: {}}, "no validity"),
        ({4: {0: CBORTag(1, 0)}}, "validity without an end"),
        ({4: {1: 5}}, "time that is not tagged 1"),
        ({4: {1: CBORTag(1, "x")}}, "time that is not a number"),
        ({4: {1: CBORTag(1, 1 << 62)}}, "after the year 9999"),
        ({4: {1: CBORTag(1, END - 200)}}, "in force from"),
        ({4: {0: CBORTag(1, END), 1: CBORTag(1, END)}}, "in force from"),
    ],
)
def test_envelopes_that_are_not_understood(changes: dict[int, Any], found: str) -> None:
    refused(corim(changes=changes), found)


def test_a_corim_in_force() -> None:
    window = {0: CBORTag(1, END - 200), 1: CBORTag(1, END)}
    found = read(corim(changes={4: window}))
    assert (found.begins, found.ends) == (NOW - timedelta(seconds=100), NOW + timedelta(seconds=100))
    for seconds, sound in ((-101, False), (-100, True), (100, True), (101, False)):
        at = NOW + timedelta(seconds=seconds)
        if sound:
            assert read(corim(changes={4: window}), now=at)
        else:
            refused(corim(changes={4: window}), "in force from", now=at)
    earlier = sign1(corim(changes={4: {1: CBORTag(1, END - 50)}}), P384)
    assert read(earlier, key=P384).ends == NOW + timedelta(seconds=50)  # the earlier end counts


@pytest.mark.parametrize("data", [b"", b"\x00", cbor2.dumps({0: "corim-1"}), cbor2.dumps(CBORTag(500, 1)), b"\xff" * 9])
def test_what_is_no_corim(data: bytes) -> None:
    with rejected("corim"):
        read(data)


def test_bounds() -> None:
    refused(corim(*[snp_triple()] * (MOST_TRIPLES + 1)), f"more than {MOST_TRIPLES} triples")
    assert read(corim(*[snp_triple()] * MOST_TRIPLES))
    with rejected("corim"):
        read(corim(changes={0: "x" * MAX_CORIM_BYTES}))


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        (comid(snp_triple(), _3=[{0: "other", 1: 1}]), "key 3 of CoMID"),
        (comid(snp_triple(), _9=0), "key 9 of CoMID"),
        (comid(), "no array of reference triples"),
        (comid(snp_triple(), _4={0: [snp_triple()], 1: [snp_triple()]}), "key 1 of triples"),
        (comid(snp_triple(), _4={10: []}), "key 10 of triples"),
        (comid([{}]), "reference triple of another shape"),
        (comid(7), "reference triple of another shape"),
        (comid([{}, [measurement(641)]]), "no environment"),
        (comid([{1: b"x"}, [measurement(641)]]), "no class"),
        (comid([{0: {1: "AMD"}}, [measurement(641)]]), "class id that is not tagged 111"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1"), 7: 0}}, [{}]]), "key 7 of class"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1"), 2: 7}}, [{}]]), "model that is not text"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1")}, 3: 0}, [{}]]), "key 3 of environment"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1")}}, []]), "no array of measurements"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1")}}, [{0: 641}]]), "measurement without values"),
        (comid([{0: {0: oid_bytes("1.3.6.1.4.1.3704.3.1")}}, [{1: {}, 3: 0}]]), "key 3 of measurement"),
    ],
)
def test_tags_that_are_not_understood(tag: Any, found: str) -> None:
    refused(corim(changes={1: [tag]}), found)


# ---- AMD's profile ----


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({9999: measurement(9999, raw=raw(b""))}, "measurement key 9999 with raw value"),
        ({9999: measurement(9999, digests=[[7, MEASUREMENT]])}, "measurement key 9999 with digests"),
        ({9999: measurement(9999, svn=1)}, "measurement key 9999 with SVN"),
        ({9999: measurement("641", digests=[[7, MEASUREMENT]])}, "measurement key that is not a number"),
        ({9999: measurement(None, digests=[[7, MEASUREMENT]])}, "measurement key that is not a number"),
        ({9999: measurement(641, digests=[[7, MEASUREMENT]])}, "measurement key 641 twice"),
        ({641: measurement(641, digests=[[1, bytes(32)]])}, "not a SHA-384 digest"),
        ({641: measurement(641, digests=[["sha-256", bytes(32)]])}, "not a SHA-384 digest"),
        ({641: measurement(641, digests=[[7, bytes(32)]])}, "MEASUREMENT that has not 48 bytes"),
        ({641: measurement(641, digests=[])}, "no array of digests"),
        ({641: measurement(641, digests=[[7, MEASUREMENT, 0]])}, "not a SHA-384 digest"),
        ({641: measurement(641, digests=[{0: 7, 1: MEASUREMENT}])}, "not a SHA-384 digest"),
        ({641: measurement(641, digests=[b""])}, "not a SHA-384 digest"),
        ({641: measurement(641, raw=raw(MEASUREMENT))}, "measurement key 641 with raw value"),
        ({641: {0: 641, 1: {2: [[7, MEASUREMENT]], 3: {}}}}, "key 3 of values of measurement key 641"),
        ({641: {0: 641, 1: {2: [[7, MEASUREMENT]], 4: raw(b"")}}}, "measurement key 641 with digests, raw value"),
        ({643: measurement(643, raw=ID_KEY)}, "raw value that is not tagged 560"),
        ({643: measurement(643, raw=raw(ID_KEY[:-1]))}, "value of measurement key 643 that has not 48 bytes"),
        ({643: measurement(643, raw=raw("i" * 48))}, "value of measurement key 643 that has not 48 bytes"),
        ({643: measurement(643, raw=CBORTag(563, [ID_KEY, ID_KEY]))}, "raw value that is not tagged 560"),
        ({643: None}, "without an ID key"),
        ({1: None}, "an ID key (643) without"),
        ({2: None}, "an ID key (643) without"),
        ({3: None}, "an ID key (643) without"),
        ({4: None}, "an ID key (643) without"),
        ({1: measurement(1, svn=1 << 32)}, "SVN that is not a number of 32 bits"),
        ({1: measurement(1, svn=-1)}, "SVN that is not a number of 32 bits"),
        ({1: measurement(1, svn=CBORTag(1, 7))}, "SVN that is not a number of 32 bits"),
        ({1: measurement(1, svn=True)}, "SVN that is not a number of 32 bits"),
        ({1: measurement(1, raw=raw(b""))}, "measurement key 1 with raw value"),
        ({647: measurement(647, svn=1 << 64)}, ""),
        ({647: measurement(647, svn=GENOA_TCB | 1 << 24)}, "which no Genoa has"),
        ({648: None}, "without family, model and stepping"),
        ({650: None}, "without family, model and stepping"),
        ({648: None, 649: None, 650: None, 643: None, 1: None, 2: None, 3: None, 4: None}, "without a processor"),
        ({650: measurement(650, raw=raw(b"\x07"))}, "without a processor that is known"),
        ({648: measurement(648, raw=raw(b"\x18"))}, "an ID key (643) without"),
        ({648: measurement(648, raw=raw(b"\x19\x00"))}, "value of measurement key 648 that has not 1 bytes"),
    ],
)
def test_measurements_of_amd_that_are_not_understood(changes: dict[int, Any], found: str) -> None:
    refused(corim(snp_triple(changes)), found)


@pytest.mark.parametrize("kind", ["1.3.6.1.4.1.3704.3.2", "1.3.6.1.4.1.3704.2.1", INTEL])
def test_environments_of_others_under_amds_profile(kind: str) -> None:
    refused(corim(snp_triple(environment={0: {0: oid_bytes(kind)}})), f"class id {kind}")


# ---- Intel's profile ----


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({-999: 0}, "key -999 of measurement values"),
        ({1: 7}, "key 1 of measurement values"),
        ({-83: [1, bytes(32)]}, "not a SHA-384 digest"),
        ({-83: []}, "no array of tee.mrtee"),
        ({-83: b""}, "no array of tee.mrtee"),
        ({-83: CBORTag(60020, [7, [[7, MRTD]]])}, "another expression than membership"),
        ({-83: CBORTag(60021, [6, [[7, MRTD]]])}, "another expression than membership"),
        ({-83: CBORTag(60020, [6])}, "another expression than membership"),
        ({-83: CBORTag(60020, 6)}, "another expression than membership"),
        ({-83: CBORTag(60020, [6, []])}, "no array of tee.mrtee"),
        ({-71: "TDX SEAM"}, "tee.mrtee of TDX SEAM"),
        ({-71: 7}, "model that is not text"),
        ({-86: 0}, "tee.tcb-eval-num 0"),
        ({-86: -1}, "tee.tcb-eval-num that is not a number"),
        ({-86: CBORTag(60010, [1, 17])}, "another expression than at least"),
        ({-86: CBORTag(60020, [2, 17])}, "another expression than at least"),
        ({-86: CBORTag(60010, [2])}, "another expression than at least"),
        ({-86: CBORTag(60010, 2)}, "another expression than at least"),
        ({-86: CBORTag(60010, [2, "17"])}, "tee.tcb-eval-num that is not a number"),
        ({-88: ["Revoked"]}, "tee.tcbstatus Revoked"),
        ({-88: [7]}, "tee.tcbstatus that is not text"),
        ({-88: CBORTag(60021, [7, ["UpToDate"]])}, "another expression than membership"),
    ],
)
def test_values_of_intel_that_are_not_understood(values: dict[int, Any], found: str) -> None:
    refused(corim(intel_triple(values), profile=INTEL_PROFILE), found)


def test_triples_of_intel_that_are_not_understood() -> None:
    def read_triple(triple: list[Any], found: str) -> None:
        refused(corim(triple, profile=INTEL_PROFILE), found)

    read_triple(snp_triple(), "class id 1.3.6.1.4.1.3704.3.1")
    environment, measurements = intel_triple()
    read_triple([environment, measurements * 2], "2 measurements")
    read_triple(intel_triple(more={0: 83}), "measurement key 83")
    read_triple([environment, [{1: {}}]], "no measurement values")
    modelled = {0: {0: oid_bytes("2.16.840.1.113741.1.2.3.4.5"), 2: "TDX SEAM"}}
    read_triple(intel_triple(environment=modelled), "tee.mrtee of TDX SEAM")
    assert read(corim(intel_triple({-83: None}, environment=modelled), profile=INTEL_PROFILE)).tcb_evaluation == 17
