"""The optimizers of deep learning, each written once as its textbook rule.

Every class is a `torch.optim.Optimizer` and computes, bit for bit, what its namesake in
`torch.optim` computes. On a CPU, parameters and state have the bits of torch's eager loop
(`foreach=False, fused=False`) after any number of steps: in float32, float64, bfloat16, float16 and
complex64, by default and with `foreach=True` or `False`. `import myoptim as optim` changes nothing
in a training program, which is why torch's own `Optimizer`, `lr_scheduler` and `swa_utils` can be
reached here too.

Read the files in this order: `sgd.py`, `adagrad.py`, `rmsprop.py`, `adam.py`, then
`rules.py` and `optimizer.py` for what they share and `execution` for how they are run.
"""

from torch.optim import Optimizer, lr_scheduler, swa_utils

from myoptim import rules
from myoptim.algorithms.adagrad import Adagrad
from myoptim.algorithms.adam import Adam, AdamW
from myoptim.algorithms.rmsprop import RMSprop
from myoptim.algorithms.sgd import SGD, Momentum, Nesterov

RMSProp = RMSprop

#: Every optimizer by its name, simple first: the one list that tables, plots and tests go through.
OPTIMIZERS: dict[str, type[rules.TensorRule]] = {
    cls.__name__: cls for cls in (SGD, Momentum, Nesterov, Adagrad, RMSprop, Adam, AdamW)
}

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Momentum",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]
