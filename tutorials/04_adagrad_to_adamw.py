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
# # 04 Adagrad, RMSprop, Adam, AdamW
#
# ## The idea: each cures its predecessor's fault
#
# Four optimizers, each the cure of its predecessor's fault. The story is told in one dimension at a time, with gradients that we prescribe, so that nothing but the rule can be the cause of what we see.
#
# ## The mathematics: four denominators
#
# All four divide the gradient, element by element, by a measure of its own size. They differ in how they measure it:
#
# | | measure of size | what moves |
# |---|---|---|
# | Adagrad | root of the *sum* of all $g^2$ | $g$ |
# | RMSprop | root of an *average* of $g^2$ | $g$ |
# | Adam | root of a *corrected* average of $g^2$ | a corrected average of $g$ |
# | AdamW | as Adam | as Adam, and the weight shrinks by itself |
#
# The formulas stand below, each beside the fault that it cures.
#
# ## The code: gradients given, steps read off
#
# One function serves the whole tutorial: it hands an optimizer the gradients that we want and writes down how far each step moves the parameter.

# %%
import numpy as np
import torch

import myoptim as optim
from myoptim.lab import plots

# %matplotlib inline


def steps_taken(optimizer_class, gradients, start=0.0, **settings):
    """How far each step moves the parameter, for prescribed gradients of shape (steps, numbers)."""
    gradients = torch.as_tensor(gradients, dtype=torch.float64).reshape(len(gradients), -1)
    x = torch.full((gradients.shape[1],), start, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([x], **settings)
    moves = []
    for gradient in gradients:
        before = x.detach().clone()
        x.grad = gradient.clone()
        optimizer.step()
        moves.append((x.detach() - before).numpy())
    return np.array(moves)


# %% [markdown]
# ## SGD's fault: one rate for all
#
# Two parameters, one with gradients a thousand times larger than the other. Whatever rate suits one is wrong for the other.

# %%
unequal = [(1.0, 1000.0)] * 50
print("SGD's steps:    ", steps_taken(optim.SGD, unequal, lr=0.1)[0])
print("Adagrad's steps:", steps_taken(optim.Adagrad, unequal, lr=0.1)[0])

# %% [markdown]
# ## Adagrad's cure
#
# Divide each element by the root of the sum of its squared gradients (Duchi, Hazan and Singer, 2011):
#
# $$s_t = s_{t-1} + g_t^2, \qquad \theta_t = \theta_{t-1} - \eta\,\frac{g_t}{\sqrt{s_t} + \varepsilon}$$
#
# The scale of the gradient cancels. The first step is $\eta$ long in both elements.

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.allclose(steps_taken(optim.Adagrad, unequal, lr=0.1)[0], -0.1)

# %% [markdown]
# ## Adagrad's fault: it never forgets
#
# With a gradient that is always 1, $s_t = t$ and the steps are $\eta/\sqrt t$: they die out, however far there is still to go. Early gradients are never forgiven: after ten gradients of 100, the parameter is all but frozen.
#
# ## RMSprop's cure
#
# Average the squares instead of adding them up (Tieleman and Hinton, 2012):
#
# $$v_t = \alpha\, v_{t-1} + (1-\alpha)\, g_t^2, \qquad \theta_t = \theta_{t-1} - \eta\,\frac{g_t}{\sqrt{v_t} + \varepsilon}$$

# %% mystnb={"image": {"alt": "Step lengths on logarithmic axes: Adagrad's fall without end, RMSprop's stay, also after a burst of large gradients."}}
burst = np.ones(1000)
burst[:10] = 100.0

figure = plots.new_figure("Length of each step, lr 1", panels=2, panel_size=(4.4, 3.2))
for axes, gradients, title in zip(
    figure.axes,
    (np.ones(1000), burst),
    ("gradient always 1", "ten gradients of 100, then 1"),
    strict=True,
):
    for name in ("Adagrad", "RMSprop"):
        lengths = -steps_taken(optim.OPTIMIZERS[name], gradients, lr=1.0)[:, 0]
        axes.loglog(np.arange(1, 1001), lengths, color=plots.COLOURS[name], label=name)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("step")
plots.legend(figure)
plots.show(figure, "04_adagrad_to_adamw_1")

# %%
adagrad = -steps_taken(optim.Adagrad, np.ones(1000), lr=1.0)[:, 0]
rmsprop = -steps_taken(optim.RMSprop, np.ones(1000), lr=1.0)[:, 0]
after_burst = {
    name: -steps_taken(optim.OPTIMIZERS[name], burst, lr=1.0)[-1, 0]
    for name in ("Adagrad", "RMSprop")
}
print("after the burst:", {name: round(float(step), 3) for name, step in after_burst.items()})

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.allclose(adagrad, 1 / np.sqrt(np.arange(1, 1001)))
assert np.allclose(rmsprop[-1], 1, rtol=1e-4)
assert after_burst["Adagrad"] < 0.01 and after_burst["RMSprop"] > 0.9

# %% [markdown]
# ## RMSprop's fault: a start from nothing
#
# Look at the left end of RMSprop's curve: the first step is ten times as long as it should be. The average starts at zero; after one step it is $(1-\alpha)g^2 = 0.01\,g^2$, and the quotient is $1/\sqrt{0.01} = 10$. Besides, RMSprop in its plain form has no momentum.
#
# ## Adam's cure
#
# Average the gradient too, and correct both averages for their start (Kingma and Ba, 2015):
#
# $$m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2, \quad \hat m_t = \frac{m_t}{1-\beta_1^t}, \quad \hat v_t = \frac{v_t}{1-\beta_2^t}$$
#
# $$\theta_t = \theta_{t-1} - \eta\,\frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}$$
#
# Why $1 - \beta^t$? Because the weights in the average sum to that: $\sum_{k<t} (1-\beta)\beta^k = 1 - \beta^t$. Divided by it, they sum to one, and what comes out is an average.

# %% mystnb={"image": {"alt": "Left the averages m and v of a constant gradient, rising from zero to one, v a hundred times later; right the lengths of the steps: too long for hundreds of steps without correction, one learning rate with it."}}
t = np.arange(1, 1001)
m, v = 1 - 0.9**t, 1 - 0.999**t  # the averages of a gradient that is always 1
uncorrected = m / np.sqrt(v)
corrected = -steps_taken(optim.Adam, np.ones(1000), lr=1.0)[:, 0]

figure = plots.new_figure(
    "Bias correction, gradient always 1, lr 1", panels=2, panel_size=(4.4, 3.2)
)
averages, lengths = figure.axes
averages.semilogx(t, m, color="#0072B2", label="m")
averages.semilogx(t, v, color="#009E73", label="v")
averages.axhline(1, color="black", linestyle=":", label="both, corrected")
averages.legend(frameon=False)
averages.set(xlabel="step", title="the averages")
lengths.semilogx(t, uncorrected, color="#7F7F7F", label="without correction")
lengths.semilogx(t, corrected, color=plots.COLOURS["Adam"], label="Adam")
lengths.legend(frameon=False)
lengths.set(xlabel="step", title="length of each step", ylim=(0, None))
plots.show(figure, "04_adagrad_to_adamw_2")

# %%
print(f"first step {uncorrected[0]:.3f} without correction, {corrected[0]:.3f} with")
print(f"longest    {uncorrected.max():.3f} without correction, {corrected.max():.3f} with")
state = {}
x = torch.zeros(1, requires_grad=True)
adam = optim.Adam([x])
x.grad = torch.ones(1)
adam.step()
print(
    "after one step: m =",
    adam.state[x]["exp_avg"].item(),
    "v =",
    adam.state[x]["exp_avg_sq"].item(),
)

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert np.isclose(uncorrected[0], 0.1 / 0.001**0.5)  # 3.16
assert np.allclose(corrected, 1, rtol=1e-6)
assert np.isclose(adam.state[x]["exp_avg"].item(), 0.1)
assert np.isclose(adam.state[x]["exp_avg_sq"].item(), 0.001)

# %% [markdown]
# ## Adam's fault: a decay that is none
#
# Weight decay shrinks weights a little at every step. With SGD one may as well add $\lambda\theta$ to the gradient. With Adam one may not: there $\lambda\theta$ is divided by $\sqrt{\hat v}$ like all else. Two weights, both starting at 1. Their gradients are noise with mean 0, of size 10 for one and 0.1 for the other. Only the decay pulls; it should pull both alike.
#
# ## AdamW's cure
#
# Shrink the weight by itself, before the rule, and leave the gradient alone (Loshchilov and Hutter, 2019):
#
# $$\theta_t = (1 - \eta\lambda)\,\theta_{t-1} - \eta\,\frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}$$

# %% mystnb={"image": {"alt": "Two panels of weights under decay: with Adam one of the two hardly decays and the other too fast, with AdamW both follow the dotted line."}}
random = np.random.default_rng(0)
signs = random.choice([-1.0, 1.0], size=(1000, 2))
noise = signs * np.array([10.0, 0.1])
pull = {"lr": 1e-3, "weight_decay": 0.5}

figure = plots.new_figure("Two weights under weight decay 0.5", panels=2, panel_size=(4.4, 3.2))
left = {}
for axes, name in zip(figure.axes, ("Adam", "AdamW"), strict=True):
    moves = steps_taken(optim.OPTIMIZERS[name], noise, start=1.0, **pull)
    path = 1 + moves.cumsum(axis=0)
    left[name] = path[-1]
    axes.plot(path[:, 0], color="#D55E00", label="gradients of size 10")
    axes.plot(path[:, 1], color="#0072B2", label="gradients of size 0.1")
    axes.plot((1 - 1e-3 * 0.5) ** np.arange(1000), "k:", label="the decay alone")
    axes.set(xlabel="step", title=name, ylim=(0, 1.1))
figure.axes[0].legend(frameon=False, fontsize="small")
plots.show(figure, "04_adagrad_to_adamw_3")

# %%
print("left of each weight:", {name: end.round(2).tolist() for name, end in left.items()})

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
alone = (1 - 1e-3 * 0.5) ** 1000
assert left["Adam"][0] > 0.9  # hardly decayed
assert left["Adam"][1] < 0.4  # much more than it should be
assert np.abs(left["AdamW"] - alone).max() < 0.07

# %% [markdown]
# With Adam the weight with large gradients is hardly decayed, and the one with small gradients far too much. With AdamW both follow the decay, but for the noise.
#
# ## The picture: trajectories over contours
#
# Beale's function: a plateau, a bend, and a long flat valley to the minimum at (3, 0.5). Every optimizer at the lab's learning rate for it, each beside its torch twin.

# %% mystnb={"image": {"alt": "Loss curves and paths on Beale's function: all turn into the long valley, at different speeds."}}
from myoptim.lab.problems import get_problem
from myoptim.lab.race import draw, line_up, race

beale = get_problem("beale")
names = ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"]
results = race(beale, line_up(names))
plots.show(draw(beale, results), "04_adagrad_to_adamw_4")

# %%
print("optimizer  lr     final loss  distance to the minimum")
for result in results:
    print(
        f"{result.racer.label:9}  {result.finish.lr:<5}  {result.finish.loss:10.2e}  {result.distance:.3f}"
    )

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
losses = {result.racer.label: result.finish.loss for result in results}
assert all(result.difference == "" for result in results)  # every bit as torch's
assert losses["Adam"] < losses["SGD"] / 10

# %% [markdown]
# AdamW stops short: its decay pulls towards (0, 0), where this function has no minimum. Decay is for networks, not for surfaces. Nor is this picture the last word. On another function the order is another; tutorial 05 has a problem on which plain SGD beats Adam.
#
# ## Exercises
#
# 1. A gradient alternates between +1 and -1. How long are Adam's steps, at default settings, after many steps? And RMSprop's?
# 2. Multiply all gradients by 1000. Which of the five optimizers take another path?
# 3. Let all gradients be zero, $\theta_0 = 1$, $\eta = 0.1$ and $\lambda = 0.5$. Where are Adam and AdamW after one step?
#
# <details>
# <summary>Answers</summary>
#
# 1. Adam's $m$ tends to $\pm(1-\beta_1)/(1+\beta_1) = \pm 0.0526$ and $v$ to 1, so its steps shrink to about $0.053\,\eta$. RMSprop has no average of $g$: its steps stay $\eta$ long.
# 2. SGD alone, apart from what $\varepsilon$ does (and weight decay, which is off for all but AdamW, where it does not touch the gradient).
# 3. Adam's gradient is $\lambda\theta = 0.5$ and its first step is $\eta$ whatever the gradient: 0.9. AdamW: $1 - \eta\lambda = 0.95$.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
alternating = (-1.0) ** np.arange(20_000)
assert np.isclose(abs(steps_taken(optim.Adam, alternating, lr=1.0)[-1, 0]), 0.1 / 1.9, rtol=1e-3)
assert np.isclose(abs(steps_taken(optim.RMSprop, alternating, lr=1.0)[-1, 0]), 1, rtol=1e-3)
series = random.normal(size=(50, 3))
for name in names:
    one = steps_taken(optim.OPTIMIZERS[name], series, lr=0.1)
    scaled = steps_taken(optim.OPTIMIZERS[name], 1000 * series, lr=0.1)
    assert np.allclose(one, scaled, rtol=1e-4) == (name != "SGD")
for name, end in (("Adam", 0.9), ("AdamW", 0.95)):
    move = steps_taken(optim.OPTIMIZERS[name], [[0.0]], start=1.0, lr=0.1, weight_decay=0.5)
    assert np.isclose(1 + move[0, 0], end)
