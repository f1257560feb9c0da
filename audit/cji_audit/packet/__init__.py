"""The packet for an auditor: what the CJIS Security Policy requires, what this product does, and the evidence for it.

A packet is a pure function of its `Material`: the facts that were read from trails, receipts and files. `survey` reads
trails and `inputs` the files, `checks` decide over the facts, `rows` applies their results to every fragment of the
policy, and `html`, `word` and `oscal` write it down. So anyone who has a packet can repeat all of it (`verify`), and
who has the trail as well can repeat the reading.

No process of a worker imports this room.
"""
