"""Check one submission: criterion by criterion, with a diagnosis and a hint where it fails."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from myoptim.course import sandbox
from myoptim.course.diagnosis import (
    Candidate,
    Diagnosis,
    Divergence,
    Examination,
    diagnose,
    with_mistake,
)
from myoptim.course.exercise import Probe, Record, accepted, described
from myoptim.course.intake import shown
from myoptim.course.itself import Itself
from myoptim.course.mistakes import CATALOGUE
from myoptim.course.mistakes import CONTRACT as CONTRACT_MISTAKES
from myoptim.course.probes import CONTRACT, HYPER_PARAMETERS, Bank, bank
from myoptim.course.sandbox import Outcome
from myoptim.course.settings import CRITERIA, STYLES, Settings

FACTS: dict[str, dict[tuple[str, Any], str]] = {
    "in_place": {("storage", "replaced"): "replaces-data"},
    "no_grad": {("recorded", True): "no-no-grad"},
    "gradients": {
        ("gradients", "aliased"): "aliases-grad",
        ("gradients", "changed"): "mutates-grad",
        ("gradients", "cleared"): "clears-grad",
    },
    "closure": {
        ("closure calls", 0): "closure-ignored",
        ("closure calls", 2): "closure-repeated",
        ("closure grad", False): "closure-no-grad",
        ("closure moved", False): "closure-late",
        ("closure loss", "nothing"): "closure-no-return",
    },
    "counter": {("counter", "stuck"): "step-dtype"},
}
"""What an observation means, by the criterion that it decides."""

PASSED, FAILED, NOT_CHECKED, NOT_JUDGED = "passed", "failed", "not checked", "not judged"


@dataclass
class Result:
    """How one criterion went.

    Attributes:
        criterion: its key in `CRITERIA`.
        status: "passed"; "failed"; "not checked": the class does not offer what it is about; or
            "not judged": what went wrong before makes it impossible.
        message: why.
        diagnosis: what explains a failure.
        divergence: where the numbers first differ.
    """

    criterion: str
    status: str = PASSED
    message: str = ""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    divergence: Divergence | None = None

    @property
    def hints(self) -> list[str]:
        """The hints of the diagnosis, each once."""
        hints = [CATALOGUE[name].hint for name in self.diagnosis.ids]
        hints += [f"Look again at {edit.reference}" for edit in self.diagnosis.edits]
        return list(dict.fromkeys(hints))


@dataclass
class Verdict:
    """How a submission went.

    Attributes:
        file: the submission's file name.
        optimizer: the optimizer that it was checked as, or None if it has no class of that kind.
        results: one per criterion, in the order of `CRITERIA`.
        notes: what was not probed, and what else a student should know.
        settings: those it was checked with.
        seed: of the prescribed gradients.
    """

    file: str
    optimizer: str | None
    results: list[Result]
    notes: list[str]
    settings: Settings
    seed: int

    def points(self, result: Result) -> float:
        """What a result earns."""
        earned = result.status == PASSED or (
            result.status == NOT_CHECKED and not self.settings.strict
        )
        return self.settings.points[result.criterion] if earned else 0.0

    @property
    def passed(self) -> bool:
        """Whether every criterion that has points earns them."""
        return self.score == self.max_score and not self.failures

    @property
    def failures(self) -> list[Result]:
        """The failed criteria that have points."""
        return [r for r in self.results if r.status == FAILED and self.settings.points[r.criterion]]

    @property
    def score(self) -> float:
        """Points earned."""
        return sum(map(self.points, self.results))

    @property
    def max_score(self) -> float:
        """Points that could be earned."""
        return sum(self.settings.points.values())

    @property
    def diagnosis(self) -> list[str]:
        """Ids of the mistakes that explain the failures, each once."""
        return list(dict.fromkeys(name for r in self.failures for name in r.diagnosis.ids))

    @property
    def reason(self) -> str:
        """Why the first failed criterion failed, in one line."""
        for result in self.failures:
            return f"{CRITERIA[result.criterion]}: {result.message}"
        return "" if self.passed else "a criterion is not offered, and the course is strict"

    @property
    def first_divergence(self) -> Divergence | None:
        """Where the numbers first differ, in the first criterion where they do."""
        return next((r.divergence for r in self.failures if r.divergence is not None), None)


def check(path: Path, optimizer: str, settings: Settings) -> Verdict:
    """Check the submission in a file as one of the course's optimizers. Never raises for its sake.

    Args:
        optimizer: the name of the class, a key of `mistakes.SOLUTIONS`.
    """
    seed = secrets.randbelow(2**31) if settings.seed is None else settings.seed
    wanted = {optimizer: bank(optimizer, seed).probes}
    outcome = sandbox.submit(path, wanted, settings.limits, settings.helpers, settings.isolation)
    return judge(outcome, shown(path.name), optimizer, settings, seed)


def judge(outcome: Outcome, file: str, optimizer: str, settings: Settings, seed: int) -> Verdict:
    """The verdict on what came back from a submission's process."""
    results = {name: Result(name) for name in CRITERIA}
    verdict = Verdict(file, optimizer, list(results.values()), [], settings, seed)
    if outcome.attempts:
        _refuse(results, "policy", f"the submission tried to {_listed(outcome.attempts)}")
        if any(attempt.startswith(("use torch", "use myoptim")) for attempt in outcome.attempts):
            results["policy"].diagnosis = Diagnosis(("delegates",))
    elif outcome.refused is not None:
        criterion, reason = outcome.refused
        _refuse(results, criterion if criterion in results else "run", reason)
        if criterion == "policy":
            results["policy"].diagnosis = Diagnosis(("delegates",))
    else:
        verdict.notes = list(_notes(outcome, optimizer))
        try:
            _Judgement(outcome, bank(optimizer, seed), settings, results).all()
        except Exception as error:  # a fault of ours is not to take the others' grades with it
            told = f"{type(error).__name__}: {error}"
            _refuse(results, "run", f"not graded: the checker itself fails on this file ({told})")
    return verdict


def _refuse(results: dict[str, Result], criterion: str, reason: str) -> None:
    """Fail one criterion; the ones after it cannot be judged."""
    names = list(results)
    for name in names[names.index(criterion) :]:
        results[name].status = NOT_JUDGED
    results[criterion].status = FAILED
    results[criterion].message = reason


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _notes(outcome: Outcome, optimizer: str) -> Iterable[str]:
    known = HYPER_PARAMETERS[optimizer]
    missing = [name for name in known if name not in outcome.names]
    if missing:
        yield f"not probed, since the constructor does not take it: {', '.join(missing)}"
    for name, argument in outcome.names.items():
        if argument != name:
            yield f"{argument if isinstance(argument, str) else ' and '.join(argument)} is {name}"


def _shown(default: Any) -> str:
    """A default in words: a number, or numbers in parentheses."""
    if isinstance(default, list):
        return f"({', '.join(map(_shown, default))})"  # pyright: ignore[reportUnknownArgumentType]
    return f"{default:g}"


class _Judgement:
    """Fills the results of a submission that came through all probes."""

    def __init__(
        self, outcome: Outcome, probes: Bank, settings: Settings, results: dict[str, Result]
    ) -> None:
        self.outcome = outcome
        self.bank = probes
        self.settings = settings
        self.results = results
        self.examination = Examination(outcome.records, outcome.names)
        self.reference = Candidate(probes.optimizer)
        self.others = [probe for name in (*CONTRACT, "signature") for probe in self.probes(name)]

    def probes(self, criterion: str) -> list[Probe]:
        return self.examination.run(self.bank.by_criterion.get(criterion, ()))

    def all(self) -> None:
        """Judge every criterion."""
        self.movement()
        for criterion in FACTS:
            self.by_facts(criterion)
        baseline = self.rule()
        self.signature(baseline)
        for criterion in CONTRACT:
            self.contract(criterion, baseline)
        self.offered("counter")
        self.closure()
        if not any(record.steps for record in self.outcome.records.values()):
            self.nothing_seen()

    def closure(self) -> None:
        """Fail where a step with a closure raises and others do not."""
        error = next((r.error for r in self.records(self.offered("closure")) if r.error), None)
        if error is not None and self.outcome.records[self.bank.together.name].steps:
            self.fail("closure", described(error))

    def nothing_seen(self) -> None:
        """Where not one step came to its end, nothing can be said for the class."""
        for criterion, result in self.results.items():
            if criterion not in ("load", "policy", "run", "signature") and result.status != FAILED:
                result.status = NOT_JUDGED

    def fail(
        self,
        criterion: str,
        message: str,
        diagnosis: Diagnosis | None = None,
        divergence: Divergence | str | None = None,
    ) -> None:
        """Fail a criterion, unless it failed before."""
        result = self.results[criterion]
        if result.status == FAILED:
            return
        result.status = FAILED
        result.message = message
        result.diagnosis = diagnosis or Diagnosis()
        result.divergence = divergence if isinstance(divergence, Divergence) else None

    def by_facts(self, criterion: str) -> None:
        """Fail a criterion on what was observed besides the numbers."""
        for record in self.outcome.records.values():
            for (fact, value), name in FACTS[criterion].items():
                if fact == "closure moved" and self.stands:  # without a closure too
                    continue
                if name in STYLES and name not in self.settings.forbid:
                    continue
                if self.observed(record) and record.facts.get(fact) == value:
                    self.fail(criterion, CATALOGUE[name].what, Diagnosis((name,)))

    @staticmethod
    def observed(record: Record) -> bool:
        """Whether a record's facts count: of a closure only if the step came to its end."""
        return record.skipped is None and (
            record.error is None or "closure loss" not in record.facts
        )

    def movement(self) -> None:
        """Fail where the parameters given to the constructor never move."""
        moved = still = False
        for probe in self.probes("rule"):
            starts = [p.reshape(-1).tolist() for p in probe.schedule.starts]
            record = self.outcome.records[probe.name]
            moved = moved or any(step != starts for step in record.steps)
            still = still or bool(record.steps)
        if still and not moved:
            name = "rebinds-param"
            self.fail("in_place", CATALOGUE[name].what, Diagnosis((name,)))

    @property
    def stands(self) -> bool:
        """Whether the parameters were found never to move."""
        return self.results["in_place"].diagnosis.ids == ("rebinds-param",)

    def rule(self) -> Candidate | None:
        """Judge the rule; returns what the submission does, as far as it is known."""
        probes = self.probes("rule")
        unseen = [name for name in ("in_place", "no_grad") if self.results[name].status == FAILED]
        if unseen and not self.moves(probes):
            self.results["rule"].status = NOT_JUDGED
            self.results["rule"].message = f"see: {CRITERIA[unseen[0]]}"
            return None
        bases = [c for c in self.accepted() if self.examination.explains(c, probes)]
        if bases:
            return max(bases, key=lambda one: self.examination.agreement(one, self.others))
        divergence = self.examination.divergence(self.reference, probes)
        diagnosis, found = diagnose(self.examination, self.reference, probes, self.others)
        error = next((r.error for r in self.records(probes) if r.error is not None), None)
        known = diagnosis.ids or diagnosis.edits
        message = f"{diagnosis}" if known or error is None else described(error)
        self.fail("rule", message, diagnosis, divergence)
        contract = {mistake.id for mistake in CONTRACT_MISTAKES}
        return self.reference if found and contract & set(found.ids) else found

    def records(self, probes: Iterable[Probe]) -> list[Record]:
        return [self.outcome.records[probe.name] for probe in probes]

    def moves(self, probes: Iterable[Probe]) -> bool:
        """Whether there are steps to judge."""
        return not self.stands and any(record.steps for record in self.records(probes))

    def accepted(self) -> list[Candidate]:
        """The reference, alone and with every choice of the accepted dialects."""
        candidates = [self.reference]
        for name in self.settings.accept:
            candidates += [
                other for one in candidates for other in with_mistake(one, (CATALOGUE[name],))
            ]
        return candidates

    def signature(self, baseline: Candidate | None) -> None:
        """The constructor takes a learning rate, and its defaults are nobody else's."""
        if "lr" not in self.outcome.names:
            self.fail("signature", "the constructor takes no lr")
        probes = self.probes("signature")
        if baseline is not None and not self.examination.explains(baseline, probes):
            other = self.named(baseline, probes)
            if other.ids:
                self.fail("signature", CATALOGUE[other.ids[0]].what, other)
        right = accepted((baseline or self.reference).cls, self.outcome.names)["defaults"]
        wrong = [
            f"the default of {name} is {_shown(value)}, torch's is {_shown(right[name])}"
            for name, value in self.outcome.defaults.items()
            if name != "lr" and name in right and value != right[name]
        ]
        if wrong:
            self.fail("signature", "; ".join(wrong))

    def named(self, baseline: Candidate, probes: list[Probe]) -> Diagnosis:
        """A single mistake that explains these probes and the rule's."""
        both = [*self.probes("rule"), *probes]
        found, _ = diagnose(self.examination, baseline, both, self.others, pairs=False)
        right = [one for one in self.others if self.examination.explains(baseline, (one,))]
        ids = [name for name in found.ids if self.agrees(baseline, name, right)]
        return replace(found, ids=tuple(ids))

    def agrees(self, baseline: Candidate, name: str, right: list[Probe]) -> bool:
        """Whether a mistake, in a form of it, leaves right what is right in the submission."""
        return any(
            self.examination.explains(one, right)
            for one in with_mistake(baseline, (CATALOGUE[name],))
        )

    def contract(self, criterion: str, baseline: Candidate | None) -> None:
        """Judge probes that must follow the same rule as the rule's probes do."""
        result = self.results[criterion]
        probes = self.offered(criterion)
        if result.status != PASSED or not probes:
            return
        if baseline is None:
            self.by_itself(criterion, probes)
            return
        divergence = self.examination.divergence(baseline, probes)
        if divergence is None:
            return
        text = next((text for r in self.records(probes) if (text := r.facts.get("text"))), None)
        if text:
            told = f"load_state_dict of torch's Optimizer does not bring back text: state[{text!r}]"
            self.fail(criterion, told, Diagnosis(()), divergence)
            return
        ids = self.named(baseline, probes).ids or self.suspects(baseline, probes)
        by_id = any(record.facts.get("keyed by id") for record in self.records(probes))
        if {"state-by-id", "state-attribute"} <= set(ids):
            wrong = "state-attribute" if by_id else "state-by-id"
            ids = tuple(name for name in ids if name != wrong)
        error = next((r.error for r in self.records(probes) if r.error is not None), None)
        otherwise = described(error) if error is not None else f"differs at {divergence}"
        message = " Or: ".join(CATALOGUE[name].what for name in ids) or otherwise
        self.fail(criterion, message, Diagnosis(ids), divergence)

    def by_itself(self, criterion: str, probes: list[Probe]) -> None:
        """Judge probes by what the class does in others, where its rule has no name."""
        unseen = self.results["rule"].status == NOT_JUDGED
        if unseen or not self.outcome.records[self.bank.together.name].steps:
            self.results[criterion].status = NOT_JUDGED
            self.results[criterion].message = "there is no step to compare with"
            return
        itself = Itself(self.outcome.records, self.bank)
        if criterion == "state" and not itself.independent:
            self.fail("state", "what a parameter does depends on the others")
        for probe in probes:
            unlike = itself.unlike(probe)
            if unlike is not None:
                told = "it does not do what it does in its other runs"
                told += "" if isinstance(unlike, Divergence) else f": {unlike}"
                self.fail(criterion, told, Diagnosis(self.suspected(probe)), unlike)

    def suspects(self, baseline: Candidate, probes: list[Probe]) -> tuple[str, ...]:
        """What the first probe that differs is there to show."""
        for probe in probes:
            if not self.examination.explains(baseline, (probe,)):
                return self.suspected(probe)
        return ()

    def suspected(self, probe: Probe) -> tuple[str, ...]:
        """What a probe that differs is there to show."""
        record = self.outcome.records[probe.name]
        if record.error is not None and probe in self.bank.by_criterion["missing"]:
            unguarded = record.error["type"] in ("AttributeError", "TypeError")
            return ("no-none-guard",) if unguarded else ("state-by-place",)
        if probe.kind == "added group":
            return ("eager-state",) if record.error is not None else ()
        if probe.kind == "reload" and record.error and "loaded" not in record.facts:
            return ()  # What it raised says more than where state may be.
        if probe.kind == "reload" and record.facts.get("keyed by id"):
            return ("state-by-id",)
        if probe.kind == "reload" and probe.second:
            return ("hyper-not-loaded",)
        return {
            "generator": ("params-generator-kept",),
            "reload": ("state-attribute",),
            "second optimizer": ("state-outlives",),
        }.get(probe.kind, ())

    def offered(self, criterion: str) -> list[Probe]:
        """The probes of a criterion that were run; says so where none could be."""
        probes = self.bank.by_criterion[criterion]
        reasons = [
            self.outcome.records[probe.name].skipped
            for probe in probes
            if probe.name in self.outcome.records
        ]
        result = self.results[criterion]
        if any(reasons):
            result.message = _listed(reason for reason in reasons if reason)
        run = self.probes(criterion)
        if criterion == "counter" and any(record.error for record in self.records(run)):
            result.message, run = "it does not run in bfloat16", []
        if result.status == PASSED and (not run or (any(reasons) and self.settings.strict)):
            result.status = NOT_CHECKED
        return run


def as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain values."""
    divergence = verdict.first_divergence
    return {
        "file": verdict.file,
        "optimizer": verdict.optimizer,
        "passed": verdict.passed,
        "score": verdict.score,
        "max_score": verdict.max_score,
        "diagnosis": verdict.diagnosis,
        "reason": verdict.reason,
        "first_divergence": None if divergence is None else vars(divergence),
        "seed": verdict.seed,
        "notes": verdict.notes,
        "criteria": [
            {
                "criterion": result.criterion,
                "status": result.status,
                "points": verdict.points(result),
                "max_points": verdict.settings.points[result.criterion],
                "message": result.message,
                "diagnosis": list(result.diagnosis.ids),
                "at_least": bool(result.diagnosis.hidden),
                "together": result.diagnosis.together,
                "edit": [edit.as_data() for edit in result.diagnosis.edits],
                "edits_alike": result.diagnosis.alike,
                "sure": result.diagnosis.sure,
                "hints": result.hints,
            }
            for result in verdict.results
        ],
    }


def explanation(result: Result, hints: str) -> list[str]:
    """What a student is told about a criterion that is not simply passed."""
    if result.status != FAILED:
        return [result.message] if result.message else []
    named = bool(result.diagnosis.ids or result.diagnosis.edits)
    # The message of a named mistake says what it is; of the rule's it is the diagnosis itself.
    told = hints == "name" and result.criterion != "rule"
    lines = [result.message] if told or not named else []
    if result.divergence is not None:
        lines.append(f"first difference: {result.divergence}")
    if named and hints == "name":
        lines.append(f"diagnosis: {result.diagnosis}")
        lines += [f"  {line}" for line in result.diagnosis.lines]
    if hints != "none":
        lines += [f"hint: {hint}" for hint in result.hints]
    return lines or ["this is not as it should be"]
