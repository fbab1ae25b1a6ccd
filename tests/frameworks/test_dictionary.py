"""The dictionary's names, order and defaults are those of the frameworks."""

import importlib
import inspect

import pytest

from myoptim.lab.frameworks import ADAPTERS
from myoptim.lab.frameworks.dictionary import FRAMEWORKS, PARAMS, REQUIRED

ROWS = [(name, row) for name in ADAPTERS for row in FRAMEWORKS[name].entries]


def signature(framework, row):
    module = importlib.import_module(f"myoptim.lab.frameworks.{framework}").module()
    if framework != "sklearn":
        return inspect.signature(getattr(module, row)).parameters
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
        else:
            assert default == actual, name
    if framework != "sklearn":  # its arguments stand among others, and are given by name only
        known = list(theirs)[: len(entry.arguments)]
        assert list(entry.arguments)[: len(known)] == known


@pytest.mark.parametrize(("framework", "row"), ROWS)
def test_words_are_arguments_of_both_sides(framework, row):
    entry = FRAMEWORKS[framework].entries[row]
    for reading in entry.here.values():
        ours = inspect.signature(reading.cls).parameters
        for word, theirs in entry.words.items():
            assert word in ours or word == PARAMS, word
            for name in (theirs,) if isinstance(theirs, str) else theirs:
                assert name in entry.arguments
