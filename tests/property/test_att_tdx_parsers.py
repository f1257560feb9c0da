"""Any bytes as TDREPORT, quote or collateral: a value or our own error, and never the end of the process."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestation import AttestationError
from attestation.appraisal.intel import authentic_root
from attestation.evidence import parse_td_quote, parse_td_report
from tests.att_forge import machine
from tests.att_tdx_forge import intel, td_report

COLLATERAL = intel().collateral()
QUOTE = intel().quote(td_report(bytes(64)), version=5)


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    piece = st.tuples(st.integers(0, len(data)), st.integers(0, 64), st.binary(max_size=64))
    return piece.map(lambda cut: data[: cut[0]] + cut[2] + data[cut[0] + cut[1] :])


@given(st.one_of(st.binary(max_size=2000), mutated(QUOTE)))
def test_quote(data: bytes) -> None:
    try:
        parsed = parse_td_quote(data)
    except AttestationError as error:
        assert error.check == "td-quote"  # noqa: PT017 - bytes that parse are fine too
    else:
        assert len(parsed.body) in {584, 648}


@given(st.one_of(st.binary(max_size=1100), st.binary(min_size=1024, max_size=1024), mutated(td_report(bytes(64)))))
def test_report(data: bytes) -> None:
    try:
        parsed = parse_td_report(data)
    except AttestationError as error:
        assert error.check == "td-report"  # noqa: PT017 - see above
    else:
        assert len(parsed.body) == 648


@settings(deadline=None)
@given(field=st.sampled_from(["pck_crl", "root_ca_crl", "tcb_info_signature"]), data=st.data())
def test_collateral(field: str, data: st.DataObject) -> None:
    true = getattr(COLLATERAL, field)
    wrong = data.draw(st.one_of(st.binary(max_size=400), mutated(true)))
    if wrong == true:
        return
    with pytest.raises(AttestationError) as caught:
        authentic_root(
            msgspec.structs.replace(COLLATERAL, **{field: wrong}),
            parse_td_quote(QUOTE).pck_chain,
            roots=intel().trust.intel_roots,
            now=machine().now,
        )
    assert caught.value.check == "E28"
