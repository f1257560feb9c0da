"""Columns that are client-side encrypted in Azure SQL or Cosmos DB: what they are, and their keys for a worker.

* `file`: columns.toml, which describes the encrypted columns of one table.
* `encrypted_value`, `master_keys`, `opening`: column encryption keys as the database stores them, and how the agency
  opens them; `digests`: the agency's own list of them.
"""
