"""How far Muon's step goes."""

import math

import pytest
import torch

from myoptim import Muon


@pytest.mark.parametrize("shape", [(2, 8), (8, 2), (4, 4)])
def test_what_torch_has_since_2_14(shape: tuple[int, int]) -> None:
    """η √(A/B) for A rows and B columns, where the original is never below η."""
    moved = {}
    for how in ("original", "spectral_unclamped"):
        weight = torch.zeros(shape, requires_grad=True)
        weight.grad = torch.linspace(-1, 2, 16).reshape(shape) ** 3
        Muon([weight], lr=0.1, weight_decay=0, adjust_lr_fn=how).step()
        moved[how] = weight.detach()
    ratio = shape[0] / shape[1]
    expected = moved["original"] * math.sqrt(ratio) / math.sqrt(max(1, ratio))
    assert expected.abs().max() > 0
    torch.testing.assert_close(moved["spectral_unclamped"], expected)
