"""The pictures: what is drawn is what was given, and matplotlib is left as it was."""

import builtins
import dataclasses
import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import myoptim
from myoptim.lab import plots
from myoptim.lab.problems import Surface, get_problem


def axes():
    return plots.new_figure("title").axes[0]


def lines(axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {line.get_label(): line.get_data() for line in axes.lines}


# Styles -------------------------------------------------------------------------------------------


def test_every_optimizer_has_a_colour_of_its_own():
    every = [style["color"] for style in plots.styles(myoptim.OPTIMIZERS).values()]
    every += plots.OTHER_COLOURS
    assert len({colour.lower() for colour in every}) == len(every)


def test_a_colour_does_not_depend_on_the_company():
    together = plots.styles(["mine.py:Adam", "AdamW", "SGD"])
    assert together["AdamW"] == plots.styles(["AdamW"])["AdamW"]
    assert together["SGD"] == plots.styles(["RMSprop", "SGD"])["SGD"]
    assert together["mine.py:Adam"]["color"] == plots.OTHER_COLOURS[0]


def test_markers_tell_optimizers_apart_without_colour():
    markers = [style["marker"] for style in plots.styles(myoptim.OPTIMIZERS).values()]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("weights", [(0.299, 0.587, 0.114), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_the_shades_of_a_sweep_go_one_way_in_any_light(weights):
    styles = plots.sweep_styles(["a", "b", "c", "d"])
    shades = [np.dot(style["color"][:3], weights) for style in styles.values()]
    if weights == (0.299, 0.587, 0.114):
        assert shades == sorted(shades)
    assert len(set(shades)) == 4


# Loss curves --------------------------------------------------------------------------------------


def test_losses_over_two_decades_have_a_log_axis():
    on = axes()
    plots.loss_curves(on, {"SGD": np.geomspace(1, 1e-3, 20)})
    assert on.get_yscale() == "log"
    assert on.get_xlabel() == "step"
    assert on.get_ylabel() == "loss"


@pytest.mark.parametrize(
    "losses", [np.linspace(3, 1, 20), np.linspace(3, -200, 20), np.zeros(5), -np.ones(5)]
)
def test_others_have_a_linear_one(losses):
    on = axes()
    plots.loss_curves(on, {"SGD": losses})
    assert on.get_yscale() == "linear"


def test_losses_are_drawn_as_they_are():
    losses = np.array([4.0, 2.0, 1.0])
    on = axes()
    plots.loss_curves(on, {"SGD": losses}, {"SGD": losses + 1})
    ours, twin = on.lines
    assert ours.get_data()[0].tolist() == [0, 1, 2]
    assert ours.get_data()[1].tolist() == losses.tolist()
    assert ours.get_color() == plots.COLOURS["SGD"]
    assert twin.get_data()[1].tolist() == [5.0, 3.0, 2.0]
    assert twin.get_linestyle() == "--"


def test_losses_above_the_minimum():
    on = axes()
    plots.loss_curves(on, {"SGD": np.array([1.0, -0.49])}, least=-0.5)
    assert lines(on)["SGD"][1].tolist() == pytest.approx([1.5, 0.01])
    assert on.get_yscale() == "log"
    assert on.get_ylabel() == "loss above its minimum of -0.5"


def test_losses_by_windows():
    on = axes()
    plots.loss_curves(on, {"SGD": np.array([1.0, 3.0, 5.0, 7.0, 100.0])}, window=2)
    x, y = lines(on)["SGD"]
    assert (x.tolist(), y.tolist()) == ([0.5, 2.5], [2.0, 6.0])
    assert "mean of 2" in on.get_ylabel()


def test_one_that_diverges_does_not_hide_the_others():
    on = axes()
    good = np.geomspace(1, 1e-3, 50)
    plots.loss_curves(on, {"SGD": good, "Adam": np.array([1.0, 1e30, np.inf, np.nan])})
    low, high = on.get_ylim()
    assert low < 1e-3
    assert 1 < high < 1e5


@pytest.mark.parametrize("losses", [[np.nan], [np.inf, np.nan], [np.nan, 1.0]])
def test_nothing_finite_to_draw(losses):
    figure = plots.new_figure("title")
    plots.loss_curves(figure.axes[0], {"SGD": np.array(losses)})
    figure.canvas.draw()


def test_long_curves_are_thinned():
    on = axes()
    plots.loss_curves(on, {"SGD": np.ones(100_000)})
    x, _ = lines(on)["SGD"]
    assert len(x) <= 2000
    assert x[0] == 0
    assert x[-1] > 99_900


# Trajectories and fits ----------------------------------------------------------------------------


def test_trajectories():
    problem = get_problem("himmelblau")
    path = np.array([[-0.3, -0.9], [1.0, 1.0], [3.0, 2.0]])
    on = axes()
    plots.trajectories(on, problem, {"Adam": path}, {"Adam": path + 1})
    assert np.array_equal(np.transpose(lines(on)["Adam"]), path)
    assert (on.get_xlim(), on.get_ylim()) == problem.window
    assert (on.get_xlabel(), on.get_ylabel()) == ("x", "y")
    stars = [line for line in on.lines if line.get_marker() == "*"]
    assert len(stars) == 4
    assert sum(line.get_linestyle() == "--" for line in on.lines) == 1


def test_the_contours_are_those_of_the_loss():
    problem = get_problem("ravine")
    on = axes()
    plots.trajectories(on, problem, {"SGD": np.array([[-8.0, 1.5], [0.0, 0.0]])})
    run = problem.start()
    _, contours = (drawn for drawn in on.collections if hasattr(drawn, "levels"))
    far = [(level, path) for level, path in zip(contours.levels, contours.get_paths(), strict=True)]
    for level, path in far[8:]:  # nearer the minimum the picture's grid is too coarse
        for x, y in path.vertices[1:-1:7]:
            at = {"x": torch.tensor(x), "y": torch.tensor(y)}
            assert run.at(at) == pytest.approx(level, rel=0.05, abs=0.1)


def test_the_two_numbers_may_lie_in_one_parameter():
    on = axes()
    plots.trajectories(on, get_problem("square"), {"SGD": np.array([[5.0, 10.0], [0.0, 0.0]])})
    assert (on.get_xlabel(), on.get_ylabel()) == ("x[0]", "x[1]")


def test_without_a_window_all_that_is_finite_shows():
    problem = Surface(
        name="own",
        title="own",
        formula="x² + y²",
        source="",
        look_at="",
        function=lambda x, y: x**2 + y**2,
        initial=lambda generator: {"x": 1.0, "y": 2.0},
    )
    on = axes()
    path = np.array([[1.0, 2.0], [-4.0, 0.5], [np.inf, np.nan]])
    plots.trajectories(on, problem, {"SGD": path})
    assert on.get_xlim()[0] < -4 < 1 < on.get_xlim()[1] < 10
    assert on.get_ylim()[0] < 0.5 < 2 < on.get_ylim()[1] < 10


def test_fits():
    run = get_problem("fifteen_points").start()
    on = axes()
    plots.fits(on, run.data, {"SGD": run.params})
    observed, fitted = on.lines
    assert sorted(observed.get_data()[1].tolist()) == sorted(run.data.y.flatten().tolist())
    x, y = (values.tolist() for values in fitted.get_data())
    weight, bias = run.params["weight"].item(), run.params["bias"].item()
    assert x == sorted(run.data.x.flatten().tolist())
    assert y == pytest.approx([weight * value + bias for value in x])


def test_a_fit_far_from_the_observations_does_not_flatten_them():
    run = get_problem("exponential_decay").start()
    on, alone = axes(), axes()
    plots.fits(alone, run.data, {"SGD": run.params})
    grown = {"weights": torch.tensor([0.7, -0.05, 0.2])}
    plots.fits(on, run.data, {"SGD": run.params, "LBFGS": grown})
    y = run.data.y
    low, high = on.get_ylim()
    assert low < y.min()
    assert y.max() < high < y.max() + 2 * (y.max() - y.min())
    assert alone.get_ylim()[1] < high  # what lies near is not cut


def test_animation(tmp_path):
    problem = get_problem("saddle")
    path = np.stack([np.linspace(1, 0, 30), np.linspace(0, 1, 30)], axis=1)
    plots.animate(tmp_path / "a.gif", problem, {"Adam": path, "SGD": path[:5]})
    with Image.open(tmp_path / "a.gif") as film:
        assert film.format == "GIF"
        assert film.n_frames > 15
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(film.n_frames - 1)
        last = np.asarray(film.convert("RGB")).astype(int)
    assert np.abs(first - last).max() > 100


# The house ----------------------------------------------------------------------------------------


def test_the_legend_says_what_was_run():
    figure = plots.new_figure("title")
    plots.loss_curves(figure.axes[0], {"SGD": np.ones(3), "Adam": np.ones(3)})
    plots.legend(figure, notes={"SGD": "lr 0.1"}, below=True)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["SGD, lr 0.1", "Adam"]


def test_no_curve_hides_another_of_the_same_course():
    on = axes()
    plots.loss_curves(on, dict.fromkeys(plots.COLOURS, np.ones(3)))
    widths = [line.get_linewidth() for line in on.lines]
    assert all(wide > thin for wide, thin in itertools.pairwise(widths))


@pytest.mark.parametrize("name", ["ravine", "himmelblau", "square", "rosenbrock"])
def test_axes_are_equal_where_there_is_room(name):
    problem = get_problem(name)
    on = axes()
    plots.trajectories(on, problem, {"SGD": np.array([problem.window[0], problem.window[1]])})
    assert on.get_aspect() == 1


def test_a_long_window_keeps_its_own_aspect():
    problem = dataclasses.replace(get_problem("ravine"), window=((-9.0, 9.0), (-1.0, 1.0)))
    on = axes()
    plots.trajectories(on, problem, {"SGD": np.array([[-8.0, 1.5], [0.0, 0.0]])})
    assert on.get_aspect() == "auto"


def test_in_the_dark_ink_is_light_and_the_other_colours_stay():
    with matplotlib.rc_context(plots.DARK):
        dark = plots.styles(plots.COLOURS)
        figure = plots.new_figure("title")
        plots.loss_curves(figure.axes[0], {"SGD": np.ones(3)}, {"SGD": np.ones(3)})
    ours, twin = figure.axes[0].lines
    assert dark["SGD"]["color"] == plots.DARK["text.color"] == ours.get_color()
    assert twin.get_color() == "black"
    assert {name: style["color"] for name, style in dark.items() if name != "SGD"} == {
        name: colour for name, colour in plots.COLOURS.items() if name != "SGD"
    }


def test_a_script_saves_what_a_notebook_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    figure = plots.new_figure("title")
    assert plots.show(figure, "picture") is None
    assert capsys.readouterr().out == "picture.png\n"
    assert (tmp_path / "picture.png").stat().st_size > 1000
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert plots.show(figure, "other") is figure
    assert not (tmp_path / "other.png").exists()


def test_panels_wrap():
    figure = plots.new_figure("title", 6, panel_size=(2, 3))
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 6
    assert figure.get_size_inches().tolist() == [8, 6]


def test_legend_names_the_twins_only_where_there_are_some():
    for twins in (True, False):
        figure = plots.new_figure("title")
        plots.loss_curves(figure.axes[0], {"SGD": np.ones(3)})
        plots.legend(figure, with_twins=twins)
        (legend,) = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert texts == (["SGD", "torch's twin"] if twins else ["SGD"])


def test_matplotlibs_global_state_is_left_alone(tmp_path):
    code = """
import sys, matplotlib
before = matplotlib.rcParams.copy()
from myoptim.lab import plots
import numpy as np
figure = plots.new_figure("t")
plots.loss_curves(figure.axes[0], {"SGD": np.ones(3)})
figure.savefig(sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_without_matplotlib_the_extra_is_named():
    code = "import sys; sys.modules['matplotlib'] = None; import myoptim.lab.plots"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pictures need matplotlib: pip install 'myoptim[lab]'" in process.stderr
