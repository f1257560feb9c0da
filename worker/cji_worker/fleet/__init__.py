"""Jobs by reference: ciphertext in Blob Storage, a ticket for each job on a queue, any worker of the pool runs it.

* `names` has the names of blobs, `ticket` and `documents` what is in a ticket and in the small blobs.
* `store` is Blob and Queue Storage behind typed functions, with bounds.

The process `cji fleet run` (`run`) moves ciphertext between Blob Storage and the front of its own machine. It has no
key. Front and keyholder take it for hostile: it may lie about everything, and can neither sign nor open anything.
docs/fleet.md has what happens when.
"""
