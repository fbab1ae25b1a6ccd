"""Grade one submission the way Gradescope asks for it.

Gradescope runs `run_autograder`, which must leave a `results.json`: a list of tests, each with a
name, a score, a maximum and an output that the student sees. Its format is described in
Gradescope's autograder specifications. The files of the zip are built by
`myoptim.course.kit.gradescope`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from myoptim.course import sandbox
from myoptim.course.check import FAILED, PASSED, Result, Verdict, explanation
from myoptim.course.grade import Graded, grade
from myoptim.course.isolation import WAYS
from myoptim.course.settings import CRITERIA, Settings, read_settings
from myoptim.lab.errors import UsageError


def results(submission: Path, settings: Settings) -> dict[str, Any]:
    """The results of a student's folder, every optimizer of the course with equal weight."""
    try:
        graded = grade(submission, None, settings, jobs=1)
    except UsageError as error:
        graded, output = Graded(), f"{error}"
    else:
        notes = [note for verdict in graded.verdicts for note in verdict.notes]
        output = "\n".join(notes + [f"{one.file}: {one.reason}" for one in graded.skipped])
    verdicts = graded.verdicts
    tests: list[dict[str, Any]] = []
    for optimizer in settings.optimizers:
        of_this = [verdict for verdict in verdicts if verdict.optimizer == optimizer]
        if of_this:
            # The best of several files of one name: students leave old versions lying about.
            best = max(of_this, key=lambda verdict: verdict.score)
            tests += [_test(best, result) for result in best.results]
        else:
            tests.append(_absent(optimizer, settings))
    return {"output": output, "stdout_visibility": "hidden", "tests": tests}


def _test(verdict: Verdict, result: Result) -> dict[str, Any]:
    lines = explanation(result, verdict.settings.hints)
    if result.status not in (PASSED, FAILED):
        lines = [result.status, *lines]
    points = verdict.points(result)
    most = verdict.settings.points[result.criterion]
    return {
        "name": f"{verdict.optimizer}: {CRITERIA[result.criterion]}",
        "score": points,
        "max_score": most,
        "status": "passed" if points == most and result.status != FAILED else "failed",
        "output": "\n".join(lines),
    }


def _absent(optimizer: str, settings: Settings) -> dict[str, Any]:
    return {
        "name": optimizer,
        "score": 0.0,
        "max_score": sum(settings.points.values()),
        "status": "failed",
        "output": f"no file has a class {optimizer}",
    }


def main() -> None:
    """Command line of `run_autograder`: course.toml, submission folder, results.json."""
    course, submission, output = map(Path, sys.argv[1:])
    way = sandbox.best_way()
    # Students do not see this. A submission is alone in its container, whatever the way.
    print(f"isolation: {way or 'none'}: {WAYS.get(way, 'nothing beyond the container')}")
    output.write_text(json.dumps(results(submission, read_settings(course))))


if __name__ == "__main__":
    main()
