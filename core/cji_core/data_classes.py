"""The classes of data that a column may hold; the policy grants operations on them."""

import enum


class DataClass(enum.Enum):
    """The kind of Criminal Justice Information in a column (CJIS Security Policy 5.9.5, section 4.1)."""

    BIOMETRIC = "biometric"
    IDENTITY_HISTORY = "identity history"
    BIOGRAPHIC = "biographic"
    PROPERTY = "property"
    CASE = "case"
    CONTROL_NUMBER = "control number"
    NONE = "none"
