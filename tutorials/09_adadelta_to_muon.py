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
# # 09 Adadelta, Adamax, NAdam, RAdam, Adafactor, Muon
#
# ## The idea: the story goes on
#
# [Tutorial 04](04_adagrad_to_adamw.ipynb) went from Adagrad to AdamW, each the cure of its predecessor's fault. Here is the second half: six optimizers, each with a fault that somebody found in RMSprop, Adam or momentum, and each with a price of its own. Again we prescribe the gradients wherever we can, so that nothing but the rule can be the cause of what we see.
#
# ## The mathematics: what each one changes
#
# | | its predecessor's fault | what it changes |
# |---|---|---|
# | Adadelta | RMSprop's step has not the unit of the parameter | $\eta$ becomes the root mean square of past steps |
# | Adamax | after a silence Adam's step is longer than $\eta$ | the mean of $g^2$ becomes a maximum of $\lvert g\rvert$ |
# | NAdam | Adam's average looks back only | it looks one step ahead |
# | RAdam | at first Adam's $\hat v$ is a guess | steps are held back until it is known |
# | Adafactor | Adam's $v$ is as large as the parameter | means of rows and columns stand for it |
# | Muon | a few directions of a matrix get nearly all of the step | all singular values become nearly equal |
#
# ## The code: gradients given, steps read off
#
# The function is that of tutorial 04: it hands an optimizer the gradients that we want and writes down how far each step moves the parameters.

# %%
import numpy as np
import torch

import myoptim as optim
from myoptim.lab import plots

# %matplotlib inline


def steps_taken(optimizer_class, gradients, **settings):
    """How far each step moves parameters of 0, for prescribed gradients of shape (steps, numbers)."""
    gradients = torch.as_tensor(gradients, dtype=torch.float64).reshape(len(gradients), -1)
    x = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], **settings)
    moves = []
    for gradient in gradients:
        before = x.detach().clone()
        x.grad = gradient.clone()
        optimizer.step()
        moves.append((x.detach() - before).numpy())
    return np.array(moves)


# %% [markdown]
# ## RMSprop's fault: ten times the unit, ten times the time
#
# A gradient has the unit of the loss over that of the parameter. RMSprop divides it by its own size, so its steps are $\eta$ long: a number without a unit. Minimize $\tfrac12 x^2$ from one metre, then measure the same $x$ in decimetres and begin at ten. Nothing has changed but the name of the unit, and yet RMSprop takes ten times as long.
#
# ## Adadelta's cure
#
# Put where $\eta$ stood the root mean square of past steps (Zeiler, 2012). It has the unit of the parameter:
#
# $$
# \begin{aligned}
# v_t &= \rho\, v_{t-1} + (1-\rho)\, g_t^2, & \Delta_t &= \frac{\sqrt{u_{t-1} + \varepsilon}}{\sqrt{v_t + \varepsilon}}\, g_t \\
# u_t &= \rho\, u_{t-1} + (1-\rho)\, \Delta_t^2, & \theta_t &= \theta_{t-1} - \Delta_t
# \end{aligned}
# $$


# %%
def half_way(optimizer_class, start, **settings):
    """x divided by its start, step by step, on x²/2 in a unit of which `start` make one metre."""
    x = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], **settings)
    path = [1.0]
    while path[-1] > 0.5:
        x.grad = x.detach() / start**2
        optimizer.step()
        path.append(x.item() / start)
    return path


# %% mystnb={"image": {"alt": "The way to half of the start in metres and in decimetres: RMSprop takes ten times as long in decimetres, Adadelta six times, and Adadelta whose ε has a unit the same time."}}
cases = {
    "RMSprop, lr 0.001": [(optim.RMSprop, {"lr": 0.001})] * 2,
    "Adadelta": [(optim.Adadelta, {})] * 2,
    "Adadelta, ε with a unit": [(optim.Adadelta, {"eps": eps}) for eps in (1e-8, 1e-6)],
}
figure = plots.new_figure("Half of the way to the minimum", panels=3, panel_size=(3.2, 3.0))
needed = {}
for axes, (title, runs) in zip(figure.axes, cases.items(), strict=True):
    for start, unit, style, (cls, settings) in zip(
        (1.0, 10.0), ("metres", "decimetres"), ("-", "--"), runs, strict=True
    ):
        path = half_way(cls, start, **settings)
        needed[title, unit] = len(path) - 1
        axes.plot(path, style, color=plots.COLOURS["Adam"] if start == 1 else "#0072B2", label=unit)
    axes.set_title(title, fontsize="medium")
    axes.set(xlabel="step", ylim=(0.45, 1.02))
figure.axes[0].legend(frameon=False, fontsize="small")
figure.axes[0].set_ylabel("x, as a part of its start")
plots.show(figure, "09_adadelta_to_muon_1")

# %%
for title in cases:
    print(f"{title:24} {needed[title, 'metres']:4} steps in metres, ", end="")
    print(f"{needed[title, 'decimetres']:4} in decimetres")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
times = {title: needed[title, "decimetres"] / needed[title, "metres"] for title in cases}
assert 9 < times["RMSprop, lr 0.001"] < 13
assert 5 < times["Adadelta"] < 6.5
assert abs(times["Adadelta, ε with a unit"] - 1) < 0.01

# %% [markdown]
# Adadelta's own fault is in the middle: six times is better than ten, but not one. Nothing has moved yet when it begins, so $u_0 = 0$ and the first steps are as long as $\varepsilon$ lets them be. What looks like a guard against division by zero sets the pace, and *it* has a unit. Give $\varepsilon$ the square of that unit, and both ways are one.
#
# ## Adam's first fault: a jump after silence
#
# Adam is supposed to step at most $\eta$. Let an element be silent for 5000 steps, as that of a rare word in an embedding is, and then have one gradient of 1. Zeros have pulled $v$ down to nothing, so the one gradient meets $m = 0.1$ and $v = 0.001$, and the step is $0.1/\sqrt{0.001} = 3.2$ times $\eta$. Nor is that all: $m$ remembers for a while.
#
# ## Adamax's cure
#
# Divide by the largest gradient of late (Kingma and Ba, 2015). Zeros do not pull a maximum down as they do a mean, and it needs no correction, as it is never too small at first:
#
# $$u_t = \max(\beta_2\, u_{t-1},\ \lvert g_t\rvert + \varepsilon), \qquad \theta_t = \theta_{t-1} - \frac{\eta}{1-\beta_1^t}\, \frac{m_t}{u_t}$$

# %% mystnb={"image": {"alt": "Lengths of steps after a single gradient: Adam begins at 3.2 learning rates and Adamax at 0.1, both die out in some forty steps."}}
silence = np.zeros(5200)
silence[5000] = 1.0
after = {
    name: -steps_taken(optim.OPTIMIZERS[name], silence, lr=1.0)[5000:, 0]
    for name in ("Adam", "Adamax")
}
figure = plots.new_figure("One gradient after 5000 zeros, lr 1", panel_size=(5.6, 3.2))
(axes,) = figure.axes
for name, lengths in after.items():
    axes.plot(lengths[:60], color=plots.styles([name])[name]["color"], label=name)
axes.axhline(1, color="grey", linestyle=":", label="lr")
axes.set(xlabel="steps after the gradient", ylabel="length of each step")
axes.legend(frameon=False)
plots.show(figure, "09_adadelta_to_muon_2")

# %%
for name, lengths in after.items():
    print(f"{name:6} longest step {lengths.max():.2f}, all steps together {lengths.sum():.1f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.isclose(after["Adam"].max(), 0.1 / 0.001**0.5, rtol=0.01)  # 3.16
assert np.isclose(after["Adamax"].max(), 0.1, rtol=1e-6)
assert 31 < after["Adam"].sum() < 32 and 1 < after["Adamax"].sum() < 1.02
random = np.random.default_rng(0)
wild = random.standard_cauchy(size=(300, 100))
assert np.abs(steps_taken(optim.Adamax, wild, lr=1.0)).max() < 1 + 1e-12
assert np.abs(steps_taken(optim.Adam, wild, lr=1.0)).max() > 1.1

# %% [markdown]
# In all, one gradient has moved Adam's element by 32 learning rates and Adamax's by one. No step of Adamax is longer than $\eta$, whatever comes. The price: one gradient that was far too large is remembered for long. After 700 steps half of it still counts.
#
# ## Adam's second fault: an average looks back
#
# Its momentum goes on where the gradient has long turned. Let the gradient be 1 a hundred times, and then -1: until $m$ has changed its sign, each step goes the wrong way.
#
# ## NAdam's cure
#
# Step by what the average *will be* if this gradient comes again, as Nesterov's momentum does (Dozat, 2016). Put simply, with a constant momentum:
#
# $$\hat m_t \;\longrightarrow\; \beta_1\, \hat m_t + (1-\beta_1)\, \frac{g_t}{1-\beta_1^t}$$
#
# The momentum of this mix also warms up: $\mu_t$ rises from $\beta_1/2$ to $\beta_1$, half of the way in the first 4,200 steps, so that at first the present gradient counts for about a half.

# %% mystnb={"image": {"alt": "Left the steps after the gradient has turned: Adam's go the wrong way for six more, NAdam's for none; right the paths on a parabola: Adam overshoots by a quarter, NAdam by a fifteenth."}}
turned = np.r_[np.ones(100), -np.ones(30)]


def parabola(optimizer_class, lr):
    """The path on x²/2 from 1."""
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], lr=lr)
    path = [1.0]
    for _ in range(100):
        x.grad = x.detach().clone()
        optimizer.step()
        path.append(x.item())
    return np.array(path)


wrong_way, paths = {}, {}
figure = plots.new_figure("Looking back, looking ahead", panels=2, panel_size=(4.4, 3.2))
steps, places = figure.axes
for name in ("Adam", "NAdam"):
    colour = plots.styles([name])[name]["color"]
    lengths = -steps_taken(optim.OPTIMIZERS[name], turned, lr=1.0)[:, 0]
    wrong_way[name] = int((lengths[100:] > 0).sum())
    paths[name] = parabola(optim.OPTIMIZERS[name], lr=0.1)
    steps.plot(range(-10, 30), lengths[90:], color=colour, label=name)
    places.plot(paths[name], color=colour, label=name)
for axes in figure.axes:
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.legend(frameon=False)
steps.set(xlabel="steps after the turn", title="steps, lr 1")
places.set(xlabel="step", title="x on x²/2, lr 0.1")
plots.show(figure, "09_adadelta_to_muon_3")

# %%
for name, path in paths.items():
    print(f"{name:5} {wrong_way[name]} steps the wrong way, overshoots by {-path.min():.3f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert wrong_way == {"Adam": 6, "NAdam": 0}
assert 0.5**0.5 < 0.9**3 and 0.9**7 < 0.5 < 0.9**6  # m changes its sign where 2 · 0.9ᵏ = 1
assert np.isclose(-paths["Adam"].min(), 0.273, atol=2e-3)
assert np.isclose(-paths["NAdam"].min(), 0.066, atol=2e-3)

# %% [markdown]
# ## Adam's third fault: sure of itself from the first step
#
# Begin at the minimum, with gradients that are noise of mean 0 and nothing else. The best one can do is to stay. But after one gradient $\hat v = g^2$, a mean square of a single number, and Adam's step is $\eta\, g/\lvert g\rvert$: the full learning rate in every element, for noise. That is why people keep the learning rate low for the first thousand steps.
#
# ## RAdam's cure
#
# Compute how low (Liu and others, 2020). $v_t$ knows as much as a plain mean of $\rho_t$ gradients would, and the variance of $1/\sqrt{\hat v_t}$ can be had from that, if $\rho_t > 4$. RAdam multiplies the step by the factor $r_t$ that makes this variance what it will be in the end:
#
# $$\rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1-\beta_2^t}, \quad \rho_\infty = \frac{2}{1-\beta_2} - 1, \qquad r_t = \sqrt{\frac{(\rho_t-4)(\rho_t-2)\,\rho_\infty}{(\rho_\infty-4)(\rho_\infty-2)\,\rho_t}}$$
#
# As long as $\rho_t \le 5$, five steps by default, it does without $v$ and steps by $\eta\,\hat m_t$.

# %% mystnb={"image": {"alt": "Left the factor of RAdam rising from 0.03 at step 6 towards 1; right the distance from the minimum under noise: Adam's is above one learning rate at once, RAdam's stays far below for dozens of steps."}}
beta2, t = 0.999, np.arange(6, 10_001)
most = 2 / (1 - beta2) - 1
known = most - 2 * t * beta2**t / (1 - beta2**t)
factor = np.sqrt((known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known))

noise = 0.01 * random.normal(size=(200, 1000))
strayed = {
    name: np.sqrt((steps_taken(optim.OPTIMIZERS[name], noise, lr=1.0).cumsum(0) ** 2).mean(1))
    for name in ("Adam", "RAdam")
}
figure = plots.new_figure("How sure can one be of v?", panels=2, panel_size=(4.4, 3.2))
rise, drift = figure.axes
rise.semilogx(t, factor, color=plots.styles(["RAdam"])["RAdam"]["color"])
rise.set(xlabel="step", title="the factor $r_t$", ylim=(0, 1.05))
for name, distance in strayed.items():
    colour = plots.styles([name])[name]["color"]
    drift.loglog(np.arange(1, 201), distance, color=colour, label=name)
drift.set(xlabel="step", title="distance from the minimum, lr 1")
drift.legend(frameon=False)
plots.show(figure, "09_adadelta_to_muon_4")

# %%
for step in (1, 10, 100):
    here = {name: round(float(distance[step - 1]), 2) for name, distance in strayed.items()}
    print(f"after {step:3} steps of noise: {here}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.isclose(factor[0], 0.0258, atol=1e-3) and factor[-1] > 0.99
series = random.normal(size=(8, 1))
in_step_6 = steps_taken(optim.RAdam, series, lr=1.0, eps=0.0)[5]
assert np.isclose(in_step_6 / steps_taken(optim.Adam, series, lr=1.0, eps=0.0)[5], factor[0]).all()
assert np.isclose(strayed["Adam"][0], 1) and strayed["RAdam"][0] < 0.02
assert strayed["Adam"][9] > 20 * strayed["RAdam"][9]
assert strayed["Adam"][99] > 5 * strayed["RAdam"][99]

# %% [markdown]
# RAdam's own fault: in those first five steps it does not know the gradient's scale. They are gradients times $\eta$, and if gradients are large, so are the steps. On Beale's function, whose slope at the start is steep, Adam finds the minimum at a learning rate of 0.1. RAdam is beyond all numbers before its sixth step:

# %%
from myoptim.lab.problems import get_problem
from myoptim.lab.race import draw, line_up, race

on_beale = race(get_problem("beale"), line_up(["Adam", "RAdam"]))
for result in on_beale:
    print(f"{result.racer.label:5} lr {result.finish.lr}: loss {result.finish.loss:.1e} ", end="")
    print(f"after {result.finish.steps} steps")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
adam, radam = on_beale
assert adam.finish.loss < 1e-9
assert radam.finish.loss == np.inf and radam.finish.steps == 5
assert adam.difference == radam.difference == ""  # torch's does the same, bit for bit

# %% [markdown]
# ## Adam's fourth fault: two more copies of the network
#
# $m$ and $v$ are each as large as the parameters. A model that fills half of the memory cannot be trained by Adam.
#
# ## Adafactor's cure
#
# Do without $m$, and keep of $v$ the means of its rows and columns alone (Shazeer and Stern, 2018). The estimate for an element is its row's mean times its column's, divided by the mean of all:
#
# $$
# \begin{aligned}
# R_t &= (1-w_t)\,R_{t-1} + w_t \operatorname{mean}_\text{columns}(g_t^2), & w_t &= t^{-0.8} \\
# C_t &= (1-w_t)\,C_{t-1} + w_t \operatorname{mean}_\text{rows}(g_t^2), & \hat v_t &= \frac{R_t\, C_t}{\operatorname{mean} R_t}
# \end{aligned}
# $$
#
# The weight $w_1$ is 1, so nothing need be corrected. A step is relative: $\eta = 0.01$ is one per cent of the parameter's root mean square.

# %%
for name in ("Adam", "Adafactor"):
    weight = torch.nn.Parameter(torch.ones(512, 1024))
    optimizer = optim.OPTIMIZERS[name]([weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    numbers = sum(tensor.numel() for tensor in optimizer.state[weight].values())
    print(f"{name:9} keeps {numbers:9,} numbers for {weight.numel():,}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert numbers == 512 + 1024 + 1  # and the step
assert torch.allclose(weight, torch.tensor(0.99))  # one per cent of 1

# %% [markdown]
# Where rows and columns explain the gradient, nothing is lost. A single large element is smeared over its row and column:

# %% mystnb={"image": {"alt": "Squared gradients and Adafactor's estimates side by side: of rows and columns of different scale the two are the same; of one large element the estimate is a cross."}}
rows, columns = torch.logspace(-0.5, 0.5, 12), torch.logspace(-0.5, 0.5, 18)
explained = torch.outer(rows[torch.randperm(12)], columns[torch.randperm(18)])
single = torch.full((12, 18), 0.1)
single[4, 12] = 3.0


def estimated(gradient):
    """Adafactor's v̂ after one step."""
    weight = torch.nn.Parameter(torch.zeros_like(gradient))
    optimizer = optim.Adafactor([weight])
    weight.grad = gradient.clone()
    optimizer.step()
    state = optimizer.state[weight]
    return state["row_var"] @ state["col_var"] / state["row_var"].mean()


figure = plots.new_figure(
    "Squared gradients, and what Adafactor takes them for (dark is large)",
    panels=4,
    panel_size=(3.4, 2.5),
    columns=2,
)
shown = [
    (explained**2, "rows and columns differ"),
    (estimated(explained), "estimated"),
    (single**2, "one large element"),
    (estimated(single), "estimated"),
]
for axes, (squares, title) in zip(figure.axes, shown, strict=True):
    axes.imshow(squares.log10(), cmap="Blues", aspect="auto", vmin=-3, vmax=1)
    axes.set_title(title, fontsize="medium")
    axes.set(xticks=[], yticks=[])
plots.show(figure, "09_adadelta_to_muon_5")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert torch.allclose(estimated(explained), explained**2, rtol=1e-5)
smeared = estimated(single)
assert 7 < smeared[4, 12] < 9  # of 9
assert smeared[4, 0] > 9 * 0.01 and smeared[0, 12] > 14 * 0.01  # of 0.01, in its row and column
assert smeared[0, 0] < 0.002  # and elsewhere less than there is

# %% [markdown]
# ## Momentum's fault, and Adam's: a few directions have it all
#
# A layer is a matrix, and its gradient is nearly of low rank: a few directions that all samples share have almost all of it. Momentum moves the matrix along those. Adam looks at elements one by one and does not see directions at all.
#
# ## Muon's cure
#
# Make all singular values of the step nearly equal (Jordan and others, 2024): with the singular value decomposition $B = U S V^\top$, step along $U V^\top$. No decomposition is needed. A polynomial of odd powers in $X$ changes the singular values alone, and five times this one brings all of them near 1, the small ones fastest:
#
# $$X \leftarrow a X + b\, (X X^\top) X + c\, (X X^\top)^2 X, \qquad \sigma \leftarrow a\sigma + b\sigma^3 + c\sigma^5$$

# %% mystnb={"image": {"alt": "Singular values of the first step for a gradient whose own fall from 1 to 0.01: momentum's fall alike, Adam's to a tenth, Muon's to little more than a half."}}
SIZE = 16
torch.manual_seed(0)
left, right = (torch.linalg.qr(torch.randn(size, SIZE))[0] for size in (SIZE, 2 * SIZE))
gradient = left @ torch.logspace(0, -2, SIZE).diag() @ right.T
values = {}
for name in ("Momentum", "Adam", "Muon"):
    weight = torch.nn.Parameter(torch.zeros_like(gradient))
    weight.grad = gradient.clone()
    optim.OPTIMIZERS[name]([weight], lr=1.0).step()
    values[name] = torch.linalg.svdvals(weight.detach()).numpy()

figure = plots.new_figure("Singular values of the first step", panel_size=(5.6, 3.2))
(axes,) = figure.axes
for name, found in values.items():
    style = plots.styles([name])[name]
    axes.semilogy(found / found[0], style["marker"] + "-", color=style["color"], label=name)
axes.set(xlabel="direction", ylabel="beside the largest")
axes.legend(frameon=False)
plots.show(figure, "09_adadelta_to_muon_6")

# %%
for name, found in values.items():
    print(f"{name:8} the smallest is {found[-1] / found[0]:.2f} of the largest")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.isclose(values["Momentum"][-1] / values["Momentum"][0], 0.01, rtol=1e-3)
assert values["Adam"][-1] / values["Adam"][0] < 0.2
assert values["Muon"].min() > 0.5 and values["Muon"].max() < 1.5

# %% [markdown]
# Does it pay? Learn a matrix from inputs that have some directions ten thousand times as often as others, each optimizer at the best of three learning rates, all falling to zero in 200 steps:


# %%
def learned(optimizer_class, lr, steps=200, **settings):
    """The loss at the end of learning a matrix from inputs of unequal directions."""
    torch.manual_seed(1)
    directions = torch.linalg.qr(torch.randn(SIZE, SIZE))[0]
    often = directions @ torch.logspace(0, -4, SIZE).diag() @ directions.T
    target = torch.randn(SIZE, SIZE)
    weight = torch.nn.Parameter(torch.zeros(SIZE, SIZE))
    optimizer = optimizer_class([weight], lr=lr, **settings)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(steps):
        missing = weight.detach() - target
        weight.grad = missing @ often / SIZE
        optimizer.step()
        schedule.step()
    missing = weight.detach() - target
    return 0.5 * (missing @ often * missing).sum().item() / SIZE


tried = {
    "Momentum": {lr: learned(optim.Momentum, lr) for lr in (10.0, 30.0, 100.0)},
    "Adam": {lr: learned(optim.Adam, lr) for lr in (0.3, 1.0, 3.0)},
    "Muon": {lr: learned(optim.Muon, lr, weight_decay=0.0) for lr in (0.1, 0.3, 1.0)},
}
best = {name: min(losses, key=losses.get) for name, losses in tried.items()}
for name, lr in best.items():
    print(f"{name:8} lr {lr:4}: loss {tried[name][lr]:.1e}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
lowest = {name: tried[name][lr] for name, lr in best.items()}
assert lowest["Muon"] < min(lowest["Adam"], lowest["Momentum"]) / 10

# %% [markdown]
# Muon's own fault: it is for matrices only. Biases, embeddings and output layers need a second optimizer; `myoptim.split_for_muon(model)` parts a model. Its page on the site trains a small transformer so.
#
# ## The picture: trajectories over contours
#
# The elementwise ones on Himmelblau's function, beside Adam, each with its torch twin. All at the lab's learning rate for it, but Adadelta, which has none. RAdam's path has a corner: its first five steps, gradients times $\eta$, throw it out of the valley in which the others stay, into another.

# %% mystnb={"image": {"alt": "Loss curves and paths on Himmelblau's function: RAdam is thrown into another minimum than the rest, NAdam has the lowest loss."}}
himmelblau = get_problem("himmelblau")
names = ["Adam", "Adadelta", "Adamax", "NAdam", "RAdam"]
results = race(himmelblau, line_up(names))
plots.show(draw(himmelblau, results), "09_adadelta_to_muon_7")

# %%
print("optimizer  lr   final loss  distance to the minimum")
for result in results:
    end = result.finish
    print(f"{result.racer.label:9}  {end.lr:<3}  {end.loss:10.2e}  {result.distance:.4f}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
losses = {result.racer.label: result.finish.loss for result in results}
assert all(result.difference == "" for result in results)  # every bit as torch's
assert losses["NAdam"] < losses["RAdam"] < losses["Adam"]
assert all(result.distance < 0.1 for result in results)
ends = {result.racer.label: result.finish.path[-1] for result in results}
assert all((end[1] < 0) == (name == "RAdam") for name, end in ends.items())

# %% [markdown]
# ## Exercises
#
# 1. How long is Adadelta's first step, at default settings, if the gradient is 1? And if it is 1000?
# 2. An element has a gradient of 1 at every hundredth step and of 0 between. What does it divide by in the long run, Adam and Adamax?
# 3. How many numbers does Adafactor keep for a vector of 1000 elements? And for a matrix of one row and 1000 columns?
# 4. All gradients are multiplied by 1000. Which of the six take another path?
#
# <details>
# <summary>Answers</summary>
#
# 1. $\sqrt{\varepsilon}/\sqrt{(1-\rho)\,g^2 + \varepsilon}$ times $g$, nearly $\sqrt{\varepsilon/(1-\rho)} = 0.0032$ for both.
# 2. Adam by about $\sqrt{0.01} = 0.1$, the root of the mean square; Adamax by a number between $0.999^{99} = 0.906$ and 1.
# 3. For the vector 1000 and the count of steps: it is not factored. For the matrix 1001, of which the means of single rows save nothing.
# 4. RAdam alone, because of its first five steps; apart from what $\varepsilon$ does.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
for size in (1.0, 1000.0):
    assert np.isclose(-steps_taken(optim.Adadelta, [[size]])[0, 0], 1e-5**0.5, rtol=1e-4)
x = torch.zeros(1, requires_grad=True)
both = optim.Adam([x], lr=0.0), optim.Adamax([x], lr=0.0)
for step in range(6001):
    x.grad = torch.ones(1) if step % 100 == 0 else torch.zeros(1)
    for optimizer in both:
        optimizer.step()
    if step == 5999:
        assert np.isclose(both[1].state[x]["exp_inf"].item(), 0.999**99)
assert np.isclose(both[0].state[x]["exp_avg_sq"].item() ** 0.5, 0.1, rtol=0.1)
assert np.isclose(both[1].state[x]["exp_inf"].item(), 1)
for shape in ((1000,), (1, 1000)):
    weight = torch.nn.Parameter(torch.ones(shape))
    weight.grad = torch.ones(shape)
    adafactor = optim.Adafactor([weight])
    adafactor.step()
    buffers = {key: value for key, value in adafactor.state[weight].items() if key != "step"}
    assert sum(value.numel() for value in buffers.values()) == (1000 if shape == (1000,) else 1001)
series = random.normal(size=(50, 3))
for name in ("Adadelta", "Adamax", "NAdam", "RAdam", "Adafactor"):
    lr = {} if name == "Adadelta" else {"lr": 0.1}
    one, scaled = (steps_taken(optim.OPTIMIZERS[name], size * series, **lr) for size in (1000, 1e6))
    assert np.allclose(one, scaled, rtol=1e-3) == (name != "RAdam"), name
