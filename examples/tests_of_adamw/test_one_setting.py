"""Ten steps beside torch's AdamW, at the defaults but for the rate, on three shapes."""

import pytest
import torch


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)])
def test_the_path_is_torchs(optimizer_class, shape):
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    pair = optimizer_class([ours], lr=0.01), torch.optim.AdamW([theirs], lr=0.01)
    for _ in range(10):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in pair:
            optimizer.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
