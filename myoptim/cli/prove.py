"""`myoptim prove`: whether the formulas beside the statements of a rule are true."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from myoptim.cli import common
from myoptim.lab.errors import UsageError

if TYPE_CHECKING:
    from myoptim.lab.proof import Proofs


def prove(
    rules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RULE]...",
            help="The name of an optimizer, as Adam; module:function; file.py:function. "
            "By default the rules of all our optimizers and dialects.",
        ),
    ] = None,
    as_json: common.Json = False,
) -> None:
    """Prove by algebra that the formula beside each statement of a rule says what it does.

    A rule is a function of param, grad and what else an update needs. How a formula comment is
    written is told in myoptim.lab.formulas. Exits with 0 if all are proven, 1 if one is wrong.

    Example: myoptim prove Adam

    Example: myoptim prove my_rule.py:lion --json
    """
    outcomes = [_outcome(rule) for rule in _rules(rules)]
    proven = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    wrong = [str(outcome) for outcome in outcomes if isinstance(outcome, ValueError)]
    beyond = [str(outcome) for outcome in outcomes if isinstance(outcome, NotImplementedError)]
    if beyond and rules:
        raise UsageError(beyond[0])
    if as_json:
        shown = [proofs.as_dict() for proofs in proven]
        common.print_json({"wrong": wrong, "not proven": beyond, "rules": shown})
    else:
        for proofs in proven:
            _print(proofs)
        for message in wrong:
            typer.echo(f"Wrong: {message}")
        for message in beyond:
            typer.echo(f"Not proven: {message}")
    if wrong:
        raise typer.Exit(common.NEGATIVE)


def _outcome(rule: Callable[..., Any]) -> Proofs | ValueError | NotImplementedError:
    """The proofs of a rule, or which formula is wrong, or why the rule is beyond them."""
    from myoptim.lab.proof import WrongFormula, prove

    try:
        return prove(rule)
    except WrongFormula as error:
        return error
    except (ValueError, AttributeError, TypeError, OSError) as error:
        return NotImplementedError(f"{rule.__name__}: {error}")


def _rules(names: list[str] | None) -> list[Callable[..., Any]]:
    """The functions that the names stand for, each once."""
    import myoptim
    from myoptim.dialects import DIALECTS
    from myoptim.lab.proof import with_formulas
    from myoptim.lab.resolve import load_object, resolve

    if not names:
        ours = [*myoptim.OPTIMIZERS.values(), *DIALECTS.values()]
        return list(dict.fromkeys(rule for cls in ours for rule in with_formulas(cls)))
    found: list[Any] = []
    for name in names:
        subject = load_object(name) if ":" in name else resolve(name)
        rules = with_formulas(subject) if callable(subject) else []
        if not rules:
            raise UsageError(f"{name} has no rule: a function of param, grad and more")
        found += rules
    return list(dict.fromkeys(found))


def _print(proofs: Proofs) -> None:
    typer.echo(f"{proofs}.")
    lines: dict[int, Any] = {}
    for proof in proofs.proofs:
        lines.setdefault(proof.line, []).append(proof)
    for _, shown in sorted(lines.items()):
        typer.echo(f"  {shown[0].code}")
        typer.echo(f"      {shown[0].formula.text}")
        if len(shown) < len(proofs.cases):
            typer.echo(f"      proven where it is run: {len(shown)} of {len(proofs.cases)} ways")
