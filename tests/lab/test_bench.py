"""The bench: what is measured, in which order, and what is made of the figures."""

import functools
import itertools
import json

import pytest
import torch
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.execution import fused
from myoptim.lab import bench as lab
from myoptim.lab import workloads
from myoptim.lab.bench import COLUMNS, FEWEST_ROUNDS, Memory, Report, Timing, bench
from myoptim.lab.errors import UsageError
from myoptim.lab.workloads import SIZES, fitting, make_params, step_of
from myoptim.optimizer import Optimizer as OurOptimizer

CPU = torch.device("cpu")


@pytest.fixture
def nothing_compiled(monkeypatch):
    """No kernel is made: two scalars are updated without one, and compiling takes a while."""
    monkeypatch.setattr(fused, "compile_kernel", lambda *_: None)


def run(*arguments):
    return CliRunner().invoke(app, ["bench", "--repeats", "2", *arguments])


def timing(ours, torchs, size="mlp", optimizer="Adam", **others):
    """A timing with the medians of our default and torch's, and of others."""
    others = {name.replace("_", " "): value for name, value in others.items()}
    return Timing(size, optimizer, 9, {"ours": ours, "torch": torchs, **others}, None)


# Sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tensors", "elements"),
    [
        ("scalars", 2, 2),
        ("mlp", 6, 235_146),
        ("convnet", 161, 10_478_480),
        ("transformer", 148, 11_705_856),
        ("large", 1, 10_000_000),
        ("many", 2_000, 200_000),
        ("160MB", 1, 40_000_000),
    ],
)
def test_sizes(name, tensors, elements):
    assert len(SIZES[name].shapes) == tensors
    assert SIZES[name].elements == elements


def test_every_size_is_known():
    assert list(SIZES) == ["scalars", "mlp", "convnet", "transformer", "large", "many", "160MB"]
    help_text = run("--help").stdout
    assert all(name in help_text for name in SIZES)


def test_models_are_laid_out_as_the_published_ones():
    """At their published widths, the published numbers of parameters of ResNet-50 and GPT-2."""
    resnet = workloads.Size("", workloads._conv_net(width=64, blocks=(3, 4, 6, 3), classes=1000))
    assert (len(resnet.shapes), resnet.elements) == (161, 25_557_032)
    gpt2 = workloads.Size(
        "", workloads._transformer(width=768, layers=12, vocabulary=50_257, context=1024)
    )
    assert (len(gpt2.shapes), gpt2.elements) == (148, 124_439_808)


# Columns ----------------------------------------------------------------------------------------


def test_columns_are_set_as_they_are_called():
    columns = lab._columns(myoptim.Adam, SIZES["scalars"], CPU, fused=True)
    assert list(columns) == list(COLUMNS)
    flags = [
        (o.param_groups[0]["foreach"], bool(o.param_groups[0]["fused"])) for o in columns.values()
    ]
    assert flags == [(None, False), (None, True), (None, False), (True, False), (None, True)]
    assert [isinstance(o, OurOptimizer) for o in columns.values()] == [True] * 2 + [False] * 3


def test_columns_that_do_not_exist_are_left_out():
    assert "ours fused" not in lab._columns(myoptim.Adam, SIZES["scalars"], CPU, fused=False)
    rmsprop = lab._columns(myoptim.RMSprop, SIZES["scalars"], CPU, fused=True)
    assert "torch fused" not in rmsprop


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("optimizer", lab._with_twin())
def test_columns_make_the_same_steps_each_on_its_own_parameters(optimizer):
    """All columns are the same algorithm at the same settings, the momentum of SGD included."""
    cls = myoptim.OPTIMIZERS[optimizer]
    size = next(size for size in SIZES.values() if fitting(cls, size))
    columns = lab._columns(cls, size, CPU, fused=True)
    params = [column.param_groups[0]["params"] for column in columns.values()]
    for column, of_column in zip(columns.values(), params, strict=True):
        step = step_of(column)
        grads = [param.grad.clone() for param in of_column]
        for factor in (1.0, -0.5, 3.0):
            for param, grad in zip(of_column, grads, strict=True):
                param.grad = grad * factor  # torch's foreach changes it with Nesterov's momentum
            step()
    for others in params[1:]:
        torch.testing.assert_close(others, params[0])
    tensors = [param for column in params for param in column]
    tensors += [param.grad for param in tensors if not param.grad.is_sparse]
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)


# What an optimizer takes ------------------------------------------------------------------------


def test_an_optimizer_gets_of_a_size_what_it_takes():
    def shapes(name, size):
        return fitting(myoptim.OPTIMIZERS[name], SIZES[size])

    assert shapes("Adam", "mlp") == SIZES["mlp"].shapes
    assert shapes("Muon", "mlp") == [(256, 784), (128, 256), (10, 128)]
    assert shapes("Muon", "many") == []
    assert shapes("LBFGS", "many") == SIZES["many"].shapes
    assert shapes("LBFGS", "transformer") == []  # two hundred vectors of 47 MB
    table, bias, *_ = make_params(myoptim.SparseAdam, SIZES["mlp"], CPU)
    assert (table.grad._nnz(), bias.grad._nnz()) == (26, 26)  # of 256 every tenth


def test_a_step_with_a_closure_is_never_at_the_minimum():
    """At the minimum LBFGS would have nothing to do, and the time would be the closure's."""
    optimizer = myoptim.LBFGS(make_params(myoptim.LBFGS, SIZES["mlp"], CPU))
    step = step_of(optimizer)
    calls = []
    for _ in range(10):
        step()
        (state,) = optimizer.state.values()
        calls.append(state["func_evals"])
    assert all(after - before >= 10 for before, after in itertools.pairwise(calls))


# Rounds -----------------------------------------------------------------------------------------


def rounds_of(names, repeats, seconds):
    calls = []
    steps = {name: functools.partial(calls.append, name) for name in names}
    taken = lab._rounds(steps, lambda: None, repeats, seconds)
    return calls, taken


def test_each_column_steps_once_in_a_round_in_every_order():
    calls, taken = rounds_of("abc", repeats=60, seconds=60)
    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert set(rounds) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert {name: len(times) for name, times in taken.items()} == {"a": 60, "b": 60, "c": 60}
    assert all(seconds > 0 for times in taken.values() for seconds in times)


@pytest.mark.parametrize(("repeats", "made"), [(2, 2), (1000, FEWEST_ROUNDS)])
def test_time_ends_the_rounds_but_not_before_the_fewest(repeats, made):
    _, taken = rounds_of("ab", repeats, seconds=1e-9)
    assert {len(times) for times in taken.values()} == {made}


# Figures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("torchs", "ratio"),
    [
        ({"torch": 8.0, "torch foreach": 2.0, "torch fused": 4.0}, 0.25),  # the kernel, if slower
        ({"torch": 8.0, "torch foreach": 2.0}, 0.5),
        ({"torch": 5.0, "torch foreach": 9.0}, 0.2),
    ],
)
def test_fused_is_compared_with_the_best_of_torch(torchs, ratio):
    seconds = {"ours": 3.0, "ours fused": 1.0, **torchs}
    ratios = Timing("mlp", "Adam", 9, seconds, 0.0).ratios
    assert ratios == {"default": 3.0 / torchs["torch"], "fused": ratio}


def test_without_fused_there_is_no_ratio_of_it():
    assert timing(1.0, 2.0, torch_foreach=2.0).ratios == {"default": 0.5}


def test_summary():
    timings = [timing(1.0, 2.0), timing(4.0, 2.0, "many", "SGD"), timing(0.5, 4.0)]
    summary = lab.summarize(timings, "default")
    assert summary.geometric_mean == pytest.approx(0.5)  # of 1/2, 2 and 1/8
    assert (summary.worst, summary.size, summary.optimizer) == (2.0, "many", "SGD")


def test_compile_time_is_summed_over_sizes():
    timings = [
        Timing(size, optimizer, 9, {"ours": 1.0, "torch": 1.0}, spent)
        for size, optimizer, spent in [
            ("mlp", "SGD", 9.0),
            ("many", "SGD", 0.5),
            ("mlp", "Adam", 2.0),
        ]
    ]
    assert Report("", 1, {}, timings, []).compile_seconds() == {"SGD": 9.5, "Adam": 2.0}


@pytest.mark.parametrize(("count", "held"), [(1, 4_000_000), (3, 4_000_000)])
def test_peak_is_the_most_held_at_once(count, held):
    def one_after_the_other():
        for _ in range(count):
            torch.empty(1_000_000)

    assert lab.peak_bytes(one_after_the_other, CPU) == held


def test_peak_of_tensors_held_together():
    def together():
        kept = torch.empty(500_000)
        return kept.double() + 1

    assert lab.peak_bytes(together, CPU) == pytest.approx(10_000_000, rel=0.01)


def test_peak_ignores_what_is_only_given_back():
    held = [torch.empty(1_000_000)]
    assert lab.peak_bytes(held.clear, CPU) == 0


# A run ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_compiled")
def test_json():
    result = run("--optimizers", "RMSprop", "--sizes", "scalars", "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert list(report) == [
        "device",
        "threads",
        "versions",
        "sizes",
        "timings",
        "memory",
        "summaries",
        "compile_seconds",
    ]
    assert report["versions"]["torch"] == torch.__version__
    assert report["sizes"] == {"scalars": {"tensors": 2, "elements": 2}}
    (cell,) = report["timings"]
    assert (cell["size"], cell["optimizer"], cell["rounds"]) == ("scalars", "RMSprop", 2)
    assert list(cell["seconds"]) == list(COLUMNS)
    assert cell["seconds"]["torch fused"] is None
    assert all(seconds > 0 for seconds in cell["seconds"].values() if seconds is not None)
    assert cell["ratios"].keys() == {"default", "fused"}
    assert cell["compile_seconds"] >= 0
    (memory,) = report["memory"]
    assert memory.keys() == {"size", "optimizer", "ours", "torch"}
    default = report["summaries"]["default"]
    assert default["geometric_mean"] == pytest.approx(cell["ratios"]["default"])
    assert (default["size"], default["optimizer"]) == ("scalars", "RMSprop")


def test_no_fused():
    result = run("--optimizers", "SGD", "--sizes", "scalars", "--no-fused", "--json")
    report = json.loads(result.stdout)
    (cell,) = report["timings"]
    assert cell["seconds"]["ours fused"] is None
    assert cell["seconds"]["torch fused"] > 0
    assert cell["compile_seconds"] is None
    assert report["summaries"].keys() == {"default"}
    assert report["compile_seconds"] == {}


@pytest.mark.slow
@pytest.mark.xdist_group("fused")  # compiled kernels are kept for the life of a process
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler about itself
def test_compiling_is_not_part_of_a_step():
    fused.compile_kernel.cache_clear()
    first, again = (bench(["Momentum"], ["mlp"], repeats=5).timings[0] for _ in range(2))
    assert first.compile_seconds > first.seconds["ours fused"]
    assert first.compile_seconds > 3 * again.compile_seconds


def test_memory_alone():
    result = run("--optimizers", "Adam", "--sizes", "mlp", "--memory", "--json")
    report = json.loads(result.stdout)
    assert report["timings"] == []
    assert report["summaries"] == {}
    (memory,) = report["memory"]
    assert 2 * 784 * 256 * 4 <= memory["torch"] < 2_000_000  # root and quotient of the largest
    assert 0 < memory["ours"] <= memory["torch"]


def test_a_size_that_is_not_timed(monkeypatch):
    monkeypatch.setitem(
        SIZES, "160MB", workloads.Size("a smaller one", [(2_000_000,)], timed=False)
    )
    report = bench(["Adam"], ["scalars", "160MB"], repeats=1, fused=False)
    assert [timing.size for timing in report.timings] == ["scalars"]
    assert [memory.size for memory in report.memory] == ["scalars", "160MB"]
    assert report.memory[1].torch >= 2 * 4 * 2_000_000  # the root and the quotient


@pytest.mark.usefixtures("nothing_compiled")
def test_table():
    result = run("--optimizers", "SGD,Adam", "--sizes", "scalars")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    (adam,) = [line.split() for line in lines if line.split()[:2] == ["scalars", "Adam"]]
    assert len(adam) == 2 + len(COLUMNS) + 5
    assert any(line.startswith("default / torch's default: geometric mean") for line in lines)
    assert any(line.startswith("fused / torch's best: geometric mean") for line in lines)


@pytest.mark.usefixtures("nothing_compiled")
def test_markdown(tmp_path):
    page = tmp_path / "table.md"
    result = run("--optimizers", "SGD,Adam", "--sizes", "scalars", "--markdown", str(page))
    assert result.exit_code == 0, result.output
    text = page.read_text()
    tables = [line for line in text.splitlines() if line.startswith("| size | SGD | Adam |")]
    assert len(tables) == 3  # both ratios, memory
    assert "| scalars | two tensors of 1 element | 2 | 2 |" in text
    assert f"torch {torch.__version__}" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_threads_are_set_for_the_run_alone(monkeypatch):
    seen = []

    def note(*_):
        seen.append(torch.get_num_threads())
        return Memory("scalars", "SGD", 0, 0)

    monkeypatch.setattr(lab, "_measure_memory", note)
    before = torch.get_num_threads()
    report = bench(["SGD"], ["scalars"], threads=before + 1, times=False)
    assert seen == [before + 1]
    assert report.threads == before + 1
    assert torch.get_num_threads() == before


def test_progress_counts_every_cell():
    seen = []

    def progress(cells):
        for i in cells:
            seen.append(i)
            yield i

    bench(["SGD", "Adam"], ["scalars"], times=False, progress=progress)
    assert seen == [0, 1]


# Wrong use --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--optimizers", "adm"], "unknown optimizer 'adm': did you mean Adam"),
        (["--optimizers", "SGD,"], "unknown optimizer ''"),
        (["--sizes", "mpl"], "unknown size 'mpl': did you mean mlp"),
        (["--sizes", "giant"], "Known: scalars, mlp, convnet"),
        (["--device", "cud"], "unknown device 'cud': did you mean cuda"),
        (["--repeats", "0"], "repeats must be at least 1; got 0"),
        (["--threads", "0"], "threads must be at least 1; got 0"),
        (["--seconds", "0"], "seconds must be above 0; got 0.0"),
        (["--seconds", "nan"], "seconds must be above 0; got nan"),
        (["--markdown", "no/such/folder/table.md"], "there is no folder"),
    ],
)
def test_wrong_use(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda():
    result = run("--device", "cuda")
    assert result.exit_code == 2
    assert "torch finds no CUDA device here; allowed is cpu" in result.stderr


def test_no_compiler(monkeypatch):
    def broken(self, closure=None):
        raise RuntimeError("no compiler.")

    monkeypatch.setattr(myoptim.SGD, "step", broken)
    with pytest.raises(UsageError, match=r"no compiler\. Leave it out with --no-fused"):
        lab._warm_up("ours fused", myoptim.SGD([torch.ones(1)]).step, lambda: None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda():
    result = run("--optimizers", "Adam", "--sizes", "mlp", "--device", "cuda", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["device"] == torch.cuda.get_device_name()
    assert report["memory"][0]["torch"] > 0


def test_an_optimizer_that_takes_nothing_of_the_sizes_is_refused_before_anything_is_measured():
    said = "Muon takes no parameters of the sizes scalars, 160MB; allowed for it are mlp, convnet"
    with pytest.raises(UsageError, match=said):
        bench(["SGD", "Muon"], ["scalars", "160MB"])


def test_a_size_that_does_not_fit_is_left_out():
    report = bench(["SGD", "Muon"], ["scalars", "mlp"], times=False)
    cells = [(memory.size, memory.optimizer) for memory in report.memory]
    assert cells == [("scalars", "SGD"), ("mlp", "SGD"), ("mlp", "Muon")]
