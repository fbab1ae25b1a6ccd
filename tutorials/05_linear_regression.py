# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 Linear regression
#
# ## The idea: a line, found by steps
#
# The simplest model, $y = wx + b$, trained in the way that large models are: a module, a loss, a `DataLoader`, an optimizer. Because the answer is known in closed form, we can see how near each optimizer comes to it. Two data sets: a hundred noisy points, taken one at a time, and fifteen points, taken all at once.
#
# ## The mathematics: a bowl
#
# The mean squared error $L(w, b) = \frac1n \sum_i (w x_i + b - y_i)^2$ has the gradient
#
# $$\frac{\partial L}{\partial w} = \frac2n \sum_i (w x_i + b - y_i)\,x_i, \qquad \frac{\partial L}{\partial b} = \frac2n \sum_i (w x_i + b - y_i)$$
#
# and is least where both vanish: at the least-squares line.
#
# ## The code: a noisy line, one observation at a time
#
# A hundred points of $y = -5x + 1$ with noise of standard deviation 0.4. The model starts far away, at weight -10 and bias -20. Batch size 1, learning rate 0.01, 20 epochs: 2,000 steps. The loss of every step is kept.

# %%
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import myoptim as optim

torch.manual_seed(1)
x = torch.arange(-5, 5, 0.1).view(-1, 1)
y = -5 * x + 1 + 0.4 * torch.randn(x.size())
loader = DataLoader(TensorDataset(x, y), batch_size=1)
criterion = nn.MSELoss()


def fit(optimizer_class, epochs=20, lr=0.01):
    """A fresh model, trained; and the loss of every step."""
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(-10.0)
        model.bias.fill_(-20.0)
    optimizer = optimizer_class(model.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return model, np.array(losses)


runs = {name: fit(optim.OPTIMIZERS[name]) for name in ("SGD", "Adam")}
print("optimizer  weight   bias    mean loss of the last epoch")
for name, (model, losses) in runs.items():
    print(
        f"{name:9}  {model.weight.item():6.3f}  {model.bias.item():6.3f}   {losses[-100:].mean():.4f}"
    )

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
sgd, sgd_losses = runs["SGD"]
adam, adam_losses = runs["Adam"]
assert len(sgd_losses) == len(adam_losses) == 2000
assert abs(sgd.weight.item() + 5) < 0.1 and abs(sgd.bias.item() - 1) < 0.1
assert 0.16 <= sgd_losses[-100:].mean() <= 0.18
assert abs(adam.weight.item() + 5.2) < 0.2 and abs(adam.bias.item() + 5.5) < 0.5
assert abs(adam_losses[-100:].mean() - 47) < 5

# %% [markdown]
# ## The picture: SGD is there, Adam on its way

# %% mystnb={"image": {"alt": "The mean loss per epoch of SGD and Adam, and the fitted line among the observations."}}
# %matplotlib inline
from myoptim.lab import plots

figure = plots.new_figure("SGD against Adam, both at lr 0.01", panels=2, panel_size=(4.8, 3.6))
curves, lines = figure.axes
plots.loss_curves(curves, {name: losses for name, (_, losses) in runs.items()}, window=100)
lines.plot(x, y, ".", color="#999999", markersize=4)
for name, (model, _) in runs.items():
    lines.plot(x, model(x).detach(), color=plots.COLOURS[name], label=name)
lines.set(xlabel="x", ylabel="y")
plots.legend(figure)
plots.show(figure, "05_linear_regression_1")

# %% [markdown]
# On this problem SGD converges faster. Its steps are proportional to the gradient, which is large while the line is far off. Adam's steps are about `lr` long whatever the gradient: the bias has 21 to go, and 2,000 steps of at most 0.01, many of them undone by the next observation, do not get it there. Give Adam a rate that fits the distance and it arrives as well:

# %%
faster, faster_losses = fit(optim.Adam, lr=0.1)
print(f"Adam at lr 0.1: {faster.weight.item():.3f}, {faster.bias.item():.3f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert abs(faster.weight.item() + 5) < 0.3 and abs(faster.bias.item() - 1) < 0.3

# %% [markdown]
# ## Fifteen points, 100,000 epochs
#
# Now the whole data at every step, and a small learning rate, on the GPU if there is one. The problem is badly scaled: the loss curves 379 times more along one direction than along the other. The line soon passes through the middle of the points and then turns into place, slowly. Here all the time goes into the overhead of a step on two tiny tensors.

# %%
device = "cuda" if torch.cuda.is_available() else "cpu"
points_x = [3.4, 5.4, 6.71, 6.89, 6.93, 4.16, 9.779, 6.182]
points_x += [7.59, 2.167, 7.042, 10.791, 5.31, 7.997, 3.1]
points_y = [1.7, 2.76, 2.09, 3.19, 1.694, 1.573, 3.366, 2.596]
points_y += [2.53, 1.221, 2.87, 3.45, 1.6, 2.9, 1.3]
x15 = torch.tensor(points_x, device=device).view(-1, 1)
y15 = torch.tensor(points_y, device=device).view(-1, 1)

EPOCHS, EVERY = 100_000, 200
torch.manual_seed(0)
model = nn.Linear(1, 1).to(device)
optimizer = optim.SGD(model.parameters(), lr=1e-3)
printed = []
for epoch in range(1, EPOCHS + 1):
    optimizer.zero_grad()
    loss = criterion(model(x15), y15)
    loss.backward()
    optimizer.step()
    if epoch % EVERY == 0:
        printed.append(loss.item())

# %% [markdown]
# Every 200th loss was kept. A few of the 500:

# %%
for epoch in (200, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000):
    print(f"{epoch:7,}  {printed[epoch // EVERY - 1]:.6f}")

# %% [markdown]
# The least-squares answer, from numpy:

# %%
slope, intercept = np.polyfit(points_x, points_y, 1)
least = np.mean((slope * np.array(points_x) + intercept - points_y) ** 2)
final = criterion(model(x15), y15).item()
print("               slope       intercept   MSE")
print(f"least squares  {slope:.8f}  {intercept:.8f}  {least:.8f}")
print(f"after 100,000  {model.weight.item():.8f}  {model.bias.item():.8f}  {final:.8f}")

# %%
points = np.array(points_x)
hessian = 2 * np.array([[np.mean(points**2), np.mean(points)], [np.mean(points), 1]])
low, high = np.linalg.eigvalsh(hessian)
print(f"curvatures {low:.4f} and {high:.2f}, ratio {high / low:.0f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert len(printed) == 500
assert abs(slope - 0.27254837) < 1e-8
assert abs(intercept - 0.62472669) < 1e-8
assert abs(least - 0.15119140) < 1e-8
assert abs(final - least) < 1e-4
assert round(high / low) == 379

# %% mystnb={"image": {"alt": "Left the loss above its minimum on logarithmic axes, a long straight fall; right fifteen points and the line through them."}}
figure = plots.new_figure("Fifteen points", panels=2, panel_size=(4.8, 3.6))
curve, line = figure.axes
curve.loglog(np.arange(1, 501) * EVERY, np.array(printed) - least, color=plots.COLOURS["SGD"])
curve.set(xlabel="epoch", ylabel="loss above its minimum")
line.plot(points_x, points_y, "o", color="#999999")
ends = np.array([2.0, 11.0])
line.plot(ends, model.weight.item() * ends + model.bias.item(), color=plots.COLOURS["SGD"])
line.set(xlabel="x", ylabel="y")
plots.show(figure, "05_linear_regression_2")

# %% [markdown]
# ## Exercises
#
# 1. How many epochs would the fifteen points need if their $x$ were standardized (mean 0, standard deviation 1), at learning rate 0.5?
# 2. Why does SGD with batch size 1 not end exactly at the least-squares line of the noisy points?
# 3. Above which learning rate does gradient descent on the fifteen points diverge?
#
# <details>
# <summary>Answers</summary>
#
# 1. One. The Hessian of the MSE is then twice the identity, and $\eta = 1/2$ lands in one step.
# 2. At the line the *mean* gradient vanishes, not that of a single observation. Each step follows one observation's gradient, so the parameters jitter around the answer, by an amount that shrinks with `lr`.
# 3. Above $2/h$, where $h$ is the largest curvature: $2/90.1 \approx 0.0222$.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
standard = (x15 - x15.mean()) / x15.std(correction=0)
model = nn.Linear(1, 1).to(device)
optimizer = optim.SGD(model.parameters(), lr=0.5)
criterion(model(standard), y15).backward()
optimizer.step()
assert abs(criterion(model(standard), y15).item() - least) < 1e-6

print(f"2 / h = {2 / high:.4f}")
assert round(high, 1) == 90.1 and round(2 / high, 4) == 0.0222
assert not np.isclose(sgd.weight.item(), np.polyfit(x.flatten(), y.flatten(), 1)[0], atol=1e-5)
