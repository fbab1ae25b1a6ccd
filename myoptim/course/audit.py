"""How good are tests of an optimizer? Run them on wrong classes, and on right ones.

Wrong ones are the mistakes of the catalogue and a sample of the edits that the diagnosis searches.
Those that no probe tells from the reference are left out: no test could. Whoever fails one has
killed it. Tests run in a process of their own, forked for every class (`audit_child.py`), as
confined as a submission.
"""

import contextlib
import inspect
import json
import random
import secrets
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from myoptim.course import sandbox
from myoptim.course.check import FACTS
from myoptim.course.diagnosis import close
from myoptim.course.edits import USUAL
from myoptim.course.exercise import Probe, Record, accepted, exercise, fits
from myoptim.course.intake import read
from myoptim.course.mistakes import CATALOGUE, build, find, forms, load, other_ways, source
from myoptim.course.mistakes import edited as with_edits
from myoptim.course.probes import HYPER_PARAMETERS, bank
from myoptim.course.sandbox import Limits
from myoptim.course.search import Rule, as_source
from myoptim.course.settings import CRITERIA, STYLES
from myoptim.lab.errors import UsageError, unknown

CHILD = Path(__file__).with_name("audit_child.py")
SEED = 0
"""Of the probes that tell whether anybody could kill a mutant, and of the sample of edits."""
NO_TESTS = (2, 3, 4, 5)
"""Exit codes of pytest that say that no test was run to its end."""


@dataclass(frozen=True)
class Class:
    """A class that tests are run on.

    Attributes:
        id: the mistake's; or that of an edit, or of a right way to write it.
        what: what such code does, in words.
        source: its text.
    """

    id: str
    what: str
    source: str


@dataclass(frozen=True)
class Scope:
    """What an assignment asks for.

    Attributes:
        takes: hyper-parameters that the constructor has; none stands for all.
        criteria: keys of `settings.CRITERIA` that are asked for beside the rule; none stands for
            all.
        without: ids of mistakes that are left out.
        edits: how many searched edits are added to the catalogue's mistakes.
    """

    takes: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    edits: int = 30


@dataclass
class Report:
    """What tests let through.

    Attributes:
        mutants: the wrong classes they were run on.
        surviving: those that passed.
        right_failing: the right ones that failed, each with the first test that it failed.
    """

    mutants: list[Class] = field(default_factory=list[Class])
    surviving: list[Class] = field(default_factory=list[Class])
    right_failing: list[tuple[Class, str]] = field(default_factory=list[tuple[Class, str]])

    def as_data(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "mutants": len(self.mutants),
            "killed": len(self.mutants) - len(self.surviving),
            "surviving": [{"id": one.id, "what": one.what} for one in self.surviving],
            "right_failing": [
                {"id": one.id, "what": one.what, "failed": failed}
                for one, failed in self.right_failing
            ],
        }


def audit_tests(
    tests: Path,
    optimizer: str,
    *,
    scope: Scope,
    adapter: str = "",
    limits: Limits,
    way: str = "",
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Run a pytest file on every mutant in scope, and on right classes in several styles.

    Args:
        tests: the file. Python files beside it may be imported by it.
        adapter: how it gets the class if not as fixture `optimizer_class`: "MODULE:NAME", from
            where it imports it, or "MODULE:NAME=EXPRESSION" in terms of `optimizer_class`.
        way: of isolation, a key of `isolation.WAYS`, or "".

    Raises:
        UsageError: there is no pytest, no such file, no test in it, or it cannot be run at all.
    """
    if find_spec("pytest") is None:
        raise UsageError("audit --tests runs pytest, which is not installed: pip install pytest")
    try:
        text = read(tests).text
    except ValueError as error:
        raise UsageError(f"{tests}: {error}") from None
    report = Report(mutants=list(mutants(optimizer, scope)))
    right = list(right_ones(optimizer))
    classes = [*right, *report.mutants]
    job = {
        "tests": tests.name,
        "files": {**_texts_beside(tests), tests.name: text},
        "adapter": adapter,
        "optimizer": optimizer,
        "way": way,
        "uid": sandbox.spare_user() if way else None,
        **asdict(limits),
    }
    results: dict[str, dict[str, Any]] = {}

    def told(one: Class, result: dict[str, Any]) -> None:
        if one is right[0] and result["code"] in NO_TESTS:
            raise UsageError(f"{tests.name} cannot be run on a right solution: {result['failed']}")
        results[one.id] = result
        progress(len(results), len(classes))

    def run(share: Sequence[Class]) -> None:
        for one, result in _outcomes(job, share):
            told(one, result)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, [classes[start::jobs] for start in range(jobs)]))
    report.surviving = [one for one in report.mutants if results[one.id]["code"] == 0]
    report.right_failing = [
        (one, results[one.id]["failed"]) for one in right if results[one.id]["code"] != 0
    ]
    return report


def _texts_beside(tests: Path) -> dict[str, str]:
    """The Python files beside a file, those that can be read."""
    texts: dict[str, str] = {}
    for path in sorted(tests.parent.glob("*.py")):
        with contextlib.suppress(ValueError):
            texts[path.name] = read(path).text
    return texts


def _outcomes(
    job: dict[str, Any], classes: Sequence[Class]
) -> Iterator[tuple[Class, dict[str, Any]]]:
    """Each class in turn, with exit code and first failure of pytest."""
    if not classes:
        return
    by_id = {one.id: one for one in classes}
    marker = f"MYOPTIM_AUDIT={secrets.token_hex(16)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        job = job | {"folder": name, "classes": [vars(one) for one in classes]}
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "myoptim.course.audit_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=sandbox.environment(marker, folder) | {"PYTHONPATH": _package_folder()},
            start_new_session=True,
            cwd=folder,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process, process.stdin as stdin:
                stdin.write(json.dumps(job).encode())
                stdin.close()
                for line in process.stdout:
                    told = json.loads(line)
                    yield by_id[told["id"]], told
        finally:
            sandbox.kill_strays(marker)
    if process.returncode:
        raise RuntimeError(f"the tests' process ended with exit code {process.returncode}")


def _package_folder() -> str:
    return str(Path(__file__).parents[2])


# Mutants ------------------------------------------------------------------------------------------


def mutants(optimizer: str, scope: Scope) -> Iterator[Class]:
    """The wrong classes in scope that a probe tells from the reference.

    Raises:
        UsageError: the scope names what there is not.
    """
    probes = _Probes(optimizer, scope)
    left_out = {find(name).id for name in scope.without} | {"delegates", *STYLES}
    for mistake in CATALOGUE.values():
        if optimizer in mistake.optimizers and mistake.id not in left_out:
            text = next(filter(probes.tell, forms(mistake, optimizer)), None)
            if text is not None:
                yield Class(mistake.id, mistake.what, text)
    yield from _sampled_edits(optimizer, scope.edits, probes)


def _sampled_edits(optimizer: str, count: int, probes: "_Probes") -> Iterator[Class]:
    text = source(optimizer)
    rule = Rule.of(text, optimizer, load(text, optimizer))
    found = [(i, edit) for i, edit in enumerate(rule.edits()) if edit.rank <= USUAL]
    random.Random(SEED).shuffle(found)
    for index, edit in found:
        if not count:
            return
        wrong = as_source(text, optimizer, edit)
        if probes.tell(wrong):
            count -= 1
            yield Class(f"edit-{index}", f"{edit.words}: {edit.told_line}", wrong)


class _Probes:
    """The probes of a scope, with what the reference does in them."""

    def __init__(self, optimizer: str, scope: Scope) -> None:
        self.optimizer = optimizer
        for name in scope.takes:
            if name not in HYPER_PARAMETERS[optimizer]:
                raise unknown(f"hyper-parameter of {optimizer}", name, HYPER_PARAMETERS[optimizer])
        for name in scope.criteria:
            if name not in CRITERIA:
                raise unknown("criterion", name, CRITERIA)
        chosen = {"rule": None, **dict.fromkeys(scope.criteria or CRITERIA)}
        self.facts = {
            fact
            for name in chosen
            for (fact, _), id in FACTS.get(name, {}).items()
            if id not in STYLES
        }
        takes = scope.takes or HYPER_PARAMETERS[optimizer]
        right = load(source(optimizer), optimizer)
        names = accepted(right, HYPER_PARAMETERS[optimizer])["names"]
        self.names = {name: names[name] for name in takes}
        by_criterion = bank(optimizer, SEED).by_criterion
        probes = [probe for name in chosen for probe in by_criterion.get(name, ())]
        self.right = [
            (probe, _quietly(right, probe, self.names))
            for probe in probes
            if fits(probe, self.names)
        ]

    def tell(self, text: str) -> bool:
        """Whether a class runs, and does otherwise than the reference in some probe."""
        try:
            cls = build(text, self.optimizer)
        except Exception:  # an edit need not make sense
            return False
        first, right = self.right[0]
        own = _quietly(cls, first, self.names)
        if own.error is not None:
            return False
        return not self.alike(own, right) or any(
            not self.alike(_quietly(cls, probe, self.names), record)
            for probe, record in self.right[1:]
        )

    def alike(self, one: Record, other: Record) -> bool:
        """Whether two classes did the same in a probe, as far as is asked."""
        observed = [{name: r.facts.get(name) for name in self.facts} for r in (one, other)]
        if (one.error is None) != (other.error is None) or observed[0] != observed[1]:
            return False
        pairs = zip(_numbers(one), _numbers(other), strict=False)
        return len(one.steps) == len(other.steps) and all(close(a, b) for a, b in pairs)


def _quietly(cls: type[Any], probe: Probe, names: dict[str, Any]) -> Record:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return exercise(cls, probe, names)


def _numbers(record: Record) -> Iterable[float]:
    return (value for step in record.steps for values in step for value in values)


def right_ones(optimizer: str) -> Iterator[Class]:
    """Right classes in several styles."""
    text = source(optimizer)
    yield Class("right", "the reference", text)
    for number, edits in enumerate(other_ways(optimizer), 1):
        other = with_edits(text, edits)
        if other is not None:
            yield Class(f"right-{number}", f"written in another way: {edits[-1][1]}", other)
    for style in STYLES:
        for other in forms(CATALOGUE[style], optimizer):
            yield Class(f"right-{style}", CATALOGUE[style].what, other)
            break
    if inspect.isclass(getattr(torch.optim, optimizer, None)):
        theirs = f"import torch\n\n\nclass {optimizer}(torch.optim.{optimizer}):\n    pass\n"
        yield Class("right-torch", f"torch.optim.{optimizer} itself", theirs)
