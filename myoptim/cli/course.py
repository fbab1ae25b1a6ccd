"""`myoptim course`: make a course, its Gradescope autograder, and an audit of its tests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from myoptim.cli import common
from myoptim.cli.grade import Isolation

if TYPE_CHECKING:
    from myoptim.course.audit import Scope
    from myoptim.course.settings import Settings

app = typer.Typer(
    help="Make a course on optimizers: handout, skeletons, tests, autograder.",
    epilog="Example: myoptim course new mycourse --optimizers sgd,adam",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="The course's folder.")]


@app.command()
def new(
    folder: Folder,
    optimizers: Annotated[
        str, typer.Option(help="What students are to write, separated by commas.")
    ] = "sgd,adam",
    own: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Optimizers of your own; a copy goes along."),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Write a new course: course.toml, a handout, tests, and a skeleton per optimizer.

    Example: myoptim course new mycourse --optimizers sgd,adam
    """
    from myoptim.course import kit
    from myoptim.course.own import register
    from myoptim.course.settings import check_optimizer

    if own:
        register(own)
    names = [check_optimizer(name.strip()) for name in optimizers.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("name one optimizer or more, as in --optimizers sgd,adam")
    written = kit.new(folder, tuple(dict.fromkeys(names)), own)
    if as_json:
        common.print_json({"files": [str(path) for path in written]})
    else:
        typer.echo("\n".join(str(path) for path in written))


@app.command()
def gradescope(
    folder: Folder,
    output: Annotated[
        Path | None,
        common.output_file("--output", "The zip to write; by default autograder.zip in FOLDER."),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Build the autograder that Gradescope asks for, as a zip.

    Example: myoptim course gradescope mycourse
    """
    from myoptim.course import kit

    path = output or folder / "autograder.zip"
    kit.gradescope(folder, path)
    if as_json:
        common.print_json({"file": str(path)})
    else:
        typer.echo(f"wrote {path}: upload it under Configure Autograder")


@app.command()
def audit(
    folder: Annotated[
        Path | None, typer.Argument(help="The course's folder; with --tests it may be left out.")
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Audit these tests for pytest, not the course's own."),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which optimizer the tests are for.")
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(
            metavar="MODULE:NAME[=EXPRESSION]",
            help="Where the tests import the class from, if they do not take it as fixture "
            "optimizer_class. EXPRESSION may make something else of optimizer_class.",
        ),
    ] = "",
    mistake: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Audit this mistake alone. May be repeated."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="With --tests: leave this mistake out. May be repeated."),
    ] = None,
    takes: Annotated[
        str, typer.Option(metavar="NAMES", help="With --tests: all that the constructor takes.")
    ] = "",
    criteria: Annotated[
        str,
        typer.Option(metavar="NAMES", help="With --tests: all that is asked for beside the rule."),
    ] = "",
    edits: Annotated[
        int, typer.Option(min=0, help="With --tests: how many edits beside the mistakes.")
    ] = 30,
    isolation: Isolation = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Processes at a time; by default one per core.")
    ] = os.cpu_count() or 1,
    as_json: common.Json = False,
) -> None:
    """Show what tests let through: a course's own, or anybody's file for pytest.

    For a course, each mistake is handed in as a submission; dialects that it accepts should pass.
    With --tests, a file of tests is run on each mistake, and on right solutions.

    Example: myoptim course audit --tests test_adamw.py --optimizer AdamW
    """
    from myoptim.course import kit
    from myoptim.course.settings import Settings, check_optimizer

    if folder is None and tests is None:
        raise typer.BadParameter("name a course's folder, or a file of tests with --tests")
    settings = kit.settings_of(folder) if folder else Settings()
    if tests is None:
        _audit_course(settings, mistake or (), jobs, as_json)
        return
    if mistake or optimizer is None:
        raise typer.BadParameter("--tests needs --optimizer NAME, and goes without --mistake")
    from myoptim.course.audit import Scope

    scope = Scope(_names(takes), _names(criteria), (*(without or ()), *settings.accept), edits)
    _audit_tests(
        tests, check_optimizer(optimizer), scope, adapter, settings, isolation, jobs, as_json
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _audit_tests(
    tests: Path,
    optimizer: str,
    scope: Scope,
    adapter: str,
    settings: Settings,
    isolation: str | None,
    jobs: int,
    as_json: bool,
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from myoptim.course.audit import audit_tests
    from myoptim.course.grade import choose_way

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("auditing", total=None)
        report = audit_tests(
            tests,
            optimizer,
            scope=scope,
            adapter=adapter,
            limits=settings.limits,
            way=choose_way(isolation),
            jobs=jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    data = report.as_data()
    if as_json:
        common.print_json(data)
    else:
        for one in data["surviving"]:
            typer.echo(f"survives: {one['id']}: {one['what']}")
        for one in data["right_failing"]:
            typer.echo(f"right, but fails: {one['id']}: {one['what']} ({one['failed']})")
        typer.echo(f"{data['killed']} of {data['mutants']} wrong ones killed")
    if report.surviving or report.right_failing:
        raise typer.Exit(common.NEGATIVE)


def _audit_course(settings: Settings, mistakes: Iterable[str], jobs: int, as_json: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from myoptim.course import kit
    from myoptim.course.mistakes import find

    ids = [find(name).id for name in mistakes]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("auditing", total=None)
        audited = kit.audit(
            settings,
            ids,
            jobs,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    wrong = [one for one in audited if not one.right]
    if as_json:
        rows = [
            {
                "mistake": one.mistake,
                "optimizer": one.optimizer,
                "should_pass": one.should_pass,
                "passed": one.verdict.passed,
                "diagnosis": one.verdict.diagnosis,
            }
            for one in audited
        ]
        common.print_json({"audited": rows, "wrong": len(wrong)})
    else:
        for one in audited:
            verdict = "passes" if one.verdict.passed else "fails"
            named = ", ".join(one.verdict.diagnosis)
            remark = "" if one.right else "  <- should be otherwise"
            typer.echo(f"{one.optimizer:9} {one.mistake:26} {verdict}  {named}{remark}")
        typer.echo(f"{len(audited) - len(wrong)} of {len(audited)} as they should be")
    if wrong:
        raise typer.Exit(common.NEGATIVE)
