"""Optimizer state in files: read without running anything in them, and found in what was read.

Nothing but tensors and plain values is loaded (`torch.load(weights_only=True)`), and tensors stay
in the file until they are looked at, so that a large checkpoint needs little memory.
"""

from __future__ import annotations

import json
import re
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from myoptim.lab.errors import UsageError
from myoptim.lab.values import counted

_DEPTH = 5  # how deep inside a training checkpoint an optimizer's state is looked for
_KEYS_SHOWN = 8


@dataclass(frozen=True)
class SavedParam:
    """What a checkpoint has of one parameter.

    Attributes:
        group: the number of its group.
        place: its place in that group.
        key: by what the state is found, a number as a rule.
        name: its name, if the checkpoint has names.
        state: its buffers and numbers by name; what is None is left out.
    """

    group: int
    place: int
    key: int | str
    name: str | None
    state: dict[str, Any]

    @property
    def label(self) -> str:
        """What to call it: its name, or "#1" after the key."""
        return self.name or f"#{self.key}"

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The state's tensors, by name."""
        return {name: value for name, value in self.state.items() if isinstance(value, Tensor)}

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The parameter's, where all its buffers have one; None where that cannot be told."""
        shapes = {tuple(tensor.shape) for tensor in self.tensors.values()}
        if len(shapes) > 1 or len(self.tensors) == 1:
            shapes.discard(())  # of the counters
        return shapes.pop() if len(shapes) == 1 else None


@dataclass(frozen=True)
class Saved:
    """The state of one optimizer.

    Attributes:
        place: where it was found in the file, as `["optimizer"]`; empty if it is all there is.
        groups: of each group the hyper-parameters.
        params: all parameters, in their order.
        without_group: keys of states that belong to no parameter of a group.
        twice: labels of parameters that stand in more than one place.
    """

    place: str
    groups: list[dict[str, Any]]
    params: list[SavedParam]
    without_group: list[int | str]
    twice: list[str]

    @property
    def named(self) -> bool:
        """Whether every parameter has a name, and no two the same."""
        names = {param.name for param in self.params}
        return None not in names and len(names) == len(self.params)


def read_optimizers(path: Path) -> list[Saved]:
    """The optimizers in a checkpoint, in their order.

    Raises:
        UsageError: the file cannot be read safely, or has no optimizer's state; it says what the
            file is instead.
    """
    content = read_file(path)
    found = [_saved(place, state) for place, state in _find(content)]
    if not found:
        raise UsageError(f"{path} has no optimizer's state: it holds {_describe(content)}")
    return found


def read_file(path: Path) -> Any:
    """What `torch.save` wrote, on the CPU.

    Raises:
        UsageError: there is no such file, it is something else, or it needs code to be run.
    """
    _check(path)
    packed = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other pickles, which are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
    except Exception as error:  # any can come of a file that is broken or made to break
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise UsageError(
                f"{path} asks for {code[1]}, which is code and not data: such a file is not read. "
                "Save state_dict()s, of tensors and plain values"
            ) from None
        what = "broken" if packed else "a pickle, but none of torch.save"
        raise UsageError(f"{path} cannot be read as a checkpoint: it is {what}") from None


def _check(path: Path) -> None:
    """Refuse what is no file, or is known to be another kind of file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        distributed = (path / ".metadata").is_file()
        kind = "a torch.distributed.checkpoint: gather it in a file with dcp_to_torch_save first"
        raise UsageError(f"{path} is {kind if distributed else 'a directory, not a file'}")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is a device, pipe or socket, not a file")
    try:
        with path.open("rb") as file:
            begin = file.read(16)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    what = _other_kind(path, begin)
    if what:
        raise UsageError(f"{path} is {what}")


_BEGINNINGS = {
    b"\x89HDF": "an HDF5 file, as Keras writes its weights",
    b"\x93NUMPY": "a numpy array",
    b"GGUF": "a GGUF file: a model's weights, without optimizer state",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"{": "text, perhaps JSON",
    b"<": "text, perhaps a page of the web",
    b"version https://git": "a pointer of Git LFS: the file itself was not fetched",
}


def _other_kind(path: Path, begin: bytes) -> str | None:
    """What a file is that torch.save did not write, as far as its first bytes tell."""
    if not begin:
        return "empty"
    if begin[8:9] == b"{" and int.from_bytes(begin[:8], "little") < path.stat().st_size:
        return "a safetensors file: tensors by name, a model's as a rule, without optimizer state"
    for known, what in _BEGINNINGS.items():
        if begin.startswith(known[:16]):
            return what
    if not begin.startswith(b"PK\3\4"):
        return None if begin[0] == 0x80 else "not a file of torch.save"
    if not zipfile.is_zipfile(path):
        return "cut short: it begins as a file of torch.save, and its end is missing"
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        return "a zip archive, but none of torch.save"
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        return "compressed, as torch.save never writes it"
    return None


def _find(content: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All state_dicts of optimizers in dicts and lists, with their places."""
    seen: set[int] = set()
    left = [("", content, _DEPTH)]
    while left:
        place, value, depth = left.pop(0)
        if _is_state(value):
            yield place, value
        elif depth and id(value) not in seen and isinstance(value, dict | list | tuple):
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            left += [
                (f"{place}[{key!r}]", item, depth - 1)
                for key, item in items
                if isinstance(item, dict | list | tuple)
            ]


def _is_state(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it has the form of an optimizer's state_dict."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("state"), dict)
        and isinstance(value.get("param_groups"), list)
        and bool(value["param_groups"])
        and all(
            isinstance(group, dict)
            and isinstance(group.get("params"), list)
            and all(isinstance(key, int | str) for key in group["params"])
            for group in value["param_groups"]
        )
    )


def _saved(place: str, content: dict[str, Any]) -> Saved:
    states = content["state"]
    params: list[SavedParam] = []
    for number, group in enumerate(content["param_groups"]):
        for position, key in enumerate(group["params"]):
            name = _name(group, position, key)
            state = states.get(key)
            known = state if isinstance(state, dict) else {}
            entries = {str(k): _entry(value) for k, value in known.items()}
            kept = {k: value for k, value in entries.items() if value is not None}
            params.append(SavedParam(number, position, key, name, kept))
    counts = Counter(param.key for param in params)
    return Saved(
        place,
        [
            {str(k): value for k, value in group.items() if k not in ("params", "param_names")}
            for group in content["param_groups"]
        ],
        params,
        [key for key in states if key not in counts],
        [param.label for param in params if counts[param.key] > 1],
    )


def _entry(value: Any) -> Any:
    """An entry of the state, as numbers that can be looked at; None where there are none."""
    if not isinstance(value, Tensor):
        return value
    if value.device.type == "meta":
        return None
    return value.dequantize() if value.is_quantized else value


def flat_numbers(tensor: Tensor) -> Tensor:
    """All numbers of a tensor, each once where its memory is shorter than its shape says."""
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = (tensor.coalesce() if tensor.layout is torch.sparse_coo else tensor).values()
    tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    storage = tensor.untyped_storage()
    if tensor.numel() * tensor.itemsize > storage.nbytes():
        return torch.empty(0, dtype=tensor.dtype).set_(storage)
    return tensor.reshape(-1)


def _name(group: dict[str, Any], position: int, key: int | str) -> str | None:
    names = group.get("param_names")
    if isinstance(names, list | tuple) and position < len(names):
        return str(names[position])
    return key if isinstance(key, str) else None


def _describe(content: Any) -> str:
    """What a file holds that has no optimizer in it."""
    if isinstance(content, Tensor):
        return f"one tensor of shape {tuple(content.shape)}"
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return f"{counted(len(content), 'tensor')} by name, as the state_dict of a model"
    keys = [json.dumps(str(key)) for key in content][:_KEYS_SHOWN]
    more = ", …" if len(content) > _KEYS_SHOWN else ""
    return f"a dict with the keys {', '.join(keys)}{more}" if keys else "an empty dict"
