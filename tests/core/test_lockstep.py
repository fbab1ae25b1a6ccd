"""Ours and torch's through the same random life, compared in bits after every event.

Hypothesis draws the model, the hyper-parameters, the gradients and what happens in between:
learning rates change, groups are added, checkpoints change hands, parameters freeze.
"""

import copy
import pickle
from collections.abc import Sequence
from contextlib import ExitStack

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from registry import EXECUTORS, OLD, Options, Row, each_row, runs_with_foreach
from tensors import KINDS, gradient_layouts, models, seeds
from twins import Twins, tiny_pieces

STATEFUL_STEPS = 20


class Lockstep(RuleBasedStateMachine):
    """One optimizer and its twin, from construction on."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        self.twins: Twins | None = None
        self.limits = ExitStack()

    def teardown(self) -> None:
        self.limits.close()

    def draw_options(
        self, data: st.DataObject, defaults: Options | None = None, without: Sequence[str] = ()
    ) -> Options:
        """Hyper-parameters that are legal, for a constructor or over the defaults."""
        chosen = data.draw(self.row.hypers, label="options")
        if self.executor == "foreach" and not runs_with_foreach(chosen):
            without = (*without, "lr", "betas")
        chosen = {key: value for key, value in chosen.items() if key not in without}
        return self.row.legal(chosen, defaults or self.row.twin_kwargs)

    @initialize(
        data=st.data(),
        specs=models(),
        executor=st.sampled_from(sorted(EXECUTORS)),
        tiny=st.booleans(),
        seed=seeds,
    )
    def build(self, data: st.DataObject, specs: list, executor: str, tiny: bool, seed: int) -> None:
        """With `tiny`, small tensors are cut and gathered as otherwise only large ones are."""
        if tiny:
            self.limits.enter_context(tiny_pieces())
        self.start(data, specs, executor, seed)

    def start(self, data: st.DataObject, specs: list, executor: str, seed: int) -> None:
        self.executor = executor
        options = self.draw_options(data)
        self.twins = Twins(self.row, specs, options, EXECUTORS[executor], seed)
        self.frozen: set[int] = set()

    @precondition(lambda self: self.twins is not None and self.twins.failed)
    @rule(data=st.data(), specs=models(), seed=seeds)
    def build_anew(self, data: st.DataObject, specs: list, seed: int) -> None:
        """Both refused a step, with the same error, and may have stopped halfway."""
        self.start(data, specs, self.executor, seed)

    @property
    def alive(self) -> bool:
        return self.twins is not None and not self.twins.failed

    @precondition(lambda self: self.alive)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["normal"] * 6 + list(KINDS)),
        missing=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
        with_closure=st.booleans(),
        times=st.sampled_from([1, 1, 1, 3]),
    )
    def step(
        self, data: st.DataObject, kind: str, missing: float, with_closure: bool, times: int
    ) -> None:
        layout = data.draw(gradient_layouts(self.row.sparse), label="gradient layout")
        for _ in range(times):
            gradients = self.twins.random_gradients(kind, missing)
            if layout is not None:
                gradients = [g if g is None else layout(g) for g in gradients]
            gradients = [None if i in self.frozen else g for i, g in enumerate(gradients)]
            self.twins.step(gradients, with_closure)
            if self.twins.failed:
                break

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def change_options(self, data: st.DataObject) -> None:
        """What a scheduler does, or a user: values of a group written between steps."""
        group = data.draw(st.integers(0, len(self.twins.ours.param_groups) - 1), label="group")
        without = (*self.row.breaks, *self.row.ignored)
        for key, value in self.draw_options(data, without=without).items():
            self.twins.set_option(group, key, value)
        self.twins.compare()

    @precondition(lambda self: self.alive)
    @rule(factor=st.sampled_from([0.0, 0.1, 0.5, 1.1]))
    def scale_lr(self, factor: float) -> None:
        for i, group in enumerate(self.twins.twin.param_groups):
            self.twins.set_option(i, "lr", group["lr"] * factor)

    @precondition(
        lambda self: self.alive and takes_groups(self.row) and len(self.twins.ours.param_groups) < 4
    )
    @rule(data=st.data(), specs=models())
    def add_group(self, data: st.DataObject, specs: list) -> None:
        defaults = self.twins.twin.defaults
        self.twins.add_group(specs, self.draw_options(data, defaults, self.row.ignored))

    @precondition(lambda self: self.alive)
    @rule()
    def exchange_checkpoints(self) -> None:
        self.twins.exchange_checkpoints()

    @precondition(lambda self: self.alive)
    @rule(how=st.sampled_from(["deepcopy", "pickle"]))
    def clone(self, how: str) -> None:
        copies = {"deepcopy": copy.deepcopy, "pickle": lambda x: pickle.loads(pickle.dumps(x))}
        self.twins.clone(copies[how])

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), set_to_none=st.booleans())
    def step_after_zero_grad(self, data: st.DataObject, set_to_none: bool) -> None:
        """`zero_grad` leaves None, which skips the parameter, or zeros, which do not."""
        self.twins.set_gradients(self.twins.random_gradients())
        for optimizer in (self.twins.ours, self.twins.twin):
            optimizer.zero_grad(set_to_none=set_to_none)
        zeros = [None if p.grad is None else torch.zeros_like(p) for p, _ in self.twins.pairs()]
        for (p, q), zero in zip(self.twins.pairs(), zeros, strict=True):
            assert (p.grad is None) == (q.grad is None) == set_to_none
            assert zero is None or torch.equal(p.grad.to_dense(), zero)
        self.twins.step(zeros)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def freeze_or_thaw(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.twins.specs) - 1), label="parameter")
        self.frozen ^= {index}
        for parameter in self.twins.pairs()[index]:
            parameter.requires_grad_(index not in self.frozen)


def takes_groups(row: Row) -> bool:
    return row.groups and not (OLD and str(row) == "Adagrad")  # torch's makes no state for them


@each_row
def test_lockstep(row: Row) -> None:
    run_state_machine_as_test(
        lambda: Lockstep(row), settings=settings(stateful_step_count=STATEFUL_STEPS)
    )
