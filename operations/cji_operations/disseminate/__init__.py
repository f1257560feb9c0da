"""`disseminate`: the rows and columns that a recipient may have for a purpose, and a dissemination ledger."""
