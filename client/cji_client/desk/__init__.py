"""`cji desk`: pages on loopback, on which a records clerk runs sealed jobs without a terminal.

The desk is a face, as the verbs are: it reads files, prepares, seals, runs and opens by the functions that `cji job`
calls, and makes no guess, report or rule of its own but for names of columns (`names`). docs/how-to/desk.md has its
threat model. Three ideas carry it:

* `access` decides who is served, from the words of a request alone: one browser of one user, which showed a one-time
  token that no other user can read.
* Records that were dropped are in memory (`cji_client.files.memory`), results on the disk are sealed, and the user
  alone makes plain files of them.
* A page is a tree of elements of `cji_core.page`, so no value of a record becomes markup.
"""
