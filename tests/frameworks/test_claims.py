"""Every sentence of the page about frameworks, against the frameworks themselves."""

import warnings
from dataclasses import replace

import pytest
from frameworks.claims import CLAIMS, LR, outcome

from myoptim.dialects import DIALECTS
from myoptim.lab.frameworks import ADAPTERS
from myoptim.lab.frameworks.dictionary import FRAMEWORKS

EQUALITIES = [claim for claim in CLAIMS.values() if claim.differs_at is None]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_the_runs_say_what_the_page_says(claim, installed, results):
    installed(claim.frameworks)
    found = claim.run()
    assert (found.first and found.first.step) == claim.differs_at, found
    if found.first is not None:
        assert found.distance > 1e-3  # far from any rounding
    results[claim.id] = outcome(claim, found)


def other_values(settings):
    """The settings with each number moved by a sixteenth, and each flag turned."""
    for name, value in settings.items():
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, tuple):
            for place, number in enumerate(value):
                yield name, (*value[:place], number * 0.9375, *value[place + 1 :])
        elif value and not isinstance(value, str):
            yield name, value * 0.9375


@pytest.mark.parametrize("claim", EQUALITIES, ids=lambda claim: claim.id)
def test_an_equality_could_fail(claim, installed):
    """Any other value of any setting of one side makes the two differ."""
    installed(claim.frameworks)
    spec, settings = claim.a
    for name, value in other_values(settings):
        if name == "initial_accumulator_value" and settings == LR:
            continue
        if name == "momentum_decay" and value > 1000:
            continue  # the momentum is constant either way
        if name == "min_size_to_factor" and value > 100:
            continue  # all matrices are smaller
        found = replace(claim, a=(spec, {**settings, name: value})).run()
        assert found.first is not None, (name, value)


def test_every_row_of_the_dictionary_is_in_a_run_that_shows_equality():
    shown = {
        spec.partition("(")[0] for claim in EQUALITIES for spec, _ in (claim.a, claim.b)
        if isinstance(spec, str)
    }  # fmt: skip
    rows = {f"{name}:{row}" for name in ADAPTERS for row in FRAMEWORKS[name].entries}
    assert rows <= shown, rows - shown


def test_every_dialect_is_in_a_run_that_shows_equality():
    shown = {claim.a[0] for claim in EQUALITIES} | {claim.b[0] for claim in EQUALITIES}
    dialects = {f"myoptim.dialects:{name}" for name in DIALECTS}
    assert dialects <= shown, dialects - shown


def test_frameworks_do_not_share_settings_of_each_other(installed):
    """Keras's default type stays what it was, and JAX's."""
    installed(["keras", "optax"])
    import jax.numpy
    import keras

    CLAIMS["keras-optax-adagrad"].run()
    assert keras.config.floatx() == "float32"
    assert jax.numpy.asarray(1.0).dtype == "float32"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CLAIMS["keras-counts"].run()
