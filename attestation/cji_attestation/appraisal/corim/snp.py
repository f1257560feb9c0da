"""AMD's profile: values of an SNP report by measurement key (draft-deeglaze-amd-sev-snp-corim-profile-02, §3.1).

The key of a measurement is a number for each field of ATTESTATION_REPORT (AMD 56860). Levels only grow, so a level that
is stated exactly is read as the least one.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import cbor2

from cji_attestation.appraisal.advisories import PRODUCT_OF, Product, Stepping
from cji_attestation.appraisal.advisories.products import Cpuid, kind_of, product_of_cpuid
from cji_attestation.appraisal.azure import IdKey
from cji_attestation.appraisal.corim.document import Measurement, Triple
from cji_attestation.appraisal.corim.refusal import array, digest, mapping, octets, refused, sha384_of, tagged, whole
from cji_attestation.appraisal.corim.values import Stated
from cji_attestation.appraisal.reference import TcbFloor
from cji_attestation.evidence.snp_report import parse_tcb

PROFILE: Final = "http://amd.com/2024/snp-corim-profile"
_BY_CHIP: Final = "1.3.6.1.4.1.3704.3.1"
_SVN: Final = 552
_LEAST_SVN: Final = 553
_RAW: Final = 560
_GUEST_SVN, _POLICY, _FAMILY, _IMAGE, _MEASURED, _ID_KEY, _TCB, *_CPUID = 1, 2, 3, 4, 641, 643, 647, 648, 649, 650
_SIZES: Final = {_POLICY: 8, _FAMILY: 16, _IMAGE: 16, _ID_KEY: 48, **dict.fromkeys(_CPUID, 1)}
_LEFT_OUT: Final = {
    0: "VERSION",
    5: "VMPL",
    6: "CURRENT_TCB",
    7: "PLATFORM_INFO",
    640: "REPORT_DATA",
    642: "HOST_DATA",
    644: "AUTHOR_KEY_DIGEST",
    645: "REPORT_ID",
    646: "REPORT_ID_MA",
    3328: "CHIP_ID",
    3329: "COMMITTED_TCB",
    3330: "CURRENT_VERSION",
    3936: "COMMITTED_VERSION",
    3968: "LAUNCH_TCB",
}
"""Fields without a reference value here. Of VMPL, HOST_DATA, AUTHOR_KEY_DIGEST and the TCBs the checks fix more."""
_VALUES: Final = {1: "SVN", 2: "digests", 4: "raw value"}


def read_snp(triple: Triple, *, source: str, seen: date) -> Stated:
    """The statements of a triple about a machine with SEV-SNP."""
    environment = triple.environment
    if environment.class_id != _BY_CHIP:
        raise refused(f"class id {environment.class_id}; {_BY_CHIP} is that of reports signed by a chip")
    left_out = [*environment.more, *(["model"] if environment.model else [])]
    found: dict[int, Any] = {}
    for one in triple.measurements:
        number = whole(one.key, "measurement key", bits=32)
        if number in found:
            raise refused(f"measurement key {number} twice")
        if one.authorized:
            left_out.append("authorized by")
        if number in _LEFT_OUT:
            left_out.append(_LEFT_OUT[number])
        else:
            found[number] = _value(number, one)
    processor = _processor(found)
    return Stated(
        measurements=tuple(found.get(_MEASURED, ())),
        id_keys=_id_keys(found, processor and processor[1], source=source, seen=seen),
        floors=_floors(found, processor),
        left_out=tuple(left_out),
    )


def _value(number: int, one: Measurement) -> Any:
    """The value of one field: digests in hexadecimal, a level, or bytes."""
    values = mapping(one.values, f"values of measurement key {number}", _VALUES)
    if number == _MEASURED and set(values) == {2}:
        return [sha384_of(one, "MEASUREMENT") for one in array(values[2], "digests")]
    if number in {_GUEST_SVN, _TCB} and set(values) == {1}:
        return _level(values[1], bits=32 if number == _GUEST_SVN else 64)
    if number in _SIZES and set(values) == {4}:
        return octets(tagged(values[4], _RAW, "raw value"), _SIZES[number], f"value of measurement key {number}")
    raise refused(f"measurement key {number} with {', '.join(_VALUES[key] for key in values)}")


def _level(value: Any, *, bits: int) -> int:
    if isinstance(value, cbor2.CBORTag) and value.tag in {_SVN, _LEAST_SVN}:
        value = value.value
    return whole(value, "SVN", bits=bits)


def _processor(found: Mapping[int, Any]) -> tuple[Cpuid, Product] | None:
    """Family, model and stepping, and their product; None for none, and for a product that is not known."""
    stated = [found[one][0] for one in _CPUID if one in found]
    if not stated:
        return None
    if len(stated) != len(_CPUID):
        raise refused("a processor without family, model and stepping (measurement keys 648 to 650)")
    family, model, stepping = stated
    product = product_of_cpuid(family, model)
    return None if product is None else ((family, model, stepping), product)


def _id_keys(found: Mapping[int, Any], product: Product | None, *, source: str, seen: date) -> tuple[IdKey, ...]:
    fields = (_GUEST_SVN, _POLICY, _FAMILY, _IMAGE)
    if _ID_KEY not in found:
        if any(one in found for one in fields):
            raise refused("guest SVN, policy, family or image id (measurement keys 1 to 4) without an ID key (643)")
        return ()
    if product is None or any(one not in found for one in fields):
        raise refused(
            "an ID key (643) without guest SVN, policy, family id, image id (1 to 4) or processor (648 to 650)"
        )
    return (
        IdKey(
            digest=digest(found[_ID_KEY], "ID_KEY_DIGEST").hex(),
            least_guest_svn={product: found[_GUEST_SVN]},
            family_ids=(found[_FAMILY].hex(),),
            image_ids=(found[_IMAGE].hex(),),
            policies=(int.from_bytes(found[_POLICY], "big"),),
            source=source,
            seen=seen,
        ),
    )


def _floors(found: Mapping[int, Any], processor: tuple[Cpuid, Product] | None) -> dict[Stepping, TcbFloor]:
    if _TCB not in found:
        return {}
    stepping = processor and kind_of(*processor)
    if stepping is None:
        raise refused("REPORTED_TCB (647) without a processor that is known (648 to 650)")
    tcb = parse_tcb(found[_TCB].to_bytes(8, "little"), turin=PRODUCT_OF[stepping] == "Turin")
    if tcb is None:
        raise refused(f"REPORTED_TCB {found[_TCB]:#x}, which no {stepping} has")
    return {
        stepping: TcbFloor(bootloader=tcb.bootloader, tee=tcb.tee, snp=tcb.snp, microcode=tcb.microcode, fmc=tcb.fmc)
    }
