"""Finding optimizers by name, and what is said when other people's code is at fault."""

import sys

import pytest
import torch

import myoptim
from myoptim.lab.errors import UsageError
from myoptim.lab.resolve import construct, label_of, load_object, resolve, user_code


@pytest.fixture
def write(tmp_path):
    """Writes a file of Python and returns its path."""

    def write(name, source):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return path

    return write


def message(function, *args):
    with pytest.raises(UsageError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize("name", ["SGD", "sgd", "rmsprop", "RMSProp", "ADAMW"])
def test_our_optimizers_by_name_in_any_case(name):
    cls = resolve(name)
    assert cls in myoptim.OPTIMIZERS.values()
    assert cls.__name__.lower() == name.lower()


def test_a_class_of_a_module():
    assert resolve("torch.optim:Adam") is torch.optim.Adam


def test_a_class_of_a_file(write):
    path = write("mine.py", "class Mine:\n    def step(self): return 7\n")
    assert resolve(f"{path}:Mine")().step() == 7


def test_a_module_in_the_working_directory(write, monkeypatch):
    path = write("beside_me.py", "class Mine:\n    def step(self): ...\n")
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert resolve("beside_me:Mine").__name__ == "Mine"
    del sys.modules["beside_me"]


def test_labels():
    assert label_of("adam") == "Adam"
    assert label_of("torch.optim:Adam") == "torch.optim:Adam"
    assert label_of(torch.optim.Adam) == "Adam"


# Files ------------------------------------------------------------------------------------------


def test_files_of_equal_names_in_two_folders_do_not_meet(write):
    for folder in ("one", "two"):
        write(f"{folder}/helper.py", f"WHERE = {folder!r}")
        write(f"{folder}/mine.py", "from helper import WHERE\n")
    paths = [write("one/x", "").parent / "mine.py", write("two/x", "").parent / "mine.py"]
    assert [load_object(f"{path}:WHERE") for path in paths] == ["one", "two"]
    assert "helper" not in sys.modules
    assert "mine" not in sys.modules


def test_loading_leaves_the_search_path_as_it_was(write):
    before = list(sys.path)
    load_object(f"{write('mine.py', 'X = 1')}:X")
    assert sys.path == before


def test_a_file_with_dataclasses(write):
    source = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    source += "@dataclass\nclass Mine:\n    lr: float = 0.5\n    def step(self): ...\n"
    assert resolve(f"{write('mine.py', source)}:Mine")().lr == 0.5


def test_what_a_file_prints_keeps_out_of_standard_output(write, capsys):
    load_object(f"{write('mine.py', 'print(1234); X = 1')}:X")
    assert capsys.readouterr() == ("", "1234\n")


# Errors -----------------------------------------------------------------------------------------


def test_an_unknown_name_brings_the_nearest():
    said = message(resolve, "adm")
    assert "unknown optimizer 'adm': did you mean Adam" in said
    assert "RMSprop" in said
    assert "file.py:Class" in said


def test_an_unknown_class_of_a_module_brings_the_nearest():
    assert "'Adamm': did you mean Adam" in message(resolve, "torch.optim:Adamm")


@pytest.mark.parametrize("spec", ["x:y:", ":Adam", "mine.py:", "mine.py:two words"])
def test_a_spec_of_another_form(spec):
    assert "expected module:Name or file.py:Name" in message(load_object, spec)


def test_a_file_without_a_class():
    assert "as in mine.py:SGD" in message(resolve, "mine.py")


def test_no_such_file_and_no_such_module(tmp_path):
    said = message(resolve, f"{tmp_path}/none.py:SGD")
    assert "cannot read" in said
    assert "No such file" in said
    assert "No module named 'nowhere'" in message(resolve, "nowhere:SGD")


def test_a_folder_and_bytes_that_are_not_text(tmp_path):
    (tmp_path / "folder.py").mkdir()
    assert "cannot read" in message(resolve, f"{tmp_path}/folder.py:SGD")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    assert "SyntaxError" in message(resolve, f"{tmp_path}/bytes.py:SGD")


def test_a_syntax_error_shows_its_line(write):
    said = message(resolve, f"{write('mine.py', 'x = 1' + chr(10) + 'def step(:')}:SGD")
    assert "line 2" in said
    assert "def step(:" in said
    assert "SyntaxError" in said


@pytest.mark.parametrize("failing", ["1 / 0", "exit(3)", "raise KeyError('why')"])
def test_an_error_while_loading_shows_the_files_frames_and_not_ours(write, failing):
    said = message(resolve, f"{write('mine.py', f'def f():{chr(10)}    {failing}{chr(10)}f()')}:X")
    assert "mine.py" in said
    assert failing in said
    assert "resolve.py" not in said


def test_not_an_optimizer():
    assert "is a module" in message(resolve, "torch:optim")
    assert "is a class without step()" in message(resolve, "torch:Tensor")


def test_an_unknown_hyper_parameter_brings_the_nearest():
    said = message(construct, torch.optim.SGD, [torch.ones(1)], {"momentun": 0.9}, "SGD")
    assert "unknown hyper-parameter of SGD 'momentun': did you mean momentum?" in said
    assert "weight_decay" in said


def test_a_missing_hyper_parameter():
    class Mine:
        def __init__(self, params, lr): ...

    assert "missing a required argument: 'lr'" in message(construct, Mine, [], {}, "Mine")


def test_any_hyper_parameter_where_the_class_takes_any():
    class Mine:
        def __init__(self, params, **kwargs):
            self.kwargs = kwargs

    assert construct(Mine, [], {"anything": 1}, "Mine").kwargs == {"anything": 1}


def test_a_refused_value():
    said = message(construct, myoptim.SGD, [torch.ones(1)], {"lr": -1.0}, "A (SGD)")
    assert said.startswith("constructing A (SGD) raised an error:\nValueError: ")
    assert "-1.0" in said


def test_long_tracebacks_are_cut(write):
    path = write("mine.py", "def f(n): g(n)\ndef g(n): f(n)\nf(0)\n")
    said = message(load_object, f"{path}:f")
    assert "RecursionError" in said
    assert len(said.splitlines()) < 60


def test_usage_errors_inside_user_code_stay_as_they_are():
    def refuse():
        with user_code("doing"):
            raise UsageError("plain")

    assert message(refuse) == "plain"
