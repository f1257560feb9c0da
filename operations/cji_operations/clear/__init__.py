"""`clear`: the convictions that the law of a state relieves, by a table of rules; never by a fact that is missing."""
