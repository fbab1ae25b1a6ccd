import csv
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from course import wrong
from typer.testing import CliRunner

from myoptim.cli import app
from myoptim.course import gradescope, kit
from myoptim.course.check import check
from myoptim.course.mistakes import CATALOGUE, forms, source
from myoptim.course.mistakes import find as find_mistake
from myoptim.course.settings import CRITERIA, Settings, read_settings
from myoptim.lab.errors import UsageError


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


@pytest.fixture
def submissions(tmp_path):
    folder = tmp_path / "submissions"
    (folder / "anna").mkdir(parents=True)
    (folder / "anna" / "sgd.py").write_text(wrong.right("sgd_inplace"))
    text = wrong.right("sgd_inplace").replace("d_p = d_p.add(buf, alpha=mu)", "d_p = buf")
    (folder / "ben.py").write_text(text)
    (folder / "carl.py").write_text("class Sdg:\n    pass\n")
    return folder


def test_explain_lists_and_explains():
    code, listed = run("explain")
    assert code == 0
    groups = [block.splitlines() for block in listed.split("\n\n")]
    (adams,) = [rows for heading, *rows in groups if heading == "In Adam, AdamW"]
    kinds = {row.split()[0]: row.split()[1] for row in adams}
    assert (kinds["bc-linear"], kinds["eps-hat"]) == ("bug", "dialect")
    assert groups[-1][0] == "In all of them"
    assert sum(len(rows) for _, *rows in groups) == len(CATALOGUE)
    code, text = run("explain", "eps-inside-sqrt", "--json")
    told = json.loads(text)
    assert code == 0
    assert told["kind"] == "dialect"
    assert "(s + eps).sqrt()" in told["diff"]["Adagrad"]


def test_explain_names_the_nearest_of_a_wrong_id():
    result = CliRunner().invoke(app, ["explain", "no-bias"])
    assert result.exit_code == 2
    said = f"did you mean no-bias-correction or no-eps? ({len(CATALOGUE)} are known.)\n"
    assert result.stderr.endswith(said)
    assert "did you mean " in CliRunner().invoke(app, ["explain", "0"]).stderr


def test_grade(submissions, tmp_path):
    table = tmp_path / "grades.csv"
    code, text = run(
        "grade", submissions, "--optimizer", "sgd", "--jobs", 2, "--csv", table, "--json"
    )
    assert code == 1
    graded = json.loads(text)
    by_file = {row["file"]: row for row in graded["submissions"]}
    assert by_file["anna/sgd.py"]["passed"]
    assert by_file["anna/sgd.py"]["score"] == by_file["anna/sgd.py"]["max_score"] == 100
    assert by_file["ben.py"]["diagnosis"] == ["nesterov-ignored"]
    assert by_file["ben.py"]["first_divergence"]["probe"] == "Nesterov"
    assert "the nearest is Sdg" in by_file["carl.py"]["reason"]
    assert graded["mistakes"] == {"nesterov-ignored": 1}
    with open(table, newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows["ben.py"]["diagnosis"] == "nesterov-ignored"
    assert rows["carl.py"]["passed"] == "False"


def test_wrong_use_is_two(tmp_path):
    assert run("grade", tmp_path)[0] == 2
    assert run("grade", tmp_path / "nowhere")[0] == 2
    assert run("check", tmp_path / "nothing.py")[0] == 2
    file = tmp_path / "both.py"
    file.write_text("class SGD: pass\nclass Adam: pass\n")
    assert run("check", file)[0] == 2
    assert run("check", file, "--optimizer", "Adamm")[0] == 2
    assert run("check", file, "--optimizer", "Adam", "--accept", "no-eps")[0] == 2


def test_check_accepts_dialects(tmp_path):
    file = tmp_path / "adagrad.py"
    file.write_text(next(forms(find_mistake("eps-inside-sqrt"), "Adagrad")))
    code, text = run("check", file, "--json")
    assert code == 1
    assert json.loads(text)["diagnosis"] == ["eps-inside-sqrt"]
    assert run("check", file, "--accept", "eps-inside-sqrt")[0] == 0


@pytest.mark.slow
def test_a_course_from_beginning_to_end(tmp_path):
    folder = tmp_path / "course"
    assert run("course", "new", folder, "--optimizers", "sgd,adam")[0] == 0
    assert run("course", "new", folder)[0] == 2
    settings = read_settings(folder / "course.toml")
    assert settings == replace(Settings(), optimizers=("SGD", "Adam"), hints="hint")
    assert "## Adam" in (folder / "handout.md").read_text()

    (folder / "sgd.py").write_text(wrong.right("sgd_inplace"))
    text = wrong.right("adam_inplace").replace(".add_(group['eps'])", "")
    (folder / "adam.py").write_text(text)
    environment = os.environ | {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", folder, folder],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert "1 failed, 27 passed" in done.stdout, done.stdout
    assert "hint: Send a zero gradient." in done.stdout
    assert "no-eps" not in done.stdout

    results = gradescope.results(folder, replace(settings, seed=1))
    failed = [test for test in results["tests"] if test["status"] == "failed"]
    assert [test["name"] for test in failed] == ["Adam: the update rule"]
    assert sum(test["max_score"] for test in results["tests"]) == 200
    assert sum(test["score"] for test in results["tests"]) == 165
    json.dumps(results)


def test_the_gradescope_zip_runs(tmp_path):
    folder = tmp_path / "course"
    kit.new(folder, ("SGD",))
    assert run("course", "gradescope", folder)[0] == 0
    place = tmp_path / "autograder"
    with zipfile.ZipFile(folder / "autograder.zip") as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        archive.extractall(place)
    assert modes["run_autograder"] & 0o111
    assert modes["setup.sh"] & 0o111
    submission = tmp_path / "submission"
    submission.mkdir()
    (submission / "anything.py").write_text(wrong.right("sgd_inplace"))
    subprocess.run(
        [sys.executable, "-m", "myoptim.course.gradescope", "course.toml", submission, "out.json"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(place)},
        check=True,
    )
    results = json.loads((place / "out.json").read_text())
    assert all(test["status"] == "passed" for test in results["tests"])


def test_audit(tmp_path):
    folder = tmp_path / "course"
    kit.new(folder, ("AdamW",))
    config = folder / "course.toml"
    config.write_text(config.read_text().replace("accept = []", 'accept = ["eps-hat"]'))
    chosen = ("eps-hat", "wd-simultaneous", "delegates", "wd-ignored")
    code, text = run(
        "course",
        "audit",
        folder,
        *(part for one in chosen for part in ("--mistake", one)),
        "--json",
    )
    assert code == 0
    passed = {row["mistake"]: row["passed"] for row in json.loads(text)["audited"]}
    assert passed == {
        "eps-hat": True,
        "wd-simultaneous": True,
        "delegates": False,
        "wd-ignored": False,
    }
    config.write_text(config.read_text().replace("rule = 35", "rule = 0"))
    code, text = run("course", "audit", folder, "--mistake", "wd-ignored", "--json")
    assert code == 1
    assert json.loads(text)["wrong"] == 1


@pytest.mark.slow
def test_audit_of_every_mistake(tmp_path):
    settings = replace(Settings(), optimizers=("Adam",))
    audited = kit.audit(settings, (), 2)
    assert len(audited) > 60
    assert [one.mistake for one in audited if not one.right] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "cannot read"),
        ('optimizer = ["SGD"]', "did you mean optimizers"),
        ('optimizers = ["Sgdd"]', "did you mean SGD"),
        ('accept = ["no-eps"]', "is a bug"),
        ('hints = "all"', "hints must be one of"),
        ("optimizers = []", "nothing would be graded"),
        ("[points]\n" + "\n".join(f"{name} = 0" for name in CRITERIA), "nobody could earn any"),
        ("[limits]\ncpu_seconds = 0", "no submission could pass"),
        ("[limits]\nmemory_mb = 10", "limits.memory_mb must be 1024 or more"),
        ('forbid = ["tabs"]', "unknown style"),
        ('helpers = ["../ours.py"]', "names of Python files"),
        ("own = 3", "the name of a file"),
        ("[points]\nrule = -1", "0 or more"),
        ("[points]\nrules = 1", "did you mean rule"),
        ("[limits]\nmemory_mb = true", "0 or more"),
        ('seed = "x"', "seed must be an integer"),
        ("seed = -1", "got -1"),
        ("seed = 9223372036854775808", "seed must be from 0"),
    ],
)
def test_a_bad_course_toml_is_told(tmp_path, text, message):
    path = tmp_path / "course.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings(path)


def test_solutions_pass_as_submissions(tmp_path):
    file = tmp_path / "adamw.py"
    file.write_text(source("AdamW"))
    verdict = check(Path(file), "AdamW", replace(Settings(), strict=True))
    assert verdict.passed, verdict.reason
