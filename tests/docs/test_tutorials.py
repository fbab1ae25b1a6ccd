"""Scripts and notebooks of the tutorials are in step, executed, and hold the documented figures."""

import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="needs the extra docs")

TUTORIALS = Path(__file__).resolve().parents[2] / "tutorials"
SCRIPTS = sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))
NAMES = [script.stem for script in SCRIPTS]


def test_there_are_nine_and_the_readme_lists_them():
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, 10)]
    readme = (TUTORIALS / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.ipynb)" in readme for name in NAMES)


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_the_notebook_has_the_scripts_cells(script):
    def cells(path: Path) -> list[tuple[str, str, list[str]]]:
        return [
            (cell.cell_type, cell.source, cell.metadata.get("tags", []))
            for cell in jupytext.read(path).cells
        ]

    assert cells(script.with_suffix(".ipynb")) == cells(script), "run: make tutorials"


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_the_notebook_was_run_from_top_to_bottom(script):
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert [o for o in outputs if "image/png" in o.get("data", {})]
    assert script.with_suffix(".ipynb").stat().st_size < 400_000


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_the_parts_of_a_tutorial(script):
    text = script.read_text(encoding="utf-8")
    for part in ("The idea", "The mathematics", "The code", "The picture", "Exercises"):
        # A tutorial may have two codes, by hand and by object.
        assert f"# {part}" in text or (part == "The code" and "# ## By hand" in text), part
    assert "<details>\n# <summary>Answers</summary>" in text
    assert text.count("assert ") >= 5


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_checks_are_folded_away_and_pictures_described(script):
    notebook = jupytext.read(script.with_suffix(".ipynb"))
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        if re.search(r"^ *assert ", cell.source, re.MULTILINE):
            assert "hide-cell" in cell.metadata.get("tags", []), cell.source
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert cell.metadata["mystnb"]["image"]["alt"], cell.source
            assert "plots.show(" in cell.source, "run as a script, it would not be saved"
        lines = [len(output.get("text", "").splitlines()) for output in cell.outputs]
        assert max(lines, default=0) <= 45


@pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)
def test_nothing_of_the_machine_is_in_the_notebook(script):
    text = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert "/tmp/" not in text
    assert "/home/" not in text
    assert str(TUTORIALS.parent) not in text
