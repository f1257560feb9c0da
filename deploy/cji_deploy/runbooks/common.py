"""Commands, checks and steps that several runbooks have."""

from typing import Final

from cji_deploy.runbooks.steps import Check, Command, Step

__all__ = [
    "CANARY_NEEDS",
    "KEY_NEEDS",
    "RESOURCE_MANAGER",
    "SCALE_SET_NEEDS",
    "TEAM",
    "backup",
    "canary",
    "doctor",
    "exists",
    "export",
    "instances",
    "key_state",
    "refused",
    "restart_each",
    "signed_in",
    "verified_export",
]

KEY_NEEDS: Final = {"vault": "name of the vault of the master key", "key": "name of the master key"}
SCALE_SET_NEEDS: Final = {"group": "resource group", "scale_set": "name of the scale set"}
CANARY_NEEDS: Final = {
    "profile": "client.toml of a submitter that may run the canary job",
    "canary": "a file of made-up records, such as examples/deidentify/people.csv",
    "canary_spec": "job.toml of the canary job",
}
TEAM: Final = "Two people: an operator, and a second person who reads every command before it is confirmed."
RESOURCE_MANAGER: Final = "a simulation has no resource manager"
"""Why only Azure can do a step."""
_SET: Final[Command] = ("--resource-group", "{group}", "--name", "{scale_set}")


def signed_in() -> Step:
    """The first step of every runbook that uses the Azure CLI."""
    return Step(
        id="signed-in",
        title="Confirm the subscription",
        why="every later command acts on the subscription that is selected now",
        command=("az", "account", "show", "--output", "json"),
        sets="signed_in_to",
        path="id",
        verify=(
            Check(
                holds="the selected subscription is the site's",
                command=("az", "account", "show", "--output", "json"),
                path="id",
                equals="{subscription}",
            ),
        ),
        remedy="Sign in with `az login`, then `az account set --subscription ID`.",
    )


def backup() -> Step:
    """Back up the key with all its versions; the file replaces an older one."""
    return Step(
        id="backup",
        title="Back up the key",
        why="`recover` restores it in another region; a backup from before a rotation lacks the new version",
        command=(
            *("az", "keyvault", "key", "backup", "--vault-name", "{vault}", "--name", "{key}"),
            *("--file", "{key_backup}"),
        ),
        remedy="Key Vault Crypto Officer on the key is needed. The file opens in Azure's HSMs only: keep it outside of "
        "the region.",
    )


def canary(holds: str, *, within: str = "300") -> Check:
    """A sealed job of made-up records, which a worker must open, with a receipt that verifies."""
    return Check(holds=holds, command=_canary(), within=within)


def refused(*, within: str, in_a_row: int, measures: str = "", since: str = "", unreachable: bool = False) -> Check:
    """The canary job is refused because no worker has the key; if `unreachable`, no answer at all will do too."""
    return Check(
        holds=f"the canary job is not opened: {'no worker answers, or ' * unreachable}none that answers has the key",
        command=_canary(),
        statuses=(1, 4),
        matches="UNKNOWN_KEY|KEY_RELEASE_DENIED|NOT_READY" + "|UNAVAILABLE: failed to connect" * unreachable,
        within=within,
        in_a_row=in_a_row,
        measures=measures,
        since=since,
    )


def _canary() -> Command:
    names = ("--spec", "{canary_spec}", "--profile", "{profile}", "--out", "{scratch}", "--quiet")
    return ("cji", "job", "run", "{canary}", *names)


def key_state(holds: str, *, version: str, enabled: str) -> Check:
    """Whether a version of the key, by its id, is enabled."""
    return Check(
        holds=holds,
        command=("az", "keyvault", "key", "show", "--id", version, "--output", "json"),
        path="attributes.enabled",
        equals=enabled,
    )


def exists(path: str, holds: str) -> Check:
    """Whether an earlier run of this book has written the file."""
    return Check(holds=holds, command=("python", "-c", "import sys; open(sys.argv[1])", path))


def verified_export(folder: str) -> Check:
    """An export of lines of a trail that verifies with the key in a worker's evidence."""
    return Check(
        holds="the export verifies",
        command=("cji", "audit", "verify-export", folder, "--evidence", "{evidence}", "--profile", "{profile}"),
    )


def instances() -> Step:
    """Read the ids of all instances."""
    return Step(
        id="instances",
        title="List the workers",
        why="they are replaced one by one, so that the others keep serving",
        command=("az", "vmss", "list-instances", *_SET, "--output", "json"),
        sets="instances",
        path="*.instanceId",
        remedy="Compare group and scale_set with the deployment's outputs.",
    )


def restart_each(why: str) -> Step:
    """Restart the instances one by one; a canary job must be answered after each."""
    return Step(
        id="restart-each",
        title="Restart the workers, one by one",
        why=why,
        each="instances",
        command=("az", "vmss", "restart", *_SET, "--instance-ids", "{item}"),
        verify=(
            Check(
                holds="the instance runs",
                command=(
                    *("az", "vmss", "get-instance-view", *_SET),
                    *("--instance-id", "{item}", "--output", "json"),
                ),
                path="statuses.*.code",
                matches=r"PowerState/running",
                within="600",
            ),
            canary("a canary job is answered"),
        ),
        remedy="Stop here: the other workers still serve. Read the console of this one, then follow `incident`.",
    )


def export() -> Step:
    """Write what is deployed to a file."""
    return Step(
        id="export",
        title="Export what is deployed",
        why="`cji doctor --azure` compares the export with what deploy/ describes",
        command=("python", "-m", "cji_deploy.runbooks.export", "--group", "{group}", "--out", "{export}"),
        only_real=RESOURCE_MANAGER,
        remedy="The role Reader on the resource group is enough; sign in with an identity that has it.",
    )


def doctor(option: str = "") -> Step:
    """Compare the export with deploy/."""
    return Step(
        id="drift",
        title="Compare what is deployed with deploy/",
        why="a deployment that differs from the reviewed one is not the reviewed one",
        command=("cji", "doctor", "--azure", "--export", "{export}"),
        option=option,
        only_real="there is no export without a resource manager",
        remedy="Each finding has its own remedy. Correct the deployment, export again and repeat.",
    )
