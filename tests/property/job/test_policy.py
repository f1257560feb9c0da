"""Every combination equals the table of an independent twin; policies that differ in anything differ in a change."""

import itertools
from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from cji_core.data_classes import DataClass
from cji_core.errors import Denied, DeniedBy
from cji_core.format.job import AccessRequest, Policy, PolicyInvalid
from cji_core.format.job.policy.changes import changes
from tests.reference.policy import PolicyTwin
from tests.support.policies import agency, policy_file, purpose, rule, submitter

KEYS: Final = [ec.derive_private_key(n, ec.SECP384R1()).public_key() for n in (3, 5)]
DAY: Final = date(2026, 11, 27)
A, B, C = "A" * 43, "B" * 43, "C" * 43
CLASSES: Final = ("biographic", "case", "control number")
SANS: Final = [f"spiffe://cji.example/agency/{name}" for name in ("metro-pd", "county-so", "nobody")]
ORIS: Final = ("WI0130000", "WI0140000", "WI0150000")


def agreed(first: int, last: int) -> dict[str, Any]:
    return {"id": "MOU", "from": DAY + timedelta(days=first), "until": DAY + timedelta(days=last)}


def small(rows: int) -> dict[str, int]:
    return {"rows": rows, "bytes": 1000}


def one_of(*keys: str) -> list[dict[str, Any]]:
    return [{"one_of": list(keys)}]


FILE: Final = policy_file(
    submitter(
        "metro-pd",
        KEYS[0],
        agency(
            ORIS[0],
            purpose(
                "C",
                rule([A, B], "deidentify", data_classes=["biographic", "control number"], limits=small(10)),
                rule([A, C], "validate", "link", secondary_recipients=["Board"], limits=small(20), escrow=one_of(A)),
            ),
            purpose("J", rule([B], "link", data_classes=["case"], secondary_recipients=["Board", "Court"])),
            agreement=agreed(-1, 1),
        ),
        agency(
            ORIS[1],
            purpose("C", rule([C, B, A], "link", escrow=one_of(A, B)), rule([B, C], "validate")),
            agreement=agreed(0, 30),
            escrow=one_of(C),
        ),
    ),
    submitter("county-so", KEYS[1], agency(ORIS[1], purpose("C", rule([A], "deidentify")), agreement=agreed(-9, -1))),
)


def decision(policy: Policy, san: str, asked: AccessRequest, secondary: str, day: date) -> DeniedBy | None:
    try:
        policy.authorise(asked, policy.submitter(san), day=day).require_secondary_recipient(secondary)
    except Denied as denied:
        return denied.by
    return None


def subsets(values: tuple[str, ...], most: int) -> list[tuple[str, ...]]:
    return [each for n in range(most + 1) for each in itertools.combinations(values, n)]


def test_every_combination_equals_the_table_of_the_twin() -> None:
    policy, twin = Policy.load(FILE), PolicyTwin(FILE.decode())
    found = Counter[str]()
    for san, originating, requesting, code, operations, classes, recipients, rows, days in itertools.product(
        SANS,
        ORIS,
        ORIS,
        ("C", "J", "D"),
        [(), ("link",), ("deidentify",), ("validate", "link"), ("deidentify", "validate"), ("validate", "deidentify")],
        subsets(CLASSES, 2),
        subsets((A, B, C), 2),
        (0, 15),
        (-2, 0, 1),
    ):
        day = DAY + timedelta(days=days)
        asked = AccessRequest(
            originating_ori=originating,
            requesting_ori=requesting,
            purpose_code=code,
            operations=operations,
            data_classes=frozenset(map(DataClass, classes)),
            recipients=recipients,
            rows=rows,
        )
        for secondary in ("", "Board", "Court"):
            expected = twin.denies(
                san, originating, requesting, code, operations, classes, recipients, secondary, rows, day
            )
            assert decision(policy, san, asked, secondary, day) == expected, (san, asked, secondary, day)
            found[expected or "granted"] += 1
    assert set(found) == {"granted", *DeniedBy} - {DeniedBy.BYTES, DeniedBy.JOBS_PER_DAY, DeniedBy.COLUMN_KEYS}
    assert min(found.values()) > 40


tables = st.builds(
    lambda operations, classes, recipients, secondary, rows, escrow: {
        **rule([*sorted(recipients), C], *sorted(operations), data_classes=sorted(classes), limits=small(rows)),
        **({"secondary_recipients": sorted(secondary)} if secondary else {}),
        **({"escrow": one_of(C)} if escrow else {}),
    },
    st.sets(st.sampled_from(["link", "deidentify"]), min_size=1),
    st.sets(st.sampled_from(CLASSES), min_size=1),
    st.sets(st.sampled_from([A, B]), min_size=1),
    st.sets(st.sampled_from(["Board", "Court"])),
    st.sampled_from([10, 20]),
    st.booleans(),
)
agencies = st.builds(
    lambda ori, one, code, last, escrow: agency(
        ori,
        purpose(code, one),
        agreement=agreed(0, last),
        **({"escrow": one_of(C)} if escrow and "escrow" not in one else {}),
    ),
    st.sampled_from(ORIS[:2]),
    tables,
    st.sampled_from(["C", "J"]),
    st.sampled_from([0, 1]),
    st.booleans(),
)
files = st.builds(
    lambda given: policy_file(submitter("metro-pd", KEYS[0], *given)),
    st.lists(agencies, min_size=1, max_size=2, unique_by=lambda each: each["ori"]),
)


JOBS: Final = ((A,), (B,), (A, C), (B, C))
"""Recipients of jobs, without and with the key that some rules demand."""


def decisions(policy: Policy) -> list[DeniedBy | None]:
    """Of every job that these policies can decide differently about."""
    return [
        decision(
            policy,
            SANS[0],
            AccessRequest(
                originating_ori=ori,
                requesting_ori=ori,
                purpose_code=code,
                operations=(operation,),
                data_classes=frozenset([DataClass(data)]),
                recipients=recipients,
                rows=rows,
            ),
            secondary,
            DAY + timedelta(days=days),
        )
        for ori, code, operation, data, recipients, rows, secondary, days in itertools.product(
            ORIS[:2], "CJ", ("link", "deidentify"), CLASSES, JOBS, (5, 15), ("", "Board", "Court"), (0, 1)
        )
    ]


@given(files, files)
@settings(max_examples=25, deadline=None)
def test_two_policies_decide_alike_exactly_if_there_is_no_change(one: bytes, two: bytes) -> None:
    old, new = Policy.load(one), Policy.load(two)
    assert not changes(old, Policy.load(one + b"# another file\n"))
    forth, back = changes(old, new), changes(new, old)
    assert [each.fact for each in forth] == [each.fact for each in back]
    assert all(a.direction != b.direction for a, b in zip(forth, back, strict=True))
    before, after = decisions(old), decisions(new)
    assert bool(forth) is (before != after)
    if any(b is not None and a is None for b, a in zip(before, after, strict=True)):
        assert any(each.direction == "granted" for each in forth)
    if any(b is None and a is not None for b, a in zip(before, after, strict=True)):
        assert any(each.direction == "withdrawn" for each in forth)


@given(files, st.data())
@settings(max_examples=50, deadline=None)
def test_a_file_that_is_damaged_grants_nothing_new(file: bytes, data: st.DataObject) -> None:
    """With a line or some bytes removed or doubled, it is refused, or grants no more than its own twin."""
    at = data.draw(st.integers(0, len(file) - 1))
    to = data.draw(st.integers(at, len(file)))
    damaged = file[:at] + data.draw(st.sampled_from([b"", file[at:to] * 2])) + file[to:]
    try:
        policy = Policy.load(damaged)
    except PolicyInvalid:
        return
    twin = PolicyTwin(damaged.decode())
    for code, operation in itertools.product("CJ", ("link", "deidentify")):
        asked = AccessRequest(
            originating_ori=ORIS[0],
            requesting_ori=ORIS[0],
            purpose_code=code,
            operations=(operation,),
            data_classes=frozenset([DataClass.CASE]),
            recipients=(A,),
        )
        expected = twin.denies(SANS[0], ORIS[0], ORIS[0], code, (operation,), ("case",), (A,), "", 0, DAY)
        assert decision(policy, SANS[0], asked, "", DAY) == expected
