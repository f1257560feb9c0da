"""Tasks of jobs in parts, for the engine of this node: from Blob Storage to the front, and back.

* `messages` is the protocol of the engine's socket, `server` the socket.
* `job` derives the streams of a task from the job's header and plan; `shuffle_blob` and `published` are how they lie in
  Blob Storage; `attempt` runs a task, `finish` ends a job.

The engine gives names and gets sizes. What a task reads and writes follows from the header, which the submitter signed,
and from the plan, which a cell made: neither the engine nor this process can choose it, because cells and keyholder
derive the same names.
"""
