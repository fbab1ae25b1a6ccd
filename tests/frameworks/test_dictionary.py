"""The dictionary's names, order and defaults are those of the frameworks."""

import importlib
import inspect

import pytest

from myoptim.lab.frameworks import ADAPTERS
from myoptim.lab.frameworks.dictionary import FRAMEWORKS, PARAMS, REQUIRED, SOME

ROWS = [(name, row) for name in ADAPTERS for row in FRAMEWORKS[name].entries]


def signature(framework, row):
    found = module(framework)
    if framework != "sklearn":
        place = found if hasattr(found, row) else found.contrib
        return inspect.signature(getattr(place, row)).parameters
    neural_network = pytest.importorskip("sklearn.neural_network")
    return inspect.signature(neural_network.MLPClassifier).parameters


@pytest.mark.parametrize(("framework", "row"), ROWS)
def test_names_order_and_defaults(framework, row, installed):
    installed([framework])
    entry = FRAMEWORKS[framework].entries[row]
    theirs = signature(framework, row)
    assert set(entry.arguments) <= set(theirs)
    for name, default in entry.arguments.items():
        actual = theirs[name].default
        if default is REQUIRED:  # or None, with which it fails
            assert actual is REQUIRED or actual is None, name
        elif default is SOME:
            assert actual is not REQUIRED, name
        else:
            assert default == actual, name
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    all_of_theirs = [name for name, p in theirs.items() if p.kind not in kinds]
    assert list(entry.arguments) == [name for name in all_of_theirs if name != "solver"]


@pytest.mark.parametrize(("framework", "row"), ROWS)
def test_words_are_arguments_of_both_sides(framework, row):
    entry = FRAMEWORKS[framework].entries[row]
    for reading in entry.here.values():
        ours = inspect.signature(reading.cls).parameters
        for word, theirs in entry.words.items():
            assert word in ours or word == PARAMS, word
            for name in (theirs,) if isinstance(theirs, str) else theirs:
                assert name in entry.arguments


def module(framework):
    return importlib.import_module(f"myoptim.lab.frameworks.{framework}").module()


def derived(namespace, base):
    """The classes of a module that derive from one."""
    return {n for n, v in vars(namespace).items() if isinstance(v, type) and issubclass(v, base)}


def with_a_rate(namespace):
    """The functions of a module that take a learning rate first, as an optimizer of optax does."""
    functions = {
        name: list(inspect.signature(value).parameters)
        for name, value in vars(namespace).items()
        if inspect.isfunction(value) and not name.startswith(("_", "scale_by"))
    }
    return {name for name, takes in functions.items() if takes and "learning_rate" in takes[0]}


def public(framework):
    """What a framework's modules call an optimizer."""
    found = module(framework)
    if framework == "optax":
        return with_a_rate(found) | with_a_rate(found.contrib)
    if framework == "tinygrad":
        return {
            name
            for name, value in vars(found).items()
            if getattr(value, "__module__", "") == found.__name__ and not name.startswith("_")
        }
    if framework == "sklearn":
        classifier = pytest.importorskip("sklearn.neural_network").MLPClassifier
        return set(classifier._parameter_constraints["solver"][0].options)
    if framework == "tf1":
        return {name for name in dir(found) if "ptimizer" in name}
    return derived(found, found.Optimizer)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_every_public_optimizer_has_a_row_or_a_reason(framework, installed):
    installed([framework])
    known = FRAMEWORKS[framework].entries.keys() | FRAMEWORKS[framework].others.keys()
    found = public(framework)
    assert len(found) >= 3
    assert found <= known, found - known


@pytest.mark.parametrize("framework", [name for name in ADAPTERS if name != "sklearn"])
def test_what_has_a_reason_is_there(framework, installed):
    installed([framework])
    found = module(framework)
    there = {*dir(found), *dir(getattr(found, "contrib", None))}
    assert FRAMEWORKS[framework].others.keys() <= there
