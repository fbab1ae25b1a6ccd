"""Two small networks and their data, made from what every installation has.

`Classifier` tells digits apart that are drawn from matplotlib's own fonts, `Transformer` predicts
the next character of the language reference that ships with Python. `myoptim.lab.problems` makes
problems of them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch
from torch import Tensor, nn

#: Inputs and targets, the first dimension of both being the example.
Examples = tuple[Tensor, Tensor]

# Digits -------------------------------------------------------------------------------------

SIDE = 12  # of an image, in pixels
HEIGHTS = (8, 9, 10)  # of a digit
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("cmr10", "cmss10", "cmtt10"),
)
NOISE = 0.25  # its standard deviation; ink is 1, paper 0
HELD_OUT = 1000


class Classifier(nn.Sequential):
    """Images in, scores for the ten digits out. It has matrices only, so that Muon takes them."""

    def __init__(self, width: int = 64) -> None:
        super().__init__(
            nn.Linear(SIDE * SIDE, width, bias=False),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.ReLU(),
            nn.Linear(width, 10, bias=False),
        )


def digits(generator: torch.Generator, count: int = 3000) -> tuple[Examples, Examples]:
    """Digits of many fonts, each somewhere in its image and under noise.

    Returns:
        Images of shape (count, SIDE²) and their digits; and `HELD_OUT` others.
    """
    shapes = glyphs()
    number = torch.randint(len(shapes), (count + HELD_OUT,), generator=generator)
    room = torch.tensor([[SIDE - length for length in shape.shape] for _, shape in shapes])[number]
    corners = (torch.rand(room.shape, generator=generator) * (room + 1)).long()
    images = NOISE * torch.randn((len(number), SIDE, SIDE), generator=generator)
    for image, which, (top, left) in zip(images, number, corners.tolist(), strict=True):
        _, shape = shapes[which]
        image[top : top + shape.shape[0], left : left + shape.shape[1]] += shape
    inputs, targets = images.flatten(1), torch.tensor([digit for digit, _ in shapes])[number]
    return (inputs[:count], targets[:count]), (inputs[count:], targets[count:])


@functools.cache
def glyphs() -> list[tuple[int, Tensor]]:
    """Every digit of every font in every height, as a picture of ink."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    found: list[tuple[int, Tensor]] = []
    for name in FONTS:
        font = FT2Font(str(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")))
        for height in HEIGHTS:
            font.set_size(height / 0.73, 72)  # a digit is about 0.73 of the size that fonts have
            for digit in range(10):
                font.set_text(str(digit))
                font.draw_glyphs_to_bitmap(antialiased=True)
                ink = torch.from_numpy(np.array(font.get_image())) / 255
                found.append((digit, ink[:SIDE, :SIDE]))
    return found


# Text ---------------------------------------------------------------------------------------


class Block(nn.Module):
    """Attention to what came before, then a network for each position."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """From and to (examples, positions, width)."""
        given = self.before_attention(x)
        heads = [
            layer(given).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        ]
        seen = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.network(self.before_network(x))


class Transformer(nn.Module):
    """Characters in, scores for the next character out, at every position."""

    def __init__(
        self, characters: int, context: int = 32, width: int = 48, heads: int = 4, blocks: int = 2
    ) -> None:
        super().__init__()
        self.characters = nn.Embedding(characters, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(blocks)])
        self.head = nn.Linear(width, characters)

    def forward(self, text: Tensor) -> Tensor:
        """From (examples, positions) to (examples, positions, characters)."""
        here = torch.arange(text.shape[1], device=text.device)
        return self.head(self.blocks(self.characters(text) + self.positions(here)))


@functools.cache
def reference() -> tuple[Tensor, str]:
    """Python's language reference as numbers, and the characters that they stand for.

    Topics share sections: each paragraph is taken once, so that what is held out is new.
    """
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    text = "\n\n".join(dict.fromkeys(paragraphs))
    known = "".join(sorted(set(text)))
    number = {character: i for i, character in enumerate(known)}
    return torch.tensor([number[character] for character in text]), known


def windows(context: int = 32) -> tuple[Examples, Examples]:
    """Pieces of the reference, and for each of their characters the next one.

    Returns:
        Pieces of nine tenths of the text, both of shape (pieces, context); and 200 of the rest.
    """
    text, _ = reference()
    pieces = text[: len(text) // (context + 1) * (context + 1)].view(-1, context + 1)
    inputs, targets = pieces[:, :-1], pieces[:, 1:]
    count = len(pieces) * 9 // 10
    rest = torch.linspace(count, len(pieces) - 1, 200).long()
    return (inputs[:count], targets[:count]), (inputs[rest], targets[rest])
