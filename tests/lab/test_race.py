"""The race: fair, compared bit by bit with torch, everything kept, nothing crashing."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.lab.problems import NETWORKS, PROBLEMS, get_problem
from myoptim.lab.race import BASELINES, Racer, draw, draw_sweep, line_up, race
from myoptim.lab.resolve import takers_of_vectors
from myoptim.optimizer import declaration_of


@pytest.fixture
def run(tmp_path):
    """Runs the command with pictures going to `tmp_path/out`."""
    return lambda *arguments: CliRunner().invoke(
        app, ["race", "--out", str(tmp_path / "out"), *arguments]
    )


@pytest.fixture
def own(tmp_path):
    """An optimizer and a problem of a user's own."""
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\n"
        "class Sign:\n"
        "    def __init__(self, params, lr=0.01): self.params, self.lr = list(params), lr\n"
        "    @torch.no_grad()\n"
        "    def step(self):\n"
        "        print('stepping')\n"
        "        for p in self.params: p -= self.lr * p.grad.sign()\n"
        "class Broken(Sign):\n"
        "    def step(self): raise KeyError('exp_avg')\n"
        "def bowl(x=-1.5, y=2.0):\n"
        "    print('evaluating')\n"
        "    return (x - 1) ** 2 + 3 * y**2\n"
        "def falls(x=1.0): return -(x**4)\n"
    )
    return str(file)


def plant(monkeypatch, change) -> None:
    """Give our SGD a fault: `change(parameter, its state, step)` after every step."""

    class SGD(myoptim.SGD):
        made = 0

        def step(self, closure=None):
            loss = super().step(closure)
            self.made += 1
            for group in self.param_groups:
                for param in group["params"]:
                    change(param.detach(), self.state[param], self.made)
            return loss

    monkeypatch.setitem(myoptim.OPTIMIZERS, "SGD", SGD)


# The bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_bit_is_torchs_where_it_has_a_twin(name):
    results = race(get_problem(name), line_up(), steps=40)
    labels = [result.racer.label for result in results]
    assert labels == takers_of_vectors()
    assert set(myoptim.OPTIMIZERS) - set(labels) == {"Muon", "SparseAdam"}
    for result in results:
        twin = declaration_of(result.racer.cls).twin
        assert result.difference == (None if twin is None else ""), result.racer.label
        assert (result.finish.diverged_at or 41) == result.finish.steps + 1


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_torchs_bits_too(name):
    ours, newer = race(get_problem(name), line_up(["AdamW", "SOAP"]), steps=4)
    assert (ours.difference, newer.difference) == ("", None)
    assert ours.finish.losses[0] == newer.finish.losses[0]
    assert ours.distance is None
    draw(get_problem(name), [ours, newer]).canvas.draw()


def test_one_bit_of_a_parameter_is_seen(monkeypatch):
    def change(param, state, step):
        if step == 7:
            param[1] = torch.nextafter(param[1], torch.tensor(torch.inf, dtype=param.dtype))

    plant(monkeypatch, change)
    (result,) = race(get_problem("square"), line_up(["SGD"]), steps=10)
    assert result.difference == "parameters at step 7"
    assert result.as_dict()["equals_torch"] is False


def test_minus_zero_is_seen(monkeypatch):
    plant(monkeypatch, lambda param, state, step: param.copy_(-param) if param == 0 else None)
    (result,) = race(get_problem("four_square"), line_up(["SGD"], {"lr": 0.125}), steps=4)
    assert result.difference == "parameters at step 1"


def test_one_bit_of_the_state_is_seen(monkeypatch):
    def change(param, state, step):
        if step == 10:
            state["momentum_buffer"][0] *= 1 + 1e-15

    plant(monkeypatch, change)
    racers = line_up(["SGD"], {"momentum": 0.5})
    (result,) = race(get_problem("square"), racers, steps=10)
    assert result.difference == "momentum_buffer of x"


def test_state_that_torch_does_not_have_is_seen(monkeypatch):
    plant(monkeypatch, lambda param, state, step: state.update(extra=torch.ones(1)))
    (result,) = race(get_problem("square"), line_up(["SGD"]), steps=3)
    assert result.difference.startswith("state of x: ")


# Fairness -----------------------------------------------------------------------------------------


def test_everyone_starts_anew_from_the_same_point():
    racers = line_up(["Adam", "SGD", "Adam"])
    assert [racer.label for racer in racers] == ["Adam", "SGD"]
    first = race(get_problem("noisy_line"), racers, steps=30, seed=3)
    again = race(get_problem("noisy_line"), racers[::-1], steps=30, seed=3)[::-1]
    other = race(get_problem("noisy_line"), racers, steps=30, seed=4)
    for one, same, different in zip(first, again, other, strict=True):
        assert one.finish.losses.tolist() == same.finish.losses.tolist()
        assert one.finish.losses.tolist() != different.finish.losses.tolist()
    assert first[0].finish.losses[0] == first[1].finish.losses[0]


def test_the_problems_rate_unless_another_is_given():
    problem = get_problem("rosenbrock")
    for settings, lr in (({}, problem.rates["Adam"]), ({"lr": 0.5}, 0.5)):
        (result,) = race(problem, line_up(["Adam"], settings), steps=2)
        assert result.finish.lr == result.twin.lr == lr


def test_settings_reach_both():
    (result,) = race(get_problem("square"), line_up(["SGD"], {"momentum": 0.5}), steps=3)
    for finish in (result.finish, result.twin):
        assert list(finish.state["x"]) == ["momentum_buffer"]
    # x₁ = x₀ - 0.1·2x₀ and x₂ = x₁ - 0.1·(2x₁ + 0.5·2x₀)
    assert result.finish.path[2].tolist() == pytest.approx([5 * 0.54, 10 * 0.54])


def test_baselines_run_along_with_others(own):
    labels = [racer.label for racer in line_up([f"{own}:Sign", "torch.optim:RAdam", "Adam"])]
    assert labels == [f"{own}:Sign", "torch.optim:RAdam", "Adam", "SGD"]
    assert set(BASELINES) <= set(labels)
    assert line_up(["torch.optim:RAdam"])[0].twin() is None


def test_a_subclass_of_ours_has_no_twin():
    class Mine(myoptim.Adam):
        pass

    assert Racer("Mine", Mine, {}).twin() is None
    assert Racer("Adam", myoptim.Adam, {}).twin().cls is torch.optim.Adam


def test_torchs_random_numbers_are_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    race(get_problem("noisy_line"), line_up(["SGD"]), steps=5)
    assert torch.equal(torch.get_rng_state(), before)


# Results ------------------------------------------------------------------------------------------


def test_what_is_kept():
    (result,) = race(get_problem("square"), [Racer("SGD", myoptim.SGD, {"lr": 0.1})], steps=30)
    x = np.array([[5.0, 10.0]]) * 0.8 ** np.arange(31)[:, None]
    assert result.finish.path == pytest.approx(x)
    assert result.finish.losses == pytest.approx((x[:-1] ** 2).sum(axis=1))
    assert result.finish.loss == pytest.approx((x[-1] ** 2).sum())
    assert result.distance == pytest.approx(np.linalg.norm(x[-1]))
    assert result.finish.diverged_at is None


def test_divergence_is_a_result():
    (result,) = race(get_problem("four_square"), line_up(["SGD"], {"lr": 1e15}), steps=50)
    # x is multiplied by -8e15 at every step: in float32 the third loss is infinite
    assert result.finish.losses.tolist() == [16, pytest.approx(1.024e33), np.inf]
    assert (result.finish.steps, result.finish.diverged_at) == (2, 3)
    assert result.difference == ""
    kept = result.as_dict()
    assert kept["loss"] is None
    assert kept["distance"] == pytest.approx(1.28e32)
    draw(get_problem("four_square"), [result]).canvas.draw()


# The command --------------------------------------------------------------------------------------


def test_two_optimizers_on_two_problems(run, tmp_path):
    result = run("--optimizers", "SGD,adam", "--problems", "ravine,four_square", "--steps", "20")
    assert result.exit_code == 0
    assert result.stdout.count("yes") == 4
    for word in ("A ravine", "A steep parabola", "SGD", "Adam", "distance", "final loss"):
        assert word in result.stdout
    kept = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert kept["versions"]["torch"] == torch.__version__
    ravine, four = kept["races"]
    assert (ravine["problem"], four["problem"]) == ("ravine", "four_square")
    assert ravine["pictures"] == ["ravine.png"]
    assert ravine["seed"] == 0
    assert [one["optimizer"] for one in ravine["results"]] == ["SGD", "Adam"]
    assert ravine["results"][0]["settings"] == {"lr": get_problem("ravine").rates["SGD"]}
    assert {one["steps"] for one in ravine["results"]} == {20}
    for name, panels in (("ravine", 2), ("four_square", 1)):
        with Image.open(tmp_path / "out" / f"{name}.png") as picture:
            assert picture.width == 5.6 * 150 * panels
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20


def test_json_and_nothing_else(run, own, tmp_path):
    arguments = ("--optimizers", f"{own}:Sign", "--problems", f"{own}:bowl", "--steps", "5")
    result = run(*arguments, "--json")
    assert result.exit_code == 0
    kept = json.loads(result.stdout)
    assert kept == json.loads((tmp_path / "out" / "settings.json").read_text())
    (only,) = kept["races"]
    assert [one["equals_torch"] for one in only["results"]] == [None, True, True]
    assert only["minima"] == []
    assert "evaluating" in result.stderr


def test_a_differing_bit_ends_with_1(run, monkeypatch):
    plant(monkeypatch, lambda param, state, step: param.mul_(1 + 1e-15))
    result = run("--optimizers", "SGD", "--problems", "square", "--steps", "3", "--no-pictures")
    assert result.exit_code == 1
    assert "NO: parameters at step 1" in result.stdout


def test_nan_does_not_crash(run, own, tmp_path):
    result = run("--optimizers", "SGD", "--problems", f"{own}:falls", "--lr", "1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["races"][0]["results"][0]["diverged_at"] > 1
    assert (tmp_path / "out" / "falls.png").exists()


def test_no_pictures(run, tmp_path):
    result = run("--problems", "square", "--steps", "2", "--no-pictures")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"\nsettings.json is in {tmp_path / 'out'}.\n")
    assert "Pictures" not in result.stdout
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["settings.json"]


def test_an_interrupted_race_leaves_no_empty_folder(tmp_path, own, monkeypatch):
    def interrupted(*_, **__):
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyboardInterrupt

    monkeypatch.setattr("myoptim.lab.race.race", interrupted)
    arguments = ["race", "--problems", "square", "--out", str(tmp_path / "a" / "b")]
    assert CliRunner().invoke(app, arguments).exit_code == 130
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").touch()
    CliRunner().invoke(app, arguments)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept"]


def test_gif(run, tmp_path):
    arguments = ("--optimizers", "SGD", "--problems", "saddle,four_square", "--steps", "20")
    assert run(*arguments, "--gif").exit_code == 0
    files = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert files == ["four_square.png", "saddle.gif", "saddle.png", "settings.json"]


def test_sweep(run):
    arguments = ("--optimizers", "SGD", "--problems", "four_square", "--no-pictures", "--json")
    result = run(*arguments, "--sweep", "lr=0.01:0.2:10")
    found = json.loads(result.stdout)["races"][0]["results"]
    assert [one["settings"]["lr"] for one in found] == pytest.approx(np.linspace(0.01, 0.2, 10))
    result = run(*arguments, "--sweep", "momentum=0,0.9", "--steps", "1")
    found = json.loads(result.stdout)["races"][0]["results"]
    assert [one["settings"]["momentum"] for one in found] == [0, 0.9]
    assert [one["optimizer"] for one in found] == ["SGD momentum=0", "SGD momentum=0.9"]


def test_a_rate_of_an_eighth_lands_at_once():
    racers = line_up(["SGD"], sweep=("lr", [0.125, 0.25, 0.26]))
    lands, stays, diverges = race(get_problem("four_square"), racers)
    assert lands.finish.losses[1] == 0
    assert stays.finish.loss == 16
    assert diverges.finish.loss > 1e4


def test_sweep_has_a_panel_for_each_optimizer():
    problem = get_problem("four_square")
    racers = line_up(["SGD", "Adam"], sweep=("lr", [0.01, 0.1, 0.2]))
    figure = draw_sweep(problem, race(problem, racers, steps=5))
    assert [axes.get_title() for axes in figure.axes] == ["SGD", "Adam"]
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["lr=0.01", "lr=0.1", "lr=0.2"]


def test_full_takes_the_documented_steps(run, monkeypatch):
    short = dataclasses.replace(get_problem("fifteen_points"), steps=2, full_steps=9)
    monkeypatch.setitem(PROBLEMS, "fifteen_points", short)
    arguments = ("--optimizers", "SGD", "--problems", "fifteen_points,square", "--json")
    for option, steps in ((("--full",), [9, 30]), ((), [2, 30])):
        races = json.loads(run(*arguments, "--no-pictures", *option).stdout)["races"]
        assert [one["results"][0]["steps"] for one in races] == steps


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizers", "SDG"], "unknown optimizer 'SDG': did you mean SGD?"),
        (["--problems", "sqare"], "unknown problem 'sqare': did you mean square"),
        (["--optimizers", "OWN:Broken"], "own.py"),
        (["--optimizers", "OWN:Sigh"], "did you mean Sign?"),
        (["--optimizers", "SGD", "--set", "beta=1"], "unknown hyper-parameter of SGD 'beta'"),
        (["--optimizers", "SGD", "--set", "momentum=-1"], "momentum"),
        (["--lr", "-1"], "lr"),
        (["--steps", "0"], "at least 1; got 0"),
        (["--steps", "5", "--full"], "give one of them"),
        (["--sweep", "lr"], "a sweep is written"),
        (["--sweep", "lr=a,b"], "a sweep is written"),
        (["--sweep", "lr=0.1:1:1"], "a sweep is written"),
        (["--sweep", "lr=0.1,1", "--lr", "1"], "lr is given twice"),
        (["--gif", "--no-pictures"], "--gif"),
        (["--out", "OWN"], "is a file"),
        (["--problems", "square,ravine,square"], "two problems are called square"),
    ],
)
def test_wrong_use(run, own, arguments, message):
    given = [argument.replace("OWN", own) for argument in arguments]
    given += [] if "--problems" in given else ["--problems", "square"]
    result = run(*given)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
