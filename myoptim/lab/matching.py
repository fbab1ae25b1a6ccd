"""Which parameter of one checkpoint is which of another: by names, else by shape and value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from myoptim.lab.saved import SavedParam, flat_numbers

_SAMPLE = 256  # so many numbers of a buffer tell parameters apart
_MOST = 2048  # of one shape: of more, each is taken to be in its place
_CLEARLY = 0.5  # another place is believed where the distance is less than this part of it


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
    kinds: dict[tuple[object, ...], list[int]] = {}
    for i, j in found.items():
        names = tuple(sorted(own[i].tensors))
        if own[i].shape is not None and names and names == tuple(sorted(other[j].tensors)):
            kinds.setdefault((own[i].shape, names), []).append(i)
    better = dict(found)
    for (_, names), places in kinds.items():
        if not 1 < len(places) <= _MOST:
            continue
        rows = [_sample(own[i], names) for i in places]
        columns = [_sample(other[found[i]], names) for i in places]
        if len({len(sample) for sample in rows + columns}) > 1:
            continue  # not all have the numbers that their shapes ask for
        for row, column in enumerate(_exchanged(torch.stack(rows), torch.stack(columns))):
            better[places[row]] = found[places[column]]
    return better


def _sample(param: SavedParam, names: tuple[object, ...]) -> Tensor:
    """Some numbers of each buffer, evenly spaced, in float64; what is not finite is 0."""
    parts: list[Tensor] = []
    for name in names:
        flat = flat_numbers(param.tensors[str(name)])
        flat = flat[:: max(1, flat.numel() // _SAMPLE)][:_SAMPLE]
        parts.append(flat.double().nan_to_num(0.0, 0.0, 0.0))
    return torch.cat(parts)


def _exchanged(rows: Tensor, columns: Tensor) -> list[int]:
    """For each row its column: its own, unless all together are clearly nearer to others."""
    straight = list(range(len(rows)))
    sizes = rows.abs().sum(1)[:, None] + columns.abs().sum(1)[None]
    distances = torch.cdist(rows, columns, p=1) / sizes.clamp_min(torch.finfo(sizes.dtype).tiny)
    nearest = distances.argmin(1)
    own = distances.diagonal()
    best = torch.where(distances.amin(1) <= _CLEARLY * own, nearest, torch.arange(len(rows)))
    best = torch.where(own == 0, torch.arange(len(rows)), best)
    chosen = best.tolist()
    return chosen if sorted(chosen) == straight else straight
