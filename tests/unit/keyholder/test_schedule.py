"""When a worker attests, releases and looks again."""

import random

from cji_worker.keyholder.schedule import Schedule, Step

LIFETIME, CHECK = 3600.0, 30.0
A, B = "key-a", "key-b"


def latest(low: float, high: float) -> float:
    """The longest wait that a draw may give."""
    return high


def schedule(*kek_ids: str) -> Schedule:
    return Schedule(kek_ids or (A,), lifetime=LIFETIME, check_every=CHECK, uniform=latest)


def started(*kek_ids: str) -> Schedule:
    """Attested and all keys released, at 0."""
    found = schedule(*kek_ids)
    found.attested(0.0, began=0.0)
    for kek_id in kek_ids or (A,):
        found.released(kek_id)
    return found


def test_at_the_start_everything_is_due_at_once() -> None:
    found = schedule(A, B)
    assert (found.next().what, found.next().at) == ("attest", float("-inf"))
    found.attested(0.0, began=0.0)
    for kek_id in (A, B):
        assert found.next() == Step(what="release", at=float("-inf"), kek_id=kek_id)
        found.released(kek_id)
    assert found.next() == Step(what="check", at=CHECK)
    found.checked(CHECK)
    assert found.next() == Step(what="check", at=2 * CHECK)


def test_all_keys_are_owed_again_before_half_of_the_lifetime() -> None:
    found = started(A, B)
    for look in range(1, 60):
        found.checked(look * CHECK)
    assert found.next() == Step(what="attest", at=0.45 * LIFETIME)
    found.attested(0.45 * LIFETIME, began=0.45 * LIFETIME)
    assert [found.next().kek_id, found.next().what] == [A, "release"]


def test_o02_renewals_of_a_fleet_spread_over_a_fifth_of_the_time() -> None:
    draw, times = random.Random(1), []
    for _ in range(1000):
        found = Schedule((A,), lifetime=LIFETIME, check_every=LIFETIME, uniform=draw.uniform)
        found.attested(0.0, began=0.0)
        found.released(A)
        times.append(found.next().at)
    assert 0.25 * LIFETIME <= min(times) < 0.27 * LIFETIME
    assert 0.43 * LIFETIME < max(times) <= 0.45 * LIFETIME


def test_a_throttled_key_is_requested_under_the_same_attestation() -> None:
    found = schedule()
    found.attested(0.0, began=0.0)
    found.not_released(A, 1.0, "throttled", retry_after=10.0)
    assert found.next() == Step(what="release", at=21.0, kek_id=A)


def test_one_key_waits_for_its_own_failure_only() -> None:
    found = schedule(A, B)
    found.attested(0.0, began=0.0)
    found.not_released(A, 0.0, "denied")
    assert found.next().kek_id == B
    found.released(B)
    assert found.next() == Step(what="release", at=10.0, kek_id=A)


def test_a_new_attestation_does_not_shorten_a_wait() -> None:
    found = started(A, B)
    found.attested(1620.0, began=1620.0)
    found.released(B)
    found.not_released(A, 1620.0, "throttled", retry_after=300.0)
    found.begin_again(1630.0)
    found.attested(1630.0, began=1630.0)
    assert found.next().kek_id == B
    found.released(B)
    asked = [found.next()]
    while asked[-1].what == "check":
        found.checked(asked[-1].at)
        asked.append(found.next())
    assert asked[-1].kek_id == A or asked[-1].what == "attest"
    assert asked[-1].at > 1920.0


def test_an_old_attestation_releases_nothing() -> None:
    found = schedule()
    found.attested(2.0, began=0.0)
    found.not_released(A, 3.0, "throttled", retry_after=LIFETIME / 8)
    asked = [found.next()]
    while asked[-1].what == "check":
        found.checked(asked[-1].at)
        asked.append(found.next())
    assert asked[-1] == Step(what="attest", at=3.0 + LIFETIME / 8 + 10.0)


def test_a_token_that_is_too_old_releases_nothing() -> None:
    found = Schedule((A,), lifetime=LIFETIME, check_every=LIFETIME, token_age=60.0, uniform=latest)
    found.attested(2.0, began=0.0)
    found.not_released(A, 3.0, "throttled", retry_after=40.0)
    assert found.next() == Step(what="release", at=53.0, kek_id=A)
    found.not_released(A, 53.0, "throttled", retry_after=1.0)
    assert found.next().what == "attest"


def test_a_key_lives_from_its_evidence_on() -> None:
    found = schedule(A, B)
    found.attested(5.0, began=2.0)
    assert found.released(A) == 2.0 + LIFETIME
    found.attested(300.0, began=290.0)
    assert found.released(B) == 290.0 + LIFETIME


def test_a_throttle_holds_all_keys_of_a_vault_and_no_others() -> None:
    one, two, other = "https://a/keys/k/1", "https://a/keys/k/2", "https://b/keys/k/1"
    found = schedule(one, two, other)
    found.attested(0.0, began=0.0)
    found.not_released(one, 0.0, "throttled", retry_after=5.0)
    assert found.next().kek_id == other
    found.released(other)
    assert found.next() == Step(what="release", at=15.0, kek_id=one)


def test_a_key_that_fails_does_not_take_the_turns_of_others() -> None:
    one, two = "https://a/keys/k/1", "https://a/keys/k/2"
    found = schedule(one, two)
    found.attested(0.0, began=0.0)
    found.not_released(one, 0.0, "failed")
    assert found.next() == Step(what="release", at=1.0, kek_id=two)


def test_the_key_with_the_least_life_left_comes_first() -> None:
    one, two = "https://a/keys/k/1", "https://a/keys/k/2"
    found = schedule(one, two)
    found.attested(0.0, began=0.0)
    found.released(two)
    found.attested(400.0, began=400.0)
    found.released(one)
    found.attested(1620.0, began=1620.0)
    assert found.next().kek_id == two
    found.not_released(two, 1620.0, "denied")
    found.attested(1700.0, began=1700.0)
    assert found.next().kek_id == one


def test_a_denied_key_does_not_hurry_the_renewal_of_another() -> None:
    one, two = "https://a/keys/k/1", "https://a/keys/k/2"
    found = schedule(one, two)
    found.attested(0.0, began=0.0)
    found.released(one)
    found.released(two)
    found.attested(900.0, began=900.0)
    found.not_released(one, 900.0, "denied")
    found.not_released(two, 900.0, "throttled")
    window = (LIFETIME - 900.0 - LIFETIME / 10) ** 2 / LIFETIME
    asked = [found.next()]
    while asked[-1].what == "check":
        found.checked(asked[-1].at)
        asked.append(found.next())
    assert asked[-1] == Step(what="attest", at=901.0 + window)


def test_a_throttle_of_a_denied_key_counts_for_that_key_only() -> None:
    one, two = "https://a/keys/k/1", "https://a/keys/k/2"
    found = schedule(one, two)
    found.attested(0.0, began=0.0)
    found.not_released(one, 0.0, "denied")
    found.not_released(one, 10.0, "throttled", retry_after=5.0)
    assert found.next() == Step(what="release", at=15.0, kek_id=two)
    found.released(two)
    assert found.next() == Step(what="release", at=25.0, kek_id=one)


def test_attesting_again_is_granted_once_until_the_key_is_there() -> None:
    found = schedule()
    found.attested(0.0, began=0.0)
    assert found.attest_again(A)
    assert (found.next().what, found.next().at) == ("attest", float("-inf"))
    found.attested(1.0, began=1.0)
    assert not found.attest_again(A)
    found.not_released(A, 1.0, "denied")
    assert found.next() == Step(what="attest", at=11.0)
    found.attested(11.0, began=11.0)
    found.released(A)
    found.attested(1000.0, began=1000.0)
    assert found.attest_again(A)


def test_a_forced_attestation_releases_keys_and_still_renews() -> None:
    found = started(A, B)
    found.attested(0.45 * LIFETIME, began=0.45 * LIFETIME)
    found.released(B)
    assert found.attest_again(A)
    found.attested(0.5 * LIFETIME, began=0.5 * LIFETIME)
    assert found.next().kek_id == A
    found.released(A)
    while (step := found.next()).what == "check":
        found.checked(step.at)
    assert step == Step(what="attest", at=0.9 * LIFETIME)


def test_f09_pcrs_are_checked_while_attestation_for_a_key_fails() -> None:
    found = started(A, B)
    found.attested(1620.0, began=1620.0)
    assert found.attest_again(A)
    found.not_attested(1621.0, retry_after=300.0)
    assert found.next() == Step(what="check", at=1650.0)


def test_a_restart_attests_at_once_but_not_within_a_back_off() -> None:
    found = started()
    found.begin_again(50.0)
    assert found.next() == Step(what="attest", at=50.0)
    found.not_attested(50.0, retry_after=20.0)
    found.begin_again(51.0)
    assert found.next() == Step(what="attest", at=71.0)
    found.attested(71.0, began=71.0)
    assert found.next().what == "release"
    found.begin_again(72.0)
    found.not_attested(72.0)
    assert found.next() == Step(what="attest", at=73.0)  # an attestation in between: the first window again


def test_a_renewal_on_demand_attests_and_is_paced() -> None:
    found = started(A, B)
    found.renew(2.0)
    assert found.next() == Step(what="attest", at=10.0)
    found.attested(10.5, began=10.0)
    assert {found.next().kek_id, found.next().what} == {A, "release"}
    found.released(A)
    found.released(B)
    assert found.next().what == "check"
    found.renew(500.0)
    assert found.next() == Step(what="check", at=40.5)
    found.checked(500.0)
    assert found.next() == Step(what="attest", at=500.0)


def test_a_renewal_on_demand_waits_for_a_vault_that_throttles() -> None:
    found = started(A)
    found.attested(1000.0, began=1000.0)
    found.not_released(A, 1000.0, "denied")
    found.checked(2000.0)
    found.renew(1010.0)
    assert found.next() == Step(what="attest", at=1010.0)
    throttled = started(A)
    throttled.attested(1000.0, began=1000.0)
    throttled.not_released(A, 1000.0, "throttled", retry_after=30.0)
    throttled.checked(5000.0)
    before = throttled.next()
    throttled.renew(1010.0)
    assert throttled.next() == before
    assert before.at > 1030.0


def test_a_renewal_on_demand_delays_no_first_key() -> None:
    found = schedule(A)
    found.attested(0.0, began=0.0)
    found.renew(1.0)
    assert found.next() == Step(what="release", at=float("-inf"), kek_id=A)


def test_evidence_for_others_comes_after_every_due_release() -> None:
    found = Schedule((A, B), lifetime=LIFETIME, check_every=CHECK, shows=True, uniform=latest)
    found.attested(1.0, began=0.0)
    for kek_id in (A, B):
        assert (found.next().what, found.next().kek_id) == ("release", kek_id)
        found.released(kek_id)
    assert found.next() == Step(what="show", at=1.0)
    found.shown()
    assert found.next() == Step(what="check", at=1.0 + CHECK)


def test_evidence_for_others_comes_after_the_first_release() -> None:
    """Also while no release is due: the vault that failed is waited for first."""
    found = Schedule((A,), lifetime=LIFETIME, check_every=CHECK, shows=True, uniform=latest)
    found.attested(0.0, began=0.0)
    found.not_released(A, 0.0)
    assert (found.next().what, found.next().at > 0.0) == ("release", True)
    found.released(A)
    assert found.next() == Step(what="show", at=0.0)


def test_evidence_for_others_waits_for_no_key_that_is_denied() -> None:
    found = Schedule((A, B), lifetime=LIFETIME, check_every=CHECK, shows=True, uniform=latest)
    found.attested(0.0, began=0.0)
    found.not_released(A, 0.0, "denied")
    assert found.next().kek_id == B  # nothing is released yet
    found.released(B)
    assert found.next().what == "show"
    found.begin_again(0.0)
    assert found.next().what == "attest"


def test_evidence_that_fails_is_tried_ever_more_seldom() -> None:
    found = Schedule((A,), lifetime=LIFETIME, check_every=2 * LIFETIME, shows=True, uniform=latest)
    found.attested(0.0, began=0.0)
    found.released(A)
    now, waits = 0.0, list[float]()
    while (step := found.next()).what == "show":
        waits.append(step.at - now)
        now = step.at
        found.not_shown(now)
    assert waits == [0.0, 4.0, 16.0, 64.0, 256.0]
    assert step == Step(what="attest", at=0.45 * LIFETIME)  # the attestation is too old to release keys
    found.attested(step.at, began=step.at)
    assert found.next().what == "release"
    found.released(A)
    assert found.next() == Step(what="show", at=step.at)
