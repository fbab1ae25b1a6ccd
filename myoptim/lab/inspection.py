"""What `inspect` found: sums over the elements of parameters, and tables and pictures of them."""

from __future__ import annotations

import html
import math
import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from myoptim.lab.values import some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: From this share on it is worth a sentence.
MOST = 0.5
#: From this size on, beside the parameter, a step is worth one.
LARGE_STEP = 0.1

PARTS = ("gradient", "memory", "decay")

#: Hyper-parameters that are a term of a rule: with 0 for them it is the rule without the term.
DECAY = ("weight_decay", "lambd")
EPSILON = ("eps",)


@dataclass(frozen=True)
class Tally:
    """Sums over elements, of which every figure is made; those of slices and parameters add up.

    Attributes:
        elements: how many there are; a complex number is two.
        explained: how many of them belong to a rule; the sums from `gradient` on are of those.
        not_finite: how many are NaN or infinite after the step, or in the gradient.
        zeros: how many of the gradient are zero.
        param2, grad2, step2, change2: squared norms, of the parameter before, the gradient, the
            step that the rule asks for (without a rule, of what was done), and what was done.
        kept: inner product of the latter two.
        gradient, memory, decay: inner products of these parts of the step with the step.
        downhill: that of the step without decay with the negative gradient.
        undecayed2, free2: squared norms of the step without decay, and without decay and ε.
        lost: how many elements were to change and did not.
        stuck, sizes: the same of each buffer of the state, and how many elements it has.
    """

    elements: int = 0
    explained: float = 0
    not_finite: float = 0
    zeros: float = 0
    param2: float = 0
    grad2: float = 0
    step2: float = 0
    change2: float = 0
    kept: float = 0
    gradient: float = 0
    memory: float = 0
    decay: float = 0
    downhill: float = 0
    undecayed2: float = 0
    free2: float = 0
    lost: float = 0
    stuck: Counter[str] = field(default_factory=Counter[str])
    sizes: Counter[str] = field(default_factory=Counter[str])

    def __add__(self, other: Tally) -> Tally:
        names = [each.name for each in fields(self)]
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Row:
    """What was seen of a parameter, or of the parameters of a group, in one step.

    Every figure is None where it has no value: the parameter had no gradient, nothing is known of
    the rule, a number is not finite, or it is a part of nothing.

    Attributes:
        step: the step, from 1.
        group: the place of its group.
        param: its name; None for a whole group.
        shape: its shape; () for a whole group.
        dtype: its type.
        trained: whether autograd makes a gradient for it.
        tally: the sums; None where there was no gradient.
        still: the numbers of its state, such as `step`, that were to change and did not.
    """

    step: int
    group: int
    param: str | None
    shape: tuple[int, ...]
    dtype: str
    trained: bool
    tally: Tally | None
    still: tuple[str, ...] = ()

    @property
    def ratio(self) -> float | None:
        """The norm of the step beside that of the parameter before it."""
        return self._root(lambda t: t.step2, lambda t: t.param2)

    @property
    def shares(self) -> dict[str, float | None]:
        """The parts of the step along its own direction, which add up to 1; a part that points the
        other way is negative."""
        return {part: self._of_rule(lambda t, p=part: getattr(t, p), _step2) for part in PARTS}

    @property
    def kept(self) -> float | None:
        """How much of the step remains, along its direction, after rounding to the parameter."""
        return self._of_rule(lambda t: t.kept, _step2)

    @property
    def lost(self) -> float | None:
        """The share of elements that were to change and did not, because of rounding."""
        return self._of_rule(lambda t: t.lost, lambda t: t.elements)

    @property
    def stuck(self) -> dict[str, float]:
        """The same for each buffer of the state."""
        tally = self.tally or Tally()
        return {name: tally.stuck[name] / size for name, size in tally.sizes.items() if size}

    @property
    def held(self) -> float | None:
        """How much smaller the step without decay is than it were without ε as well: 0 not at all,
        1 entirely; negative where ε makes it larger."""
        left = self._root(lambda t: t.undecayed2, lambda t: t.free2)
        return None if left is None or not self._explained else 1 - left

    @property
    def effective_lr(self) -> float | None:
        """The learning rate with which plain gradient descent would go as far along the gradient;
        negative where the step goes against it."""
        return self._of_rule(lambda t: t.downhill, lambda t: t.grad2)

    @property
    def gradient(self) -> str:
        """ "missing", "not finite", "zero" or "there"."""
        if self.tally is None:
            return "missing"
        if not math.isfinite(self.tally.grad2):
            return "not finite"
        return "zero" if 0 < self.tally.elements == self.tally.zeros else "there"

    @property
    def is_finite(self) -> bool:
        """Whether gradient and parameter are."""
        return self.tally is None or not self.tally.not_finite

    @property
    def _explained(self) -> bool:
        return self.tally is not None and self.tally.explained > 0

    def _of_rule(
        self, part: Callable[[Tally], float], whole: Callable[[Tally], float]
    ) -> float | None:
        return self._quotient(part, whole) if self._explained else None

    def _quotient(
        self, part: Callable[[Tally], float], whole: Callable[[Tally], float]
    ) -> float | None:
        if self.tally is None:
            return None
        above, below = part(self.tally), whole(self.tally)
        return above / below if below and math.isfinite(above / below) else None

    def _root(
        self, part: Callable[[Tally], float], whole: Callable[[Tally], float]
    ) -> float | None:
        square = self._quotient(part, whole)
        return None if square is None else math.sqrt(square)

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON holds it; what has no value is None."""
        tally = self.tally or Tally()
        norms = {"param": tally.param2, "grad": tally.grad2, "step": tally.step2}
        norms["change"] = tally.change2
        return {
            "step": self.step,
            "group": self.group,
            "param": self.param,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "gradient": self.gradient,
            "norms": {
                name: math.sqrt(square) if self.tally and math.isfinite(square) else None
                for name, square in norms.items()
            },
            "ratio": self.ratio,
            "shares": self.shares,
            "held_back_by_eps": self.held,
            "effective_lr": self.effective_lr,
            "lost_to_rounding": self.lost,
            "kept": self.kept,
            "state_lost_to_rounding": self.stuck,
            "counters_standing_still": list(self.still),
            "not_finite": int(tally.not_finite),
            "zeros_of_gradient": int(tally.zeros),
            "elements": tally.elements,
        }


def _step2(tally: Tally) -> float:
    return tally.step2


@dataclass(frozen=True)
class Finding:
    """Something that may be why training fails.

    Attributes:
        kind: one word or two, for a program: "lost", "held back", "large step", …
        params: the names of the parameters of which it was found.
        text: a sentence.
    """

    kind: str
    params: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Report:
    """What was seen in all inspected steps.

    Attributes:
        optimizer: the name of its class.
        has_rule: whether its rule is known, without which there are no shares.
        rows: for each inspected step, one for each parameter.
        settings: for each inspected step the settings of each group that figures are beside.
        absent: names of the model's parameters that no group of the optimizer has.
    """

    optimizer: str
    has_rule: bool
    rows: dict[int, list[Row]] = field(default_factory=dict[int, "list[Row]"])
    settings: dict[int, list[dict[str, Any]]] = field(
        default_factory=dict[int, "list[dict[str, Any]]"]
    )
    absent: list[str] = field(default_factory=list[str])

    @property
    def steps(self) -> list[int]:
        """The steps that were inspected."""
        return list(self.rows)

    def at(self, step: int | None = None) -> list[Row]:
        """The rows of a step's parameters; by default of the last one inspected.

        Raises:
            KeyError: the step was not inspected.
        """
        if step is None:
            return self.rows[self.steps[-1]] if self.rows else []
        if step not in self.rows:
            raise KeyError(f"step {step} was not inspected; those that were: {self.steps}")
        return self.rows[step]

    def groups(self, step: int | None = None) -> list[Row]:
        """The rows of a step's groups, each the sum of its parameters."""
        rows = self.at(step)
        places = dict.fromkeys(row.group for row in rows)
        return [_sum([row for row in rows if row.group == place]) for place in places]

    def findings(self, step: int | None = None) -> list[Finding]:
        """What may be why training fails, in words.

        Args:
            step: where to look; by default in the last inspected step in which all was finite.
        """
        spoilt = [s for s, rows in self.rows.items() if not all(row.is_finite for row in rows)]
        sound = [s for s in self.rows if s not in spoilt]
        if step is None and sound:
            step = sound[-1]
        rows = self.at(step)
        found = [_not_finite(self.at(spoilt[0]))] if spoilt else []
        found += [_about(rows, *question) for question in _QUESTIONS]
        found.append(_swapped(rows, self.settings[rows[0].step]) if rows else None)
        absent = tuple(self.absent)
        if absent:
            found.append(Finding("absent", absent, f"not in the optimizer: {some(absent, _NAMED)}"))
        return [finding for finding in found if finding is not None]

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON holds it: every number is finite or None."""
        return {
            "optimizer": self.optimizer,
            "has_rule": self.has_rule,
            "absent": self.absent,
            "findings": [
                {"kind": finding.kind, "params": list(finding.params), "text": finding.text}
                for finding in self.findings()
            ],
            "steps": [
                {
                    "step": step,
                    "settings": settings,
                    "groups": [row.as_dict() for row in self.groups(step)],
                    "params": [row.as_dict() for row in self.at(step)],
                }
                for step, settings in self.settings.items()
            ],
        }

    # -------------------------------------------------------------------------------- to look at

    def __repr__(self) -> str:
        return f"<report on {len(self.steps)} steps of {self.optimizer}>"

    def __str__(self) -> str:
        return self.table(width=shutil.get_terminal_size().columns)

    def _title(self, rows: Sequence[Row]) -> str:
        if not rows:
            return f"{self.optimizer}: no step was inspected yet"
        groups = len({row.group for row in rows})
        counted = f"{len(rows)} parameter{'s' * (len(rows) > 1)}"
        return f"{self.optimizer}, step {rows[0].step}: {counted}" + (
            f" in {groups} groups" if groups > 1 else ""
        )

    def _remarks(self, step: int | None) -> list[str]:
        """Sentences to stand above a table."""
        unknown = f"the rule of {self.optimizer} is not known, so there are no shares"
        return [str(finding) for finding in self.findings(step)] + [unknown] * (not self.has_rule)

    def _blocks(self, step: int | None) -> Iterable[tuple[str, list[Row]]]:
        """A heading for each group, its own row and those of its parameters."""
        rows = self.at(step)
        for whole in self.groups(step):
            settings = self.settings[whole.step][whole.group]
            said = ", ".join(f"{name} {_setting(value)}" for name, value in settings.items())
            alike = [row for row in rows if row.group == whole.group]
            yield f"group {whole.group}: {said}", [whole] * (len(alike) > 1) + alike

    def table(self, step: int | None = None, *, width: int = 80) -> str:
        """What was seen in a step, as text: what was found, then the figures of each parameter.

        Names that are too long for their column have a line of their own, and below some 70
        columns the figures stand one after the other: no number and no name is ever cut.

        Args:
            step: the step; by default the last one inspected.
            width: of the terminal.
        """
        lines = [self._title(self.at(step))]
        for remark in self._remarks(step):
            lines += textwrap.wrap(remark, width, initial_indent="- ", subsequent_indent="  ")
        if not self.at(step):
            return "\n".join(lines)
        names = max(len(_name(row)) for row in self.at(step)) + 2
        room = min(width - sum(map(_column_width, _COLUMNS)), names)
        if room >= _LEAST_NAME:
            lines += ["", *(_heading(room, line) for line in (0, 1))]
        for heading, rows in self._blocks(step):
            lines += textwrap.wrap(heading, width, subsequent_indent="  ")
            for row in rows:
                lines += _in_columns(row, room) if room >= _LEAST_NAME else _in_words(row, width)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The same table for a notebook."""
        title = f"<p><strong>{html.escape(self._title(self.at()))}</strong></p>"
        remarks = "".join(f"<li>{html.escape(remark)}</li>" for remark in self._remarks(None))
        rows = [_html_row("th", ["parameter", *(column.title for column in _COLUMNS)])]
        for heading, members in self._blocks(None):
            span = len(_COLUMNS) + 1
            cell = f'<th colspan="{span}" style="text-align: left">{html.escape(heading)}</th>'
            rows.append(f"<tr>{cell}</tr>")
            for row in members:
                cells = _cells(row) if any(_cells(row)) else [_why_empty(row)]
                rows.append(_html_row("td", [_name(row), *cells]))
        return f"{title}<ul>{remarks}</ul><table>{''.join(rows)}</table>"

    def plot(self, step: int | None = None) -> Figure:
        """Draw the figures of each parameter in a step, and how large steps were in all of them."""
        from myoptim.lab import plots

        rows = self.at(step)
        several = len(self.steps) > 1
        height = 1.4 + 0.26 * max(len(rows), 4)
        figure = plots.new_figure(self._title(rows), 3 + several, panel_size=(2.9, height))
        sizes, parts, losses, *courses = figure.axes
        places = range(len(rows))
        ratios = [row.ratio or math.nan for row in rows]
        sizes.plot(ratios, places, "o", color=plots.COLOURS["Nesterov"])
        sizes.set_xscale("log")
        sizes.axvline(LARGE_STEP, color="#999999", linewidth=0.8, linestyle="--")
        sizes.set_title("step / parameter", fontsize="medium")
        _draw_parts(parts, rows)
        marks = (("held back by ε", "D", "Adam"), ("lost in rounding", "X", "AdamW"))
        for (label, marker, colour), figures in zip(
            marks, ([row.held for row in rows], [row.lost for row in rows]), strict=True
        ):
            values = [math.nan if value is None else value for value in figures]
            losses.plot(values, places, marker, label=label, color=plots.COLOURS[colour])
        losses.set_xlim(min(-0.05, losses.get_xlim()[0]), 1.05)
        losses.set_title("what is held back or lost", fontsize="medium")
        for axes in (sizes, parts, losses):
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_yticks(places, [""] * len(rows))
            axes.grid(alpha=0.25)
        sizes.set_yticks(places, [_name(row).strip() for row in rows], fontsize="small")
        for axes in (parts, losses):
            axes.legend(
                frameon=False,
                fontsize="small",
                loc="upper center",
                ncols=3,
                bbox_to_anchor=(0.5, -0.12 * 4.4 / height),
            )
        for axes in courses:
            self._draw_courses(axes)
        return figure

    def _draw_courses(self, axes: Axes) -> None:
        """How large the steps of each parameter were; a colour for each group."""
        from myoptim.lab import plots

        colours = (*plots.COLOURS.values(), *plots.FURTHER_COLOURS)[1:]
        labelled: set[int] = set()
        courses: dict[str | None, list[Row]] = {}
        for row in (row for rows in self.rows.values() for row in rows):
            courses.setdefault(row.param, []).append(row)
        for course in courses.values():
            group = course[0].group
            axes.plot(
                [row.step for row in course],
                [row.ratio or math.nan for row in course],
                color=colours[group % len(colours)],
                linewidth=1,
                marker=".",
                label=None if group in labelled else f"group {group}",
            )
            labelled.add(group)
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_title("step / parameter, by step", fontsize="medium")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize="small")


def _draw_parts(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars that are put together of the parts of each step; what is negative goes to the left."""
    from myoptim.lab import plots

    ends = {side: [0.0] * len(rows) for side in (True, False)}
    for part, like in zip(PARTS, ("Nesterov", "Momentum", "Adagrad"), strict=True):
        shares = [row.shares[part] or 0.0 for row in rows]
        begin = [ends[share >= 0][i] for i, share in enumerate(shares)]
        axes.barh(range(len(rows)), shares, left=begin, label=part, color=plots.COLOURS[like])
        for i, share in enumerate(shares):
            ends[share >= 0][i] += share
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_title("parts of the step", fontsize="medium")


# ----------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class _Column:
    """A figure in a table: its heading in two lines, and how a row shows it."""

    heading: tuple[str, str]
    cell: Callable[[Row], str]

    @property
    def title(self) -> str:
        """The heading in one line."""
        return " ".join(self.heading).strip().replace("/ ", "/")


def _scientific(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _percent(value: float | None) -> str:
    if value is None:
        return ""
    percents = 100 * value
    if not percents or abs(percents) >= 99.95:
        return f"{percents:.0f} %"
    return f"{percents:.1f} %".replace("-0.0 %", "0.0 %")


_COLUMNS = (
    _Column(("step/", "param"), lambda row: _scientific(row.ratio)),
    _Column(("", "gradient"), lambda row: _percent(row.shares["gradient"])),
    _Column(("", "memory"), lambda row: _percent(row.shares["memory"])),
    _Column(("", "decay"), lambda row: _percent(row.shares["decay"])),
    _Column(("held", "by ε"), lambda row: _percent(row.held)),
    _Column(("lost in", "rounding"), lambda row: _percent(row.lost)),
    _Column(("effective", "lr"), lambda row: _scientific(row.effective_lr)),
)
_LEAST_NAME = 10
_LEAST_CELL = 7


def _column_width(column: _Column) -> int:
    return max(*map(len, column.heading), _LEAST_CELL) + 2


def _heading(room: int, line: int) -> str:
    first = ("", "parameter")[line].ljust(room)
    cells = [column.heading[line].rjust(_column_width(column)) for column in _COLUMNS]
    return (first + "".join(cells)).rstrip()


def _name(row: Row) -> str:
    return "  together" if row.param is None else f"  {row.param}"


def _cells(row: Row) -> list[str]:
    return [column.cell(row) for column in _COLUMNS]


def _in_columns(row: Row, room: int) -> list[str]:
    name = _name(row)
    cells = [
        f" {cell}".rjust(_column_width(column))
        for column, cell in zip(_COLUMNS, _cells(row), strict=True)
    ]
    figures = "".join(cells) if any(_cells(row)) else f"  {_why_empty(row)}"
    if len(name) > room:
        return [name, (" " * room + figures).rstrip()]
    return [(name.ljust(room) + figures).rstrip()]


def _in_words(row: Row, width: int) -> list[str]:
    figures = [
        f"{column.title} {cell}" for column, cell in zip(_COLUMNS, _cells(row), strict=True) if cell
    ]
    said = ", ".join(figures).replace(" ", "\u00a0").replace(",\u00a0", ", ") or _why_empty(row)
    lines = textwrap.wrap(said, width, initial_indent="    ", subsequent_indent="    ")
    return [_name(row), *(line.replace("\u00a0", " ") for line in lines)]


def _why_empty(row: Row) -> str:
    return "no gradient" if row.tally is None else f"gradient {row.gradient}"


def _html_row(kind: str, cells: Sequence[str]) -> str:
    first, *others = map(html.escape, cells)
    right = "".join(f'<{kind} style="text-align: right">{cell}</{kind}>' for cell in others)
    return f'<tr><{kind} style="text-align: left">{first}</{kind}>{right}</tr>'


def _setting(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _sum(rows: Sequence[Row]) -> Row:
    """The row of a group."""
    tallies = [row.tally for row in rows if row.tally is not None]
    dtypes = dict.fromkeys(row.dtype for row in rows)
    return Row(
        step=rows[0].step,
        group=rows[0].group,
        param=None,
        shape=(),
        dtype=", ".join(dtypes),
        trained=any(row.trained for row in rows),
        tally=sum(tallies, Tally()) if tallies else None,
        still=tuple(dict.fromkeys(name for row in rows for name in row.still)),
    )


# ----------------------------------------------------------------------------------- in words

_NAMED = 3  # so many parameters are named, of more how many there are


def _span(values: Sequence[float | None]) -> str:
    """Of some shares the least and the most."""
    known = [value for value in values if value is not None]
    least, most = _percent(min(known)), _percent(max(known))
    return least if least == most else f"{least} to {most}"


def _about(
    rows: Sequence[Row],
    kind: str,
    holds: Callable[[Row], bool],
    says: Callable[[str, Sequence[Row]], str],
) -> Finding | None:
    found = [row for row in rows if holds(row)]
    if not found:
        return None
    names = tuple(str(row.param) for row in found)
    return Finding(kind, names, says(some(names, _NAMED), found))


def _at_least(value: float | None, least: float) -> bool:
    return value is not None and value >= least


_QUESTIONS: tuple[tuple[str, Callable[[Row], bool], Callable[[str, Sequence[Row]], str]], ...] = (
    (
        "frozen",
        lambda row: row.tally is None and not row.trained,
        lambda names, rows: f"frozen, with requires_grad=False: {names}",
    ),
    (
        "no gradient",
        lambda row: row.tally is None and row.trained,
        lambda names, rows: f"no gradient, since the loss does not depend on it: {names}",
    ),
    (
        "zero gradient",
        lambda row: row.gradient == "zero",
        lambda names, rows: f"the gradient is zero in every element: {names}",
    ),
    (
        "large step",
        lambda row: len(row.shape) > 1 and _at_least(row.ratio, LARGE_STEP),
        lambda names, rows: (
            f"steps of more than {_percent(LARGE_STEP)} of the parameter, which a lower lr would "
            f"make smaller: {names}"
        ),
    ),
    (
        "lost",
        lambda row: _at_least(row.lost, MOST),
        lambda names, rows: (
            f"weights that do not move: {_span([row.lost for row in rows])} of the elements were "
            f"to change, and rounding to {rows[0].dtype} puts them back: {names}"
        ),
    ),
    (
        "held back",
        lambda row: _at_least(row.held, MOST),
        lambda names, rows: (
            f"eps makes the step smaller by {_span([row.held for row in rows])}, because the "
            f"gradients are small beside it: {names}"
        ),
    ),
    (
        "decay",
        lambda row: _at_least(row.shares["decay"], MOST),
        lambda names, rows: (
            f"{_span([row.shares['decay'] for row in rows])} of the step is weight decay: {names}"
        ),
    ),
    (
        "counter",
        lambda row: bool(row.still),
        lambda names, rows: (
            f"{', '.join(dict.fromkeys(name for row in rows for name in row.still))} in the state "
            f"stands still, because its type has no room for the next number: {names}"
        ),
    ),
    (
        "state",
        lambda row: any(share >= MOST for share in row.stuck.values()),
        lambda names, rows: (
            f"{_stuck_buffers(rows)} in the state hardly moves, because rounding puts most "
            f"elements back: {names}"
        ),
    ),
)


def _stuck_buffers(rows: Sequence[Row]) -> str:
    return ", ".join(
        dict.fromkeys(name for row in rows for name, share in row.stuck.items() if share >= MOST)
    )


def _not_finite(rows: Sequence[Row]) -> Finding:
    names = tuple(str(row.param) for row in rows if not row.is_finite)
    text = f"NaN or infinity, first seen in step {rows[0].step}: {some(names, _NAMED)}"
    return Finding("not finite", names, text)


def _swapped(rows: Sequence[Row], settings: Sequence[dict[str, Any]]) -> Finding | None:
    """Decay on a group of biases and norms, and none on one of matrices."""
    decaying = {i for i, group in enumerate(settings) if any(group.get(name) for name in DECAY)}
    matrices = {row.group for row in rows if len(row.shape) > 1}
    vectors = {row.group for row in rows} - matrices
    wrong = sorted(vectors & decaying)
    if not wrong or not matrices - decaying:
        return None
    names = tuple(str(row.param) for row in rows if row.group in wrong)
    groups = ", ".join(map(str, wrong))
    return Finding(
        "decay in the wrong group",
        names,
        f"weight decay acts on vectors (group {groups}) and not on the matrices of group "
        f"{', '.join(map(str, sorted(matrices - decaying)))}: {some(names, _NAMED)}",
    )
