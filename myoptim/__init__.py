"""The optimizers of deep learning, each written once as its textbook rule.

Every class is a `torch.optim.Optimizer` and computes, bit for bit, what its namesake in
`torch.optim` computes, if it has one there. On a CPU, parameters and state have the bits of torch's
eager loop (`foreach=False, fused=False`) after any number of steps: in float32, float64, bfloat16,
float16 and complex64, by default and with `foreach=True` or `False`. `import myoptim as optim`
changes nothing in a training program, which is why torch's own `Optimizer`, `lr_scheduler` and
`swa_utils` can be reached here too.

Read the files in this order: `sgd.py`, `adagrad.py`, `rmsprop.py`, `adam.py`, then
`rules.py` and `optimizer.py` for what they share and `execution` for how they are run.
"""

import contextlib

from torch.optim import Optimizer, lr_scheduler, swa_utils

from myoptim import optimizer
from myoptim.algorithms.adadelta import Adadelta
from myoptim.algorithms.adafactor import Adafactor
from myoptim.algorithms.adagrad import Adagrad
from myoptim.algorithms.adam import Adam, AdamW
from myoptim.algorithms.adamax import Adamax
from myoptim.algorithms.ademamix import AdEMAMix
from myoptim.algorithms.asgd import ASGD
from myoptim.algorithms.lbfgs import LBFGS
from myoptim.algorithms.lion import Lion
from myoptim.algorithms.muon import Muon
from myoptim.algorithms.muon_split import split_for_muon
from myoptim.algorithms.nadam import NAdam
from myoptim.algorithms.prodigy import Prodigy
from myoptim.algorithms.radam import RAdam
from myoptim.algorithms.rmsprop import RMSprop
from myoptim.algorithms.rprop import Rprop
from myoptim.algorithms.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from myoptim.algorithms.sgd import SGD, Momentum, Nesterov
from myoptim.algorithms.soap import SOAP
from myoptim.algorithms.sparse_adam import SparseAdam

__version__ = "0.2.0"

RMSProp = RMSprop

#: Every optimizer by its name, simple first: the one list that tables, plots and tests go through.
#: First those of `torch.optim`, whole; then the modern tier, each from its paper.
OPTIMIZERS: dict[str, type[optimizer.Optimizer]] = {
    cls.__name__: cls
    for cls in (
        *(SGD, Momentum, Nesterov, Adagrad, RMSprop, Adam, AdamW),
        *(Adadelta, Adamax, NAdam, RAdam, Rprop, ASGD),
        *(Adafactor, Muon, SparseAdam, LBFGS),
        *(Lion, AdEMAMix, ScheduleFreeSGD, ScheduleFreeAdamW, Prodigy, SOAP),
    )
}

__all__ = [
    "ASGD",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "SOAP",
    "AdEMAMix",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "Prodigy",
    "RAdam",
    "RMSProp",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "SparseAdam",
    "lr_scheduler",
    "split_for_muon",
    "swa_utils",
]

with contextlib.suppress(ImportError):  # torch 2.8 lacks it
    from torch.optim import swap_in_optimizer_params_and_state

    __all__ += ["swap_in_optimizer_params_and_state"]
