"""What nobody decided about is refused: open advisories, those no report rules out, and decisions that do not hold."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_attestation import AttestationError, Fault
from cji_attestation.appraisal import ReferenceValues, TcbFloor, check_reference
from cji_attestation.appraisal.advisories import (
    ALIASES,
    SHIPPED,
    Acceptance,
    Advisory,
    AdvisoryTable,
    Fix,
    read_acceptance,
    read_review,
    read_table,
    sign_acceptance,
    sign_table,
    signer_key,
    sound_table,
)
from cji_attestation.appraisal.advisories.signed import MOST_SIGNED_BYTES, read_statement, sign_statement
from cji_attestation.evidence import Evidence
from cji_core.jose import canonical_jwk
from cji_core.strict import b64url, b64url_decode
from cji_simulator.operator import MACHINES, Operator, operator
from tests.support.forge import decided, evidence_of, machine, machine_of, patched, patched_evidence
from tests.support.refusals import rejected

TODAY = machine().now.astimezone(UTC).date()
DAY = timedelta(days=1)
MILAN_SEED = "arXiv:2605.12990"
MILAN_TCB = bytes([4, 0, 0, 0, 0, 0, 24, 219])
SEPTEMBER = bytes([10, 0, 0, 0, 0, 0, 23, 84])  # Azure's Genoa hosts of September 2026
OPEN_IN_SEPTEMBER = {"AMD-SB-3020": "snp 23, fixed from 27", "AMD-SB-3016": "snp 23, fixed from 27"}
VTPM = {"CVE-2025-2884", "CVE-2026-6726", "CVE-2026-6727"}
NOT_SHOWN = VTPM | {f"AMD-SB-{n}" for n in (3007, 3011, 3016, 3030, 3034, 3036, 3039)}
UNFIXED = {"AMD-SB-3021", "AMD-SB-3024", "AMD-SB-3040", "AMD-SB-3048"}
OPEN = NOT_SHOWN | UNFIXED
"""On a Genoa host of October 2026, SNP 27 and microcode 88: what its report cannot rule out."""
UNDECIDED = decided(advisory_signers=(), advisories=None, acceptances=())
"""The shipped table, and nobody who decided."""


def refused(evidence: Evidence, check: str, *, fault: Fault = Fault.POLICY_MISMATCH, **kw: Any) -> AttestationError:
    with rejected(check, fault=fault) as caught:
        kw.pop("m", machine()).appraise(evidence, **kw)
    return caught.value


def under(*acceptances: bytes, **values: Any) -> ReferenceValues:
    return decided(acceptances=acceptances, **values)


def genoa(*advisories: str, **changes: Any) -> bytes:
    return operator().acceptance(*advisories, **{"machines": ("Genoa",), **changes})


def september() -> tuple[Any, Evidence]:
    m = machine_of("Genoa", tcb=SEPTEMBER)
    return m, evidence_of(m, "Genoa", tcb=SEPTEMBER)


# -- hosts of Azure ----------------------------------------------------------------------------------------------------


def test_h01_hosts_of_october_need_every_advisory_accepted() -> None:
    evidence = machine().evidence()
    error = refused(evidence, "E32", reference=UNDECIDED)
    assert {part.partition(" ")[0] for part in error.failures[0].found.split("; ")} == OPEN
    assert error.failures[0].found.count("no acceptance names it") == len(OPEN)
    assert "cji advisories accept" in error.remedy
    found = machine().appraise(evidence, reference=under(genoa(*OPEN)))
    assert set(found.accepted) == OPEN
    assert {one.id for one in found.findings if one.state == "cannot be shown"} == NOT_SHOWN
    assert {one.id for one in found.findings if one.state == "open"} == UNFIXED
    assert {one.accepted_by for one in found.findings} == {"", "site-1"}
    for missing in OPEN:
        left = refused(evidence, "E32", reference=under(genoa(*(OPEN - {missing})))).failures[0].found
        assert left.startswith(f"{missing} ")
        assert ";" not in left


def test_h01_hosts_of_september_have_more_to_accept() -> None:
    m, evidence = september()
    both = {*OPEN, "AMD-SB-3020", "AMD-SB-3027"}
    found = m.appraise(evidence, reference=under(genoa(*both)))
    assert set(found.accepted) == both
    states = {one.id: (one.state, one.detail) for one in found.findings}
    assert states["AMD-SB-3019"] == ("fixed", "snp 23 ≥ 23, microcode 84 ≥ 84")
    assert states["AMD-SB-3020"] == ("open", "snp 23, fixed from 27")
    assert states["AMD-SB-3016"] == ("open", "snp 23, fixed from 27")
    assert states["AMD-SB-3027"] == ("open", "microcode 84, fixed from 86")
    refused(evidence, "E32", m=m, reference=under(genoa(*OPEN)))
    refused(evidence, "E32", m=m, reference=UNDECIDED)


def test_n10_several_acceptances_count_together() -> None:
    first, *rest = sorted(OPEN)
    parts = (genoa(first, id="one"), genoa(*rest, id="two"))
    found = machine().appraise(machine().evidence(), reference=under(*parts))
    assert {one.id: one.accepted_by for one in found.findings if one.accepted_by}[first] == "one"
    assert dict(found.checks)["E45"] == "acceptances: one, two"
    assert f"{first} cannot be shown, by one" in dict(found.checks)["E32"]


# -- decisions that do not hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machines": ("Turin",)}, "site-1 is for Turin"),
        ({"machines": ("Genoa-X", "TDX")}, "site-1 is for Genoa-X, TDX"),
        ({"since": TODAY - 9 * DAY, "until": TODAY - DAY}, f"site-1 expired on {TODAY - DAY}"),
        ({"since": TODAY + DAY, "until": TODAY + DAY}, f"site-1 begins on {TODAY + DAY}"),
    ],
)
def test_n10_an_acceptance_for_another_machine_or_day(changes: dict[str, Any], reason: str) -> None:
    error = refused(machine().evidence(), "E32", reference=under(genoa(**changes)))
    assert error.failures[0].found.count(reason) == len(OPEN)
    assert error.failures[0].expected == f"each fixed, or accepted for Genoa at {machine().now}"


def test_n10_an_acceptance_holds_to_the_end_of_its_last_day() -> None:
    machine().appraise(machine().evidence(), reference=under(genoa(since=TODAY, until=TODAY)))


def test_n10_an_acceptance_of_another_signer_is_refused() -> None:
    stranger = Operator()
    for signed in (stranger.acceptance(), genoa()[:-4] + b"AAAA"):
        error = refused(machine().evidence(), "E45", reference=under(signed))
        assert error.failures[0].found == "acceptance 1: signed by no pinned key"
        assert [failure.id for failure in error.failures] == ["E45", "E32"]
    both = (operator().signer, stranger.signer)
    machine().appraise(machine().evidence(), reference=under(stranger.acceptance(), advisory_signers=both))


def test_n10_a_defective_file_is_refused_beside_a_good_one() -> None:
    for bad in (b"", b"{}", Operator().acceptance(), operator().table()):
        error = refused(machine().evidence(), "E45", reference=under(genoa(), bad))
        assert error.failures[0].found.startswith("acceptance 2: ")
    error = refused(machine().evidence(), "E45", reference=under(genoa(), genoa()))
    assert error.failures[0].found == "acceptance 2: a second acceptance site-1"


def test_n10_unsigned_decisions_are_not_read() -> None:
    decision = msgspec.json.decode(read_statement("cji-acceptance", genoa(), (operator().key.public_key(),)))
    for unsigned in (msgspec.json.encode(decision), b64url(msgspec.json.encode(decision)).encode()):
        refused(machine().evidence(), "E45", reference=under(unsigned))
    for signers in ((), ("",), ("{}",), (operator().signer.replace("P-384", "P-256"),), (operator().signer,) * 2):
        with rejected("reference-advisory_signers", fault=Fault.CONFIG_INVALID):
            check_reference(under(genoa(), advisory_signers=signers))
    with rejected("reference-advisory_signers"):
        check_reference(ReferenceValues(advisories=operator().table()))
    check_reference(ReferenceValues(advisory_signers=tuple(Operator().signer for _ in range(8))))
    with rejected("reference-advisory_signers"):
        check_reference(ReferenceValues(advisory_signers=tuple(Operator().signer for _ in range(9))))
    with rejected("reference-acceptances"):
        check_reference(under(*(genoa(id=f"a{n}") for n in range(65))))
    check_reference(under(*(genoa(id=f"a{n}") for n in range(64))))


UNSIGNED = b'{"alg":"none"}'
OTHER_KIND = b'{"alg":"ES384","typ":"cji-advisories+json"}'


def test_a01_a_signature_has_one_form_and_one_algorithm() -> None:
    keys, good = (operator().key.public_key(),), genoa()
    header, payload, signature = good.decode().split(".")
    assert read_statement("cji-acceptance", good + b"\n", keys)
    for other in (
        f"{b64url(UNSIGNED)}.{payload}.",
        f"{b64url(OTHER_KIND)}.{payload}.{signature}",
        f"{header}.{payload}.{signature}=",
        f"{header}.{payload}.{signature}.x",
        f"{header}.{payload}.{b64url(bytes(95))}",
        f"{header}.{payload}.{b64url(bytes(96))}",
        f"{header}.{payload}",
        f"{header}.{payload}é.{signature}",
        "",
    ):
        with pytest.raises(ValueError, match=r"\w"):
            read_statement("cji-acceptance", other.encode(), keys)
    raw = b64url_decode(signature)
    longer = f"{header}.{payload}.{b64url(raw[:48] + bytes(1) + raw[48:])}"  # the same two numbers
    with pytest.raises(ValueError, match="no pinned key"):
        read_statement("cji-acceptance", longer.encode(), keys)
    with pytest.raises(ValueError, match="no pinned key"):
        read_statement("cji-acceptance", good, ())
    large = sign_statement("cji-acceptance", bytes(MOST_SIGNED_BYTES), operator().key)
    with pytest.raises(ValueError, match="not a signed statement"):
        read_statement("cji-acceptance", large, keys)
    with pytest.raises(ValueError, match="P-384"):
        sign_statement("cji-acceptance", b"{}", ec.generate_private_key(ec.SECP256R1()))


def test_a02_signers_are_canonical_p384() -> None:
    jwk = operator().signer
    assert signer_key(jwk) == operator().key.public_key()
    small = canonical_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
    for wrong in (small, f" {jwk}", jwk.replace("{", '{"kid":"x",'), "[]", "x" * 600, "{}"):
        with pytest.raises(ValueError, match="JWK"):
            signer_key(wrong)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "a b"},
        {"machines": ()},
        {"machines": ("Genoa", "Genoa")},
        {"advisories": ("A", "A")},
        {"advisories": ("a b",)},
        {"reason": " "},
        {"reason": "x" * 1001},
        {"decided_by": ""},
        {"until": TODAY - 2 * DAY},
        {"until": TODAY + 366 * DAY},
        {"version": 2},
        {"machines": ("Rome",)},
        {"until": "never"},
        {"limit": None},
    ],
)
def test_a15_acceptances_that_could_not_mean_what_they_say(changes: dict[str, Any]) -> None:
    content = msgspec.json.decode(read_statement("cji-acceptance", genoa(), (operator().key.public_key(),)))
    data = msgspec.json.encode(content | changes)
    signed = sign_statement("cji-acceptance", data, operator().key)
    assert refused(machine().evidence(), "E45", reference=under(signed)).failures[0].found
    try:
        unsound = msgspec.json.decode(data, type=Acceptance)
    except msgspec.ValidationError:
        return
    with pytest.raises(ValueError, match="not sound"):
        sign_acceptance(unsound, operator().key)


def test_n10_an_acceptance_lasts_a_year_at_most() -> None:
    whole = genoa(since=TODAY, until=TODAY + 366 * DAY, reason="x" * 1000)
    assert read_acceptance(whole, (operator().key.public_key(),)).until == TODAY + 366 * DAY
    keys = (operator().key.public_key(),)
    loose = read_statement("cji-acceptance", whole, keys).replace(b",", b", ")
    with pytest.raises(ValueError, match="one form"):
        read_acceptance(sign_statement("cji-acceptance", loose, operator().key), keys)


# -- the table ---------------------------------------------------------------------------------------------------------


def row(**changes: Any) -> Advisory:
    values: dict[str, Any] = {
        "id": "AMD-SB-9999",
        "title": "made up",
        "visibility": "fixed",
        "affects": ("Genoa",),
        "fixes": {"Genoa": Fix(levels={"snp": 27})},
        "source": "a test",
        "read": TODAY,
        "confidence": "primary",
    }
    return Advisory(**(values | changes))


def table(*rows: Advisory, **changes: Any) -> AdvisoryTable:
    values: dict[str, Any] = {"version": 2, "reviewed": TODAY, "expires": TODAY + DAY, "rows": rows or (row(),)}
    return AdvisoryTable(**(values | changes))


def test_n10_a_table_is_the_shipped_one_with_newer_rows() -> None:
    newer = sign_table(table(row(), row(id=ALIASES, fixes={"Genoa": Fix(levels={"snp": 1})})), operator().key)
    found = read_review(newer, (), (operator().signer,))
    rows = {one.id: one for one in found.rows}
    assert {one.id for one in SHIPPED.rows} | {"AMD-SB-9999"} == set(rows)
    assert rows[ALIASES].fixes == {"Genoa": Fix(levels={"snp": 1})}
    old = SHIPPED.reviewed - 9 * DAY
    older = table(row(read=old), row(id=ALIASES, read=old), reviewed=old, expires=TODAY + DAY)
    rows = {one.id: one for one in read_review(sign_table(older, operator().key), (), (operator().signer,)).rows}
    assert rows[ALIASES] in SHIPPED.rows
    assert "AMD-SB-9999" in rows
    assert (found.own, read_review(None, (), ()).own, found.expires) == (True, False, TODAY + DAY)


def test_n10_a_new_row_refuses_and_an_acceptance_must_name_it() -> None:
    fixed, open_ = row(), row(id="AMD-SB-9998", fixes={"Genoa": Fix(levels={"snp": 28})})
    signed = sign_table(table(fixed, open_), operator().key)
    error = refused(machine().evidence(), "E32", reference=decided(advisories=signed))
    assert error.failures[0].found == "AMD-SB-9998 open (snp 27, fixed from 28): no acceptance names it"
    named = operator().acceptance("AMD-SB-9998", id="site-2")
    more = under(operator().acceptance(), named, advisories=signed)
    assert "AMD-SB-9998" in machine().appraise(machine().evidence(), reference=more).accepted


def test_n10_the_table_in_force_is_told() -> None:
    finding = dict(machine().appraise(machine().evidence()).checks)["E31"]
    assert finding.startswith(f"{len(SHIPPED.rows)} advisories, the operator's table reviewed ")
    shipped = machine().appraise(machine().evidence(), reference=decided(advisories=None))
    assert "advisories, shipped table reviewed" in dict(shipped.checks)["E31"]


def test_n10_a_table_expires_at_the_end_of_its_last_day() -> None:
    def values(**days: Any) -> ReferenceValues:
        given = {"reviewed": TODAY, **days}
        made = table(row(read=given["reviewed"]), **given)
        return decided(advisories=sign_table(made, operator().key))

    machine().appraise(machine().evidence(), reference=values(reviewed=TODAY - DAY, expires=TODAY))
    late = values(reviewed=TODAY - 2 * DAY, expires=TODAY - DAY)
    assert "bulletins" in refused(machine().evidence(), "E31", reference=late).remedy
    early = values(reviewed=TODAY + DAY, expires=TODAY + 2 * DAY)
    refused(machine().evidence(), "E31", reference=early)  # f08: the clock was set back


def test_n10_days_are_those_of_utc() -> None:
    found = read_review(None, (), ())
    last = datetime(found.expires.year, found.expires.month, found.expires.day, 23, 59, 59, tzinfo=UTC)
    assert found.in_time(last)
    assert found.in_time(datetime(2023, 1, 1, tzinfo=UTC))  # older evidence is appraised with what is known since
    assert not found.in_time(last + timedelta(seconds=1))
    assert found.in_time((last + timedelta(hours=1)).replace(tzinfo=UTC) - timedelta(hours=1))


def test_n10_a_table_of_another_signer_is_refused_and_not_used() -> None:
    strange = Operator().table()
    error = refused(machine().evidence(), "E45", reference=decided(advisories=strange))
    assert error.failures[0].found == "table: signed by no pinned key"
    assert not read_review(strange, (), (operator().signer,)).own
    for bad in (b"", genoa(), sign_statement("cji-advisories", b"{}", operator().key)):
        refused(machine().evidence(), "E45", reference=decided(advisories=bad))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": ()},
        {"rows": (row(), row())},
        {"rows": tuple(row(id=f"A{n}") for n in range(257))},
        {"expires": TODAY},
        {"expires": TODAY + 367 * DAY},
        *(
            {"rows": (row(**changes),)}
            for changes in cast(
                "tuple[dict[str, Any], ...]",
                (
                    {"id": ""},
                    {"id": "a b"},
                    {"affects": ()},
                    {"affects": ("Genoa", "Genoa")},
                    {"fixes": {}},
                    {"visibility": "physical"},
                    {"fixes": {"Turin": Fix(levels={"snp": 1})}},
                    {"fixes": {"Genoa": Fix()}},
                    {"fixes": {"Genoa": Fix(levels={"snp": 0})}},
                    {"fixes": {"Genoa": Fix(levels={"snp": 256})}},
                    {"fixes": {"Genoa": Fix(levels={"fmc": 1})}},
                    {"fixes": {"Genoa": Fix(mitigation_bit=64)}},
                    {"fixes": {"Genoa": Fix(mitigation_bit=-1)}},
                    {"pi": {"Turin": "1.0"}},
                    {"cves": ("CVE-1",)},
                    {"title": " "},
                    {"source": ""},
                    {"read": TODAY + DAY},
                ),
            )
        ),
    ],
)
def test_a15_tables_that_could_not_mean_what_they_say(wrong: dict[str, Any]) -> None:
    unsound = table(**wrong)
    assert not sound_table(unsound)
    with pytest.raises(ValueError, match="not sound"):
        sign_table(unsound, operator().key)
    signed = sign_statement("cji-advisories", msgspec.json.encode(unsound), operator().key)
    with pytest.raises(ValueError, match="not sound"):
        read_table(signed, (operator().key.public_key(),))


def test_a15_tables_that_mean_what_they_say() -> None:
    assert sound_table(SHIPPED)
    assert sound_table(table(expires=TODAY + 366 * DAY))
    assert sound_table(table(*(row(id=f"A{n}") for n in range(256))))
    assert sound_table(table(row(affects=("Turin",), fixes={"Turin": Fix(levels={"fmc": 1})})))
    for fix in (Fix(mitigation_bit=0), Fix(mitigation_bit=63), Fix(alias_check=True), Fix(levels={"snp": 255})):
        assert sound_table(table(row(fixes={"Genoa": fix})))
    assert sound_table(table(row(visibility="physical", fixes={}, cves=("CVE-2026-1234",), pi={"Genoa": "1"})))


# -- products ----------------------------------------------------------------------------------------------------------


def test_h01_milan_needs_its_open_advisory_accepted() -> None:
    m = machine_of("Milan")
    evidence = evidence_of(m, "Milan", tcb=MILAN_TCB)
    assert "Milan" not in ReferenceValues().products
    assert MILAN_SEED in refused(evidence, "E08", m=m).remedy
    others = tuple(one.id for one in SHIPPED.rows if one.id != MILAN_SEED)
    error = refused(evidence, "E32", m=m, reference=under(operator().acceptance(*others), products=("Milan",)))
    assert error.failures[0].found == f"{MILAN_SEED} open (nothing fixes it): no acceptance names it"
    found = m.appraise(evidence, reference=decided(products=("Milan",)))
    assert MILAN_SEED in found.accepted


@pytest.mark.parametrize(
    ("cpuid", "microcode", "kind"),
    [
        (b"\x19\x11\x01", 84, "Genoa"),
        (b"\x19\x11\x02", 79, "Genoa-X"),
        (b"\x19\xa0\x01", 23, "Bergamo-A1"),
        (b"\x19\xa0\x02", 25, "Bergamo-Siena"),
    ],
)
def test_h01_steppings_have_levels_of_their_own(cpuid: bytes, microcode: int, kind: str) -> None:
    def made(level: int) -> tuple[Any, Evidence]:
        tcb = bytes([10, 0, 0, 0, 0, 0, 27, level])
        m = machine_of("Genoa", tcb=tcb)
        raw = evidence_of(m, "Genoa", tcb=tcb).hcl_report[32:1216]
        return m, m.evidence(report=patched(raw, 0x188, cpuid, chip=m.chip))

    m, evidence = made(microcode)
    found = m.appraise(evidence)
    assert dict(found.checks)["E12"] == f"TCB at or above the floor of {kind}"
    states = {one.id: one.state for one in found.findings}
    assert states["AMD-SB-3019"] == "fixed"
    assert states["AMD-SB-3020"] == ("open" if kind == "Genoa" else "cannot be shown")
    elsewhere = tuple(one for one in MACHINES if one != kind)
    refused(evidence, "E32", m=m, reference=under(operator().acceptance(machines=elsewhere)))
    m, evidence = made(microcode - 1)
    refused(evidence, "E12", m=m)


def test_a25_a_stepping_that_nobody_decided_about() -> None:
    for cpuid in (b"\x19\x11\x03", b"\x19\x10\x01"):
        raw = patched(machine().report(machine().claims()), 0x188, cpuid)
        error = refused(machine().evidence(report=raw), "E12")
        assert error.failures[0].found == f"no floor for CPUID {tuple(cpuid)}"
        assert "E32" in {failure.id for failure in error.failures}


# -- memory aliases ----------------------------------------------------------------------------------------------------


def test_h01_badram_needs_a_complete_alias_check_or_acceptance() -> None:
    without, rest = patched_evidence(0x40, (0x05).to_bytes(8, "little")), genoa(*OPEN)
    error = refused(without, "E34", reference=under(rest))
    assert error.failures[0].found == f"{ALIASES} open (the alias check is not complete): no acceptance names it"
    expired = genoa(ALIASES, id="old", since=TODAY - 9 * DAY, until=TODAY - DAY)
    refused(without, "E34", reference=under(rest, expired))
    found = machine().appraise(without, reference=under(rest, genoa(ALIASES, id="new")))
    assert ALIASES in found.accepted
    assert ("E34", "none open") in machine().appraise(machine().evidence()).checks


# -- floors that trail the fleet ---------------------------------------------------------------------------------------


def test_n10_levels_above_the_floor_are_told() -> None:
    found = machine().appraise(machine().evidence())
    assert found.above_floor == ("snp 27 > 23", "microcode 88 > 84")
    exact = TcbFloor(bootloader=10, tee=0, snp=27, microcode=88)
    assert (
        machine().appraise(machine().evidence(), reference=decided(floors={"Genoa": exact, "Turin": exact})).above_floor
        == ()
    )


def test_dates_of_the_shipped_table() -> None:
    assert SHIPPED.reviewed == date(2026, 11, 30)
    assert (SHIPPED.expires - SHIPPED.reviewed).days <= 366
