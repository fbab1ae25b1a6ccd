"""`myoptim bench`: speed and memory beside torch.optim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoptim.cli import common

if TYPE_CHECKING:
    from myoptim.lab.bench import Report

#: Headings and rows.
Table = tuple[Sequence[str], list[list[str]]]


def bench(
    optimizers: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Names, as Adam. By default all that torch has too."),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Names: scalars, mlp, convnet, transformer, large, many, and 160MB, whose memory "
            "alone is measured. By default all.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="How many threads torch uses on a CPU.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="The most steps to time of each way to run an optimizer.")
    ] = 1000,
    seconds: Annotated[
        float, typer.Option(help="For each size and optimizer; at least five steps are made.")
    ] = 2.0,
    fused: Annotated[
        bool,
        typer.Option(
            "--fused/--no-fused",
            help="Time ours fused too; compiling it takes up to half a minute per optimizer.",
        ),
    ] = True,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory alone.")] = False,
    markdown: Annotated[
        Path | None, common.output_file("--markdown", "Write the tables for a page.")
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Time a step of each optimizer on models of several sizes, beside torch.optim.

    Ours and torch's, in every mode, make a step in turn in one process. Prints the median of each
    and the ratio of ours to torch's (below 1: ours is faster): default to default, and ours fused
    to torch's best, which is its fused kernel or, where it has none, the better of its default and
    foreach. Also measures the memory that a default step takes beyond parameters, gradients and
    state. Muon gets the matrices of a size, SparseAdam sparse gradients, LBFGS a closure.

    Example: myoptim bench --optimizers Adam,SGD --sizes mlp,large

    Example: myoptim bench --memory --sizes 160MB
    """
    from myoptim.lab.bench import bench as run_bench

    report = run_bench(
        common.parse_names(optimizers),
        common.parse_names(sizes),
        device=device,
        threads=threads,
        repeats=repeats,
        seconds=seconds,
        fused=fused,
        times=not memory,
        progress=common.progress("measuring"),
    )
    if markdown:
        markdown.write_text(_page(report), encoding="utf-8")
    if as_json:
        common.print_json(report.as_dict())
        return
    common.print_table(*report.table(), keys=2)
    common.say("\n".join(report.legend()))


def _page(report: Report) -> str:
    """All of it in Markdown: the sizes, ratios with a row for each size, then every figure."""
    from myoptim.lab.bench import AGAINST, megabytes

    parts = ["\n".join(f"- {line}" for line in report.legend()), _markdown(_sizes(report))]
    for kind in report.summaries():
        ratios = {(t.size, t.optimizer): t.ratio(kind) for t in report.timings}
        parts += [f"**Time, {AGAINST[kind]}**", _markdown(_pivot(ratios))]
    memory = {
        (m.size, m.optimizer): f"{megabytes(m.ours)} / {megabytes(m.torch)}" for m in report.memory
    }
    parts += ["**Memory in MB, default, ours / torch's**", _markdown(_pivot(memory))]
    if report.timings:
        parts += ["**Every figure**", _markdown(report.table())]
    return "\n\n".join(parts) + "\n"


def _sizes(report: Report) -> Table:
    from myoptim.lab.workloads import SIZES

    measured = {name: SIZES[name] for name in dict.fromkeys(m.size for m in report.memory)}
    rows = [
        [name, size.title, f"{len(size.shapes):,}", f"{size.elements:,}"]
        for name, size in measured.items()
    ]
    return ["size", "what", "tensors", "elements"], rows


def _pivot(cells: dict[tuple[str, str], str]) -> Table:
    """A row for each size, a column for each optimizer; empty where it takes nothing of it."""
    sizes = dict.fromkeys(size for size, _ in cells)
    optimizers = dict.fromkeys(optimizer for _, optimizer in cells)
    rows = [[size, *(cells.get((size, name), "") for name in optimizers)] for size in sizes]
    return ["size", *optimizers], rows


def _markdown(table: Table) -> str:
    headings, rows = table
    lines = [headings, [":--"] + ["--:"] * (len(headings) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
