"""The error of wrong use, and messages that name what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What the user asked for cannot be done, and the message says why and what can.

    The command line prints the message alone, without a traceback, and exits with 2.
    """


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not among `allowed`: the nearest names first, then all others.

    >>> print(unknown("optimizer", "adm", ["SGD", "Adam", "AdamW"]))
    unknown optimizer 'adm': did you mean Adam or AdamW? Known: SGD, Adam, AdamW.
    """
    names = list(allowed)
    by_lower = {name.lower(): name for name in names}
    near = [by_lower[match] for match in difflib.get_close_matches(given.lower(), by_lower)]
    question = f"did you mean {' or '.join(near)}? " if near else ""
    return UsageError(f"unknown {kind} {given!r}: {question}Known: {', '.join(names) or 'none'}.")
