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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from myoptim import dialects
from myoptim.lab.agreement import Agreement, Make, agreement, telling_schedule
from myoptim.lab.compare import Divergence
from myoptim.lab.conventions import declared, relatives, ways
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.frameworks.calls import Call, Code, bind, parse
from myoptim.lab.frameworks.dictionary import (
    FRAMEWORKS,
    NEUTRAL,
    NOT_HERE,
    PARAMS,
    REQUIRED,
    Entry,
    Framework,
    Reading,
)
from myoptim.lab.resolve import construct, hyperparameters, takes_vectors

EXACT = "exact"
AT_CONSTANT_LR = "exact at constant lr"
DIALECT = "dialect"
IMPOSSIBLE = "impossible"
VERDICTS = (EXACT, AT_CONSTANT_LR, DIALECT, IMPOSSIBLE)
"""From best to worst."""

TARGETS = tuple(name for name in FRAMEWORKS if name != "myoptim")
"""What can be translated to."""


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
        if not constant.telling:
            raise UsageError(
                "with these settings no parameter moves, or one leaves the range of float64, so "
                "that nothing can be found by running them; give everyday ones"
            )
        changing = self._run(source, lr_changes=True)
        if changing.first is not None:
            return replace(self, verdict=AT_CONSTANT_LR, first=changing.first)
        return replace(self, verdict=EXACT)

    def _run(self, source: _Source, *, lr_changes: bool) -> Agreement:
        epsilons = [*_epsilons(source.settings), *_epsilons(self.settings)]
        matrices = not (takes_vectors(source.reading.cls) and takes_vectors(self.reading.cls))
        schedule = telling_schedule(epsilons, lr_changes=lr_changes, matrices=matrices)
        return agreement(source.make(), _maker(self.reading, self.settings), schedule)


def _epsilons(settings: Mapping[str, Any]) -> list[float]:
    """The ε that stands beside gradients, of several the first, unless the type chooses it."""
    eps = settings.get("eps")
    eps = eps[0] if isinstance(eps, tuple) else eps
    return [] if eps is None else [eps]


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
    read = parse(call)
    if read.name in FRAMEWORKS[read.framework].others:
        return _without_row(read, FRAMEWORKS[target])
    source, untranslated = _read(read, call)
    if untranslated:
        return _impossible(source, f"Nothing here computes {untranslated}.")
    candidates = list(_candidates(source, FRAMEWORKS[target]))
    if not candidates:
        return _unlike(source, FRAMEWORKS[target])
    judged = [candidate.judged(source) for candidate in candidates]
    best = min(judged, key=lambda candidate: _rank(candidate, source))
    return _answer(source, best, target)


# Reading --------------------------------------------------------------------------------------


def _read(call: Call, text: str) -> tuple[_Source, str]:
    """The call's meaning here, and the arguments given that nothing here computes."""
    framework = FRAMEWORKS[call.framework]
    if call.name not in framework.entries:
        known = (*framework.entries, *framework.others)
        raise unknown(f"optimizer of {call.framework}", call.name, known)
    entry = framework.entries[call.name]
    given = bind(entry, call)
    params = given.pop(str(entry.words.get(PARAMS, PARAMS)), None)
    arguments = {**entry.arguments, **given}
    missing = [k for k, v in arguments.items() if v is REQUIRED and k != entry.words.get(PARAMS)]
    if missing:
        raise UsageError(f"{entry.written}…) needs {', '.join(missing)}")
    reading = entry.reading(arguments)
    settings = {**_without_params(entry.settings(arguments)), **reading.fixed}
    filled = {k: v for k, v in arguments.items() if k not in given and k in entry.read}
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
    zero = [torch.nn.Parameter(torch.zeros(2, 2))]
    construct(source.reading.cls, zero, _known(source.reading, source.settings), text)


def _untranslated(entry: Entry, given: Mapping[str, Any]) -> Iterator[str]:
    """What was given besides its default and has no word."""
    known = entry.read | entry.without_effect
    for name, value in given.items():
        if name not in known and value != entry.arguments[name]:
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
            if relatives(reading.cls, source.reading.cls):
                for settings, trick in ways(source.reading.cls, source.settings):
                    yield _write(entry, value, reading, settings, trick)


def _write(
    entry: Entry, switched: Any, reading: Reading, settings: Mapping[str, Any], trick: str
) -> _Candidate:
    """The call of an optimizer of the target with these settings."""
    words = [ours for ours in entry.words if ours != PARAMS]
    chosen = {name: settings[name] for name in words if name in settings}
    for name in words:
        if name not in chosen and name in NEUTRAL:
            chosen[name] = NEUTRAL[name]
    arguments = {
        name: value
        for name, value in entry.arguments_of(chosen).items()
        if not _same(value, entry.arguments[name]) or name == entry.words["lr"]
    }
    if entry.switch and switched != entry.arguments[entry.switch]:
        arguments[entry.switch] = switched
    missing = [
        f"has no {name}"
        for name, value in settings.items()
        if name not in (*words, *reading.fixed) and value != NEUTRAL.get(name, value)
    ]
    refused = [name for name in entry.positive if chosen[name] <= 0]
    missing += [f"takes no {name}={chosen[name]!r}" for name in refused]
    own = {**_without_params(entry.settings({**entry.arguments, **arguments})), **reading.fixed}
    return _Candidate(entry, arguments, reading, own, tuple(missing), bool(refused), trick)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the default, whose None means 0, or says nothing."""
    if default is REQUIRED:
        return False
    if isinstance(default, list):
        return list(value) == default
    silent = value is None or (isinstance(value, tuple) and None in value)
    return silent or value == (0.0 if default is None else default)


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
    nearest = best.entry.place
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
    reasons += [entry.remark for entry in (source.entry, best.entry) if entry.remark]
    first = None if best.refused else best.first
    return Translation(verdict, call, " ".join([*reasons, *_filled(source)]), first)


def _impossible(source: _Source, why: str) -> Translation:
    return Translation(IMPOSSIBLE, None, " ".join([why, *_filled(source)]), None)


def _unlike(source: _Source, target: Framework) -> Translation:
    """The answer where no rule of the target could stand for the source's."""
    cls, other = source.reading.cls, _namesake(source.entry.name, target)
    why = f"{target.name} has no optimizer of this kind."
    if other and other in target.others:
        why = f"{target.places[0]}.{other} has that name, but {target.others[other]}."
    elif other:
        why = f"{target.places[0]}.{other} has that name only: it computes something else."
    if target.name != "torch":
        return _impossible(source, why)
    reasons = [why, f"{_place(cls)}.{cls.__name__} computes it here.", *_filled(source)]
    return Translation(DIALECT, _here(source), " ".join(reasons), None)


def _without_row(call: Call, target: Framework) -> Translation:
    """The answer about an optimizer that nothing here can be compared with."""
    framework = FRAMEWORKS[call.framework]
    why = framework.others[call.name]
    reasons = [f"{call.name} of {framework.name} is not translated: {why}."]
    other = _namesake(call.name, target)
    if other and why == NOT_HERE:
        reasons.append(
            f"{target.name} has an optimizer of that name: where both are installed, "
            f"myoptim compare {_spec(framework, call.name)} {_spec(target, other)} runs the two."
        )
    return Translation(IMPOSSIBLE, None, " ".join(reasons), None)


def _namesake(name: str, framework: Framework) -> str | None:
    """What a framework calls an optimizer of that name, whatever the case."""
    names = {_bare(known): known for known in (*framework.others, *framework.entries)}
    return names.get(_bare(name))


def _bare(name: str) -> str:
    return name.lower().replace("_", "").removesuffix("optimizer")


def _spec(framework: Framework, name: str) -> str:
    """An optimizer as `compare` takes it."""
    return f"torch.optim:{name}" if framework.name == "torch" else f"{framework.name}:{name}"


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
    a = declared(source.reading.cls, source.settings)
    b = declared(best.reading.cls, best.settings)
    names = source.framework, best.entry.written.partition(".")[0]
    return [
        f"In {name} {text}."
        for name, mine, others in ((names[0], a, b), (names[1], b, a))
        for text in mine
        if text not in others
    ]
