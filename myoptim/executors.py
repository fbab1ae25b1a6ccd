"""How one rule runs over many tensors: one by one, over lists, in slices, as pure functions.

An `update` is a function `update(param, grad, *buffers)` that changes its tensors in place, the
gradient excepted. An executor calls it for the parameters of a group, which it is given as columns,
`[params, grads, *buffers]`; the i-th entries of all columns are the row of parameter i. Nothing
here knows an algorithm, and no algorithm knows what is here: an executor hands the update tensors,
or things that behave like tensors (`stand_ins.py`). Which executor a parameter gets is decided in
`choose` and `part_by_device`:

===========================================================  ==============
`differentiable`, `capturable`, inside torch.compile         `pure`
`fused=True`                                                 `fused`
`foreach=False`; sparse, complex, half precision on a CPU,   `one_by_one`
tensor subclasses
all other tensors on an accelerator                          `over_lists`
all other tensors on a CPU                                   `cache_sized`
===========================================================  ==============

On a CPU all but `pure` and `fused` give the same bits. There `cache_sized` decides further:

===========================================================  ==============
few tensors, or no buffers, that fit the cache together;     `over_lists`
any tensors, if the rule is one statement
more elements than fit the cache                             `in_slices`
small and many, if the rule has more statements than a row   `gathered`
has tensors
all others, as many at a time as fit the cache               `over_lists`
===========================================================  ==============

What cannot be updated in that way, because tensors of a row differ, share memory with others, or
do not lie in one piece, goes one by one there.
"""

# List kernels and the names of devices have no public names in torch; its optimizers use these.
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch.utils._foreach_utils import (
    _get_foreach_kernels_supported_devices as foreach_devices,
)

from myoptim.stand_ins import (
    CpuTensorList,
    Elements,
    Program,
    Pure,
    Recorder,
    Spare,
    SpareTensorList,
    TensorList,
)

Update = Callable[..., None]
Row = Sequence[Tensor]
Columns = list[list[Tensor]]
Scalars = dict[str, Any]
Flags = dict[str, Any]
Executor = Callable[[Update, Columns], None]

#: Where a row has n tensors, three at least, those of more than IN_CACHE / (n - 1) elements are cut
#: into slices of so many, and others put together up to so many: what a rule reads and makes then
#: stays in the cache. On one tensor of 10 million elements Adam takes a third of the time.
IN_CACHE = 1_966_080

#: Up to this many elements most of the time of an update is Python's.
SMALL = 2_048

#: Small tensors are updated together up to this many elements.
TOGETHER = 32_768

#: So many parameters are taken at a time on a CPU: of so many tensors all but the elements stays in
#: the cache.
AT_A_TIME = 256

#: A kernel may count elements in 32 bits.
LONGEST = 2**30

#: In these a CPU gives the same bits in a list as by itself, and wherever in a tensor an element
#: stands. In half precision list kernels round their scalars in another way, and the vectorised
#: and the left-over elements of a tensor may differ.
EXACT = (torch.float32, torch.float64)

#: Copying so many small tensors into one, and the results back, costs less than list kernels if a
#: rule has more statements than a row has tensors.
WORTH_GATHERING = 32

PLAIN = frozenset((Parameter, Tensor))
FLOATING = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
is_sparse = operator.attrgetter("is_sparse")
dtype_of = operator.attrgetter("dtype")
device_of = operator.attrgetter("device")
shape_of = operator.attrgetter("shape")
ONE = torch.ones((), device="cpu")
CAPTURABLE_DEVICES = ("cuda", "xpu", "hpu", torch._C._get_privateuse1_backend_name(), "xla")


# --------------------------------------------------------------------------- choosing


def choose(flags: Flags, scalars: Scalars) -> Executor:
    """The executor for a parameter group.

    Args:
        flags: the group, read for `foreach`, `fused`, `differentiable`, `capturable`.
        scalars: the scalar arguments of the update; list kernels take only numbers.
    """
    if torch.compiler.is_compiling() or flags["differentiable"] or flags.get("capturable"):
        return pure
    if flags.get("fused"):
        return fused
    foreach = flags["foreach"]
    if foreach is False or (foreach is None and flags.get("fused") is False):
        return one_by_one
    if forward_ad._current_level >= 0:  # kernels that write to given memory give no tangents
        return one_by_one
    averages = (*scalars.get("betas", ()), scalars.get("alpha", 1.0))
    for value in (*averages, *scalars.values(), flags["weight_decay"]):
        if isinstance(value, Tensor):
            return one_by_one
    if min(averages) < 2**-24:
        # An average that keeps nothing takes over the sign of a zero, or not, depending on where
        # in a tensor the element stands: lerp with weight 1.
        return one_by_one
    return by_device


def by_device(update: Update, columns: Columns) -> None:
    """Each parameter in the fastest way that gives, on a CPU, the bits of `one_by_one`.

    On a CPU only so many at a time that what is asked of a tensor, again and again before it is
    updated, is still in the cache.
    """
    if len(columns[0]) <= AT_A_TIME or not columns[0][0].is_cpu:
        part_by_device(update, columns)
        return
    statements = count_statements(update, len(columns))
    for part in some_at_a_time(columns):
        part_by_device(update, part, statements)


def part_by_device(update: Update, columns: Columns, statements: int | None = None) -> None:
    """Choose for each parameter by the kind of its tensors, and where they are."""
    params, grads = columns[:2]
    if not are_plain(params, grads):
        odd = [i for i, row in enumerate(rows([params, grads])) if not are_plain(row[:1], row[1:])]
        singles, columns = split(columns, odd)
        for row in rows(singles):
            update(*local(row))
    try:
        groups = by_device_and_dtype(columns)
    except RuntimeError:  # tensors of one row differ: if that is an error, the update says which
        one_by_one(update, columns)
        return
    for (device, dtype), alike in groups.items():
        if device.type == "cpu" and dtype in EXACT:
            cache_sized(update, alike, statements)
        elif device.type in foreach_devices() and not dtype.is_complex:
            over_lists(update, alike)
        else:
            one_by_one(update, alike)


def are_plain(params: Sequence[Tensor], grads: Sequence[Tensor]) -> bool:
    """Whether no gradient is sparse and no tensor of a subclass."""
    types = {*map(type, params), *map(type, grads)}
    return types <= PLAIN and not any(map(is_sparse, grads))


def local(row: Row) -> Row:
    """The parts of distributed tensors that lie here, if all are cut alike; else the row as it is.

    A rule works element by element, so that the parts can be updated without any communication.
    """
    placements = getattr(row[0], "placements", None)
    if placements is None or any(placement.is_partial() for placement in placements):
        return row
    if any(getattr(tensor, "placements", None) != placements for tensor in row):
        return row
    return [cast("Any", tensor).to_local() for tensor in row]


# --------------------------------------------------------------------------- columns


def rows(columns: Columns) -> Iterator[tuple[Tensor, ...]]:
    """The tensors of one parameter after the other."""
    return zip(*columns, strict=True)


def split(columns: Columns, indices: Sequence[int]) -> tuple[Columns, Columns]:
    """The parameters at some places, and all others."""
    chosen = set(indices)
    others = [i for i in range(len(columns[0])) if i not in chosen]
    return take(columns, indices), take(columns, others)


def take(columns: Columns, indices: Sequence[int]) -> Columns:
    """The parameters at some places."""
    return [[column[i] for i in indices] for column in columns]


def some_at_a_time(columns: Columns) -> Iterator[Columns]:
    """The parameters, some at a time."""
    for i in range(0, len(columns[0]), AT_A_TIME):
        yield [column[i : i + AT_A_TIME] for column in columns]


def by_device_and_dtype(columns: Columns) -> dict[tuple[torch.device, torch.dtype], Columns]:
    """The parameters together that a kernel takes together.

    Raises:
        RuntimeError: a parameter, its gradient and its buffers are not of one device and type, as
            far as torch looks; see `are_mixed`.
    """
    if not columns[0]:
        return {}
    groups = torch._C._group_tensors_by_device_and_dtype(cast("Any", columns), False)
    return {key: cast("Columns", alike) for key, (alike, _) in groups.items()}


def are_mixed(columns: Columns) -> bool:
    """Whether tensors that were put together with parameters of one type are of another after all.

    torch lets some types pass, because a tensor may be a step counter.
    """
    params, *others = columns
    return not {*map(dtype_of, itertools.chain(*others))} <= {params[0].dtype}


def are_alike(columns: Columns) -> bool:
    """Whether all tensors are of one device and type, and those of a row of one shape.

    A checkpoint of parameters in another order may have brought state of other shapes.
    """
    params, *others = columns
    shapes = [param.shape for param in params]
    if any([tensor.shape for tensor in column] != shapes for column in others):
        return False
    if not params[0].is_cpu and len({*map(device_of, itertools.chain(*columns))}) > 1:
        return False
    return not are_mixed(columns)


# --------------------------------------------------------------------------- counting steps


def count_up(params: list[Tensor], counters: list[Tensor], flags: Flags) -> None:
    """Add one to the step counter of every parameter."""
    if torch.compiler.is_compiling():
        torch._foreach_add_(counters, 1)
        return
    if flags.get("capturable"):
        check_capturable(params, counters)
    if type(counters[0]) is Tensor and counters[0].is_cpu:
        # A number would be made a tensor anew for every counter.
        torch._foreach_add_(counters, ONE, alpha=1.0)
    else:
        torch._foreach_add_(counters, 1)


def check_capturable(params: list[Tensor], counters: list[Tensor]) -> None:
    """Raise, as torch does, unless a graph can hold the update of these parameters."""
    for param, counter in zip(params, counters, strict=True):
        device = param.device.type
        if device not in CAPTURABLE_DEVICES or counter.device.type != device:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{CAPTURABLE_DEVICES}; given were {device} and {counter.device.type}."
            )


def by_count(
    columns: Columns, counters: list[Tensor], flags: Flags
) -> Iterable[tuple[float | Tensor, Columns]]:
    """The parameters together whose counters are equal: a rule gets the count as a number.

    Reading a counter would end a graph: there every parameter stays by itself, with its own tensor.
    """
    if torch.compiler.is_compiling() or flags.get("capturable"):
        return [
            (counter, [[tensor] for tensor in row])
            for counter, row in zip(counters, rows(columns), strict=True)
        ]
    places: dict[float, list[int]] = {}
    counts = read(counters)
    if len(set(counts)) == 1:
        return [(counts[0], columns)]
    for i, count in enumerate(counts):
        places.setdefault(count, []).append(i)
    return [(count, take(columns, indices)) for count, indices in places.items()]


def read(counters: list[Tensor]) -> list[float]:
    """The counters as numbers; from an accelerator all at once, since each time waits for it."""
    if counters[0].is_cpu or len({counter.device for counter in counters}) > 1:
        return [counter.item() for counter in counters]
    return torch.stack(counters).tolist()


# --------------------------------------------------------------------------- one by one


def one_by_one(update: Update, columns: Columns) -> None:
    """The update on each parameter by itself: the loop that all others are measured against."""
    for row in rows(columns):
        update(*row)


# --------------------------------------------------------------------------- lists


def over_lists(update: Update, columns: Columns, spare: Spare | None = None) -> None:
    """The update on parameters of one device and type at once: few kernel launches.

    Args:
        update: the update.
        columns: the parameters.
        spare: memory to work in, on a CPU, for as many elements as there are.
    """
    alone = len(columns[0]) == 1 and not spare
    if alone or share_memory(columns[0]) or are_mixed(columns):
        one_by_one(update, columns)
    elif spare:
        update(*[SpareTensorList(column, spare) for column in columns])
    else:
        kind = CpuTensorList if columns[0][0].is_cpu else TensorList
        update(*map(kind, columns))


def share_memory(tensors: list[Tensor]) -> bool:
    """Whether two of the tensors begin at one place: then one must be updated after the other.

    Tensors that overlap otherwise are not looked for.
    """
    return len({*map(Tensor.data_ptr, tensors)}) < len(tensors)


# --------------------------------------------------------------------------- cache-sized


def cache_sized(update: Update, columns: Columns, statements: int | None = None) -> None:
    """The update on pieces of a good size: large tensors cut, others together.

    Most of a step on a CPU is waiting, for memory when tensors are large and for Python when they
    are small. The temporaries of a piece stay in the cache, and do not grow with the model.

    Args:
        update: the update.
        columns: parameters of one type.
        statements: of the update, if they were counted.
    """
    sizes = [param.numel() for param in columns[0]]
    width = len(columns)
    in_cache = IN_CACHE // max(width - 1, 2)
    if (len(sizes) < WORTH_GATHERING or width == 2) and sum(sizes) <= in_cache:
        over_lists(update, columns)  # in fresh memory: of so little, it is likely in the cache
        return
    statements = statements or count_statements(update, width)
    if statements == 1:  # one pass over memory as it is
        over_lists(update, columns)
        return
    spare = _cached.spare(in_cache, columns[0][0].dtype)
    small, others = by_size(sizes) if statements > width else ([], range(len(sizes)))
    for places in pieces(small, sizes, TOGETHER):
        small_together(update, take(columns, places))
    for places in pieces(others, sizes, in_cache):
        piece = take(columns, places)
        if sizes[places[0]] > in_cache:
            in_slices(update, next(rows(piece)), spare)
        else:
            over_lists(update, piece, spare)


def count_statements(update: Update, width: int) -> int:
    """How many statements an update of `width` tensors has."""
    return len(record(update, width)[0])


def by_size(sizes: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The places of the small tensors, if they are enough to gather, and of all others."""
    small = [i for i, size in enumerate(sizes) if size <= SMALL]
    if len(small) < WORTH_GATHERING:
        return [], range(len(sizes))
    return small, [i for i, size in enumerate(sizes) if size > SMALL]


def pieces(places: Sequence[int], sizes: Sequence[int], limit: int) -> list[list[int]]:
    """The places in pieces that hold at most `limit` elements or are a single one."""
    found: list[list[int]] = []
    room = -1
    for i in places:
        if sizes[i] > room:
            found.append([])
            room = limit
        found[-1].append(i)
        room -= sizes[i]
    return found


def in_slices(update: Update, row: Row, spare: Spare) -> None:
    """The update on one slice after the other, or on the whole if it cannot be cut."""
    if not (is_contiguous(row) and are_alike([[tensor] for tensor in row])):
        update(*row)
        return
    for part in cut(row, spare.length):
        update(*[SpareTensorList([tensor], spare) for tensor in part])


def cut(row: Row, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Contiguous tensors in slices of at most `size` elements."""
    return zip(*(flat(tensor).split(size) for tensor in row), strict=True)


def is_contiguous(tensors: Sequence[Tensor]) -> bool:
    """Whether the elements of each tensor lie in memory in their order, as they are."""
    return all(map(Tensor.is_contiguous, tensors)) and not any(map(Tensor.is_neg, tensors))


def flat(tensor: Tensor) -> Tensor:
    """The elements in one dimension; of a contiguous tensor in the same memory."""
    return tensor if tensor.dim() == 1 else tensor.ravel()


def small_together(update: Update, columns: Columns) -> None:
    """The update on small parameters of one type at once, gathered into one if they can be."""
    if are_alike(columns) and not share_memory(columns[0]):
        gathered(update, columns)
    else:
        over_lists(update, columns)


def gathered(run: Callable[..., None], columns: Columns) -> None:
    """Run an update on the parameters copied into flat tensors, and copy the results back."""
    param = columns[0][0]
    make = _cached.scratch if param.is_cpu and len(columns[0]) > 1 else Scratch
    shapes = tuple([tensor.shape for tensor in columns[0]])
    scratch = make(shapes, len(columns), param.device, param.dtype)
    for i, column in enumerate(columns):
        scratch.gather(i, column)
    run(*scratch.flats)
    for i in (0, *range(2, len(columns))):
        torch._foreach_copy_(columns[i], scratch.views[i])


class Scratch:
    """Flat tensors to gather columns in, and views of them in the shapes of what is gathered."""

    def __init__(
        self, shapes: Sequence[torch.Size], width: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        sizes = [shape.numel() for shape in shapes]
        with torch.inference_mode(False):
            self.flats = [torch.empty(sum(sizes), dtype=dtype, device=device) for _ in range(width)]
            self.views = [
                [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
                for flat in self.flats
            ]
        self.of_flat = all(len(shape) == 1 for shape in shapes)

    def gather(self, i: int, column: list[Tensor]) -> None:
        """Copy a column into the i-th flat tensor."""
        if self.of_flat:
            torch.cat(column, out=self.flats[i])  # twice as fast as copying one after the other
        else:
            torch._foreach_copy_(self.views[i], column)


class _Cached(threading.local):
    """Of each thread its own memory to work in, kept until the thread ends.

    In float32 that is 2.6 to 4 MB for each value that a rule makes at once, and up to two megabytes
    for small tensors gathered.

    Making the views to gather in takes longer than copying. Not for accelerators, where the work of
    one thread may still be under way on another stream.
    """

    def __init__(self) -> None:
        self.scratch = functools.lru_cache(maxsize=16)(Scratch)
        self.spare = functools.lru_cache(maxsize=4)(Spare)


_cached = _Cached()


# --------------------------------------------------------------------------- sparse gradients


def view_elements(param: Tensor, grad: Tensor, *buffers: Tensor) -> list[Any]:
    """A row with a sparse gradient as the row of only the elements that the gradient names."""
    mask = grad.coalesce()  # the rule is not linear, so an index must not occur twice
    return [
        Elements(param, mask),
        mask.values(),
        *(Elements(buffer, mask) for buffer in buffers),
    ]


# --------------------------------------------------------------------------- pure


def pure(update: Update, columns: Columns) -> None:
    """The update as a function from tensors to tensors, its results written back at the end."""
    for row in rows(columns):
        # Autograd keeps what it was given: that must not be what is written to.
        inputs = [tensor.clone() if torch.is_grad_enabled() else tensor for tensor in row]
        values = [Pure(tensor) for tensor in inputs]
        update(*values)
        write_back(row, values)


def write_back(row: Sequence[Tensor], values: Sequence[Pure]) -> None:
    """Copy to the parameter and its buffers what became of them; the gradient stays."""
    param, _, *buffers = row
    new_param, _, *new_buffers = values
    for target, value in zip((param, *buffers), (new_param, *new_buffers), strict=True):
        if value.tensor is not target:
            value.write_to(target)


def view_as_real(tensor: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    return tensor.view_as_real() if isinstance(tensor, Pure) else torch.view_as_real(tensor)


# --------------------------------------------------------------------------- fused

#: Recording and calling a kernel takes as long as a few statements on this many elements: on a CPU
#: fewer go the way that they go by default.
WORTH_A_KERNEL = 16_384

#: So many rows a kernel takes on a CPU, where calling it takes longer than updating a small row. An
#: accelerator would be given them one by one all the same.
ROWS = 8


def record(update: Update, width: int) -> tuple[Program, list[float]]:
    """The statements of an update of `width` tensors, and the scalars that they use."""
    recorder = Recorder()
    update(*[recorder.new_value() for _ in range(width)])
    return tuple(recorder.statements), recorder.scalars


def replay(program: Program, values: list[Pure], scalars: Sequence[Tensor]) -> None:
    """Carry out recorded statements."""
    unused = iter(scalars)
    for method, number, arguments, keywords in program:
        given = [next(unused) if i is None else values[i] for i in arguments]
        positional = len(given) - len(keywords)
        named = dict(zip(keywords, given[positional:], strict=True))
        result = getattr(values[number], method)(*given[:positional], **named)
        if not method.endswith("_"):
            values.append(result)


#: The compiler can do one thing at a time.
_compiling = threading.Lock()


@functools.cache
def compile_kernel(
    program: Program, width: int, height: int, device: torch.device, dtype: torch.dtype
) -> Callable[[list[Any]], Any]:
    """A kernel that carries out a program on `height` rows, each in one pass over memory.

    It takes a list, which it empties: a tensor of the scalars, the number of elements of each row,
    and then, row after row, `width` tensors. Of these it is only told where they begin, so they may
    be of any shape, if their elements lie in memory in order and without gaps.

    This is what torch.compile does behind its guards. Those check at each call what is known here,
    which takes longer than the kernel on a tensor of middling size.

    Raises:
        RuntimeError: there is no compiler that works here.
    """
    # Loading a compiler takes seconds, and most programs need none.
    from torch._guards import TracingContext, tracing
    from torch._inductor import config
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table
    from torch._inductor.virtualized import V
    from torch.fx.experimental import _config as tracing_config
    from torch.fx.experimental.proxy_tensor import make_fx

    def kernel(scalars: Tensor, *lengths_and_tensors: Any) -> tuple[()]:
        tensors = lengths_and_tensors[height:]
        for i in range(0, len(tensors), width):
            row = tensors[i : i + width]
            values = [Pure(tensor) for tensor in row]
            replay(program, values, scalars.unbind())
            write_back(row, values[:width])
        return ()

    # Long, so that the kernel is made for what takes time. All different: tensors of one length get
    # one symbol for it, which must be that of their row and of no other.
    lengths = [IN_CACHE - i for i in range(height)]
    try:
        with _compiling, torch.inference_mode(False), torch.no_grad():
            scalars = as_tensor([1.0] * count_scalars(program), device, dtype)
            # Tracing asks only for their shapes: no page of this memory is ever touched.
            tensors = [
                torch.empty(length, dtype=dtype, device=device)
                for length in lengths
                for _ in range(width)
            ]
            trace = make_fx(kernel, select_decomp_table(), tracing_mode="symbolic")
            with cast("Any", tracing_config).patch(use_duck_shape=True):
                graph = trace(scalars, *lengths, *tensors)
            inputs = [node.meta["val"] for node in graph.graph.find_nodes(op="placeholder")]
            check_lengths(inputs[1 : 1 + height], inputs[1 + height :])
            fake_mode = inputs[0].fake_mode
            context = tracing(TracingContext(fake_mode))
            with V.set_fake_mode(fake_mode), context, config.patch(size_asserts=False):
                compiled = cast("Any", compile_fx_inner(graph, inputs))
            few = [torch.zeros(2, dtype=dtype, device=device) for _ in tensors]
            compiled([scalars, *[2] * height, *few])
    except Exception as error:
        raise RuntimeError(
            f"fused=True needs torch's compiler to work for {device.type} (with a C++ compiler on "
            f"a CPU, Triton on a GPU), and it failed: {error}. Without fused=True none is needed."
        ) from error
    return compiled


def check_lengths(lengths: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raise unless each row of traced tensors has a length of its own, the one that was given."""
    width = len(tensors) // len(lengths)
    given = [str(length) for length in lengths for _ in range(width)]
    traced = [str(tensor.shape[0]) for tensor in tensors]
    if traced != given or len({*given}) < len(lengths):
        raise RuntimeError(f"tensors of lengths {given} were traced with lengths {traced}")


def count_scalars(program: Program) -> int:
    """How many scalars the statements of a program use."""
    return sum(arguments.count(None) for _, _, arguments, _ in program)


def as_tensor(scalars: Sequence[float], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Scalars in the type in which a kernel on tensors of a type computes."""
    kind = numpy.float64 if dtype is torch.float64 else numpy.float32
    tensor = torch.from_numpy(numpy.array(scalars, kind))
    return tensor if device.type == "cpu" else tensor.to(device)


def fused(update: Update, columns: Columns) -> None:
    """The update as one compiled kernel, which takes several rows at a time.

    On a CPU, what is too small for a kernel to pay goes the way that it goes by default, and so do
    rules without buffers, which are one pass over memory as they are.
    """
    if not PLAIN.issuperset(map(type, columns[0])):
        columns = [list(column) for column in zip(*map(local, rows(columns)), strict=True)]
    check_fusible(columns[0])
    if columns[0][0].is_cpu and (len(columns) == 2 or is_little(columns[0])):
        by_device(update, columns)
        return
    program, numbers = record(update, len(columns))
    for part in some_at_a_time(columns):
        for (device, dtype), alike in by_device_and_dtype(part).items():
            check_alike(alike)
            if share_memory(alike[0]):
                one_by_one(update, alike)
                continue
            height = ROWS if device.type == "cpu" else 1
            kernel = compile_kernel(program, len(alike), height, device, dtype)
            scalars = as_tensor(numbers, device, dtype)
            in_kernels(functools.partial(call, kernel, height, scalars), alike)


def is_little(params: list[Tensor]) -> bool:
    """Whether a kernel does not pay."""
    return len(params) <= AT_A_TIME and sum(map(Tensor.numel, params)) < WORTH_A_KERNEL


def in_kernels(run: Callable[[Sequence[Row]], None], columns: Columns) -> None:
    """The update of parameters of one device and type by a kernel that does the same to rows.

    For an accelerator, which gets one row at a time, small ones are gathered.
    """
    if not columns[0][0].is_cpu:
        sizes = [param.numel() for param in columns[0]]
        small, large = by_size(sizes)
        for places in pieces(small, sizes, TOGETHER):
            gathered(lambda *flats: run([flats]), take(columns, places))
        columns = take(columns, large)
    if not all(map(is_contiguous, columns)):
        odd = [i for i, row in enumerate(rows(columns)) if not is_contiguous(row)]
        singles, columns = split(columns, odd)
        for row in rows(singles):
            gathered(lambda *flats: run([flats]), [[tensor] for tensor in row])
    run([*rows(columns)])


def call(
    kernel: Callable[[list[Any]], Any], height: int, scalars: Tensor, todo: Sequence[Row]
) -> None:
    """Call a kernel on rows, several at a time; rows of no elements fill up the last call."""
    if any(row[0].numel() > LONGEST for row in todo):
        todo = [part for row in todo for part in cut(row, LONGEST)]
    for i in range(0, len(todo), height):
        batch = todo[i : i + height]
        missing = height - len(batch)
        lengths = [row[0].numel() for row in batch] + [0] * missing
        nothing = [scalars] * (missing * len(batch[0]))
        kernel([scalars, *lengths, *itertools.chain(*batch), *nothing])


def check_fusible(params: list[Tensor]) -> None:
    """Raise, as torch does, unless the parameters are plain tensors of real numbers."""
    if PLAIN.issuperset(map(type, params)) and FLOATING.issuperset(map(dtype_of, params)):
        return
    odd = next(p for p in params if type(p) not in PLAIN or p.dtype not in FLOATING)
    raise RuntimeError(
        "`fused=True` requires all the params to be floating point Tensors of supported "
        f"devices, but got {type(odd).__name__}, {odd.dtype} and {odd.device.type}"
    )


def check_alike(columns: Columns) -> None:
    """Raise unless a kernel, which takes memory as it is, will find there what it expects."""
    if PLAIN.issuperset(map(type, itertools.chain(*columns[1:]))) and are_alike(columns):
        return
    param = columns[0][0]
    raise RuntimeError(
        "`fused=True` requires gradients and state to be plain tensors of their parameter's "
        f"shape, device and type, {param.device} and {param.dtype}, but some are not"
    )
