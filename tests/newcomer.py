"""An optimizer that nobody knew, with its place in the list and its row: a plugin of pytest.

`pytest -p newcomer -k Newcomer` runs the tests on it that run on every optimizer.
"""

from dataclasses import replace

import registry

import myoptim


def largest(param, grad, exp_avg, exp_inf, *, step, lr, betas, eps):
    """Adamax in other words."""
    exp_inf.mul_(betas[1])
    exp_inf.copy_(exp_inf.maximum(abs(grad) + eps))
    exp_avg.lerp_(grad, 1 - betas[0])
    param.addcdiv_(exp_avg, exp_inf, value=-(lr / (1 - betas[0] ** step)))


class Newcomer(myoptim.Adamax):
    """It has a name and a rule of its own; its twin is a class of torch's."""

    _declaration = replace(myoptim.Adamax._declaration, rule=largest)


def add() -> None:
    """What whoever adds an optimizer does, beside writing its file and its page."""
    adamax = next(row for row in registry.ROWS if row.ours is myoptim.Adamax)
    myoptim.OPTIMIZERS["Newcomer"] = Newcomer
    registry.ROWS.append(replace(adamax, ours=Newcomer))


def pytest_configure() -> None:
    add()
