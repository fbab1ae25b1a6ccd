"""The one table of elementwise operators, and the proxies that stand for tensors in a rule.

A rule calls methods of tensors (`m.lerp_(g, w)`), functions of torch (`torch.where(c, a, b)`) and
Python's operators (`b * v + g`). Called on a proxy, each becomes a method of the proxy's class,
which carries it out in that class's way: over lists (`foreach.py`), in memory used before
(`workspace.py`), as a function (`functional.py`), as a node of a graph (`graph.py`), on some
elements only (`sparse.py`). Each of these derives its methods from the table, so that a new
operator is one row here. What is not in the table is not elementwise, or not known: the error
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

#: What an operator is called with, besides the tensor that it is a method of: nothing; one tensor
#: or number; the same, scaled by `alpha`; two tensors, their product or quotient scaled by `value`;
#: an end and a weight; anything.
Form = Literal["unary", "binary", "scaled", "product", "lerp", "any"]


@dataclass(frozen=True)
class Operator:
    """An elementwise operator of torch.

    Attributes:
        name: that of the method out of place; in place it ends in an underscore.
        form: what it is called with.
        kernel: whether torch has it over lists, `torch._foreach_<name>`.
        variants: whether there is a method out of place, in place, or both.
        compares: whether it makes truth values of numbers.
        splits: whether an element has the same bits wherever in a tensor it stands. Kernels compute
            most of a tensor in vectors and what is left over one by one, and the two may differ.
    """

    name: str
    form: Form
    kernel: bool = True
    variants: Literal["both", "out of place", "in place"] = "both"
    compares: bool = False
    splits: Literal["always", "never", "by exponent", "by weight", "unless zeros tie"] = "always"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its methods."""
        plain, in_place = (self.name,), (f"{self.name}_",)
        return {"both": plain + in_place, "out of place": plain, "in place": in_place}[
            self.variants
        ]


def _same(form: Form, names: str, **more: Any) -> list[Operator]:
    return [Operator(name, form, **more) for name in names.split()]


OPERATORS: tuple[Operator, ...] = (
    *_same("unary", "abs neg reciprocal rsqrt sign sqrt"),
    *_same("unary", "exp log expm1 log1p sigmoid tanh", splits="never"),
    *_same("unary", "square logical_not isnan", kernel=False, variants="out of place"),
    *_same("scaled", "add sub"),
    *_same("binary", "mul div"),
    Operator("pow", "binary", splits="by exponent"),
    *_same("binary", "clamp_min clamp_max", splits="unless zeros tie"),
    *_same("binary", "maximum minimum", variants="out of place", splits="unless zeros tie"),
    Operator("copy", "binary", variants="in place"),
    Operator("zero", "unary", variants="in place"),
    *_same("binary", "eq ne lt le gt ge", kernel=False, variants="out of place", compares=True),
    *_same("binary", "logical_and logical_or", kernel=False, variants="out of place"),
    Operator("atan2", "binary", kernel=False, splits="never"),
    Operator("fill", "binary", kernel=False, variants="in place"),
    *_same("product", "addcmul addcdiv"),
    Operator("lerp", "lerp", splits="by weight"),
    Operator("clamp", "any", kernel=False),
    Operator("masked_fill", "any", kernel=False),
    Operator("where", "any", kernel=False, variants="out of place"),
)

#: Every operator by the name of its method, in place ones with their underscore.
BY_NAME: dict[str, Operator] = {name: op for op in OPERATORS for name in op.names}

#: A power with one of these exponents is a product, a root or a quotient, whatever the position.
EXACT_EXPONENTS = (-2, -1, -0.5, 0.5, 1, 2, 3)

#: An average that keeps less than this rounds to one that keeps nothing. `lerp` with weight 1 takes
#: over the sign of a zero or not, depending on where the element stands.
KEEPS_NOTHING = 2**-24


class NotElementwiseError(AttributeError):
    """A rule used something that is no elementwise operator, or is not known."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is not an elementwise operator that myoptim knows, so a rule that uses it "
            "cannot be run over lists, slices and compiled kernels: derive the optimizer from "
            "TensorRule, which gives the rule real tensors, or write the rule with "
            f"{', '.join(sorted({op.name for op in OPERATORS}))}"
        )


class Proxy:
    """Stands for a tensor in a rule. A subclass gives a method for each name in `BY_NAME`."""

    __slots__ = ()

    is_sparse: ClassVar[bool] = False
    requires_grad: ClassVar[bool] = False

    def is_complex(self) -> bool:
        """Of complex tensors the real view is taken before a proxy is made, unless it says so."""
        return False

    def is_conj(self) -> bool:
        """Likewise."""
        return False

    def __getattr__(self, name: str) -> Any:
        raise NotElementwiseError(name)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A function of torch is the method of the same name of its first argument."""
        name = getattr(func, "__name__", str(func))
        if name == "where" and len(args) == 3:
            return _where(*args)
        names = {"clip": "clamp", "true_divide": "div", "multiply": "mul", "negative": "neg"}
        name = {**names, "subtract": "sub", "divide": "div", "absolute": "abs"}.get(name, name)
        if name not in BY_NAME or not isinstance(args[0], Proxy):
            raise NotElementwiseError(name)
        return getattr(args[0], name)(*args[1:], **(kwargs or {}))

    # Python's operators, as torch.Tensor defines them.

    def __neg__(self) -> Any:
        return self.neg()

    def __abs__(self) -> Any:
        return self.abs()

    def __add__(self, other: Any) -> Any:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self.sub(other)

    def __rsub__(self, other: Any) -> Any:
        return self.neg().add(other)

    def __mul__(self, other: Any) -> Any:
        return self.mul(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.div(other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.reciprocal().mul(other)

    def __pow__(self, other: Any) -> Any:
        return self.pow(other)

    def __iadd__(self, other: Any) -> Any:
        return self.add_(other)

    def __isub__(self, other: Any) -> Any:
        return self.sub_(other)

    def __imul__(self, other: Any) -> Any:
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> Any:
        return self.div_(other)

    def __ipow__(self, other: Any) -> Any:
        return self.pow_(other)

    def __lt__(self, other: Any) -> Any:
        return self.lt(other)

    def __le__(self, other: Any) -> Any:
        return self.le(other)

    def __gt__(self, other: Any) -> Any:
        return self.gt(other)

    def __ge__(self, other: Any) -> Any:
        return self.ge(other)

    def __eq__(self, other: object) -> Any:
        return self.eq(other)

    def __ne__(self, other: object) -> Any:
        return self.ne(other)

    def __and__(self, other: Any) -> Any:
        return self.logical_and(other)

    def __or__(self, other: Any) -> Any:
        return self.logical_or(other)

    def __invert__(self) -> Any:
        return self.logical_not()

    __hash__ = object.__hash__

    # Python asks the class for these, not `__getattr__`.

    def __bool__(self) -> bool:
        raise NotElementwiseError("bool()")

    def __float__(self) -> float:
        raise NotElementwiseError("float()")

    def __len__(self) -> int:
        raise NotElementwiseError("len()")

    def __iter__(self) -> Iterator[Any]:
        raise NotElementwiseError("iter()")

    def __getitem__(self, index: Any) -> Any:
        raise NotElementwiseError("indexing")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NotElementwiseError("indexing")

    def __matmul__(self, other: Any) -> Any:
        raise NotElementwiseError("@")


P = TypeVar("P", bound=Proxy)


def _where(condition: Any, chosen: Any, other: Any) -> Any:
    """`torch.where` by the method of whichever of its arguments is a proxy."""
    if isinstance(chosen, Proxy):
        return chosen.where(condition, other)
    if isinstance(other, Proxy):
        return other.masked_fill(condition, chosen)
    raise NotElementwiseError("where() of two numbers")


def implement(
    make: Callable[[str, Operator], Callable[..., Any]],
) -> Callable[[type[P]], type[P]]:
    """A class decorator: the methods of a proxy, one for each name of the table.

    Args:
        make: a method from its name and operator; names that the class defines itself are left out.
    """

    def decorate(cls: type[P]) -> type[P]:
        for name, op in BY_NAME.items():
            if name not in vars(cls):
                method = make(name, op)
                method.__name__ = name
                setattr(cls, name, method)
        return cls

    return decorate
