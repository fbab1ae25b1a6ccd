"""Run tutorials and write the notebooks beside them: `python tutorials/run.py [NAME ...]`.

A tutorial is a script, `NN_name.py`, in Jupytext's percent format; its notebook `NN_name.ipynb`
holds the same cells with their outputs. Each runs in a fresh kernel. An error, a failed assertion
or a notebook that grows too large for a code host ends the run with exit code 1.
"""

import base64
import io
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image

HERE = Path(__file__).resolve().parent
SECONDS = 300
BYTES = 400_000


def run(script: Path) -> str:
    """Execute one and write its notebook. Returns what went wrong, or nothing."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ones would change the file at every run
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return str(error)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            shrink_picture(output)
    notebook.metadata.pop("language_info", None)  # the Python that happened to run it
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    text = nbformat.writes(notebook) + "\n"
    if len(text) > BYTES:
        return f"the notebook has {len(text):,} bytes; at most {BYTES:,} are allowed"
    script.with_suffix(".ipynb").write_text(text, encoding="utf-8")
    return ""


def shrink_picture(output: NotebookNode) -> None:
    """Reduce a picture to 256 colours: half of the bytes, and no difference to be seen."""
    if "image/png" not in output.get("data", {}):
        return
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    file = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    output.data["image/png"] = base64.b64encode(file.getvalue()).decode()


def main() -> int:
    """Run those that are named, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("[0-9][0-9]_*.py"))
    failed = 0
    for name in names:
        start = time.perf_counter()
        error = run(HERE / f"{Path(name).stem}.py")
        seconds = time.perf_counter() - start
        print(f"{name}: {'FAILED' if error else 'ran'} in {seconds:.0f} s", flush=True)
        if error:
            print(error, file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
