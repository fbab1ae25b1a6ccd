"""Which parameters of a model Muon is for, and which AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

#: A parameter with its name in the model.
Named = tuple[str, nn.Parameter]


@dataclass(frozen=True)
class MuonSplit:
    """The parameters of a model that are trained, in two parts.

    Attributes:
        muon: those for Muon, with their names, as optimizers take them.
        others: those for AdamW, or another optimizer.
        reasons: for each name why it went where it went.
    """

    muon: list[Named]
    others: list[Named]
    reasons: dict[str, str]

    def __str__(self) -> str:
        """A line for each parameter: its optimizer, name, shape, and the reason."""
        parts = {"Muon": self.muon, "AdamW": self.others}
        cells = [
            (optimizer, name, " x ".join(map(str, param.shape)) or "()", self.reasons[name])
            for optimizer, part in parts.items()
            for name, param in part
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        )


def split_for_muon(model: nn.Module, others: Iterable[str] = ()) -> MuonSplit:
    """Part a model's parameters into those for Muon and those for AdamW.

    Muon is for the matrices between the layers of a network. To AdamW go vectors (biases, gains),
    tensors with more dimensions (convolutions), complex numbers, the tables of embeddings, and the
    last matrix, in the order of the model's modules: the output layer. Of an embedding and an
    output layer each row belongs to one word or class, so that rows have little to do with one
    another, and a matrix of equal singular values would give the rare ones as much as the frequent
    ones. Frozen parameters go nowhere.

    Args:
        model: what is to be trained.
        others: names of parameters, or of modules with all parameters in them, that are to go to
            AdamW as well: an output layer that is not the last, say.

    Raises:
        ValueError: one of `others` is no name of the model's, or nothing is left for Muon.

    Sources: Jordan and others, *Muon: an optimizer for hidden layers in neural networks* (2024).

    Example:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4), nn.Linear(4, 10))
        >>> parts = split_for_muon(model)
        >>> print(parts)
        Muon   1.weight  4 x 4   a matrix inside the network
        AdamW  0.weight  10 x 4  a table of an embedding
        AdamW  1.bias    4       a vector
        AdamW  2.weight  10 x 4  the last matrix: the output layer
        AdamW  2.bias    10      a vector
    """
    trained = {name: param for name, param in model.named_parameters() if param.requires_grad}
    tables = {
        id(param)
        for module in model.modules()
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag))
        for param in module.parameters(recurse=False)
    }
    output = _output_layer(model, tables)
    given = _expand(model, others)

    def reason(name: str, param: nn.Parameter) -> str:
        """Why a parameter is not for Muon; empty if it is."""
        if param.ndim < 2:
            return "a vector" if param.ndim else "a number"
        if param.ndim > 2:
            return f"{param.ndim} dimensions"
        if param.is_complex():
            return "complex"
        if id(param) in tables:
            return "a table of an embedding"
        if name in given:
            return "as given"
        return "the last matrix: the output layer" if name == output else ""

    reasons = {name: reason(name, param) for name, param in trained.items()}
    chosen = [(name, param) for name, param in trained.items() if not reasons[name]]
    left = [(name, param) for name, param in trained.items() if reasons[name]]
    if not chosen:
        raise ValueError(
            "no parameter of the model is for Muon: it has no matrix but embeddings and the last; "
            f"given were {', '.join(f'{n} ({r})' for n, r in reasons.items()) or 'none'}"
        )
    inside = "a matrix inside the network"
    return MuonSplit(chosen, left, {name: why or inside for name, why in reasons.items()})


def _output_layer(model: nn.Module, tables: set[int]) -> str | None:
    """The name of the last matrix; None where a table is the output layer as well."""
    every = list(model.named_parameters(remove_duplicate=False))
    places = [id(param) for _, param in every]
    if any(places.count(table) > 1 for table in tables):
        return None
    matrices = [name for name, param in every if param.ndim == 2 and id(param) not in tables]
    return matrices[-1] if matrices else None


def _expand(model: nn.Module, names: Iterable[str]) -> set[str]:
    """Names of parameters, those of modules replaced by those of their parameters."""
    found: set[str] = set()
    for name in names:
        here = {
            param
            for param, _ in model.named_parameters(remove_duplicate=False)
            if param == name or param.startswith(f"{name}.")
        }
        if not here:
            known = ", ".join(known for known, _ in model.named_parameters())
            raise ValueError(f"the model has no parameter or module {name!r}; it has {known}")
        found |= here
    return found
