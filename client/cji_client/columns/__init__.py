"""Columns that are client-side encrypted in Azure SQL or Cosmos DB: what they are, and their keys for a worker.

* `file`: columns.toml, which describes the encrypted columns of one table.
"""
