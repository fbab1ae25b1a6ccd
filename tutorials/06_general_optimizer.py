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
# # 06 PyTorch as a general optimizer
#
# ## The idea: anything with a gradient
#
# Nothing here is about networks. An optimizer minimizes any function that autograd can differentiate: the misfit of a formula to measurements, or an objective with constraints. Where a classic method exists, it is a good judge of ours.
#
# ## An exponential decay
#
# ### The mathematics
#
# Measurements $y_i = 0.7\,e^{-0.01 x_i} + 0.2$ with normal noise of standard deviation 0.02, at $x = 0, \dots, 999$. The model is $a\,e^{-kx} + b$, and the loss its root mean squared error,
#
# $$L(a, k, b) = \sqrt{\tfrac1n \textstyle\sum_i (a\,e^{-k x_i} + b - y_i)^2}$$
#
# ### The code
#
# A module with one parameter of three weights $(a, k, b)$, which starts uniformly in (0, 0.1). From some starts 1,000 iterations are not enough; the seed here, 0, is one from which they are.

# %%
import numpy as np
import torch
from scipy import optimize
from torch import nn

import myoptim as optim
from myoptim.lab import plots

# %matplotlib inline

SEED = 0
x = np.arange(1000)
y = 0.7 * np.exp(-0.01 * x) + 0.2 + np.random.default_rng(SEED).normal(0, 0.02, 1000)


class Decay(nn.Module):
    """a exp(-k x) + b, with weights (a, k, b)."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.empty(3).uniform_(0, 0.1))

    def forward(self, x):
        a, k, b = self.weights
        return a * torch.exp(-k * x) + b


def fit(seed, iterations=1000):
    torch.manual_seed(seed)
    model = Decay()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    inputs, targets = (torch.tensor(values, dtype=torch.float32) for values in (x, y))
    losses = []
    for _ in range(iterations):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(inputs), targets).sqrt()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, np.array(losses)


model, losses = fit(SEED)
a, k, b = model.weights.tolist()
print(
    f"a {a:.4f}, k {k:.5f}, b {b:.4f}; RMSE {losses[0]:.3f} at the start, {losses[-1]:.4f} at the end"
)

# %%
fallen = (losses[0] - losses) / (losses[0] - losses[-1])
flat = int(np.argmax(fallen > 0.98)) + 1
print("98 % of the fall is made after", flat, "iterations; then the curve is flat")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert 0.69 <= a <= 0.70 and 0.0097 <= k <= 0.0099 and 0.198 <= b <= 0.201
assert 0.25 <= losses[0] <= 0.30 and round(losses[-1], 3) == 0.020
assert 600 <= flat <= 700

# %% [markdown]
# ### The picture

# %% mystnb={"image": {"alt": "Three panels: noisy points that decay, the loss falling and going flat, the fitted curve through the points."}}
figure = plots.new_figure("An exponential decay, fitted by Adam", panels=3, panel_size=(4, 3.2))
data, curve, both = figure.axes
data.plot(x, y, ".", color="#999999", markersize=2)
data.set(xlabel="x", ylabel="y", title="the data")
curve.plot(losses, color=plots.COLOURS["Adam"])
curve.set(xlabel="iteration", ylabel="RMSE", ylim=(0, None), title="the loss")
both.plot(x, y, ".", color="#999999", markersize=2)
both.plot(x, model(torch.tensor(x)).detach(), color=plots.COLOURS["Adam"])
both.set(xlabel="x", title="the fit")
plots.show(figure, "06_general_optimizer_1")

# %% [markdown]
# ### Beside scipy
#
# `curve_fit` solves the same problem by Levenberg and Marquardt's method, which uses that the loss is a sum of squares. It needs a handful of iterations. Both find the same minimum.


# %%
def formula(x, a, k, b):
    return a * np.exp(-k * x) + b


best, _ = optimize.curve_fit(formula, x, y, p0=(0.5, 0.02, 0.1))
best_rmse = np.sqrt(np.mean((formula(x, *best) - y) ** 2))
print("       a        k         b        RMSE")
print(f"Adam   {a:.5f}  {k:.6f}  {b:.5f}  {losses[-1]:.6f}")
print(f"scipy  {best[0]:.5f}  {best[1]:.6f}  {best[2]:.5f}  {best_rmse:.6f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert best_rmse <= losses[-1] < best_rmse * 1.01
assert np.allclose([a, k, b], best, rtol=0.02)

# %% [markdown]
# Five seeds for the start, same data. Four arrive; from the start of seed 3, 1,000 iterations are not enough: $a$ must climb to 0.7 in steps of about 0.001, and while $k$ is still wrong it does not climb straight.

# %%
ends = []
for seed in range(5):
    other, history = fit(seed)
    ends.append(history[-1])
    print(
        f"seed {seed}: RMSE {history[-1]:.4f}, weights",
        [round(w, 4) for w in other.weights.tolist()],
    )

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert [end < 0.0205 for end in ends] == [True, True, True, False, True]

# %% [markdown]
# ## A constrained problem
#
# ### The mathematics
#
# A die is thrown many times, and the average is 4.5 instead of 3.5. What are the most plausible probabilities $p_1, \dots, p_6$? E. T. Jaynes answered: those of the largest entropy $H(p) = -\sum p_i \log p_i$ among all with $\sum p_i = 1$, $p_i \ge 0$ and $\sum i\,p_i = 4.5$.
#
# Optimizers know no constraints. Two devices help:
#
# - **Write the variables so that a constraint always holds.** With $p = \operatorname{softmax}(z)$ any $z$ gives probabilities that are positive and sum to one.
# - **Make a game of the other.** With $c(p) = \sum i\,p_i - 4.5$ take the augmented Lagrangian
#   $$\mathcal L(z, \lambda) = -H(p) + \lambda\, c(p) + \tfrac{\rho}{2}\, c(p)^2$$
#   and let one optimizer descend in $z$ while another *ascends* in $\lambda$: `maximize=True`. Where neither can gain, $c = 0$ and the entropy is largest.
#
# ### The code

# %%
faces = torch.arange(1.0, 7.0, dtype=torch.float64)
z = torch.zeros(6, dtype=torch.float64, requires_grad=True)
multiplier = torch.zeros((), dtype=torch.float64, requires_grad=True)
descent = optim.Adam([z], lr=0.05)
ascent = optim.SGD([multiplier], lr=0.1, maximize=True)

history = []
for _ in range(1000):
    descent.zero_grad()
    ascent.zero_grad()
    p = torch.softmax(z, 0)
    entropy = -(p * p.log()).sum()
    violation = (faces * p).sum() - 4.5
    (-entropy + multiplier * violation + 0.5 * violation**2).backward()
    descent.step()
    ascent.step()
    history.append((entropy.item(), violation.item()))

p = torch.softmax(z, 0).detach().numpy()
print("p =", p.round(4))
print("mean", (faces.numpy() * p).sum(), " multiplier", multiplier.item())

# %% [markdown]
# ### The closed form
#
# The largest entropy has $p_i \propto e^{-\lambda i}$, where $\lambda$ makes the mean come out: one equation in one unknown. And scipy's SLSQP takes constraints directly.


# %%
def tilted(lam):
    weights = np.exp(-lam * np.arange(1, 7))
    return weights / weights.sum()


lam = optimize.brentq(lambda lam: tilted(lam) @ np.arange(1, 7) - 4.5, -5, 5)
slsqp = optimize.minimize(
    lambda p: np.sum(p * np.log(p)),
    np.full(6, 1 / 6),
    method="SLSQP",
    bounds=[(1e-9, 1)] * 6,
    constraints=[
        {"type": "eq", "fun": lambda p: p.sum() - 1},
        {"type": "eq", "fun": lambda p: p @ np.arange(1, 7) - 4.5},
    ],
)
print("closed form", tilted(lam).round(4), "multiplier", lam)
print("SLSQP      ", slsqp.x.round(4))

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.allclose(p, tilted(lam), atol=1e-6)
assert abs(multiplier.item() - lam) < 1e-6
assert np.allclose(slsqp.x, tilted(lam), atol=1e-3)

# %% mystnb={"image": {"alt": "Bars of the six faces' probabilities, growing towards six, with marks of the closed form at their tops; and the violation of the constraint falling."}}
figure = plots.new_figure("The loaded die", panels=2, panel_size=(4.4, 3.2))
bars, course = figure.axes
bars.bar(np.arange(1, 7), p, color="#56B4E9", label="found")
bars.plot(np.arange(1, 7), tilted(lam), "k_", markersize=18, label="closed form")
bars.set(xlabel="face", ylabel="probability")
bars.legend(frameon=False)
course.semilogy(np.abs([violation for _, violation in history]), color=plots.COLOURS["Adam"])
course.set(xlabel="step", ylabel="|mean - 4.5|")
plots.show(figure, "06_general_optimizer_2")

# %% [markdown]
# ## Exercises
#
# 1. Without the multiplier, with only the penalty $\frac{\rho}{2} c^2$ and $\rho = 1$, the mean does not reach 4.5. On which side does it stay, and why?
# 2. Fit the decay with $k = e^{\kappa}$, so that it is always positive. What does that do to the learning rate of $k$?
# 3. What does `maximize=True` do to the gradient, and what not?
#
# <details>
# <summary>Answers</summary>
#
# 1. Below 4.5, on the side of 3.5, where the entropy pulls: the penalty's pull vanishes at $c = 0$, so it can balance that of the entropy only at a distance.
# 2. Steps become relative: Adam moves $\kappa$ by about `lr`, so $k$ by a factor of about $1 + $ `lr`. For a quantity of unknown magnitude that is usually what one wants.
# 3. It steps along $+g$ instead of $-g$. `.grad` itself is not changed, and weight decay still shrinks.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The first answer, checked.
z = torch.zeros(6, dtype=torch.float64, requires_grad=True)
optimizer = optim.Adam([z], lr=0.05)
for _ in range(1000):
    optimizer.zero_grad()
    p = torch.softmax(z, 0)
    ((p * p.log()).sum() + 0.5 * ((faces * p).sum() - 4.5) ** 2).backward()
    optimizer.step()
mean = (faces * torch.softmax(z, 0)).sum().item()
print("mean with the penalty alone:", mean)
assert 3.5 < mean < 4.45
