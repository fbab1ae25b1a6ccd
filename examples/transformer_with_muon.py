"""A small transformer on text that ships with Python: AdamW alone, and Muon with AdamW.

    python examples/transformer_with_muon.py

It predicts the next character of the language reference (`pydoc_data.topics`). The matrices inside
the blocks go to Muon and the rest to AdamW, as `split_for_muon` says.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

import myoptim as optim
from myoptim.lab.networks import Transformer, reference

CONTEXT, BATCH = 64, 32


def transformer(characters: int) -> nn.Module:
    """Larger than the problem `transformer` of the races."""
    return Transformer(characters, CONTEXT, width=96, heads=4, blocks=3)


def adamw_alone(model: nn.Module) -> list[optim.Optimizer]:
    """One optimizer for all."""
    return [optim.AdamW(model.parameters(), lr=3e-3)]


def muon_with_adamw(model: nn.Module) -> list[optim.Optimizer]:
    """Two, each with its part."""
    parts = optim.split_for_muon(model)
    return [optim.Muon(parts.muon, lr=0.02), optim.AdamW(parts.others, lr=3e-3)]


def train(
    data: Tensor,
    characters: int,
    optimizers_of: Callable[[nn.Module], list[optim.Optimizer]],
    steps: int,
) -> float:
    """The mean loss over the last tenth of the steps, in nats per character."""
    torch.manual_seed(0)
    model = transformer(characters)
    optimizers = optimizers_of(model)
    schedules = [
        optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
        for optimizer in optimizers
    ]
    losses: list[float] = []
    for _ in range(steps):
        starts = torch.randint(len(data) - CONTEXT - 1, (BATCH, 1))
        text = data[starts + torch.arange(CONTEXT + 1)]
        loss = nn.functional.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        for each in (*optimizers, *schedules):
            each.step()
        losses.append(loss.item())
    last = losses[-math.ceil(steps / 10) :]
    return sum(last) / len(last)


def main() -> None:
    """Print the split, and a line for each way of training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    data, known = reference()
    print(optim.split_for_muon(transformer(len(known))))
    for way in (adamw_alone, muon_with_adamw):
        print(f"{way.__name__}: loss {train(data, len(known), way, steps):.3f} after {steps} steps")


if __name__ == "__main__":
    main()
