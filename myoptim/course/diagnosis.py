"""Which mistake explains what a submission did.

A submission's records are compared with those of the reference, and where they differ, with those
of every mistake of the catalogue, run on the same probes. A mistake that gives the same trace is
the diagnosis. If none does, a small edit of the rule may (see `search`), or two mistakes together,
or a mistake or an edit and one edit more. If nothing fits, the submission's buffers tell in which
statement the trace begins to go wrong, and the numbers how they differ.

How many are tried is bounded by number: no diagnosis depends on the clock.
"""

import ast
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from myoptim.course.edits import RARE, USUAL, Edit
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
    other_ways,
    source,
)
from myoptim.course.search import Rule, hits

TOLERANCE = 1e-5
"""Largest error, relative to 1 + |expected|, of a right submission.

In float64 right ones of every style stay below 1e-14, one that computes in float32 below 1e-6; the
nearest wrong rule of the catalogue is 5e-3 away."""

MAX_PAIRS = 6000
"""How many pairs of mistakes are tried, the commonest forms first."""

MAX_BASES = 4
"""On how many mistakes and edits that explain a part of a trace one edit more is tried."""

MAX_MEANINGS = 40
"""If more edits than these give a trace, it does not tell them apart (it may be all NaN)."""

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
    """A solution with some edits made: one or two mistakes, or accepted dialects, or none.

    Attributes:
        edits: of its text.
        ids: the mistakes that those edits are.
        searched: edits of its rule that were found by search, made after those of the text.
    """

    optimizer: str
    edits: Form = ()
    ids: tuple[str, ...] = ()
    searched: tuple[Edit, ...] = ()

    def also(self, mistake: Mistake, edits: Form) -> "Candidate":
        """This one with another mistake made as well."""
        return Candidate(self.optimizer, self.edits + edits, (*self.ids, mistake.id), self.searched)

    def with_edit(self, edit: Edit) -> "Candidate":
        """This one with another edit made as well."""
        return Candidate(self.optimizer, self.edits, self.ids, (*self.searched, edit))

    @cached_property
    def text(self) -> str | None:
        """Its source, or None where the edits exclude each other."""
        return edited(source(self.optimizer), self.edits)

    @cached_property
    def cls(self) -> type[Any]:
        """Its class."""
        if self.searched:
            return self.rule.cls
        assert self.text is not None
        # There are thousands of pairs: too many to remember.
        return (load if len(self.ids) < 2 else build)(self.text, self.optimizer)

    @cached_property
    def rule(self) -> Rule:
        """Its class, and what is needed to search the edits of its rule."""
        assert self.text is not None
        plain = Candidate(self.optimizer, self.edits, self.ids)
        rule = Rule.of(self.text, self.optimizer, plain.cls)
        for edit in self.searched:
            rule = rule.with_edit(edit)
        return rule


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
        shape: how its numbers differ there, in words.
        edits: edits of the rule with which it does what the submission does, beside `ids`.
        alike: how many further edits do the same.
        sure: what the edits were compared with, in words.
        where: the option with which alone it is so, where without it all is right.
    """

    ids: tuple[str, ...] = ()
    together: bool = False
    hidden: tuple[str, ...] = ()
    begins: str = ""
    shape: str = ""
    edits: tuple[Edit, ...] = ()
    alike: int = 0
    sure: str = ""
    where: str = ""

    def __str__(self) -> str:
        if not self.ids and not self.edits:
            begins = f", but it begins in {self.begins}" if self.begins else ""
            return f"unknown{begins}" + (f"; {self.shape}" if self.shape else "")
        names = (" and " if self.together else " or ").join(self.ids)
        texts = [f"at least {names}" if self.hidden else names] if names else []
        texts += [f"as if {edit.words}" for edit in self.edits]
        where = f", with {self.where} only" if self.where else ""
        return ", and ".join(texts) + where

    @property
    def lines(self) -> list[str]:
        """The lines that the code behaves as if it had, and how sure that is."""
        if not self.edits:
            return []
        lines = [f"{edit.told_line} (reference: {edit.reference})" for edit in self.edits]
        others = f"; so do {self.alike} other edits of the rule" if self.alike else ""
        return [*lines, f"{self.sure}{others}"]


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

    def agreement(self, candidate: Candidate, probes: Iterable[Probe]) -> int:
        """How many of the probes the candidate explains."""
        return sum(self.explains(candidate, (probe,)) for probe in probes)

    def told_apart(
        self, candidates: Iterable[Candidate], probes: Sequence[Probe], others: Sequence[Probe]
    ) -> list[Candidate]:
        """Those that explain the submission on `probes`, of each mistake the form that explains
        most of `others`; and of several mistakes those that explain all of these, if any do."""
        fit = [candidate for candidate in candidates if self.explains(candidate, probes)]
        if len(fit) < 2:
            return fit
        agreed = {one: self.agreement(one, others) for one in fit}
        best: dict[tuple[str, ...], Candidate] = {}
        for one in fit:
            best[one.ids] = max(best.get(one.ids, one), one, key=agreed.__getitem__)
        found = list(best.values())
        return [one for one in found if agreed[one] == len(others)] or found


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
    found = examination.told_apart(with_mistake(base, CATALOGUE.values()), probes, others)
    if len(found) > 1:
        found = _by_exception(examination, found, probes)
    if found:
        certain = len(found) == 1 and CATALOGUE[found[0].ids[-1]] in RULE
        hidden = _hidden(examination, base, found[0], probes) if certain else ()
        return Diagnosis(tuple(c.ids[-1] for c in found), hidden=hidden), found[0]
    if not pairs:
        return Diagnosis(), None
    search = _Search(examination, base, probes)
    edited_once = search.one_edit()
    if edited_once is not None:
        return edited_once
    branch = _in_branch(examination, base, probes, others)
    if branch is not None:
        return branch, None
    pair = _pair(examination, base, probes)
    if pair is not None:
        return Diagnosis(tuple(dict.fromkeys(pair.ids[len(base.ids) :])), together=True), pair
    edited_twice = search.one_edit_more()
    if edited_twice is not None:
        return edited_twice
    begins, shape = _begins(examination, base, probes)
    return Diagnosis(begins=begins, shape=shape), None


OPTIONS = ("centered", "nesterov", "amsgrad", "maximize", "momentum", "weight_decay")
"""What a rule may have a branch for."""


def _in_branch(
    examination: Examination, base: Candidate, probes: Sequence[Probe], others: Sequence[Probe]
) -> Diagnosis | None:
    """What explains a submission that is right wherever an option is off."""
    for option in OPTIONS:
        on = [probe for probe in probes if probe.hyper.get(option)]
        off = [probe for probe in probes if not probe.hyper.get(option)]
        if not (on and examination.run(off) and examination.explains(base, off)):
            continue
        found = examination.told_apart(with_mistake(base, RULE), on, others)
        if found:
            return Diagnosis(tuple(one.ids[-1] for one in found), where=option)
        edited_once = _Search(examination, base, on).one_edit()
        if edited_once is not None:
            return replace(edited_once[0], where=option)
    return None


class _Search:
    """The search for edits that explain a submission, beside what is in a base already."""

    def __init__(self, examination: Examination, base: Candidate, probes: Sequence[Probe]) -> None:
        self.examination = examination
        self.base = base
        self.probes = examination.run(probes)
        self.partial: list[Candidate] = []
        """What explains the first probe in which the base fails."""

    def one_edit(self) -> tuple[Diagnosis, Candidate] | None:
        """The plainest edit that explains all, of the rule as it is written here or elsewhere."""
        for edits in ((), *other_ways(self.base.optimizer)):
            base = Candidate(self.base.optimizer, self.base.edits + edits, self.base.ids)
            found = None if base.text is None else self.among(base, RARE)
            if found is not None:
                return found
        return None

    def one_edit_more(self) -> tuple[Diagnosis, Candidate] | None:
        """An edit that explains all together with a mistake or an edit that explains a part."""
        failed = self.failed_by(self.base)[:1]
        named = [
            candidate
            for candidate in with_mistake(self.base, RULE)
            if failed and self.examination.explains(candidate, failed)
        ]
        bases = sorted([*named, *self.partial], key=lambda one: len(self.failed_by(one)))
        for base in bases[:MAX_BASES]:
            found = self.among(base, USUAL)
            if found is not None:
                return found
        return None

    def failed_by(self, candidate: Candidate) -> list[Probe]:
        """The probes that a candidate does not explain, and that have steps to compare."""
        return [
            probe
            for probe in self.probes
            if self.examination.records[probe.name].steps
            and not self.examination.explains(candidate, (probe,))
        ]

    def among(self, base: Candidate, rank: int) -> tuple[Diagnosis, Candidate] | None:
        """The plainest edit of a base that explains all."""
        failed = self.failed_by(base)
        if not failed:
            return None
        records = self.examination.records
        rest = [p for p in self.probes if p not in failed and records[p.name].steps]
        ordered = [(p, records[p.name]) for p in (*failed, *rest)]
        found = hits(base.rule, ordered, self.examination.names, rank)
        if len(found.all) > MAX_MEANINGS:
            return None
        if base.ids == self.base.ids and not base.searched:
            partial = sorted(map(base.with_edit, found.first), key=self.plainness)
            self.partial += partial[:MAX_BASES]
        likely = sorted(map(base.with_edit, found.all), key=self.plainness)
        right = [one for one in likely if self.examination.explains(one, self.probes)]
        right = self.by_state(right)
        if not right:
            return None
        ids = right[0].ids[len(self.base.ids) :]
        diagnosis = Diagnosis(
            ids,
            together=len(ids) > 1,
            edits=right[0].searched,
            alike=len(right) - 1,
            sure=self.sure(),
        )
        return diagnosis, right[0]

    def plainness(self, candidate: Candidate) -> tuple[bool, int, int]:
        """A key to sort by: what somebody would rather have written comes first."""
        edit = candidate.searched[-1]
        unknown = set(candidate.rule.hyper) - set(self.examination.names)
        texts = (ast.dump(edit.old), ast.dump(edit.new))
        strange = any(f"'{name}'" in text for name in unknown for text in texts)
        return strange, edit.rank, edit.length

    def by_state(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that hold most of what the submission holds, where the numbers do not tell."""
        if len(candidates) < 2:
            return candidates
        missed = [self.missed(candidate) for candidate in candidates]
        return [one for one, count in zip(candidates, missed, strict=True) if count == min(missed)]

    def missed(self, candidate: Candidate) -> int:
        """How many of a candidate's buffers the submission does not hold."""
        for probe in self.probes:
            record = self.examination.records[probe.name]
            if any(record.buffers):
                own = exercise(candidate.cls, probe, self.examination.names, watch=True)
                held = [_series(record.buffers, path) for path in record.buffers[0]]
                return sum(
                    not any(_equal(_series(own.buffers, path), other) for other in held)
                    for path in (own.buffers[0] if own.buffers else {})
                    if path.rpartition(".")[2] in MOMENTS
                )
        return 0

    def sure(self) -> str:
        """What was compared, in words."""
        numbers = sum(
            len(values)
            for probe in self.probes
            for step in self.examination.records[probe.name].steps
            for values in step
        )
        return f"it gives all {numbers} numbers of {len(self.probes)} runs"


def _series(buffers: list[dict[str, list[float]]], path: str) -> list[float]:
    """What one buffer holds after each step, one after the other."""
    return [value for held in buffers for value in held.get(path, ())]


def _equal(got: list[float], expected: list[float]) -> bool:
    return len(got) == len(expected) and all(map(close, got, expected))


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
    singles = [
        (rank, candidate)
        for mistake in RULE
        for rank, candidate in enumerate(with_mistake(base, (mistake,)))
    ]
    pairs = [(a + b, one, two) for (a, one), (b, two) in combinations(singles, 2)]
    first = examination.run(probes)[:1]
    alone = {one.edits for _, one in singles if examination.explains(one, first)}
    silent = {one.edits for _, one in singles if _same(base, one, first, examination)}
    for _, one, two in sorted(pairs, key=lambda pair: pair[0])[:MAX_PAIRS]:
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


def _begins(examination: Examination, base: Candidate, probes: Sequence[Probe]) -> tuple[str, str]:
    """The first statement whose value cannot be the reference's, and how the numbers differ."""
    for probe in examination.run(probes):
        record = examination.records[probe.name]
        divergence = first_divergence(record, base, probe, examination.names)
        if isinstance(divergence, Divergence):
            right = exercise(base.cls, probe, examination.names, watch=True)
            shape = _shape(record, right, probe, divergence)
            if any(record.buffers):
                return _first_unmatched(record.buffers, right.buffers, probe, divergence), shape
            return "", shape
    return "", ""


def _first_unmatched(
    got: list[dict[str, list[float]]],
    right: list[dict[str, list[float]]],
    probe: Probe,
    at: Divergence,
) -> str:
    """The first buffer of the reference that the submission does not hold, up to one factor.

    Gradients are prescribed, so without weight decay what is gathered of them does not depend on
    where the parameters are: it is compared over all steps, which an average that starts at another
    value does not survive.
    """
    steps = range(at.step if probe.hyper.get("weight_decay") else min(len(got), len(right)))
    for path, first in right[0].items():
        moment = MOMENTS.get(path.rpartition(".")[2])
        expected = [value for step in steps for value in right[step].get(path, first)]
        if moment is None or not any(expected):
            continue
        held = ([value for step in steps for value in got[step].get(other, [])] for other in got[0])
        if not any(_proportional(values, expected) for values in held):
            return moment
    return "the update, after the moments"


def _shape(record: Record, right: Record, probe: Probe, at: Divergence) -> str:
    """How a submission's first wrong move differs from the reference's, in words."""
    index, step = at.parameter - 1, at.step - 1
    start = probe.schedule.starts[index].reshape(-1).tolist()
    before = record.steps[step - 1][index] if step else start
    moves = [value - old for value, old in zip(record.steps[step][index], before, strict=True)]
    wanted = [value - old for value, old in zip(right.steps[step][index], before, strict=True)]
    where = f"at step {at.step}, its first wrong one,"
    if not all(map(math.isfinite, moves)):
        return f"{where} it moves to values that are not finite"
    if not any(moves):
        return f"{where} it does not move"
    ratios = [one / other for one, other in zip(moves, wanted, strict=True) if other]
    if not ratios or not all(map(math.isfinite, ratios)):
        return ""
    low, high = min(ratios), max(ratios)
    if high - low <= 1e-4 * max(abs(low), abs(high)):
        return f"{where} every element moves {low:.6g} times as far as it should"
    gaps = [one - other for one, other in zip(moves, wanted, strict=True)]
    if max(gaps) - min(gaps) <= 1e-6 * max(map(abs, gaps)):
        return f"{where} every element is off by the same {gaps[0]:.6g}"
    return f"{where} elements move {low:.6g} to {high:.6g} times as far as they should"


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
