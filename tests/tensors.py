"""Parameters and gradients of every shape, dtype and layout, and hypothesis strategies for them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)

SHAPES = [(), (0,), (1,), (5,), (2, 0, 3), (1, 4), (4, 3), (3, 1, 2), (2, 3, 4, 5), (1, 2, 1, 3)]
LARGE = [(131_073,), (300_001,), (517, 600), (3, 40_000, 3), (2, 3, 200, 260)]


# How a tensor lies in memory ------------------------------------------------------------------


def contiguous(values: Tensor) -> Tensor:
    return values.clone(memory_format=torch.contiguous_format)


def transposed(values: Tensor) -> Tensor:
    """The order of dimensions in memory reversed, as after `.t()`."""
    order = list(range(values.ndim))[::-1]
    return values.permute(order).clone(memory_format=torch.contiguous_format).permute(order)


def channels_last(values: Tensor) -> Tensor:
    if values.ndim != 4:
        return contiguous(values)
    return contiguous(values).to(memory_format=torch.channels_last)


def strided(values: Tensor) -> Tensor:
    """Every other element of a larger tensor."""
    return torch.stack([values, torch.ones_like(values)], dim=-1)[..., 0]


def view(values: Tensor) -> Tensor:
    """A contiguous piece from the middle of a flat buffer."""
    n = values.numel()
    buffer = torch.ones(n + 7, dtype=values.dtype)
    buffer[3 : 3 + n] = values.flatten()
    return buffer[3 : 3 + n].view(values.shape)


def negated(values: Tensor) -> Tensor:
    """The lazy negation that `.conj().imag` leaves behind; real dtypes only."""
    return contiguous(values) if values.is_complex() else torch._neg_view(-values)


def expanded(values: Tensor) -> Tensor:
    """All elements are one element: what `ones(()).expand(shape)` gives. Only for gradients."""
    first = values.flatten()[:1].sum()
    return first.expand(values.shape)


def sparse(values: Tensor) -> Tensor:
    """Uncoalesced: the values of every other row in two parts at the same index."""
    if values.ndim == 0:
        return contiguous(values)
    rows = torch.arange(0, values.shape[0], 2)
    half = values[rows] / 2
    return torch.sparse_coo_tensor(
        torch.cat([rows, rows]).unsqueeze(0), torch.cat([half, half]), values.shape
    )


def empty_sparse(values: Tensor) -> Tensor:
    """No row has a gradient, as of an embedding that no sample looked up."""
    if values.ndim == 0:
        return contiguous(values)
    return torch.sparse_coo_tensor(
        torch.empty(1, 0, dtype=torch.int64), values[:0], values.shape, is_coalesced=True
    )


Layout = Callable[[Tensor], Tensor]
LAYOUTS: list[Layout] = [contiguous, transposed, channels_last, strided, view]
GRADIENT_LAYOUTS: list[Layout] = [*LAYOUTS, negated, expanded]
SPARSE_LAYOUTS: list[Layout] = [sparse, empty_sparse]


# What stands in it ------------------------------------------------------------------------------


def normal(shape: tuple[int, ...], dtype: torch.dtype, source: torch.Generator) -> Tensor:
    wide = torch.complex128 if dtype.is_complex else torch.float64
    return torch.randn(shape, dtype=wide, generator=source).to(dtype)


def scaled(by: Callable[[torch.finfo], float]) -> Callable[..., Tensor]:
    def make(shape: tuple[int, ...], dtype: torch.dtype, source: torch.Generator) -> Tensor:
        wide = torch.complex128 if dtype.is_complex else torch.float64
        return (torch.randn(shape, dtype=wide, generator=source) * by(torch.finfo(dtype))).to(dtype)

    return make


def constant(value: float) -> Callable[..., Tensor]:
    def make(shape: tuple[int, ...], dtype: torch.dtype, source: torch.Generator) -> Tensor:
        filled = torch.full(shape, abs(value), dtype=dtype)
        return -filled if str(value).startswith("-") else filled

    return make


def sprinkled(*strange: float) -> Callable[..., Tensor]:
    """Normal values, a quarter of them replaced by strange ones."""

    def make(shape: tuple[int, ...], dtype: torch.dtype, source: torch.Generator) -> Tensor:
        values = normal(shape, dtype, source)
        which = torch.randint(0, 4 * len(strange), shape, generator=source)
        for i, value in enumerate(strange):
            filling = torch.tensor(value, dtype=torch.float64).to(dtype)  # inf where too large
            values = torch.where(which == i, filling, values)
        return values

    return make


KINDS: dict[str, Callable[..., Tensor]] = {
    "normal": normal,
    "zero": constant(0.0),
    "negative zero": constant(-0.0),
    "near eps": scaled(lambda info: 1e-8),
    "denormal": scaled(lambda info: info.tiny / 8),
    "large": scaled(lambda info: info.max**0.5),
    "huge": scaled(lambda info: info.max / 2),
    "infinite": sprinkled(float("inf"), -float("inf")),
    "nan": sprinkled(float("nan")),
    "everything": sprinkled(0.0, -0.0, 1e-30, -1e-40, 1e30, float("inf"), float("nan")),
}
FINITE = [kind for kind in KINDS if kind not in ("infinite", "nan", "everything")]


@dataclass(frozen=True)
class Spec:
    """One tensor: shape, dtype, and how it lies in memory."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    layout: Layout = contiguous

    def __repr__(self) -> str:
        return f"{str(self.dtype)[6:]}{list(self.shape)} {self.layout.__name__}"

    def values(self, kind: str, source: torch.Generator) -> Tensor:
        return KINDS[kind](self.shape, self.dtype, source)

    def parameter(self, source: torch.Generator) -> Tensor:
        return self.layout(self.values("normal", source))

    def gradient(self, kind: str, source: torch.Generator, layout: Layout | None = None) -> Tensor:
        return (layout or self.layout)(self.values(kind, source))


def source(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Strategies -------------------------------------------------------------------------------------

seeds = st.integers(0, 2**31)


def specs(dtypes: tuple[torch.dtype, ...] = DTYPES) -> st.SearchStrategy[Spec]:
    """One tensor, now and then a large one."""
    shapes = st.sampled_from(SHAPES * 8 + LARGE)
    return st.builds(Spec, shapes, st.sampled_from(dtypes), st.sampled_from(LAYOUTS))


@st.composite
def models(draw: st.DrawFn, dtypes: tuple[torch.dtype, ...] = DTYPES) -> list[Spec]:
    """Some tensors, of which one small one may come in large numbers, so that it is gathered."""
    chosen = draw(st.lists(specs(dtypes), min_size=1, max_size=4))
    many = draw(st.sampled_from([0, 0, 0, 1, 3, 40, 120]))
    small = draw(st.builds(Spec, st.sampled_from(SHAPES[2:8]), st.sampled_from(dtypes)))
    return chosen + [small] * many


def gradient_layouts(sparse: bool = False) -> st.SearchStrategy[Layout | None]:
    """None stands for the layout of the parameter, which is what autograd gives."""
    layouts = GRADIENT_LAYOUTS + (SPARSE_LAYOUTS if sparse else [])
    return st.one_of(st.none(), st.none(), st.sampled_from(layouts))
