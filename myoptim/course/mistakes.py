"""The catalogue of mistakes and dialects in hand-written optimizers.

A mistake is an *edit* of a right solution (`myoptim.course.solutions`): a few words of its text
replaced by others. The edited text is a whole optimizer again, so one catalogue serves all uses:
`explain` shows it, the diagnosis runs it beside a student's, `course audit` hands it in as a
submission, and our tests must tell it from the reference.

A mistake can be made in more than one way (`forms`): an average without its (1-β) may stand in an
Adam that was otherwise written from the paper or from torch's source.

A *bug* is wrong by everybody's definition; a *dialect* is some framework's or paper's deliberate
convention, which a teacher may accept; some are both, by optimizer. Sources: course repositories,
issue threads, and the frameworks named under `whose`.
"""

import difflib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType, ModuleType
from typing import Any

from myoptim.course.solutions import (
    adafactor,
    adagrad,
    adam,
    frame,
    lion,
    muon,
    rmsprop,
    schedule_free,
    sgd,
)
from myoptim.lab.errors import unknown

SOLUTIONS: dict[str, ModuleType] = {
    "SGD": sgd,
    "Momentum": sgd,
    "Nesterov": sgd,
    "Adagrad": adagrad,
    "RMSprop": rmsprop,
    "Adam": adam,
    "AdamW": adam,
    "Lion": lion,
    "ScheduleFreeSGD": schedule_free,
    "Muon": muon,
    "Adafactor": adafactor,
}
"""The optimizers of the course, each with the module of its solution."""

SGDS = ("SGD", "Momentum", "Nesterov")
DAMPED = ("SGD", "Momentum")
NESTEROV = ("SGD", "Nesterov")
ADAMS = ("Adam", "AdamW")
ADAPTIVE = ("Adagrad", "RMSprop", *ADAMS)
COUPLED = (*SGDS, "Adagrad", "RMSprop", "Adam")
DECOUPLED = ("AdamW", "Lion", "Muon")
SCHEDULE_FREE = ("ScheduleFreeSGD",)
MUON = ("Muon",)
ADAFACTOR = ("Adafactor",)
ALL = (*SGDS, *ADAPTIVE, "Lion", *SCHEDULE_FREE, *MUON, *ADAFACTOR)

Form = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mistake:
    """One row of the catalogue.

    Attributes:
        id: its name, in the catalogue and in reports.
        optimizers: those it can be made in.
        what: what such code does.
        hint: a question that helps and does not give the answer away.
        forms: each a way to make it: pairs of text in the solution and what stands there instead.
        kind: "bug", "dialect", or "bug or dialect".
        whose: for a dialect, who computes so.
        shows: when a probe first shows it, in words.
    """

    id: str
    optimizers: tuple[str, ...]
    what: str
    hint: str
    forms: tuple[Form, ...]
    kind: str = "bug"
    whose: str = ""
    shows: str = "step 1"

    @property
    def is_dialect(self) -> bool:
        """Whether a teacher may accept it."""
        return "dialect" in self.kind


def form(*texts: str) -> Form:
    """Pairs of old and new text, written one after the other."""
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _each(*choices: Form, together: bool = True) -> tuple[Form, ...]:
    """Forms for a slip that can be made in several places: in all of them, or in one."""
    return (*((sum(choices, ()),) if together else ()), *choices)


# The statements of the solutions that most edits touch.
L2 = 'return g + group["weight_decay"] * p if group["weight_decay"] != 0 else g'
SHRINK = 'p.mul_(1 - group["lr"] * group["weight_decay"])'
SHRINK_IN_UPDATE = 'p.mul_(1 - lr * group["weight_decay"])'
ADAM_MOVE = "p.sub_(lr * m_hat / (v_hat.sqrt() + eps))"
ADAGRAD_MOVE = "p.sub_(decayed_lr * g / (s.sqrt() + eps))"
RMSPROP_SCALE = "u = g / (v.sqrt() + eps)"
ADAM_ROOT = "(v_hat.sqrt() + eps)"
ADAGRAD_ROOT = "(s.sqrt() + eps)"
RMSPROP_ROOT = "(v.sqrt() + eps)"
C1 = "c1 = 1 - beta1**t"
C2 = "c2 = 1 - beta2**t"
M_NEW = "(1 - beta1) * g\n"
V_NEW = "(1 - beta2) * g * g"
AMSGRAD = """        if group["amsgrad"]:
            v = state["max_exp_avg_sq"] = torch.maximum(state.get("max_exp_avg_sq", v), v)
"""
AMSGRAD_OF_CORRECTED = """        if group["amsgrad"]:
            largest = state.get("max_exp_avg_sq", v_hat)
            v_hat = state["max_exp_avg_sq"] = torch.maximum(largest, v_hat)
"""
BUFFER = 'b = g.clone() if b is None else momentum * b + (1 - group["dampening"]) * g'
LION_MOVE = "p.sub_(lr * torch.sign(c))"
LION_STEP = "c = beta1 * m + (1 - beta1) * g"
LION_MEMORY = 'state["exp_avg"] = beta2 * m + (1 - beta2) * g'
BETWEEN = "p.copy_((1 - beta) * z + beta * x)"
MUON_AVERAGE = (
    '        m = state["momentum_buffer"] = momentum * state["momentum_buffer"]'
    " + (1 - momentum) * g\n"
)
MUON_UPDATE = 'u = (1 - momentum) * g + momentum * m if group["nesterov"] else m'
MUON_MOVE = "p.sub_(lr * max(1, rows / columns) ** 0.5 * x)"
LOOK_AHEAD = 'g = g + momentum * b if group["nesterov"] else b'
STEP_LOOP = '            for p in group["params"]:\n                if p.grad is None:'
WITH_GRADIENT = '[p for p in group["params"] if p.grad is not None]'
CALL = "self.update(group, state, p, self.decay(group, p, g))"


def _numbered(params: str) -> str:
    """The beginning of the loop over parameters, with their places."""
    return f"            for i, p in enumerate({params}):\n                if p.grad is None:"


def roots(adam_root: str, adagrad_root: str = "", rmsprop_root: str = "") -> tuple[Form, ...]:
    """Forms that replace the denominator, in terms of each solution's names."""
    adagrad_root = adagrad_root or adam_root.replace("v_hat", "s")
    rmsprop_root = rmsprop_root or adam_root.replace("v_hat", "v")
    return (
        form(ADAM_ROOT, adam_root),
        form(ADAGRAD_ROOT, adagrad_root),
        form(RMSPROP_ROOT, rmsprop_root),
    )


MOMENTUM = (
    Mistake(
        "ema-momentum",
        (*SGDS, "RMSprop"),
        "The buffer is an average, b = μb + (1-μ)g, where torch has the sum b = μb + g.",
        "How much should today's gradient count?",
        (
            form(BUFFER, "b = (1 - momentum) * g + (0 if b is None else momentum * b)"),
            form(
                BUFFER,
                "b = (1 - momentum) * g if b is None else "
                'momentum * b + (1 - momentum) * (1 - group["dampening"]) * g',
            ),
            form(
                '* state["momentum_buffer"] + u', '* state["momentum_buffer"] + (1 - momentum) * u'
            ),
        ),
        kind="dialect",
    ),
    Mistake(
        "ema-first-raw",
        SGDS,
        "The first buffer is the gradient, later ones the average μb + (1-μ)g: "
        "what dampening = μ gives.",
        "How much should today's gradient count?",
        (form('(1 - group["dampening"]) * g', "(1 - momentum) * g"),),
        kind="dialect",
        shows="step 2",
    ),
    Mistake(
        "dampening-on-first-step",
        DAMPED,
        "The first buffer is damped too, b₁ = (1-τ)g; torch takes the first gradient whole.",
        "Is the first buffer special?",
        (form("g.clone() if", '(1 - group["dampening"]) * g if'),),
        kind="dialect",
        whose="MLX",
    ),
    Mistake(
        "dampening-ignored",
        DAMPED,
        "The dampening is read nowhere: b = μb + g.",
        "What does dampening multiply?",
        (form('(1 - group["dampening"]) * g', "g"),),
        shows="step 2",
    ),
    Mistake(
        "dampening-of-buffer",
        DAMPED,
        "The buffer is damped, not the gradient: b = μ(1-τ)b + g.",
        "What does dampening multiply?",
        (
            form(
                'momentum * b + (1 - group["dampening"]) * g',
                'momentum * (1 - group["dampening"]) * b + g',
            ),
        ),
        shows="step 2",
    ),
    Mistake(
        "decay-undamped",
        DAMPED,
        "The weight decay joins the buffer undamped: b = μb + (1-τ)∇ + λθ, where ∇ is without it.",
        "What does dampening multiply?",
        (
            form(
                '(1 - group["dampening"]) * g',
                '((1 - group["dampening"]) * g + group["dampening"] * group["weight_decay"] * p)',
            ),
        ),
        shows="step 2, with weight decay",
    ),
    Mistake(
        "first-buffer-of-group",
        SGDS,
        "The first buffer is the gradient at the group's first step only; who joins later starts "
        "from zeros.",
        "Whose first step is it?",
        (
            form(
                STEP_LOOP,
                '            group["begun"] = any(self.state.get(p) for p in group["params"])\n'
                + STEP_LOOP,
                "g.clone() if b is None else",
                'g.clone() if b is None and not group["begun"] else'
                " momentum * (torch.zeros_like(g) if b is None else b) +"
                ' (1 - group["dampening"]) * g if b is None else',
            ),
        ),
        shows="a gradient that comes late, with dampening",
    ),
    Mistake(
        "dampening-uncomplemented",
        DAMPED,
        "The gradient is multiplied by τ, not by 1-τ. At τ = 0.5 nobody would notice.",
        "What does dampening multiply?",
        (
            form('(1 - group["dampening"]) * g', 'group["dampening"] * g'),
            form(BUFFER, 'b = group["dampening"] * g + (0 if b is None else momentum * b)'),
        ),
        shows="step 2",
    ),
    Mistake(
        "lr-in-velocity",
        (*SGDS, "RMSprop"),
        "The buffer gathers ηg, so it remembers old learning rates. "
        "The same as torch as long as lr never changes.",
        "Should memory contain an old learning rate?",
        (
            form(
                BUFFER,
                'b = lr * g if b is None else momentum * b + (1 - group["dampening"]) * lr * g',
                LOOK_AHEAD,
                'g = lr * g + momentum * b if group["nesterov"] else b',
                "p.sub_(lr * g)",
                "p.sub_(lr * g if momentum == 0 else g)",
            ),
            form(
                '* state["momentum_buffer"] + u',
                '* state["momentum_buffer"] + lr * u',
                "p.sub_(lr * u)",
                "p.sub_(lr * u if momentum == 0 else u)",
            ),
        ),
        kind="dialect",
        whose="Keras; Sutskever et al. 2013",
        shows="the first change of lr",
    ),
    Mistake(
        "nesterov-ignored",
        NESTEROV,
        "The step is plain momentum, u = b.",
        "Where is the look-ahead?",
        (form(LOOK_AHEAD, "g = b"),),
    ),
    Mistake(
        "nesterov-no-grad",
        NESTEROV,
        "The step is μb, without today's gradient.",
        "Which two vectors add?",
        (form(LOOK_AHEAD, 'g = momentum * b if group["nesterov"] else b'),),
    ),
    Mistake(
        "nesterov-twice",
        NESTEROV,
        "One look-ahead too many: the step is g + μ(g + μb).",
        "How far ahead is the gradient's point?",
        (form(LOOK_AHEAD, 'g = g + momentum * (g + momentum * b) if group["nesterov"] else b'),),
    ),
    Mistake(
        "nesterov-double",
        NESTEROV,
        "The step is b + μb where g + μb is meant. The first step is exact, since b₁ = g.",
        "Which two vectors add?",
        (form(LOOK_AHEAD, 'g = b + momentum * b if group["nesterov"] else b'),),
        shows="step 2",
    ),
)

STATE_RULES = (
    Mistake(
        "buffer-reset",
        (*SGDS, *ADAMS, "Lion"),
        "The state is made anew at each step, so nothing is remembered.",
        "How long does state live?",
        (
            form("if not state:", "state.clear()\n                if not state:"),
            form(
                'beta1 * state["exp_avg"]',
                "beta1 * torch.zeros_like(p)",
                'beta2 * state["exp_avg_sq"]',
                "beta2 * torch.zeros_like(p)",
            ),
            form('beta1 * state["exp_avg"]', "beta1 * torch.zeros_like(p)"),
            form('beta2 * state["exp_avg_sq"]', "beta2 * torch.zeros_like(p)"),
            form("else momentum * b +", "else momentum * torch.zeros_like(p) +"),
        ),
        shows="step 2",
    ),
    Mistake(
        "stale-state",
        ALL,
        "The parameter moves by the state of the step before; the state is updated afterwards.",
        "Update first, or use first?",
        (
            form(
                'state["momentum_buffer"] = b\n',
                "new = b\n            b = torch.zeros_like(p)"
                ' if state["momentum_buffer"] is None else state["momentum_buffer"]\n'
                '            state["momentum_buffer"] = new\n',
            ),
            form('s = state["sum"] = state', 's, state["sum"] = state["sum"], state'),
            form(
                'v = state["square_avg"] = alpha',
                'v, state["square_avg"] = state["square_avg"], alpha',
            ),
            form(
                'a = state["grad_avg"] = alpha',
                'a, state["grad_avg"] = state["grad_avg"], alpha',
            ),
            form(
                'u = state["momentum_buffer"] = momentum',
                'u, state["momentum_buffer"] = state["momentum_buffer"], momentum',
            ),
            *_each(
                form(
                    'm = state["exp_avg"] = beta1', 'm, state["exp_avg"] = state["exp_avg"], beta1'
                ),
                form(
                    'v = state["exp_avg_sq"] = beta2',
                    'v, state["exp_avg_sq"] = state["exp_avg_sq"], beta2',
                ),
            ),
            form(LION_STEP, "c = m"),
            form(
                'z = state["z"] = state["z"] - rate * g',
                'z, state["z"] = state["z"], state["z"] - rate * g',
            ),
            form(
                'm = state["momentum_buffer"] = momentum',
                'm, state["momentum_buffer"] = state["momentum_buffer"], momentum',
            ),
            form(
                'v = state["variance"] = (1 - w)',
                'v, state["variance"] = state["variance"], (1 - w)',
            ),
        ),
    ),
)

DIRECTION = (
    Mistake(
        "ascends",
        ALL,
        "The parameter moves along the gradient, not against it.",
        "Which way is downhill?",
        (form("p.sub_(", "p.add_("), form('state["z"] - rate', 'state["z"] + rate')),
    ),
    Mistake(
        "maximize-ignored",
        ALL,
        "With maximize=True it still minimizes.",
        "Which way is uphill?",
        (form('-p.grad if group["maximize"] else p.grad', "p.grad"),),
    ),
)

WEIGHT_DECAY = (
    Mistake(
        "wd-before-maximize",
        (*COUPLED, *SCHEDULE_FREE),
        "With maximize the decay is flipped too, -(g + λp), and the parameters grow.",
        "Should the decay flip too?",
        (form(L2, 'return g + (-1 if group["maximize"] else 1) * group["weight_decay"] * p'),),
    ),
    Mistake(
        "wd-ignored",
        ALL,
        "The weight decay is read nowhere.",
        "Try zero gradients.",
        (form(SHRINK, "pass"), form(L2, "return g")),
    ),
    Mistake(
        "wd-wrong-sign",
        ALL,
        "The decay pushes the parameters away from zero.",
        "Try zero gradients.",
        (form("p.mul_(1 - ", "p.mul_(1 + "), form(L2, 'return g - group["weight_decay"] * p')),
    ),
    Mistake(
        "l2-instead-of-decoupled",
        DECOUPLED,
        "λp joins the gradient and passes through both averages: this is Adam with L2. In Lion it "
        "can only turn signs.",
        "Does the decay pass through √v?",
        (form(SHRINK + "\n        return g", 'return g + group["weight_decay"] * p'),),
    ),
    Mistake(
        "decoupled-instead-of-l2",
        COUPLED,
        "The parameter is shrunk directly and the gradient never sees λ.",
        "Does the decay pass through √v?",
        (
            form(L2, SHRINK + "\n        return g"),
            form(L2, 'p.mul_(1 - group["weight_decay"])\n        return g'),
            *(
                form(L2, "return g", move, f"{move}\n        {SHRINK_IN_UPDATE}")
                for move in ("p.sub_(lr * g)", "p.sub_(lr * u)", ADAGRAD_MOVE, ADAM_MOVE)
            ),
            form(
                L2,
                "return g",
                ADAGRAD_MOVE,
                'p.sub_(decayed_lr * (g / (s.sqrt() + eps) + group["weight_decay"] * p))',
            ),
        ),
        kind="bug or dialect",
        whose="Keras",
        shows="step 1, in SGD with momentum step 2",
    ),
    Mistake(
        "wd-both",
        (*ADAMS, "Lion"),
        "The decay is in the gradient and on the parameter too.",
        "Is the decay counted twice?",
        (
            form(
                SHRINK + "\n        return g",
                f'g = g + group["weight_decay"] * p\n        {SHRINK}\n        return g',
            ),
            form(
                SHRINK + "\n        return g",
                f'{SHRINK}\n        return g + group["weight_decay"] * p',
            ),
            form(L2, f'g = g + group["weight_decay"] * p\n        {SHRINK}\n        return g'),
            form(L2, f'{SHRINK}\n        return g + group["weight_decay"] * p'),
        ),
    ),
    Mistake(
        "wd-not-scaled-by-lr",
        DECOUPLED,
        "The parameter shrinks by λ, not by ηλ: it decays even at lr 0.",
        "What happens at lr 0?",
        (
            form(SHRINK, 'p.mul_(1 - group["weight_decay"])'),
            form(
                SHRINK, "pass", ADAM_MOVE, f'{ADAM_MOVE}\n        p.mul_(1 - group["weight_decay"])'
            ),
            form(
                SHRINK, "pass", LION_MOVE, f'{LION_MOVE}\n        p.mul_(1 - group["weight_decay"])'
            ),
        ),
        kind="dialect",
        whose="Loshchilov and Hutter 2019, whose λ is torch's ηλ",
    ),
    Mistake(
        "wd-after-step",
        DECOUPLED,
        "The step comes first and the shrinking last, so that the step is shrunk too.",
        "Which p is decayed?",
        tuple(
            form(SHRINK, "pass", move, f"{move}\n        {SHRINK_IN_UPDATE}")
            for move in (ADAM_MOVE, LION_MOVE, MUON_MOVE)
        ),
        kind="dialect",
    ),
    Mistake(
        "wd-simultaneous",
        DECOUPLED,
        "Step and decay are taken from the same old parameter: another rounding, nothing more.",
        "Nothing is wrong here.",
        (
            form(
                SHRINK,
                "pass",
                ADAM_MOVE,
                'p.sub_(lr * m_hat / (v_hat.sqrt() + eps) + lr * group["weight_decay"] * p)',
            ),
            form(
                SHRINK,
                "pass",
                LION_MOVE,
                'p.sub_(lr * (torch.sign(c) + group["weight_decay"] * p))',
            ),
            form(
                SHRINK,
                "pass",
                MUON_MOVE,
                f'{MUON_MOVE[:-1]} + lr * group["weight_decay"] * p)',
            ),
        ),
        kind="dialect",
        whose="optax; Lion's paper",
        shows="never",
    ),
    Mistake(
        "wd-corrected-lr",
        ("AdamW",),
        "The decay is scaled by the bias-corrected rate η√c₂/c₁, so it varies with t.",
        "Which factor scales λ?",
        (
            form(
                SHRINK,
                "pass",
                ADAM_MOVE,
                f'p.mul_(1 - lr * c2**0.5 / c1 * group["weight_decay"])\n        {ADAM_MOVE}',
            ),
            form(
                SHRINK,
                "pass",
                ADAM_MOVE,
                f'p.mul_(1 - lr / c1 * group["weight_decay"])\n        {ADAM_MOVE}',
            ),
        ),
    ),
    Mistake(
        "wd-cautious",
        ("AdamW",),
        "Only elements whose step has the sign of the parameter are shrunk.",
        "Does the decay ask where the gradient points?",
        (
            form(
                SHRINK,
                "pass",
                ADAM_MOVE,
                "u = m_hat / (v_hat.sqrt() + eps)\n"
                '        p.sub_(lr * (u + group["weight_decay"] * p * (u * p > 0)))',
            ),
            form(
                SHRINK,
                'p.sub_(group["lr"] * group["weight_decay"] * p * (g * p > 0))',
            ),
        ),
        kind="dialect",
        whose="Chen et al. 2025, cautious weight decay",
    ),
    Mistake(
        "wd-in-quotient",
        ("AdamW",),
        "λθ is added to m̂ and divided by √v̂ + ε with it, so large gradients switch the decay off.",
        "What is divided by the root?",
        (
            form(
                SHRINK,
                "pass",
                ADAM_MOVE,
                'p.sub_(lr * (m_hat + group["weight_decay"] * p) / (v_hat.sqrt() + eps))',
            ),
        ),
    ),
    Mistake(
        "wd-lr-squared",
        DECOUPLED,
        "The decay is scaled by η twice.",
        "Which factor scales λ?",
        (form("p.mul_(1 - group", 'p.mul_(1 - group["lr"] * group'),),
    ),
)

BIAS_CORRECTION = (
    Mistake(
        "bc-of-the-other",
        ADAMS,
        "An average is corrected with the other one's β.",
        "Which β made this average?",
        _each(form(C2, "c2 = 1 - beta1**t"), form(C1, "c1 = 1 - beta2**t")),
    ),
    Mistake(
        "no-bias-correction",
        ADAMS,
        "The averages are used as they are, c₁ = c₂ = 1.",
        "Why is m₁ so small?",
        (form(C1, "c1 = 1", C2, "c2 = 1"),),
        kind="bug or dialect",
        whose="MLX",
    ),
    Mistake(
        "bc-first-only",
        ADAMS,
        "Only m is corrected.",
        "Where do both averages start?",
        (form(C2, "c2 = 1"),),
    ),
    Mistake(
        "bc-second-only",
        ADAMS,
        "Only v is corrected.",
        "Where do both averages start?",
        (form(C1, "c1 = 1"),),
    ),
    Mistake(
        "t-from-0",
        ADAMS,
        "The first step has t = 0, and divides by 1 - β⁰ = 0.",
        "What is t the first time?",
        _each(form(C1, "c1 = 1 - beta1 ** (t - 1)"), form(C2, "c2 = 1 - beta2 ** (t - 1)")),
    ),
    Mistake(
        "t-one-ahead",
        ADAMS,
        "The first step has t = 2.",
        "What is t the first time?",
        _each(form(C1, "c1 = 1 - beta1 ** (t + 1)"), form(C2, "c2 = 1 - beta2 ** (t + 1)")),
    ),
    Mistake(
        "t-per-parameter",
        (*ADAMS, *SCHEDULE_FREE),
        "One counter is advanced inside the loop over parameters: "
        "two parameters, two ticks a step.",
        "How often does t tick?",
        (
            form(
                't = state["step"] = state["step"] + 1',
                't = state["step"] = self.t = getattr(self, "t", 0) + 1',
            ),
            form(
                't = state["step"] = state["step"] + 1',
                't = state["step"] = group["t"] = group.get("t", 0) + 1',
            ),
        ),
        shows="step 1, second parameter",
    ),
    Mistake(
        "t-global",
        (*DAMPED, "Adagrad", *ADAMS, *SCHEDULE_FREE),
        "One t for all parameters, also for one that came late or missed a gradient.",
        "Whose age is t?",
        (
            form(
                "        for group in self.param_groups:",
                '        self.t = getattr(self, "t", 0) + 1\n'
                "        for group in self.param_groups:",
                't = state["step"] = state["step"] + 1',
                't = state["step"] = self.t',
            ),
            form(
                "        for group in self.param_groups:\n",
                "        for group in self.param_groups:\n"
                '            group["t"] = group.get("t", 0) + 1\n',
                't = state["step"] = state["step"] + 1',
                't = state["step"] = group["t"]',
            ),
            form(
                "        for group in self.param_groups:",
                '        self.t = getattr(self, "t", 0) + 1\n'
                "        for group in self.param_groups:",
                BUFFER,
                "b = 0 if b is None else b\n"
                '            b = momentum * b + (1 - group["dampening"] * (self.t > 1)) * g',
            ),
        ),
        kind="bug or dialect",
        shows="the step after a missing gradient",
    ),
    Mistake(
        "t-frozen",
        ADAMS,
        "The correction is 1-β at every step.",
        "What changes at step 2?",
        _each(form(C1, "c1 = 1 - beta1"), form(C2, "c2 = 1 - beta2")),
        shows="step 2",
    ),
    Mistake(
        "bc-linear",
        ADAMS,
        "1-βt where 1-βᵗ is meant: it soon turns negative.",
        "How do powers of β enter?",
        _each(form(C1, "c1 = 1 - beta1 * t"), form(C2, "c2 = 1 - beta2 * t")),
        shows="step 2",
    ),
    Mistake(
        "bc-power-of-complement",
        ADAMS,
        "(1-β)ᵗ where 1-βᵗ is meant. The first step is exact.",
        "How do powers of β enter?",
        _each(form(C1, "c1 = (1 - beta1) ** t"), form(C2, "c2 = (1 - beta2) ** t")),
        shows="step 2",
    ),
    Mistake(
        "lr-over-root-t",
        ADAPTIVE,
        "The learning rate is divided by √t, as in the proofs of the papers.",
        "Who changes the learning rate?",
        (form('lr = group["lr"]\n', 'lr = group["lr"] / (state["step"] + 1) ** 0.5\n'),),
        shows="step 2",
        kind="dialect",
    ),
    Mistake(
        "moments-shared",
        ADAMS,
        "m and v are the same tensor, and each is written over by the other.",
        "How many buffers are there?",
        (
            form(
                'm = state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * g',
                'm = state["exp_avg"].mul_(beta1).add_((1 - beta1) * g)',
                'v = state["exp_avg_sq"] = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g',
                "v = m.mul_(beta2).add_((1 - beta2) * g * g)",
            ),
        ),
    ),
    Mistake(
        "bc-multiplied",
        ADAMS,
        "The averages are multiplied by 1-βᵗ, which makes them smaller still.",
        "Multiply or divide?",
        _each(form("m_hat = m / c1", "m_hat = m * c1"), form("v_hat = v / c2", "v_hat = v * c2")),
    ),
    Mistake(
        "bc-in-place",
        ADAMS,
        "The corrected m̂ and v̂ are stored as the averages, and corrected again next time.",
        "Is m̂ remembered?",
        (
            *_each(
                form("m_hat = m / c1", 'm_hat = state["exp_avg"] = m / c1'),
                form("v_hat = v / c2", 'v_hat = state["exp_avg_sq"] = v / c2'),
            ),
            form(
                AMSGRAD,
                "",
                "m_hat = m / c1",
                'm_hat = state["exp_avg"] = m / c1',
                "v_hat = v / c2\n",
                f'v_hat = state["exp_avg_sq"] = v / c2\n{AMSGRAD_OF_CORRECTED}',
            ),
        ),
        shows="step 2",
    ),
    Mistake(
        "bc2-unrooted",
        ADAMS,
        "c₂ was taken out of the root without being rooted: √v/c₂.",
        "Redo the algebra.",
        (
            form(ADAM_ROOT, "(v.sqrt() / c2 + eps)"),
            form(ADAM_MOVE, "p.sub_(lr * c2 / c1 * m / (v.sqrt() + eps))"),
        ),
    ),
    Mistake(
        "bc2-sqrt-one-minus",
        ADAMS,
        "√(1-c₂) = √(β₂ᵗ) stands where √c₂ = √(1-β₂ᵗ) is meant.",
        "Redo the algebra.",
        (
            form("v_hat = v / c2", "v_hat = v / (1 - c2)"),
            form(ADAM_MOVE, "p.sub_(lr * (1 - c2) ** 0.5 / c1 * m / (v.sqrt() + eps))"),
        ),
    ),
    Mistake(
        "lr-compounds",
        ("Adagrad", *ADAMS),
        "The corrected or decayed rate is stored as the new learning rate, and changed again next "
        "time.",
        "Does lr change itself?",
        (
            form("decayed_lr = lr /", 'decayed_lr = group["lr"] = lr /'),
            form(
                "decayed_lr = lr /",
                'decayed_lr = state["rate"] = state.get("rate", lr) /',
            ),
            form(
                ADAM_MOVE,
                'lr = group["lr"] = lr * c2**0.5 / c1\n        p.sub_(lr * m / (v.sqrt() + eps))',
            ),
            form(
                ADAM_MOVE,
                'lr = group["lr"] = lr / c1\n        p.sub_(lr * m / (v_hat.sqrt() + eps))',
            ),
            form(
                ADAM_MOVE,
                'lr = group["lr"] = lr * c2**0.5 / c1\n'
                "        p.sub_(lr * m / (v.sqrt() + eps * c2**0.5))",
            ),
        ),
        shows="step 2, and the second parameter at step 1",
    ),
)

AVERAGES = (
    Mistake(
        "betas-swapped",
        (*ADAMS, "Lion"),
        "β₂ averages the gradient and β₁ its square. In Lion, β₂ makes the step and β₁ the memory.",
        "Which average is slower?",
        (form('beta1, beta2 = group["betas"]', 'beta2, beta1 = group["betas"]'),),
        shows="step 2",
    ),
    Mistake(
        "missing-1-beta1",
        (*ADAMS, "Lion"),
        "m = β₁m + g, in Lion c: the weights do not sum to 1.",
        "Do the weights sum to 1?",
        (form(M_NEW, "g\n"),),
        shows="step 1, in Lion step 2",
    ),
    Mistake(
        "missing-1-beta2",
        (*ADAMS, "Lion"),
        "v = β₂v + g², in Lion m = β₂m + g: the weights do not sum to 1.",
        "Do the weights sum to 1?",
        (form(V_NEW, "g * g"), form(LION_MEMORY, 'state["exp_avg"] = beta2 * m + g')),
        shows="step 1, in Lion step 2",
    ),
    Mistake(
        "beta-complement-swapped",
        (*ADAMS, "RMSprop", "Lion"),
        "β weighs the new value and 1-β the old one.",
        "Which weight is the large one?",
        (
            *_each(
                form(
                    'beta1 * state["exp_avg"] + (1 - beta1) * g',
                    '(1 - beta1) * state["exp_avg"] + beta1 * g',
                ),
                form(
                    'beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g',
                    '(1 - beta2) * state["exp_avg_sq"] + beta2 * g * g',
                ),
            ),
            form('alpha = group["alpha"]', 'alpha = 1 - group["alpha"]'),
            form(
                'alpha * state["square_avg"] + (1 - alpha) * g * g',
                '(1 - alpha) * state["square_avg"] + alpha * g * g',
            ),
            *_each(
                form(LION_STEP, "c = (1 - beta1) * m + beta1 * g"),
                form(LION_MEMORY, 'state["exp_avg"] = (1 - beta2) * m + beta2 * g'),
            ),
        ),
        shows="step 1, in Lion step 2",
    ),
    Mistake(
        "not-squared",
        ADAPTIVE,
        "The second average is of |g|, not of g².",
        "Check the units.",
        (
            form(V_NEW, "(1 - beta2) * g.abs()"),
            form(V_NEW, "(1 - beta2) * g"),
            form('state["sum"] + g * g', 'state["sum"] + g.abs()'),
            form('state["sum"] + g * g', 'state["sum"] + g'),
            form("(1 - alpha) * g * g", "(1 - alpha) * g.abs()"),
            form("(1 - alpha) * g * g", "(1 - alpha) * g"),
        ),
    ),
    Mistake(
        "grad-instead-of-m",
        (*ADAMS, "Lion"),
        "The step is along today's gradient, not its average; in Lion, by its sign.",
        "What feeds each line?",
        (
            form("m_hat = m / c1", "m_hat = g / c1"),
            form("m_hat = m / c1", "m_hat = g"),
            form(LION_STEP, "c = g"),
        ),
        shows="step 1, in Lion step 2",
    ),
    Mistake(
        "v-from-m",
        ADAMS,
        "v averages m², not g².",
        "What feeds each line?",
        (
            form(V_NEW, "(1 - beta2) * m * m"),
            form(V_NEW, "(1 - beta2) * (m / (1 - beta1**t)) ** 2"),
        ),
    ),
    Mistake(
        "scalar-v",
        ADAPTIVE,
        "One second moment for the whole tensor, from the mean or the sum of g².",
        "What feeds each line?",
        (
            form('state["sum"] + g * g', 'state["sum"] + (g * g).sum()'),
            form('state["sum"] + g * g', 'state["sum"] + (g * g).mean()'),
            form("(1 - alpha) * g * g", "(1 - alpha) * (g * g).mean()"),
            form("(1 - alpha) * g * g", "(1 - alpha) * (g * g).sum()"),
            form(V_NEW, "(1 - beta2) * (g * g).mean()"),
            form(V_NEW, "(1 - beta2) * (g * g).sum()"),
        ),
    ),
    Mistake(
        "nadam",
        ADAMS,
        "m̂ looks ahead as Nesterov's momentum does: this is NAdam.",
        "Which paper is this?",
        (
            form("m_hat = m / c1", "m_hat = (beta1 * m + (1 - beta1) * g) / c1"),
            form(
                "m_hat = m / c1",
                "m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / c1",
            ),
            form("m_hat = m / c1", "m_hat = beta1 * m / c1 + (1 - beta1) * g"),
            form(
                "m_hat = m / c1",
                "mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (t, t + 1))\n"
                '        product = state["mu_product"] = state.get("mu_product", 1.0) * mu\n'
                "        m_hat = mu_next * m / (1 - product * mu_next)"
                " + (1 - mu) * g / (1 - product)",
            ),
        ),
        kind="dialect",
        whose="Dozat 2016",
    ),
)

DENOMINATOR = (
    Mistake(
        "root-in-place",
        ADAPTIVE,
        "The root is taken in place, and ε may be added so too: the state keeps what the step "
        "divides by, and the next square is added to that.",
        "Whose tensor is it?",
        (
            form(ADAGRAD_MOVE, "p.sub_(decayed_lr * g / s.sqrt_().add_(eps))"),
            form(ADAGRAD_MOVE, "p.sub_(decayed_lr * g / (s.sqrt_() + eps))"),
            form(RMSPROP_SCALE, "u = g / v.sqrt_().add_(eps)"),
            form(RMSPROP_SCALE, "u = g / (v.sqrt_() + eps)"),
            form("v_hat = v / c2", "v_hat = v.sqrt_() ** 2 / c2"),
            form("v_hat = v / c2", "v_hat = v.div_(c2)", ADAM_ROOT, "v_hat.sqrt_().add_(eps)"),
        ),
        shows="step 2",
    ),
    Mistake(
        "no-sqrt",
        ADAPTIVE,
        "The denominator is v, not √v.",
        "Check the units.",
        (
            *roots("(v_hat + eps)"),
            form(ADAM_ROOT, "(v / c2**0.5 + eps)"),
            form(ADAM_MOVE, "p.sub_(lr * c2**0.5 / c1 * m / (v + eps))"),
        ),
    ),
    Mistake(
        "eps-inside-sqrt",
        ADAPTIVE,
        "√(v+ε): ε stands under the root.",
        "Is √(a+b) = √a + √b?",
        (
            *roots("(v_hat + eps).sqrt()"),
            form(ADAM_ROOT, "((v + eps).sqrt() / c2**0.5)"),
        ),
        kind="dialect",
        whose="Keras, optax (RMSprop, Adagrad)",
    ),
    Mistake(
        "eps-hat",
        ADAMS,
        "η√c₂/c₁ · m/(√v+ε): ε is not scaled with √v. The paper calls this one ε̂.",
        "Was ε rescaled?",
        (form(ADAM_MOVE, "p.sub_(lr * c2**0.5 / c1 * m / (v.sqrt() + eps))"),),
        kind="dialect",
        whose="Keras, TensorFlow",
    ),
    Mistake(
        "eps-outside-quotient",
        ADAPTIVE,
        "m̂/√v̂ + ε: ε is added to the quotient.",
        "Check the parentheses.",
        (
            form(ADAGRAD_MOVE, "p.sub_(decayed_lr * (g / s.sqrt() + eps))"),
            form(ADAGRAD_MOVE, "p.sub_(decayed_lr * g / s.sqrt() + eps)"),
            form(RMSPROP_SCALE, "u = g / v.sqrt() + eps"),
            form(ADAM_MOVE, "p.sub_(lr * (m_hat / v_hat.sqrt() + eps))"),
            form(ADAM_MOVE, "p.sub_(lr * m_hat / v_hat.sqrt() + eps)"),
        ),
    ),
    Mistake(
        "no-eps",
        ADAPTIVE,
        "There is no ε, and 0/0 where the gradient has always been zero.",
        "Send a zero gradient.",
        roots("v_hat.sqrt()"),
    ),
    Mistake(
        "eps-minus",
        ADAPTIVE,
        "√v - ε: small gradients divide by almost nothing, or by a negative number.",
        "Check the sign.",
        roots("(v_hat.sqrt() - eps)"),
    ),
    Mistake(
        "eps-squared-inside",
        ADAPTIVE,
        "√(v+ε²): the same as √v+ε far from ε, not near it.",
        "Compare at |g| ≈ ε.",
        roots("(v_hat + eps**2).sqrt()"),
        kind="dialect",
    ),
    Mistake(
        "eps-as-max",
        ADAPTIVE,
        "max(√v, ε) in place of the sum.",
        "Compare at |g| ≈ ε.",
        (*roots("v_hat.sqrt().clamp(min=eps)"), *roots("v_hat.clamp(min=eps).sqrt()")),
        kind="dialect",
    ),
    Mistake(
        "eps-twice",
        ADAPTIVE,
        "√(v+ε)+ε: ε under the root and beside it.",
        "Compare at |g| ≈ ε.",
        roots("((v_hat + eps).sqrt() + eps)"),
        kind="dialect",
    ),
)

MAXIMUM = (
    Mistake(
        "amsgrad-ignored",
        ADAMS,
        "With amsgrad=True no maximum is taken.",
        "Maximum of which quantity?",
        (form(AMSGRAD, ""),),
        shows="step 2, where gradients fall",
    ),
    Mistake(
        "amsgrad-max-of-corrected",
        ADAMS,
        "The maximum is taken over v̂, not over v before its correction.",
        "Maximum of which quantity?",
        (
            form(
                AMSGRAD,
                "",
                "v_hat = v / c2\n",
                f"v_hat = v / c2\n{AMSGRAD_OF_CORRECTED}",
            ),
        ),
        kind="dialect",
        whose="optax",
        shows="step 2",
    ),
    Mistake(
        "amsgrad-of-two",
        ADAMS,
        "The maximum is taken of this step's v and the last one's, not of all so far.",
        "Maximum over which steps?",
        (
            form(
                AMSGRAD,
                '        if group["amsgrad"]:\n'
                '            last, state["last"] = state.get("last", v), v\n'
                "            v = torch.maximum(last, v)\n",
            ),
        ),
        shows="step 3, where gradients fall",
    ),
    Mistake(
        "amsgrad-fed-back",
        ADAMS,
        "The maximum is stored as v, so the average never comes down.",
        "Maximum of which quantity?",
        (
            form(
                'v = state["max_exp_avg_sq"] = torch',
                'v = state["exp_avg_sq"] = state["max_exp_avg_sq"] = torch',
            ),
        ),
        shows="step 3",
    ),
)

ACCUMULATORS = (
    Mistake(
        "lr-decay-off-by-one",
        ("Adagrad",),
        "1 + kt: the learning rate is decayed at the first step already.",
        "Is there decay on the first step?",
        (form('(t - 1) * group["lr_decay"]', 't * group["lr_decay"]'),),
    ),
    Mistake(
        "lr-decay-other",
        ("Adagrad",),
        "The learning rate decays by another law: a power of each step, or a root.",
        "Which law is asked for?",
        tuple(
            form('lr / (1 + (t - 1) * group["lr_decay"])', law)
            for law in (
                'lr * (1 - group["lr_decay"]) ** (t - 1)',
                'lr * (1 - group["lr_decay"]) ** t',
                'lr / (1 + group["lr_decay"]) ** (t - 1)',
                'lr * 2.718281828459045 ** (-group["lr_decay"] * (t - 1))',
                'lr / (1 + (t - 1) * group["lr_decay"]) ** 0.5',
                'lr * (1 - (t - 1) * group["lr_decay"])',
            )
        ),
        shows="step 2",
    ),
    Mistake(
        "lr-decay-ignored",
        ("Adagrad",),
        "lr_decay is read nowhere.",
        "What does lr_decay do?",
        (form('lr / (1 + (t - 1) * group["lr_decay"])', "lr"),),
        shows="step 2",
    ),
    Mistake(
        "accumulator-init-nonzero",
        ("Adagrad", "RMSprop"),
        "The accumulator starts at 0.1 or 1.",
        "What is s₀?",
        (
            form(
                'group["initial_accumulator_value"])', 'group["initial_accumulator_value"] or 0.1)'
            ),
            form(
                'group["initial_accumulator_value"])', 'group["initial_accumulator_value"] or 1.0)'
            ),
            form('["square_avg"] = torch.zeros_like(p)', '["square_avg"] = torch.ones_like(p)'),
            form(
                '["square_avg"] = torch.zeros_like(p)', '["square_avg"] = torch.full_like(p, 0.1)'
            ),
        ),
        kind="dialect",
        whose="Keras, optax (Adagrad, 0.1); TensorFlow 1 (RMSprop, 1)",
    ),
    Mistake(
        "accumulator-init-ignored",
        ("Adagrad",),
        "initial_accumulator_value is read nowhere: the sum starts at a value of its own.",
        "Try two start values.",
        (
            form('group["initial_accumulator_value"])', "0.0)"),
            form('group["initial_accumulator_value"])', "0.1)"),
            form('group["initial_accumulator_value"])', "1.0)"),
        ),
        shows="step 1, where a start value is given",
    ),
    Mistake(
        "accumulator-overwritten",
        ("Adagrad",),
        "s = g²: the sum holds today's square only.",
        "Does history count?",
        (form('state["sum"] + g * g', "g * g"),),
        shows="step 2, or with an initial value step 1",
    ),
    Mistake(
        "accumulator-ema",
        ("Adagrad",),
        "The squares are averaged, not summed.",
        "Does history count?",
        (
            *(
                form('state["sum"] + g * g', f'{beta} * state["sum"] + (1 - {beta}) * g * g')
                for beta in ("0.9", "0.99", "0.999", "0.95", "0.5")
            ),
            form('state["sum"] + g * g', '((t - 1) * state["sum"] + g * g) / t'),
        ),
    ),
    Mistake(
        "sum-not-average",
        ("RMSprop",),
        "v = v + g²: v never forgets. This is Adagrad.",
        "Does v forget?",
        (
            form(
                'alpha * state["square_avg"] + (1 - alpha) * g * g', 'state["square_avg"] + g * g'
            ),
            form('alpha * state["square_avg"] + (1 - alpha)', 'state["square_avg"] + (1 - alpha)'),
        ),
    ),
    Mistake(
        "missing-1-alpha",
        ("RMSprop",),
        "v = αv + g²: the weights do not sum to 1.",
        "Do the weights sum to 1?",
        (form("(1 - alpha) * g * g", "g * g"),),
    ),
    Mistake(
        "alpha-default-0.9",
        ("RMSprop",),
        "α is 0.9 unless given; torch's default is 0.99.",
        "Read the signature.",
        (form("alpha: float = 0.99", "alpha: float = 0.9"),),
        kind="dialect",
        whose="Keras, optax",
    ),
    Mistake(
        "centered-ignored",
        ("RMSprop",),
        "With centered=True the mean is not taken off.",
        "What is a variance?",
        (form("v = v - a * a", "pass"),),
    ),
    Mistake(
        "centered-in-place",
        ("RMSprop",),
        "The squared mean is taken off the stored average itself, which is spoilt for all later "
        "steps.",
        "What is remembered?",
        (
            form("v = v - a * a", 'v = state["square_avg"] = v - a * a'),
            form("v = v - a * a", 'v = state["square_avg"] = (v - a * a).clamp(min=0)'),
        ),
        shows="step 2",
    ),
    Mistake(
        "centered-unsquared",
        ("RMSprop",),
        "v - ḡ where v - ḡ² is meant: NaN as soon as v < ḡ, if nothing guards the root.",
        "What is a variance?",
        (
            form("v = v - a * a", "v = v - a"),
            form("v = v - a * a", "v = (v - a).clamp(min=0)"),
            form("v = v - a * a", "v = (v - a).abs()"),
        ),
    ),
    Mistake(
        "momentum-before-scaling",
        ("RMSprop",),
        "The buffer gathers g, and the root divides the buffer.",
        "Scale before averaging, or after?",
        (form(RMSPROP_SCALE, "u = g", "p.sub_(lr * u)", "p.sub_(lr * u / (v.sqrt() + eps))"),),
        shows="step 2",
    ),
    Mistake(
        "bias-corrected-rmsprop",
        ("RMSprop",),
        "v is divided by 1-αᵗ, as Adam does.",
        "Which paper is this?",
        (
            form(
                "        u = g /", '        v = v / (1 - alpha ** state["step"])\n        u = g /'
            ),
            form(
                'if group["centered"]:\n            a =',
                'v = v / (1 - alpha ** state["step"])\n'
                '        if group["centered"]:\n            a =',
            ),
            form(
                'if group["centered"]:\n            a =',
                'v = v / (1 - alpha ** state["step"])\n'
                '        if group["centered"]:\n            a =',
                "v = v - a * a",
                'v = v - (a / (1 - alpha ** state["step"])) ** 2',
            ),
        ),
        kind="dialect",
    ),
)

SIGN = (
    Mistake(
        "lion-one-average",
        ("Lion",),
        "One average does both: the step is by the sign of the new m, so β₁ does nothing.",
        "How many averages does the paper have, and which of them is remembered?",
        (
            form("torch.sign(c)", 'torch.sign(state["exp_avg"])'),
            form(LION_STEP, "c = beta2 * m + (1 - beta2) * g"),
        ),
        shows="step 2",
    ),
    Mistake(
        "lion-remembers-c",
        ("Lion",),
        "What is remembered is c, made with β₁, so β₂ does nothing.",
        "How many averages does the paper have, and which of them is remembered?",
        (form(LION_MEMORY, 'state["exp_avg"] = c'),),
        shows="step 2",
    ),
    Mistake(
        "lion-memory-first",
        ("Lion",),
        "m is updated before c is made of it, so today's gradient counts twice in the step.",
        "Which m does the step see, the old one or the new?",
        (
            form(
                'm = state["exp_avg"]\n        c =',
                'm = state["exp_avg"] = beta2 * state["exp_avg"] + (1 - beta2) * g\n        c =',
                f"        {LION_MEMORY}\n",
                "",
            ),
        ),
        shows="step 2",
    ),
    Mistake(
        "lion-no-sign",
        ("Lion",),
        "The step is the average itself, not its sign.",
        "How long is a step of Lion's in each coordinate?",
        (form("torch.sign(c)", "c"),),
    ),
)

AVERAGED_POINTS = (
    Mistake(
        "sf-trains-at-average",
        SCHEDULE_FREE,
        "The parameter is x while it trains: gradients are taken at the average, not beside it. "
        "That is where the model is tested.",
        "Which of the three points is the gradient taken at?",
        (form(BETWEEN, "p.copy_(x)"),),
        shows="step 2",
    ),
    Mistake(
        "sf-trains-at-z",
        SCHEDULE_FREE,
        "The parameter is z: this is SGD, with an average beside it that nobody asks.",
        "Which of the three points is the gradient taken at?",
        (form(BETWEEN, "p.copy_(z)"),),
        shows="step 2",
    ),
    Mistake(
        "sf-beta-swapped",
        SCHEDULE_FREE,
        "β weighs z and 1-β the average.",
        "Near to which of the two is the gradient taken?",
        (form(BETWEEN, "p.copy_(beta * z + (1 - beta) * x)"),),
        shows="step 2",
    ),
    Mistake(
        "sf-steps-from-parameter",
        SCHEDULE_FREE,
        "The step starts at the parameter, where the gradient was taken, not at z.",
        "Which of the three points does SGD move?",
        (form('state["z"] - rate * g', "p - rate * g"),),
        shows="step 3",
    ),
    Mistake(
        "sf-plain-mean",
        SCHEDULE_FREE,
        "All points count alike, c = 1/t, those of the warm-up too.",
        "How much should a point count that was made at a tiny rate?",
        (form("c = w / total", "c = 1 / t"),),
        shows="step 2, with a warm-up or an r",
    ),
    Mistake(
        "sf-weight-without-warm-up",
        SCHEDULE_FREE,
        "The weight is made of η, not of the warm-up's rate γ, so early points count too much.",
        "How much should a point count that was made at a tiny rate?",
        (form('max(state["lr_max"], rate)', 'max(state["lr_max"], lr)'),),
        shows="step 2, with a warm-up",
    ),
    Mistake(
        "sf-latest-rate",
        SCHEDULE_FREE,
        "The weight is made of the present rate, not of the largest so far.",
        "What becomes of the weights when lr falls?",
        (form('max(state["lr_max"], rate)', "rate"),),
        shows="the first fall of lr",
    ),
)

ORTHOGONAL = (
    Mistake(
        "muon-momentum-after",
        MUON,
        "The gradient is made orthogonal, and momentum averages what comes of it: the step is no "
        "longer orthogonal.",
        "What is to be orthogonal: the gradient, or the step?",
        (
            form(
                MUON_AVERAGE,
                "",
                MUON_UPDATE,
                "u = g",
                "        rows, columns",
                '        m = state["momentum_buffer"] = momentum * state["momentum_buffer"]'
                " + (1 - momentum) * x\n"
                '        x = (1 - momentum) * x + momentum * m if group["nesterov"] else m\n'
                "        rows, columns",
            ),
        ),
    ),
    Mistake(
        "muon-no-scale",
        MUON,
        "The rate does not depend on the matrix's shape.",
        "How long is a step of a tall matrix, row by row?",
        (form(" * max(1, rows / columns) ** 0.5", ""),),
        shows="a tall matrix",
    ),
    Mistake(
        "muon-scale-swapped",
        MUON,
        "The rate grows with columns / rows: with wide matrices, not with tall ones.",
        "Which are longer: the columns of a tall matrix, or its rows?",
        (form("rows / columns", "columns / rows"),),
    ),
    Mistake(
        "muon-scale-without-root",
        MUON,
        "The rate has the quotient of rows and columns, not its root.",
        "How does a norm grow with the number of elements?",
        (form("max(1, rows / columns) ** 0.5", "max(1, rows / columns)"),),
        shows="a tall matrix",
    ),
    Mistake(
        "muon-unnormalized",
        MUON,
        "The iteration starts at U itself. Where a singular value is above 1 it does not converge.",
        "For which singular values does the iteration converge?",
        (form('x = u / u.norm().clamp(min=group["eps"])', "x = u"),),
    ),
    Mistake(
        "muon-scale-floored",
        MUON,
        "The quotient of rows and columns is a whole number, rounded down.",
        "What is 5 / 2?",
        (form("rows / columns", "rows // columns"),),
        shows="a tall matrix",
    ),
    Mistake(
        "muon-momentum-sum",
        MUON,
        "B is a sum, μB + G, and U the sum G + μB: 1 / (1-μ) times what is meant, which ε notices.",
        "How much should today's gradient count?",
        (
            form(
                MUON_AVERAGE,
                MUON_AVERAGE.replace("(1 - momentum) * g", "g"),
                MUON_UPDATE,
                MUON_UPDATE.replace("(1 - momentum) * g", "g"),
            ),
        ),
        kind="dialect",
        whose="Jordan",
    ),
    Mistake(
        "muon-sum-ahead",
        MUON,
        "B is a sum, μB + G, and U mixes it with G as if it were an average: G counts too little.",
        "How long is B, and how long G?",
        (form(MUON_AVERAGE, MUON_AVERAGE.replace("(1 - momentum) * g", "g")),),
        shows="step 2, with Nesterov",
    ),
    Mistake(
        "muon-spectral-norm",
        MUON,
        "U is divided by its largest singular value, not by the root of the sum of squares.",
        "Which norm is Frobenius's?",
        (form("u.norm()", "torch.linalg.matrix_norm(u, 2)"),),
        shows="a matrix of rank two",
    ),
    Mistake(
        "muon-quintic-term-lost",
        MUON,
        "The iteration lacks c A² X, or has c A X in its place.",
        "Write down the polynomial of one singular value.",
        (
            form(" + c * gram @ gram", ""),
            form("c * gram @ gram", "c * gram"),
        ),
    ),
    Mistake(
        "muon-steps-by-average",
        MUON,
        "The step is along U, or along B: nothing is made orthogonal.",
        "Which singular values has the step?",
        (form(" ** 0.5 * x)", " ** 0.5 * u)"),),
    ),
    Mistake(
        "muon-eps-added",
        MUON,
        "ε is added to the norm, and bounds nothing.",
        "Added, or a bound?",
        (form('u.norm().clamp(min=group["eps"])', '(u.norm() + group["eps"])'),),
        kind="dialect",
        whose="Jordan, optax",
    ),
    Mistake(
        "muon-bfloat16",
        MUON,
        "The iteration runs in bfloat16.",
        "How many digits does this type have?",
        (
            form(
                'x = u / u.norm().clamp(min=group["eps"])',
                'x = u.bfloat16() / u.bfloat16().norm().clamp(min=group["eps"])',
            ),
            form(
                'x = u / u.norm().clamp(min=group["eps"])',
                'x = (u / u.norm().clamp(min=group["eps"])).bfloat16()',
            ),
        ),
        kind="dialect",
        whose="torch.optim.Muon, Jordan",
    ),
)

FACTORED = (
    Mistake(
        "af-decay-before-size",
        ADAFACTOR,
        "The parameter is shrunk before its size is taken, so the step is shorter too.",
        "Of which parameter is α made?",
        (
            form(
                f"        {SHRINK}\n",
                "",
                "        size = p.norm",
                f"        {SHRINK}\n        size = p.norm",
            ),
        ),
        shows="weight decay",
    ),
    Mistake(
        "af-absolute-steps",
        ADAFACTOR,
        "Steps do not grow with the parameter: RMS(θ) is left out.",
        "What does relative mean?",
        (form("max(eps2, size) * min", "min"),),
    ),
    Mistake(
        "af-no-floor",
        ADAFACTOR,
        "A parameter that is all but zero makes all but no step: ε₂ is left out.",
        "How does a parameter of zeros begin?",
        (form("max(eps2, size)", "size"),),
        shows="a parameter smaller than ε₂",
    ),
    Mistake(
        "af-rate-uncapped",
        ADAFACTOR,
        "The relative step is η at every step, not 1 / √t once that is smaller; or 1 / √t always.",
        "What is η the largest of?",
        (form("min(lr, 1 / t**0.5)", "lr"), form("min(lr, 1 / t**0.5)", "(1 / t**0.5)")),
        shows="the step where 1 / √t meets η",
    ),
    Mistake(
        "af-weights-swapped",
        ADAFACTOR,
        "w weighs what was, and 1-w what is new: the first gradient is lost.",
        "What does the first step keep?",
        (form('w = t ** group["beta2_decay"]', 'w = 1 - t ** group["beta2_decay"]'),),
    ),
    Mistake(
        "af-constant-decay",
        ADAFACTOR,
        "The averages keep the same share at every step, as Adam's do, and start at zero.",
        "How much does the first step keep?",
        (form('w = t ** group["beta2_decay"]', "w = 1 - 0.999"),),
    ),
    Mistake(
        "af-not-factored",
        ADAFACTOR,
        "A matrix keeps an average for each element.",
        "How many numbers does a matrix keep?",
        (
            form(
                'if p.dim() > 1:\n            state["row_var"]',
                'if False:\n            state["row_var"]',
                "if p.dim() > 1:\n            r =",
                "if False:\n            r =",
            ),
        ),
        shows="step 1 of a matrix",
    ),
    Mistake(
        "af-flattened",
        ADAFACTOR,
        "A tensor of three dimensions is flattened to a matrix, and factored as that.",
        "Which two dimensions have rows and columns?",
        (
            form(
                "(g * g).mean(-1, keepdim=True)",
                "(g * g).flatten(1).mean(1).reshape(-1, *(1,) * (p.dim() - 1))",
                "(g * g).mean(-2, keepdim=True)",
                "(g * g).mean(0, keepdim=True)",
                "r @ c / r.mean(-2, keepdim=True)",
                "r * c / r.mean(0, keepdim=True)",
            ),
        ),
        shows="step 1 of a tensor of three dimensions",
    ),
    Mistake(
        "af-no-mean",
        ADAFACTOR,
        "R C is not divided by the mean of R, so v has the size of g⁴.",
        "What is the unit of v?",
        (form(" / r.mean(-2, keepdim=True).clamp(min=eps1)", ""),),
        shows="step 1 of a matrix",
    ),
    Mistake(
        "af-no-clipping",
        ADAFACTOR,
        "Updates are never scaled down.",
        "What bounds an update whose v is out of date?",
        (form('        u = u / max(1.0, u.norm().item() / u.numel() ** 0.5 / group["d"])\n', ""),),
        shows="a gradient much larger than those before",
    ),
    Mistake(
        "af-clipped-to-d",
        ADAFACTOR,
        "The update is divided by the larger of d and RMS(U): by d where nothing is to be bounded.",
        "What becomes of an update that is short enough?",
        (
            form(
                'max(1.0, u.norm().item() / u.numel() ** 0.5 / group["d"])',
                'max(group["d"], u.norm().item() / u.numel() ** 0.5)',
            ),
        ),
        shows="a d that is not 1",
    ),
    Mistake(
        "af-decay-by-relative-rate",
        ADAFACTOR,
        "The decay falls as the relative step does, with 1 / √t.",
        "Which factor scales λ?",
        (
            form(SHRINK, 'p.mul_(1 - min(lr, 1 / t**0.5) * group["weight_decay"])'),
            form(SHRINK, 'p.mul_(1 - alpha * group["weight_decay"])'),
        ),
        shows="weight decay",
    ),
    Mistake(
        "af-clipped-by-norm",
        ADAFACTOR,
        "The norm of the update is bounded, not its root mean square.",
        "Does the bound depend on how many elements there are?",
        (form("u.norm().item() / u.numel() ** 0.5 / group", "u.norm().item() / group"),),
    ),
    Mistake(
        "af-eps-joins-squares",
        ADAFACTOR,
        "ε₁ is added to g² (the paper has 1e-30 there), and bounds nothing.",
        "Added, or a bound?",
        (
            form(
                "(g * g).mean(-1",
                "(g * g + eps1).mean(-1",
                "(g * g).mean(-2",
                "(g * g + eps1).mean(-2",
                "w * g * g",
                "w * (g * g + eps1)",
                ".clamp(min=eps1)\n        else",
                "\n        else",
                "v.sqrt().clamp(min=eps1)",
                "v.sqrt()",
            ),
        ),
        kind="dialect",
        whose="Shazeer and Stern",
    ),
)

CONTRACT: list[Mistake] = [
    Mistake(
        "reads-defaults",
        ALL,
        "Hyper-parameters are read from self.defaults, or from attributes of the constructor's "
        "arguments, so a group's own value and a scheduler's change do nothing.",
        "Who owns lr?",
        (
            form(
                "self.update(group, state",
                "self.update(self.defaults, state",
                "self.decay(group,",
                "self.decay(self.defaults,",
            ),
            form("self.decay(group,", "self.decay(self.defaults,"),
            form('lr = group["lr"]\n', 'lr = self.defaults["lr"]\n'),
            form(
                'group["lr"] * group["weight_decay"]', 'self.defaults["lr"] * group["weight_decay"]'
            ),
            form('group["betas"]\n', 'self.defaults["betas"]\n'),
            form(
                'group["betas"]\n',
                'self.defaults["betas"]\n',
                C1,
                'c1 = 1 - group["betas"][0] ** t',
                C2,
                'c2 = 1 - group["betas"][1] ** t',
            ),
            form('alpha = group["alpha"]\n', 'alpha = self.defaults["alpha"]\n'),
            form('momentum = group["momentum"]\n', 'momentum = self.defaults["momentum"]\n'),
        ),
        shows="a second group, a scheduler",
    ),
    Mistake(
        "factor-kept",
        ALL,
        "A factor made of hyper-parameters is computed once and kept, so that a scheduler's change "
        "does nothing.",
        "When is lr read?",
        _each(
            form('lr = group["lr"]\n', 'lr = group.setdefault("first_lr", group["lr"])\n'),
            form(
                SHRINK,
                'p.mul_(group.setdefault("kept", 1 - group["lr"] * group["weight_decay"]))',
            ),
        ),
        shows="a scheduler",
    ),
    Mistake(
        "one-group-for-all",
        ALL,
        "Hyper-parameters are those of one group, the first or the last, so those of the others do "
        "nothing.",
        "Who owns lr?",
        (
            *(
                form(
                    "self.update(group, state",
                    f"self.update(self.param_groups[{place}], state",
                    "self.decay(group,",
                    f"self.decay(self.param_groups[{place}],",
                    "self.start(group,",
                    f"self.start(self.param_groups[{place}],",
                )
                for place in (0, -1)
            ),
            form("self.update(group, state", "self.update(self.param_groups[0], state"),
            form("self.decay(group,", "self.decay(self.param_groups[0],"),
            form('lr = group["lr"]\n', 'lr = self.param_groups[0]["lr"]\n'),
        ),
        shows="a second group",
    ),
    Mistake(
        "first-group-only",
        ALL,
        "Only the parameters of the first group are stepped.",
        "Who else is there?",
        (form("for group in self.param_groups:", "for group in self.param_groups[:1]:"),),
        shows="a second group",
    ),
    Mistake(
        "groups-pile-up",
        ALL,
        "What is gathered of one group is not put away before the next: parameters of earlier "
        "groups are stepped again with each later one.",
        "What is left of the first group?",
        (
            form(
                "for group in self.param_groups:",
                "for last, group in enumerate(self.param_groups):",
                'for p in group["params"]:',
                'for p in [p for g in self.param_groups[: last + 1] for p in g["params"]]:',
            ),
        ),
        shows="a second group",
    ),
    Mistake(
        "added-group-ignored",
        ALL,
        "The groups are gathered in the constructor, so one that is added later is never stepped.",
        "Who can come later?",
        (
            form(
                "super().__init__(params, defaults)\n\n    @torch",
                "super().__init__(params, defaults)\n"
                "        self.kept = list(self.param_groups)\n\n    @torch",
                "for group in self.param_groups:",
                "for group in self.kept:",
            ),
        ),
        shows="add_param_group",
    ),
    Mistake(
        "state-attribute",
        ALL,
        "State is kept on the optimizer itself, not in self.state, so no checkpoint holds it.",
        "What gets saved?",
        (form("self.state[p]", 'vars(self).setdefault("buffers", {}).setdefault(p, {})'),),
        shows="load_state_dict",
    ),
    Mistake(
        "hyper-not-loaded",
        ALL,
        "load_state_dict takes the state and leaves the hyper-parameters that were saved with it.",
        "Which lr goes on after loading?",
        (
            form(
                "    @torch.no_grad()\n    def step",
                "    def load_state_dict(self, state_dict: dict[str, Any]) -> None:\n"
                '        """Take over what was saved."""\n'
                '        groups = self.state_dict()["param_groups"]\n'
                '        super().load_state_dict({**state_dict, "param_groups": groups})\n\n'
                "    @torch.no_grad()\n    def step",
            ),
        ),
        shows="load_state_dict",
    ),
    Mistake(
        "state-outlives",
        ALL,
        "State is kept outside of the optimizer: the next one over the same parameters finds it.",
        "What does a new optimizer remember?",
        (form("self.state[p]", 'globals().setdefault("buffers", {}).setdefault(p, {})'),),
        shows="a second optimizer",
    ),
    Mistake(
        "state-shared",
        ALL,
        "One buffer serves all parameters.",
        "What identifies a parameter?",
        (form("self.state[p]", 'vars(self).setdefault("buffer", {})'),),
        shows="a second parameter",
    ),
    Mistake(
        "state-by-shape",
        ALL,
        "State is found by the parameter's shape.",
        "What identifies a parameter?",
        (
            form("self.state[p]", 'vars(self).setdefault("buffers", {}).setdefault(p.shape, {})'),
            form("self.state[p]", "self.state[tuple(p.shape)]"),
        ),
        shows="a second parameter of equal shape",
    ),
    Mistake(
        "state-by-id",
        ALL,
        "State is found by id(p), which is another one after a reload.",
        "What identifies a parameter?",
        (form("self.state[p]", "self.state[id(p)]"),),
        shows="load_state_dict",
    ),
    Mistake(
        "state-by-place",
        ALL,
        "State is found by the parameter's place: in its group, or among those with a gradient.",
        "What identifies a parameter?",
        (
            *(
                form(
                    STEP_LOOP,
                    _numbered(which),
                    "self.state[p]",
                    f'{where}.setdefault("buffers", {{}}).setdefault(i, {{}})',
                )
                for where in ("vars(self)", "self.state")
                for which in ('group["params"]', WITH_GRADIENT)
            ),
            form(
                STEP_LOOP,
                _numbered(WITH_GRADIENT),
                "self.state[p]\n",
                'self.state[group["params"][i]]\n'
                "                sizes = {v.shape for v in state.values() if torch.is_tensor(v)}\n"
                "                if sizes - {p.shape, torch.Size([])}:\n"
                "                    state.clear()\n",
            ),
        ),
        shows="a second group, a frozen parameter",
    ),
    Mistake(
        "aliases-grad",
        SGDS,
        "The first buffer *is* p.grad: when the gradient is zeroed in place, so is the memory.",
        "Copy or reference?",
        (
            form("g.clone() if", "g if"),
            form(
                BUFFER,
                'b = g if b is None else b.mul_(momentum).add_(g, alpha=1 - group["dampening"])',
            ),
        ),
        shows="step 2, with gradients zeroed in place",
    ),
    Mistake(
        "mutates-grad",
        ALL,
        "The step changes p.grad.",
        "Whose tensor is it?",
        (
            form("g = -p.grad if", "g = p.grad.neg_() if"),
            form("return g + group", "return g.add_(p, alpha=group", "] * p if", "]) if"),
        ),
        shows="p.grad after the step",
    ),
    Mistake(
        "clears-grad",
        ALL,
        "The step zeroes p.grad, or sets it to None.",
        "Whose tensor is it?",
        (
            form(CALL, f"{CALL}\n                p.grad = None"),
            form(CALL, f"{CALL}\n                p.grad.zero_()"),
        ),
        shows="p.grad after the step",
    ),
    Mistake(
        "rebinds-param",
        ALL,
        "p = p - …: a new tensor gets the name p, and the model keeps the old one.",
        "Is the model looking at it?",
        (form("p.sub_(", "p = p - ("), form("p.copy_(", "p = (")),
        shows="the parameter never moves",
    ),
    Mistake(
        "replaces-data",
        ALL,
        "p.data = …: the parameter gets another storage, and views of it go stale.",
        "Is the model looking at it?",
        (form("p.sub_(", "p.data = p.data - ("), form("p.copy_(", "p.data = (")),
        shows="the parameter's storage after the step",
    ),
    Mistake(
        "moves-copy",
        ALL,
        "The step moves a flattened copy: reshape(-1) is a view of a contiguous parameter only.",
        "View or copy?",
        (
            form("p.sub_(", "p.contiguous().sub_("),
            form("p.copy_(", "p.contiguous().copy_("),
        ),
        shows="a transposed parameter never moves",
    ),
    Mistake(
        "no-no-grad",
        ALL,
        "The update runs with autograd on: it raises, or the graph grows with every step.",
        "Should this be recorded?",
        (
            form("    @torch.no_grad()\n", ""),
            form("    @torch.no_grad()\n", "", "p.sub_(", "p.data.sub_("),
        ),
        shows="a RuntimeError, or a grad_fn",
    ),
    Mistake(
        "no-none-guard",
        ALL,
        "A parameter without a gradient crashes the step.",
        "What about a frozen parameter?",
        (form("                if p.grad is None:\n                    continue\n", ""),),
        shows="a frozen parameter",
    ),
    Mistake(
        "none-ends-step",
        ALL,
        "A parameter without a gradient ends the step: those after it are left out.",
        "What about those behind it?",
        (
            form(
                "if p.grad is None:\n                    continue",
                "if p.grad is None:\n                    return loss",
            ),
        ),
        shows="a frozen parameter before another",
    ),
    Mistake(
        "none-decays",
        DECOUPLED,
        "The decay comes before the look at the gradient, and shrinks parameters without one too.",
        "What about a frozen parameter?",
        (
            form(
                "if p.grad is None:\n",
                "if p.grad is None:\n                    self.decay(group, p, p)\n",
            ),
        ),
        shows="a frozen parameter",
    ),
    Mistake(
        "zero-as-none",
        ALL,
        "A gradient of zeros counts as a missing one: momentum and decay stand still.",
        "Does a zero say nothing?",
        (form("if p.grad is None:", "if p.grad is None or not p.grad.any():"),),
        shows="a gradient of zeros",
    ),
    Mistake(
        "none-as-zero",
        ALL,
        "A missing gradient counts as zero, so decay and momentum still move the parameter.",
        "What about a frozen parameter?",
        (
            form(
                "                if p.grad is None:\n                    continue\n",
                "",
                '-p.grad if group["maximize"] else p.grad',
                "torch.zeros_like(p) if p.grad is None else "
                '-p.grad if group["maximize"] else p.grad',
            ),
        ),
        shows="a frozen parameter",
    ),
    Mistake(
        "none-fades",
        (*SGDS, *ADAPTIVE, *SCHEDULE_FREE),
        "A parameter without a gradient stays where it is, but its averages fade and its counter "
        "runs on.",
        "What happened to this parameter at this step?",
        (
            form(
                "if p.grad is None:\n",
                "if p.grad is None:\n"
                "                    if self.state[p]:\n"
                "                        nothing = torch.zeros_like(p)\n"
                "                        self.update(group, self.state[p], p.clone(), nothing)\n",
            ),
        ),
        shows="the step after a missing gradient",
    ),
    Mistake(
        "t-of-first",
        (*ADAMS, "Adagrad"),
        "All parameters of a group go by the counter of its first one that has a gradient.",
        "Whose age is t?",
        (
            form(
                STEP_LOOP,
                '            have = [p for p in group["params"] if p.grad is not None]\n'
                + STEP_LOOP,
                CALL,
                'state["step"] = self.state[have[0]].get("step", 0) - (p is not have[0])\n'
                f"                {CALL}",
            ),
        ),
        shows="the step after a missing gradient",
    ),
    Mistake(
        "zero-means-default",
        ALL,
        "A 0 of a group counts as not given, and the constructor's value is taken.",
        "Is 0 a value?",
        (
            form(
                STEP_LOOP,
                "            group = {k: v or self.defaults.get(k, v) for k, v in group.items()}\n"
                + STEP_LOOP,
            ),
        ),
        shows="a group whose weight decay is 0",
    ),
    Mistake(
        "closure-ignored",
        ALL,
        "step(closure) never calls the closure.",
        "Read step's contract.",
        (form("loss = closure()", "loss = None"),),
        shows="a closure",
    ),
    Mistake(
        "closure-repeated",
        ALL,
        "The closure is called more than once: in the loop over groups or parameters, or for the "
        "loss alone.",
        "When is the loss known?",
        (
            form(
                "for group in self.param_groups:\n",
                "for group in self.param_groups:\n"
                "            if closure is not None:\n"
                "                with torch.enable_grad():\n"
                "                    loss = closure()\n",
            ),
        ),
        shows="a closure, with two groups",
    ),
    Mistake(
        "closure-late",
        ALL,
        "The gradients are gathered before the closure gives them, so the step uses old ones or "
        "none.",
        "When is the gradient known?",
        (
            form(
                "        loss = None\n",
                "        loss = None\n"
                '        params = [p for group in self.param_groups for p in group["params"]]\n'
                "        seen = {p: p.grad for p in params}\n",
                "if p.grad is None:",
                "if seen[p] is None:",
            ),
        ),
        shows="a closure",
    ),
    Mistake(
        "closure-no-grad",
        ALL,
        "The closure runs without autograd, so its backward() fails.",
        "Read step's contract.",
        (form("torch.enable_grad()", "torch.no_grad()"),),
        shows="a closure",
    ),
    Mistake(
        "closure-no-return",
        ALL,
        "step(closure) does not return the closure's loss.",
        "Read step's contract.",
        (form("return loss", "return None"),),
        shows="a closure",
    ),
    Mistake(
        "step-dtype",
        (*ADAPTIVE, *SCHEDULE_FREE),
        "The step counter has the parameter's dtype. bfloat16 has no 257: it stays at 256.",
        "Can this dtype count?",
        (form('state["step"] = 0', 'state["step"] = torch.zeros((), dtype=p.dtype)'),),
        shows="bfloat16, step 257",
    ),
    Mistake(
        "eager-state",
        ALL,
        "State is made in the constructor, so a parameter group added later has none.",
        "When does state appear?",
        (
            form(
                "super().__init__(params, defaults)\n\n    @torch",
                "super().__init__(params, defaults)\n"
                "        for group in self.param_groups:\n"
                '            for p in group["params"]:\n'
                "                self.start(group, self.state[p], p)\n\n    @torch",
                "                if not state:\n                    self.start(group, state, p)\n",
                "",
            ),
        ),
        shows="add_param_group",
    ),
    Mistake(
        "params-generator-kept",
        ALL,
        "The constructor keeps model.parameters() itself: a generator, empty after one pass.",
        "What is left of a generator?",
        (
            form(
                "super().__init__(params, defaults)\n\n    @torch",
                "self.kept = None\n"
                "        if not isinstance(params, list):\n"
                "            params = list(params)\n"
                "            self.kept = iter(params)\n"
                "        super().__init__(params, defaults)\n\n    @torch",
                STEP_LOOP,
                STEP_LOOP.replace('group["params"]', 'self.kept or group["params"]'),
            ),
        ),
        shows="step 2: nothing moves",
    ),
    Mistake(
        "delegates",
        ALL,
        "The class calls, or is a subclass of, an optimizer that is already written.",
        "The exercise is to write it.",
        (form("class Frame(Optimizer)", "class Frame(torch.optim.SGD)"),),
        shows="on load",
    ),
]
"""Mistakes in what every optimizer promises to the training loop."""

OTHER_WAYS: tuple[Form, ...] = (
    form(
        ADAM_MOVE,
        "step_size = lr * c2**0.5 / c1\n        p.sub_(step_size * m / (v.sqrt() + eps * c2**0.5))",
    ),
    form(
        SHRINK,
        "pass",
        ADAM_MOVE,
        'p.sub_(lr * (m_hat / (v_hat.sqrt() + eps) + group["weight_decay"] * p))',
    ),
    form(
        'state["momentum_buffer"] = None',
        'state["momentum_buffer"] = torch.zeros_like(p)\n        state["step"] = 0',
        BUFFER,
        't = state["step"] = state["step"] + 1\n'
        '            b = momentum * b + (1 - group["dampening"] * (t > 1)) * g',
    ),
    form(
        "p.sub_(lr * u)",
        "p.sub_(lr * u)",
        "u = g / (v.sqrt() + eps)",
        "u = g * (v.sqrt() + eps) ** -1",
    ),
    form("decayed_lr * g / (s.sqrt() + eps)", "g * (s.sqrt() + eps) ** -1 * decayed_lr"),
)
"""Edits that leave a solution right: other ways to write the same rule, from which other slips are
small ones."""

RULE: list[Mistake] = [
    *MOMENTUM, *STATE_RULES, *DIRECTION, *WEIGHT_DECAY, *BIAS_CORRECTION, *AVERAGES,
    *DENOMINATOR, *MAXIMUM, *ACCUMULATORS, *SIGN, *AVERAGED_POINTS, *ORTHOGONAL, *FACTORED,
]  # fmt: skip
"""Mistakes in the update rule. A teacher's own are added to it (`own.py`)."""

NAMES_WHERE_NUMBERS_RAISE = {
    "ZeroDivisionError": ("t-from-0", "no-eps", "eps-outside-quotient"),
    "ValueError": ("not-squared", "bc-linear", "centered-unsquared"),
}
"""Which mistakes divide by zero, and which take the root of a negative number: tensors make NaN of
both, Python's numbers raise."""

CATALOGUE: dict[str, Mistake] = {mistake.id: mistake for mistake in (*RULE, *CONTRACT)}
"""Every mistake by its id: of the rule, then of the contract with the training loop."""


def find(name: str) -> Mistake:
    """The mistake of this id.

    Raises:
        UsageError: there is none; the message names the nearest ids.
    """
    if name not in CATALOGUE:
        raise unknown("mistake", name, CATALOGUE)
    return CATALOGUE[name]


@cache
def source(optimizer: str) -> str:
    """The text of an optimizer's solution, whole in one file: the frame, its class, its bases."""
    module = SOLUTIONS[optimizer]
    text = inspect.getsource(module)
    header = "".join(
        line
        for line in text[: text.index("\n\n\nclass ")].splitlines(keepends=True)
        if not line.startswith("from myoptim")
    )
    classes = [cls for cls in vars(module)[optimizer].__mro__ if cls.__module__ == module.__name__]
    bodies = [inspect.getsource(cls).rstrip() for cls in reversed(classes)]
    return "\n\n\n".join([inspect.getsource(frame).rstrip(), header.rstrip(), *bodies]) + "\n"


def edited(text: str, edits: Form) -> str | None:
    """`text` with the edits made, or None if the place of one of them is not there."""
    for old, new in edits:
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return text


def forms(mistake: Mistake, optimizer: str) -> Iterator[str]:
    """The sources of one mistake in one optimizer's solution, one for each way to make it."""
    for edits in mistake.forms:
        text = edited(source(optimizer), edits)
        if text is not None:
            yield text


def other_ways(optimizer: str) -> Iterator[Form]:
    """Edits that write an optimizer's solution in another way, and leave it right."""
    for edits in OTHER_WAYS:
        if edited(source(optimizer), edits) is not None:
            yield edits


def as_diff(mistake: Mistake, optimizer: str) -> str:
    """What the mistake changes in an optimizer's solution, as a unified diff of its first form."""
    right = source(optimizer).splitlines()
    wrong = next(forms(mistake, optimizer)).splitlines()
    lines = list(difflib.unified_diff(right, wrong, lineterm="", n=0))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def build(text: str, optimizer: str) -> type[Any]:
    """The class that a source of this module defines. Runs it: not for students' code."""
    namespace: dict[str, Any] = {"__name__": "solution"}
    # Most edits leave the frame alone, which then need not be compiled anew. The rule begins with
    # its module's docstring.
    rule = text.index('\n"""') + 1
    exec(_compiled(text[:rule]), namespace)
    exec(compile(text[rule:], "<solution>", "exec"), namespace)
    return namespace[optimizer]


load = cache(build)
"""`build`, remembered: for solutions and single mistakes, of which there are few hundred."""


@cache
def _compiled(text: str) -> CodeType:
    return compile(text, "<solution>", "exec")
