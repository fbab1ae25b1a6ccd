"""What the commands share: exit codes, wrong use, JSON, `--set key=value`, files to write."""

from __future__ import annotations

import ast
import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from myoptim.lab.errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

NEGATIVE = 1
"""Exit code of a negative finding: two optimizers differ, a check fails."""
WRONG_USE = 2
"""Exit code of wrong use: bad arguments, unreadable files, user code that raises."""
BROKEN_PIPE = 128 + 13
"""Exit code where the reader of our output went away, as a shell reports SIGPIPE."""


DTYPES = ("float64", "float32", "bfloat16", "float16", "complex128", "complex64")


class Group(TyperGroup):
    """The commands, with their errors turned into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # typer has its own copy of click's Context
        """Run the command that was asked for; wrong use ends without a traceback."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except UsageError as error:
            fail(str(error))
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in ("matplotlib", "rich"):
                raise
            fail(f"this needs {missing}: pip install 'myoptim[lab]'")
        except BrokenPipeError:
            # Python flushes once more when it exits: give it somewhere to write.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:  # a full disk, a file that may not be written
            fail(str(error))


def fail(message: str) -> NoReturn:
    """End the command as wrong use, with a message on standard error."""
    typer.echo(f"myoptim: {message}", err=True)
    raise typer.Exit(WRONG_USE) from None


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output.

    JSON has no numbers for NaN and the infinities: they are written as the strings "NaN",
    "Infinity" and "-Infinity", which `float()` reads in Python and `Number()` in JavaScript.
    """
    typer.echo(json.dumps(_finite(value), allow_nan=False, indent=2))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def parse_settings(pairs: Iterable[str] | None) -> dict[str, Any]:
    """Read `key=value` pairs, the values as Python literals.

    >>> parse_settings(["momentum=0.9", "betas=(0.9, 0.99)", "nesterov=True"])
    {'momentum': 0.9, 'betas': (0.9, 0.99), 'nesterov': True}

    Raises:
        UsageError: a pair has no `=`, or its value is not a literal.
    """
    return dict(_parse_pair(pair) for pair in pairs or ())


def _parse_pair(pair: str) -> tuple[str, Any]:
    key, equals, literal = pair.partition("=")
    if not equals or not key.strip().isidentifier():
        raise UsageError(f"a setting is written key=value, as in momentum=0.9; got {pair!r}")
    try:
        return key.strip(), ast.literal_eval(literal.strip())
    except (ValueError, SyntaxError):
        raise UsageError(
            f"the value of {key.strip()} must be a Python literal, such as 0.9, True, None, "
            f"(0.9, 0.999) or 'text'; got {literal!r}"
        ) from None


def parse_names(text: str | None) -> list[str] | None:
    """Read names with commas between them, other than in brackets; None where there are none.

    >>> parse_names("Adam, mine.py:Adam, optax:adam(1e-3, b1=0.95)")
    ['Adam', 'mine.py:Adam', 'optax:adam(1e-3, b1=0.95)']
    """
    return [name.strip() for name in re.split(r",(?![^(]*\))", text)] if text else None


def parse_dtype(name: str | None) -> torch.dtype | None:
    """The dtype of that name, as `float32`.

    Raises:
        UsageError: there is none for parameters.
    """
    import torch

    if name is not None and name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return getattr(torch, name) if name else None


def terminal_width() -> int | None:
    """The columns of the terminal that is written to; None where the output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(text: str, width: int | None = None, indent: str = "") -> str:
    """Text in lines that fit, broken between words only; what was indented stays so.

    Args:
        text: one line or several.
        width: by default that of the terminal; without one lines stay as they are.
        indent: what the further lines of a broken one get more.
    """
    width = width or terminal_width()
    if width is None:
        return text
    return "\n".join(_fitted_line(line, width, indent) for line in text.split("\n"))


def _fitted_line(line: str, width: int, indent: str) -> str:
    before = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line.lstrip(),
        width,
        initial_indent=before,
        subsequent_indent=before + indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def say(text: str, indent: str = "") -> None:
    """Print text that fits the terminal."""
    typer.echo(fitted(text, indent=indent))


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    keys: int = 1,
    width: int | None = None,
) -> None:
    """Print cells in columns; as wide as they need where the output is not a terminal.

    Where they do not fit beside one another, the columns that are left over follow in a further
    table, which begins with the same keys. Cells are broken between words at most.

    Args:
        headings: of the columns.
        rows: the cells.
        keys: how many columns at the left say what a row is about.
        width: by default that of the terminal.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    bands = _bands(headings, rows, keys, width or terminal_width() or 10_000)
    widest = max(_wide([*columns.values()]) for columns in bands)  # more where a number needs it
    console = Console(width=widest, markup=False, highlight=False)
    for columns in bands:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, wide in columns.items():
            table.add_column(headings[place], justify="right", width=wide, overflow="fold")
        for row in rows:
            table.add_row(*(row[place] for place in columns))
        console.print(table)


def _bands(
    headings: Sequence[str], rows: Sequence[Sequence[str]], keys: int, width: int
) -> list[dict[int, int]]:
    """Which columns stand beside one another, and how wide each is.

    A column is as wide as its heading if all of them fit so, else as its cells and the longest
    word of the heading, and no wider than a line.
    """
    cells = [[row[place] for row in rows] for place in range(len(headings))]
    whole = [max(map(len, [heading, *of])) for heading, of in zip(headings, cells, strict=True)]
    first = {place: whole[place] for place in range(keys)}
    if _wide(whole) <= width:
        return [dict(enumerate(whole))]
    bands: list[dict[int, int]] = [dict(first)]
    for place in range(keys, len(headings)):
        least = max(map(len, [*headings[place].split(), *" ".join(cells[place]).split(), ""]))
        need = max(map(len, [*headings[place].split(), *cells[place]]))
        room = width - _wide([*first.values(), 0])
        need = max(least, min(need, room))
        if len(bands[-1]) > keys and _wide([*bands[-1].values(), need]) > width:
            bands.append(dict(first))
        bands[-1][place] = need
    return bands


def _wide(columns: Sequence[int]) -> int:
    """How wide a table of such columns is: a sign at each end, three between two columns."""
    return sum(columns) + 3 * (len(columns) - 1) + 2


def progress(description: str) -> Callable[[range], Iterable[int]]:
    """What wraps a range of steps to show a progress bar on standard error, if it is a terminal."""
    from rich.console import Console
    from rich.progress import track

    quiet = not sys.stderr.isatty()
    console = Console(stderr=True)
    return lambda steps: track(steps, description, console=console, transient=True, disable=quiet)


def _writable(path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before the work is done, not after."""
    if path and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(path.parent)!r}.")
    return path


def _picture(path: Path | None) -> Path | None:
    if path:
        from matplotlib.figure import Figure

        known = Figure().canvas.get_supported_filetypes()
        if path.suffix.lower().lstrip(".") not in known:
            raise typer.BadParameter(
                f"pictures are written as {', '.join(sorted(known))}; got {path.name!r}."
            )
    return _writable(path)


def output_file(flag: str, text: str) -> Any:
    """A Typer option for a file to write, whose folder must exist."""
    return typer.Option(
        flag, metavar="FILE", help=text, dir_okay=False, writable=True, callback=_writable
    )


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A hyper-parameter, its value a Python literal: --set 'betas=(0.9, 0.99)'. "
        "May be given several times.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Steps = Annotated[int | None, typer.Option(help="How many steps to make.")]


def parse_seed(given: str | int) -> int:
    """A seed that every generator takes, from the command line or a default."""
    if not str(given).isdecimal() or int(given) >= 2**64:
        raise typer.BadParameter(f"must be a whole number from 0 to 2**64 - 1; got {given}")
    return int(given)


Seed = Annotated[
    int,
    typer.Option(
        help="Seed of the data, the start and the random numbers.",
        metavar="<int>",
        parser=parse_seed,
    ),
]
Dtype = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"Of the parameters: {', '.join(DTYPES)}.")
]
Plot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a picture; the name's end says which kind: .png, .svg, .pdf.",
        dir_okay=False,
        callback=_picture,
    ),
]
