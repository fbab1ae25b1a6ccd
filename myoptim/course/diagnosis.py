"""Which mistake explains what a submission did.

A submission's records are compared with those of the reference, and where they differ, with those
of every mistake of the catalogue, run on the same probes. A mistake that gives the same trace is
the diagnosis; if none does, two together may; if no two do, the submission's buffers tell in which
moment the trace begins to go wrong.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from myoptim.course.exercise import Probe, Record, described, exercise, play
from myoptim.course.mistakes import (
    CATALOGUE,
    NAMES_WHERE_NUMBERS_RAISE,
    RULE,
    Form,
    Mistake,
    build,
    edited,
    load,
    source,
)

TOLERANCE = 1e-5
"""Largest error, relative to 1 + |expected|, of a right submission.

In float64 right ones of every style stay below 1e-14, one that computes in float32 below 1e-6; the
nearest wrong rule of the catalogue is 5e-3 away."""

SECONDS_FOR_PAIRS = 4.0
"""How long to look for two mistakes that explain a trace together."""

TRACELESS = ("delegates", "no-no-grad")
"""Mistakes that are told by other means than their trace, which is that of any crash."""

MOMENTS = {
    "momentum_buffer": "the momentum buffer",
    "sum": "the sum of squares",
    "square_avg": "the average of squares",
    "grad_avg": "the average of gradients",
    "exp_avg": "the first moment",
    "exp_avg_sq": "the second moment",
    "max_exp_avg_sq": "the maximum of the second moment",
}


@dataclass(frozen=True)
class Candidate:
    """A solution with some edits made: one or two mistakes, or accepted dialects, or none."""

    optimizer: str
    edits: Form = ()
    ids: tuple[str, ...] = ()

    def also(self, mistake: Mistake, edits: Form) -> "Candidate":
        """This one with another mistake made as well."""
        return Candidate(self.optimizer, self.edits + edits, (*self.ids, mistake.id))

    @cached_property
    def text(self) -> str | None:
        """Its source, or None where the edits exclude each other."""
        return edited(source(self.optimizer), self.edits)

    @cached_property
    def cls(self) -> type[Any]:
        """Its class."""
        assert self.text is not None
        # There are thousands of pairs: too many to remember.
        return (load if len(self.ids) < 2 else build)(self.text, self.optimizer)


def with_mistake(base: Candidate, mistakes: Iterable[Mistake]) -> Iterator[Candidate]:
    """`base` with each mistake that can be made in it, in each form."""
    for mistake in mistakes:
        if base.optimizer in mistake.optimizers and mistake.id not in (*base.ids, *TRACELESS):
            for edits in mistake.forms:
                candidate = base.also(mistake, edits)
                if candidate.text is not None:
                    yield candidate


def close(got: float, expected: float) -> bool:
    """Whether a value is right; NaN and the infinities equal only themselves."""
    if math.isnan(expected) or math.isinf(expected):
        return got == expected or (math.isnan(got) and math.isnan(expected))
    return abs(got - expected) <= TOLERANCE * (1 + abs(expected))


@dataclass(frozen=True)
class Divergence:
    """The first place where a record leaves the expected one. Steps and parameters count from 1."""

    probe: str
    step: int
    parameter: int
    element: int
    got: float
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.probe}: step {self.step}, parameter {self.parameter}, element {self.element}: "
            f"{self.got:.9g}, expected {self.expected:.9g}"
        )


def first_divergence(
    record: Record, candidate: Candidate, probe: Probe, names: dict[str, Any]
) -> Divergence | str | None:
    """Where a record leaves what the candidate does, or how it ended otherwise; None if it agrees.

    The candidate is run only as far as the two agree. Where the record ends with an exception, it
    agrees with a candidate that raises there too, or computes something infinite or NaN there: in
    Python numbers 1/0 raises, in tensors it does not.
    """
    expected = Record()
    run = play(candidate.cls, probe, names, expected, observe=False)
    for step, got in enumerate(record.steps):
        try:
            next(run)
        except StopIteration:
            return f"{probe.name}: more than the {step} steps there are"
        except Exception as error:
            return f"{probe.name}: no {type(error).__name__} at step {step + 1}"
        divergence = _in_step(got, expected.steps[step], probe, step)
        if divergence is not None:
            return divergence
    return _end(record, run, expected, probe)


def _end(record: Record, run: Iterator[None], expected: Record, probe: Probe) -> str | None:
    """Whether a record and the run that it agrees with so far end alike."""
    step = len(record.steps)
    if record.error is None:
        return None if next(run, "over") == "over" else f"{probe.name}: only {step} steps"
    raised = f"{probe.name}: {described(record.error)} at step {step + 1}"
    try:
        if next(run, "over") == "over":
            return raised
    except Exception as error:
        return None if type(error).__name__ == record.error["type"] else raised
    numbers = [value for values in expected.steps[step] for value in values]
    arithmetic = record.error["type"] in ("ZeroDivisionError", "ValueError", "OverflowError")
    return None if arithmetic and not all(map(math.isfinite, numbers)) else raised


def _in_step(
    got: list[list[float]], expected: list[list[float]], probe: Probe, step: int
) -> Divergence | None:
    for parameter, (values, right) in enumerate(zip(got, expected, strict=True), 1):
        for element, (value, should) in enumerate(zip(values, right, strict=True), 1):
            if not close(value, should):
                return Divergence(probe.name, step + 1, parameter, element, value, should)
    return None


@dataclass(frozen=True)
class Diagnosis:
    """What explains a trace that is not the reference's.

    Attributes:
        ids: the mistakes: one; or the candidates if they cannot be told apart by what the
            submission offers; or, if `together`, two made at once; or none.
        together: all of `ids` are made, not one of them.
        hidden: mistakes that would change nothing beside those: they could be there as well.
        begins: where an unknown mistake begins, in words.
    """

    ids: tuple[str, ...] = ()
    together: bool = False
    hidden: tuple[str, ...] = ()
    begins: str = ""

    def __str__(self) -> str:
        if not self.ids:
            return f"unknown, but it begins in {self.begins}" if self.begins else "unknown"
        text = (" and " if self.together else " or ").join(self.ids)
        return f"at least {text}" if self.hidden else text


class Examination:
    """A submission's records, and what agrees with them.

    Args:
        records: by the name of the probe.
        names: the hyper-parameters that its constructor takes.
    """

    def __init__(self, records: dict[str, Record], names: Iterable[str]) -> None:
        self.records = records
        # What the submission does not take is left to its default in our classes too.
        self.names: dict[str, Any] = {name: name for name in names}

    def run(self, probes: Iterable[Probe]) -> list[Probe]:
        """Those of the probes that the submission was put through."""
        return [
            probe
            for probe in probes
            if probe.name in self.records and self.records[probe.name].skipped is None
        ]

    def divergence(self, candidate: Candidate, probes: Iterable[Probe]) -> Divergence | str | None:
        """The first place where the submission leaves what the candidate does."""
        for probe in self.run(probes):
            found = first_divergence(self.records[probe.name], candidate, probe, self.names)
            if found is not None:
                return found
        return None

    def explains(self, candidate: Candidate, probes: Iterable[Probe]) -> bool:
        """Whether the candidate does all that the submission did."""
        return self.divergence(candidate, probes) is None

    def explained_by(
        self, candidates: Iterable[Candidate], probes: Sequence[Probe]
    ) -> list[Candidate]:
        """The candidates that explain the submission, the first form of each."""
        found: dict[tuple[str, ...], Candidate] = {}
        for candidate in candidates:
            if candidate.ids not in found and self.explains(candidate, probes):
                found[candidate.ids] = candidate
        return list(found.values())


def diagnose(
    examination: Examination,
    base: Candidate,
    probes: Sequence[Probe],
    others: Sequence[Probe],
    *,
    pairs: bool = True,
) -> tuple[Diagnosis, Candidate | None]:
    """Find what explains a submission that differs from `base` on `probes`.

    Args:
        others: further probes, which tell apart mistakes that coincide on `probes`.
        pairs: look for two mistakes together too, if no single one explains it.

    Returns:
        The diagnosis, and a candidate that does what the submission does, if there is one.
    """
    found = examination.explained_by(with_mistake(base, CATALOGUE.values()), probes)
    if len(found) > 1:
        found = examination.explained_by(found, others) or found
    if len(found) > 1:
        found = _by_exception(examination, found, probes)
    if found:
        certain = len(found) == 1 and CATALOGUE[found[0].ids[-1]] in RULE
        hidden = _hidden(examination, base, found[0], probes) if certain else ()
        return Diagnosis(tuple(c.ids[-1] for c in found), hidden=hidden), found[0]
    pair = _pair(examination, base, probes) if pairs else None
    if pair is not None:
        return Diagnosis(tuple(dict.fromkeys(pair.ids[len(base.ids) :])), together=True), pair
    return Diagnosis(begins=_begins(examination, base, probes)), None


def _by_exception(
    examination: Examination, found: list[Candidate], probes: Sequence[Probe]
) -> list[Candidate]:
    """Those that explain the type of exception too, where it tells them apart."""
    errors = [examination.records[probe.name].error for probe in examination.run(probes)]
    types = {error["type"] for error in errors if error is not None}
    ids = {name for kind in types for name in NAMES_WHERE_NUMBERS_RAISE.get(kind, ())}
    return [candidate for candidate in found if candidate.ids[-1] in ids] or found


def _pair(examination: Examination, base: Candidate, probes: Sequence[Probe]) -> Candidate | None:
    """Two mistakes of the rule that explain the submission together, the commonest forms first."""
    deadline = time.monotonic() + SECONDS_FOR_PAIRS
    singles = [
        (rank, candidate)
        for mistake in RULE
        for rank, candidate in enumerate(with_mistake(base, (mistake,)))
    ]
    pairs = [(a + b, one, two) for (a, one), (b, two) in combinations(singles, 2)]
    first = examination.run(probes)[:1]
    alone = {one.edits for _, one in singles if examination.explains(one, first)}
    silent = {one.edits for _, one in singles if _same(base, one, first, examination)}
    for _, one, two in sorted(pairs, key=lambda pair: pair[0]):
        both = Candidate(
            base.optimizer,
            one.edits + two.edits[len(base.edits) :],
            one.ids + two.ids[len(base.ids) :],
        )
        # Where one of them does nothing on the first probe, the other must explain it alone.
        if (one.edits in silent and two.edits not in alone) or (
            two.edits in silent and one.edits not in alone
        ):
            continue
        if one.ids != two.ids and both.text is not None and examination.explains(both, probes):
            return both
        if time.monotonic() > deadline:
            break
    return None


def _hidden(
    examination: Examination, base: Candidate, one: Candidate, probes: Sequence[Probe]
) -> tuple[str, ...]:
    """Mistakes that show when made alone, and not when made beside the one that was found.

    Of each mistake the first form is tried.
    """
    firsts = {both.ids[-1]: both for both in reversed([*with_mistake(one, RULE)])}
    unseen: list[str] = []
    for name, both in firsts.items():
        alone = Candidate(base.optimizer, base.edits + both.edits[len(one.edits) :])
        if alone.text is None or not examination.explains(both, probes):
            continue
        if not _same(base, alone, probes, examination):
            unseen.append(name)
    return tuple(unseen)


def _same(
    one: Candidate, other: Candidate, probes: Sequence[Probe], examination: Examination
) -> bool:
    """Whether two candidates do the same on these probes."""
    own = {
        probe.name: exercise(one.cls, probe, examination.names) for probe in examination.run(probes)
    }
    return Examination(own, examination.names).explains(other, probes)


def _begins(examination: Examination, base: Candidate, probes: Sequence[Probe]) -> str:
    """The first quantity of the rule that the submission's buffers do not hold, up to a scale."""
    for probe in examination.run(probes):
        record = examination.records[probe.name]
        divergence = first_divergence(record, base, probe, examination.names)
        if isinstance(divergence, Divergence) and any(record.buffers):
            right = exercise(base.cls, probe, examination.names, watch=True)
            return _first_unmatched(record.buffers, right.buffers, divergence)
    return ""


def _first_unmatched(
    got: list[dict[str, list[float]]], right: list[dict[str, list[float]]], at: Divergence
) -> str:
    steps = range(at.step)
    for path, first in right[0].items():
        moment = MOMENTS.get(path.rpartition(".")[2])
        expected = [value for step in steps for value in right[step].get(path, first)]
        if moment is None or not any(expected):
            continue
        held = ([value for step in steps for value in got[step].get(other, [])] for other in got[0])
        if not any(_proportional(values, expected) for values in held):
            return moment
    return "the update, after the moments"


def _proportional(values: list[float], expected: list[float]) -> bool:
    """Whether the values are the expected ones but for one factor."""
    if len(values) != len(expected):
        return False
    largest = max(range(len(expected)), key=lambda index: abs(expected[index]))
    scale = values[largest] / expected[largest]
    bound = TOLERANCE * abs(values[largest])
    return scale != 0 and all(
        abs(value - scale * right) <= bound for value, right in zip(values, expected, strict=True)
    )
