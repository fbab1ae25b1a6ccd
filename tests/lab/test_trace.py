"""The trace against the documented tables, and what else it keeps."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import myoptim
from myoptim.lab.errors import UsageError
from myoptim.lab.prescribed import read_state
from myoptim.lab.problems import get_problem
from myoptim.lab.trace import trace

# Each row of four_square before its update: x, gradient, f; float32, to the last digit.
FOUR_SQUARE = {
    0: (2.0, 16.0, 16.0),
    1: (1.840000033378601, 14.720000267028809, 13.542400360107422),
    2: (1.6928000450134277, 13.542400360107422, 11.462287902832031),
    3: (1.5573760271072388, 12.45900821685791, 9.701680183410645),
    4: (1.432785987854004, 11.462287902832031, 8.211503028869629),
    5: (1.3181631565093994, 10.545305252075195, 6.950216293334961),
    6: (1.2127101421356201, 9.701681137084961, 5.882663726806641),
    7: (1.1156933307647705, 8.925546646118164, 4.979086399078369),
    8: (1.0264378786087036, 8.211503028869629, 4.214298725128174),
    9: (0.9443228244781494, 7.554582595825195, 3.5669822692871094),
    10: (0.8687769770622253, 6.950215816497803, 3.0190937519073486),
    11: (0.7992748022079468, 6.394198417663574, 2.555360794067383),
    12: (0.7353328466415405, 5.882662773132324, 2.1628575325012207),
    19: (0.41020292043685913, 3.281623363494873, 0.673065721988678),
}

# Each row of square: x, f, gradient, to three decimals.
SQUARE = {
    1: ((5, 10), 125, (10, 20)),
    2: ((4, 8), 80, (8, 16)),
    3: ((3.2, 6.4), 51.2, (6.4, 12.8)),
    4: ((2.56, 5.12), 32.768, (5.12, 10.24)),
    5: ((2.048, 4.096), 20.972, (4.096, 8.192)),
    10: ((0.671, 1.342), 2.252, (1.342, 2.684)),
    20: ((0.072, 0.144), 0.026, (0.144, 0.288)),
    30: ((0.008, 0.015), 0.000, (0.015, 0.031)),
}


@pytest.mark.parametrize("optimizer", ["SGD", "torch.optim:SGD"])
def test_four_square_to_the_last_digit(optimizer):
    rows = trace(optimizer, "four_square", settings={"lr": 0.01}, steps=20).as_dict()["rows"]
    assert [row["step"] for row in rows] == list(range(1, 21))
    found = {i: (rows[i]["params"]["x"], rows[i]["grads"]["x"], rows[i]["loss"]) for i in range(20)}
    assert {i: found[i] for i in FOUR_SQUARE} == {
        i: ([x], [grad], loss) for i, (x, grad, loss) in FOUR_SQUARE.items()
    }


def test_square_and_the_loop_written_by_hand():
    run = trace("SGD", "square", settings={"lr": 0.1}, steps=30)
    for step, (x, loss, grad) in SQUARE.items():
        assert run.param("x")[step - 1] == pytest.approx(x, abs=5e-4)
        assert run.losses[step - 1] == pytest.approx(loss, abs=5e-4)
        assert run.grad("x")[step - 1] == pytest.approx(grad, abs=5e-4)
    x = np.array([5.0, 10.0])
    for row in run.rows:
        assert row.params["x"] == pytest.approx(x, rel=1e-14)  # torch rounds once, not twice
        x -= 0.1 * (2 * x)


def test_the_state_is_that_before_the_update():
    run = trace(myoptim.Adam, "square", settings={"lr": 0.1, "betas": (0.5, 0.75)}, steps=3)
    assert run.rows[0].state == {"x": {}}
    assert run.buffers("x") == ["step", "exp_avg", "exp_avg_sq"]
    assert run.buffer("x", "exp_avg")[1] == pytest.approx(0.5 * run.grad("x")[0])
    assert run.buffer("x", "exp_avg_sq")[1] == pytest.approx(0.25 * run.grad("x")[0] ** 2)
    assert np.isnan(run.buffer("x", "exp_avg")[0]).all()
    assert run.as_dict()["rows"][2]["state"]["x"]["step"] == [2.0]
    with pytest.raises(KeyError, match="exp_av"):
        run.buffer("x", "exp_av")


def test_every_row_is_a_copy():
    run = trace("Momentum", "square", steps=3)
    arrays = [row.params["x"] for row in run.rows] + [row.grads["x"] for row in run.rows]
    assert all(array.base is None and array.flags.owndata for array in arrays)
    assert run.param("x").shape == (3, 2)


def test_the_problems_rate_unless_another_is_given():
    rate = get_problem("ravine").rates["Adam"]
    assert trace("Adam", "ravine", steps=1).settings == {"lr": rate}
    assert trace("Adam", "ravine", steps=1, settings={"lr": 1.0}).settings == {"lr": 1.0}
    assert trace("torch.optim:SGD", "ravine", steps=1).settings["lr"] == 0.035
    unknown = type("Unknown", (torch.optim.Adadelta,), {})
    assert trace(unknown, "ravine", steps=1).settings == {}


@pytest.mark.parametrize("problem", ["noisy_line", "exponential_decay"])
def test_equal_seeds_equal_runs(problem):
    one, same, other = (trace("Adam", problem, steps=5, seed=seed) for seed in (1, 1, 2))
    assert one.losses.tolist() == same.losses.tolist()
    assert one.losses.tolist() != other.losses.tolist()


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trace("Adam", "noisy_line", steps=2)
    assert torch.rand(2).equal(expected)


def test_dtype():
    run = trace("SGD", "square", dtype=torch.float32, steps=2)
    assert run.param("x").dtype == np.float32
    run = trace("SGD", "square", dtype=torch.bfloat16, steps=2)
    assert torch.tensor(run.param("x")[1]).bfloat16().tolist() == run.param("x")[1].tolist()


def test_divergence_is_a_result():
    run = trace("SGD", "four_square", settings={"lr": 1e30}, steps=5)
    assert not np.isfinite(run.losses[-1])
    assert "nan" in run.table()[1][-1]
    run.plot()


def test_csv_reads_back_to_the_same_numbers(tmp_path):
    run = trace("Adam", "noisy_line", steps=4)
    run.save_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == run.losses.tolist()
    assert [float(row["weight[0,0]"]) for row in rows] == run.param("weight").ravel().tolist()
    assert [float(row["grad bias[0]"]) for row in rows] == run.grad("bias").ravel().tolist()
    averages = [row["state weight exp_avg[0,0]"] for row in rows]
    assert averages[0] == ""
    kept = run.buffer("weight", "exp_avg").ravel()
    assert [float(number) for number in averages[1:]] == kept[1:].tolist()


def test_the_table_says_what_the_row_holds():
    headings, rows = trace("Momentum", "square", settings={"lr": 0.1}, steps=2).table()
    assert headings == ["step", "x", "loss", "gradient of x", "momentum_buffer of x"]
    assert rows == [
        ["1", "5, 10", "125", "10, 20", ""],
        ["2", "4, 8", "80", "8, 16", "10, 20"],
        ["end", "2.3, 4.6", "26.45", "4.6, 9.2", "17, 34"],
    ]


def test_long_vectors_are_cut_in_the_table(tmp_path):
    path = tmp_path / "many.py"
    path.write_text("def f(x=[1.0] * 9):\n    return (x * x).sum()\n")
    _, rows = trace("SGD", f"{path}:f", steps=1).table()
    assert rows[0][1] == "1, 1, 1, 1, …"


@pytest.mark.parametrize(("problem", "panels"), [("ravine", 5), ("four_square", 4)])
def test_the_picture_has_a_panel_for_each_buffer(problem, panels):
    figure = trace("Adam", problem, steps=5).plot()
    assert len(figure.axes) == panels
    assert [axes.get_title() for axes in figure.axes][-2:] == ["exp_avg", "exp_avg_sq"]


def test_progress_wraps_the_steps():
    seen = []
    trace("SGD", "square", steps=3, progress=lambda steps: (seen.append(s) or s for s in steps))
    assert seen == [1, 2, 3]


def test_a_step_that_raises(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n"
        "    def __init__(self, params): self.n = 0\n"
        "    def step(self):\n"
        "        self.n += 1\n"
        "        assert self.n < 3, 'three'\n"
    )
    with pytest.raises(UsageError, match=r"step 3 of .*mine.py:Mine raised") as caught:
        trace(f"{path}:Mine", "square", steps=5)
    assert "line 5, in step" in str(caught.value)
    assert "trace.py" not in str(caught.value)


def test_no_steps():
    with pytest.raises(UsageError, match="at least 1; got 0"):
        trace("SGD", "square", steps=0)


def test_state_of_any_kind_is_read():
    p = torch.ones(2)
    mine = SimpleNamespace(
        state={p: {"m": torch.ones(2), "t": 3, "lr": 0.5, "name": "x", "none": None}}
    )
    found = {name: value.tolist() for name, value in read_state(mine, p).items()}
    assert found == {"m": [1.0, 1.0], "t": 3, "lr": 0.5}
    mine.state = {p: torch.zeros(2)}
    assert read_state(mine, p)["state"].tolist() == [0.0, 0.0]
    mine.state = [1, 2]
    assert read_state(mine, p) == {}
    assert read_state(object(), p) == {}
