"""Judge a trusted text without a process of its own, which saves importing torch."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from myoptim.course.check import Settings, Verdict, judge
from myoptim.course.exercise import SUBMISSION, accepted, exercise, fits
from myoptim.course.probes import HYPER_PARAMETERS, bank
from myoptim.course.sandbox import Outcome


@contextlib.contextmanager
def as_in_a_process() -> Iterator[None]:
    """What the process of a submission has: float64, and nobody hears warnings."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(before)


def outcome(text: str, optimizer: str, seed: int) -> Outcome:
    namespace: dict[str, Any] = {"__name__": "submission"}
    exec(compile(text, f"{SUBMISSION}test>", "exec"), namespace)
    cls = namespace[optimizer if optimizer in namespace else "RMSProp"]
    offer = accepted(cls, HYPER_PARAMETERS[optimizer])
    names = offer["names"]
    with as_in_a_process():
        records = {
            probe.name: exercise(cls, probe, names, watch=probe.kind == "plain")
            for probe in bank(optimizer, seed).probes
            if fits(probe, names)
        }
    return Outcome(names, offer["defaults"], records)


def verdict(text: str, optimizer: str, seed: int = 0, settings: Settings | None = None) -> Verdict:
    settings = settings or Settings()
    return judge(outcome(text, optimizer, seed), "test.py", optimizer, settings, seed)
