"""Results that can be looked at: in one line, as a table in a notebook, in any terminal."""

import re

import pytest
import torch

import myoptim
from myoptim.cli import common
from myoptim.lab import bench as measuring
from myoptim.lab.compare import compare
from myoptim.lab.narrate import narrate
from myoptim.lab.problems import get_problem
from myoptim.lab.race import line_up, race
from myoptim.lab.tables import Html, as_html
from myoptim.lab.trace import trace
from myoptim.lab.values import as_plain, shown

NUMBER = re.compile(r"-?\d[\d.,e+-]*")


def told():
    weight = torch.tensor([5.0, 10.0], requires_grad=True)
    optimizer = myoptim.SGD([weight], lr=0.1)
    with narrate(optimizer, {"x": weight}) as story:
        (weight**2).sum().backward()
        optimizer.step()
    return story


def measured():
    timing = measuring.Timing("scalars", "SGD", 5, {"ours": 1e-6, "torch": 2e-6}, None)
    memory = measuring.Memory("scalars", "SGD", 8, 16)
    return measuring.Report("CPU", 1, {"torch": "2", "python": "3"}, [timing], [memory])


SHOWN = {
    "trace": (
        lambda: trace("SGD", "square", settings={"lr": 0.1}, steps=2),
        "<trace of SGD on square: 2 steps, loss 125 to 51.2>",
        "3.2, 6.4",
    ),
    "comparison": (
        lambda: compare("Adam", "AdamW", steps=2),
        "<comparison of Adam and AdamW: they differ from step 1 on>",
        "0.1176",
    ),
    "equal": (
        lambda: compare("SGD", "SGD", steps=2),
        "<comparison of SGD and SGD: equal bits over 2 steps>",
        "equal bits",
    ),
    "race": (
        lambda: race(get_problem("square"), line_up(["SGD"]), steps=2),
        "<race of 1 optimizer on square, lowest loss 51.2 of SGD>",
        "yes",
    ),
    "bench": (measured, "<bench of 1 optimizer on 1 size: default 0.50 of torch's time>", "0.50"),
    "story": (told, "<story of 2 statements in 1 step>", "param = 4, 8"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_result_has_a_short_repr_and_a_table(name):
    make, line, cell = SHOWN[name]
    result = make()
    assert repr(result) == line
    html = result._repr_html_()
    assert html.count("<table>") == html.count("</table>") == (name != "equal")
    assert cell in html


def test_cells_are_escaped_unless_they_are_html():
    html = as_html("a < b", ["<i>"], [["x<y", Html("<b>z</b>")]], notes=["&"])
    for part in ("a &lt; b", "&lt;i&gt;", "x&lt;y", "<b>z</b>", "&amp;"):
        assert part in html
    assert "<i>" not in html


def test_numbers_on_their_way_to_a_reader():
    pair = torch.tensor([1 + 2j, 3])
    assert as_plain(pair) == [1, 2, 3, 0]
    assert shown(pair) == "1+2j, 3+0j"
    assert as_plain(torch.tensor(0.5, dtype=torch.bfloat16)) == 0.5
    assert shown(torch.eye(2).to_sparse()) == "1, 0, 0, 1"
    assert shown(torch.arange(5)) == "0, 1, 2, 3, …"
    assert (shown(1 / 3), shown(True), as_plain(7)) == ("0.333333", "True", 7)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_fits_its_terminal_and_cuts_no_number(width, capsys):
    headings = ["step", *(f"quantity {i} of a_parameter" for i in range(9))]
    rows = [[str(i), *(f"{i + j * 1.234567e-05}, {-j}" for j in range(9))] for i in range(3)]
    common.print_table(headings, rows, width=width)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    wanted = [number for row in rows for number in NUMBER.findall(" ".join(row[1:]))]
    found = NUMBER.findall(printed)
    assert not [number for number in wanted if number not in found]
    assert all(f"{i}" in printed for i in range(9))
    assert "a_parameter" in printed
    assert "…" not in printed


def test_every_band_of_a_table_begins_with_its_keys(capsys):
    common.print_table(["size", "name", "first", "second"], [["s", "n", "1" * 9, "2" * 9]], 2, 26)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["s", "n", "1" * 9] in lines
    assert ["s", "n", "2" * 9] in lines


def test_a_number_wider_than_the_terminal_stays_whole(capsys):
    common.print_table(["a", "b"], [["1", "0.12345678901234567"]], width=10)
    assert "0.12345678901234567" in capsys.readouterr().out


def test_long_lines_break_between_words():
    text = "  0.123456, -0.123456, 1e-10"
    assert common.fitted(text, 12, "    ") == "  0.123456,\n      -0.123456,\n      1e-10"
    assert common.fitted(text) == text  # pytest's output is no terminal
