"""What every test relies on: hypothesis profiles, one torch thread, a clean slate.

`ci` is the default: the same examples on every run. `thorough` draws new examples, many more of
them: `pytest tests/core/test_lockstep.py --hypothesis-profile=thorough`, or
`HYPOTHESIS_PROFILE=thorough pytest …`.
"""

import os
import random
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

# A lockstep example builds models and steps them: slow beside what the health checks expect.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

# Shrinking a failure is worth its time; explaining it costs more than it tells here.
PHASES = [phase for phase in Phase if phase is not Phase.explain]

settings.register_profile("base", deadline=None, suppress_health_check=SLOW, phases=PHASES)
base = settings.get_profile("base")
settings.register_profile("ci", base, max_examples=25, derandomize=True)
settings.register_profile("thorough", base, max_examples=750, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

torch.set_num_threads(1)  # test runs are parallel already; one thread also makes sums repeatable
torch.sparse.check_sparse_tensor_invariants.disable()  # torch's default, said aloud: it warns else


@pytest.fixture(autouse=True)
def clean_slate() -> Iterator[None]:
    """The same seeds before every test, and torch's global settings restored after it."""
    torch.manual_seed(0)
    random.seed(0)
    dtype = torch.get_default_dtype()
    grad = torch.is_grad_enabled()
    threads = torch.get_num_threads()
    yield
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(grad)
    torch.set_num_threads(threads)
