"""The algorithms, one file each: the formula, the rule, and the class that declares it."""
