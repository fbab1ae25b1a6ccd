"""What is in a checkpoint of an optimizer, whether it is whole, and how it differs from another.

>>> import torch
>>> import myoptim
>>> from tempfile import TemporaryDirectory
>>> weight = torch.ones(3, requires_grad=True)
>>> optimizer = myoptim.Adam([("weight", weight)])
>>> weight.sum().backward()
>>> optimizer.step()
>>> del optimizer.state[weight]["exp_avg_sq"]
>>> with TemporaryDirectory() as folder:
...     path = Path(folder) / "run.pt"
...     torch.save({"epoch": 1, "optimizer": optimizer.state_dict()}, path)
...     print(examine(path).findings)
['missing: exp_avg_sq of weight']

A finding is what is wrong by itself: state that is lost, not finite, or in another order. What two
checkpoints of one run must differ in, once it has gone on, is told and is no finding.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import myoptim
from myoptim.lab.errors import UsageError
from myoptim.lab.matching import Match, match_params
from myoptim.lab.resolve import load_object, user_code
from myoptim.lab.saved import Saved, SavedParam, flat_numbers, read_optimizers
from myoptim.lab.tables import as_html
from myoptim.lab.values import counted, shown, some
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

_FEW = 4  # of a tensor with fewer elements these are shown, of others the shape
_CHUNK = 2**22  # so many numbers are looked at together


# What is in it --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Buffer:
    """What all parameters' buffers of one name hold.

    Attributes:
        name: as in the state.
        count: how many parameters have it.
        dtypes: of how many parameters it has which type; Python's numbers are "number".
        low: the smallest finite number; NaN where there is none.
        high: the largest.
        not_finite: labels of the parameters in which some number is NaN or infinite.
        zero: labels of the parameters in which every number is 0.
    """

    name: str
    count: int
    dtypes: dict[str, int]
    low: float
    high: float
    not_finite: list[str]
    zero: list[str]

    def row(self) -> list[str]:
        """The cells of a table."""
        alone = len(self.dtypes) == 1
        kinds = (name if alone else f"{name} x{count:,}" for name, count in self.dtypes.items())
        ends = ["" if math.isnan(end) else shown(end) for end in (self.low, self.high)]
        return [self.name, f"{self.count:,}", ", ".join(kinds), *ends]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "parameters": self.count,
            "dtypes": self.dtypes,
            "low": self.low,
            "high": self.high,
            "not_finite": self.not_finite,
        }


@dataclass(frozen=True)
class Contents:
    """What a checkpoint has of one optimizer.

    Attributes:
        saved: the groups and the states.
        cls: the optimizer of ours that it is one of; None if of none.
        buffers: by name.
    """

    saved: Saved
    cls: type[Any] | None
    buffers: dict[str, Buffer]

    @property
    def kind(self) -> str:
        """What to call its class, of ours and of torch's."""
        if self.cls is None:
            return "of no class known here"
        twin = declaration_of(self.cls).twin
        theirs = f"torch.optim.{twin.__name__}" if twin else "torch has none"
        return f"{self.cls.__name__} ({theirs})"

    @property
    def steps(self) -> tuple[float, float]:
        """The fewest and the most that any parameter has made; -1 where they are not counted."""
        counters = list(declaration_of(self.cls).numbers)[:1]
        found = [self.buffers[name] for name in counters if name in self.buffers]
        return (found[0].low, found[0].high) if found else (-1.0, -1.0)

    def headline(self) -> str:
        """Its class and how much there is."""
        params = counted(len(self.saved.params), "parameter")
        size = f"{params} in {counted(len(self.saved.groups), 'group')}"
        names = "" if self.saved.named else ", without names"
        return f"{self.saved.place}: {self.kind}, {size}{names}"

    def groups(self) -> list[str]:
        """A line for each group: how many parameters and the hyper-parameters."""
        return [
            f"group {number}, {counted(self._size(number), 'parameter')}: {_in_words(group)}"
            for number, group in enumerate(self.saved.groups)
        ]

    def _size(self, group: int) -> int:
        return sum(param.group == group for param in self.saved.params)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column headings and a row for each buffer."""
        headings = ["buffer", "parameters", "dtype", "smallest", "largest"]
        return headings, [buffer.row() for buffer in self.buffers.values()]

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON; without the buffers' numbers."""
        return {
            "place": self.saved.place,
            "optimizer": self.cls.__name__ if self.cls else None,
            "groups": [
                {
                    "settings": {key: _plain(value) for key, value in group.items()},
                    "parameters": [p.label for p in self.saved.params if p.group == number],
                }
                for number, group in enumerate(self.saved.groups)
            ],
            "buffers": {name: buffer.as_dict() for name, buffer in self.buffers.items()},
        }


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_plain(value)!r}" for key, value in settings.items())


def _plain(value: Any) -> Any:
    """A setting without tensors and other things that JSON has not."""
    if isinstance(value, Tensor):
        return value.tolist() if value.numel() < _FEW else str(tuple(value.shape))
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)


def contents(saved: Saved) -> Contents:
    """Look at all numbers, and find out whose they are."""
    names = dict.fromkeys(name for param in saved.params for name in param.state)
    buffers = {name: _buffer(name, saved.params) for name in names}
    return Contents(saved, recognise(saved), buffers)


def _buffer(name: str, params: Sequence[SavedParam]) -> Buffer:
    found = Buffer(name, 0, {}, math.nan, math.nan, [], [])
    count, low, high = 0, math.inf, -math.inf
    for param in params:
        for value in _values(param.state.get(name)):
            count += 1
            dtype = (
                str(value.dtype).removeprefix("torch.") if isinstance(value, Tensor) else "number"
            )
            found.dtypes[dtype] = found.dtypes.get(dtype, 0) + 1
            ends = _ends(value)
            low, high = min(low, ends[0]), max(high, ends[1])
            if not ends[2] and param.label not in found.not_finite:
                found.not_finite.append(param.label)
            if ends[0] == ends[1] == 0 and ends[2]:
                found.zero.append(param.label)
    if low > high:
        low = high = math.nan
    return Buffer(name, count, found.dtypes, low, high, found.not_finite, found.zero)


def _values(value: Any) -> list[Any]:
    """The tensors and numbers in an entry of the state."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, Tensor | int | float)]


def _ends(value: Tensor | float) -> tuple[float, float, bool]:
    """The smallest and the largest finite number, and whether there are no others."""
    if not isinstance(value, Tensor):
        finite = math.isfinite(value)
        return (value, value, True) if finite else (math.inf, -math.inf, False)
    low, high, finite = math.inf, -math.inf, True
    for chunk in flat_numbers(value).split(_CHUNK):
        chunk = chunk if chunk.dtype.is_floating_point and chunk.itemsize > 1 else chunk.double()
        good = chunk.isfinite()
        finite = finite and bool(good.all())
        kept = chunk if finite else chunk[good]
        if kept.numel():
            ends = kept.aminmax()
            low, high = min(low, ends.min.item()), max(high, ends.max.item())
    return low, high, finite


# Whose it is ----------------------------------------------------------------------------------


def recognise(saved: Saved) -> type[Any] | None:
    """The optimizer that the groups and states fit best, of those whose arguments are all there.

    `torch.optim`'s Adam is `Adam` here: their checkpoints are the same.
    """
    ranked = [
        (distance, place, cls)
        for place, cls in enumerate(myoptim.OPTIMIZERS.values())
        if (distance := _distance(saved, cls)) is not None
    ]
    return min(ranked, key=lambda row: row[:2])[2] if ranked else None


def _distance(saved: Saved, cls: type[Any]) -> tuple[int, int] | None:
    """How many keys a class would not expect or miss, then how many flags are not its defaults.

    None where it lacks a number or is one that the class's constructor fixes otherwise.
    """
    defaults = _defaults(cls)
    later = declaration_of(cls).later
    arguments = inspect.signature(cls).parameters
    strange = flags = 0
    for group in saved.groups:
        for name, default in defaults.items():
            flag = isinstance(default, bool | None)
            if name not in group:
                if not (flag or name in later):
                    return None
                strange += 1
            elif flag and group[name] != default:
                if name not in arguments:
                    return None
                flags += 1
        strange += sum(name not in defaults for name in group)
    kinds = {(param.group, tuple(param.state), param.shape): param for param in saved.params}
    for param in kinds.values():
        missing, unexpected = _missing(param, saved, cls)
        strange += len(missing) + len(unexpected) if param.state else 0
    return strange, flags


@functools.cache
def _defaults(cls: type[Any]) -> dict[str, Any]:
    """A group of the class, as it is by default."""
    (group,) = cls([torch.zeros(2, 2)]).param_groups
    return {name: value for name, value in group.items() if name != "params"}


def _missing(param: SavedParam, saved: Saved, cls: type[Any]) -> tuple[list[str], list[str]]:
    """Which entries the class's state has and this one lacks, and the other way round."""
    declared = declaration_of(cls)
    if declared.rule is None:
        return [], []
    group = {**_defaults(cls), **saved.groups[param.group]}
    shapes = [(2,), (2, 2)] if param.shape is None else [param.shape]
    choices: list[tuple[list[str], list[str]]] = []
    for shape in shapes:
        tensor = torch.empty(shape, device="meta")
        expected = [*declared.numbers, *declared.buffer_names(tensor, group)]
        missing = [name for name in expected if name not in param.state]
        choices.append((missing, [name for name in param.state if name not in expected]))
    return min(choices, key=lambda choice: len(choice[0]) + len(choice[1]))


# What is wrong with it ------------------------------------------------------------------------


@dataclass
class Checkup:
    """What was found in one checkpoint, or in two.

    Attributes:
        path: the file.
        other: the file that it was compared with, if it was.
        contents: of each optimizer in the file.
        others: of each optimizer in the other file.
        findings: what is wrong, a sentence each.
        notes: what else to know.
    """

    path: str
    other: str | None
    contents: list[Contents]
    others: list[Contents]
    findings: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def verdict(self) -> str:
        """The findings counted."""
        return f"{counted(len(self.findings), 'finding')}." if self.findings else "All is well."

    def files(self) -> list[tuple[str, list[Contents]]]:
        """What to call each file, and its contents."""
        if self.other is None:
            return [(self.path, self.contents)]
        return [(f"A = {self.path}", self.contents), (f"B = {self.other}", self.others)]

    def sentences(self) -> list[str]:
        """The findings, then the notes, then the verdict."""
        return [
            *(f"Finding: {finding}." for finding in self.findings),
            *(f"Note: {note}." for note in self.notes),
            self.verdict,
        ]

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "fine": self.fine,
            "findings": self.findings,
            "notes": self.notes,
            "files": [
                {"path": path, "optimizers": [found.as_dict() for found in all_of_it]}
                for path, all_of_it in ((self.path, self.contents), (self.other, self.others))
                if path is not None
            ],
        }

    def __repr__(self) -> str:
        files = f"{self.path} and {self.other}" if self.other else self.path
        return f"<checkup of {files}: {self.verdict.removesuffix('.')}>"

    def _repr_html_(self) -> str:
        parts = [
            as_html(f"{path}{found.headline()}", *found.table(), notes=found.groups())
            for path, all_of_it in self.files()
            for found in all_of_it
        ]
        return "\n".join([*parts, as_html("", [], [], notes=self.sentences())])


def examine(
    path: Path | str, other: Path | str | None = None, *, model: str | torch.nn.Module | None = None
) -> Checkup:
    """Look at a checkpoint, and at what differs from another.

    Args:
        path: a file of `torch.save`: an optimizer's state_dict, or one anywhere in a training
            checkpoint.
        other: a second one.
        model: whose parameters the optimizer has: a module, or `module:factory`,
            `file.py:factory` where the factory makes one without arguments.

    Raises:
        UsageError: a file cannot be read safely or has no optimizer's state, or there is no such
            model.
    """
    checkup = Checkup(
        str(path),
        None if other is None else str(other),
        [contents(saved) for saved in read_optimizers(Path(path))],
        [] if other is None else [contents(saved) for saved in read_optimizers(Path(other))],
    )
    module = None if model is None else _load_model(model)
    for letter, (_, found) in zip("AB", checkup.files(), strict=False):
        for one in found:
            where = _where(checkup, letter, one)
            _examine(checkup, one, where)
            if module is not None:
                _hold_against(checkup, one, module, where)
    if other is not None:
        _compare(checkup)
    return checkup


def _where(checkup: Checkup, letter: str, one: Contents) -> str:
    """What a sentence begins with, where it is not clear what it is about."""
    several = max(len(found) for _, found in checkup.files()) > 1
    parts = [letter if checkup.other else "", one.saved.place if several else ""]
    return f"{' '.join(filter(None, parts))}: " if any(parts) else ""


def _examine(checkup: Checkup, one: Contents, where: str) -> None:
    checkup.findings += [where + finding for finding in _findings(one)]
    checkup.notes += [where + note for note in _notes(one)]


def _findings(one: Contents) -> Iterator[str]:
    saved = one.saved
    if saved.twice:
        yield f"in more than one place: {some(saved.twice)}"
    if saved.without_group:
        yield f"state that belongs to no group: {some(map(str, saved.without_group))}"
    yield from _lost(one)
    for buffer in one.buffers.values():
        if buffer.not_finite:
            yield f"not finite: {buffer.name} of {some(buffer.not_finite)}"
    for number, group in enumerate(saved.groups):
        broken = [key for key, value in group.items() if _not_finite(value)]
        if broken:
            yield f"not finite: {some(broken)} of group {number}"
    yield from _counters(one)
    yield from _shapes(one)


def _lost(one: Contents) -> Iterator[str]:
    """Entries that the class's state must have."""
    if one.cls is None:
        yield "the groups and states are those of no optimizer of torch or ours"
        return
    missing: dict[str, list[str]] = {}
    for param in one.saved.params:
        for name in _missing(param, one.saved, one.cls)[0]:
            missing.setdefault(name, []).append(param.label)
    if missing and not any(param.state for param in one.saved.params):
        yield f"no state at all ({some(missing)}): no step was made, or it was lost"
        return
    empty = {param.label for param in one.saved.params if not param.state}
    for name, labels in missing.items():
        labels = [label for label in labels if label not in empty]
        if labels:
            yield f"missing: {name} of {some(labels)}"
    for name, buffer in one.buffers.items():
        if len(buffer.zero) == buffer.count and name in _memory(one.cls) and one.steps[1] > 0:
            yield f"{name} is 0 in all parameters: it was lost, or every gradient was 0"


def _memory(cls: type[Any]) -> list[str]:
    """What a default optimizer of the class remembers of gradients: what is not 0 after a step."""
    param = torch.ones(2, 2, requires_grad=True)
    optimizer = cls([param])
    declared = declaration_of(cls)
    if declared.rule is None or declared.sparse == "only":
        return []
    param.grad = torch.ones(2, 2)
    optimizer.step()
    tensors = {k: v for k, v in optimizer.state[param].items() if isinstance(v, Tensor)}
    return [name for name, value in tensors.items() if bool(value.any())]


def _counters(one: Contents) -> Iterator[str]:
    """Numbers of the state that are too coarse to be counted up."""
    names = declaration_of(one.cls).numbers if one.cls else ()
    fine = torch.finfo(torch.float32).eps
    for name in names:
        coarse: dict[torch.dtype, list[str]] = {}
        still: list[str] = []
        for param in one.saved.params:
            value = param.state.get(name)
            if not (isinstance(value, Tensor) and value.dtype.is_floating_point):
                continue
            eps = torch.finfo(value.dtype).eps
            if eps > fine:
                coarse.setdefault(value.dtype, []).append(param.label)
            elif value.numel() == 1 and value.item() >= 2 / eps:
                still.append(param.label)
        for dtype, labels in coarse.items():
            most = int(2 / torch.finfo(dtype).eps)
            kind = str(dtype).removeprefix("torch.")
            yield f"{name} is {kind}, which counts no further than {most:,}: {some(labels)}"
        if still:
            yield f"{name} cannot be counted up any more: {some(still)}"


def _shapes(one: Contents) -> Iterator[str]:
    """Buffers that do not have the one shape of their parameter."""
    if one.cls is None or not issubclass(one.cls, ElementwiseRule):
        return
    numbers = declaration_of(one.cls).numbers
    for param in one.saved.params:
        shapes = {
            name: tuple(tensor.shape)
            for name, tensor in param.tensors.items()
            if name not in numbers
        }
        if len(set(shapes.values())) > 1:
            said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            yield f"different shapes in the state of {param.label}: {said}"


def _notes(one: Contents) -> Iterator[str]:
    saved = one.saved
    if one.cls is None or declaration_of(one.cls).rule is None:
        return
    without = [param.label for param in saved.params if not param.state]
    if 0 < len(without) < len(saved.params):
        yield f"without state, so never updated, or it was lost: {some(without)}"
    numbers = declaration_of(one.cls).numbers
    for name, buffer in one.buffers.items():
        if name in numbers and buffer.low != buffer.high and not buffer.not_finite:
            yield f"{name} is from {buffer.low:g} to {buffer.high:g}"
        if len(buffer.dtypes) > 1:
            yield f"{name} is of different types: {', '.join(buffer.dtypes)}"
        if name not in numbers and 0 < len(buffer.zero) < buffer.count:
            yield f"{name} is 0 everywhere in {some(buffer.zero)}"
    known = _defaults(one.cls)
    later = {key for group in saved.groups for key in group if key not in known}
    if later:
        yield f"also in the groups, put there by a scheduler or other code: {some(sorted(later))}"
    strange = {k for p in saved.params for k in _missing(p, saved, one.cls)[1] if p.state}
    if strange:
        yield f"also in the state, where {one.cls.__name__} has none: {some(sorted(strange))}"


def _not_finite(value: Any) -> bool:
    return any(not _ends(number)[2] for number in _values(_as_list(value)))


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# Beside a model -------------------------------------------------------------------------------


def _load_model(model: str | torch.nn.Module) -> torch.nn.Module:
    if isinstance(model, torch.nn.Module):
        return model
    made = load_object(model)
    if callable(made) and not isinstance(made, torch.nn.Module):
        with user_code(f"making {model}"):
            made = made()
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"{model} must be or make a torch.nn.Module; got a {type(made).__name__}")
    return made


def _hold_against(checkup: Checkup, one: Contents, model: torch.nn.Module, where: str) -> None:
    """Whether the checkpoint's parameters are the model's."""
    params = [
        SavedParam(0, place, place, name, {"": param.detach()})
        for place, (name, param) in enumerate(model.named_parameters())
    ]
    own = one.saved.params
    match = match_params(own, params, by_value=False)
    checkup.findings += [where + said for said in _misfits(match, own, params, "the model")]
    order = [where + said for said in _another_order(match, own, params, "the model")]
    if len(one.saved.groups) > 1:  # groups may sort them as they like
        checkup.notes += order
    else:
        checkup.findings += order
    if match.other_alone:
        left = some(params[j].label for j in match.other_alone)
        checkup.notes.append(f"{where}in the model alone: {left}")


# Beside another -------------------------------------------------------------------------------


def _compare(checkup: Checkup) -> None:
    mine, theirs = checkup.contents, checkup.others
    if len(mine) != len(theirs):
        checkup.findings.append(f"A has {counted(len(mine), 'optimizer')}, B has {len(theirs)}")
    for a, b in zip(mine, theirs, strict=False):
        where = f"{a.saved.place}: " if len(mine) > 1 else ""
        findings, notes = _differences(a, b)
        checkup.findings += [where + finding for finding in findings]
        checkup.notes += [where + note for note in notes]


def _differences(a: Contents, b: Contents) -> tuple[list[str], list[str]]:
    """What is wrong in B beside A, and what else differs."""
    if a.cls is not b.cls:
        return [f"A is {a.kind}, B is {b.kind}"], []
    own, other = a.saved.params, b.saved.params
    match = match_params(own, other, by_value=True)
    findings = [*_misfits(match, own, other, "B"), *_another_order(match, own, other, "B")]
    if match.other_alone:
        findings.append(f"in B alone: {some(other[j].label for j in match.other_alone)}")
    pairs = [(own[i], other[j]) for i, j in match.pairs]
    moved = [x.label for x, y in pairs if x.group != y.group]
    if moved:
        findings.append(f"in another group in B: {some(moved)}")
    findings += _lost_between(pairs)
    changed = list(_changed_settings(a.saved, b.saved))
    if a.steps == b.steps and a.steps[1] > 0:
        changed += _changed_values(pairs, ())
        return findings + changed, [] if findings or changed else ["A and B hold the same"]
    numbers = tuple(declaration_of(a.cls).numbers)
    changed += _changed_values(pairs, numbers)
    if a.steps != b.steps:
        steps = [" to ".join(dict.fromkeys(f"{end:g}" for end in x.steps)) for x in (a, b)]
        changed.insert(0, f"A has made {steps[0]} steps, B {steps[1]}")
    return findings, changed


def _misfits(
    match: Match, own: Sequence[SavedParam], other: Sequence[SavedParam], whose: str
) -> Iterator[str]:
    """Parameters that have no counterpart, or one of another shape."""
    if match.alone:
        yield f"not in {whose}: {some(own[i].label for i in match.alone)}"
    pairs = [(own[i], other[j]) for i, j in match.pairs]
    shapes = [
        f"{x.label} {x.shape} and {y.shape}"
        for x, y in pairs
        if None not in (x.shape, y.shape) and x.shape != y.shape
    ]
    if shapes:
        yield f"of another shape in {whose}: {some(shapes)}"


def _another_order(
    match: Match, own: Sequence[SavedParam], other: Sequence[SavedParam], whose: str
) -> Iterator[str]:
    """Parameters that changed places with one another."""
    order = [j for _, j in match.pairs]
    places = [
        f"{own[i].label} is {other[j].label}" + (f" (number {j})" if other[j].name else "")
        for (i, j), still in zip(match.pairs, sorted(order), strict=True)
        if j != still
    ]
    if places:
        yield f"in another order in {whose}, matched {match.how}: {some(places)}"


def _lost_between(pairs: Sequence[tuple[SavedParam, SavedParam]]) -> Iterator[str]:
    """Entries that only one of two states has, or has in another type."""
    for letter, turned in (("B", pairs), ("A", [(y, x) for x, y in pairs])):
        lost: dict[str, list[str]] = {}
        for x, y in turned:
            for name in x.state:
                if name not in y.state:
                    lost.setdefault(name, []).append(x.label)
        for name, labels in lost.items():
            yield f"missing in {letter}: {name} of {some(labels)}"
    changed: dict[tuple[str, str, str], list[str]] = {}
    for x, y in pairs:
        for name, tensor in x.tensors.items():
            dtypes = [
                str(t.dtype).removeprefix("torch.") for t in (tensor, y.tensors.get(name, tensor))
            ]
            if dtypes[0] != dtypes[1]:
                changed.setdefault((name, dtypes[0], dtypes[1]), []).append(x.label)
    for (name, before, after), labels in changed.items():
        yield f"{name} is {before} in A and {after} in B: {some(labels)}"


def _changed_settings(a: Saved, b: Saved) -> Iterator[str]:
    if len(a.groups) != len(b.groups):
        yield f"A has {counted(len(a.groups), 'group')}, B has {len(b.groups)}"
    for number, (x, y) in enumerate(zip(a.groups, b.groups, strict=False)):
        for name in dict.fromkeys([*x, *y]):
            before, after = (
                repr(_plain(group[name])) if name in group else "missing" for group in (x, y)
            )
            if before != after:
                yield f"{name} of group {number} is {before} in A and {after} in B"


def _changed_values(
    pairs: Sequence[tuple[SavedParam, SavedParam]], without: tuple[str, ...]
) -> Iterator[str]:
    """Of each entry the largest difference, but for some that are told otherwise."""
    largest: dict[str, tuple[float, str]] = {}
    counts: dict[str, int] = {}
    for x, y in pairs:
        for name, tensor in x.tensors.items():
            other = y.tensors.get(name)
            if other is None or other.shape != tensor.shape or name in without:
                continue
            apart = _apart(tensor, other)
            if apart:
                counts[name] = counts.get(name, 0) + 1
                largest[name] = max(largest.get(name, (0.0, "")), (apart, x.label))
    for name, (apart, label) in largest.items():
        count = counted(counts[name], "parameter")
        yield f"{name} differs in {count}, by {apart:.4g} at most, in {label}"


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest |a - b|; infinite where only one is finite."""
    apart = 0.0
    chunks = (flat_numbers(x).split(_CHUNK) for x in (a, b))
    for x, y in zip(*chunks, strict=False):
        x, y = x.double(), y.double()
        same = (x == y) | (x.isnan() & y.isnan())
        if not bool(same.all()):
            gap = torch.where(same, 0.0, (x - y).abs().nan_to_num(math.inf))
            apart = max(apart, gap.max().item())
    return apart
