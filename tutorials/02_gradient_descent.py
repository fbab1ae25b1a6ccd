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
# # 02 Gradient descent, by hand and by object
#
# ## The idea: go the other way, and not too far
#
# The gradient points uphill. To go down, take a small step the other way, and look again. How small? That is the one question of this tutorial.
#
# ## The mathematics: every step multiplies
#
# $$x_{k+1} = x_k - \eta\, \nabla f(x_k)$$
#
# For $f(x) = \sum x_i^2$ the gradient is $2x$, so a step multiplies $x$ by $1 - 2\eta$. With $\eta = 0.1$ that is 0.8, and after $k$ steps $x_k = 0.8^k x_0$.
#
# ## By hand
#
# A loop in numpy. Each row of the table shows what stands *before* its update.

# %%
import numpy as np
import torch

import myoptim as optim

START, RATE, ROWS = (5.0, 10.0), 0.1, 30


def by_hand():
    rows = []
    x = np.array(START)
    for _ in range(ROWS):
        gradient = 2 * x
        rows.append((x.copy(), (x**2).sum(), gradient))
        x -= RATE * gradient
    return rows


# %% [markdown]
# ## By object
#
# The same with autograd for the gradient and an optimizer for the update.


# %%
def by_object(optimizer_class):
    rows = []
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], lr=RATE)
    for _ in range(ROWS):
        optimizer.zero_grad()
        loss = (x**2).sum()
        loss.backward()
        rows.append((x.detach().numpy().copy(), loss.item(), x.grad.numpy().copy()))
        optimizer.step()
    return rows


def print_table(rows):
    print("row  x                 f         gradient")
    for k, (x, f, gradient) in enumerate(rows, start=1):
        print(f"{k:3}  {x[0]:6.3f}, {x[1]:6.3f}  {f:8.3f}  {gradient[0]:6.3f}, {gradient[1]:6.3f}")


hand, ours = by_hand(), by_object(optim.SGD)
print_table(ours)

# %% [markdown]
# The hand-written loop and the object print the same table, and ours and torch's have the same bits.

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
torchs = by_object(torch.optim.SGD)
for row_hand, row_ours, row_torch in zip(hand, ours, torchs, strict=True):
    for a, b, c in zip(row_hand, row_ours, row_torch, strict=True):
        assert np.allclose(a, b, rtol=1e-14, atol=0)
        assert np.array_equal(b, c)

TABLE = {
    1: (5, 10, 125, 10, 20),
    2: (4, 8, 80, 8, 16),
    3: (3.2, 6.4, 51.2, 6.4, 12.8),
    4: (2.56, 5.12, 32.768, 5.12, 10.24),
    5: (2.048, 4.096, 20.972, 4.096, 8.192),
    10: (0.671, 1.342, 2.252, 1.342, 2.684),
    20: (0.072, 0.144, 0.026, 0.144, 0.288),
    30: (0.008, 0.015, 0.000, 0.015, 0.031),
}
for row, (x1, x2, f, g1, g2) in TABLE.items():
    (a1, a2), height, (b1, b2) = ours[row - 1]
    assert np.round([a1, a2, height, b1, b2], 3).tolist() == [x1, x2, f, g1, g2], row
    assert np.allclose([a1, a2], np.array(START) * 0.8 ** (row - 1))

# %% [markdown]
# The lab does this for any optimizer and problem: `myoptim trace SGD square --lr 0.1 --steps 30`.

# %%
from myoptim.lab.trace import trace

run = trace("SGD", "square", settings={"lr": 0.1}, steps=30)
run.param("x")[:5]

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.array_equal(run.param("x"), np.stack([x for x, _, _ in ours]))

# %% [markdown]
# ## A steeper parabola
#
# $f(x) = (2x)^2 = 4x^2$ in float32, from $x = 2$, at $\eta = 0.01$. The gradient is $8x$. By hand the update is `x.data.sub_(lr * x.grad)`; the object gives the same bits.


# %%
def f(x):
    return (2 * x) ** 2


def descend(lr, steps, update=None):
    """Rows of x, gradient and f, each before its update; by object unless an update is given."""
    x = torch.tensor(2.0, requires_grad=True)
    optimizer = optim.SGD([x], lr=lr)
    rows = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = f(x)
        loss.backward()
        rows.append((x.item(), x.grad.item(), loss.item()))
        update(x) if update else optimizer.step()
    return rows


steep = descend(0.01, 20)
print("row  x                     gradient             f")
for k, (x, gradient, height) in enumerate(steep):
    print(f"{k:3}  {x:<20}  {gradient:<19}  {height}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert steep == descend(0.01, 20, update=lambda x: x.data.sub_(0.01 * x.grad))

STEEP = {
    0: (2.0, 16.0, 16.0),
    1: (1.840000033378601, 14.720000267028809, 13.542400360107422),
    2: (1.6928000450134277, 13.542400360107422, 11.462287902832031),
    3: (1.5573760271072388, 12.45900821685791, 9.701680183410645),
    4: (1.432785987854004, 11.462287902832031, 8.211503028869629),
    5: (1.3181631565093994, 10.545305252075195, 6.950216293334961),
    6: (1.2127101421356201, 9.701681137084961, 5.882663726806641),
    7: (1.1156933307647705, 8.925546646118164, 4.979086399078369),
    8: (1.0264378786087036, 8.211503028869629, 4.214298725128174),
    9: (0.9443228244781494, 7.554582595825195, 3.5669822692871094),
    10: (0.8687769770622253, 6.950215816497803, 3.0190937519073486),
    11: (0.7992748022079468, 6.394198417663574, 2.555360794067383),
    12: (0.7353328466415405, 5.882662773132324, 2.1628575325012207),
    19: (0.41020292043685913, 3.281623363494873, 0.673065721988678),
}
for row, figures in STEEP.items():
    assert steep[row] == figures, row

# %% [markdown]
# ## The picture: short steps where the slope is small
#
# The path down the parabola: short steps where the slope is small.

# %% mystnb={"image": {"alt": "The parabola 4x² with twenty points on its right arm, closer together the nearer they are to the minimum."}}
# %matplotlib inline
from myoptim.lab import plots

figure = plots.new_figure("Down 4x² at lr 0.01, 20 steps", panel_size=(5, 3.2))
(axes,) = figure.axes
grid = np.linspace(-2.2, 2.2, 200)
axes.plot(grid, 4 * grid**2, color="#999999")
axes.plot([x for x, _, _ in steep], [h for _, _, h in steep], "o-", color="#D55E00", markersize=4)
axes.set(xlabel="x", ylabel="f")
plots.show(figure, "02_gradient_descent_1")

# %% [markdown]
# ## How large a step?
#
# A step multiplies $x$ by $1 - 8\eta$. So $\eta = 1/8 = 0.125$ lands in the minimum in one step, up to $1/4$ it converges while changing sign, and above $1/4$ it diverges. Ten learning rates from 0.01 to 0.2, 100 iterations each:

# %% mystnb={"image": {"alt": "Ten loss curves on a logarithmic axis: the nearer a rate is to 1/8, the steeper its curve."}}
rates = [round(float(lr), 6) for lr in np.linspace(0.01, 0.2, 10)]
curves = {f"lr {lr:.3f}": np.array([h for _, _, h in descend(lr, 100)]) for lr in rates}

figure = plots.new_figure("4x²: one loss curve per learning rate", panel_size=(6.4, 4))
(axes,) = figure.axes
plots.loss_curves(axes, curves, styled=plots.sweep_styles(list(curves)))
plots.legend(figure)
plots.show(figure, "02_gradient_descent_2")

# %%
print("lr      1 - 8 lr  loss after 100 iterations")
for lr, curve in zip(rates, curves.values(), strict=True):
    print(f"{lr:.4f}  {1 - 8 * lr:+.4f}  {curve[-1]:.3g}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
factors = [abs(1 - 8 * lr) for lr in rates]
finals = [curve[-1] for curve in curves.values()]
assert len(rates) == 10 and all(len(curve) == 100 for curve in curves.values())
assert np.isclose(rates[0], 0.01) and np.isclose(rates[-1], 0.2)
assert all(np.diff(curve[:5]).max() < 0 for curve in curves.values())  # each goes down at once
# The nearer a rate is to 1/8, the lower its loss after three steps.
assert np.argsort(factors).tolist() == np.argsort([curve[3] for curve in curves.values()]).tolist()

assert descend(0.125, 2)[1][0] == 0  # there in one step
assert abs(descend(0.26, 100)[-1][0]) > 100  # diverges
assert abs(descend(0.24, 100)[-1][0]) < 0.01  # converges, changing sign
assert descend(0.24, 2)[1][0] < 0

# %% [markdown]
# ## Exercises
#
# 1. At which learning rate does gradient descent on $f(x) = h x^2 / 2$ land in one step, and from which on does it diverge?
# 2. What happens on $4x^2$ at exactly $\eta = 0.25$?
# 3. On $f(x, y) = (x^2 + 50 y^2)/2$ no single rate suits both directions. Which is the best one, and by what factor does the slower direction shrink per step?
#
# <details>
# <summary>Answers</summary>
#
# 1. The gradient is $hx$, a step multiplies by $1 - \eta h$: it lands at $\eta = 1/h$ and diverges above $2/h$.
# 2. $1 - 8\eta = -1$: $x$ jumps between 2 and -2 for ever, and the loss stays at 16.
# 3. The factors are $1 - \eta$ and $1 - 50\eta$. The larger of their sizes is least where $1 - \eta = 50\eta - 1$, at $\eta = 2/51 \approx 0.039$, and is there $49/51 \approx 0.961$.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
assert {height for _, _, height in descend(0.25, 50)} == {16.0}
assert [x for x, _, _ in descend(0.25, 4)] == [2, -2, 2, -2]
best = 2 / 51
assert np.isclose(max(abs(1 - best), abs(1 - 50 * best)), 49 / 51)
for other in (best - 0.001, best + 0.001):
    assert max(abs(1 - other), abs(1 - 50 * other)) > 49 / 51
