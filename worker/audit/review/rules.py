"""The rules of the review: what each finding means, and what to do about it. Data for the report's readers."""

from dataclasses import dataclass
from typing import Final

from worker.audit.review.model import Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """The texts of one kind of finding."""

    severity: Severity
    title: str
    why: str
    remedy: str


RULES: Final[dict[str, Rule]] = {
    "head_differs": Rule(
        "alert",
        "The trail differs from what was seen before",
        "A witness, a sink or an earlier review has another line, or more lines, than this trail: it was cut, rolled "
        "back or rewritten.",
        "Keep this trail as evidence. Find the true one, and compare both from the line named.",
    ),
    "checkpoint_differs": Rule(
        "alert",
        "A checkpoint does not fit its lines",
        "The worker signed another tree than the lines before this checkpoint form.",
        "Keep the trail as evidence, and run `cji audit verify` with a checkpoint from a witness.",
    ),
    "anchor_went_back": Rule(
        "alert",
        "An anchor is lower than the one before",
        "The vTPM's counter only increases. A lower one means another machine, or lines of another trail.",
        "Compare with the resumption that precedes it. Without one, treat it as a manipulated trail.",
    ),
    "trail_refused": Rule(
        "alert",
        "A worker refused this trail",
        "Lines were missing, or another trail had taken its place, when a worker started.",
        "Find out why lines were missing. They are listed in the receipts of their submitters.",
    ),
    "trail_resumed": Rule(
        "alert",
        "A refused trail was continued",
        "An operator decided to continue although lines may be missing.",
        "Check the explanation against a ticket, and ask submitters for the receipts of the missing time.",
    ),
    "mixed_workers": Rule(
        "alert",
        "One trail names several workers",
        "Each worker writes one trail. Lines of another worker were put into it, or the worker was renamed.",
        "Compare the change with the configuration's history.",
    ),
    "job_order": Rule(
        "alert",
        "A job ended without having been admitted, or twice",
        "The worker does not write such lines.",
        "Keep the trail as evidence, and investigate who can write to it.",
    ),
    "receipt_contradicts": Rule(
        "alert",
        "A receipt contradicts its event",
        "A receipt states the same job, worker and volumes as the event that contains it.",
        "Verify the receipt with `cji receipt verify`, and investigate the worker.",
    ),
    "receipt_sequence": Rule(
        "alert",
        "Receipts are missing, repeated or not in order",
        "Receipts of a worker are numbered without gaps. A missing number is a receipt without an event.",
        "Ask the submitters for the receipt of the missing number, and find out why its event is not in the trail.",
    ),
    "receipt_without_event": Rule(
        "alert",
        "A receipt has no event",
        "A job was done, and its line is not in the trail: lines are missing, or the receipt is forged.",
        "Verify the receipt. If it is genuine, the trail was cut: compare it with a checkpoint of a witness.",
    ),
    "receipt_copy": Rule(
        "alert",
        "Two receipts exist for one job",
        "A job has one receipt. Another one with its job id was signed elsewhere or changed.",
        "Verify both with `cji receipt verify`, and investigate the one that fails.",
    ),
    "witnesses_disagreed": Rule(
        "alert",
        "Front and cell contradicted each other",
        "One of the two processes is compromised or faulty. The job has no receipt.",
        "Take the worker out of service and investigate it before it runs further jobs.",
    ),
    "simulated": Rule(
        "alert",
        "A simulated machine was used",
        "Records on a simulated machine are not protected from its operator.",
        "Confirm that no real record was sent to it.",
    ),
    "release_policy_changed": Rule(
        "alert",
        "The release policy of a key changed",
        "Whoever changes this policy decides which machines receive the key.",
        "Compare the change with its approval, and lint the policy with `cji policy lint`.",
    ),
    "delivery_overdue": Rule(
        "alert",
        "Events were not delivered in time",
        "Events that are only on the worker can be lost with it. AU-5 requires an alert within an hour.",
        "Restore the destination, and confirm that it has every event.",
    ),
    "clock_went_back": Rule(
        "warning",
        "The clock went back",
        "Times of events, and the dates of evidence and headers, depend on the clock.",
        "Check the time source of the machine, and who may set its clock.",
    ),
    "suspect_refusals": Rule(
        "warning",
        "Refusals that can be an attack",
        "The signature, certificate, key or job id was not that of the submitter.",
        "Ask the submitter. If it cannot explain them, revoke the certificate.",
    ),
    "replayed": Rule(
        "warning",
        "A job id was used again with another header",
        "Job ids are random, so a repetition is a replay or a faulty program.",
        "Ask the submitter which of its programs sent the job.",
    ),
    "release_failed": Rule(
        "warning",
        "The vault did not release a key",
        "The key was revoked or its policy, role or version changed; jobs that ran were ended.",
        "Compare the time with the vault's log, and the change with its approval.",
    ),
    "attestation_failed": Rule(
        "warning",
        "The machine failed its attestation",
        "Firmware, boot or configuration differ from the reference values, or a PCR changed while it ran.",
        "Find the failed check in the worker's log, and confirm the change that caused it.",
    ),
    "host_conditions": Rule(
        "warning",
        "Required conditions of the machine did not hold",
        "Without them root on the machine may reach records.",
        "Find out who changed the machine, and whether jobs ran meanwhile.",
    ),
    "audit_unavailable": Rule(
        "warning",
        "The audit trail could not be written",
        "The worker admits no job without its trail.",
        "Find the cause, and give the disk enough space.",
    ),
    "mass_release_rows": Rule(
        "warning",
        "One job released a mass of rows",
        "Bulk requests must have a documented reason.",
        "Ask the agency for the reason, and keep it with this review.",
    ),
    "mass_release_chri": Rule(
        "warning",
        "One job released a mass of criminal history rows",
        "Bulk requests must have a documented reason.",
        "Ask the agency for the reason, and keep it with this review.",
    ),
    "mass_release_subjects": Rule(
        "warning",
        "One job released records of a mass of persons",
        "Bulk requests must have a documented reason.",
        "Ask the agency for the reason, and keep it with this review.",
    ),
    "mass_release_operator": Rule(
        "warning",
        "One operator released records of a mass of persons",
        "Many small jobs release as much as one large one.",
        "Ask the operator's agency for the reason, and keep it with this review.",
    ),
    "growth": Rule(
        "warning",
        "Far more was released than in earlier weeks",
        "A change of habit may be a stolen account, or data taken in bulk.",
        "Ask the agency for the reason, and keep it with this review.",
    ),
    "off_hours": Rule(
        "warning",
        "Jobs outside the agency's hours",
        "Use outside working hours needs an explanation.",
        "Ask the agency whether these operators were on duty.",
    ),
    "unattributed": Rule(
        "warning",
        "Jobs without an operator",
        "Their attribution did not open, so operator and requestor are unknown. AU-3(1) requires them.",
        "Ask the submitter for its own record of these jobs.",
    ),
    "new_secondary_recipient": Rule(
        "warning",
        "Secondary recipients for the first time",
        "Dissemination outside the agency must be permitted and recorded.",
        "Confirm that each may receive these records.",
    ),
    "new_recipient": Rule(
        "warning",
        "Recipients' keys for the first time",
        "Whoever holds the key can read the results.",
        "Confirm with the agency that each key is its own.",
    ),
    "reload_refused": Rule(
        "warning",
        "A reload was refused",
        "A file was not usable, so the former policy and lists stay in force: revocations may be missing.",
        "Correct the file named, and reload.",
    ),
    "crashed": Rule(
        "warning",
        "A worker started without having stopped",
        "A crash, a loss of power, or somebody killed it.",
        "Find the cause in the machine's journal.",
    ),
    "tail_recovered": Rule(
        "warning",
        "An unfinished line was cut off",
        "A crash or a failed write left bytes that were never acknowledged.",
        "Find the cause: a full or failing disk, or a crash.",
    ),
    "silence": Rule(
        "warning",
        "No line for a long time while a worker ran",
        "A running worker renews its key within half an hour, and records that.",
        "Find out whether the machine was suspended, or its clock was set.",
    ),
    "no_lines": Rule(
        "warning",
        "A worker wrote nothing in this week",
        "The worker did not run, or this is not its newest trail.",
        "Confirm that the worker was out of service, or fetch its newest trail.",
    ),
    "not_anchored": Rule(
        "warning",
        "Lines are not anchored",
        "Lines after the last anchor can be cut off without a trace in the vTPM.",
        "Confirm that the worker is running; it anchors every second. After a crash it anchors at its next start.",
    ),
    "no_checkpoint": Rule(
        "warning",
        "No checkpoint was made in this week",
        "Without checkpoints no witness can reveal a cut tail.",
        "Find out why the worker signed none.",
    ),
    "event_without_receipt": Rule(
        "warning",
        "Completed jobs whose receipt is not in the folder",
        "The submitter did not keep it, or did not receive it.",
        "Ask the submitter to fetch the receipt with GetReceipt, or take it from the event.",
    ),
    "unreadable_receipt": Rule(
        "warning",
        "Files that are not receipts",
        "A receipt that cannot be read proves nothing.",
        "Fetch these receipts again.",
    ),
    "too_many_names": Rule(
        "warning",
        "Too many different names to keep",
        "One submitter states more names than a review can compare, so some that are new may not be listed.",
        "Ask the submitter why it states so many.",
    ),
    "refusals": Rule(
        "notice",
        "Many refusals",
        "A program or a setting is wrong, or somebody tries what is not allowed.",
        "Run `cji policy explain` if there is a policy for it, and tell the submitter.",
    ),
    "failures": Rule(
        "notice",
        "Many jobs ended without a receipt",
        "Results were not released; the submitter has to run these jobs again.",
        "Find the stage in the lines named, and correct the cause.",
    ),
    "new_submitter": Rule(
        "notice",
        "Submitters for the first time",
        "A submitter is a program that the policy lists.",
        "Compare with the approval of the policy's change.",
    ),
    "new_operator": Rule(
        "notice",
        "Operators for the first time",
        "Every operator needs an authorisation and training of their agency.",
        "Confirm with the agency that each is authorised.",
    ),
    "new_purpose": Rule(
        "notice",
        "Purposes for the first time",
        "A purpose code states the legal ground of a request.",
        "Confirm that the agency may use it.",
    ),
    "new_operation": Rule(
        "notice",
        "Operations for the first time",
        "The agency uses the worker in a new way.",
        "Compare with the agreement of the agency.",
    ),
    "new_risk": Rule(
        "notice",
        "Accepted advisories for the first time",
        "The operator accepted a known weakness of the machine.",
        "Read the acceptance (`cji advisories show`).",
    ),
    "files_changed": Rule(
        "notice",
        "Policy, authorities or revocation lists changed",
        "They decide who may send which jobs.",
        "Compare the digests with the approved files.",
    ),
    "start_changed": Rule(
        "notice",
        "A worker started with other code, configuration or policy",
        "An update, or a change that nobody approved.",
        "Compare the digests with the approved release and files.",
    ),
    "restarted": Rule(
        "notice",
        "A worker was started",
        "Keys and resident references were dropped.",
        "Compare with planned maintenance.",
    ),
    "down": Rule(
        "notice",
        "A worker was stopped",
        "No job ran meanwhile.",
        "Compare with planned maintenance.",
    ),
    "key_expired": Rule(
        "notice",
        "A key expired or the vault was busy",
        "The worker could not renew its key in time.",
        "Check the network to the attestation provider and the vault, and its limits.",
    ),
    "release_policy_open": Rule(
        "notice",
        "The release policy of a key can be changed",
        "A policy that is not immutable can be replaced by an administrator of the vault.",
        "Make it immutable once it is final.",
    ),
    "no_host_profile": Rule(
        "notice",
        "A worker started without a host profile",
        "Root on this machine can read records through the kernel's interfaces.",
        "Use an image with the host profile.",
    ),
    "unfinished": Rule(
        "notice",
        "Jobs have no end yet",
        "They were running when the trail was read, or a crash cut them short.",
        "The next start of the worker records their ends; look again in the next review.",
    ),
    "other_workers": Rule(
        "notice",
        "Receipts of workers whose trail was not given",
        "They were not compared with events.",
        "Review these workers' trails too.",
    ),
    "unknown_kind": Rule(
        "notice",
        "Events that no rule is about",
        "They were verified and counted, not examined.",
        "Look at them with `cji audit search`.",
    ),
}
"""By name, in their order within a severity. Every one is applied in every review and listed with its result."""
