"""Custody: the only process that holds the customer's key and the receipt-signing key.

* `custody` attests this machine and keeps `holdings`: evidence and keys, while they are fresh; `schedule` times it,
  `quotes` makes evidence for callers' nonces in between.
* `admission` decides whether a job may run; `replay` refuses a job id that was used, `pool_ledger` one
  that another worker of the pool used.
* `lifecycle` is the life of an admitted job as a pure machine; `jobs` feeds it with events, `effects` performs what
  follows, `witnesses` compares what front and cell say of it, `events` builds the audit events, `receipts` signs.
* `anchor` and `checkpoints` bind the audit trail to the vTPM's counter and to the receipt key.
* `cells` are the warm cells, `fair_queue` the jobs that wait for one; `references` are the resident references;
  `readiness` reports whether jobs are admitted.
* `refusals` keeps refusals from filling the audit trail; `token_buckets` are rates by submitter.
* `keyholder` is the main thread: one loop over the front, the zygote and the clock.

The whole heap is secret memory before the first key arrives. The main thread and the custody thread each have their
heap in the same region; there is no other thread.
"""
