"""The error of wrong use, and messages that name what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """What the user asked for cannot be done, and the message says why and what can.

    The command line prints the message alone, without a traceback, and exits with 2.
    """


#: More names than these are not listed, but the nearest of them.
_LISTED = 30


def unknown(kind: str, given: str, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not among `allowed`: the nearest names, then all if few.

    >>> print(unknown("optimizer", "adm", ["SGD", "Adam", "AdamW"]))
    unknown optimizer 'adm': did you mean Adam or AdamW? Known: SGD, Adam, AdamW.
    >>> print(unknown("word", "cat", ["catalogue", *map(str, range(100))]))
    unknown word 'cat': did you mean catalogue? (101 are known.)
    """
    names = list(allowed)
    many = len(names) > _LISTED
    near = _nearest(given.lower(), {name.lower(): name for name in names}, cutoff=0.6)
    if many and not near:
        near = _nearest(given.lower(), {name.lower(): name for name in names}, cutoff=0.0)
    question = f"did you mean {' or '.join(near)}? " if near else ""
    known = f"({len(names)} are known.)" if many else f"Known: {', '.join(names) or 'none'}."
    return UsageError(f"unknown {kind} {given!r}: {question}{known}")


def _nearest(given: str, names: dict[str, str], cutoff: float) -> list[str]:
    """Up to three names: those that contain what was given, then those of like spelling."""
    containing = [name for name in names if given and given in name]
    near = difflib.get_close_matches(given, names, cutoff=cutoff)
    return [names[name] for name in dict.fromkeys([*containing, *near])][:3]
