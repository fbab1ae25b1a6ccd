"""A terminal without Unicode gets ASCII, spelt out."""

import subprocess
import sys
import unicodedata

import pytest
from waiting import PATIENCE

from myoptim.cli.plain import spelt
from myoptim.lab.formulas import SUBSCRIPTS, SUPERSCRIPTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("θ ← θ − η m̂ / (√v̂ + ε)", "theta <- theta - eta m_hat / (sqrt v_hat + epsilon)"),
        ("√(s + ε), βm, ηλ, Δ²", "sqrt(s + epsilon), beta m, eta lambda, Delta^2"),
        ("1 − β₁ᵗ, xᵢ, x⁻¹⁰, v̄", "1 - beta1^t, x_i, x^-10, v_bar"),
        ("«Müller’s ½»… ✓ ≤ ∞", '"Muller\'s 1/2"... yes <= inf'),
        ("語", "?"),
    ],
)
def test_spelling(text, said):
    assert spelt(text) == said


def test_every_letter_of_a_formula_has_a_spelling():
    greek = "".join(map(chr, range(0x3B1, 0x3CA)))
    for sign in [*SUPERSCRIPTS, *SUBSCRIPTS, *greek, *greek.upper()]:
        said = spelt(sign)
        assert said.isascii(), unicodedata.name(sign)
        assert "?" not in said, unicodedata.name(sign)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands_write_what_the_terminal_knows(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("LANG", "C")
    arguments = ["trace", "Adam", "square", "--steps", "1", "--narrate"]
    process = subprocess.run(
        [sys.executable, "-m", "myoptim", *arguments], capture_output=True, timeout=PATIENCE
    )
    assert process.returncode == 0, process.stderr
    said = process.stdout.decode(encoding)
    assert "theta <- theta - eta m_hat / (sqrt v_hat + epsilon)" in said
    squared = {"ascii": "Sigma x_i^2", "latin-1": "Sigma x_i²"}
    assert squared[encoding] in said


def test_help_and_errors_are_ascii_too(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code = "from myoptim.cli import main; main()"
    for arguments in (["race", "--help"], ["trace", "Adäm…", "square"]):
        process = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, timeout=PATIENCE
        )
        said = process.stdout + process.stderr
        assert said.isascii()
        assert b"A,B,..." in said or b"'Adam...'" in said
