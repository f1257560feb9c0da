"""Custody: the only process that holds the customer's key and the receipt-signing key.

* `custody` attests this machine and keeps released keys for as long as their evidence is fresh.
* `admission` decides whether a job may run, and only then opens its data key.
* `receipts` signs the receipt of each job.
* `cells` knows which warm cells there are, `jobs` what became of every job, `readiness` whether more may come.
* `keyholder` is the main thread: one loop over the front, the zygote and the clock.

The whole heap is secret memory before the first key arrives. The main thread and the custody thread each have their
heap in the same region; there is no other thread.
"""
