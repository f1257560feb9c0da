"""Reading NIBRS submissions: specification, segments, reports and scopes; `validate` and `aggregate` share it."""
