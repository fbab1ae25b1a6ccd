"""What a teacher decides: optimizers, points, accepted dialects, hints, seed, limits."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from myoptim.course.mistakes import SOLUTIONS, find
from myoptim.course.own import register
from myoptim.course.sandbox import Limits
from myoptim.lab.errors import UsageError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

CRITERIA: dict[str, str] = {
    "load": "the file loads and has the class",
    "policy": "the work is its own, and harmless",
    "run": "it runs to the end, within its limits",
    "signature": "the constructor takes what it should",
    "in_place": "the model's own parameters move",
    "no_grad": "the step is not recorded by autograd",
    "rule": "the update rule",
    "lr": "a changed learning rate takes effect",
    "groups": "parameter groups",
    "missing": "parameters without a gradient",
    "gradients": "gradients are left alone",
    "state": "state belongs to its parameter, and is saved",
    "closure": "the closure",
    "counter": "counting in bfloat16",
}
"""What is judged, in this order."""

STYLES = ("replaces-data",)
"""Ways to write right code that a course may forbid."""

KEYS = (
    *("optimizers", "points", "accept", "hints", "seed", "strict", "limits", "forbid"),
    *("helpers", "own"),
)
"""Of a course.toml."""

HINT_LEVELS = ("none", "hint", "name")


LEAST_LIMITS = {
    "cpu_seconds": 1.0,
    "sleep_seconds": 1.0,
    "wall_seconds": 10.0,
    "memory_mb": 1024.0,
    "file_kb": 0.0,
}
"""Below these, a right submission cannot come through."""


def default_points() -> dict[str, float]:
    """One hundred: thirty-five for the rule, five for each of the others."""
    return dict.fromkeys(CRITERIA, 5.0) | {"rule": 35.0}


@dataclass(frozen=True)
class Settings:
    """A course's settings.

    Attributes:
        optimizers: those that students write.
        points: points of each criterion; one of 0 points is looked at, but decides nothing.
        accept: ids of dialects that pass.
        hints: what a student is told about a wrong rule: "none" (where it first differs), "hint"
            (a question, too), "name" (the mistake's id, too).
        seed: of the prescribed gradients; None takes another one each time, so that nobody can
            write an answer for known gradients.
        strict: whether what a class does not offer (groups, state_dict, closure) counts against it.
        limits: of a submission's process.
        forbid: of `STYLES`, those that do not pass.
        helpers: names of files that may lie beside a submission, and be imported by it.
        isolation: a key of `isolation.WAYS`, or "" for none; None takes the best there is.

    Raises:
        UsageError: no grade could come of them; the message says why.
    """

    optimizers: tuple[str, ...] = tuple(SOLUTIONS)
    points: dict[str, float] = field(default_factory=default_points)
    accept: tuple[str, ...] = ()
    hints: str = "name"
    seed: int | None = None
    strict: bool = False
    limits: Limits = field(default_factory=Limits)
    forbid: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    isolation: str | None = None

    def __post_init__(self) -> None:
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UsageError(f"seed must be from 0 to 2**63 - 1; got {self.seed}")
        if not self.optimizers:
            raise UsageError("optimizers must name one or more: nothing would be graded")
        if not sum(self.points.values()):
            raise UsageError("points must be more than 0 in all: nobody could earn any")
        for name, least in LEAST_LIMITS.items():
            given = getattr(self.limits, name)
            if not least <= given < math.inf:
                raise UsageError(
                    f"limits.{name} must be {least:g} or more, or no submission could pass; "
                    f"got {given:g}"
                )


def check_accepted(ids: Iterable[str]) -> tuple[str, ...]:
    """The ids, if all are dialects.

    Raises:
        UsageError: one is unknown, or a bug by everybody's definition.
    """
    ids = tuple(ids)
    for name in ids:
        if not find(name).is_dialect:
            raise UsageError(f"{name} is a bug, not a dialect: it cannot be accepted")
    return ids


def check_optimizer(name: str) -> str:
    """The optimizer's own name, whatever the case it is given in.

    Raises:
        UsageError: the course has no such optimizer; the message names the nearest.
    """
    by_lower = {known.lower(): known for known in SOLUTIONS}
    if name.lower() not in by_lower:
        raise unknown("optimizer", name, SOLUTIONS)
    return by_lower[name.lower()]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def own_name(path: Path) -> str:
    """The file of the teacher's own optimizers that a course.toml names; "" if it names none.

    Raises:
        UsageError: it cannot be read, or names it by something else than a string.
    """
    own: Any = _toml(path).get("own", "")
    if not isinstance(own, str):
        raise UsageError(f"own must be the name of a file; got {own!r}")
    return own


def read_settings(path: Path) -> Settings:
    """Read a `course.toml`.

    Raises:
        UsageError: it cannot be read, or a key or value is not allowed.
    """
    data = _toml(path)
    _only(data, KEYS, path.name)
    own = own_name(path)
    if own:
        register(path.parent / own)
    points = {name: _number(f"points.{name}", value) for name, value in _table(data, "points")}
    limits = {name: _number(f"limits.{name}", value) for name, value in _table(data, "limits")}
    _only(points, CRITERIA, f"{path.name} [points]")
    _only(limits, [f.name for f in fields(Limits)], f"{path.name} [limits]")
    seed, hints, strict = data.get("seed"), data.get("hints", "name"), data.get("strict", False)
    forbid = _strings(data, "forbid")
    for name in forbid:
        if name not in STYLES:
            raise unknown("style to forbid", name, STYLES)
    if hints not in HINT_LEVELS:
        raise UsageError(f"hints must be one of {', '.join(HINT_LEVELS)}; got {hints!r}")
    if (seed is not None and type(seed) is not int) or type(strict) is not bool:
        raise UsageError(
            f"seed must be an integer and strict true or false; got {seed!r}, {strict!r}"
        )
    listed = _strings(data, "optimizers")
    return Settings(
        optimizers=tuple(map(check_optimizer, listed))
        if "optimizers" in data
        else Settings().optimizers,
        points=default_points() | points,
        accept=check_accepted(_strings(data, "accept")),
        hints=hints,
        seed=seed,
        strict=strict,
        limits=Limits(**limits),
        forbid=tuple(forbid),
        helpers=_helpers(data),
    )


def chosen(config: Path | None, accept: Iterable[str] | None, seed: int | None) -> Settings:
    """The settings of a course.toml, or the default ones, with what was given besides."""
    settings = Settings() if config is None else read_settings(config)
    return replace(
        settings,
        accept=(*settings.accept, *check_accepted(accept or ())),
        seed=settings.seed if seed is None else seed,
    )


def _helpers(data: dict[str, Any]) -> tuple[str, ...]:
    names = _strings(data, "helpers")
    for name in names:
        if name != Path(name).name or not Path(name).stem.isidentifier() or name[-3:] != ".py":
            raise UsageError(f"helpers must be names of Python files, as 'ours.py'; got {name!r}")
    return tuple(names)


def _only(given: Iterable[str], allowed: Iterable[str], where: str) -> None:
    for name in given:
        if name not in allowed:
            raise unknown(f"key in {where}", name, allowed)


def _table(data: dict[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    table: Any = data.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{name} must be a table; got {table!r}")
    return table.items()  # pyright: ignore[reportUnknownVariableType]


def _strings(data: dict[str, Any], name: str) -> list[str]:
    values: Any = data.get(name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):  # pyright: ignore[reportUnknownVariableType]
        raise UsageError(f"{name} must be a list of names; got {values!r}")
    return values  # pyright: ignore[reportUnknownVariableType]


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise UsageError(f"{name} must be a number, 0 or more; got {value!r}")
    return value
