"""Take agency data and access from a device that is lost, stolen or leaves the agency.

Source: Microsoft Graph v1.0, managedDevice: wipe, retire; user: revokeSignInSessions.
"""

from typing import Final

from cji_deploy.runbooks.common import signed_in
from cji_deploy.runbooks.steps import Check, Command, Runbook, Step

_NO_GRAPH: Final = "a simulation has no Microsoft Graph"
_DEVICE: Final = "{graph}/v1.0/deviceManagement/managedDevices/{device}"
_SHOWN: Final[Command] = (
    *("az", "rest", "--method", "get", "--url"),
    f"{_DEVICE}?$select=id,serialNumber,deviceName,managementState,isEncrypted",
)


def _asked(state: str, *, within: str = "0") -> Check:
    return Check(
        holds="Intune has asked the device, or the device has done it",
        command=_SHOWN,
        path="managementState",
        matches=f"^{state}(Pending|Issued)$",
        within=within,
    )


BOOK: Final = Runbook(
    name="lost-device",
    title="Wipe a device",
    when="A computer, phone or tablet of somebody who has access to CJI is lost or stolen, or the person leaves.",
    who="Anybody with the Intune role Help Desk Operator, and a User Administrator for the sessions. A second person "
    "compares the serial number.",
    prerequisites=(
        "the device is enrolled in Intune; without that, only its sessions and keys can be taken",
        "the person who reports it names the serial number, from the inventory and not from the portal",
    ),
    needs={
        "subscription": "id of the subscription",
        "graph": "https://graph.microsoft.com, or that of Azure Government",
        "device": "id of the device in Intune",
        "serial": "serial number of the device, from the agency's inventory",
        "user": "object id of the person",
        "case": "number of the case",
        "export": "file for the record of the device",
    },
    options={
        "personal": "remove the agency's apps and data only: a device that belongs to the person",
    },
    steps=(
        signed_in(),
        Step(
            id="device",
            title="Identify the device",
            why="a wipe cannot be undone: the serial number must be the one that was reported",
            command=_SHOWN,
            saves="{export}",
            verify=(
                Check(
                    holds="it has the serial number of the inventory",
                    command=_SHOWN,
                    path="serialNumber",
                    equals="{serial}",
                ),
            ),
            remedy="Another serial number is another device: look for it in Intune by its number, and begin again.",
            only_real=_NO_GRAPH,
        ),
        Step(
            id="sessions",
            title="End all sessions of the person",
            why="a token that the device has would work until it ends",
            command=(*("az", "rest", "--method", "post", "--url"), "{graph}/v1.0/users/{user}/revokeSignInSessions"),
            remedy="User Administrator is needed. Disable the account if it cannot be done.",
            only_real=_NO_GRAPH,
        ),
        Step(
            id="wipe",
            title="Wipe the device",
            why="what is on it must not be read by the person who has it now",
            unless="personal",
            command=(
                *("az", "rest", "--method", "post", "--url", f"{_DEVICE}/wipe"),
                *("--headers", "Content-Type=application/json"),
                *("--body", '{"keepEnrollmentData": false, "keepUserData": false}'),
            ),
            done=_asked("wipe"),
            verify=(_asked("wipe", within="120"),),
            remedy="A device that is off is wiped when it is next online. If it never is, its encryption protects it: "
            "the record shows whether Intune last saw it encrypted (`isEncrypted`).",
            only_real=_NO_GRAPH,
        ),
        Step(
            id="retire",
            title="Remove the agency's data",
            why="a device that belongs to the person keeps what is the person's",
            option="personal",
            command=("az", "rest", "--method", "post", "--url", f"{_DEVICE}/retire"),
            done=_asked("retire"),
            verify=(_asked("retire", within="120"),),
            remedy="App protection removes the data by itself after its days offline. Block the sign-in until then.",
            only_real=_NO_GRAPH,
        ),
        Step(
            id="keys",
            title="Replace the keys that were on it",
            why="a signing key, a recipient's key or a client certificate is the right to send jobs or to open results",
            person="For case {case}: take the person's signing keys and certificates out of the workers' policy and "
            "reload it, put the client certificate on the revocation list, and give recipients new keys "
            "(docs/policy.md).",
            remedy="In doubt, replace all keys of the person: a job takes a new key at once.",
        ),
    ),
    verification="The record has the device, and Intune has asked it; no job of a replaced key is in the trail after "
    "the reload (`cji audit search TRAIL --kind job_admitted`).",
    undo="A wipe cannot be undone. A device that is found is enrolled again, as a new one, and gets new keys.",
    simulated="the decision on keys; the steps of Graph are printed",
)
