"""Key sets: when they are fetched, for how long they hold, and which keys they have."""

import base64
import json
import time
import warnings
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cji_attestation import AZURE_US, AZURE_USGOV, AttestationError, Fault
from cji_core.errors import Reason
from cji_core.jose import MAX_RSA_BITS
from cji_simulator.encoding import public_jwk
from cji_simulator.entra import TokenOrder
from cji_simulator.faults import Kind, Service
from cji_simulator.simulation import Simulation
from cji_worker.keyholder.entra import KeySets, TokenRefused
from cji_worker.keyholder.entra.key_sets import COOL_DOWN, MAX_AGE, MAX_BYTES, MAX_KEYS, REFRESH, parse_key_set
from tests.support.entra_tools import OTHER, TENANT
from tests.support.rsa_keys import rsa_key

KEYS = [rsa_key(number).public_key() for number in range(2)]
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"


def entry(kid: str, key: rsa.RSAPublicKey = KEYS[0], **changes: Any) -> dict[str, Any]:
    members = {"use": "sig", "kid": kid, **public_jwk(key), **changes}
    return {name: value for name, value in members.items() if value is not None}


def document(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


class Authority:
    """Serves what it is told to, and counts."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.kids: tuple[str, ...] = ("a",)
        self.fault: Exception | None = None
        self.fetched: list[tuple[float, str]] = []
        self.sets = KeySets(AZURE_US, monotonic=lambda: self.now, fetch=self._fetch)

    def _fetch(self, tenant: str) -> bytes:
        self.fetched.append((self.now, tenant))
        if self.fault is not None:
            raise self.fault
        return document(*map(entry, self.kids))

    def found(self, kid: str, tenant: str = TENANT) -> str | None:
        """The check that refuses a kid, None if it has a key."""
        try:
            self.sets.key(tenant, kid)
        except TokenRefused as error:
            return error.check
        return None


@pytest.fixture
def at() -> Authority:
    found = Authority()
    found.sets.follow(frozenset({TENANT}))
    return found


def test_without_a_set_the_worker_is_not_ready_for_a_token(at: Authority) -> None:
    with pytest.raises(TokenRefused) as caught:
        at.sets.key(TENANT, "a")
    assert (caught.value.check, caught.value.reason) == ("keys", Reason.NOT_READY)
    at.sets.step()
    assert at.found("a") is None
    assert at.found("a", OTHER) == "keys"


def test_a_set_is_fetched_again_every_hour(at: Authority) -> None:
    at.sets.step()
    at.now += REFRESH - 1
    at.sets.step()
    assert len(at.fetched) == 1
    at.now += 1
    at.sets.step()
    assert len(at.fetched) == 2


def test_a_thousand_unknown_kids_are_one_fetch_a_minute(at: Authority) -> None:
    at.sets.step()
    at.kids = ("b",)
    start = at.now
    for second in range(3600):
        at.now = start + second / 10
        assert at.found("nobody's") == "kid"
        at.sets.step()
    spent = at.now - start
    assert len(at.fetched) - 1 <= spent / COOL_DOWN + 1
    assert len(at.fetched) > 3  # and there is such a fetch


def test_the_thread_waits_for_tenants_and_between_fetches() -> None:
    at = Authority()
    looks: list[float] = []

    def clock() -> float:
        looks.append(at.now)
        return at.now

    at.sets = KeySets(AZURE_US, monotonic=clock, fetch=at._fetch)
    at.sets.start()
    time.sleep(0.1)
    at.sets.follow(frozenset({TENANT}))
    until = time.monotonic() + 20
    while at.found("a") is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert at.found("a") is None
    looks.clear()
    time.sleep(0.2)
    assert len(looks) < 20
    assert len(at.fetched) == 1


def test_a_new_set_replaces_the_old_one(at: Authority) -> None:
    at.sets.step()
    at.kids = ("b",)
    assert at.found("b") == "kid"
    assert at.found("a") is None
    at.now += COOL_DOWN
    at.sets.step()
    assert (at.found("b"), at.found("a")) == (None, "kid")


@pytest.mark.parametrize("fault", [AttestationError(Fault.KEYS_UNAVAILABLE, check="x"), ZeroDivisionError()])
def test_an_outage_is_survived_for_a_day(at: Authority, fault: Exception) -> None:
    at.sets.step()
    start, at.fault = at.now, fault
    while at.now <= start + MAX_AGE:
        assert at.found("a") is None
        at.now += COOL_DOWN
        at.sets.step()
    assert at.found("a") == "keys"
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(at.fetched)]
    assert min(gaps) >= COOL_DOWN
    at.fault = None
    at.now += COOL_DOWN
    at.sets.step()
    assert at.found("a") is None


def test_retry_after_is_honoured(at: Authority) -> None:
    at.fault = AttestationError(Fault.KEYS_UNAVAILABLE, check="x", retry_after=300.0)
    at.sets.step()
    at.now += 299
    at.sets.step()
    assert len(at.fetched) == 1
    at.now += 1
    at.sets.step()
    assert len(at.fetched) == 2


def test_an_unknown_kid_is_looked_for_after_a_minute(at: Authority) -> None:
    at.sets.step()
    at.now += COOL_DOWN - 1
    assert at.found("new") == "kid"
    at.now += 1
    at.sets.step()
    assert len(at.fetched) == 2


def test_an_unknown_kid_does_not_shorten_the_wait(at: Authority) -> None:
    at.sets.step()
    at.now, at.fault = at.now + REFRESH, AttestationError(Fault.KEYS_UNAVAILABLE, check="x", retry_after=300.0)
    at.sets.step()
    at.now += 299
    assert at.found("new") == "kid"
    at.sets.step()
    assert len(at.fetched) == 2
    at.now += 1
    at.sets.step()
    assert len(at.fetched) == 3


def test_tenants_come_and_go_with_the_policy(at: Authority) -> None:
    at.sets.step()
    at.sets.follow(frozenset({TENANT, OTHER}))
    at.sets.step()
    assert [tenant for _, tenant in at.fetched] == [TENANT, OTHER]
    at.sets.follow(frozenset({OTHER}))
    assert (at.found("a"), at.found("a", OTHER)) == ("keys", None)


class Machine(RuleBasedStateMachine):
    """Against a model: what is usable is the last document that was fetched, if that was within a day."""

    def __init__(self) -> None:
        super().__init__()
        self.at = Authority()
        self.at.sets.follow(frozenset({TENANT}))
        self.model: tuple[float, tuple[str, ...]] | None = None

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.0, 60.0, 3600.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.at.now += seconds

    @rule(kids=st.sets(st.sampled_from("abc"), min_size=1))
    def publish(self, kids: set[str]) -> None:
        self.at.kids = tuple(sorted(kids))

    @rule(down=st.booleans())
    def outage(self, down: bool) -> None:
        self.at.fault = AttestationError(Fault.KEYS_UNAVAILABLE, check="x") if down else None

    @rule(kid=st.sampled_from("abcd"))
    def use(self, kid: str) -> None:
        fresh = self.model is not None and self.at.now - self.model[0] <= MAX_AGE
        expected = "keys" if not fresh else None if self.model and kid in self.model[1] else "kid"
        assert self.at.found(kid) == expected

    @rule()
    def step(self) -> None:
        before = len(self.at.fetched)
        self.at.sets.step()
        if len(self.at.fetched) > before and self.at.fault is None:
            self.model = (self.at.now, self.at.kids)

    @invariant()
    def never_twice_in_a_minute(self) -> None:
        times = [when for when, _ in self.at.fetched]
        assert all(later - earlier >= COOL_DOWN for earlier, later in pairwise(times))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# ---------------------------------------------------------------- documents


def kids(data: bytes) -> list[str]:
    return sorted(parse_key_set(data, authority="https://login.microsoftonline.com", tenant=TENANT))


def test_the_issuer_of_a_key_counts() -> None:
    template = "https://login.microsoftonline.com/{tenantid}/v2.0"
    found = kids(
        document(
            entry("none"),
            entry("template", issuer=template),
            entry("own", issuer=ISSUER),
            entry("consumers", issuer=ISSUER.replace(TENANT, OTHER)),
            entry("other cloud", issuer=template.replace(".com", ".us")),
            entry("number", issuer=7),
        )
    )
    assert found == ["none", "own", "template"]


def test_keys_that_are_no_signature_keys_are_left_out() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small = rsa.generate_private_key(65537, 1024).public_key()
        found = kids(
            document(
                entry("good"),
                entry("enc", use="enc"),
                entry("PSS", alg="PS256"),
                entry("wrap", key_ops=["wrapKey"]),
                {"use": "sig", "kid": "EC", **public_jwk(curve)},
                entry("small", small),
                entry("", KEYS[0]),
                entry("x" * 257),
                entry("no n", n=None),
                entry("no e", e=None),
                entry("e=3", e="Aw"),
                entry("long", n="A" * 3000),
                entry("zeros", n="A" * 2000 + public_jwk(KEYS[0])["n"]),
                entry("long e", e="AAAAAAAAAQAB"),
                entry("large", rsa.RSAPublicNumbers(65537, (1 << MAX_RSA_BITS) + 1).public_key()),
                entry("kind", kty="oct"),
                {**entry("number"), "kid": 7},
                entry("bad", n="!"),
                {"kid": "empty"},
                "text",
                None,
            )
        )
    assert found == ["good"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        document(),
        document(entry("a"), entry("a", KEYS[1])),
        document(*[entry(str(n)) for n in range(MAX_KEYS + 1)]),
        document(entry("a"))[:-1] + b',"keys":[]}',
        document(entry("a")) + b" " * MAX_BYTES,
    ],
)
def test_a_document_that_is_not_sound_is_refused_whole(data: bytes) -> None:
    with pytest.raises(AttestationError) as caught:
        kids(data)
    assert caught.value.fault is Fault.KEYS_UNAVAILABLE


def test_the_same_key_twice_is_one() -> None:
    assert kids(document(entry("a"), entry("a"))) == ["a"]


def test_each_cloud_has_its_authority() -> None:
    assert KeySets(AZURE_US).authority.base == "https://login.microsoftonline.com"
    assert KeySets(AZURE_USGOV).authority.base == "https://login.microsoftonline.us"


# ---------------------------------------------------------------- over HTTPS


def test_a_rotation_at_the_authority_and_its_outages(simulation: Simulation) -> None:
    now = 0.0
    sets = KeySets(simulation.trust, monotonic=lambda: now)
    sets.follow(frozenset({TENANT}))

    def has(kid: str) -> str | None:
        try:
            sets.key(TENANT, kid)
        except TokenRefused as error:
            return error.check
        return None

    for kind, options in (
        (Kind.DOWN, {}),
        (Kind.STATUS, {"status": 503}),
        (Kind.MALFORMED, {}),
        (Kind.STATUS, {"status": 404}),
    ):
        simulation.fault(Service.ENTRA, kind, **options, times=1)  # type: ignore[arg-type]
        sets.step()
        assert has("any") == "keys"
        now += COOL_DOWN
    simulation.fault(Service.ENTRA, Kind.STATUS, status=503, seconds=7, times=1)
    with pytest.raises(AttestationError) as caught:
        sets.fetch(TENANT)
    assert caught.value.retry_after == 7
    sets.step()
    old = _kid(simulation)
    assert has(old) is None
    simulation.rotate_entra_keys()
    new = _kid(simulation)
    assert has(new) == "kid"
    now += COOL_DOWN
    sets.step()
    assert (has(new), has(old)) == (None, "kid")


def _kid(simulation: Simulation) -> str:
    order = TokenOrder(tenant=TENANT, client=OTHER, audience="x", roles=(), certificate_sha256="00" * 32)
    head = simulation.entra_token(order).split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])
