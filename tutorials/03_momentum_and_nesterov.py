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
# # 03 Momentum and Nesterov
#
# ## The idea: remember, and let the zigzag cancel
#
# Gradient descent forgets. In a ravine it runs from wall to wall, and each step undoes most of the last one. If it remembered its recent gradients and stepped along their sum, the wall-to-wall parts would cancel, and the part along the floor would add up. That is momentum.
#
# ## The mathematics: sums that fade
#
# ### Exponentially weighted averages
#
# Of a series $g_1, g_2, \dots$ keep
#
# $$m_t = \beta\, m_{t-1} + (1-\beta)\, g_t = \sum_{k \ge 0} (1-\beta)\,\beta^k\, g_{t-k}$$
#
# One number remembers the whole past, with weights that fade: the gradient of $k$ steps ago counts $(1-\beta)\beta^k$. The weights sum to one, nearly all of it in the first $1/(1-\beta)$ or so terms.

# %% mystnb={"image": {"alt": "Four curves of weights that fall with k: the larger β, the lower the start and the longer the tail."}}
from itertools import pairwise

import numpy as np
import torch

import myoptim as optim
from myoptim.lab import plots

# %matplotlib inline

k = np.arange(100)
weights = {beta: (1 - beta) * beta**k for beta in (0.98, 0.95, 0.9, 0.8)}

figure = plots.new_figure("How much the gradient of k steps ago counts", panel_size=(5.6, 3.4))
(axes,) = figure.axes
for (beta, w), colour in zip(weights.items(), plots.COLOURS.values(), strict=False):
    axes.plot(k, w, color=colour, label=f"β = {beta}, sum {w.sum():.4f}")
axes.set(xlabel="k", ylabel="weight")
axes.legend(frameon=False)
plots.show(figure, "03_momentum_and_nesterov_1")

# %%
print(weights[0.9].sum())

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert weights[0.9].sum() == 0.9999734386011124
assert all(np.isclose(w.sum(), 1 - beta**100) for beta, w in weights.items())

# %% [markdown]
# ### Momentum
#
# Momentum leaves out the factor $1-\beta$. The buffer is a fading *sum*:
#
# $$b_t = \mu\, b_{t-1} + g_t, \qquad \theta_t = \theta_{t-1} - \eta\, b_t$$
#
# In all a gradient moves the parameter by $\eta(1 + \mu + \mu^2 + \dots) = \eta/(1-\mu)$ times itself: ten times $\eta$ at $\mu = 0.9$.
#
# ### Nesterov
#
# The buffer will carry the parameter by $-\eta\mu b$ in any case. Nesterov takes the gradient there, ahead, instead of here. In the paper's letters, with $\varphi$ for the parameter:
#
# $$b_t = \mu\, b_{t-1} + \nabla f(\varphi_{t-1} - \eta\mu\, b_{t-1}), \qquad \varphi_t = \varphi_{t-1} - \eta\, b_t$$
#
# A training loop cannot do that: the gradient that `backward` leaves belongs to the point where the parameters *are*. So let the parameters be the point ahead,
#
# $$\theta_t = \varphi_t - \eta\mu\, b_t$$
#
# and the gradient $g_t$ is taken at $\theta_{t-1}$, as it should be. How does $\theta$ move? Put in $\varphi_t = \varphi_{t-1} - \eta\, b_t$, then $\varphi_{t-1} = \theta_{t-1} + \eta\mu\, b_{t-1}$, then $b_t - \mu\, b_{t-1} = g_t$:
#
# $$\theta_t = \varphi_{t-1} - \eta\, b_t - \eta\mu\, b_t = \theta_{t-1} - \eta\,(b_t - \mu\, b_{t-1}) - \eta\mu\, b_t = \theta_{t-1} - \eta\,(g_t + \mu\, b_t)$$
#
# That is the rule which torch and this package have. The sketch shows both: $\varphi$ walks along the circles, $\theta$ along the dots, and each dot lies one $-\eta\mu b$ ahead of its circle.


# %% mystnb={"image": {"alt": "A sketch of four steps in a plane: hollow circles for the paper's points, each with a dashed arrow ahead to a dot, the parameter; solid arrows lead from each dot to the next circle."}}
def papers_form(gradient, start, lr, momentum, steps):
    """φ and θ of the paper's form before the first and after every step."""
    phi, b = np.array(start), np.zeros(2)
    rows = [(phi, phi)]
    for _ in range(steps):
        b = momentum * b + gradient(phi - lr * momentum * b)
        phi = phi - lr * b
        rows.append((phi, phi - lr * momentum * b))
    return rows


def slope(point):
    """Of (x² + 4y²) / 2."""
    return point * np.array([1.0, 4.0])


sketch = papers_form(slope, (-2.0, 1.0), lr=0.15, momentum=0.7, steps=4)
figure = plots.new_figure("Four steps of Nesterov", panel_size=(5.6, 3.6))
(axes,) = figure.axes
for (phi, theta), (next_phi, _) in pairwise(sketch):
    axes.annotate("", next_phi, theta, arrowprops={"arrowstyle": "->", "color": "#D55E00"})
    axes.annotate("", theta, phi, arrowprops={"arrowstyle": "->", "linestyle": "--"})
phis, thetas = np.swapaxes(sketch, 0, 1)
axes.plot(*phis.T, "o", color="white", markeredgecolor="black", label="φ, the paper's")
axes.plot(*thetas.T, "o", color=plots.COLOURS["Nesterov"], markersize=4, label="θ, the parameters")
axes.plot([], [], "--", color="black", label="ahead: −η μ b")
axes.plot([], [], color="#D55E00", label="the gradient there: −η g")
axes.legend(frameon=False, fontsize="small")
plots.show(figure, "03_momentum_and_nesterov_2")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
theta = torch.tensor([-2.0, 1.0], dtype=torch.float64, requires_grad=True)
optimizer = optim.Nesterov([theta], lr=0.15, momentum=0.7)
for _, ahead in sketch[1:]:
    theta.grad = torch.from_numpy(slope(theta.detach().numpy()))
    optimizer.step()
    assert np.allclose(theta.detach().numpy(), ahead, rtol=1e-14)

# %% [markdown]
# ## The code: on a parabola momentum only overshoots
#
# $f(x) = 4x^2$ once more, from $x = 2$: learning rate 0.01 with momentum 0.9, against 0.03 with none.


# %%
def descend(optimizer_class, steps=100, **settings):
    """x before the first and after every step."""
    x = torch.tensor(2.0, requires_grad=True)
    optimizer = optimizer_class([x], **settings)
    path = [x.item()]
    for _ in range(steps):
        optimizer.zero_grad()
        ((2 * x) ** 2).backward()
        optimizer.step()
        path.append(x.item())
    return path


rolling = descend(optim.Momentum, lr=0.01, momentum=0.9)
walking = descend(optim.SGD, lr=0.03)

print("after  with momentum            without")
for step in (1, 2, 3, 10, 50, 100):
    print(f"{step:5}  {rolling[step]:<23}  {walking[step]}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
SHOWN = (1, 2, 3, 10, 50, 100)
assert [rolling[step] for step in SHOWN] == [
    1.840000033378601,
    1.548799991607666,
    1.162816047668457,
    -1.1242536306381226,
    -0.021917372941970825,
    -0.009711924940347672,
]
assert [walking[step] for step in SHOWN] == [
    1.5199999809265137,
    1.1552000045776367,
    0.8779520392417908,
    0.12857778370380402,
    2.196391278630472e-06,
    2.4120677243749666e-12,
]
assert min(rolling) < 0 < min(walking)  # only momentum overshoots
assert rolling == descend(torch.optim.SGD, lr=0.01, momentum=0.9)

# %% [markdown]
# With momentum $x$ overshoots: after ten steps it stands on the other side. Here, in one dimension, momentum is of no use. A ball needs a valley with a long floor.
#
# ## The picture: looking ahead brakes earlier

# %% mystnb={"image": {"alt": "Three curves of x over the steps: without momentum x falls to zero, with it x swings to both sides, with Nesterov less so."}}
figure = plots.new_figure("4x²: momentum overshoots", panel_size=(5.6, 3.2))
(axes,) = figure.axes
looking = descend(optim.Nesterov, lr=0.01, momentum=0.9)
axes.plot(rolling, color=plots.COLOURS["Momentum"], label="lr 0.01, momentum 0.9")
axes.plot(looking, color=plots.COLOURS["Nesterov"], label="the same, Nesterov")
axes.plot(walking, color=plots.COLOURS["SGD"], label="lr 0.03, no momentum")
axes.axhline(0, color="#cccccc", linewidth=0.8)
axes.set(xlabel="step", ylabel="x")
axes.legend(frameon=False)
plots.show(figure, "03_momentum_and_nesterov_3")

# %%
print("farthest beyond the minimum:", min(rolling), "and with Nesterov", min(looking))

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert min(rolling) < min(looking) < 0  # looking ahead brakes earlier

# %% [markdown]
# ## A ravine
#
# $f(x, y) = (x^2 + 50 y^2)/2$: fifty times steeper across than along. The race runs each optimizer beside its torch twin, and tells if a single bit differs.

# %% mystnb={"image": {"alt": "Loss curves and paths of SGD, Momentum and Nesterov in a ravine: SGD zigzags, Momentum swings, Nesterov does not cross as often."}}
from myoptim.lab.problems import get_problem
from myoptim.lab.race import Racer, draw, line_up, race

ravine = get_problem("ravine")
results = race(ravine, line_up(["SGD", "Momentum", "Nesterov"]))
plots.show(draw(ravine, results), "03_momentum_and_nesterov_4")

# %%
print(f"{'':9} lr     loss after {ravine.steps} steps")
for result in results:
    print(f"{result.racer.label:9} {result.finish.lr:<5}  {result.finish.loss:.3g}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
plain, momentum, nesterov = (result.finish.loss for result in results)
assert nesterov < momentum < plain / 5
assert all(result.difference == "" for result in results)  # every bit as torch's

# %% [markdown]
# ## How much faster?
#
# For a quadratic with curvatures between 1 and $\kappa$, the best constant rate shrinks the error by $(\kappa-1)/(\kappa+1)$ per step; the best momentum by $(\sqrt\kappa-1)/(\sqrt\kappa+1)$ (Polyak, 1964). At $\kappa = 50$:

# %%
kappa = 50.0
root = kappa**0.5
settings = {
    "SGD": {"lr": 2 / (1 + kappa)},
    "Momentum": {"lr": (2 / (1 + root)) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2},
}
predicted = {"SGD": (kappa - 1) / (kappa + 1), "Momentum": (root - 1) / (root + 1)}

rates = {}
for name, given in settings.items():
    (result,) = race(ravine, [Racer(name, optim.OPTIMIZERS[name], given)])
    losses = result.finish.losses
    rates[name] = (losses[90] / losses[40]) ** (1 / 100)  # the loss is the error squared
    print(f"{name:9} measured {rates[name]:.3f}, predicted {predicted[name]:.3f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert abs(rates["SGD"] - predicted["SGD"]) < 0.001
assert abs(rates["Momentum"] - predicted["Momentum"]) < 0.02

# %% [markdown]
# ## Exercises
#
# 1. With constant gradient 1, $\mu = 0.9$ and $\eta = 0.1$: how long is the first step, and how long do steps become?
# 2. `SGD(momentum=0.9, dampening=0.9)` makes the buffer an average. Which of its steps is not what the average would give?
# 3. On $4x^2$ at $\eta = 0.01$: below which momentum does $x$ no longer overshoot? (The buffer and $x$ form a linear system; look at when its eigenvalues are real.)
#
# <details>
# <summary>Answers</summary>
#
# 1. The first is 0.1, the later ones tend to $0.1/(1 - 0.9) = 1$.
# 2. The first: the buffer starts as the undamped gradient, ten times what the average would hold. The excess fades as $\mu^t$.
# 3. $x_{t+1} = x_t(1 + \mu - 8\eta) - \mu x_{t-1}$. The roots of $r^2 - (1 + \mu - 8\eta) r + \mu$ are real if $(1 + \mu - 8\eta)^2 \ge 4\mu$, that is if $\sqrt\mu \le 1 - \sqrt{8\eta}$. With $8\eta = 0.08$ this is $\mu \le 0.514$.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
x = torch.tensor(0.0, requires_grad=True)
optimizer = optim.Momentum([x], lr=0.1)
lengths = []
for _ in range(200):
    before = x.item()
    x.grad = torch.tensor(1.0)
    optimizer.step()
    lengths.append(before - x.item())
assert np.isclose(lengths[0], 0.1) and np.isclose(lengths[-1], 1, rtol=1e-4)

bound = (1 - 0.08**0.5) ** 2
assert round(bound, 3) == 0.514
assert min(descend(optim.Momentum, lr=0.01, momentum=bound - 0.01)) > 0
assert min(descend(optim.Momentum, lr=0.01, momentum=bound + 0.05)) < 0
