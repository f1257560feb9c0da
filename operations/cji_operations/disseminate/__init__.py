"""`disseminate`: the rows and columns that a recipient may have for a purpose, and a ledger of their subjects."""

from cji_operations.disseminate.parameters import Disseminate

__all__ = ["Disseminate"]
