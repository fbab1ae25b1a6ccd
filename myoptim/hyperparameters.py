"""What values a hyper-parameter may have, and what an error says about a wrong one.

A range is declared once, beside the rule; constructor, parameter groups and `add_param_group` all
check against it. Messages begin as torch's do, since programs may match on them, and go on with
what is allowed and what was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

#: A parameter group: "params" and one entry per hyper-parameter and flag.
Group = dict[str, Any]

#: What may be allowed for a hyper-parameter: it raises for a value that is not.
Check = Callable[[str, Any], None]


@dataclass(frozen=True)
class Range:
    """The numbers low ≤ value ≤ high, or < where a bound is left out of the range.

    Attributes:
        low, high: the bounds; None is no bound.
        open_low, open_high: whether the bound itself is not allowed.
        optional: whether None is allowed as well.
        says: how the message about a value begins; `{name}` and `{value}` are filled in.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    optional: bool = False
    says: str = "Invalid {name} value: {value}"

    def __contains__(self, value: Any) -> bool:
        if value != value:  # NaN
            return False
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return bool(above) and bool(below)

    def describe(self, name: str) -> str:
        """The range in words, for an error message."""
        if self.low is None and self.high is None:
            return f"{name} may be any number but NaN"
        low = "" if self.low is None else f"{self.low:g} {'<' if self.open_low else '<='} "
        high = "" if self.high is None else f" {'<' if self.open_high else '<='} {self.high:g}"
        return f"allowed is {low}{name}{high}{' or None' if self.optional else ''}"

    def __call__(self, name: str, value: Any) -> None:
        """Raise unless `value` is one number in the range."""
        if value is None and self.optional:
            return
        if isinstance(value, Tensor):
            if value.numel() != 1:
                shape = tuple(value.shape)
                raise ValueError(f"Tensor {name} must be 1-element, but has shape {shape}")
        elif not hasattr(value, "__float__"):
            raise TypeError(
                f"{name} must be a number or a tensor of one element, "
                f"not {type(value).__name__}: {value!r}"
            )
        if value not in self:
            says = self.says.format(name=name, value=value)
            raise ValueError(f"{says} ({self.describe(name)})")


@dataclass(frozen=True)
class Several:
    """Several numbers in one hyper-parameter, such as `betas`, each in a range of its own.

    Attributes:
        ranges: what is allowed for each.
        form: how the hyper-parameter is written, for the message about something else.
        says: how the message about a wrong number begins, if not as its range says; `{values}` is
            filled in with all of them.
    """

    ranges: Sequence[Range]
    form: str
    says: str = ""

    def __call__(self, name: str, value: Any) -> None:
        """Raise unless `value` is a tuple or list of the right length and numbers."""
        if not isinstance(value, (tuple, list)) or len(value) != len(self.ranges):  # pyright: ignore[reportUnknownArgumentType]
            raise ValueError(f"{name} must be {self.form}, not {value!r}")
        says = self.says.format(values=", ".join(map(str, value)))  # pyright: ignore[reportUnknownArgumentType]
        for i, (allowed, number) in enumerate(zip(self.ranges, value, strict=True)):
            allowed = replace(allowed, says=says) if says else allowed
            allowed(f"{name}[{i}]", number)


@dataclass(frozen=True)
class OneOf:
    """One of some values.

    Attributes:
        values: what is allowed.
        says: how the message begins; `{name}` and `{value}` are filled in.
    """

    values: Sequence[Any] = field(default_factory=tuple)
    says: str = "Invalid {name} value: {value}"

    def __call__(self, name: str, value: Any) -> None:
        """Raise unless `value` is one of the values."""
        if value not in self.values:
            allowed = ", ".join(map(repr, self.values))
            says = self.says.format(name=name, value=value)
            raise ValueError(f"{says} (allowed for {name} are {allowed})")


ANY_NUMBER = Range()
AT_LEAST_ZERO = Range(0.0)
ZERO_TO_ONE = Range(0.0, 1.0, open_high=True)
LEARNING_RATE = Range(0.0, says="Invalid learning rate: {value}")
EPSILON = Range(0.0, says="Invalid epsilon value: {value}")


def beta(index: int, open_low: bool = False) -> Range:
    """What one of several decay rates may be: in [0, 1), or in (0, 1) with `open_low`."""
    says = f"Invalid beta parameter at index {index}: {{value}}"
    return Range(0.0, 1.0, open_low=open_low, open_high=True, says=says)


BETAS = Several([beta(0), beta(1)], "a pair (beta1, beta2)")


def without_dimensions(value: Any) -> Any:
    """A tensor of one element as one of no dimensions; anything else, and None, as it is."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(without_dimensions, value))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value.squeeze() if isinstance(value, Tensor) else value


def real(name: str, value: Any) -> Any:
    """A number or a tensor as it is; a complex number as the real one that it stands for.

    Raises:
        RuntimeError: a schedule has made a complex number of it.
    """
    if not isinstance(value, complex):
        return value
    if value.imag:
        raise RuntimeError(f"{name} must be a real number, not {value}")
    return value.real


def start_value(name: str, group: Group) -> Any:
    """A hyper-parameter that something in the state starts with."""
    return without_dimensions(real(name, group[name]))
