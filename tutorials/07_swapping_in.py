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
# # 07 Swapping into a training loop
#
# ## The idea: change one line, lose nothing
#
# A practitioner has a training loop that works. Changing one import must not change the result: not by a little, not at all.
#
# ```python
# import myoptim as optim  # was: import torch.optim as optim
# ```
#
# We train a small network on real data, with `torch.optim` and with `myoptim`, from the same start on the same minibatches, and compare every loss. Then we interrupt a run in the middle and hand its checkpoint to the other library.
#
# ## The mathematics: none is new
#
# The network is a softmax classifier with one hidden layer, $p = \operatorname{softmax}(W_2 \max(0, W_1 x + b_1) + b_2)$, trained on the cross-entropy $-\log p_y$. But the mathematics of the optimizer is no longer enough. Floating-point addition is not associative: two programs that compute the same formula in another order differ in the last bit, and training amplifies this until the curves part. «The same» here means the same operations in the same order.
#
# ## The code: seven runs, seven twins
#
# The digits that come with scikit-learn: 1,797 images of 8×8 pixels.

# %%
import io

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import myoptim
from myoptim.optimizer import declaration_of

digits = load_digits()
images = torch.tensor(digits.data, dtype=torch.float32) / 16
labels = torch.tensor(digits.target)
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
train, test = order[:1500], order[1500:]
print(images.shape, "trained on", len(train), "tested on", len(test))


def new_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def train_epochs(model, optimizer, epochs):
    """The loss of every step, for epochs numbered as given; each epoch has its own shuffle."""
    losses = []
    for epoch in epochs:
        shuffle = torch.Generator().manual_seed(epoch)
        loader = DataLoader(
            TensorDataset(images[train], labels[train]), 50, shuffle=True, generator=shuffle
        )
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def accuracy(model):
    with torch.no_grad():
        return (model(images[test]).argmax(1) == labels[test]).float().mean().item()


# %% [markdown]
# ### The same curve to the last bit
#
# The first seven optimizers, each beside what torch calls by that name (`SGD` with momentum, for `Momentum` and `Nesterov`). 10 epochs of 30 steps.

# %%
EPOCHS = 10
RATES = {"SGD": 0.1, "Momentum": 0.1, "Nesterov": 0.1, "Adagrad": 0.03, "RMSprop": 3e-3}
curves, equal = {}, {}
for name, ours in list(myoptim.OPTIMIZERS.items())[:7]:
    lr = RATES.get(name, 3e-3)
    model = new_model()
    curves[name] = train_epochs(model, ours(model.parameters(), lr=lr), range(EPOCHS))
    twin = new_model()
    declared = declaration_of(ours)
    optimizer = declared.twin(twin.parameters(), lr=lr, foreach=False, **declared.twin_settings)
    torchs = train_epochs(twin, optimizer, range(EPOCHS))
    same_weights = all(map(torch.equal, model.parameters(), twin.parameters()))
    equal[name] = curves[name] == torchs and same_weights
    print(f"{name:9} last loss {curves[name][-1]:.4f}  accuracy {accuracy(model):.1%}  ", end="")
    print("every loss and every weight equal" if equal[name] else "DIFFERENT")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert all(equal.values()) and len(equal) == 7
assert all(len(curve) == EPOCHS * 30 for curve in curves.values())
assert all(np.mean(curve[-30:]) < 0.5 for curve in curves.values())

# %% [markdown]
# ## The picture: seven curves, and no difference to be seen
#
# Seven curves of ours, and no visible difference to torch's, because there is none.

# %% mystnb={"image": {"alt": "Seven loss curves on the digits data, all falling below one half."}}
# %matplotlib inline
from myoptim.lab import plots

figure = plots.new_figure("Digits: cross-entropy, mean of 10 steps", panel_size=(6.4, 4))
(axes,) = figure.axes
smooth = {name: np.array(curve) for name, curve in curves.items()}
plots.loss_curves(axes, smooth, window=10)
plots.legend(figure)
plots.show(figure, "07_swapping_in_1")

# %% [markdown]
# ### A checkpoint, handed over in the middle
#
# Torch trains for five epochs and saves. We load and finish. And the other way round. Either must end where the uninterrupted run ends.


# %%
def save(model, optimizer):
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    return file


def handed_over(first_class, second_class, **settings):
    """Five epochs with one class, five with the other: losses and final model."""
    model = new_model()
    optimizer = first_class(model.parameters(), **settings)
    losses = train_epochs(model, optimizer, range(5))

    saved = torch.load(save(model, optimizer), weights_only=True)
    model = new_model()
    optimizer = second_class(model.parameters(), **settings)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return losses + train_epochs(model, optimizer, range(5, 10)), model


plain = {"lr": 3e-3, "foreach": False}
whole, _ = handed_over(torch.optim.AdamW, torch.optim.AdamW, **plain)
to_ours, _ = handed_over(torch.optim.AdamW, myoptim.AdamW, **plain)
to_torch, _ = handed_over(myoptim.AdamW, torch.optim.AdamW, **plain)
print("torch to myoptim:", "equal" if to_ours == whole else "DIFFERENT")
print("myoptim to torch:", "equal" if to_torch == whole else "DIFFERENT")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert whole == to_ours == to_torch == curves["AdamW"]

# %% [markdown]
# ### Schedulers and groups
#
# All else that goes with `torch.optim` goes with these classes, for they *are* `torch.optim.Optimizer`s. Two groups, no weight decay on biases, and a cosine schedule:


# %%
def with_schedule(optimizer_class, **settings):
    model = new_model()
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}]
    optimizer = optimizer_class(groups, lr=1e-2, **settings)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    losses = []
    for epoch in range(EPOCHS):
        losses += train_epochs(model, optimizer, [epoch])
        scheduler.step()
    return losses, model


ours, model = with_schedule(myoptim.AdamW)
torchs, _ = with_schedule(torch.optim.AdamW, foreach=False)
print("equal" if ours == torchs else "DIFFERENT", f"accuracy {accuracy(model):.1%}")

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
assert ours == torchs
assert isinstance(myoptim.AdamW([torch.zeros(1)]), torch.optim.Optimizer)
assert accuracy(model) > 0.9

# %% [markdown]
# ## Exercises
#
# 1. The last test compared with torch's plain loop (`foreach=False`). Compare the weights with `torch.optim.AdamW(fused=True)` after ten epochs. What do you expect?
# 2. Which is lost if the model's weights are saved and the optimizer's state is not?
# 3. The loop writes `shuffle = torch.Generator().manual_seed(epoch)`. Why not one generator for the whole run?
#
# <details>
# <summary>Answers</summary>
#
# 1. They differ: the fused kernel computes the same formula with other roundings, a last bit here and there, and three hundred steps spread it. The accuracy is the same, or nearly.
# 2. The moments and the step count. Adam starts as if new: its averages are zero, and the first step after loading is about `lr` in every weight, whatever the gradient.
# 3. So that an interrupted run can go on with epoch 5 without having drawn the shuffles of epochs 0 to 4. With one generator its state would belong into the checkpoint.
#
# </details>

# %% jupyter={"source_hidden": true} tags=["hide-cell"]
# The first answer, checked.
model, fused = new_model(), new_model()
train_epochs(model, myoptim.AdamW(model.parameters(), lr=3e-3), range(EPOCHS))
train_epochs(fused, torch.optim.AdamW(fused.parameters(), lr=3e-3, fused=True), range(EPOCHS))
assert not all(map(torch.equal, model.parameters(), fused.parameters()))
assert abs(accuracy(model) - accuracy(fused)) < 0.02
