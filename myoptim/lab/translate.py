"""How one framework's optimizer is written in another.

    >>> print(translate("keras.optimizers.RMSprop(1e-3, momentum=0.9)", "torch"))
    dialect: myoptim.dialects.KerasRMSprop(params, lr=0.001, momentum=0.9)
    ...

The call is parsed, never evaluated. The dictionary (`myoptim.lab.frameworks.dictionary`) says which
class of ours computes it, and which calls of the other framework come into question; the verdict
is found by running both rules, with the settings of the call, at a constant and at a changing
learning rate.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

import myoptim
from myoptim import dialects
from myoptim.lab.agreement import Agreement, Make, agreement, telling_schedule
from myoptim.lab.compare import Divergence
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.frameworks.calls import Code, bind, parse
from myoptim.lab.frameworks.dictionary import (
    CONSTANT_MOMENTUM,
    FRAMEWORKS,
    PARAMS,
    REQUIRED,
    WITHOUT_EFFECT,
    Entry,
    Framework,
    Reading,
)
from myoptim.lab.resolve import construct, hyperparameters

EXACT = "exact"
AT_CONSTANT_LR = "exact at constant lr"
DIALECT = "dialect"
IMPOSSIBLE = "impossible"
VERDICTS = (EXACT, AT_CONSTANT_LR, DIALECT, IMPOSSIBLE)
"""From best to worst."""

TARGETS = tuple(name for name in FRAMEWORKS if name != "myoptim")
"""What can be translated to."""

# Rules that could stand for one another.
_FAMILIES: tuple[tuple[type, ...], ...] = (
    (myoptim.SGD, dialects.KerasSGD, dialects.MLXSGD),
    (myoptim.Adagrad, dialects.KerasAdagrad),
    (myoptim.RMSprop, dialects.KerasRMSprop, dialects.TF1RMSprop),
    (
        myoptim.Adam,
        myoptim.AdamW,
        dialects.KerasAdam,
        dialects.MLXAdam,
        dialects.OptaxAMSGrad,
        dialects.PaperAdamW,
    ),
    (myoptim.Adadelta, dialects.KerasAdadelta),
    (myoptim.Adamax, dialects.KerasAdamax),
    (myoptim.NAdam,),
    (myoptim.RAdam, dialects.OptaxRAdam),
    (myoptim.Rprop,),
    (myoptim.ASGD,),
)

# What a setting is where the rule has no such thing.
_NEUTRAL: dict[str, Any] = {
    "momentum": 0.0,
    "dampening": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "amsgrad": False,
    "centered": False,
    "lr_decay": 0.0,
    "initial_accumulator_value": 0.0,
    "initial_scale": 0.0,
    "maximize": False,
}


@dataclass(frozen=True)
class Translation:
    """How a call is written in another framework.

    Attributes:
        verdict: one of `VERDICTS`. "exact": the same updates up to rounding, also when the
            learning rate changes; "exact at constant lr": only while it stays the same; "dialect":
            no call of the target computes it, a class of ours does; "impossible": the target has
            no such optimizer or lacks a setting of it, or nothing here computes the source.
        call: the call to write. Of a dialect, translated to torch, the class of ours; where the
            target cannot, its nearest call. None where there is none.
        reason: why, in sentences, with the defaults that were filled in.
        first_divergence: where the nearest call first differs; `a` is the source's value.
    """

    verdict: str
    call: str | None
    reason: str
    first_divergence: Divergence | None

    def as_dict(self) -> dict[str, Any]:
        """The translation as JSON holds it."""
        return {
            "verdict": self.verdict,
            "call": self.call,
            "reason": self.reason,
            "first_divergence": self.first_divergence and asdict(self.first_divergence),
        }

    def __str__(self) -> str:
        """The finding in sentences."""
        lines = [f"{self.verdict}: {self.call}" if self.call else self.verdict]
        lines.append(textwrap.fill(self.reason, 80, break_long_words=False, break_on_hyphens=False))
        if self.first_divergence:
            at = self.first_divergence
            place = at.param + (f"[{', '.join(map(str, at.index))}]" if at.index else "")
            what = "the parameter itself" if at.quantity == "param" else f"the buffer {at.quantity}"
            lines.append(f"First divergence: step {at.step}, {place}, in {what}:")
            lines += [f"  source  {at.a!r}", f"  target  {at.b!r}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Source:
    """A call that was read: the class that computes it, with what settings."""

    framework: str
    entry: Entry
    reading: Reading
    settings: dict[str, Any]
    filled: dict[str, Any]
    params: str

    def make(self) -> Make:
        return _maker(self.reading, self.settings)


@dataclass(frozen=True)
class _Candidate:
    """A call of the target, and how it compares with the source."""

    entry: Entry
    arguments: dict[str, Any]
    reading: Reading
    settings: dict[str, Any]
    missing: tuple[str, ...]
    refused: bool = False
    trick: str = ""
    verdict: str = IMPOSSIBLE
    first: Divergence | None = None

    def judged(self, source: _Source) -> _Candidate:
        """The same with its verdict, from running both rules."""
        constant = self._run(source, lr_changes=False)
        if constant.first is not None:
            return replace(self, verdict=DIALECT, first=constant.first)
        changing = self._run(source, lr_changes=True)
        if changing.first is not None:
            return replace(self, verdict=AT_CONSTANT_LR, first=changing.first)
        return replace(self, verdict=EXACT)

    def _run(self, source: _Source, *, lr_changes: bool) -> Agreement:
        epsilons = [s["eps"] for s in (source.settings, self.settings) if "eps" in s]
        schedule = telling_schedule(epsilons, lr_changes=lr_changes)
        return agreement(source.make(), _maker(self.reading, self.settings), schedule)


def translate(call: str, target: str) -> Translation:
    """Write a framework's call in another framework.

    Args:
        call: such as `keras.optimizers.RMSprop(1e-3, momentum=0.9)` or `keras:RMSprop(1e-3)`;
            values must be literals, the parameters to optimize may be any code.
        target: a framework, one of `TARGETS`.

    Raises:
        UsageError: the call cannot be read, or a framework, optimizer or argument is not known, or
            a value is out of its range.
    """
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    source, untranslated = _read(call)
    if untranslated:
        return _impossible(source, f"nothing here computes {untranslated}.")
    candidates = list(_candidates(source, FRAMEWORKS[target]))
    if not candidates:
        return _impossible(source, f"{target} has no optimizer of this kind.")
    judged = [candidate.judged(source) for candidate in candidates]
    best = min(judged, key=lambda candidate: _rank(candidate, source))
    return _answer(source, best, target)


# Reading --------------------------------------------------------------------------------------


def _read(text: str) -> tuple[_Source, str]:
    """The call's meaning here, and the arguments given that nothing here computes."""
    call = parse(text)
    framework = FRAMEWORKS[call.framework]
    if call.name not in framework.entries:
        raise unknown(f"optimizer of {call.framework}", call.name, framework.entries)
    entry = framework.entries[call.name]
    given = bind(entry, call)
    params = given.pop(str(entry.words.get(PARAMS, PARAMS)), None)
    arguments = {**entry.arguments, **given}
    missing = [k for k, v in arguments.items() if v is REQUIRED and k != entry.words.get(PARAMS)]
    if missing:
        raise UsageError(f"{entry.written}…) needs {', '.join(missing)}")
    reading = entry.reading(arguments)
    settings = {**_without_params(entry.settings(arguments)), **reading.fixed}
    filled = {
        k: v
        for k, v in arguments.items()
        if k not in given and (k in _own_words(entry) or k == entry.switch)
    }
    source = _Source(
        call.framework,
        entry,
        reading,
        settings,
        filled,
        params.text if isinstance(params, Code) else PARAMS if params is None else repr(params),
    )
    _check(source, text)
    return source, ", ".join(_untranslated(entry, given))


def _check(source: _Source, text: str) -> None:
    """Raise a UsageError if the class here refuses the settings."""
    zero = [torch.nn.Parameter(torch.zeros(1))]
    construct(source.reading.cls, zero, _known(source.reading, source.settings), text)


def _own_words(entry: Entry) -> set[str]:
    """The framework's arguments that have a word of ours."""
    words: set[str] = set()
    for ours, theirs in entry.words.items():
        if ours != PARAMS:
            words.update((theirs,) if isinstance(theirs, str) else theirs)
    return words


def _untranslated(entry: Entry, given: Mapping[str, Any]) -> Iterator[str]:
    """What was given besides its default and has no word."""
    known = _own_words(entry) | WITHOUT_EFFECT
    for name, value in given.items():
        if name not in known and name != entry.switch and value != entry.arguments[name]:
            yield f"{name}={value!r}"


def _without_params(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != PARAMS}


def _maker(reading: Reading, settings: Mapping[str, Any]) -> Make:
    arguments = _known(reading, settings)
    return lambda params: reading.cls(params, **arguments)


def _known(reading: Reading, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the class takes, in its order."""
    return {k: settings[k] for k in hyperparameters(reading.cls) if k in settings}


# The calls that come into question ------------------------------------------------------------


def _candidates(source: _Source, target: Framework) -> Iterator[_Candidate]:
    for entry in target.entries.values():
        for value, reading in entry.here.items():
            if _family(reading.cls) == _family(source.reading.cls):
                for settings, trick in _ways(source):
                    yield _write(entry, value, reading, settings, trick)


def _family(cls: Any) -> int:
    return next(i for i, family in enumerate(_FAMILIES) if cls in family)


def _ways(source: _Source) -> Iterator[tuple[dict[str, Any], str]]:
    """The source's settings, and those that say the same in another way, with an explanation."""
    settings = source.settings
    yield settings, ""
    if source.reading.cls is dialects.KerasAdagrad:
        start = settings["initial_accumulator_value"] + settings["eps"]
        yield (
            {**settings, "initial_accumulator_value": start, "eps": 0.0},
            "The sum starts at s₀ + ε, which puts ε into the root.",
        )
    if source.reading.cls is dialects.PaperAdamW and settings["lr"] > 0:
        yield (
            {**settings, "weight_decay": settings["weight_decay"] / settings["lr"]},
            "The target multiplies λ by lr, so λ / lr stands for λ.",
        )


def _write(
    entry: Entry, switched: Any, reading: Reading, settings: Mapping[str, Any], trick: str
) -> _Candidate:
    """The call of an optimizer of the target with these settings."""
    words = [ours for ours in entry.words if ours != PARAMS]
    chosen = {name: settings[name] for name in words if name in settings}
    for name in words:
        if name not in chosen and name in _NEUTRAL:
            chosen[name] = _NEUTRAL[name]
    arguments = {
        name: value
        for name, value in entry.arguments_of(chosen).items()
        if not _same(value, entry.arguments[name]) or name in ("lr", "learning_rate")
    }
    if entry.switch and switched != entry.arguments[entry.switch]:
        arguments[entry.switch] = switched
    missing = [
        f"has no {name}"
        for name, value in settings.items()
        if name not in (*words, *reading.fixed) and value != _NEUTRAL.get(name, value)
    ]
    refused = [name for name in entry.positive if chosen[name] <= 0]
    missing += [f"takes no {name}={chosen[name]!r}" for name in refused]
    own = {**_without_params(entry.settings({**entry.arguments, **arguments})), **reading.fixed}
    return _Candidate(entry, arguments, reading, own, tuple(missing), bool(refused), trick)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default, None meaning 0."""
    if default is REQUIRED:
        return False
    if isinstance(default, list):
        return list(value) == default
    return value == (0.0 if default is None else default)


def _rank(candidate: _Candidate, source: _Source) -> tuple[Any, ...]:
    """Best verdict first, then the latest divergence, the same name, the shortest call."""
    return (
        candidate.refused,
        VERDICTS.index(candidate.verdict),
        len(candidate.missing),
        candidate.entry.name.lower() != source.entry.name.lower(),
        candidate.trick != "",
        -(candidate.first.step if candidate.first else 0),
        len(candidate.arguments),
    )


# The answer -----------------------------------------------------------------------------------


def _answer(source: _Source, best: _Candidate, target: str) -> Translation:
    verdict, call = best.verdict, spell(best.entry, best.arguments, source.params)
    nearest = best.entry.written.partition("(")[0]
    reasons: list[str] = []
    if best.refused:
        verdict, call = IMPOSSIBLE, None
    if verdict == DIALECT and best.missing and target != "torch":
        verdict = IMPOSSIBLE
    if verdict == IMPOSSIBLE:
        reasons.append(f"{nearest} {' and '.join(best.missing)}.")
    if verdict == EXACT:
        reasons.append("Both compute the same, up to rounding.")
    if verdict == AT_CONSTANT_LR:
        reasons.append("Both compute the same, up to rounding, until lr changes.")
    if verdict not in (EXACT, IMPOSSIBLE):
        reasons += _conventions(source, best)
    if verdict == DIALECT:
        here, place = source.reading.cls.__name__, _place(source.reading.cls)
        reasons.append(f"{place}.{here} computes it here.")
        if target == "torch":
            reasons.append(f"Nearest in torch: {call}.")
            call = _here(source)
    if best.trick and verdict in (EXACT, AT_CONSTANT_LR):
        reasons.append(best.trick)
    first = None if best.refused else best.first
    return Translation(verdict, call, " ".join([*reasons, *_filled(source)]), first)


def _impossible(source: _Source, why: str) -> Translation:
    reason = why[0].upper() + why[1:]
    return Translation(IMPOSSIBLE, None, " ".join([reason, *_filled(source)]), None)


def _filled(source: _Source) -> list[str]:
    if not source.filled:
        return []
    defaults = ", ".join(f"{name}={value!r}" for name, value in source.filled.items())
    return [f"Filled in, as {source.framework}'s defaults: {defaults}."]


def _place(cls: Any) -> str:
    return "myoptim.dialects" if cls in dialects.DIALECTS.values() else "myoptim"


def _here(source: _Source) -> str:
    """The call of the class here that computes the source."""
    cls = source.reading.cls
    defaults = hyperparameters(cls)
    settings = {
        name: value
        for name, value in _known(source.reading, source.settings).items()
        if value != defaults[name] or name == "lr"
    }
    return f"{_place(cls)}.{cls.__name__}({_arguments(source.params, settings)})"


def spell(entry: Entry, arguments: Mapping[str, Any], params: str = PARAMS) -> str:
    """A call as it is written.

    Args:
        entry: the optimizer.
        arguments: by the framework's names.
        params: the code for the parameters, where the framework takes them.
    """
    takes = entry.words.get(PARAMS)
    ordered = {name: arguments[name] for name in entry.arguments if name in arguments}
    if takes is None:
        inside = _arguments(None, ordered)
    elif takes == PARAMS:
        inside = _arguments(params, ordered)
    else:
        inside = _arguments(None, ordered) + f", {takes}={params}"
    comma = ", " if inside and not entry.written.endswith("(") else ""
    return f"{entry.written}{comma}{inside})"


def _arguments(first: str | None, named: Mapping[str, Any]) -> str:
    return ", ".join([*([first] if first else []), *(f"{k}={v!r}" for k, v in named.items())])


# Why ------------------------------------------------------------------------------------------


def _conventions(source: _Source, best: _Candidate) -> list[str]:
    """What the two rules do differently: what either declares and the other does not."""
    a = _declared(source.reading, source.settings)
    b = _declared(best.reading, best.settings)
    names = source.framework, best.entry.written.partition(".")[0]
    return [
        f"In {name} {text}."
        for name, mine, others in ((names[0], a, b), (names[1], b, a))
        for text in mine
        if text not in others
    ]


def _declared(reading: Reading, settings: Mapping[str, Any]) -> Sequence[str]:
    """The conventions that matter with these settings."""
    cls: Any = reading.cls
    value = {**hyperparameters(cls), **settings}
    start = value.get("initial_scale")
    decoupled = value.get("decoupled_weight_decay", cls not in _COUPLED)
    said = [
        (value.get("momentum") and cls in _LR_IN_BUFFER, "the learning rate is in the buffer"),
        (
            value.get("momentum") and value.get("dampening") and cls is dialects.MLXSGD,
            "the first gradient is damped too",
        ),
        (value.get("eps") and _eps_in_root(cls, value), "ε is inside the root"),
        (
            value.get("eps") and cls in (dialects.KerasAdam, myoptim.RAdam),
            "ε is added before the correction",
        ),
        (value.get("eps") and cls is dialects.OptaxRAdam, "ε is added after the correction"),
        (value.get("eps") and cls is myoptim.Adamax, "ε is added to the gradient in the maximum"),
        (value.get("eps") and cls is dialects.KerasAdamax, "ε is added after the maximum"),
        (cls is myoptim.NAdam, _warm_up(value)),
        (start, f"the average of squares starts at {start}"),
        (
            cls is dialects.MLXAdam or value.get("bias_correction") is False,
            "there is no bias correction",
        ),
        (cls is dialects.OptaxAMSGrad, "the maximum is over corrected averages"),
        (value.get("amsgrad"), "the maximum is over averages before their correction"),
        (value.get("weight_decay") and cls is dialects.PaperAdamW, "λ is not multiplied by lr"),
        (
            value.get("weight_decay") and decoupled and cls is not dialects.PaperAdamW,
            "weight decay is decoupled",
        ),
        (value.get("weight_decay") and not decoupled, "weight decay joins the gradient (L2)"),
    ]
    return [text for holds, text in said if holds]


def _warm_up(value: Mapping[str, Any]) -> str:
    """How NAdam's momentum begins."""
    decay = value.get("momentum_decay")
    if decay == CONSTANT_MOMENTUM["momentum_decay"]:
        return "the momentum is constant"
    return f"the momentum warms up with ψ = {decay}"


_LR_IN_BUFFER = (dialects.KerasSGD, dialects.KerasRMSprop, dialects.TF1RMSprop)
_COUPLED = (
    *(myoptim.SGD, myoptim.Adagrad, myoptim.RMSprop, myoptim.Adam, dialects.MLXSGD),
    *(myoptim.Adadelta, myoptim.Adamax, myoptim.ASGD),
)


def _eps_in_root(cls: Any, value: Mapping[str, Any]) -> bool:
    return cls is dialects.KerasAdagrad or bool(value.get("eps_in_root", False))
