"""The process of one job, which ends with it.

* `zygote` is started before any key exists and forks warm cells.
* `sandbox` takes rights away from a cell before it receives a job.
* `job` is the one job: sealed segments in, sealed segments out, a summary at the end.

A cell has a control channel to the keyholder, a data channel and a ring to the front, and nothing else: no network,
no files, no other process. It knows nothing of gRPC.
"""
