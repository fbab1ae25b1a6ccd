"""What is handed in: which files are submissions, and how one is read, whatever else lies there.

Nothing is opened that is not a regular file inside the folder, and no more is read of it than a
submission may be large. What is no submission is named with the reason.
"""

import io
import json
import os
import stat
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_SOURCE = 256 << 10
MAX_NOTEBOOK = 16 << 20
"""A notebook has its pictures inside."""

SUFFIXES = (".py", ".ipynb")
RUBBISH = {
    "__MACOSX": "left by an archiver",
    "__pycache__": "compiled Python",
    ".ipynb_checkpoints": "old versions kept by Jupyter",
    "node_modules": "installed packages",
    "site-packages": "installed packages",
    ".venv": "a virtual environment",
    "venv": "a virtual environment",
}
"""Folders that nobody wrote by hand, and what they are."""

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".rar", ".7z")


@dataclass(frozen=True)
class Skipped:
    """Something in a folder of submissions that was not graded, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Source:
    """A submission that was read.

    Attributes:
        file: its file name.
        parts: names and texts that make up one module, in order: the file, or a notebook's cells.
        helpers: texts of the helper files beside it that the course allows, by module name.
    """

    file: str
    parts: tuple[tuple[str, str], ...]
    helpers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_notebook(self) -> bool:
        """Whether only what it defines is to be run."""
        return self.file.lower().endswith(".ipynb")

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(text for _, text in self.parts)


def read(path: Path, helpers: tuple[str, ...] = ()) -> Source:
    """Read a submission: a Python file in any encoding that Python takes, or a notebook.

    Args:
        helpers: names of files that may lie beside it and be imported.

    Raises:
        ValueError: it cannot be a submission; the message says why.
    """
    name = shown(path.name)
    beside = {
        Path(helper).stem: _python(path.parent / helper)
        for helper in helpers
        if os.path.lexists(path.parent / helper) and helper != path.name
    }
    if path.suffix.lower() == ".ipynb":
        return Source(name, _cells(_bytes(path, MAX_NOTEBOOK), name), beside)
    return Source(name, ((name, _python(path)),), beside)


def _bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file that is not too large."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # not to wait for a pipe's other end
    try:
        with open(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("it is not a regular file")
            data = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise ValueError(f"the file is larger than {most >> 10} KiB")
    if not data.strip():
        raise ValueError("the file is empty")
    return data


def _python(path: Path) -> str:
    """The text of a Python file, decoded as Python does, its line ends made one kind."""
    data = _bytes(path, MAX_SOURCE)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("the file is UTF-16, which Python does not read: save it as UTF-8")
    if b"\0" in data:
        raise ValueError("the file is no Python source: it has null bytes")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except SyntaxError as error:
        reason = f"it is not UTF-8, and names no encoding that it is in ({error.msg})"
    except UnicodeDecodeError as error:
        reason = f"it is not {error.encoding.upper()}"
    raise ValueError(f"the file is no Python source: {reason}")


def _cells(data: bytes, name: str) -> tuple[tuple[str, str], ...]:
    """The code cells of a notebook, by the numbers that people count them by."""
    try:
        notebook: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
        cells = [
            (f"{name}, cell {number}", "".join(cell["source"]))
            for number, cell in enumerate(notebook["cells"], 1)
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("the file is no notebook of version 4, which is JSON with cells") from None
    if not cells:
        raise ValueError("the notebook has no code")
    return tuple(cells)


def find(folder: Path, helpers: tuple[str, ...] = ()) -> tuple[list[Path], list[Skipped]]:
    """The submissions below a folder, and all else that lies there with the reason why it is none.

    Links are not followed: what they point to inside the folder is found anyway.

    Args:
        helpers: names of files that are no submissions of their own.
    """
    found: list[Path] = []
    skipped: list[Skipped] = []
    for path, reason in _walk(folder, folder.resolve(), helpers):
        if reason:
            skipped.append(Skipped(shown(path.relative_to(folder)), reason))
        else:
            found.append(path)
    whose = {path.relative_to(folder).parts[0] for path in found}
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry.name not in {*whose, *RUBBISH}:
            reason = f"nothing in it is a submission ({' or '.join(SUFFIXES)})"
            skipped.append(Skipped(shown(entry.name) + "/", reason))
    return found, skipped


def _walk(folder: Path, root: Path, helpers: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Every file below, with "" or the reason why it is no submission."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield folder, f"the folder cannot be opened: {error.strerror}"
        return
    for entry in entries:
        path = Path(entry.path)
        if not entry.is_dir(follow_symlinks=False):
            yield path, _not_a_submission(path, root, helpers)
        elif entry.name in RUBBISH or (path / "pyvenv.cfg").is_file():
            yield path, RUBBISH.get(entry.name, "a virtual environment")
        elif entry.name.startswith("."):
            yield path, "a hidden folder"
        else:
            yield from _walk(path, root, helpers)


def _not_a_submission(path: Path, root: Path, helpers: tuple[str, ...]) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _where_a_link_leads(path, root)
    if not stat.S_ISREG(mode):
        return f"not a file but {_kind(mode)}"
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return "a hidden file, left by an archiver or an editor"
    if suffix in ARCHIVES:
        return "an archive: unpack it first"
    if suffix not in SUFFIXES:
        return f"neither {' nor '.join(SUFFIXES)}"
    return "a helper file of the course" if path.name in helpers else ""


def _kind(mode: int) -> str:
    kinds = {"a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK}
    return next((kind for kind, test in kinds.items() if test(mode)), "a device")


def _where_a_link_leads(path: Path, root: Path) -> str:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # Python 3.12 and older raise RuntimeError for a loop
        return "a link that leads nowhere"
    if not target.is_relative_to(root):
        return "a link that leaves the folder"
    return f"a link to {shown(target.relative_to(root))}"


def shown(name: object) -> str:
    """A file's name as it may be printed: what no terminal or encoding takes is escaped."""
    text = os.fsencode(str(name)).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
