"""The sweep over seeds: the same runs as the race's, put together as it says."""

import json
import math
import statistics

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.lab.errors import UsageError
from myoptim.lab.problems import get_problem
from myoptim.lab.race import Multiple, Racer, line_up, race
from myoptim.lab.sweep import Point, Sweep, draw, sweep

LINE = get_problem("noisy_line")


@pytest.fixture
def run(tmp_path):
    """Runs the command on a noisy line with pictures going to `tmp_path/out`."""
    given = ["race", "--out", str(tmp_path / "out"), "--problems", "noisy_line", "--steps", "30"]
    return lambda *arguments: CliRunner().invoke(app, [*given, *arguments])


def swept(names, values, **settings) -> Sweep:
    racers = line_up(names, sweep=("lr", values))
    return sweep(LINE, racers, "lr", **{"seeds": range(3), "steps": 30, **settings})


def test_the_losses_are_those_of_single_races():
    found = swept(["SGD", "Lion"], [0.001, 0.01], seeds=(4, 2))
    assert [(p.optimizer, p.value) for p in found] == [
        *[("SGD", 0.001), ("SGD", 0.01)],
        *[("Lion", 0.001), ("Lion", 0.01)],
    ]
    for point in found:
        racer = Racer(point.optimizer, myoptim.OPTIMIZERS[point.optimizer], {"lr": point.value})
        for seed, loss in zip((4, 2), point.losses, strict=True):
            (alone,) = race(LINE, [racer], steps=30, seed=seed)
            assert loss == alone.finish.loss


def test_the_best_is_that_of_the_lowest_median():
    losses = {0.3: (5.0, 1.0, 9.0), 0.1: (6.0, 4.0, 2.0), 1.0: (math.inf, 0.1, math.inf)}
    points = [Point("SGD", value, {"lr": value}, found) for value, found in losses.items()]
    found = Sweep(LINE, "lr", range(3), 30, points)
    assert found.best() == {"SGD": points[1]}
    assert found.at_an_end() == ["SGD"]  # by value, not by the order of the values
    assert found.table()[1] == [["SGD", "0.1", "4", "2", "6", "2 of 9"]]
    assert [point["median"] for point in found.record([])["points"]] == [5.0, 4.0, None]


def test_a_run_that_diverges_counts_as_infinite():
    racers = line_up(["SGD"], sweep=("lr", [0.01, 1e15]))
    good, bad = sweep(get_problem("four_square"), racers, "lr", seeds=range(2), steps=50)
    assert max(good.losses) < 16
    assert bad.losses == (math.inf, math.inf)
    draw(Sweep(LINE, "lr", range(2), 50, [good, bad])).canvas.draw()
    draw(Sweep(LINE, "lr", range(2), 50, [bad])).canvas.draw()


def test_multiples_are_of_the_problems_rate_for_each():
    found = swept(["SGD", "Adagrad"], [Multiple(0.5), Multiple(2)])
    assert [p.value for p in found] == [0.005, 0.02, 0.5, 2.0]
    labels = [racer.label for racer in line_up(["SGD"], sweep=("lr", [Multiple(0.5)]))]
    assert labels == ["SGD lr=0.5x"]
    mine = Racer("Mine lr=2x", type("Mine", (myoptim.SGD,), {}), {"lr": Multiple(2)})
    with pytest.raises(UsageError, match="no learning rate for Mine lr=2x of which lr=2x could"):
        mine.on(LINE)


def test_schedule_free_is_judged_at_its_average():
    (result,) = race(LINE, line_up(["ScheduleFreeSGD"]), steps=30)
    run = LINE.start(0)
    optimizer = myoptim.ScheduleFreeSGD(run.params.values(), lr=LINE.rate("ScheduleFreeSGD"))
    for _ in range(30):
        optimizer.zero_grad()
        run.loss().backward()
        optimizer.step()
    beside = run.at(run.params)
    optimizer.eval()
    assert result.finish.loss == run.at(run.params) != beside


def test_the_picture_has_a_line_in_a_band_for_each():
    found = swept(["SGD", "Adam"], [0.001, 0.01, 0.1])
    (axes,) = draw(found).axes
    assert [line.get_label() for line in axes.lines] == ["SGD", "Adam"]
    for line, (optimizer, points) in zip(axes.lines, found.curves().items(), strict=True):
        assert line.get_label() == optimizer
        assert line.get_xdata().tolist() == [0.001, 0.01, 0.1]
        assert line.get_ydata().tolist() == [statistics.median(p.losses) for p in points]
    lows = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert np.isin([min(p.losses) for p in found.curves()["SGD"]], lows).all()


def test_the_command(run, tmp_path):
    arguments = ("--optimizers", "SGD,ScheduleFreeAdamW", "--sweep", "lr=0.1x,1x,10x")
    result = run(*arguments, "--seeds", "3", "--seed", "7")
    assert result.exit_code == 0
    assert "diverged" in result.stdout
    table = [line for line in result.stdout.splitlines() if " of 9" in line or "best lr" in line]
    assert len(table) == 3
    assert max(map(len, table)) <= 80
    (kept,) = json.loads((tmp_path / "out" / "settings.json").read_text())["races"]
    assert kept["seeds"] == [7, 8, 9]
    assert kept["steps"] == 30
    assert kept["pictures"] == ["noisy_line.png"]
    assert list(kept["best"]) == ["SGD", "ScheduleFreeAdamW"]
    assert [len(point["losses"]) for point in kept["points"]] == [3] * 6
    with Image.open(tmp_path / "out" / "noisy_line.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    printed = run(*arguments, "--seeds", "3", "--seed", "7", "--json").stdout
    assert json.loads(printed)["races"] == [kept]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0", "--sweep", "lr=1"], "greater than or equal to 1"),
        (["--seeds", "many", "--sweep", "lr=1"], "valid integer"),
        (["--seeds", "2"], "--seeds repeats a sweep"),
        (["--seeds", "2", "--sweep", "lr=1", "--seed", str(2**64 - 1)], "2**64 - 1"),
        (["--sweep", "momentum=0.1x"], "only lr has multiples"),
        (["--sweep", "lr=x"], "a sweep is written"),
    ],
)
def test_wrong_use(run, arguments, message):
    result = run("--optimizers", "SGD", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
