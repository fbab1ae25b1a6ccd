"""The playground in a real browser: its numbers are the package's, and its controls work.

The page is opened from a file, without a server and without a network.
"""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from docs import browser

pytest.importorskip("sphinx", reason="needs the extra docs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
javascript = importlib.import_module("javascript")
playground = importlib.import_module("playground")

from myoptim.course import mistakes  # noqa: E402
from myoptim.lab.problems import PROBLEMS, Problem  # noqa: E402
from myoptim.lab.resolve import variants  # noqa: E402
from myoptim.lab.trace import problem_rate, trace  # noqa: E402

STEPS = 100
#: As far as two float64 runs of the same formulas may lie apart, beside their size or one.
CLOSE = 1e-12
RULES, LEFT_OUT = playground.optimizers()


def settings_to_try(name: str) -> list[dict[str, Any]]:
    """The defaults, and every term of the rule there and not; refused ones left out."""
    cls = RULES[name]
    usual = playground.settings_of(cls)
    tried: list[dict[str, Any]] = [{}, *variants(cls)]
    for one in tried:
        one.pop("lr", None)  # that is the problem's
    return [one for one in tried if not refuses(cls, {**usual, **one})]


def refuses(cls: type, settings: dict[str, Any]) -> bool:
    try:
        cls([torch.zeros(1)], **settings)
    except (ValueError, RuntimeError):
        return True
    return False


def path_of(
    cls: Any, problem: str | Problem, settings: dict[str, Any], steps: int = STEPS
) -> np.ndarray:
    """The package's own run: every parameter before each step and after the last."""
    problem = PROBLEMS[problem] if isinstance(problem, str) else problem
    run = trace(cls, problem, settings=settings, steps=steps + 1)
    return np.concatenate([run.param(p).reshape(steps + 1, -1) for p in run.rows[0].params], axis=1)


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference beside the size of the number, or one; NaN and infinity must agree."""
    ours, theirs = (np.array(values, dtype=float) for values in (ours, theirs))
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return float("inf")
    there = np.isfinite(theirs)
    gaps = np.abs(ours[there] - theirs[there]) / np.maximum(np.abs(theirs[there]), 1)
    return float(gaps.max(initial=0.0))


def is_chaotic(name: str, problem: str, settings: dict[str, Any]) -> bool:
    """Whether the package's own run, begun some units in the last place away, ends elsewhere."""
    whole = PROBLEMS[problem]
    beside = {key: value.detach() + 4e-15 for key, value in whole.start().params.items()}
    moved = replace(whole, initial=lambda generator: beside)
    runs = [path_of(RULES[name], one, settings) for one in (whole, moved)]
    return difference(*runs) > CLOSE


RUN = """
const [optimizer, problem, settings, steps, id] = arguments;
const mistake = id && myoptim.data.mistakes[optimizer].find((one) => one.id === id);
const {points} = myoptim.run({optimizer, problem, steps, mistake,
                              settings: {...myoptim.defaults(optimizer, problem), ...settings}});
return points.map((point) => point.map(String));  // JSON has no NaN
"""


@pytest.fixture(scope="module")
def page(site: Path):
    """The page, opened once."""
    with browser.opened() as driver:
        driver.get(browser.address(site / "playground.html"))
        yield driver
        assert browser.complaints(driver) == []


def run(page: Any, *arguments: Any) -> Any:
    return [
        [float(number.replace("Infinity", "inf")) for number in p]
        for p in page.execute_script(RUN, *arguments)
    ]


def test_every_optimizer_is_there_or_its_absence_explained():
    import myoptim

    assert {*RULES, *LEFT_OUT} == set(myoptim.OPTIMIZERS)
    assert {"SGD", "Momentum", "Nesterov", "Adagrad", "RMSprop", "Adam", "AdamW"} <= set(RULES)
    assert all(
        "from outside" in why or "vocabulary" in why or "does not" in why
        for why in LEFT_OUT.values()
    )


@pytest.mark.parametrize("name", RULES)
def test_the_numbers_are_the_packages(page: Any, name: str, record_property: Any):
    """Every rule, on every problem, with several settings, over a hundred steps."""
    worst, chaotic = 0.0, 0
    for problem in playground.playable():
        rate = problem_rate(PROBLEMS[problem], RULES[name])
        for settings in settings_to_try(name):
            full = {**playground.settings_of(RULES[name]), **rate, **settings}
            ours = run(page, name, problem, full, STEPS, None)
            theirs = path_of(RULES[name], problem, full)
            if difference(ours, theirs) > CLOSE and is_chaotic(name, problem, full):
                chaotic += 1
                ours, theirs = ours[: STEPS // 10], theirs[: STEPS // 10]
            gap = difference(ours, theirs)
            assert gap <= CLOSE, (problem, full, gap)
            worst = max(worst, gap)
    runs = len(settings_to_try(name)) * len(playground.playable())
    assert chaotic <= runs / 2  # Adadelta's with a large ε
    record_property("largest difference", worst)
    print(f"{name}: {runs} runs, {chaotic} chaotic ones, largest difference {worst:.1e}")


@pytest.mark.parametrize("name", sorted(mistakes.SOLUTIONS.keys() & RULES.keys()))
def test_translated_mistakes_are_the_catalogues(page: Any, name: str):
    known = page.execute_script("return myoptim.data.mistakes[arguments[0]]", name)
    translated = [one["id"] for one in known if "replays" not in one]
    assert len(translated) > 10
    rate = problem_rate(PROBLEMS["ravine"], RULES[name])
    for found in translated:
        wrong = mistakes.load(next(mistakes.forms(mistakes.CATALOGUE[found], name)), name)
        theirs = path_of(wrong, "ravine", {**rate, "weight_decay": 0.05}, 20)
        ours = run(page, name, "ravine", {**rate, "weight_decay": 0.05}, 20, found)
        assert difference(ours, theirs) <= 1e-10, found  # some of them blow up


STATE = "return document.querySelector('.playground').playground.state"


def test_a_click_on_the_map_starts_there(page: Any):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    before = page.execute_script(STATE)["start"]
    map_ = page.find_element(By.CLASS_NAME, "pg-map")
    ActionChains(page).move_to_element_with_offset(map_, 60, -40).click().perform()
    after = page.execute_script(STATE)["start"]
    assert after != before
    assert after[0] > -3 < after[1]
    first = page.execute_script(
        "return document.querySelector('.playground').playground.runs.get('Adam').points[0]"
    )
    assert first == after


def test_the_arrow_keys_move_the_start(page: Any):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    before = page.execute_script(STATE)["start"]
    page.find_element(By.CLASS_NAME, "pg-map").send_keys(Keys.ARROW_LEFT)
    after = page.execute_script(STATE)["start"]
    assert after[0] < before[0]
    assert after[1] == before[1]


def test_a_slider_changes_the_run_and_the_link(page: Any):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    end = "return document.querySelector('.playground').playground.runs.get('Adam').points.at(-1)"
    before, slow = page.execute_script(STATE)["settings"]["Adam"]["lr"], page.execute_script(end)
    slider = page.find_element(By.CSS_SELECTOR, "input[data-slider='lr']")
    for _ in range(5):
        slider.send_keys(Keys.ARROW_LEFT)
    after = page.execute_script(STATE)["settings"]["Adam"]["lr"]
    assert after < before
    assert page.execute_script(end) != slow
    page.execute_async_script("setTimeout(arguments[0], 400)")
    assert f"Adam.lr={after}" in page.current_url
    exact = page.find_element(By.CSS_SELECTOR, "input[data-setting='lr']")
    assert float(exact.get_attribute("value")) == after


def test_the_scrubber_shows_each_lines_numbers(page: Any):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.querySelector('.playground').playground.seek(0)")
    scrubber = page.find_element(By.CLASS_NAME, "pg-scrub")
    scrubber.send_keys(Keys.ARROW_RIGHT)
    assert page.execute_script(STATE)["step"] == 1
    table = page.find_element(By.CLASS_NAME, "pg-lines").text
    assert "Step 1 of Adam" in table
    assert "η / (1 − β₁ᵗ)" in table
    assert "exp_avg.lerp_(grad, 1 - beta1)" in table
    last = page.find_elements(By.CSS_SELECTOR, ".pg-lines tbody tr")[-1]
    shown = [
        float(cell.get_attribute("title"))
        for cell in last.find_elements(By.CLASS_NAME, "pg-number")
    ]
    point = page.execute_script(
        "return document.querySelector('.playground').playground.runs.get('Adam').points[1]"
    )
    assert shown == point
    heard = page.find_element(By.CLASS_NAME, "pg-status").text
    assert heard.startswith("Adam after step 1:")


def test_a_mistake_runs_beside_the_right_rule(page: Any):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    Select(page.find_element(By.CSS_SELECTOR, ".pg-mistakes select")).select_by_value(
        "no-bias-correction"
    )
    text = page.find_element(By.CLASS_NAME, "pg-mistakes").text
    assert mistakes.CATALOGUE["no-bias-correction"].hint in text
    paths = (
        "const {wrong, runs} = document.querySelector('.playground').playground;"
        "return [wrong, runs.get('Adam')]"
    )
    wrong, right = page.execute_script(paths)
    assert wrong["points"][0] == right["points"][0]
    assert wrong["points"][1] != right["points"][1]
    assert "with no-bias-correction" in page.find_element(By.CLASS_NAME, "pg-legend").text


def test_a_link_brings_everything_back(page: Any, site: Path):
    page.execute_async_script("setTimeout(arguments[0], 400)")
    state, link = page.execute_script(STATE), page.current_url
    page.get("about:blank")
    page.get(link)
    assert page.execute_script(STATE) == state


@pytest.mark.parametrize(
    "nonsense", ["#", "#problem=none", "#problem=square&race=&start=a,b&steps=-1&Adam.lr=x"]
)
def test_a_broken_link_opens_the_page_all_the_same(page: Any, site: Path, nonsense: str):
    page.get("about:blank")
    page.get(browser.address(site / "playground.html", nonsense))
    state = page.execute_script(STATE)
    assert state["race"]
    assert state["steps"] >= 1
    assert isinstance(state["settings"]["Adam"]["lr"], float)


def test_settings_that_the_package_refuses_are_refused(page: Any):
    why = page.execute_script(
        "return myoptim.refusal('SGD', {...myoptim.defaults('SGD', 'ravine'), nesterov: true})"
    )
    assert why == "Nesterov momentum requires a momentum and zero dampening"


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("x.add_(y, alpha=2)", "op.add_(x, y, 2)"),
        ("x.mul_(a).addcmul_(y, y, value=1 - a)", "op.addcmul_(op.mul_(x, a), y, y, op.sub(1, a))"),
        (
            "x.addcdiv_(y, y.sqrt().add_(1e-8))",
            "op.addcdiv_(x, y, op.add_(op.sqrt(y), 1e-08, 1), 1)",
        ),
        ("x.copy_(torch.where(y > 0, x, -y))", "op.copy_(x, op.where(x, op.gt(y, 0), op.neg(y)))"),
        ("x.clamp_(max=a)", "op.clamp_(x, -Infinity, a)"),
        ("x.lerp_(y.sign(), 1 - a**2)", "op.lerp_(x, op.sign(y), op.sub(1, op.pow(a, 2)))"),
    ],
)
def test_the_translation(line: str, made: str):
    (function,) = javascript.ast.parse(f"def rule(x, y, *, a):\n    {line}\n").body
    assert f"note(1, {made});" in javascript.translate(function)


def test_a_helper_is_translated_too():
    source = """
def rule(x, y, *, pair):
    x.clamp_(*pair).mul_(half(size=y))

def half(size):
    part = size / 2
    return size.clamp(min=1) if torch.is_tensor(size) else max(1, part)
"""
    rule, half = javascript.ast.parse(source).body
    made = javascript.translate(rule, helpers={"rule": rule, "half": half})
    assert "op.mul_(op.clamp_(x, ...pair), half(y))" in made
    assert "const half = (size) => {" in made
    assert "op.truth(op.isTensor(size)) ? op.clamp(size, 1, Infinity) : op.maximum(1, part)" in made


@pytest.mark.parametrize(
    "line",
    [
        "x.mean_(y)",
        "for i in x:\n        pass",
        "x.lerp_(y)",
        "[x for x in y]",
        "x.add(1, 2, 3, 4)",
    ],
)
def test_what_cannot_be_translated_says_so(line: str):
    (function,) = javascript.ast.parse(f"def rule(x, y):\n    {line}\n").body
    with pytest.raises(javascript.Untranslatable, match="not in the vocabulary"):
        javascript.translate(function)
