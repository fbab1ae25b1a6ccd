"""Checkpoints: the optimizer is found, whose it is, and what is wrong; no file does any harm."""

import copy
import json
import os
import pickle
import zipfile

import pytest
import torch
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.lab import checkpoint
from myoptim.lab.checkpoint import examine, recognise
from myoptim.lab.errors import UsageError
from myoptim.lab.saved import read_optimizers
from myoptim.optimizer import declaration_of

MODEL = """
import torch
def make():
    layers = [torch.nn.Linear(4, 8), *(torch.nn.Linear(8, 8) for _ in range(2))]
    return torch.nn.Sequential(*layers)
def longer(): return torch.nn.Sequential(*make(), torch.nn.Linear(8, 3))
def turned(): return torch.nn.Sequential(torch.nn.Linear(8, 4), *list(make())[1:])
def broken(): raise KeyError("weights")
number = 3
"""


def trained(steps=20, named=False, cls=torch.optim.AdamW, **settings):
    """The state_dict of an optimizer after some steps on a small model."""
    space = {}
    exec(MODEL, space)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = space["make"]()
        params = list(model.named_parameters() if named else model.parameters())
        optimizer = cls(params, **settings)
        for _ in range(steps):
            optimizer.zero_grad()
            (model(torch.randn(5, 4)) ** 2).sum().backward()
            optimizer.step()
    return copy.deepcopy(optimizer.state_dict())


@pytest.fixture
def saved(tmp_path):
    """Writes what it is given with torch.save; returns the path."""

    def write(content, name="run.pt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    return f"{tmp_path / 'model.py'}:"


def found(checkup):
    return "\n".join(checkup.findings)


# Where it is and whose it is ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda state: state, ""),
        (lambda state: {"epoch": 3, "optimizer": state}, "['optimizer']"),
        (lambda state: {"model": {}, "optimizer_state_dict": state}, "['optimizer_state_dict']"),
        (lambda state: {"loops": {}, "optimizer_states": [state]}, "['optimizer_states'][0]"),
        (lambda state: {"a": [{"b": (1, state)}]}, "['a'][0]['b'][1]"),
    ],
)
def test_found_wherever_training_programs_put_it(saved, wrap, place):
    (only,) = read_optimizers(saved(wrap(trained(1))))
    assert only.place == place
    assert len(only.params) == 6


def test_a_checkpoint_that_holds_itself_has_an_end(saved):
    content = {"optimizer": trained(1)}
    content["again"] = [content]
    assert len(read_optimizers(saved(content))) == 1


def test_several_optimizers_are_told_apart(saved):
    state = trained(2)
    state["state"][0]["exp_avg"][0] = torch.nan
    checkup = examine(saved({"optimizers": [trained(2, cls=torch.optim.SGD), state]}))
    assert [one.cls for one in checkup.contents] == [myoptim.SGD, myoptim.AdamW]
    assert checkup.findings == ["['optimizers'][1]: not finite: exp_avg of #0"]


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "torch"])
@pytest.mark.parametrize("name", myoptim.OPTIMIZERS)
def test_every_class_is_recognised_and_fine(name, ours, saved):
    declared = declaration_of(myoptim.OPTIMIZERS[name])
    if not ours and declared.twin is None:
        pytest.skip("torch has none")
    cls = myoptim.OPTIMIZERS[name] if ours else declared.twin
    settings = {} if ours else declared.twin_settings
    sparse = declared.sparse == "only"
    params = [torch.ones(2, 3, requires_grad=True) for _ in range(2)]
    optimizer = cls(params, **settings)

    def closure():
        optimizer.zero_grad()
        for param in params:
            grad = torch.full((2, 3), 0.5)
            param.grad = grad.to_sparse(1) if sparse else grad
        return torch.tensor(1.0)

    closure()
    optimizer.step(closure)
    path = saved(optimizer.state_dict())
    checkup = examine(path, path)
    assert checkup.findings == []
    # Momentum is SGD with another default, and nothing in a checkpoint tells.
    assert checkup.contents[0].cls is myoptim.OPTIMIZERS[name.replace("Momentum", "SGD")]


def test_an_optimizer_of_a_users_own_is_of_no_known_class(saved):
    state = {"state": {0: {"v": torch.ones(2)}}, "param_groups": [{"params": [0], "rate": 1.0}]}
    checkup = examine(saved(state))
    assert checkup.contents[0].cls is None
    assert checkup.findings == ["the groups and states are those of no optimizer of torch or ours"]
    assert "of no class known here" in checkup.contents[0].headline()


def test_a_flag_that_a_class_fixes_tells_adam_from_adamw(saved):
    states = [trained(1, cls=cls) for cls in (torch.optim.Adam, torch.optim.AdamW)]
    assert states[0]["param_groups"][0].keys() == states[1]["param_groups"][0].keys()
    found = [recognise(read_optimizers(saved(state))[0]) for state in states]
    assert found == [myoptim.Adam, myoptim.AdamW]


# What is wrong with it ----------------------------------------------------------------------------


def fault(change):
    """The findings and notes about a checkpoint that was changed."""

    def examined(saved, **options):
        state = trained(20, **options)
        change(state)
        return examine(saved(state))

    return examined


def remove_moment(state):
    del state["state"][5]["exp_avg_sq"]


def remove_all(state):
    state["state"].clear()


def clear_moment(state):
    for entry in state["state"].values():
        entry["exp_avg_sq"].zero_()


def coarse_counter(state):
    state["state"][0]["step"] = state["state"][0]["step"].bfloat16()


def old_counter(state):
    state["state"][1]["step"].fill_(2.0**24)


def nan_moment(state):
    state["state"][1]["exp_avg"][0] = torch.nan


def infinite_rate(state):
    state["param_groups"][0]["lr"] = float("inf")


def orphan(state):
    state["state"][77] = state["state"][0]


def twice(state):
    state["param_groups"][0]["params"].append(0)


def other_shape(state):
    state["state"][0]["exp_avg"] = torch.ones(3)


FAULTS = {
    remove_moment: "missing: exp_avg_sq of #5",
    remove_all: "no state at all (step, exp_avg, exp_avg_sq): no step was made, or it was lost",
    clear_moment: "exp_avg_sq is 0 in all parameters: it was lost, or every gradient was 0",
    coarse_counter: "step is bfloat16, which counts no further than 256: #0",
    old_counter: "step cannot be counted up any more: #1",
    nan_moment: "not finite: exp_avg of #1",
    infinite_rate: "not finite: lr of group 0",
    orphan: "state that belongs to no group: 77",
    twice: "in more than one place: #0",
    other_shape: "different shapes in the state of #0: exp_avg (3,), exp_avg_sq (8, 4)",
}


@pytest.mark.parametrize("change", FAULTS, ids=lambda change: change.__name__)
def test_each_fault_is_the_only_finding(change, saved):
    assert fault(change)(saved).findings == [FAULTS[change]]


def test_names_are_used_where_there_are_any(saved):
    assert fault(nan_moment)(saved, named=True).findings == ["not finite: exp_avg of 0.bias"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state["state"].pop(3),
            "without state, so never updated, or it was lost: #3",
        ),
        (lambda state: state["state"][2]["step"].fill_(7), "step is from 7 to 20"),
        (
            lambda state: state["param_groups"][0].update(initial_lr=0.1),
            "also in the groups, put there by a scheduler or other code: initial_lr",
        ),
        (
            lambda state: state["state"][0].update(mine=torch.ones(8, 4)),
            "also in the state, where AdamW has none: mine",
        ),
        (lambda state: state["state"][0]["exp_avg"].zero_(), "exp_avg is 0 everywhere in #0"),
    ],
)
def test_what_need_not_be_wrong_is_a_note(change, said, saved):
    checkup = fault(change)(saved)
    assert (checkup.findings, checkup.notes) == ([], [said])


def test_a_new_adagrad_has_lost_nothing(saved):
    optimizer = torch.optim.Adagrad([torch.ones(2, requires_grad=True)])
    assert examine(saved(optimizer.state_dict())).fine


def test_none_in_an_old_checkpoint_is_no_momentum(saved):
    state = trained(1, cls=torch.optim.SGD)
    state["state"] = {key: {"momentum_buffer": None} for key in range(6)}
    assert examine(saved(state)).fine
    state["param_groups"][0]["momentum"] = 0.9
    assert "no state at all (momentum_buffer)" in found(examine(saved(state)))


# Two of them --------------------------------------------------------------------------------------


def test_training_on_is_no_finding(saved):
    checkup = examine(saved(trained(20), "a.pt"), saved(trained(30, lr=1e-4), "b.pt"))
    assert checkup.fine
    assert checkup.notes[0] == "A has made 20 steps, B 30"
    assert "lr of group 0 is 0.001 in A and 0.0001 in B" in checkup.notes
    assert any(note.startswith("exp_avg differs in 6 parameters, by ") for note in checkup.notes)


def test_at_the_same_step_every_difference_is_a_finding(saved):
    a, b = trained(20), trained(20)
    a["state"][0]["exp_avg"].zero_()
    b["state"][0]["exp_avg"].fill_(0.25)
    b["param_groups"][0]["lr"] = 0.5
    checkup = examine(saved(a, "a.pt"), saved(b, "b.pt"))
    assert checkup.findings == [
        "lr of group 0 is 0.001 in A and 0.5 in B",
        "exp_avg differs in 1 parameter, by 0.25 at most, in #0",
    ]
    assert examine(saved(b, "a.pt"), saved(b, "b.pt")).notes == ["A and B hold the same"]


def turned(state):
    """Two matrices, two vectors in each other's place."""
    for i, j in ((2, 4), (3, 5)):
        state["state"][i], state["state"][j] = state["state"][j], state["state"][i]
        names = state["param_groups"][0].get("param_names")
        if names:
            names[i], names[j] = names[j], names[i]
    return state


@pytest.mark.parametrize("steps", [20, 30])
def test_another_order_is_seen_by_shape_and_value(saved, steps):
    checkup = examine(saved(trained(20), "a.pt"), saved(turned(trained(steps)), "b.pt"))
    said = "in another order in B, matched by shape and value: #2 is #4, #3 is #5, #4 is #2"
    assert checkup.findings == [f"{said}, #5 is #3"]


def test_another_order_is_seen_by_name(saved):
    a, b = trained(20, named=True), turned(trained(20, named=True))
    checkup = examine(saved(a, "a.pt"), saved(b, "b.pt"))
    assert len(checkup.findings) == 1
    assert "matched by name: 1.weight is 1.weight (number 4), " in found(checkup)


def test_another_order_of_shapes_is_seen(saved):
    b = trained(20)
    b["state"][0], b["state"][1] = b["state"][1], b["state"][0]
    checkup = examine(saved(trained(20), "a.pt"), saved(b, "b.pt"))
    assert "in another order in B, matched by shape and value: #0 is #1, #1 is #0" in found(checkup)


def test_names_with_a_prefix_do_not_hide_the_parameters(saved):
    b = trained(20, named=True)
    b["param_groups"][0]["param_names"] = [f"module.{i}" for i in range(6)]
    assert examine(saved(trained(20, named=True), "a.pt"), saved(b, "b.pt")).fine


def test_another_group_is_seen(saved):
    a, b = trained(20), trained(20)
    (group,) = b["param_groups"]
    b["param_groups"] = [{**group, "params": [0, 1, 2]}, {**group, "params": [3, 4, 5]}]
    checkup = examine(saved(a, "a.pt"), saved(b, "b.pt"))
    assert checkup.findings == ["in another group in B: #3, #4, #5", "A has 1 group, B has 2"]


def test_what_is_lost_or_of_another_type(saved):
    b = trained(30)
    del b["state"][1]["exp_avg"]
    b["state"][0]["exp_avg"] = b["state"][0]["exp_avg"].bfloat16()
    checkup = examine(saved(trained(20), "a.pt"), saved(b, "b.pt"))
    assert checkup.findings == [
        "B: missing: exp_avg of #1",
        "missing in B: exp_avg of #1",
        "exp_avg is float32 in A and bfloat16 in B: #0",
    ]


def test_another_class(saved):
    b = trained(20, cls=torch.optim.RMSprop)
    checkup = examine(saved(trained(20), "a.pt"), saved(b, "b.pt"))
    assert checkup.findings == [
        "A is AdamW (torch.optim.AdamW), B is RMSprop (torch.optim.RMSprop)"
    ]


# Beside the model ---------------------------------------------------------------------------------


def test_beside_its_model(saved, model):
    assert examine(saved(trained(2)), model=model + "make").sentences() == ["All is well."]
    longer = examine(saved(trained(2)), model=model + "longer")
    assert (longer.findings, longer.notes) == ([], ["in the model alone: 3.weight, 3.bias"])
    other = found(examine(saved(trained(2)), model=model + "turned"))
    assert other == "not in the model: #0, #1"
    named = found(examine(saved(trained(2, named=True)), model=model + "turned"))
    assert named == (
        "of another shape in the model: 0.weight (8, 4) and (4, 8), 0.bias (8,) and (4,)"
    )


def test_the_models_order(saved, model):
    state = turned(trained(2, named=True))
    said = "in another order in the model, matched by name: 2.weight is 2.weight (number 4)"
    assert said in found(examine(saved(state), model=model + "make"))
    (group,) = state["param_groups"]
    names = group["param_names"]
    state["param_groups"] = [
        {**group, "params": [0, 2, 4], "param_names": names[::2]},
        {**group, "params": [1, 3, 5], "param_names": names[1::2]},
    ]
    assert examine(saved(state), model=model + "make").fine  # groups may sort them as they like


@pytest.mark.parametrize(
    ("name", "said"),
    [("number", "must be or make a torch.nn.Module"), ("broken", "KeyError"), ("mak", "make")],
)
def test_no_model(saved, model, name, said):
    with pytest.raises(UsageError, match=said):
        examine(saved(trained(1)), model=model + name)


# Hostile input ------------------------------------------------------------------------------------


class Code:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def test_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"optimizer": Code()}, "new.pt")
    torch.save({"optimizer": Code()}, "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Code(), protocol=2))
    for name in ("new.pt", "old.pt", "bare.pt"):
        with pytest.raises(UsageError, match=r"asks for (posix|nt)\.mkdir, which is code"):
            examine(name)
    assert not (tmp_path / "was-run").exists()


HOSTILE = {
    b"": "is empty",
    b"\0" * 64: "not a file of torch.save",
    b"hello, I am a text": "not a file of torch.save",
    b'{"state": {}}': "text, perhaps JSON",
    b"PK\3\4 cut short": "cut short",
    b"\x80\x04K\x01.": "a pickle, but none of torch.save",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"version https://git-lfs.github.com/spec/v1": "a pointer of Git LFS",
    (2).to_bytes(8, "little") + b"{}" + b" " * 8: "a safetensors file",
}


@pytest.mark.parametrize("content", HOSTILE, ids=HOSTILE.get)
def test_a_file_of_another_kind_says_what_it_is(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UsageError, match=HOSTILE[content]):
        examine(tmp_path / "x.pt")


def test_what_is_no_file(tmp_path):
    for path, said in (
        (tmp_path / "nothing.pt", "No such file"),
        (tmp_path, "a directory, not a file"),
        ("/dev/null", "a device, pipe or socket"),
    ):
        with pytest.raises(UsageError, match=said):
            examine(path)
    (tmp_path / ".metadata").touch()
    with pytest.raises(UsageError, match="dcp_to_torch_save"):
        examine(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"weight": torch.ones(2)}, "1 tensor by name, as the state_dict of a model"),
        ({"epoch": 1, "best": 2}, 'a dict with the keys "epoch", "best"'),
        (torch.ones(2), r"one tensor of shape \(2,\)"),
        ([1, 2], "a list"),
        (
            {"state": {}, "param_groups": [{"params": 3}]},
            'a dict with the keys "state", "param_groups"',
        ),
        ({"state": {}, "param_groups": []}, 'a dict with the keys "state", "param_groups"'),
    ],
)
def test_a_checkpoint_without_an_optimizer_says_what_it_holds(content, said, saved):
    with pytest.raises(UsageError, match=f"no optimizer's state: it holds {said}"):
        examine(saved(content))


def test_archives_that_torch_did_not_write(tmp_path, saved):
    whole = saved(trained(1))
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(tmp_path / "z.pt", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(UsageError, match="compressed, as"):
        examine(tmp_path / "z.pt")
    with zipfile.ZipFile(tmp_path / "z.pt", "w") as new:
        new.writestr("array.npy", b"")
    with pytest.raises(UsageError, match="a zip archive, but none of"):
        examine(tmp_path / "z.pt")
    with zipfile.ZipFile(tmp_path / "z.pt", "w") as new:
        new.writestr("run/data.pkl", b"\x80\x02rubbish")
    with pytest.raises(UsageError, match="broken"):
        examine(tmp_path / "z.pt")
    cut = whole.read_bytes()
    whole.write_bytes(cut[: len(cut) // 2])
    with pytest.raises(UsageError, match="cut short"):
        examine(whole)


def test_odd_states_do_not_stop_it(saved):
    state = trained(2)
    state["state"][0] = "lost"
    state["state"][1]["exp_avg"] = torch.ones(1).expand(10**12)
    state["state"][2]["exp_avg"] = torch.ones(8, 8).to_sparse()
    state["state"][3]["exp_avg"] = torch.ones(8, device="meta")
    state["state"][4]["step"] = "many"
    state["state"][5] = {}
    path = saved(state)
    checkup = examine(path, path)
    assert "missing: exp_avg of #3" in found(checkup)
    assert "without state, so never updated, or it was lost: #0, #5" in "\n".join(checkup.notes)


def test_large_tensors_are_looked_at_in_pieces(saved, monkeypatch):
    monkeypatch.setattr(checkpoint, "_CHUNK", 7)
    state = trained(20)
    state["state"][0]["exp_avg"][-1, -1] = torch.inf
    state["state"][0]["exp_avg"][0, 0] = -123.0
    checkup = examine(saved(state))
    assert checkup.findings == ["not finite: exp_avg of #0"]
    assert checkup.contents[0].buffers["exp_avg"].low == -123
    other = copy.deepcopy(state)
    other["state"][4]["exp_avg"][-1, -1] += 50
    said = found(examine(saved(state, "a.pt"), saved(other, "b.pt")))
    assert "exp_avg differs in 1 parameter, by 50 at most, in #4" in said


@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.complex64, torch.int8, torch.bool])
def test_every_type_can_be_looked_at(dtype, saved):
    state = trained(1, cls=torch.optim.SGD, momentum=0.9)
    for entry in state["state"].values():
        entry["momentum_buffer"] = entry["momentum_buffer"].to(dtype)
    path = saved(state)
    checkup = examine(path, path)
    assert list(checkup.contents[0].buffers["momentum_buffer"].dtypes) == [str(dtype)[6:]]


# The command --------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["checkpoint", *map(str, arguments)])


def test_the_command_in_words_and_as_json(saved, model):
    whole, broken = saved(trained(20), "whole.pt"), trained(20)
    remove_moment(broken)
    result = run(whole, "--model", model + "make")
    assert result.exit_code == 0
    assert "whole.pt: AdamW (torch.optim.AdamW), 6 parameters in 1 group" in result.stdout
    assert "group 0, 6 parameters: lr=0.001, betas=(0.9, 0.999), eps=1e-08" in result.stdout
    assert result.stdout.endswith("\nAll is well.\n")
    result = run(whole, saved(broken, "broken.pt"), "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["fine"] is False
    assert told["findings"] == ["B: missing: exp_avg_sq of #5", "missing in B: exp_avg_sq of #5"]
    first, second = told["files"]
    assert first["optimizers"][0]["optimizer"] == "AdamW"
    assert first["optimizers"][0]["buffers"]["exp_avg_sq"]["parameters"] == 6
    assert second["optimizers"][0]["buffers"]["exp_avg_sq"]["parameters"] == 5
    assert second["path"].endswith("broken.pt")


def test_the_command_refuses(tmp_path):
    result = run(tmp_path / "nothing.pt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot read" in result.stderr
    assert "Traceback" not in result.stderr


def test_in_a_notebook_and_in_one_line(saved):
    checkup = fault(nan_moment)(saved)
    assert repr(checkup).endswith("run.pt: 1 finding>")
    html = checkup._repr_html_()
    assert "Finding: not finite: exp_avg of #1." in html
    assert "<td" in html


def test_recognise_takes_what_lacks_later_flags(saved):
    state = trained(1, cls=torch.optim.SGD)
    for flag in ("foreach", "maximize", "differentiable", "fused"):
        del state["param_groups"][0][flag]
    (only,) = read_optimizers(saved(state))
    assert recognise(only) is myoptim.SGD


def test_states_keyed_by_names(saved):
    """As sharded training gathers them."""
    state = trained(20, named=True)
    (group,) = state["param_groups"]
    names = group.pop("param_names")
    group["params"] = names
    state["state"] = {name: state["state"][i] for i, name in enumerate(names)}
    path = saved(state, "b.pt")
    assert examine(saved(trained(20, named=True), "a.pt"), path).notes == ["A and B hold the same"]
    del state["state"]["1.bias"]["step"]
    assert examine(saved(state)).findings == ["missing: step of 1.bias"]
