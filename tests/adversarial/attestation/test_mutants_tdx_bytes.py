"""One bit of every byte of a TDX bundle is flipped, and each time the appraisal refuses. It is a minute of work.

A TDREPORT is refused for its reserved bytes also where its own hashes are made to hold again.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator

import pytest

from cji_attestation import Fault
from cji_attestation.appraisal import tdx
from cji_attestation.evidence import Evidence, parse_td_report
from tests.fuzz.bytewalk import bundles, indifferent, parts, walk
from tests.support.refusals import rejected
from tests.support.remembered import remembered
from tests.support.tdx_forge import td_report

pytestmark = pytest.mark.timeout(600)  # beside other tests

OF_INTEL = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl", "root_ca_crl")
FIELDS = (
    *("hcl_report", "ak_public", "ak_cert", "td_quote", "quote", "quote_signature", "pcrs", "ephemeral"),
    *("certify", "certify_signature"),
    *(f"collateral.{name}" for name in OF_INTEL),
    *(f"collateral.{name}{part}" for name in ("tcb_info", "qe_identity") for part in ("", "_signature")),
)


@pytest.fixture(scope="module", autouse=True)
def _quotes_once() -> Iterator[None]:
    """A quote with the collateral that was sound before, while other fields change, is not verified again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdx, "authenticate_quote", remembered(tdx.authenticate_quote))
        yield


@functools.cache
def sound() -> tuple[Evidence, Callable[[Evidence], object]]:
    return bundles()["tdx"]


def test_all_fields_are_walked() -> None:
    evidence, judge = sound()
    assert judge(evidence)
    assert set(parts(evidence)) == set(FIELDS)
    assert evidence.certs == b""


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_a13_every_changed_byte_is_refused(name: str) -> None:
    evidence, judge = sound()
    found = walk(evidence, judge, name=name)
    print(f"{name}: {found.refused} changes refused, {len(found.accepted)} bytes that cannot matter")
    assert found.accepted <= indifferent(evidence, name)
    assert found.refused + len(found.accepted) == len(parts(evidence)[name])
    assert found.refused > len(parts(evidence)[name]) // 3


@pytest.mark.parametrize("at", [0, 4, 15, 192, 223, 400, 494, 495, 511, 960, 1023])
def test_a25_kind_and_reserved_bytes_of_a_tdreport(at: int) -> None:
    """The first and last byte of each range, and the bounds of what is hashed."""
    raw = bytearray(td_report(bytes(64)))
    raw[at] ^= 1
    raw[32:80], raw[80:128] = hashlib.sha384(raw[256:495]).digest(), hashlib.sha384(raw[512:]).digest()
    with rejected("td-report", fault=Fault.EVIDENCE_INVALID):
        parse_td_report(bytes(raw))
