"""Keys and values for block ciphers."""

import string

from hypothesis import strategies as st

KEY = bytes(range(32))
ALPHABET = string.digits + string.ascii_uppercase
value = (
    st.none() | st.text(ALPHABET, max_size=34) | st.text("0123456789", min_size=5, max_size=33) | st.text(max_size=8)
)
