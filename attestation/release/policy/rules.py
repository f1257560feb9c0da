"""The rules: what each one means, why it matters and what to do. docs/release-policy.md has the same table.

RP0x who may speak, RP1x what each way to the key must pin, RP2x claims that do not do what they seem to,
RP3x the key, RP4x grammar. An id is never used for another rule.
"""

from typing import Final

from attestation.errors import AttestationError, Fault
from attestation.findings import Finding, Rule, Severity, table

__all__ = ["RULES", "Finding", "PolicyError", "Rule", "Severity"]


class PolicyError(AttestationError):
    """A release policy that is refused; `check` is the rule's id, `where` the place in the document."""

    def __init__(self, check: str, *, where: str = "") -> None:
        super().__init__(Fault.RELEASE_INVALID, check=check)
        self.where = where

    @property
    def remedy(self) -> str:
        """What the key's owner can do."""
        rule = RULES[self.check]
        return f"Release policy: {rule.title}. {rule.remedy}"


_E, _W = Severity.ERROR, Severity.WARNING
_BUILD: Final = "`cji policy build` writes a policy that has it."


RULES: Final = table(
    Rule(
        id="RP01",
        severity=_E,
        title="shared attestation provider",
        why="Microsoft's shared providers judge every customer's machines under a policy that is not yours and that "
        "you cannot pin; a change of it changes who gets the key.",
        remedy="Create a provider of your own in the same region and name it.",
    ),
    Rule(
        id="RP02",
        severity=_E,
        title="authority is no attestation provider",
        why="Whoever answers at the authority's address publishes the keys that sign tokens, so it can release the key "
        "to any machine.",
        remedy="Write the provider's address: https, a host of Azure Attestation, no port, no path, no query. "
        "`--authority` fills in the placeholder of a template.",
    ),
    Rule(
        id="RP03",
        severity=_E,
        title="provider outside the pinned regions",
        why="Criminal justice information stays in the United States, and so does what decides about its key.",
        remedy="Name a provider in a US region of this cloud.",
    ),
    Rule(
        id="RP04",
        severity=_E,
        title="another authority beside the expected one",
        why="The owner of a provider writes its policy and can have it state any claim, so each authority alone can "
        "release the key.",
        remedy="Leave one authority: the provider that the workers are configured with.",
    ),
    Rule(
        id="RP05",
        severity=_W,
        title="authority ends in a slash",
        why="Tokens name their issuer without it. The service forgives it today; nothing documents that.",
        remedy="Write the address without the slash.",
    ),
    Rule(
        id="RP10",
        severity=_E,
        title="compliance only",
        why="This is the policy of Microsoft's samples. It says that a machine is a confidential VM, and nothing of "
        "debuggers, secure boot or whose it is: any such VM of any customer satisfies it.",
        remedy="Add the claims that the other findings name. `cji policy build` writes them all.",
    ),
    Rule(
        id="RP11",
        severity=_E,
        title="not only confidential VMs",
        why="Ordinary VMs with Trusted Launch get tokens of type azurevm too. Only the claims under "
        "x-ms-isolation-tee say that memory is encrypted, and by what.",
        remedy=f"Pin it in every way to the key. {_BUILD}",
    ),
    Rule(
        id="RP12",
        severity=_E,
        title="debuggable hardware gets the key",
        why="The host can read the memory of a guest that was started with the debug bit.",
        remedy=f"Pin the hardware's debug claim to false. {_BUILD}",
    ),
    Rule(
        id="RP13",
        severity=_E,
        title="migratable guest gets the key",
        why="A migration agent can carry the guest's memory to another machine.",
        remedy=f"Pin the hardware's migration claim to false. {_BUILD}",
    ),
    Rule(
        id="RP14",
        severity=_E,
        title="privilege level not pinned",
        why="Azure's paravisor makes its report at VMPL 0. A report from a lower level is made by somebody else.",
        remedy=f"Pin it to the number 0. {_BUILD}",
    ),
    Rule(
        id="RP15",
        severity=_E,
        title="secure boot not required",
        why="Without secure boot any kernel can ask for the key.",
        remedy=f"Pin it to true, at the top of the token. {_BUILD}",
    ),
    Rule(
        id="RP16",
        severity=_E,
        title="debugging or test signing of the boot chain allowed",
        why="A boot chain with a debugger or test signatures runs what its operator likes, in spite of secure boot.",
        remedy=f"Pin it to false, at the top of the token. {_BUILD}",
    ),
    Rule(
        id="RP17",
        severity=_W,
        title="machine or image not pinned",
        why="The hardware's measurement covers firmware only. Any image with secure boot passes, so the role that may "
        "release the key decides which machines get it.",
        remedy="Pin x-ms-azurevm-attested-pcr-values.pcrN of your image, or x-ms-azurevm-vmid, and renew the policy "
        "with each image. Or accept it, and guard the role.",
    ),
    Rule(
        id="RP20",
        severity=_E,
        title="claim at the wrong level",
        why="Tokens for a release are those of /attest/AzureGuest: facts of hardware stand under x-ms-isolation-tee, "
        "facts of the boot at the top. A claim that is not there is false, or comes from another kind of token, whose "
        "key the guest cannot use.",
        remedy="Write the claim at the level that the finding names.",
    ),
    Rule(
        id="RP21",
        severity=_W,
        title="unknown claim",
        why="A misspelt claim is never there, so its condition is never true.",
        remedy="Compare it with a token. Claims of your provider's own policy begin with x-ms-policy.",
    ),
    Rule(
        id="RP22",
        severity=_E,
        title="value of the wrong type",
        why="Values are compared with their type; only booleans and their names are taken for each other.",
        remedy="Write booleans as true and false, numbers without quotes, everything else in quotes.",
    ),
    Rule(
        id="RP23",
        severity=_W,
        title="contradiction",
        why="No token has two values of one claim, so nobody gets the key in this way.",
        remedy="Say with anyOf what is meant as an alternative.",
    ),
    Rule(
        id="RP30",
        severity=_W,
        title="policy can be changed",
        why="Whoever administers the key can replace this policy with a weak one.",
        remedy="Set it immutable once it has proved itself, and pin its digest as policy_sha256 of the key.",
    ),
    Rule(
        id="RP40",
        severity=_E,
        title="not a JSON object",
        why="What cannot be read cannot be judged.",
        remedy="Write one JSON object in UTF-8, at most 16 KiB and 16 levels deep, without NaN.",
    ),
    Rule(
        id="RP41",
        severity=_E,
        title="member written twice",
        why="Two readers take different ones of the two.",
        remedy="Write each member once.",
    ),
    Rule(
        id="RP42",
        severity=_E,
        title="unknown or missing member",
        why="Grammar 1.0.0 has exactly: version and anyOf; authority with one of allOf and anyOf; claim with equals.",
        remedy="Compare it with the output of `cji policy build`.",
    ),
    Rule(
        id="RP43",
        severity=_E,
        title="unknown operator",
        why="equals is the only operator that the service takes.",
        remedy="Say it with equals, and with anyOf for several values.",
    ),
    Rule(
        id="RP44",
        severity=_E,
        title="empty anyOf or allOf",
        why="An empty allOf is true of every token, and an empty anyOf of none.",
        remedy="Name at least one authority and one condition.",
    ),
    Rule(
        id="RP45",
        severity=_E,
        title="wrong JSON type or form",
        why="Authorities and claims are texts, claims are names joined by dots, values are texts, numbers or booleans.",
        remedy="Write it in this form.",
    ),
    Rule(
        id="RP46",
        severity=_E,
        title="unknown version of the grammar",
        why="These rules are for version 1.0.0.",
        remedy='Write "version": "1.0.0".',
    ),
    Rule(
        id="RP47",
        severity=_E,
        title="too many ways to the key",
        why="More than 256 alternatives of one authority are more than a person reviews.",
        remedy="Split the policy over several keys, or drop alternatives.",
    ),
)
