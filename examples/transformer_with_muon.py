"""A small transformer on text that ships with Python: AdamW alone, and Muon with AdamW.

    python examples/transformer_with_muon.py

It predicts the next character of the language reference (`pydoc_data.topics`), about 700,000 of
them. The matrices inside the blocks go to Muon and the rest to AdamW, as `split_for_muon` says.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pydoc_data.topics import topics

import torch
from torch import Tensor, nn

import myoptim as optim

CONTEXT, WIDTH, HEADS, BLOCKS, BATCH = 64, 96, 4, 3, 32


class Block(nn.Module):
    """Attention to what came before, then a network for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_network = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (
            nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4)
        )
        self.network = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, x: Tensor) -> Tensor:
        given = self.before_attention(x)
        heads = [
            layer(given).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        seen = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.network(self.before_network(x))


class Transformer(nn.Module):
    """Characters in, scores for the next character out."""

    def __init__(self, characters: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)])
        self.head = nn.Linear(WIDTH, characters)

    def forward(self, text: Tensor) -> Tensor:
        here = torch.arange(text.shape[1])
        return self.head(self.blocks(self.characters(text) + self.positions(here)))


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
    model = Transformer(characters)
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
    text = "\n".join(topics[name] for name in sorted(topics))
    known = sorted(set(text))
    number = {character: i for i, character in enumerate(known)}
    data = torch.tensor([number[character] for character in text])
    print(optim.split_for_muon(Transformer(len(known))))
    for way in (adamw_alone, muon_with_adamw):
        print(f"{way.__name__}: loss {train(data, len(known), way, steps):.3f} after {steps} steps")


if __name__ == "__main__":
    main()
