"""Escrow: keys of which the policy demands one among the recipients of every job."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cji_core.data_classes import DataClass
from cji_core.errors import Denied, DeniedBy
from cji_core.format.job import AccessRequest, Policy, PolicyInvalid
from tests.support.policies import agency, policy_file, purpose, rule, submitter

KEY: Final = ec.derive_private_key(7, ec.SECP384R1()).public_key()
ORI: Final = "WI0130000"
A, B, C, D, E = (letter * 43 for letter in "ABCDE")
ESCROW: Final = [{"one_of": [A]}]


def file(*rules: dict[str, Any], **changes: Any) -> bytes:
    return policy_file(submitter("metro-pd", KEY, agency(ORI, purpose("C", *rules), **changes)))


def decided(policy: Policy, recipients: str, *operations: str) -> DeniedBy | None:
    """The rule that denies a job for these recipients, a letter each; None if it is granted."""
    (who,) = policy
    asked = AccessRequest(
        originating_ori=ORI,
        requesting_ori=ORI,
        purpose_code="C",
        operations=operations,
        data_classes=frozenset([DataClass.CASE]),
        recipients=tuple(letter * 43 for letter in recipients),
    )
    try:
        policy.authorise(asked, who, day=datetime.now(UTC).date())
    except Denied as denied:
        return denied.by
    return None


def test_escrow_is_demanded_of_every_job() -> None:
    """Of an agency for all its rules, of a rule for its operations; a job of two operations owes both."""
    all_four = [A, B, C, D]
    rules = rule(all_four, "validate"), rule(all_four, "link", escrow=[{"one_of": [D]}])
    policy = Policy.load(file(*rules, escrow=[{"one_of": [B, C]}]))
    for recipients in ("A", "D", "AD"):
        assert decided(policy, recipients, "validate") is DeniedBy.ESCROW
    for recipients in ("AB", "C", "BC"):  # either key does: an old one and its successor, or those of two suites
        assert decided(policy, recipients, "validate") is None
    for operations in (("link",), ("validate", "link"), ("link", "validate")):
        assert decided(policy, "AB", *operations) is DeniedBy.ESCROW
        assert decided(policy, "D", *operations) is DeniedBy.ESCROW
        assert decided(policy, "CD", *operations) is None
    assert decided(policy, "BE", "validate") is DeniedBy.RECIPIENT  # it adds to no list


def test_an_escrow_that_one_operation_forbids_denies_both() -> None:
    policy = Policy.load(file(rule([A, B], "link", escrow=[{"one_of": [B]}]), rule([A], "validate")))
    assert decided(policy, "A", "link", "validate") is DeniedBy.ESCROW
    assert decided(policy, "AB", "link", "validate") is DeniedBy.RECIPIENT
    assert decided(policy, "AB", "link") is None


@pytest.mark.parametrize(
    "escrow",
    [
        [],
        [A],
        [{}],
        [{"one_of": []}],
        [{"one_of": ["*"]}],
        [{"one_of": [A, A]}],
        [{"one_of": [B]}],
        [{"one_of": [A, B]}],
        [{"one_of": [A], "note": "x"}],
        [*ESCROW, *ESCROW],
    ],
)
def test_an_escrow_that_demands_nothing_clear_is_refused(escrow: Any) -> None:
    """Of a rule as of its agency; a key that no rule permits could not be demanded."""
    assert Policy.load(file(rule([A], escrow=ESCROW)))
    for data in (file(rule([A], escrow=escrow)), file(rule([A]), escrow=escrow)):
        with pytest.raises(PolicyInvalid):
            Policy.load(data)
    with pytest.raises(PolicyInvalid, match="same keys twice"):
        Policy.load(file(rule([A], escrow=ESCROW), escrow=ESCROW))
