"""Ten steps beside torch's AdamW, at five settings that touch every argument, on one shape."""

import pytest
import torch
from settings import SETTINGS


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_path_is_torchs(optimizer_class, setting):
    torch.manual_seed(0)
    start = torch.randn(4)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    pair = optimizer_class([ours], **setting), torch.optim.AdamW([theirs], **setting)
    for step in range(10):
        gradient = torch.randn(4) * (1 + step % 3)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in pair:
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
