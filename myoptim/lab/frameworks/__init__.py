"""Other frameworks' optimizers, in the shape that `compare`, `trace` and `race` need.

A framework's optimizer is written `keras:Adam`, or with arguments in the framework's own words,
`optax:adam(1e-3, b1=0.95)`. The call is parsed, never evaluated. Nothing of a framework is imported
before one of its optimizers is asked for.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.frameworks.adapter import Adapter, signature
from myoptim.lab.frameworks.calls import bind, check_literal, parse
from myoptim.lab.frameworks.dictionary import FRAMEWORKS, PARAMS, Entry, Reading, Words

ADAPTERS = {
    "keras": "KerasAdapter",
    "optax": "OptaxAdapter",
    "mlx": "MLXAdapter",
    "tinygrad": "TinygradAdapter",
    "sklearn": "SklearnAdapter",
    "paddle": "PaddleAdapter",
    "tf1": "TF1Adapter",
}
"""The class that adapts each framework, in the file of the framework's name."""

# The words of optimizers without a row.
_USUAL: Words = {"lr": "learning_rate", "eps": "epsilon"}
_USUAL_BETAS = (("beta_1", "beta_2"), ("b1", "b2"), ("beta1", "beta2"))


def names_framework(spec: str) -> bool:
    """Whether an optimizer is written as a framework's, `keras:Adam`."""
    return spec.partition(":")[0] in ADAPTERS


def adapter_of(spec: str) -> type[Adapter]:
    """The class for a framework's optimizer.

    Args:
        spec: `framework:name`, or `framework:name(arguments)` in the framework's words.

    Returns:
        A class that is constructed from parameters and settings in our words. What the call gave
        is its attribute `given`.

    Raises:
        UsageError: the framework is not installed, or there is no such optimizer or argument.
    """
    call = parse(spec)
    entry = FRAMEWORKS[call.framework].entries.get(call.name) or _discover(
        call.framework, call.name
    )
    arguments = {k: v for k, v in bind(entry, call).items() if entry.words.get(PARAMS) != k}
    return adapt(call.framework, entry, _given(entry, arguments))


def adapt(framework: str, entry: Entry, given: Mapping[str, Any] | None = None) -> type[Adapter]:
    """The class for an entry of the dictionary.

    Args:
        framework: a key of `ADAPTERS`.
        entry: the optimizer.
        given: settings in our words that take the place of its defaults.

    Raises:
        UsageError: the framework is not installed.
    """
    file = importlib.import_module(f"{__name__}.{framework}")
    file.module()
    base: type[Adapter] = getattr(file, ADAPTERS[framework])
    attributes = {
        "entry": entry,
        "given": dict(given or {}),
        "__signature__": signature(entry),
        "__module__": __name__,
        "__doc__": f"{entry.written}…), run by {framework} itself.",
    }
    return type(f"{framework}:{entry.name}", (base,), attributes)


def _given(entry: Entry, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a call gave and has an effect, in our words where there are any."""
    settings = entry.settings({**entry.arguments, **arguments})
    given: dict[str, Any] = {}
    without_word = {k: v for k, v in arguments.items() if k not in entry.without_effect}
    for ours, theirs in entry.words.items():
        names = (theirs,) if isinstance(theirs, str) else theirs
        if any(name in arguments for name in names):
            given[ours] = settings[ours]
        for name in names:
            without_word.pop(name, None)
    for name, value in without_word.items():
        check_literal(name, value, entry)
    return {**given, **without_word}


def _discover(framework: str, name: str) -> Entry:
    """An entry for an optimizer without a row, from its own signature."""
    file = importlib.import_module(f"{__name__}.{framework}")
    module = file.module()
    known = FRAMEWORKS[framework].entries
    make = file.find(name) if hasattr(file, "find") else getattr(module, name, None)
    if framework == "sklearn" or not callable(make) or name.startswith("_"):
        public = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown(
            f"optimizer of {framework}", name, known if framework == "sklearn" else public
        )
    parameters = inspect.signature(make).parameters.values()
    arguments = {
        p.name: p.default
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "device"
    }
    words: Words = {name: name for name in arguments}
    for ours, theirs in (*_USUAL.items(), *(("betas", pair) for pair in _USUAL_BETAS)):
        theirs_all = (theirs,) if isinstance(theirs, str) else theirs
        if all(name in arguments for name in theirs_all):
            words = {k: v for k, v in words.items() if v not in theirs_all}
            words[ours] = theirs
    if PARAMS not in arguments and "parameters" in arguments:
        words = {k: v for k, v in words.items() if v != "parameters"} | {PARAMS: "parameters"}
    if not arguments or not ({"learning_rate", "lr"} & arguments.keys()):
        raise UsageError(f"{framework}:{name} takes no learning rate, so it is no optimizer")
    return Entry(name, arguments, words, {None: Reading(lambda *_: None)}, written=f"{name}(")
