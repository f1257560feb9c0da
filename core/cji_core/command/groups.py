"""The groups of verbs: their help, and the order in which their verbs are listed. Verbs come from entry points."""

from typing import Final

ORDER: Final = {
    "": (
        *("serve", "fleet", "status", "reload", "renew", "record", "console", "probe", "audit", "log", "witness"),
        *("desk", "init", "job", "result", "receipt"),
        *("worker", "evidence", "advisories", "crl", "key", "ledger", "link", "policy", "provider", "schema", "clear"),
        *("columns", "manifest", "release", "image", "bundle", "door", "doctor", "support", "completion", "man"),
    ),
    "audit": (
        *("day", "verify", "search", "prove", "verify-proof", "checkpoint", "export", "verify-export", "resume"),
        *("prune", "hold", "release", "reconcile", "deliver", "review", "witness", "packet", "sign-packet"),
    ),
    "columns": ("describe", "digest", "rewrap", "check"),
    "bundle": ("make", "sign", "key", "verify", "show", "apply"),
    "evidence": ("show", "verify", "collect", "import", "pcrs", "reference-values", "stamp"),
    "fleet": ("run",),
    "job": ("run", "seal", "send", "open", "submit", "status", "fetch", "cancel", "explain"),
    "release": ("verify", "list", "fetch", "publish", "withdraw"),
    "policy": ("check", "explain", "diff", "test", "sign", "signer", "build", "lint", "hash"),
}
"""By the name of the group, "" for the command itself. A verb that is not in it is listed after those that are."""

HELP: Final = {
    "": """Confidential worker for Criminal Justice Information.

\b
A submitter's first job:
  cji init                                 # five questions: profile, keys, a job with made-up records
  cji doctor --client --profile client.toml    # what this machine lacks
  cji key new-signing signing.key          # give the public key to the worker's operator
  cji key new-recipient recipient.key      # opens results; the job spec names the public key
  cji desk --profile client.toml           # pages on this computer, for people without a terminal
  cji key project study-17 study-17.json   # lets tokens of one project join across jobs
  cji job run people.csv --spec job.toml --profile client.toml --out result/
  cji job seal people.csv --job people.job --spec job.toml --profile client.toml    # `send` and `open`: elsewhere
  cji job submit people.csv --job people.job --spec job.toml --profile client.toml    # to a pool, by reference
  cji columns describe catalogue.json      # columns that are encrypted in Azure SQL or Cosmos DB
  cji ledger find results/ --sid GA0001    # who received records about this person?
  cji link labels new result/              # a file for a clerk's decisions on pairs
  cji link evaluate result/ --labels labels.csv    # how good was a job with link?
  cji link train result/ --labels labels.csv       # a model for the next one

\b
An operator's first start:
  cji policy lint policy.json              # which machines may receive the key?
  cji provider policy show URL             # under which policy are tokens issued?
  cji advisories show                      # what is open on which machines, and who accepted it?
  cji door config --config worker.toml     # for nginx, in front of the worker
  cji policy check policy.toml             # who may do what, and until when?
  cji release verify cji-worker-0.2.0 --policy release-policy.toml    # is it a release, and still in force?
  cji bundle make config/ --serial 1 -o pool.bundle    # how a worker of the image gets its configuration
  cji doctor --config worker.toml
  cji doctor --azure --export export.json  # does a deployment match deploy/?
  cji serve --config worker.toml
  cji fleet run --config worker.toml       # jobs by reference, beside `serve`
  cji status --config worker.toml
  cji console --config console.toml        # a page and metrics, on this machine only
  cji probe                                # readiness, for Azure's load balancer
  cji reload --config worker.toml          # policy, authorities and revocation lists, without a restart
  cji support bundle --trail audit.log --out support.json    # facts for those who help, without records and names
  cji renew --config worker.toml           # attest and request the keys now, after a change to them

\b
An auditor's copy of a trail:
  cji audit verify audit.log --checkpoint kept.checkpoint --evidence evidence.json
  cji audit search audit.log --kind job_refused --since 2026-11-23
  cji audit prove audit.log --job 6b1f0c1e2d3a4b5c6d7e8f9001122334 -o proof.json

\b
Exit status: 0 success, 1 refused, 2 unusable input, 3 verification failed, 4 try again later.
""",
    "audit": "Verify, search, deliver and review audit trails, and prove their lines.",
    "bundle": """Make, sign, verify and apply configuration bundles.

A bundle is one file with worker.toml, policy and certificates, which a machine of the image takes at its start if a key
in the image signed it. It has no private key: the machine makes its own TLS key, and the CMK is released to it. With a
secret, seeds/NAME.seed or log/submitter.token, it must be a blob.

\b
At the desk, once:
  cji key new-signing bundle.key                     # or a P-384 key in Key Vault
  cji bundle key bundle.key > bundle-keys/me.pem     # into the image: /usr/share/cji/bundle-keys
For each change:
  cji bundle make config/ --serial 8 -o pool.bundle
  cji bundle sign pool.bundle --key bundle.key
  cji bundle verify pool.bundle --keys bundle-keys/
  cji bundle witnesses-lost --help                   # if no quorum of the log's old witnesses is left
  # deploy it as user data (up to 64 KiB, no secret) or as a blob, then restart the machines one by one
On the machine, by cji-bundle.service:
  cji bundle apply

\b
Exit status: 0 success, 2 unusable input, 3 do not trust the bundle, 4 try again later.
""",
    "enroll": "Approve the requests of attested machines for the certificates of their TLS doors, docs/bundle.md.",
    "evidence": "Read and appraise a machine's evidence.",
    "fleet": "Bring jobs by reference to the worker of this machine; docs/fleet.md explains how a pool works.",
    "image": "What is in an image of the worker, and what is known about it.",
    "job": "Send sealed jobs to a worker, or to a pool of workers by reference.",
    "release": """Software releases in their log: verify, fetch, publish and withdraw them, docs/releases.md.""",
    "policy": """Check, explain and sign the policy of a worker, and write the policies that decide who gets its key.

\b
The policy of a worker:                 check  explain  diff  test  sign  signer
Release policies, attestation policies: build  lint  hash
""",
}
