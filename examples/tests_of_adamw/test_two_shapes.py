"""Ten steps beside torch's AdamW, at five settings, on a model with two shapes."""

import pytest
import torch
from settings import SETTINGS


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_paths_are_torchs(optimizer_class, setting):
    torch.manual_seed(0)
    starts = [torch.randn(3, 2), torch.randn(())]
    ours = [torch.nn.Parameter(start.clone()) for start in starts]
    theirs = [torch.nn.Parameter(start.clone()) for start in starts]
    pair = optimizer_class(ours, **setting), torch.optim.AdamW(theirs, **setting)
    for step in range(10):
        for one, other in zip(ours, theirs, strict=True):
            gradient = torch.randn_like(one) * (1 + step % 3)
            one.grad, other.grad = gradient.clone(), gradient.clone()
        for optimizer in pair:
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
