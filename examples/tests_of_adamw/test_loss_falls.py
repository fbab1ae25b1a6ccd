"""What most people test first: 50 steps on a linear model, and the loss is lower than before."""

import torch
from torch.nn.functional import mse_loss


def test_the_loss_falls(optimizer_class):
    torch.manual_seed(0)
    model = torch.nn.Linear(10, 1)
    x = torch.randn(64, 10)
    y = x @ torch.randn(10, 1)
    optimizer = optimizer_class(model.parameters(), lr=0.01)
    losses = []
    for _ in range(50):
        optimizer.zero_grad()
        loss = mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
