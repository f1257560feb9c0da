"""NIBRS submissions as records: flat segments, and reports in XML. Pure: no rule, no finding."""
