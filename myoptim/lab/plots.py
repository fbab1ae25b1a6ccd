"""Pictures: loss curves, trajectories over contours, fits, animations.

One colour and one marker per optimizer everywhere, from Okabe and Ito's palette, which colour-blind
readers can tell apart; torch's twin is drawn dashed. The functions draw on axes that `new_figure`
makes, or any others; matplotlib's global state (pyplot, its backend and settings) is not touched.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

try:
    import matplotlib as mpl
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm, to_hex
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pictures need matplotlib: pip install 'myoptim[lab]'", name=error.name
    ) from error

import myoptim
from myoptim.lab.problems import Data, Params, Problem, Run, Window, flatten, unflatten

Array = NDArray[Any]

COLOURS = {
    "SGD": "#000000",
    "Momentum": "#56B4E9",
    "Nesterov": "#0072B2",
    "Adagrad": "#009E73",
    "RMSprop": "#E69F00",
    "Adam": "#D55E00",
    "AdamW": "#CC79A7",
}
#: Of those of ours that came later, in the order of the list of optimizers.
FURTHER_COLOURS = (
    *("#117733", "#882255", "#44AA99", "#CC6677", "#DDCC77"),
    *("#661100", "#6699CC", "#AA4466", "#4477AA", "#BBCC33"),
    *("#EE7733", "#0077BB", "#8163C8", "#EE3377", "#CC3311", "#009988"),
)
OTHER_COLOURS = ("#7F7F7F", "#8C510A", "#332288", "#AA4499", "#999933")
MARKERS = (*"os^DvPX<>p*hd8H", "1", "2", "3", "4", "+", "x", "|", "_", *range(4, 8))

DPI = 150
INK = COLOURS["SGD"]
"""Drawn in the colour of the text: black, and white in the dark."""
DARK: dict[str, Any] = {
    "figure.facecolor": "#131416",
    "axes.facecolor": "#131416",
    "text.color": "#e6e6e6",
    "axes.labelcolor": "#e6e6e6",
    "axes.edgecolor": "#9a9a9a",
    "xtick.color": "#c8c8c8",
    "ytick.color": "#c8c8c8",
    "grid.color": "#707070",
}
"""Settings for a picture on a dark page: `with matplotlib.rc_context(DARK)` around drawing it."""
_COLUMNS = 4
_WIDTHS = (3.2, 1.5)  # of the first curve and the last: none hides another of the same course
_MOST_UNEQUAL = 3  # a window longer than that is not drawn with equal axes
_POINTS = 2000  # more than a picture's width of pixels
_GRID = 80
_FLOOR = 1e-3  # the lowest contour, as a part of the highest: the grid shows nothing narrower
_DECADES_FOR_LOG = 2
_DEEPEST = 1e-12  # of a curve's highest first loss: below, rounding is all there is to see
_ROUNDING = 1e-6  # of the same: how far a computed loss may lie below its minimum
_HIGHEST = 1e3  # of the same: above, a run is diverging and hides the others
_FARTHEST = 1.0  # spans of the observations above and below them: farther, a fit would hide them
_FILM_DPI = 80
_FRAMES = 40
_FRAMES_PER_SECOND = 12


class Style(dict[str, Any]):
    """Line properties by which a label is known in every picture of a figure."""


def styles(labels: Iterable[str]) -> dict[str, Style]:
    """Colour and marker for every label: fixed for ours, in order of appearance for the others."""
    later = [name for name in myoptim.OPTIMIZERS if name not in COLOURS]
    ours = [*COLOURS, *later]
    found: dict[str, Style] = {}
    for label in labels:
        if label in COLOURS:
            place, colour = ours.index(label), COLOURS[label]
        elif label in later:
            colour = FURTHER_COLOURS[later.index(label) % len(FURTHER_COLOURS)]
            place = ours.index(label)
        else:
            place = len([name for name in found if name not in ours])
            colour = OTHER_COLOURS[place % len(OTHER_COLOURS)]
        colour = _ink() if colour == INK else colour
        found[label] = Style(color=colour, marker=MARKERS[place % len(MARKERS)])
    return found


def _ink() -> str:
    """The colour of the text, black on a light page."""
    return to_hex(mpl.rcParams["text.color"])


def sweep_styles(labels: Sequence[str]) -> dict[str, Style]:
    """Colours from dark to light for the values of a sweep, in their order."""
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.9, len(labels)))
    return {
        label: Style(color=tuple(shade), marker="o")
        for label, shade in zip(labels, shades, strict=True)
    }


def new_figure(
    title: str,
    panels: int = 1,
    panel_size: tuple[float, float] = (5.6, 4.4),
    columns: int = _COLUMNS,
) -> Figure:
    """A figure of so many panels, outside of pyplot; its panels are `figure.axes`.

    Args:
        title: the heading.
        panels: how many.
        panel_size: width and height of each, in inches.
        columns: how many stand side by side; 1 for a phone.
    """
    columns = min(panels, columns)
    rows = -(-panels // columns)
    width, height = panel_size
    size = (columns * width, rows * height)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    for place in range(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def loss_curves(
    axes: Axes,
    curves: Mapping[str, Array],
    twins: Mapping[str, Array] | None = None,
    styled: Mapping[str, Style] | None = None,
    window: int = 1,
    least: float | None = None,
) -> None:
    """Draw the loss of every label over its steps.

    The loss axis is logarithmic where the losses are positive and span two decades.

    Args:
        axes: where to draw.
        curves: for each label the loss at every step, shape (steps,); NaN and infinity leave gaps.
        twins: the same for the twins of some labels, drawn dashed.
        styled: how to draw each label; by default as its name asks.
        window: how many losses a point is the mean of: 100 turns the losses of single observations
            into those of epochs.
        least: the least possible loss, where it is known: then what is drawn is the loss above it.
    """
    styled = styled or styles(curves)
    above = least or 0.0
    drawn = {label: _thinned(losses - above, window) for label, losses in curves.items()}
    for (label, (x, y)), width in zip(drawn.items(), _widths(len(drawn)), strict=True):
        axes.plot(x, y, label=label, linewidth=width, markevery=[-1], **styled[label])
    for label, losses in (twins or {}).items():
        x, y = _thinned(losses - above, window)
        axes.plot(x, y, color=_twin_colour(styled[label]), **_TWIN)
    axes.set_xlabel("step")
    height = f"loss above its minimum of {above:.4g}" if above else "loss"
    axes.set_ylabel(height if window == 1 else f"{height}, mean of {window} steps")
    _loss_axis(axes, [y for _, y in drawn.values()])
    axes.grid(alpha=0.25)


def _widths(count: int) -> list[float]:
    """Widths of curves that are drawn one upon the other, the first the widest."""
    return np.linspace(*_WIDTHS, count).tolist() if count > 1 else [2.4]


#: Short dashes far apart: the colour below stays to be seen.
_TWIN: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (3, 9))}


def _twin_colour(style: Style) -> str:
    """Dashes that can be seen upon the curve of the same place."""
    ink = _ink()
    return ("white" if ink == INK else "black") if style["color"] == ink else ink


def _thinned(losses: Array, window: int) -> tuple[Array, Array]:
    """At most some thousand points (step, loss), each the mean over whole windows."""
    whole = max(len(losses) // window, 1)
    means: Array = losses[: whole * window].reshape(whole, -1).mean(axis=1)
    middles = np.arange(whole) * window + (window - 1) / 2
    every = -(-whole // _POINTS)
    return middles[::every], means[::every]


def _loss_axis(axes: Axes, curves: Sequence[Array]) -> None:
    finite = np.concatenate([losses[np.isfinite(losses)] for losses in curves])
    first = max((losses[0] for losses in curves if np.isfinite(losses[0])), default=0.0)
    if first <= 0:
        return
    top = min(float(finite.max()), first * _HIGHEST)
    lowest = max(float(finite[finite > 0].min()), first * _DEEPEST)
    if (finite < -first * _ROUNDING).any() or lowest * 10**_DECADES_FOR_LOG > top:
        axes.set_ylim(top=top + 0.05 * (top - float(finite.min())))
        return
    axes.set_yscale("log")
    axes.set_ylim(lowest / 2, top * 2)


def bands(axes: Axes, curves: Mapping[str, Sequence[tuple[float, float, float, float]]]) -> None:
    """Draw for every label a line within a band.

    The axis of x is logarithmic where all is positive, the other one if it also spans two decades.
    What is far above the best of every label is cut off: a run that diverged would hide the others.

    Args:
        axes: where to draw.
        curves: for each label the points (x, lowest, middle, highest), by x; what is not finite
            leaves gaps.
    """
    styled = styles(curves)
    every = np.concatenate([np.array(points) for points in curves.values()])
    every = np.where(np.isfinite(every), every, np.nan)
    for label, points in curves.items():
        x, *heights = np.array(points).T
        low, middle, high = (np.where(np.isfinite(y), y, np.nan) for y in heights)
        axes.fill_between(x, low, high, color=styled[label]["color"], alpha=0.15, linewidth=0)
        axes.plot(x, middle, label=label, linewidth=1.8, **styled[label])
    if np.nanmin(every[:, 0]) > 0:
        axes.set_xscale("log")
    best = [min(middle for _, _, middle, _ in points) for points in curves.values()]
    lowest, highest = min(best), max((one for one in best if np.isfinite(one)), default=np.inf)
    top = min(highest * _HIGHEST, float(np.nanmax(every[:, 1:], initial=-np.inf)))
    if lowest > 0 and lowest * 10**_DECADES_FOR_LOG < top:
        axes.set_yscale("log")
    if 0 < top < axes.get_ylim()[1]:
        axes.set_ylim(top=1.1 * top)
    axes.grid(alpha=0.25)


def legend(
    figure: Figure,
    with_twins: bool = False,
    notes: Mapping[str, str] | None = None,
    below: bool = False,
) -> None:
    """One legend for all panels, from the first of them.

    Args:
        figure: where it stands.
        with_twins: name the dashes.
        notes: what to write behind a label: "lr 0.1".
        below: below the panels instead of beside them.
    """
    handles, labels = figure.axes[0].get_legend_handles_labels()
    labels = [", ".join(filter(None, [label, (notes or {}).get(label)])) for label in labels]
    if with_twins:
        handles.append(Line2D([], [], color=_ink(), **_TWIN))
        labels.append("torch's twin")
    if below:
        figure.legend(handles, labels, loc="outside lower left", frameon=False, ncols=2)
        return
    points = 0.9 * 72 * figure.get_figheight() / len(labels)  # for each entry
    size = min(points / 1.5, mpl.rcParams["font.size"])
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=size)


def trajectories(
    axes: Axes,
    problem: Problem,
    paths: Mapping[str, Array],
    twins: Mapping[str, Array] | None = None,
    styled: Mapping[str, Style] | None = None,
    seed: int = 0,
) -> None:
    """Draw the paths of two parameters over the contours of the loss.

    Args:
        axes: where to draw.
        problem: a problem whose parameters hold two numbers in all.
        paths: for each label the parameters at every step, shape (steps, 2).
        twins: the same for the twins of some labels, drawn dashed.
        styled: how to draw each label; by default as its name asks.
        seed: what the problem was started with.
    """
    styled = styled or styles(paths)
    window = problem.window or _around(list(paths.values()))
    params = problem.start(seed).params
    _contours(axes, problem, window, seed)
    for (label, path), width in zip(paths.items(), _widths(len(paths)), strict=True):
        x, y = _every(path).T
        axes.plot(x, y, label=label, linewidth=width, markevery=[-1], **styled[label])
    for label, path in (twins or {}).items():
        x, y = _every(path).T
        axes.plot(x, y, color=_twin_colour(styled[label]), **_TWIN)
    start: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "zorder": 6}
    axes.plot(*flatten(params).tolist(), "o", markersize=8, **start)
    for point in problem.minima(seed):
        marks: dict[str, Any] = {"markeredgecolor": "black", "markersize": 14, "zorder": 5}
        axes.plot(*flatten(point).tolist(), "*", color="white", **marks)
    axes.set_xlim(window[0])
    axes.set_ylim(window[1])
    spans = [high - low for low, high in window]
    if problem.window and max(spans) <= _MOST_UNEQUAL * min(spans):
        axes.set_aspect("equal")  # the shape matters: steps cross contours at right angles
    across, up = element_names(params)
    axes.set_xlabel(across)
    axes.set_ylabel(up)


def _every(path: Array) -> Array:
    return path[:: -(-len(path) // _POINTS)]


def element_names(params: Params) -> list[str]:
    """A name for every number of the parameters: `x` for a single one, `x[0]`, `x[1]` for two."""
    names: list[str] = []
    for name, param in params.items():
        many = param.numel() > 1
        names += [f"{name}[{i}]" for i in range(param.numel())] if many else [name]
    return names


def _around(paths: Sequence[Array]) -> Window:
    """The ranges of all finite points, with a margin."""
    points = np.concatenate(paths)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(0.15 * (high - low), 1e-3)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return (float(x0), float(x1)), (float(y0), float(y1))


def _contours(axes: Axes, problem: Problem, window: Window, seed: int) -> None:
    run = problem.start(seed, dtype=torch.float64)
    x, y = (np.linspace(*ends, _GRID) for ends in window)
    heights = np.array([[_height(run, across, up) for across in x] for up in y])
    # Levels evenly spaced in the logarithm: a valley's floor shows as well as its walls.
    heights -= np.nanmin(heights)
    top = float(np.nanmax(heights))
    levels = np.geomspace(top * _FLOOR, top, 16)
    heights = np.maximum(heights, levels[0] / 2)
    shown: dict[str, Any] = {"norm": LogNorm(), "extend": "min"}
    axes.contourf(x, y, heights, levels=levels, cmap="bone", alpha=0.45, **shown)
    axes.contour(x, y, heights, levels=levels, colors="white", linewidths=0.5)


def _height(run: Run, across: float, up: float) -> float:
    point = torch.tensor([across, up], dtype=torch.float64)
    return run.at(unflatten(point, run.params))


def fits(
    axes: Axes,
    data: Data,
    found: Mapping[str, Params],
    styled: Mapping[str, Style] | None = None,
) -> None:
    """Draw observations and the prediction at every label's parameters.

    What is far above or below all observations is cut off: a fit that diverged would flatten them.
    """
    styled = styled or styles(found)
    x, order = data.x.cpu().flatten().sort()
    axes.plot(x, data.y.cpu().flatten()[order], ".", color="#999999", markersize=5)
    low, high = axes.get_ylim()
    for label, params in found.items():
        with torch.no_grad():
            y = data.model(data.x, **params).cpu().flatten()[order]
        axes.plot(x, y, label=label, linewidth=1.8, color=styled[label]["color"])
    margin = _FARTHEST * (high - low)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, low - margin), min(top, high + margin))
    axes.set_xlabel("x")
    axes.set_ylabel("y")


def save(figure: Figure, path: Path) -> Path:
    """Write a picture."""
    figure.savefig(path)
    return path


def show(figure: Figure, name: str) -> Figure | None:
    """Show a picture at the end of a notebook's cell; in a script, write it and say where.

    Args:
        figure: the picture.
        name: of the file that a script writes, without its ending.

    Returns:
        The figure, for the notebook to draw; nothing in a script.
    """
    if hasattr(builtins, "__IPYTHON__"):
        return figure
    print(save(figure, Path(f"{name}.png")))
    return None


def animate(
    path: Path,
    problem: Problem,
    paths: Mapping[str, Array],
    styled: Mapping[str, Style] | None = None,
    seed: int = 0,
) -> Path:
    """Write a GIF of the paths of two parameters growing over the contours of the loss.

    Args:
        path: the file to write.
        problem: a problem whose parameters hold two numbers in all.
        paths: for each label the parameters at every step, shape (steps, 2).
        styled: how to draw each label; by default as its name asks.
        seed: what the problem was started with.
    """
    figure = new_figure(problem.title, panel_size=(6.4, 4.6))
    figure.set_dpi(_FILM_DPI)
    (axes,) = figure.axes
    trajectories(axes, problem, paths, styled=styled, seed=seed)
    legend(figure)
    heading = axes.set_title("step 0", fontsize="medium", loc="left")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: every frame then takes half the time
    lines = {line.get_label(): line for line in axes.lines if line.get_label() in paths}
    longest = max(len(points) for points in paths.values())
    ends = np.unique(np.geomspace(1, longest, _FRAMES).astype(int))

    def draw(end: int) -> None:
        heading.set_text(f"step {end - 1}")
        for label, points in paths.items():
            x, y = _every(points[:end]).T
            lines[label].set_data(x, y)

    # Wait at the end, so that a reader sees where everyone arrived.
    frames = [*ends, *[ends[-1]] * _FRAMES_PER_SECOND]
    film = FuncAnimation(figure, draw, frames=frames, init_func=lambda: None)
    film.save(path, writer=PillowWriter(fps=_FRAMES_PER_SECOND))
    return path
