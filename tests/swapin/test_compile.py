"""torch.compile of a step: right to 1e-5, and compiled no more often than torch's own."""

import pytest
import torch
from registry import ROWS, Options, Row, each_compiled
from swapin.training import Pair, Run
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.optim import Optimizer
from twins import save_and_load

pytestmark = [
    pytest.mark.xdist_group("compile"),
    # of torch's compiler, when it imports a module of torch
    pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"),
]

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> None:
    torch._dynamo.reset()


def set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def train_compiled(run: Run, rates: list[float], backend: str = "eager") -> list[int]:
    """Train with a compiled step; return how many graphs there were after each step."""
    graphs = CompileCounterWithBackend(backend)
    step = torch.compile(run.optimizer.step, backend=graphs)
    counts = []
    for number, rate in enumerate(rates):
        set_lr(run.optimizer, rate)
        run.backward(number)
        step()
        counts.append(graphs.frame_count)
    return counts


def assert_close(ours: Run, torchs: Run) -> None:
    """Losses, parameters, and every state tensor."""
    torch.testing.assert_close(ours.losses, torchs.losses, **TOLERANCE)
    for a, b in zip(ours.model.parameters(), torchs.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
        state, expected = ours.optimizer.state[a], torchs.optimizer.state[b]
        assert list(state) == list(expected)
        for key in expected:
            torch.testing.assert_close(state[key], expected[key], **TOLERANCE)


def in_groups(run: Run, count: int) -> Run:
    """The same run with its parameters in one group or in two."""
    if count == 1:
        first, second = run.optimizer.param_groups
        first["params"] += second["params"]
        del run.optimizer.param_groups[1]
    return run


@each_compiled
@pytest.mark.parametrize(
    ("options", "lr", "groups"),
    [({}, 0.02, 1), (None, torch.tensor(0.02), 2)],
    ids=["defaults", "every buffer, lr a tensor"],
)
def test_close_to_the_eager_step_and_compiled_no_more_often_than_torchs(
    row: Row, options: Options | None, lr: float | Tensor, groups: int
) -> None:
    """Never again for another step count; for another learning rate once, if it is a number. With
    several groups the first step may have a graph of its own."""
    rates = [0.02] * 4 + [0.01, 0.005, 0.004, 0.003]
    pair = Pair(row, options, lr)
    eager = in_groups(Pair(row, options, lr).torchs, groups)
    ours, torchs = [train_compiled(in_groups(run, groups), rates) for run in pair]
    assert ours[0] >= 1, "nothing was compiled"
    assert ours[-1] <= torchs[-1] + (groups - 1)
    assert ours[1] == ours[3], "compiled again for another step"
    assert ours[4] == ours[-1], "compiled again and again for other learning rates"
    if isinstance(lr, Tensor):
        assert ours[3] == ours[-1], "compiled again for another value of a tensor"
    for number, rate in enumerate(rates):
        set_lr(eager.optimizer, rate)
        eager.train(number)
    assert_close(pair.ours, eager)


@pytest.mark.parametrize("row", [row for row in ROWS if str(row) in ("Momentum", "AdamW")], ids=str)
def test_with_the_real_compiler(row: Row) -> None:
    """The tests above trace the step and run the graph as it is; here it is compiled to C++."""
    pair = Pair(row, row.full)
    train_compiled(pair.ours, [0.02] * 5, "inductor")
    set_lr(pair.torchs.optimizer, 0.02)
    pair.torchs.train(*range(5))
    assert_close(pair.ours, pair.torchs)


@each_compiled
def test_checkpoint_of_a_compiled_run_goes_on_eagerly(row: Row) -> None:
    pair = Pair(row)
    train_compiled(pair.ours, [0.02] * 3)
    model, optimizer = save_and_load(
        (pair.ours.model.state_dict(), pair.ours.optimizer.state_dict())
    )
    pair.torchs.model.load_state_dict(model)
    pair.torchs.optimizer.load_state_dict(optimizer)
    pair.torchs.losses[:] = pair.ours.losses
    pair.train(3, 4, 5)
