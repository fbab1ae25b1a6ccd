"""Submissions are material for the tests: nothing may import them outside of a sandbox."""

collect_ignore = ["hostile", "submissions"]
