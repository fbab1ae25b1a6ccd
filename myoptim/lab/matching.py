"""Which parameter of one checkpoint is which of another: by names, else by shape and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myoptim.lab.saved import SavedParam, flat_numbers

_SAMPLE = 256  # so many numbers of a buffer tell parameters apart
_MOST = 2048  # of one shape: of more, each is taken to be in its place
_CLEARLY = 0.7  # other places are believed where the distances come to less than this part
_NEAR = 1e-9  # distances below are as good as none


@dataclass(frozen=True)
class Match:
    """Places of parameters that belong together.

    Attributes:
        how: "by name", "by place", "by shape", or "by shape and value".
        pairs: places in the one and in the other, in the order of the one.
        alone: places in the one without a counterpart.
        other_alone: places in the other without one.
    """

    how: str
    pairs: list[tuple[int, int]]
    alone: list[int]
    other_alone: list[int]


def match_params(own: Sequence[SavedParam], other: Sequence[SavedParam], by_value: bool) -> Match:
    """Match all parameters.

    Args:
        own: those of the one, in order.
        other: those of the other.
        by_value: whether their states are of one kind, so that values tell which is which.
    """
    names = [[param.name for param in params] for params in (own, other)]
    unique = all(None not in of and len(set(of)) == len(of) for of in names)
    if unique and set(names[0]) & set(names[1]):
        places = {name: j for j, name in enumerate(names[1])}
        found = {i: places[name] for i, name in enumerate(names[0]) if name in places}
        return _match("by name", found, len(own), len(other))
    found = _by_shape(own, other)
    how = "by shape"
    if by_value:
        found, how = _by_value(own, other, found), "by shape and value"
    straight = all(i == j for i, j in found.items())
    return _match("by place" if straight else how, found, len(own), len(other))


def _match(how: str, found: dict[int, int], own: int, other: int) -> Match:
    taken = set(found.values())
    return Match(
        how,
        sorted(found.items()),
        [i for i in range(own) if i not in found],
        [j for j in range(other) if j not in taken],
    )


def _by_shape(own: Sequence[SavedParam], other: Sequence[SavedParam]) -> dict[int, int]:
    """Each in its place where the shapes allow it; the others in order among those of a shape."""
    found = {
        i: i
        for i, (x, y) in enumerate(zip(own, other, strict=False))
        if x.shape == y.shape or None in (x.shape, y.shape)
    }
    free: dict[tuple[int, ...] | None, list[int]] = {}
    for j, param in enumerate(other):
        if j not in found:
            free.setdefault(param.shape, []).append(j)
    for i, param in enumerate(own):
        if i not in found and free.get(param.shape):
            found[i] = free[param.shape].pop(0)
    return found


def _by_value(
    own: Sequence[SavedParam], other: Sequence[SavedParam], found: dict[int, int]
) -> dict[int, int]:
    """The same, with parameters of one shape exchanged where their values say so."""
    kinds: dict[tuple[tuple[int, ...], tuple[str, ...]], list[int]] = {}
    for i, j in found.items():
        names = tuple(sorted(own[i].tensors))
        shape = own[i].shape
        if shape is not None and names and names == tuple(sorted(other[j].tensors)):
            kinds.setdefault((shape, names), []).append(i)
    better = dict(found)
    for (_, names), places in kinds.items():
        if not 1 < len(places) <= _MOST:
            continue
        pairs = [(own[i].tensors, other[found[i]].tensors) for i in places]
        near = [
            _distances([x[name] for x, _ in pairs], [y[name] for _, y in pairs]) for name in names
        ]
        distances = torch.stack(near).log().mean(0).exp()
        for row, column in enumerate(_exchanged(distances)):
            better[places[row]] = found[places[column]]
    return better


def _distances(rows: Sequence[Tensor], columns: Sequence[Tensor]) -> Tensor:
    """How far each of the rows is from each column, from nearly 0 to 1; 1 too if all is 0."""
    samples = [_sample(tensor) for tensor in (*rows, *columns)]
    if len({len(sample) for sample in samples}) > 1:
        return torch.ones(len(rows), len(columns), dtype=torch.float64)
    x, y = torch.stack(samples[: len(rows)]), torch.stack(samples[len(rows) :])
    sizes = x.abs().sum(1)[:, None] + y.abs().sum(1)[None]
    apart = torch.cdist(x, y, p=1) / sizes
    return torch.where(sizes == 0, 1.0, apart).clamp_min(_NEAR)


def _sample(tensor: Tensor) -> Tensor:
    """Some numbers of a tensor, evenly spaced, in float64; what is not finite is 0."""
    flat = flat_numbers(tensor)
    flat = flat[:: max(1, flat.numel() // _SAMPLE)][:_SAMPLE]
    return flat.double().nan_to_num(0.0, 0.0, 0.0)


def _exchanged(distances: Tensor) -> list[int]:
    """For each row its column: its own, unless all together are clearly nearer to others."""
    straight = torch.arange(len(distances))
    nearest = torch.where(distances.diagonal() <= distances.amin(1), straight, distances.argmin(1))
    moved = nearest != straight
    there, here = distances[straight, nearest][moved].sum(), distances.diagonal()[moved].sum()
    exchange = sorted(nearest.tolist()) == straight.tolist() and bool(there <= _CLEARLY * here)
    return (nearest if exchange else straight).tolist()
