import inspect
import re
from dataclasses import replace

import pytest
import torch
from course import in_process

import myoptim
from myoptim.course.check import Settings
from myoptim.course.diagnosis import (
    Candidate,
    Divergence,
    Examination,
    first_divergence,
    with_mistake,
)
from myoptim.course.exercise import Record, accepted, exercise, fits
from myoptim.course.mistakes import (
    ALL,
    CATALOGUE,
    DECOUPLED,
    RULE,
    SOLUTIONS,
    edited,
    find,
    forms,
    load,
    source,
)
from myoptim.course.probes import HYPER_PARAMETERS, bank
from myoptim.course.settings import STYLES
from myoptim.lab.errors import UsageError

SEED = 20
STRICT = Settings(forbid=tuple(STYLES))
"""A course that forbids the styles which others let pass."""

PAIRS = [(mistake, name) for mistake in CATALOGUE.values() for name in mistake.optimizers]
HANDED_IN = [pair for pair in PAIRS if pair[0].id != "delegates"]
COINCIDE = {
    # With dampening 0, g + μb of the step before is b: two ways to say that the look-ahead is gone.
    ("Nesterov", "nesterov-ignored", "stale-state"),
    # Without a memory c is (1-β₁)g, whose sign is g's.
    ("Lion", "buffer-reset", "grad-instead-of-m"),
}


def sampled(pairs, every):
    """Of mistakes and optimizers, one in so many for the fast run, and all for the slow one."""
    return [
        pytest.param(
            mistake,
            optimizer,
            id=f"{optimizer}-{mistake.id}",
            marks=[pytest.mark.slow] if index % every else [],
        )
        for index, (mistake, optimizer) in enumerate(pairs)
    ]


def solution(optimizer):
    cls = load(source(optimizer), optimizer)
    return cls, accepted(cls, HYPER_PARAMETERS[optimizer])["names"]


def torchs(optimizer):
    """torch.optim's class under the name and with the flags of the course; else the package's."""
    name = {"Momentum": "SGD", "Nesterov": "SGD"}.get(optimizer, optimizer)
    fixed = {"Nesterov": {"nesterov": True}}.get(optimizer, {})
    base = getattr(torch.optim, name, None) or myoptim.OPTIMIZERS[name]
    if "foreach" in inspect.signature(base).parameters:
        fixed["foreach"] = False

    def constructor(self, params, **hyper):
        base.__init__(self, params, **hyper, **fixed)

    return type(optimizer, (base,), {"__init__": constructor})


def test_the_catalogue_is_complete_and_told_in_full():
    assert len(CATALOGUE) == 161
    for mistake in CATALOGUE.values():
        assert mistake.what
        assert mistake.hint
        assert set(mistake.optimizers) <= set(ALL)
        assert mistake.kind in ("bug", "dialect", "bug or dialect")
        assert mistake.is_dialect or not mistake.whose


def test_every_edit_finds_its_place():
    for mistake, optimizer in PAIRS:
        assert list(forms(mistake, optimizer)), (mistake.id, optimizer)
    for mistake in CATALOGUE.values():
        for edits in mistake.forms:
            used = [name for name in mistake.optimizers if edited(source(name), edits)]
            assert used, (mistake.id, edits)


def test_unknown_ids_name_the_nearest():
    with pytest.raises(UsageError, match="did you mean no-eps"):
        find("no-ep")


@pytest.mark.parametrize("optimizer", SOLUTIONS)
def test_the_references_are_torchs(optimizer):
    _, names = solution(optimizer)
    # torch's Muon computes in bfloat16, of two to three digits, and knows no maximize.
    known = names.keys() - {"maximize"} if optimizer == "Muon" else names
    near = 0.02 if optimizer == "Muon" else 1e-12
    for probe in bank(optimizer, SEED).probes:
        if not fits(probe, known):
            continue
        # torch's Adagrad makes its state in the constructor, so a group added later has none, and
        # bfloat16 rounds each formulation in its own way.
        if probe.kind == "counting" or (optimizer == "Adagrad" and probe.kind == "added group"):
            continue
        ours = exercise(solution(optimizer)[0], probe, names)
        theirs = exercise(torchs(optimizer), probe, names)
        assert theirs.error is None
        for step, other in zip(ours.steps, theirs.steps, strict=True):
            for values, right in zip(step, other, strict=True):
                assert values == pytest.approx(right, rel=near, abs=near)


@pytest.mark.parametrize(("mistake", "optimizer"), sampled(HANDED_IN, 14))
def test_every_mistake_fails_and_is_named(mistake, optimizer):
    verdict = in_process.verdict(next(forms(mistake, optimizer)), optimizer, SEED, STRICT)
    if mistake.id == "wd-simultaneous":
        assert verdict.passed
        return
    assert not verdict.passed
    others = {b for name, a, b in COINCIDE if (name, a) == (optimizer, mistake.id)}
    others |= {a for name, a, b in COINCIDE if (name, b) == (optimizer, mistake.id)}
    assert mistake.id in verdict.diagnosis
    if mistake in RULE:
        assert set(verdict.diagnosis) == {mistake.id, *others}


@pytest.mark.parametrize(
    ("mistake", "optimizer"), sampled([pair for pair in PAIRS if pair[0].is_dialect], 9)
)
def test_accepted_dialects_pass(mistake, optimizer):
    settings = replace(Settings(), accept=(mistake.id,))
    verdict = in_process.verdict(next(forms(mistake, optimizer)), optimizer, SEED, settings)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    "optimizer",
    [
        name if name == "Adagrad" else pytest.param(name, marks=pytest.mark.slow)
        for name in SOLUTIONS
    ],
)
def test_no_wrong_rule_comes_near_the_tolerance(optimizer):
    """The nearest wrong rule is a hundred tolerances away, in every form."""
    seed = 1
    cls, names = solution(optimizer)
    probes = [p for p in bank(optimizer, seed).by_criterion["rule"] if fits(p, names)]
    right = {probe.name: exercise(cls, probe, names) for probe in probes}
    others = [
        probe
        for probe in bank(optimizer, seed).probes
        if probe.name not in right and probe.kind != "counting"
    ]
    for candidate in with_mistake(Candidate(optimizer), RULE):
        if candidate.ids == ("wd-simultaneous",) or same_text(candidate, optimizer):
            continue
        records = {probe.name: exercise(candidate.cls, probe, names) for probe in probes}
        distance = max(apart(records[name], right[name]) for name in right)
        if distance < 1e-12:  # shown by the other probes
            records = {probe.name: exercise(candidate.cls, probe, names) for probe in others}
            assert not Examination(records, names).explains(Candidate(optimizer), others), (
                candidate.ids
            )
        else:
            assert distance > 1e-3, candidate.ids


def same_text(candidate, optimizer):
    """Edits of Frame.decay, which those with a decoupled decay have their own of."""
    own_decay = (*DECOUPLED, "Adafactor")
    return optimizer in own_decay and "return g + group" in candidate.edits[0][0]


def apart(record: Record, right: Record) -> float:
    if record.error is not None:
        return float("inf")
    pairs = [
        (a, b)
        for one, two in zip(record.steps, right.steps, strict=True)
        for values, others in zip(one, two, strict=True)
        for a, b in zip(values, others, strict=True)
    ]
    distances = [abs(a - b) / (1 + abs(b)) for a, b in pairs]
    return float("inf") if any(d != d for d in distances) else max(distances)


STEPS = re.compile(r"step (\d)(?:, in (?P<name>\w+) step (\d))?")
SHOWN = [pair for pair in PAIRS if pair[0] in RULE and STEPS.fullmatch(pair[0].shows)]


@pytest.mark.parametrize(("mistake", "optimizer"), sampled(SHOWN, 5))
def test_the_first_step_is_as_said(mistake, optimizer):
    """«Shows: step n» holds for the probes of the rule, in every optimizer."""
    cls = load(next(forms(mistake, optimizer)), optimizer)
    _, names = solution(optimizer)
    probes = [p for p in bank(optimizer, SEED).probes if fits(p, names)]
    found = [
        first_divergence(exercise(cls, probe, names), Candidate(optimizer), probe, names)
        for probe in probes
        if probe.kind == "plain"
    ]
    steps = [one.step for one in found if isinstance(one, Divergence)]
    said = STEPS.fullmatch(mistake.shows)
    assert min(steps) == int(said[3] if said["name"] == optimizer else said[1])
