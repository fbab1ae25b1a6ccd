"""Distances in units in the last place, against the numbers put in order."""

import pytest
import torch

from myoptim.lab.ulp import NAN_DISTANCE, ulp_distance

HALVES = [torch.float16, torch.bfloat16]
FLOATS = [*HALVES, torch.float32, torch.float64]


def in_order(dtype: torch.dtype) -> torch.Tensor:
    """Every number of a 16-bit dtype, least first; sorting by (value, sign) puts -0 before +0."""
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    numbers = every[~every.isnan()]
    negative = numbers[numbers.signbit()].double().sort().values
    positive = numbers[~numbers.signbit()].double().sort().values
    return torch.cat([negative, positive]).to(dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_distance_is_the_difference_of_places_in_the_order(dtype):
    numbers = in_order(dtype)
    places = torch.arange(len(numbers))
    for shift in (0, 1, 2, 1000, 30_000):
        a, b = numbers[: len(numbers) - shift], numbers[shift:]
        assert ulp_distance(a, b).equal(torch.full_like(places[shift:], shift))
        assert ulp_distance(b, a).equal(torch.full_like(places[shift:], shift))


@pytest.mark.parametrize("dtype", FLOATS[1:])  # torch has no nextafter for float16
def test_neighbours_are_one_apart(dtype):
    a = torch.tensor([1.0, -1.0, 3.3, 1e-30, -2.0, 1e30]).to(dtype)
    up = torch.nextafter(a, torch.tensor(torch.inf, dtype=dtype))
    assert ulp_distance(a, up).tolist() == [1] * 6


@pytest.mark.parametrize("dtype", FLOATS)
def test_special_values(dtype):
    nan, inf, largest = torch.nan, torch.inf, torch.finfo(dtype).max
    a = torch.tensor([0.0, 0.0, nan, nan, 1.0, inf, inf], dtype=dtype)
    b = torch.tensor([0.0, -0.0, nan, 1.0, nan, inf, largest], dtype=dtype)
    assert ulp_distance(a, b).tolist() == [0, 1, 0, NAN_DISTANCE, NAN_DISTANCE, 0, 1]


def test_a_distance_beyond_int64_is_still_positive_and_less_than_to_nan():
    far = ulp_distance(torch.tensor(-1e300).double(), torch.tensor(1e300).double())
    farther = ulp_distance(torch.tensor(-torch.inf).double(), torch.tensor(torch.inf).double())
    assert 0 < far <= farther < NAN_DISTANCE


def test_complex_numbers_are_as_far_apart_as_the_farther_part():
    a = torch.tensor([1 + 2j, 0j, complex(torch.nan, 1)])
    real = torch.nextafter(a.real, torch.tensor(torch.inf))
    b = torch.complex(real, a.imag)
    assert ulp_distance(a, b).tolist() == [1, 1, 0]


def test_shapes_are_kept_and_integers_subtracted():
    assert ulp_distance(torch.ones(2, 3), torch.ones(2, 3)).shape == (2, 3)
    assert ulp_distance(torch.ones(()), torch.ones(())).shape == ()
    assert ulp_distance(torch.empty(0), torch.empty(0)).shape == (0,)
    strided = torch.ones(4, 4).t()[::2]
    assert ulp_distance(strided, strided.clone()).sum() == 0
    assert ulp_distance(torch.tensor([3, 7]), torch.tensor([5, 7])).tolist() == [2, 0]


def test_unlike_tensors_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) torch.float32 and \(3,\)"):
        ulp_distance(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"float32.*float64"):
        ulp_distance(torch.ones(2), torch.ones(2).double())
