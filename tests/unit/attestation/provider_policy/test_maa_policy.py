"""Attestation policies: grammar, build, hash, and every rule of the linter with a policy that breaks it alone."""

import tomllib

import pytest

from cji_attestation import Fault
from cji_attestation.provider_policy import RULES, MaaPolicyError, build, lint, parse_policy, policy_hash
from cji_attestation.provider_policy.build import REQUIRED
from cji_attestation.provider_policy.grammar import Call, Comparison, Reference
from cji_attestation.provider_policy.parser import MAX_CALLS, MAX_POLICY_BYTES
from tests.support.paths import ROOT

STRONG = build().decode()
SERVICE = 'issuer=="AttestationService"'
DEFAULT = b"version= 1.0;authorizationrules{=> permit();};"


def ids(text: str | bytes) -> set[str]:
    return {finding.rule.id for finding in lint(parse_policy(text.encode() if isinstance(text, str) else text))}


def issuing(rules: str, *, version: str = "1.2") -> str:
    """The strong policy with issuance rules."""
    return STRONG.replace("version= 1.0", f"version={version}").replace("issuancerules\n{", f"issuancerules\n{{{rules}")


def configured(rules: str) -> str:
    return STRONG.replace("version= 1.0;", f"version=1.1; configurationrules {{ {rules} }};")


def also(rule: str) -> str:
    """The strong policy with a further authorization rule."""
    return STRONG.replace("=> permit();", f"=> permit();\n{rule}")


def without(claim: str) -> str:
    lines = [line for line in STRONG.splitlines() if f'"{claim}"' not in line]
    return "\n".join(lines).replace("{\n    &&", "{\n   ")


def test_what_build_writes_has_no_finding() -> None:
    assert lint(parse_policy(build())) == ()
    assert build() == build()


def test_the_example_configuration_pins_the_shipped_policy() -> None:
    shipped = (ROOT / "deploy" / "policy" / "attestation-policy.txt").read_bytes()
    example = tomllib.loads((ROOT / "deploy" / "worker.example.toml").read_text())
    assert example["attestation"]["reference_values"]["maa_policy_hashes"] == [policy_hash(shipped)]


def test_microsofts_default_has_its_hash_and_permits_everything() -> None:
    """Real tokens of SevSnpVm and TdxVm of October 2026 name this text by this hash."""
    assert policy_hash(DEFAULT) == "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"
    assert ids(DEFAULT) == {"MP10"}
    assert policy_hash(DEFAULT + b"\n") != policy_hash(DEFAULT)


CLAIMS = "default-securebootkeysvalidated debuggersdisabled signingdisabled dbvalidated dbxvalidated"
GUEST_DEFAULT = (
    "version= 1.0;\nauthorizationrules\n{\n"
    + "".join(f'    [type=="x-ms-azurevm-{claim}", value==false] => deny();\n' for claim in CLAIMS.split())
    + '    [type=="secureboot", value==false] => deny();\n    => permit();\n};\nissuancerules\n{\n};'
)


def test_denying_the_bad_is_not_demanding_the_good() -> None:
    """The default of AzureGuest: where a claim is missing, nothing denies."""
    assert ids(GUEST_DEFAULT) == {"MP10", "MP15"}
    # but for the two that are false of a machine whose db has the agency's key
    foreign = {"default-securebootkeysvalidated", "dbvalidated"}
    demanded = {claim.removeprefix("x-ms-azurevm-") for claim in REQUIRED}
    assert (set(CLAIMS.split()) | {"secureboot"}) - foreign == demanded


@pytest.mark.parametrize("claim", REQUIRED)
def test_without_any_one_condition_its_own_rule_speaks(claim: str) -> None:
    assert ids(without(claim)) == {REQUIRED[claim]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value==true", "value==false"),
        ("value==true", "value!=false"),
        ("value==true", 'value=="true"'),
        ("value==true", "value==1"),
        ("value==true", "value==true, value==false"),
        ('[type=="secureboot"', '[type!="secureboot"'),
        ('[type=="secureboot"', '![type=="secureboot"'),
        (SERVICE, 'issuer=="CustomClaim"'),
        (SERVICE, 'issuer!="AttestationService"'),
    ],
)
def test_a_condition_on_something_else_does_not_count(old: str, new: str) -> None:
    weak = STRONG.replace("1.0", "1.2").replace(old, new, 1)
    assert ids(weak) - {"MP15"} == {"MP11"}


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("MP10", also("=> permit();")),
        ("MP10", also("=> deny(); => permit();")),
        ("MP15", STRONG.replace(f", {SERVICE}", "", 1)),
        ("MP15", also('[type=="x", value>=3] => deny();')),
        ("MP16", STRONG.replace("permit", "deny")),
        ("MP16", "version=1.0; authorizationrules { };"),
        ("MP20", issuing('=> issue(type="x-ms-compliance-status", value="azure-compliant-cvm");')),
        ("MP20", issuing('=> issue(type="SecureBoot", value=true);')),
        ("MP20", issuing('=> issue(type="tdx_mrtd", value="00");')),
        ("MP20", issuing('=> add(type="attester_tcb_status", value="UpToDate");')),
        ("MP20", issuing('=> issue(type=AppendString("x-ms-", "ver"), value="1.0");')),
        ("MP20", also('=> add(type="secureboot", value=true);')),
        ("MP21", issuing('c:[type=="model", issuer=="CustomClaim"] => issue(claim=c);')),
        ("MP21", issuing('c:[type=="model", issuer=="CustomClaim"] => issue(type="safe", value=c.value);')),
        (
            "MP21",
            issuing(f'c:[type=="x-ms-runtime", {SERVICE}] => issue(type="safe", value=JmesPath(c.value, "keys"));'),
        ),
        (
            "MP21",
            issuing(f'c:[type=="events", {SERVICE}] => issue(type="a", value=JmesPath(c.value, "Client-Payload.a"));'),
        ),
        ("MP22", configured('=> issueproperty(type="require_valid_aik_cert", value=false);')),
        ("MP22", configured('=> issueproperty(type="require_valid_aik_cert", value="true");')),
        ("MP22", configured('=> issueproperty(type="required_pcr_mask", value=15);')),
        ("MP22", configured('=> issueproperty(type="required_pcr_mask", value=true);')),
        ("MP23", issuing('=> issueproperty(type="report_validity_in_minutes", value=481);')),
        ("MP23", issuing('=> issueproperty(type="report_validity_in_minutes", value="60");')),
        ("MP24", configured('=> issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault");')),
        ("MP24", issuing('c:[type=="a", issuer=="AttestationService"] => issueproperty(claim=c);')),
    ],
)
def test_each_weakness_is_found_by_its_own_rule_alone(rule: str, text: str) -> None:
    assert ids(text) == {rule}


@pytest.mark.parametrize(
    "text",
    [
        also('[type=="x-ms-azurevm-vmid", value!="0", issuer=="AttestationService"] => deny();'),
        issuing(f'c:[type=="secureboot", {SERVICE}] => issue(type="booted", value=c.value);'),
        issuing(f'c:[type=="secureboot", {SERVICE}] => issue(type="off", value=NegateBool(c.value));'),
        issuing(f'c:[type=="secureboot", {SERVICE}] => issue(claim=c);'),
        issuing('![type=="a", issuer=="AttestationPolicy"] => issue(type="level", value=100, valueType="Integer");'),
        issuing('=> issueproperty(type="report_validity_in_minutes", value=60);'),
        configured('=> issueproperty(type="required_pcr_mask", value=255);'),
        configured('=> issueproperty(type="require_valid_aik_cert", value=true);'),
    ],
)
def test_what_is_no_weakness(text: str) -> None:
    assert ids(text) == set()


@pytest.mark.parametrize("name", ["x-ms-a", "TDX_a", "maa-a", "aas-a", "policy_a", "$a"])
def test_names_of_the_service_by_their_beginning(name: str) -> None:
    assert ids(issuing(f'=> issue(type="{name}", value=1);')) == {"MP20"}
    assert ids(issuing(f'=> issue(type="a{name}", value=1);')) == set()


@pytest.mark.parametrize(
    "name",
    [
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "nonce", "cnf"),
        *("secureboot", "rp_data", "ver", "tee", "attester_tcb_status", "dbgstat", "eat_profile", "intuse"),
    ],
)
def test_names_of_the_service(name: str) -> None:
    for verb in ("issue", "add"):
        assert ids(issuing(f'=> {verb}(type="{name}", value=1);')) == {"MP20"}
    assert ids(issuing(f'=> issue(type="{name}2", value=1);')) == set()


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">="])
def test_numbers_are_compared_by_their_order(operator: str) -> None:
    rule = also(f'[type=="x", value{operator}3, {SERVICE}] => deny();')
    assert ids(rule) == set()
    assert [test.operator for test in parse_policy(rule.encode()).authorization[-1].conditions[0].tests] == [
        "==",
        operator,
        "==",
    ]


@pytest.mark.parametrize("name", ["x-ms-client-payload", "ClientPayload", "x-ms-runtime", "x-ms-inittime"])
def test_claims_of_the_caller(name: str) -> None:
    assert ids(issuing(f'c:[type=="{name}", {SERVICE}] => issue(type="a", value=c.value);')) == {"MP21"}


def test_one_weak_permission_is_enough_and_its_place_is_named() -> None:
    weak = also(f'[type=="secureboot", value==true, {SERVICE}] => permit();')
    found = lint(parse_policy(weak.encode()))
    assert {finding.where for finding in found} == {("authorizationrules 2",)}
    assert {finding.rule.id for finding in found} == {"MP12", "MP13", "MP14"}
    levels = [finding.rule.severity for finding in lint(parse_policy(GUEST_DEFAULT.encode()))]
    assert levels == sorted(levels)


def rule(text: str, *, version: str = "1.2") -> str:
    return f"version={version}; authorizationrules {{ {text} }};"


def nested(depth: int) -> str:
    value = "NegateBool(" * depth + "true" + ")" * depth
    return f'version=1.2; authorizationrules {{ =>permit(); }}; issuancerules {{ => issue(type="a", value={value}); }};'


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("MP40", b"\xff"),
        ("MP40", b" " * (MAX_POLICY_BYTES + 1)),
        ("MP41", ""),
        ("MP41", "version"),
        ("MP41", "version=1.0"),
        ("MP41", "version=1.0; authorizationrules { => permit(); }"),
        ("MP41", "version=1.0; authorizationrules { => permit() };"),
        ("MP41", "version=1.0; authorizationrules { permit(); };"),
        ("MP41", "version=1.0; authorizationrules { => permit(); }; else"),
        ("MP41", "version=1.0; authorizationrules { => permit(1); };"),
        ("MP41", "version=1.0; authorizationrules { => allow(); };"),
        ("MP41", "version=1.0; authorizationrules { => permit(); # note\n };"),
        ("MP41", rule('c:[type="secureBootEnabled"] => permit();')),
        ("MP41", rule('[type=="a" value==true] => permit();')),
        ("MP41", rule('[type=="a"] || [type=="b"] => permit();')),
        ("MP41", rule('[type=="a\n"] => permit();')),
        ("MP41", rule('[type=="\\n"] => permit();')),
        ("MP41", rule("[type=='a'] => permit();")),
        ("MP41", rule("[value==-1] => permit();")),
        ("MP41", rule("[value==c] => permit();")),
        ("MP41", rule('=> add(type="a", value=);')),
        ("MP42", "version=1.3; authorizationrules { => permit(); };"),
        ("MP42", "version=1; authorizationrules { => permit(); };"),
        ("MP42", "version=;"),
        ("MP43", "version=1.0;"),
        ("MP43", "version=1.0; issuancerules {};"),
        ("MP43", "version=1.0; authorizationrules {}; authorizationrules {};"),
        ("MP43", "version=1.0; authorizationrules {}; issuancerules {}; authorizationrules {};"),
        ("MP43", "version=1.1; authorizationrules {}; configurationrules {};"),
        ("MP45", rule('=> issue(type="a", value=1);')),
        ("MP45", "version=1.0; authorizationrules {}; issuancerules { => permit(); };"),
        ("MP45", "version=1.1; configurationrules { => deny(); }; authorizationrules {};"),
        ("MP45", rule("=> add(value=1);")),
        ("MP45", rule('=> add(type="a");')),
        ("MP45", rule('=> add(type="a", type="b", value=1);')),
        ("MP45", rule('=> add(type="a", value=1, issuer="AttestationService");')),
        ("MP45", rule('[kind=="a"] => permit();')),
        ("MP45", rule("[] => permit();")),
        ("MP45", rule("[type==1] => permit();")),
        ("MP45", rule('[type>"a"] => permit();')),
        ("MP45", rule('c:[type=="a"] && [type>c.type] => permit();')),
        ("MP45", rule('[value>"a"] => permit();')),
        ("MP45", rule("[value>=true] => permit();")),
        ("MP45", rule('c:[type=="a"] && [value==c.kind] => permit();')),
        ("MP46", "version=1.0; configurationrules {}; authorizationrules {};"),
        ("MP46", rule('![type=="a"] => permit();', version="1.1")),
        ("MP46", rule("[value==NegateBool(true)] => permit();", version="1.1")),
        ("MP46", nested(MAX_CALLS + 1)),
        ("MP47", rule('!c:[type=="a"] => permit();')),
        ("MP47", rule('c:[type=="a"] && c:[type=="b"] => permit();')),
        ("MP47", rule("[value==c.value] => permit();")),
        ("MP47", rule("c:[value==c.value] => permit();")),
        ("MP47", rule("=> add(claim=c);")),
        ("MP47", rule('c:[type=="a"] => permit(); => add(claim=c);')),
        ("MP47", rule("[value==Negate(true)] => permit();")),
        ("MP47", rule("[value==NegateBool(true, false)] => permit();")),
    ],
)
def test_outside_the_grammar(number: str, text: str | bytes) -> None:
    with pytest.raises(MaaPolicyError) as caught:
        parse_policy(text.encode() if isinstance(text, str) else text)
    assert (caught.value.check, caught.value.fault) == (number, Fault.CONFIG_INVALID)
    assert RULES[number].remedy in caught.value.remedy


def test_the_place_is_named() -> None:
    with pytest.raises(MaaPolicyError) as caught:
        parse_policy(b'version=1.0;\nauthorizationrules\n{\n  // a note\n  [type="a"] => permit();\n};\n')
    assert caught.value.where == "line 5, column 8"
    assert str(caught.value).startswith("CONFIG_INVALID at MP41: Attestation policy: outside the grammar.")


def test_what_is_read_is_what_was_written() -> None:
    text = r"""version= 1.2; configurationrules{ => issueproperty(type = "required_pcr_mask", value = 15); };
        authorizationrules { => permit(); };
        issuancerules {
          c:[type == "events", issuer=="AttestationService"] && ![type=="old"] && d:[value!=c.value, value<7]
            => add(type = "a\"\\b", value = AppendString(c.value, JmesPath(d.type, "x")), valueType="String");
          e:[type=="z"] => issue(claim = e); };"""
    policy = parse_policy(text.encode())
    assert (policy.version, len(policy.configuration), len(policy.authorization)) == ("1.2", 1, 1)
    assert policy.configuration[0].action.assigned == {"type": "required_pcr_mask", "value": 15}
    first, second = policy.issuance
    assert [(one.name, one.absent) for one in first.conditions] == [("c", False), (None, True), ("d", False)]
    assert first.conditions[2].tests[1] == Comparison(property="value", operator="<", operand=7)
    assert first.conditions[2].tests[0].operand == Reference(name="c", property="value")
    assert first.action.assigned["type"] == 'a"\\b'
    called = first.action.assigned["value"]
    assert isinstance(called, Call)
    assert called.arguments[1] == Call(function="JmesPath", arguments=(Reference(name="d", property="type"), "x"))
    assert (second.action.verb, second.action.claim, second.where) == ("issue", "e", "issuancerules 2")
    assert parse_policy(nested(MAX_CALLS).encode())


def test_what_another_claim_says_is_no_literal() -> None:
    text = rule('c:[type=="a"] && [type==c.value, issuer==AppendString("a", "b"), value==7] => permit();')
    (found,) = parse_policy(text.encode()).authorization
    assert [found.conditions[1].equals(prop) for prop in ("type", "issuer", "value")] == [None, None, 7]
    assert parse_policy(rule('c:[type=="a"] && [value<c.value] => permit();').encode())


def test_every_rule_is_documented_with_its_severity() -> None:
    page = (ROOT / "docs" / "release-policy.md").read_text()
    for one in RULES.values():
        assert f"| {one.id} | {one.severity} | {one.title} |" in page
