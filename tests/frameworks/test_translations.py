"""What `translate` says, checked on the frameworks themselves: both calls are run."""

import ast
import re

import pytest
from frameworks.claims import FLOAT32, SAME

import myoptim
import myoptim.dialects
from myoptim.lab import frameworks
from myoptim.lab.agreement import agreement, telling_schedule
from myoptim.lab.frameworks.calls import bind, parse
from myoptim.lab.frameworks.dictionary import FRAMEWORKS
from myoptim.lab.resolve import given_settings, resolve
from myoptim.lab.translate import AT_CONSTANT_LR, DIALECT, EXACT, IMPOSSIBLE, TARGETS, translate

EPS = 2.0**-7

# Questions of public threads: where, what was asked, the call, the target, the verdict, and what
# is in the call of the answer.
QUESTIONS = [
    (
        "pytorch/pytorch#23796",
        "RMSprop of TensorFlow in PyTorch, with the large ε of Inception",
        "tf.keras.optimizers.RMSprop(0.045, rho=0.9, momentum=0.9, epsilon=1.0)",
        "torch",
        DIALECT,
        "myoptim.dialects.KerasRMSprop(params, lr=0.045, momentum=0.9, eps=1.0)",
    ),
    (
        "google-deepmind/optax#532",
        "Is optax's rmsprop torch's?",
        "torch.optim.RMSprop(learner.parameters(), lr=0.0006, momentum=0, eps=0.01, alpha=0.99)",
        "optax",
        EXACT,
        "optax.rmsprop(learning_rate=0.0006, decay=0.99, eps=0.01, eps_in_sqrt=False)",
    ),
    (
        "google-deepmind/optax#49",
        "TensorFlow 1's RMSProp in optax",
        "tf.compat.v1.train.RMSPropOptimizer(0.016, decay=0.9, momentum=0.9, epsilon=0.001)",
        "optax",
        EXACT,
        "optax.rmsprop(learning_rate=0.016, eps=0.001, initial_scale=1.0, momentum=0.9)",
    ),
    (
        "discuss.pytorch.org/t/160720",
        "Keras's Adam in PyTorch («400 % higher error»)",
        "keras.optimizers.Adam(learning_rate=0.001)",
        "torch",
        DIALECT,
        "myoptim.dialects.KerasAdam(params, lr=0.001)",
    ),
    (
        "tensorflow/tensorflow#35102",
        "TensorFlow's Adam applies the correction to ε: in PyTorch?",
        "tf.compat.v1.train.AdamOptimizer(0.001)",
        "torch",
        DIALECT,
        "myoptim.dialects.KerasAdam(params, lr=0.001, eps=1e-08)",
    ),
    (
        "pytorch/pytorch#1099",
        "Sutskever's momentum, as other packages have it, in PyTorch",
        "keras.optimizers.SGD(0.01, momentum=0.9)",
        "torch",
        AT_CONSTANT_LR,
        "torch.optim.SGD(params, lr=0.01, momentum=0.9)",
    ),
    (
        "google-deepmind/optax#417",
        "torch's Adam with weight decay in optax",
        "torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=0.0001)",
        "optax",
        DIALECT,
        "optax.adamw(learning_rate=0.001)",
    ),
    (
        "ml-explore/mlx#1640",
        "torch's AdamW in MLX",
        "torch.optim.AdamW(model.parameters(), lr=0.001)",
        "mlx",
        EXACT,
        "mlx.optimizers.AdamW(learning_rate=0.001, bias_correction=True)",
    ),
    (
        "oxiglade/mlx-rs#301",
        "MLX's Adam lacks the correction: in PyTorch?",
        "mlx.optimizers.Adam(0.001)",
        "torch",
        DIALECT,
        "myoptim.dialects.MLXAdam(params, lr=0.001)",
    ),
    (
        "unslothai/unsloth-zoo#819",
        "torch's Adagrad in MLX: whose default of ε?",
        "torch.optim.Adagrad(model.parameters(), lr=0.01)",
        "mlx",
        EXACT,
        "mlx.optimizers.Adagrad(learning_rate=0.01, eps=1e-10)",
    ),
    (
        "keras-team/keras#17391",
        "ε of Keras's adaptive optimizers: Adagrad in PyTorch",
        "keras.optimizers.Adagrad(0.001)",
        "torch",
        EXACT,
        "torch.optim.Adagrad(params, lr=0.001, initial_accumulator_value=0.10000010000000001, "
        "eps=0.0)",
    ),
]

# Calls whose numbers have few binary digits, so that float32 somewhere in a framework shows little.
_NUMBERS = "0.125, momentum=0.75"
CALLS = [
    "torch.optim.SGD(params, 0.125)",
    f"torch.optim.SGD(params, {_NUMBERS}, weight_decay=0.1875)",
    f"torch.optim.SGD(params, {_NUMBERS}, nesterov=True)",
    f"torch.optim.SGD(params, {_NUMBERS}, dampening=0.3125)",
    f"torch.optim.RMSprop(params, 0.125, alpha=0.625, eps={EPS})",
    f"torch.optim.RMSprop(params, 0.125, alpha=0.625, eps={EPS}, momentum=0.75, centered=True)",
    f"torch.optim.Adagrad(params, 0.125, eps={EPS})",
    f"torch.optim.Adam(params, 0.125, betas=(0.625, 0.75), eps={EPS})",
    f"torch.optim.Adam(params, 0.125, betas=(0.625, 0.75), eps={EPS}, amsgrad=True)",
    f"torch.optim.AdamW(params, 0.125, betas=(0.625, 0.75), eps={EPS}, weight_decay=0.1875)",
    "keras.optimizers.SGD(0.125, weight_decay=0.1875)",
    f"keras.optimizers.SGD({_NUMBERS})",
    f"keras.optimizers.SGD({_NUMBERS}, nesterov=True)",
    f"keras.optimizers.RMSprop(0.125, rho=0.625, epsilon={EPS})",
    f"keras.optimizers.RMSprop({_NUMBERS}, rho=0.625, epsilon={EPS}, centered=True)",
    f"keras.optimizers.Adagrad(0.125, initial_accumulator_value=0.25, epsilon={EPS})",
    f"keras.optimizers.Adam(0.125, beta_1=0.625, beta_2=0.75, epsilon={EPS})",
    f"optax.rmsprop(0.125, decay=0.625, eps={EPS}, eps_in_sqrt=False, momentum=0.75)",
    f"optax.amsgrad(0.125, b1=0.625, b2=0.75, eps={EPS})",
    f"optax.adamw(0.125, b1=0.625, b2=0.75, eps={EPS}, weight_decay=0.1875)",
    f"mlx.optimizers.SGD({_NUMBERS}, dampening=0.3125)",
    f"mlx.optimizers.Adam(0.125, betas=[0.625, 0.75], eps={EPS})",
    f"mlx.optimizers.Adam(0.125, betas=[0.625, 0.75], eps={EPS}, bias_correction=True)",
    f"tinygrad.nn.optim.SGD(params, {_NUMBERS}, classic=True)",
    f"paddle.optimizer.RMSProp(0.125, rho=0.625, epsilon={EPS}, momentum=0.75)",
    f"tf.compat.v1.train.RMSPropOptimizer(0.125, decay=0.625, epsilon={EPS}, momentum=0.75)",
    f"torch.optim.Adadelta(params, 0.125, rho=0.625, eps={EPS}, weight_decay=0.1875)",
    f"torch.optim.Adamax(params, 0.125, betas=(0.625, 0.75), eps={EPS})",
    f"torch.optim.NAdam(params, 0.125, betas=(0.625, 0.75), eps={EPS})",
    f"torch.optim.RAdam(params, 0.125, betas=(0.625, 0.75), eps={EPS})",
    "torch.optim.Rprop(params, 0.125, etas=(0.625, 1.5), step_sizes=(0.09375, 0.25))",
    f"keras.optimizers.Adadelta(0.125, rho=0.625, epsilon={EPS}, weight_decay=0.1875)",
    f"keras.optimizers.Adamax(0.125, beta_1=0.625, beta_2=0.75, epsilon={EPS})",
    f"keras.optimizers.Nadam(0.125, beta_1=0.625, beta_2=0.75, epsilon={EPS})",
    f"optax.nadam(0.125, b1=0.625, b2=0.75, eps={EPS})",
    f"optax.radam(0.125, b1=0.625, b2=0.75, eps={EPS})",
    f"mlx.optimizers.Adamax(0.125, betas=[0.625, 0.75], eps={EPS})",
    "paddle.optimizer.Rprop(0.125, learning_rate_range=(0.09375, 0.25), etas=(0.625, 1.5))",
    "optax.rprop(0.125, eta_minus=0.625, eta_plus=1.5, min_step_size=0.09375, max_step_size=0.25)",
    f"paddle.optimizer.Adamax(0.125, beta1=0.625, beta2=0.75, epsilon={EPS})",
    "paddle.optimizer.ASGD(0.125)",
    "keras.optimizers.Lion(0.125, beta_1=0.625, beta_2=0.75, weight_decay=0.1875)",
    "optax.lion(0.125, b1=0.625, b2=0.75, weight_decay=0.1875)",
    "mlx.optimizers.Lion(0.125, betas=[0.625, 0.75], weight_decay=0.1875)",
    f"torch.optim.Adafactor(params, 0.75, eps=({EPS}, 0.0078125), d=1.25)",
    f"keras.optimizers.Adafactor(0.75, epsilon_1={EPS}, clip_threshold=1.25)",
    f"mlx.optimizers.Adafactor(0.25, eps=({EPS}, 0.0078125), relative_step=False)",
    "mlx.optimizers.Adafactor(0.125)",
    "optax.adafactor(0.25, min_dim_size_to_factor=1)",
    "optax.contrib.ademamix(0.125, b1=0.625, b2=0.75, b3=0.875, alpha=2.5, weight_decay=0.1875)",
    "optax.contrib.prodigy(0.5, betas=(0.625, 0.75), estim_lr0=0.015625, estim_lr_coef=1.75)",
    "optax.contrib.schedule_free_sgd(0.125, b1=0.75, weight_decay=0.1875)",
    "optax.contrib.schedule_free_adamw(0.125, b1=0.625, b2=0.75, weight_lr_power=1.25)",
]


def maker(call):
    """What makes the optimizer that a call stands for, run by its own framework."""
    read = parse(call)
    if read.framework in ("torch", "myoptim"):
        return _of_torch(call)
    # In the words of `frameworks`, which has no modules: keras:Adam(…).
    named = [f"{k}={v!r}" for k, v in read.keywords.items() if k != "parameters"]
    inside = ", ".join([*map(repr, read.positional), *named])
    cls = resolve(f"{read.framework}:{read.name}({inside})")
    settings = given_settings(cls)
    return lambda params: cls(params, **settings)


def _of_torch(call):
    """The class of torch or ours, with the call's keywords."""
    tree = ast.parse(call, mode="eval").body
    place, _, name = ast.unparse(tree.func).rpartition(".")
    module = {"torch.optim": myoptim, "myoptim": myoptim, "myoptim.dialects": myoptim.dialects}
    cls = getattr(module[place], name)
    positional = [ast.literal_eval(value) for value in tree.args[1:]]
    keywords = {k.arg: ast.literal_eval(k.value) for k in tree.keywords}
    return lambda params: cls(params, *positional, **keywords)


def epsilons(call):
    read = parse(call)
    entry = FRAMEWORKS[read.framework].entries[read.name]
    arguments = {**entry.arguments, **bind(entry, read)}
    settings = {**entry.settings(arguments), **entry.reading(arguments).fixed}
    eps = settings.get("eps", 1e-8)
    eps = eps[0] if isinstance(eps, tuple) else eps
    return [] if eps is None else [eps]


def same(a, b, *, lr_changes, tolerance):
    schedule = telling_schedule(epsilons(a) + epsilons(b), lr_changes=lr_changes)
    return agreement(maker(a), maker(b), schedule, tolerance).first is None


def check(call, answer, target, tolerance):
    """The verdict is what running the two calls shows."""
    options = {"tolerance": tolerance}
    if answer.verdict == EXACT:
        assert same(call, answer.call, lr_changes=True, **options)
    elif answer.verdict == AT_CONSTANT_LR:
        assert same(call, answer.call, lr_changes=False, **options)
        assert not same(call, answer.call, lr_changes=True, **options)
    elif answer.verdict == DIALECT and target == "torch":
        assert answer.call.startswith("myoptim.")
        assert same(call, answer.call, lr_changes=True, **options)
        nearest = re.search(r"Nearest in torch: (.*?\))\.( |$)", answer.reason)
        assert (nearest is None) == ("has no optimizer of this kind" in answer.reason)
        assert nearest is None or not same(call, nearest[1], lr_changes=False, **options)
    elif answer.call:
        assert not same(call, answer.call, lr_changes=False, **options)
    else:
        assert answer.verdict == IMPOSSIBLE


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[0])
def test_questions_of_public_threads(question, installed):
    _, _, call, target, verdict, expected = question
    installed([parse(call).framework, target])
    answer = translate(call, target)
    assert (answer.verdict, answer.call) == (verdict, expected)
    # Everyday numbers are rounded where a framework keeps them in float32.
    check(call, answer, target, FLOAT32)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("call", CALLS)
def test_a_verdict_is_what_the_frameworks_do(call, target, installed):
    source = parse(call).framework
    installed([source, target])
    answer = translate(call, target)
    if answer.call is None:
        assert answer.verdict == IMPOSSIBLE
        return
    both = call + answer.call
    # Of NAdam torch and ours keep the product of momenta in float32, of Adafactor others a factor.
    single = ("tinygrad", "bias_correction=True", "NAdam", "dafactor")
    check(call, answer, target, FLOAT32 if any(name in both for name in single) else SAME)


def test_every_framework_is_asked_and_asked_about():
    assert {parse(call).framework for call in CALLS} >= set(frameworks.ADAPTERS) - {"sklearn"}
