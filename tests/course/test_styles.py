"""Right code in every style that a course might teach passes, however it is written."""

from dataclasses import replace

import pytest
from course import in_process

from myoptim.course.settings import Settings

SGD = """
import numpy as np
import torch


class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1, momentum=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr = group["lr"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                d = p.grad
                if group["momentum"]:
                    state = self.state[p]
                    state["b"] = group["momentum"] * state["b"] + d if "b" in state else d.clone()
                    d = state["b"]
                WRITE
        return loss
"""

WRITES = (
    "p -= lr * d",
    "p.data = p.data - lr * d",
    "p.data = (p - lr * d).detach()",
    "p.data -= lr * d",
    "p.data[:] = p.data - lr * d",
    "p.data.copy_(p.data - lr * d)",
    "p.data, before = p.data - lr * d, p.data",
    "setattr(p, 'data', p.data.add(d, alpha=-lr))",
    "p.data = torch.tensor((p - lr * d).tolist())",
    "p.data = torch.from_numpy(p.data.numpy() - lr * d.numpy())",
    "p.detach().numpy()[...] -= lr * d.numpy()",
    "np.subtract(p.detach().numpy(), lr * d.numpy(), out=p.detach().numpy())",
    "p.copy_(p - lr * d)",
    "p[...] = p - lr * d",
    "p.set_(p - lr * d)",
    "p.detach().sub_(lr * d)",
    "p.lerp_(p - lr * d, 1.0)",
    "p.view(-1).sub_(lr * d.reshape(-1))",
    "p.data.map_(d, lambda x, y: x - lr * y)",
    "p.requires_grad_(False).sub_(lr * d).requires_grad_(True)",
    "torch.sub(p, lr * d, out=p)",
    "torch._foreach_add_([p], [d], alpha=-lr)",
    "torch.nn.utils.vector_to_parameters((p - lr * d).reshape(-1), [p])",
)


@pytest.mark.parametrize("write", WRITES)
def test_every_way_of_writing_the_parameter(write):
    verdict = in_process.verdict(SGD.replace("WRITE", write), "SGD")
    assert verdict.passed, verdict.reason


def test_a_course_may_forbid_a_way_of_writing():
    text = SGD.replace("WRITE", WRITES[1])
    strict = replace(Settings(), forbid=("replaces-data",))
    verdict = in_process.verdict(text, "SGD", settings=strict)
    assert verdict.diagnosis == ["replaces-data"]
    assert [r.criterion for r in verdict.failures] == ["in_place"]


NO_GRADS = {
    "with": "with torch.no_grad():",
    "switched off": "with torch.set_grad_enabled(False):",
    "inference": "with torch.inference_mode():",
    "data alone": "if True:",
}


@pytest.mark.parametrize("how", NO_GRADS)
def test_every_way_of_keeping_autograd_away(how):
    head, tail = SGD.replace("    @torch.no_grad()\n", "").split("        for group in")
    body = ("for group in" + tail).replace("WRITE", "p.data = p.data - lr * d")
    loop, last = body.split("        return loss")
    inside = "".join(f"            {line.strip(chr(10))}\n" if not i else f"    {line}\n"
                     for i, line in enumerate(loop.rstrip().split("\n")))  # fmt: skip
    text = f"{head}        {NO_GRADS[how]}\n{inside}        return loss{last}"
    verdict = in_process.verdict(text, "SGD")
    assert verdict.passed, verdict.reason


MADE = {
    "by type()": '''
def __init__(self, params, lr=0.1):
    self.params, self.lr = list(params), lr


def step(self):
    for p in self.params:
        if p.grad is not None:
            p.data -= self.lr * p.grad


SGD = type("SGD", (), {"__init__": __init__, "step": step})
''',
    "by types.new_class()": '''
import types


def __init__(self, params, lr=0.1):
    self.params, self.lr = list(params), lr


def step(self):
    for p in self.params:
        if p.grad is not None:
            p.data -= self.lr * p.grad


SGD = types.new_class("SGD", (), {}, lambda body: body.update(__init__=__init__, step=step))
''',
    "by assignment": '''
class PlainDescent:
    def __init__(self, params, lr=0.1):
        self.params, self.lr = list(params), lr

    def step(self):
        for p in self.params:
            if p.grad is not None:
                p.data -= self.lr * p.grad


SGD = PlainDescent
''',
    "by a function": '''
def make(name):
    class Descent:
        def __init__(self, params, lr=0.1):
            self.params, self.lr = list(params), lr

        def step(self):
            for p in self.params:
                if p.grad is not None:
                    p.data -= self.lr * p.grad

    Descent.__name__ = name
    return Descent


SGD = make("SGD")
''',
    "by inheritance": '''
from abc import ABC, abstractmethod


class Base(ABC):
    def __init__(self, params, **rest):
        self.params = list(params)

    def step(self):
        for p in self.params:
            if p.grad is not None:
                self.update(p)

    @abstractmethod
    def update(self, p): ...


class SGD(Base):
    def __init__(self, params, *, lr=0.1, **rest):
        super().__init__(params, **rest)
        self.lr = lr

    def update(self, p):
        p.data -= self.lr * p.grad
''',
    "with slots": '''
class SGD:
    __slots__ = ("params", "lr", "momentum", "__bufs")

    def __init__(self, params, lr=0.1, momentum=0.0):
        self.params, self.lr, self.momentum = list(params), lr, momentum
        self.__bufs = {}

    def step(self):
        for p in self.params:
            if p.grad is None:
                continue
            old = self.__bufs.get(p)
            b = p.grad.clone() if old is None else self.momentum * old + p.grad
            self.__bufs[p] = b
            p.data -= self.lr * b
''',
    "as a dataclass": '''
from dataclasses import dataclass


@dataclass
class SGD:
    params: list
    lr: float = 0.1

    def __post_init__(self):
        self.params = list(self.params)

    def step(self):
        for p in self.params:
            if p.grad is not None:
                p.data -= self.lr * p.grad
''',
}  # fmt: skip


@pytest.mark.parametrize("how", MADE)
def test_every_way_of_making_the_class(how):
    verdict = in_process.verdict(MADE[how], "SGD")
    assert verdict.passed, verdict.reason
