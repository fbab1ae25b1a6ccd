"""Our optimizer and torch's side by side, on equal parameters, fed equal gradients."""

import copy
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers, assert_same_tensor, parameters
from registry import Options, Row
from tensors import Spec, source
from torch import Tensor
from torch.optim import Optimizer

from myoptim.execution import cpu, fused


def parameter(values: Tensor) -> torch.nn.Parameter:
    """A parameter with memory of its own, lying in it as `values` does in theirs."""
    return torch.nn.Parameter(copy.deepcopy(values.detach()))


def save_and_load(state: Any) -> Any:
    """Through a checkpoint file, read the safe way."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@contextmanager
def tiny_pieces() -> Iterator[None]:
    """Tensors of a few elements are cut, gathered and compiled as otherwise only large ones are."""
    tiny = {"IN_CACHE": 64, "SMALL": 6, "PACK": 24, "WORTH_PACKING": 3, "AT_A_TIME": 20}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tiny.items():
            patch.setattr(cpu, name, value)
        patch.setattr(fused, "WORTH_A_KERNEL", 4)
        yield


def attempt(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except Exception as error:  # whatever torch raises is what ours is held to
        return None, error


def failures_in_threads(function: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
    """The errors of a function that is called with all the arguments at once, each in a thread."""
    failures: list[Any] = []

    def call(argument: Any) -> None:
        _, error = attempt(lambda: function(argument))
        if error is not None:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


class Twins:
    """Two optimizers in lockstep; `step` compares them in bits.

    Attributes:
        specs: the parameters, group after group.
        failed: torch's optimizer raised, and ours the same; there is nothing more to compare.
    """

    def __init__(
        self, row: Row, specs: list[Spec], options: Options, executor: Options, seed: int = 0
    ) -> None:
        self.row = row
        self.specs = [row.fit(spec) for spec in specs]
        self.executor = executor = {k: v for k, v in executor.items() if k in row.flags}
        self.source = source(seed)
        self.failed = False
        ours, theirs = self.new_parameters(self.specs)
        self.ours = row.make_ours(ours, {**options, **executor})
        self.twin = row.make_twin(theirs, options)
        self.compare()

    def new_parameters(self, specs: list[Spec]) -> tuple[list[Tensor], list[Tensor]]:
        values = [spec.parameter(self.source) for spec in specs]
        return [parameter(v) for v in values], [parameter(v) for v in values]

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(parameters(self.ours), parameters(self.twin), strict=True))

    def compare(self) -> None:
        assert_same_optimizers(self.ours, self.twin, self.row.extra)

    # Events -------------------------------------------------------------------------------------

    def add_group(self, specs: list[Spec], options: Options) -> None:
        specs = [self.row.fit(spec) for spec in specs]
        ours, theirs = self.new_parameters(specs)
        self.ours.add_param_group({"params": ours, **copy.deepcopy(options)})
        self.twin.add_param_group({"params": theirs, **copy.deepcopy(options)})
        self.specs += specs
        self.compare()

    def set_option(self, group: int, key: str, value: Any) -> None:
        for optimizer in (self.ours, self.twin):
            optimizer.param_groups[group][key] = copy.deepcopy(value)

    def set_gradients(self, gradients: list[Tensor | None]) -> None:
        """Each of the two gets a copy of its own; what ours was given is kept to compare with."""
        gradients = [g if g is None else self.row.gradient(g) for g in gradients]
        self.given = gradients
        for (p, q), gradient in zip(self.pairs(), gradients, strict=True):
            p.grad = None if gradient is None else copy.deepcopy(gradient)
            q.grad = None if gradient is None else copy.deepcopy(gradient)
        self.grads = [p.grad for p in parameters(self.ours)]
        self.grad_versions = [g._version if g is not None else 0 for g in self.grads]

    def exchange_checkpoints(self) -> None:
        """New optimizers on the same parameters, each from the other's checkpoint."""
        ours, twin = save_and_load(self.ours.state_dict()), save_and_load(self.twin.state_dict())
        self.ours = self.rebuilt(self.row.ours, self.ours, twin)
        self.twin = self.rebuilt(self.row.twin, self.twin, ours)
        self.restore_flags()
        self.compare()

    def rebuilt(self, cls: type[Optimizer], old: Optimizer, checkpoint: Any) -> Optimizer:
        """A new optimizer with default options: everything else must come from the checkpoint."""
        initial = "initial_accumulator_value"  # of Adagrad, which torch reads from the defaults
        options = {initial: old.defaults[initial]} if initial in old.defaults else {}
        new = cls([{"params": list(group["params"])} for group in old.param_groups], **options)
        new.load_state_dict(checkpoint)
        new.defaults = old.defaults
        return new

    def restore_flags(self) -> None:
        """A checkpoint carries the executor flags of the one that wrote it; take back our own."""
        for group in self.ours.param_groups:
            group.update({**dict.fromkeys(self.row.flags), **self.executor})
        for group in self.twin.param_groups:
            group.update(self.row.loop)

    def clone(self, how: Callable[[Any], Any]) -> None:
        """Replace optimizers and parameters by copies."""
        self.ours, self.twin = how(self.ours), how(self.twin)
        self.row.mend(self.twin)
        self.compare()

    # The step -----------------------------------------------------------------------------------

    def step(self, gradients: list[Tensor | None], with_closure: bool = False) -> None:
        """One step of both, on these gradients; everything compared afterwards."""
        if self.row.closure:
            self.search(gradients)
            return
        if not with_closure:
            self.set_gradients(gradients)
            self.advance(self.ours.step, self.twin.step)
            return

        def closure() -> Tensor:
            assert torch.is_grad_enabled()
            self.set_gradients(gradients)
            return loss

        loss = torch.tensor(1.5)
        self.advance(lambda: self.ours.step(closure), lambda: self.twin.step(closure=closure), loss)

    def search(self, gradients: list[Tensor | None]) -> None:
        """One step of both with a closure that is called more than once: the loss is a paraboloid,
        and the gradients are its at the parameters 0."""

        losses: list[Tensor] = []

        def closure(optimizer: Optimizer) -> Tensor:
            loss = torch.zeros(())
            for param, gradient in zip(parameters(optimizer), gradients, strict=True):
                param.grad = None
                if gradient is not None:
                    param.grad = (gradient + param.detach() / 2).contiguous()
                    loss = loss + ((gradient + param.grad) * param.detach().conj()).real.sum() / 2
            losses.append(loss)
            return loss

        theirs, error = attempt(lambda: self.twin.step(lambda: closure(self.twin)))
        result, our_error = attempt(lambda: self.ours.step(lambda: closure(self.ours)))
        self.failed = error is not None
        if isinstance(error, IndexError) and any(map(torch.isnan, losses)):
            assert our_error is None  # torch's line search looks for the other end of a bracket
            return
        assert type(our_error) is type(error), f"{our_error!r}, torch's is {error!r}"
        if not self.failed:
            assert_same_tensor(result, theirs, "loss")
            self.compare()

    def advance(
        self, ours: Callable[[], Any], twin: Callable[[], Any], loss: Tensor | None = None
    ) -> None:
        memory = [p.data_ptr() for p in parameters(self.ours)]
        versions = [(p._version, q._version) for p, q in self.pairs()]
        theirs, error = attempt(twin)
        result, our_error = attempt(ours)
        if error is not None or our_error is not None:
            assert type(our_error) is type(error), f"{our_error!r}, torch's is {error!r}"
            self.failed = True
            return
        assert result is loss
        assert theirs is loss
        self.compare()
        self.compare_gradients()
        for i, (p, q) in enumerate(self.pairs()):
            assert p.data_ptr() == memory[i], f"parameter {i} has moved in memory"
            # Autograd relies on the version to notice that a saved tensor was changed.
            changed = p._version != versions[i][0], q._version != versions[i][1]
            assert changed[0] == changed[1], f"parameter {i}: version counter"

    def compare_gradients(self) -> None:
        """Ours are the very tensors that were given, and were never written to."""
        for i, (p, given) in enumerate(zip(parameters(self.ours), self.given, strict=True)):
            assert p.grad is self.grads[i], f"gradient {i} was replaced"
            if given is None or p.grad is None:
                continue
            assert_same_tensor(p.grad, given, f"gradient {i}")
            assert p.grad._version == self.grad_versions[i], f"gradient {i} was written to"

    def random_gradients(self, kind: str = "normal", missing: float = 0.0) -> list[Tensor | None]:
        """A gradient for every parameter, each missing with the given probability."""
        here = (torch.rand(len(self.specs), generator=self.source) >= missing).tolist()
        return [
            spec.gradient(kind, self.source) if present else None
            for spec, present in zip(self.specs, here, strict=True)
        ]
