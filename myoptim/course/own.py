"""A teacher's own optimizers and mistakes, in one Python file that `course.toml` names.

The file is trusted: it is the teacher's, and runs as any module does. It has a docstring, a class
for each optimizer on top of `Frame`, with the rule as a solution has it, and two lists::

    OPTIMIZERS = (Own(Adamax, amplified={"betas": (0.6, 0.8)}),)
    MISTAKES = (
        Mistake(
            "adamax-no-correction", ("Adamax",), "What such code does.", "A question?",
            (form("lr / (1 - beta1**t)", "lr"),),
        ),
    )

From then on they are optimizers and mistakes of the course like all others: checked, graded,
audited, handed out. Mistakes that every optimizer can have (a closure that is not called, state
that is shared) need not be written again: those that can be made in the teacher's solution, and
that show, are taken from the catalogue.
"""

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from myoptim.course.exercise import Probe, Record, accepted, constructor, described, exercise, fits
from myoptim.course.mistakes import (
    ALL,
    CATALOGUE,
    CONTRACT,
    RULE,
    SOLUTIONS,
    Mistake,
    build,
    form,
    forms,
    source,
)
from myoptim.course.probes import EVERY_OPTION, HYPER_PARAMETERS, VARIANTS, bank
from myoptim.course.solutions.frame import Frame
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.prescribed import AMPLIFIED

__all__ = ["Frame", "Mistake", "Own", "form", "register"]

COMMON: dict[str, Any] = {
    "lr": 0.1,
    "betas": (0.6, 0.8),
    "eps": 0.1,
    "alpha": 0.7,
    "momentum": 0.6,
}
"""Values at which every term counts, for hyper-parameters that go by these names."""

SWITCHES: dict[str, dict[str, Any]] = {"weight decay": {"weight_decay": 0.2}}
"""Settings that are off in the amplified ones, and on in a variant of their own."""

SEED = 0
"""Of the probes by which a mistake is told from its solution when it is registered."""


@dataclass(frozen=True)
class Own:
    """An optimizer of a teacher's.

    Attributes:
        solution: the right class, derived from `Frame`; it has the name that students use.
        amplified: values for the probes, at which every term counts. No two should be equal or
            each other's complement. `lr`, `betas`, `eps`, `alpha` and `momentum` have some.
        variants: further settings by name, each put on top of those. By default one with weight
            decay, and one for every flag of the constructor.
    """

    solution: type[Any]
    amplified: dict[str, Any] = field(default_factory=dict[str, Any])
    variants: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


_registered: dict[Path, str] = {}
"""The files that were taken in, each with the digest of its text."""


def register(path: Path) -> None:
    """Take in a teacher's file; twice is once.

    Raises:
        UsageError: it cannot be run, or something in it cannot be used; the message says what.
    """
    path = path.resolve()
    try:
        digest = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if digest in _registered.values():  # a copy is the same
        return
    if path in _registered:
        raise UsageError(f"{path.name} has changed since it was read: start again")
    module = _loaded(path)
    owns, mistakes = _contents(module)
    for own in owns:
        _add_optimizer(own, module)
    for mistake in mistakes:
        _add_mistake(mistake, {own.solution.__name__ for own in owns})
    _registered[path] = digest


def _loaded(path: Path) -> ModuleType:
    name = f"course_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where inspect and pickle look a class's module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path.name} raised {type(error).__name__}: {error}") from error
    return module


def _contents(module: ModuleType) -> tuple[tuple[Own, ...], tuple[Mistake, ...]]:
    name = Path(str(module.__file__)).name
    owns: tuple[Any, ...] = tuple(getattr(module, "OPTIMIZERS", ()))
    mistakes: tuple[Any, ...] = tuple(getattr(module, "MISTAKES", ()))
    if not owns or not all(isinstance(own, Own) for own in owns):
        raise UsageError(f"{name} must have OPTIMIZERS = (Own(…), …); got {owns!r}")
    if not all(isinstance(mistake, Mistake) for mistake in mistakes):
        raise UsageError(f"{name}: MISTAKES must be a list of Mistake(…); got {mistakes!r}")
    if not module.__doc__:
        raise UsageError(f"{name} must begin with a docstring: it heads the solution's text")
    return owns, mistakes


def _add_optimizer(own: Own, module: ModuleType) -> None:
    cls = own.solution
    name = cls.__name__
    if name in SOLUTIONS:
        raise UsageError(f"{name} is an optimizer of the course already: choose another name")
    if not issubclass(cls, Frame) or cls.__module__ != module.__name__:
        raise UsageError(f"{name} must be a class of this file, with Frame as its base")
    parameters = constructor(cls)
    amplified = _amplified(own, {key: one.default for key, one in parameters.items()})
    SOLUTIONS[name] = module
    HYPER_PARAMETERS[name] = tuple(parameters)
    AMPLIFIED[name] = amplified
    VARIANTS[name] = _variants(own, parameters)
    EVERY_OPTION[name] = _together(cls, amplified, VARIANTS[name])
    try:
        for _, record in _right(name):
            if record.error is not None:
                raise RuntimeError(described(record.error))
    except Exception as error:
        for table in (SOLUTIONS, HYPER_PARAMETERS, AMPLIFIED, VARIANTS, EVERY_OPTION):
            del table[name]
        raise UsageError(
            f"the solution {name} does not run by itself, without the rest of its file: "
            f"{type(error).__name__}: {error}"
        ) from error
    for family in (RULE, CONTRACT):
        for index, mistake in enumerate(family):
            if set(ALL) <= set(mistake.optimizers):
                both = replace(mistake, optimizers=(*mistake.optimizers, name))
                if next(_shown(both, name), False):
                    family[index] = CATALOGUE[mistake.id] = both


def _amplified(own: Own, defaults: dict[str, Any]) -> dict[str, Any]:
    for key in own.amplified:
        if key not in defaults:
            raise unknown(f"hyper-parameter of {own.solution.__name__}", key, defaults)
    values = {key: COMMON[key] for key in defaults if key in COMMON} | own.amplified
    off = {key for setting in SWITCHES.values() for key in setting}
    for key, default in defaults.items():
        if key not in values and key not in off and not isinstance(default, bool):
            raise UsageError(
                f"amplified of {own.solution.__name__} must have a value for {key}, at which it "
                f"counts; its default is {default!r}"
            )
    return values


def _variants(own: Own, parameters: Iterable[str]) -> dict[str, dict[str, Any]]:
    defaults = {key: one.default for key, one in constructor(own.solution).items()}
    switches = {name: s for name, s in SWITCHES.items() if set(s) <= set(parameters)}
    flags = {
        key: {key: True}
        for key, default in defaults.items()
        if isinstance(default, bool) and key != "maximize"
    }
    return {"basic": {}} | switches | flags | own.variants


def _together(
    cls: type, amplified: dict[str, Any], variants: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """As many of the variants' settings as the class takes at once, each once."""
    options: dict[str, Any] = {}
    for setting in variants.values():
        more = {key: value for key, value in setting.items() if value} | options
        try:
            cls([torch.zeros(1, requires_grad=True)], **amplified | more)
        except (TypeError, ValueError):
            continue
        options = more
    return options


def _add_mistake(mistake: Mistake, names: set[str]) -> None:
    if mistake.id in CATALOGUE:
        raise UsageError(f"there is a mistake {mistake.id} already: choose another id")
    for optimizer in mistake.optimizers:
        if optimizer not in names:
            raise unknown(f"optimizer of {mistake.id}", optimizer, names)
        for edits in mistake.forms:
            for old, _ in edits:
                if source(optimizer).count(old) != 1:
                    raise UsageError(
                        f"{mistake.id}: {old!r} must stand once in the solution of {optimizer}; "
                        f"it stands {source(optimizer).count(old)} times"
                    )
        if not all(_shown(mistake, optimizer)):
            raise UsageError(
                f"{mistake.id}: on every probe, {optimizer} does what it does without it, so "
                "nobody could be told to have made it"
            )
    RULE.append(mistake)
    CATALOGUE[mistake.id] = mistake


def _shown(mistake: Mistake, optimizer: str) -> Iterator[bool]:
    """Whether each form of it that can be made gives other records than the solution.

    An edit of a method that the teacher's class does not use changes nothing.
    """
    for text in forms(mistake, optimizer):
        cls = build(text, optimizer)
        names = accepted(cls, HYPER_PARAMETERS[optimizer])["names"]
        yield any(exercise(cls, probe, names) != right for probe, right in _right(optimizer))


@cache
def _right(optimizer: str) -> list[tuple[Probe, Record]]:
    """What the solution does on each probe."""
    cls = build(source(optimizer), optimizer)
    names = accepted(cls, HYPER_PARAMETERS[optimizer])["names"]
    probes = bank(optimizer, SEED).probes
    return [(probe, exercise(cls, probe, names)) for probe in probes if fits(probe, names)]


def handout(optimizer: str) -> str:
    """What students are told of a teacher's optimizer: its class's docstring."""
    text = inspect.cleandoc(vars(SOLUTIONS[optimizer])[optimizer].__doc__ or "")
    return f"\n## {optimizer}\n\n{text}\n"
