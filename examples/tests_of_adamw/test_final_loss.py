"""The loss after 100 steps is the one that torch's AdamW reaches."""

import torch
from torch.nn.functional import mse_loss


def final_loss(optimizer_class):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(64, 10)
    y = x @ torch.randn(10, 1)
    optimizer = optimizer_class(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        loss = mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_the_final_loss_is_torchs(optimizer_class):
    theirs = final_loss(torch.optim.AdamW)
    assert abs(final_loss(optimizer_class) - theirs) < 1e-5
