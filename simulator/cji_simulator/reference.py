"""The reference values of a simulated machine, as an operator extends the built-in ones: by digest, source and day.

The machine's firmware is signed by a key of its own, its paravisor has a measurement of its own and its vTPM an
authority of its own. Production's values refuse all three. The session's operator adds them and the keys of the
simulated provider, and has accepted every open advisory.
"""

from datetime import date
from typing import Any, Final

import msgspec

from cji_attestation.appraisal import IdKey, Mrtd, ReferenceValues, VtpmRoot
from cji_simulator.operator import operator
from cji_simulator.snp import FAMILY_ID, GUEST_SVN, ID_KEY_DIGEST, IMAGE_ID, MEASUREMENT

__all__ = ["reference_values", "toml"]

_FROM: Final[dict[str, Any]] = {"source": "cji-simulator", "seen": date(2026, 11, 1)}


def reference_values(vtpm_root: str, provider_keys: tuple[str, ...], **values: Any) -> ReferenceValues:
    """Values that accept a simulated machine.

    `vtpm_root` and `provider_keys` are the SHA-256 of the SubjectPublicKeyInfo of its root and of its provider's keys.
    """
    signer = IdKey(
        digest=ID_KEY_DIGEST.hex(),
        least_guest_svn={"Milan": GUEST_SVN, "Genoa": GUEST_SVN, "Turin": GUEST_SVN},
        family_ids=(FAMILY_ID.hex(),),
        image_ids=(IMAGE_ID.hex(),),
        **_FROM,
    )
    given = {
        "id_keys": (signer,),
        "mrtds": (Mrtd(digest=MEASUREMENT.hex(), **_FROM),),
        "vtpm_roots": (VtpmRoot(spki_sha256=vtpm_root, **_FROM),),
        "maa_keys": provider_keys,
    }
    return ReferenceValues(**operator().reference(**(given | values)))


def toml(reference: ReferenceValues) -> str:
    """Lines of a table of reference values, with the lists that identify machine and provider."""
    lines = []
    for name in ("id_keys", "mrtds", "vtpm_roots", "maa_keys"):
        entries = msgspec.to_builtins(getattr(reference, name), builtin_types=(date,))
        lines.append(f"{name} = {_value(entries)}\n")
    return "".join(lines)


def _value(value: object) -> str:
    """TOML of a text, number, day, list or table, on one line."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return msgspec.json.encode(value).decode()
