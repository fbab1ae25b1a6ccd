"""The problems: what they say of themselves is true, and the documented figures come out.

The tables of `square` and `four_square` are tested where they are traced.
"""

import math

import numpy as np
import pytest
import torch

import myoptim
from myoptim.lab import networks
from myoptim.lab.errors import UsageError
from myoptim.lab.problems import (
    DOCUMENTED,
    NETWORKS,
    PROBLEMS,
    Run,
    Surface,
    distance,
    flatten,
    get_problem,
    load_problem,
    unflatten,
)

each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
SEEDS = (0, 7)


def train(
    problem: str, optimizer: type, steps: int, seed: int = 0, **settings: float
) -> tuple[Run, list[float]]:
    run = get_problem(problem).start(seed)
    descent = optimizer(run.params.values(), **settings)
    losses = []
    for _ in range(steps):
        descent.zero_grad()
        loss = run.loss()
        loss.backward()
        descent.step()
        losses.append(loss.item())
    return run, losses


# What problems say of themselves ------------------------------------------------------------------


@each_problem
@pytest.mark.parametrize("seed", SEEDS)
def test_the_minimum_is_one(problem, seed):
    assert problem.minima(seed)
    run = problem.start(seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for point in problem.minima(seed):
        lowest = run.at(point)
        params = {name: value.clone().requires_grad_() for name, value in point.items()}
        run.function(**params).backward()
        gradient = torch.cat([param.grad.flatten() for param in params.values()])
        assert gradient.norm() < 1e-7 * max(1, abs(lowest))
        assert gradient.numel() == len(flatten(point))
        for _ in range(100):
            away = 1e-3 * torch.randn(len(gradient), generator=generator, dtype=torch.float64)
            assert run.at(unflatten(flatten(point) + away, point)) > lowest


@pytest.mark.parametrize(
    ("name", "count", "value"),
    [
        ("square", 1, 0),
        ("four_square", 1, 0),
        ("ravine", 1, 0),
        ("rosenbrock", 1, 0),
        ("beale", 1, 0),
        ("himmelblau", 4, 0),
        ("saddle", 2, -0.5),
    ],
)
def test_the_least_value(name, count, value):
    problem = get_problem(name)
    values = [problem.start(dtype=torch.float64).at(point) for point in problem.minima()]
    assert values == pytest.approx([value] * count, abs=1e-25)


def test_the_saddle_is_one():
    run = get_problem("saddle").start()
    x, y = (torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(2))
    run.function(x=x, y=y).backward()
    assert (x.grad, y.grad) == (0, 0)
    assert run.at({"x": x, "y": y + 0.1}) < 0 < run.at({"x": x + 0.1, "y": y})


@each_problem
def test_it_starts_at_leaves_of_its_own(problem):
    one, other = problem.start(), problem.start()
    for name, param in one.params.items():
        assert param.is_leaf
        assert param.requires_grad
        assert param.dtype == problem.dtype
        assert param.data_ptr() != other.params[name].data_ptr()
        assert torch.equal(param, other.params[name])
    assert one.loss().shape == ()


@each_problem
def test_another_dtype(problem):
    run = problem.start(dtype=torch.bfloat16)
    run.loss().backward()
    assert {param.grad.dtype for param in run.params.values()} == {torch.bfloat16}


@each_problem
def test_the_start_is_no_minimum_and_lies_in_the_picture(problem):
    start = problem.start()
    assert distance(start.params, problem.minima()) > 0.05
    if problem.window:
        for point in (start.params, *problem.minima()):
            inside = zip(flatten(point).tolist(), problem.window, strict=True)
            assert all(low < value < high for value, (low, high) in inside)


@each_problem
def test_it_has_words_and_a_rate_for_everyone(problem):
    words = (problem.title, problem.formula, problem.source, problem.look_at)
    assert all(words)
    assert all(problem.rate(name) for name in myoptim.OPTIMIZERS)
    assert problem.rate("NoSuchOptimizer") is None


@pytest.mark.parametrize("name", ["noisy_line", "fifteen_points", "exponential_decay"])
def test_seeds(name):
    problem = get_problem(name)
    one, same, other = (problem.start(seed) for seed in (3, 3, 4))
    assert one.loss() == same.loss()
    assert one.loss() != other.loss()


def test_distance_is_to_the_nearest_minimum():
    params = {"x": torch.tensor(3.0), "y": torch.tensor(3.0)}
    assert distance(params, get_problem("himmelblau").minima()) == 1.0
    assert distance(params, ()) is None


def test_flatten_and_back():
    params = {"weight": torch.arange(4.0).reshape(2, 2), "bias": torch.tensor(9.0)}
    back = unflatten(flatten(params), params)
    assert flatten(params).tolist() == [0, 1, 2, 3, 9]
    assert all(torch.equal(back[name], params[name]) for name in params)


# The documented figures ---------------------------------------------------------------------------


def test_the_documented_are_there():
    assert DOCUMENTED == (
        "square",
        "four_square",
        "noisy_line",
        "fifteen_points",
        "exponential_decay",
    )


@pytest.mark.parametrize("name", ["noisy_line", "fifteen_points"])
def test_the_minimum_of_a_line_is_numpys(name):
    problem = get_problem(name)
    data = problem.start(seed=2, dtype=torch.float64).data
    expected = np.polyfit(data.x.flatten(), data.y.flatten(), 1)
    (found,) = problem.minima(seed=2)
    assert flatten(found).tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_fifteen_points_least_squares():
    problem = get_problem("fifteen_points")
    (found,) = problem.minima()
    assert flatten(found).tolist() == pytest.approx([0.27254837, 0.62472669], abs=5e-9)
    assert problem.start(dtype=torch.float64).at(found) == pytest.approx(0.15119140, abs=5e-9)


@pytest.mark.slow
def test_fifteen_points_reaches_least_squares():
    problem = get_problem("fifteen_points")
    assert problem.full_steps == 100_000
    run, _ = train(problem.name, myoptim.SGD, problem.full_steps, lr=1e-3)
    assert run.at(run.params) == pytest.approx(0.15119140, abs=1e-4)
    assert flatten(run.params).tolist() == pytest.approx([0.27254837, 0.62472669], abs=1e-3)


def test_noisy_line_goes_through_one_observation_at_a_time():
    run = get_problem("noisy_line").start()
    prediction = run.data.model(run.data.x, **run.params)
    each = ((prediction - run.data.y) ** 2).flatten().tolist()
    assert run.epoch == 100
    assert [run.loss().item() for _ in range(200)] == pytest.approx(each + each)
    assert run.at(run.params) == pytest.approx(np.mean(each))


def test_noisy_line_converges_faster_with_sgd():
    run, losses = train("noisy_line", myoptim.SGD, 2000, seed=1, lr=0.01)
    assert flatten(run.params).tolist() == pytest.approx([-5.0, 1.0], abs=0.1)
    assert 0.16 < np.mean(losses[-100:]) < 0.18
    run, losses = train("noisy_line", myoptim.Adam, 2000, seed=1, lr=0.01)
    assert flatten(run.params).tolist() == pytest.approx([-5.2, -5.5], abs=0.1)
    assert np.mean(losses[-100:]) == pytest.approx(47, abs=1)


def test_exponential_decay():
    run, losses = train("exponential_decay", myoptim.Adam, 1000, lr=1e-3)
    a, k, b = run.params["weights"].tolist()
    assert a == pytest.approx(0.695, abs=0.006)
    assert k == pytest.approx(0.0098, abs=1e-4)
    assert b == pytest.approx(0.1995, abs=0.0015)
    assert 0.25 < losses[0] < 0.30
    assert losses[-1] == pytest.approx(0.020, abs=1e-3)
    assert losses[700] < 1.2 * losses[-1]


# Networks -----------------------------------------------------------------------------------------

each_network = pytest.mark.parametrize("problem", NETWORKS.values(), ids=NETWORKS)


def test_networks_are_found_by_name_only():
    assert get_problem("digits") is NETWORKS["digits"]
    assert not NETWORKS.keys() & PROBLEMS.keys()


@each_network
def test_a_network_has_words_and_a_rate_for_everyone(problem):
    assert all((problem.title, problem.formula, problem.source, problem.look_at))
    assert all(problem.rate(name) for name in myoptim.OPTIMIZERS)
    assert problem.minima() == ()


@each_network
def test_a_seed_gives_the_start_the_minibatches_and_what_is_held_out(problem):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    one, same, other = (problem.start(seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(param.is_leaf and param.requires_grad for param in one.params.values())
    assert torch.equal(flatten(one.params), flatten(same.params))
    assert not torch.equal(flatten(one.params), flatten(other.params))
    first, second = (run.loss().item() for run in (one, one))
    assert (first, second) == (same.loss().item(), same.loss().item())
    assert first != second
    assert one.at(one.params) == same.at(one.params)


@each_network
def test_a_network_begins_by_guessing_and_learns(problem):
    run = problem.start()
    classes = next(reversed(run.params.values())).shape[0]
    assert run.at(run.params) == pytest.approx(math.log(classes), rel=0.1)
    run, _ = train(problem.name, myoptim.AdamW, 60, lr=3e-3)
    assert run.at(run.params) < 0.85 * math.log(classes)


@each_network
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_in_another_dtype(problem, dtype):
    run = problem.start(dtype=dtype)
    loss = run.loss()
    loss.backward()
    assert {loss.dtype, *(param.grad.dtype for param in run.params.values())} == {dtype}


def test_what_is_held_out_is_in_no_minibatch():
    (pieces, _), (rest, targets) = networks.windows()
    known = {tuple(piece) for piece in pieces.tolist()}
    shared = known & {tuple(piece) for piece in rest.tolist()}
    _, characters = networks.reference()
    assert {characters[i] for piece in shared for i in piece} <= set("-=+")  # the rules of tables
    assert torch.equal(rest[:, 1:], targets[:, :-1])
    (images, _), (others, _) = networks.digits(torch.Generator().manual_seed(0))
    assert not {tuple(image) for image in images.tolist()} & {tuple(o) for o in others.tolist()}


def test_the_glyphs_are_digits_that_differ():
    glyphs = networks.glyphs()
    assert len(glyphs) == 10 * len(networks.FONTS) * len(networks.HEIGHTS)
    tallest = max(max(ink.shape) for _, ink in glyphs)
    assert max(networks.HEIGHTS) <= tallest <= networks.SIDE
    assert len({(ink.shape, tuple(ink.flatten().tolist())) for _, ink in glyphs}) == len(glyphs)


# A user's own -------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """Writes code into a file and loads the name `f` from it."""

    def load(code: str):
        file = tmp_path / "own.py"
        file.write_text(code)
        return load_problem(f"{file}:f")

    return load


def test_own_function(own):
    problem = own("def f(x=-1.5, y=(1.0, 2.0)):\n    return (x - 1) ** 2 + (y**2).sum()\n")
    run = problem.start()
    assert {name: param.tolist() for name, param in run.params.items()} == {
        "x": -1.5,
        "y": [1.0, 2.0],
    }
    assert run.loss().item() == 11.25
    assert problem.minima() == ()
    assert problem.name == "f"


def test_own_function_may_start_at_integers_and_tensors(own):
    code = """
        import torch
        def f(n=3, x=torch.ones(2, dtype=torch.float64)):
            "A title. \\n\\nAnd more."
            return n * x.sum()
    """
    problem = own("\n".join(line[8:] for line in code.splitlines()))
    first, second = problem.start(), problem.start()
    assert [param.dtype for param in first.params.values()] == [torch.float32, torch.float64]
    with torch.no_grad():
        first.params["x"].zero_()
    assert second.params["x"].tolist() == problem.start().params["x"].tolist() == [1.0, 1.0]
    assert problem.title.strip() == "A title."


def test_own_problem(own):
    problem = own(
        "from myoptim.lab.problems import Surface\n"
        "f = Surface(name='p', title='t', formula='x²', source='s', look_at='l',\n"
        "            function=lambda x: x**2, initial=lambda generator: {'x': 3.0})\n"
    )
    assert isinstance(problem, Surface)
    assert problem.start().loss() == 9


def test_own_function_that_makes_a_problem(own):
    problem = own(
        "from myoptim.lab.problems import get_problem\ndef f(): return get_problem('beale')\n"
    )
    assert problem is get_problem("beale")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(x): return x", "x must have a default value.* def f\\(x=1.0\\)"),
        ("def f(x=(1.0, 2.0)): return x", "returned shape \\(2,\\)"),
        ("def f(x=1.0): return 3.0", "must return a tensor of one number; it returned 3.0"),
        ("import torch\ndef f(x=1.0): return torch.ones(())", "does not depend on its parameters"),
        ("def f(x='one'): return x", "raised an error"),
        ("def f(x=1.0): return x.wrong", 'own.py", line 1, in f'),
        ("def f(): return 3", "must return a Problem; it returned 3"),
        ("f = 3", "must be a function or a Problem; it is 3"),
        ("g = 3", "unknown name in .*own.py 'f'"),
    ],
)
def test_own_that_is_wrong(own, code, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        own(code)


def test_unknown_names_the_nearest():
    with pytest.raises(UsageError, match="unknown problem 'rosenbrok': did you mean rosenbrock"):
        load_problem("rosenbrok")
