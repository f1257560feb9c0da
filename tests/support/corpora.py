"""Columns of public linkage corpora, under the names that `person/1` has for them."""

from typing import Final

__all__ = ["FEBRL"]

FEBRL: Final = {
    "given_name": "first",
    "surname": "last",
    "street_number": "street_number",
    "address_1": "address_1",
    "address_2": "address_2",
    "suburb": "suburb",
    "postcode": "postcode",
    "state": "state",
    "date_of_birth": "DOB",
    "soc_sec_id": "SOC",
}
