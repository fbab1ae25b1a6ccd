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
# # 01 What an optimizer object is
#
# ## The idea: the optimizer sees tensors and gradients, nothing else
#
# Training is a loop. Each round computes a loss, asks autograd for the gradient of the loss with respect to every parameter, and lets an *optimizer* change the parameters. The optimizer never sees the loss or the model. It sees tensors, and the gradient that hangs on each of them in `.grad`. All else is bookkeeping: which tensors, with which settings, and what to remember between steps.
#
# Two optimizers, one start, the same gradients asked for, and two ways down. Everything in the left picture is the loss, which only the loop sees; everything in the right one is what the optimizer did to two numbers.

# %% mystnb={"image": {"alt": "Loss curves and paths of SGD and Adam in a ravine: SGD zigzags across it and crawls along the floor, Adam swings down in a wide curve."}}
# %matplotlib inline
from myoptim.lab import plots
from myoptim.lab.problems import get_problem
from myoptim.lab.race import draw, line_up, race

ravine = get_problem("ravine")
plots.show(draw(ravine, race(ravine, line_up(["SGD", "Adam"]))), "01_what_an_optimizer_is_1")

# %% [markdown]
# ## The mathematics: one line
#
# The simplest optimizer, gradient descent, moves every parameter $\theta$ against its gradient $g$, by a fixed multiple $\eta$ of it, the *learning rate*:
#
# $$\theta_t = \theta_{t-1} - \eta\, g_t$$
#
# ## The code: one parameter, one gradient, one step
#
# One parameter, a 2×2 weight, and a gradient of all ones, put there by hand.

# %%
import io

import torch

import myoptim as optim

weight = torch.zeros(2, 2, requires_grad=True)
weight.grad = torch.ones(2, 2)

optimizer = optim.SGD([weight], lr=0.1)
optimizer

# %% [markdown]
# ### `step`
#
# Every entry moves by exactly -0.1, the learning rate times the gradient.

# %%
optimizer.step()
weight

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert torch.equal(weight, torch.full((2, 2), -0.1))

# %% [markdown]
# A second `step()` moves it again, by the same: the gradient is still there. Nobody clears it but you.

# %%
optimizer.step()
weight

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert torch.equal(weight, torch.full((2, 2), -0.2))

# %% [markdown]
# ### `zero_grad`
#
# `backward()` *adds* to `.grad`, so a loop clears the gradients once per round. Today's default sets them to `None`, which saves memory; `set_to_none=False` leaves zeros. The difference matters: a parameter without gradient is skipped by `step`, one with a zero gradient is not (momentum or weight decay may still move it).

# %%
optimizer.zero_grad(set_to_none=False)
print("zeros:", weight.grad)
optimizer.zero_grad()
print("default:", weight.grad)

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert weight.grad is None

# %% [markdown]
# A round of a real loop is therefore:
#
# ```python
# optimizer.zero_grad()
# loss = criterion(model(inputs), targets)
# loss.backward()
# optimizer.step()
# ```
#
# ### `param_groups`
#
# The optimizer holds its parameters in *groups*, each a dict with the parameters and their settings. The tensors are the very ones you gave, not copies.

# %%
for key, value in optimizer.param_groups[0].items():
    print(f"{key}: {value}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert optimizer.param_groups[0]["params"][0] is weight

# %% [markdown]
# Settings live in the group, so that parts of a model can be trained differently, and so that a scheduler can change them between steps. `add_param_group` adds a group; what it does not set is taken from the defaults.

# %%
w2 = torch.zeros(3, requires_grad=True)
optimizer.add_param_group({"params": w2, "lr": 1e-4})

for group in optimizer.param_groups:
    print(len(group["params"]), "tensor, lr", group["lr"], "momentum", group["momentum"])

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
first, second = optimizer.param_groups
assert second["lr"] == 1e-4 and first["lr"] == 0.1
assert {k: v for k, v in second.items() if k not in ("params", "lr")} == {
    k: v for k, v in first.items() if k not in ("params", "lr")
}

# %% [markdown]
# ### `defaults`
#
# `defaults` keeps what the constructor was given. It is read when a group is added, and never again: to change a running optimizer, change its groups.

# %%
optimizer.defaults

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
optimizer.defaults["lr"] = 99.0  # has no effect on the groups that exist
assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1e-4]

# %% [markdown]
# ### `state`
#
# What is remembered between steps, for each parameter. Plain SGD remembers nothing. With momentum there is one buffer, made at the first step.

# %%
weight = torch.zeros(2, 2, requires_grad=True)
optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
print("before:", dict(optimizer.state))

weight.grad = torch.ones(2, 2)
optimizer.step()
print("after: ", optimizer.state[weight])

# %% [markdown]
# ### `state_dict`
#
# The state, keyed by *number* instead of by tensor, and the groups with numbers in place of tensors: plain data, fit to be saved.

# %%
optimizer.state_dict()

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
fresh = optim.SGD([torch.zeros(2, 2, requires_grad=True)], lr=0.1, momentum=0.9)
assert fresh.state_dict()["state"] == {}
assert list(optimizer.state_dict()["state"]) == [0]
assert list(optimizer.state_dict()["state"][0]) == ["momentum_buffer"]

# %% [markdown]
# ### Saving, loading, going on
#
# Save parameters and optimizer after five steps, load them into new ones, and go on. The run that was interrupted and the one that was not must end in the same place, to the last bit.


# %%
def train(weight, optimizer, steps):
    """Minimize the sum of squares."""
    for _ in range(steps):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()


torch.manual_seed(0)
weight = torch.randn(2, 2, requires_grad=True)
optimizer = optim.SGD([weight], lr=0.1, momentum=0.9)
train(weight, optimizer, 5)

file = io.BytesIO()
torch.save({"weight": weight.detach(), "optimizer": optimizer.state_dict()}, file)

file.seek(0)
saved = torch.load(file, weights_only=True)
weight_again = saved["weight"].clone().requires_grad_()
optimizer_again = optim.SGD([weight_again], lr=0.1, momentum=0.9)
optimizer_again.load_state_dict(saved["optimizer"])

train(weight, optimizer, 20)
train(weight_again, optimizer_again, 20)
print(weight, weight_again, sep="\n")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert torch.equal(weight, weight_again)

# %% [markdown]
# Without the optimizer's state the momentum would start from nothing, and the path would be another:

# %%
forgetful = saved["weight"].clone().requires_grad_()
train(forgetful, optim.SGD([forgetful], lr=0.1, momentum=0.9), 20)
print(forgetful)

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert not torch.equal(weight, forgetful)

# %% [markdown]
# ### The step count
#
# Where is the number of steps kept? Not in the optimizer. Adam keeps a count of *its own* for every parameter, because its formula contains it. A learning-rate scheduler keeps another, `last_epoch`, the number of times that `scheduler.step()` was called; from it it computes the rate and writes it into the groups.

# %%
weight = torch.zeros(2, requires_grad=True)
optimizer = optim.Adam([weight], lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5)

rates = []
for _ in range(30):
    weight.grad = torch.ones(2)
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    scheduler.step()

print("Adam's count:     ", optimizer.state[weight]["step"])
print("scheduler's count:", scheduler.last_epoch)
print("saved with it:    ", scheduler.state_dict()["last_epoch"])

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert optimizer.state[weight]["step"] == 30
assert scheduler.last_epoch == 30
assert rates[::10] == [0.1, 0.05, 0.025]

# %% [markdown]
# ## The picture: who reads and who writes what
#
# The four things, and who reads and writes them:
#
# | | holds | read by | written by |
# |---|---|---|---|
# | `defaults` | the constructor's settings | `add_param_group` | the constructor |
# | `param_groups` | parameters and their settings | `step` | you, schedulers, `load_state_dict` |
# | `state` | what each parameter remembers | `step` | `step`, `load_state_dict` |
# | step count | how many steps were made | schedulers; Adam's formula | `scheduler.step()`; `step` |
#
# and the learning rate that the scheduler wrote into the group:

# %% mystnb={"image": {"alt": "The learning rate over thirty steps: 0.1, halved after ten steps and again after twenty."}}
figure = plots.new_figure("The learning rate in param_groups[0]", panel_size=(5, 2.6))
(axes,) = figure.axes
axes.step(range(30), rates, where="post", color="black")
axes.set(xlabel="step", ylabel="lr", ylim=(0, 0.11))
plots.show(figure, "01_what_an_optimizer_is_2")

# %% [markdown]
# ## Exercises
#
# 1. Call `backward()` twice on $f(x) = x^2$ at $x = 3$ without `zero_grad` between. What is `x.grad`?
# 2. Give a parameter a gradient of zeros, and step with `SGD(lr=0.1, momentum=0, weight_decay=0.5)` from $x = 1$. Where is $x$? And with `x.grad = None`?
# 3. Why must `load_state_dict` be given parameters in the same order as when the state was saved?
#
# <details>
# <summary>Answers</summary>
#
# 1. 12: the two gradients of 6 are added.
# 2. At 0.95: the weight decay adds $0.5 \cdot 1$ to the gradient, and $1 - 0.1 \cdot 0.5 = 0.95$. With no gradient the parameter is skipped and stays at 1.
# 3. State is saved by number, the place of the parameter among all groups. Another order would hand each tensor another's memory. If shapes differ, the next step fails; if they agree, nothing warns you.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The answers, checked.
x = torch.tensor(3.0, requires_grad=True)
(x**2).backward()
(x**2).backward()
assert x.grad == 12

x = torch.tensor(1.0, requires_grad=True)
optimizer = optim.SGD([x], lr=0.1, weight_decay=0.5)
optimizer.step()
assert x == 1
x.grad = torch.tensor(0.0)
optimizer.step()
assert abs(x.item() - 0.95) < 1e-7
