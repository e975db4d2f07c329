"""The page in a real browser: it shows Python's numbers, and can be used by everyone.

Needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver) and
the package selenium; without them these tests are skipped.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys

import pytest

from microgpt import Value, dot, exp, flatten, logsumexp, total
from tests.xray.xray_support import (
    ROOT,
    look,
    open_browser,
    show,
    tracer,
    trained_run,
    wait_until_drawn,
    xray,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("selenium", reason="needs the package selenium")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver")
    with open_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def run():
    return trained_run()


@pytest.fixture(scope="module")
def found(run):
    return tracer.trace(run, "maia")


@pytest.fixture(scope="module")
def states():
    """The same model at three steps of its training."""
    return [trained_run(steps=steps) for steps in (1, 10, 30)]


@pytest.fixture(scope="module")
def made(run):
    return xray.xray_run(run, "maia")


@pytest.fixture
def page(browser, folder, made):
    """The page of a run, with nothing pressed yet; afterwards, no error was logged."""
    for log in ("browser", "performance"):
        browser.get_log(log)  # what an earlier test has left there is thrown away
    show(browser, folder, made)
    yield browser
    assert browser.get_log("browser") == []


def press(browser, selector):
    from selenium.webdriver.common.by import By

    element = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def keys(browser, *what):
    from selenium.webdriver import ActionChains

    chain = ActionChains(browser)
    for key in what:
        chain.send_keys(key)
    chain.perform()


def text(browser, selector):
    script = "return document.querySelector(arguments[0]).innerText"
    return browser.execute_script(script, selector)


def asked(browser):
    """Return (data, grad) of the number that is looked at, as shown."""
    return float(text(browser, "#asked-data")), float(text(browser, "#asked-grad"))


def held_names(browser):
    """Return what the names panel shows: for each name the numbers of its cells."""
    script = """
    return [...document.querySelectorAll("#holds .held")].map((held) => [
      held.querySelector(".name").textContent,
      [...held.querySelectorAll(".cell")].map((cell) => Number(cell.dataset.number)),
    ])"""
    return dict(browser.execute_script(script))


# The text.


def test_a_letter_shows_its_surprise_and_what_was_likeliest_in_its_place(
    page, run, found
) -> None:
    losses = [names["return"] for _, names in tracer.calls_of(found, "cross_entropy")]
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    names = ["BOS", *run.tokenizer.chars]
    for letter, target in enumerate("maia", start=1):
        press(page, f"#tokens .token:nth-child({letter + 1})")
        shown = text(page, f"#tokens .token:nth-child({letter + 1})").split()
        nats = found.data[losses[letter - 1]]
        assert shown == [str(letter), target, f"{nats:.2f}", "nats"]
        said = f"asked for the token at position {letter}. It was {target},"
        assert said in text(page, "#asked")

        exps = [exp(found.data[logit]) for logit in logits[letter - 1]]
        likely = sorted(range(len(exps)), key=lambda i: -exps[i])
        bars = page.execute_script("""
        return [...document.querySelectorAll("#bars > .bar")].map((bar) =>
          [...bar.querySelectorAll("button, span")].map((each) => each.innerText))""")
        assert [name for name, _ in bars[:5]] == [names[i] for i in likely[:5]]
        assert target in [name for name, _ in bars]
        for name, share in bars:
            chance = 100 * exps[names.index(name)] / sum(exps)
            assert float(share.rstrip("%")) == pytest.approx(chance, abs=0.051)
        # And the code stands where this letter is about to be predicted.
        at = page.execute_script("return page.at")
        step = found.steps[at]
        assert (step.function, step.place[0]) == ("gpt", letter - 1)
        # A guess can be asked.
        press(page, "#bars .bar:nth-child(2) button")
        assert asked(page)[0] == found.data[logits[letter - 1][likely[1]]]


# The code.


def numbers_in(encoded, run) -> list[int]:
    """Return the numbers of all Values in an encoded name, in order."""
    if isinstance(encoded, int):
        return [encoded]
    if isinstance(encoded, list):
        return [number for part in encoded for number in numbers_in(part, run)]
    if "matrix" in encoded:
        labels = {weight.label: i for i, weight in enumerate(flatten(run.params))}
        matrix = run.params[encoded["matrix"]]
        return [labels[weight.label] for row in matrix for weight in row]
    return []


def test_every_step_forward_and_back_shows_the_names_of_that_moment(
    browser, folder
) -> None:
    run = trained_run(n_embd=4)
    found = tracer.trace(run, "m")
    show(browser, folder, xray.xray_run(run, "m"))
    script = """
    const seen = [];
    page.at = 0;
    drawCode();
    const look = () => [...document.querySelectorAll("#holds .held")].map((held) => [
      held.querySelector(".name").textContent,
      [...held.querySelectorAll(".cell")].map((cell) => Number(cell.dataset.number)),
    ]);
    const now = () => Number(document.querySelector("#lines .now").dataset.line);
    for (let i = 0; i < page.meta.steps.length; i++) {
      seen.push([page.at, now(), look()]);
      go("line", 1);
    }
    const back = [];
    for (let i = 0; i < page.meta.steps.length; i++) {
      back.push([page.at, now(), look()]);
      go("line", -1);
    }
    return [seen, back.reverse()]"""
    forward, back = browser.execute_script(script)
    assert forward == back
    known = {}
    for i, (step, (at, line, shown)) in enumerate(zip(found.steps, forward)):
        names = known.setdefault(step.call, {})
        names.update(step.changed)
        expected = {name: numbers_in(held, run) for name, held in names.items()}
        if step.returns:
            expected["returns"] = numbers_in(step.returned, run)
        assert (at, line) == (i, step.line)
        assert dict(shown) == expected


def test_buttons_and_keys_go_by_line_token_layer_and_function(page, found) -> None:
    def at() -> int:
        return page.execute_script("return page.at")

    def step():
        return found.steps[at()]

    keys(page, "t")
    assert step().place[0] == 1 and found.steps[at() - 1].place[0] != 1
    keys(page, "y")
    assert step().place[:2] == (1, 0)
    keys(page, "y")
    assert step().place[:2] == (1, 1) and found.steps[at() - 1].place[1] != 1
    began = at()
    press(page, '[data-go="function"][data-way="1"]')
    assert step().call != found.steps[began].call
    press(page, '[data-go="line"][data-way="1"]')
    press(page, '[data-go="line"][data-way="-1"]')
    press(page, '[data-go="function"][data-way="-1"]')
    assert at() <= began
    keys(page, "t", "T")
    assert step().place[0] == 2 or step().place[0] == 1
    keys(page, "T")
    keys(page, "T")
    assert step().place[0] == 0


def test_a_press_on_a_line_goes_to_the_next_time_it_runs(page, found) -> None:
    (line,) = {s.line for s in found.steps if "weights" in s.changed}
    times = [i for i, step in enumerate(found.steps) if step.line == line]
    for expected in times[:3]:
        press(page, f'#lines [data-line="{line}"]')
        assert page.execute_script("return page.at") == expected
        held = held_names(page)
        assert held["weights"] == found.steps[expected].changed["weights"]


# One number.


def test_from_the_loss_down_to_a_parameter_and_back(page, run, found) -> None:
    path = [found.root]
    assert asked(page) == (found.data[found.root], 1.0)
    while found.inputs[path[-1]]:
        # The input that matters most, constants such as 1 / len(losses) aside.
        node = path[-1]
        sizes = {
            input: abs(slope * found.grads[node])
            for input, slope in zip(found.inputs[node], found.slopes[node])
            if found.inputs[input] or found.nodes[input].label
        }
        after = max(sizes, key=sizes.__getitem__)
        press(page, f'#from .ask[data-number="{after}"]')
        path.append(after)
        assert asked(page) == (found.data[after], found.grads[after])
    assert len(path) > 4
    assert path[-1] < len(flatten(run.params))
    for node in reversed(path[:-1]):
        keys(page, "b")
        assert asked(page) == (found.data[node], found.grads[node])


def test_the_uses_of_a_parameter_sum_to_its_grad(page, found) -> None:
    (node,) = [i for i, name in enumerate(found.names) if name == "lm_head[3][2]"]
    page.execute_script("ask(arguments[0])", node)
    rows = page.execute_script("""
    return [...document.querySelectorAll("#used tr")].slice(1).map((row) =>
      [...row.children].map((cell) => cell.innerText))""")
    *uses, total = rows
    assert len(uses) == 5  # one for each token that the model reads
    users = {user for user, *_ in uses}
    assert len(users) == 5
    for token, letter in enumerate(["BOS", "m", "a", "i", "a"]):
        assert sum(f"position {token} “{letter}”" in user for user in users) == 1
    # The line that called linear, which is called from many.
    assert all(where.startswith("gpt, line ") for *_, where in uses)
    added = [float(row[-2]) for row in uses]
    assert sum(added) == pytest.approx(found.grads[node], rel=2e-3)
    assert float(total[-2]) == pytest.approx(found.grads[node], rel=1e-3)


def test_what_is_shown_of_any_node_sums_to_its_grad(page, found) -> None:
    sums = page.execute_script("""
    return Array.from({length: page.graph.n}, (_, node) => {
      let sum = node === page.graph.root ? 1 : 0;
      for (const [user, e] of usesOf(node, page.shown[0])) {
        sum += page.shown[0].slopes[e] * page.shown[0].grad[user];
      }
      return sum;
    })""")
    for shown, grad in zip(sums, found.grads):
        assert abs(shown - grad) < 1e-12


def test_the_parts_of_a_logit_sum_to_it(page, found) -> None:
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    node = logits[2][1]  # "a" after the third token
    page.execute_script("ask(arguments[0])", node)
    rows = page.execute_script("""
    return [...document.querySelectorAll("#why tr")].slice(1).map((row) =>
      [...row.children].map((cell) => cell.innerText))""")
    *parts, (_, total, above) = rows
    adds = [float(part) for name, part, _ in parts if "look" not in name]
    more = [float(part) for name, _, part in parts if "look" not in name]
    assert len(adds) == 2 + 2 * 2  # two embeddings, and two halves of two layers
    data = [found.data[logit] for logit in logits[2]]
    mean = sum(data) / len(data)
    assert sum(adds) == pytest.approx(found.data[node], abs=2e-3)
    assert sum(more) == pytest.approx(found.data[node] - mean, abs=2e-3)
    assert float(total) == pytest.approx(found.data[node], rel=1e-3)
    assert float(above) == pytest.approx(found.data[node] - mean, rel=1e-3)


def test_each_part_of_a_logit_opens_into_the_numbers_that_it_is_made_of(
    page, found
) -> None:
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    page.execute_script("ask(arguments[0])", logits[2][1])
    heads = page.execute_script("""
    return [...document.querySelectorAll("#why [data-open]")].map((each) =>
      each.dataset.open)""")
    # For each of the two layers its two halves, four looks, and a row for the others.
    assert len(heads) == 2 + 2 * (2 + 4 + 1)
    seen = set()
    for head in [head for head in heads if "other" not in head]:
        press(page, f'#why [data-open="{head}"]')
        rows = page.execute_script("""
        return [...document.querySelectorAll("#why tr")].slice(1).map((row) =>
          [row.querySelector("[data-open]")?.dataset.open ?? "",
           row.querySelector(".term [data-number]")?.dataset.number ?? "",
           ...[...row.children].slice(1).map((cell) => cell.innerText)])""")
        at = [name for name, *_ in rows].index(head)
        _, _, *part = rows[at]
        terms = []
        for name, number, *sums in rows[at + 1 : -1]:
            if name:
                break
            if sums[0]:
                terms.append(list(map(float, sums)))
                seen.add(int(number))
        assert len(terms) == (4 if "looks at" in head else 8)
        for column in (0, 1):
            total = sum(term[column] for term in terms)
            assert total == pytest.approx(float(part[column]), abs=2e-3)
        press(page, f'#why [data-open="{head}"]')
        assert (
            page.execute_script("return document.querySelector('#why .term')") is None
        )
    # Looks lead to numbers of v, the halves of a layer to what they returned; all of
    # these were computed from others, so that it goes on down from there.
    for function, key in (
        ("attention", "v"),
        ("attention", "return"),
        ("mlp", "return"),
    ):
        found_there = [
            number
            for step, names in tracer.calls_of(found, function)
            if step.place[0] <= 2
            for number in names[key]
        ]
        assert seen & set(found_there)
    page.execute_script("page.opened.add('mlp, layer 1'); drawNumber()")
    press(page, "#why .term .ask")
    assert "Computed from 32 inputs" in text(page, "#from") or "64 inputs" in text(
        page, "#from"
    )


def test_all_looks_of_a_layer_sum_to_what_attention_wrote(page, found) -> None:
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    page.execute_script("ask(arguments[0])", logits[2][1])
    press(page, '#why [data-open^="the other 2 looks of layer 1"]')
    rows = page.execute_script("""
    return [...document.querySelectorAll("#why tr")].slice(1).map((row) =>
      [...row.children].map((cell) => cell.innerText))""")
    at = next(i for i, row in enumerate(rows) if "attention, layer 1" in row[0])
    looks = []
    for name, *sums in rows[at + 1 :]:
        if "look" not in name:
            break
        if "other" not in name:
            looks.append(list(map(float, sums)))
    assert len(looks) == 2 * 3  # two heads, three tokens so far
    for column in (0, 1):
        total = sum(look[column] for look in looks)
        assert total == pytest.approx(float(rows[at][1 + column]), abs=2e-3)


def test_the_lines_of_a_number_are_shown_and_lead_to_their_moments(page, found) -> None:
    step = next(i for i, s in enumerate(found.steps) if "q" in s.changed)
    node = found.steps[step].changed["q"][0]
    page.execute_script("ask(arguments[0])", node)
    made = found.steps[found.born[node]]
    assert made.function == "linear"
    assert f"linear, line {made.line}: return" in text(page, "#about")
    called = max(
        i for i in range(found.born[node]) if found.steps[i].depth < made.depth
    )
    caller = found.steps[called]
    assert f"attention, line {caller.line}: q = linear(" in text(page, "#about")
    for place, expected in ((1, called), (2, found.born[node])):
        press(page, f"#about p:nth-of-type({place + 2}) [data-stop]")
        assert page.execute_script("return page.at") == expected


def test_to_look_up_a_line_does_not_change_the_letter(page, found) -> None:
    press(page, "#tokens .token:nth-child(4)")
    values = [v for v in found.steps if "v" in v.changed and v.place[0] == 0]
    page.execute_script("ask(arguments[0])", values[0].changed["v"][0])
    press(page, "#about [data-stop]")
    at = page.execute_script("return page.at")
    assert found.steps[at].place[0] == 0
    assert page.execute_script("return page.token") == 2
    keys(page, "l")  # a step further on, still at the first token
    assert page.execute_script("return [page.at, page.token]") == [at + 1, 2]
    keys(page, "t")
    keys(page, "t")
    assert page.execute_script("return page.token") == 2
    keys(page, "t")
    assert page.execute_script("return page.token") == 3


def test_an_attention_weight_says_who_looks_at_whom(page, found) -> None:
    weights = [w for w in tracer.attention_weights(found) if w["pos"] == 3]
    page.execute_script("ask(arguments[0])", weights[0]["weights"][1])
    assert "(i at 3 looks at m at 1)" in text(page, "#about")


def test_the_inputs_of_a_logit_say_what_is_more_than_average(page, found) -> None:
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    page.execute_script("ask(arguments[0])", logits[1][3])
    rows = page.execute_script("""
    return [...document.querySelectorAll("#from tr")].map((row) =>
      [...row.children].map((cell) => cell.innerText))""")
    assert rows[0][3] == "more than average"
    data = [found.data[logit] for logit in logits[1]]
    more = [float(row[3]) for row in rows[1:] if row[3] != "″"]
    assert len(more) == len(rows[1:]) // 2
    assert sum(more) == pytest.approx(data[3] - sum(data) / len(data), abs=2e-3)


# What is said of a number is true of it, whatever the cells show.


def choose(browser, selector, value) -> None:
    """Choose an option of a list, or move a slider, as a person would."""
    browser.execute_script(
        "const element = document.querySelector(arguments[0]);"
        "element.value = arguments[1];"
        "for (const kind of ['input', 'change']) {"
        "  element.dispatchEvent(new Event(kind, {bubbles: true}));"
        "}",
        selector,
        value,
    )


def test_a_cell_that_shows_a_gradient_does_not_call_it_the_number(page, found) -> None:
    node = tracer.calls_of(found, "gpt")[0][1]["return"][2]
    at = [i for i, s in enumerate(found.steps) if node in s.changed.get("logits", [])]
    page.execute_script("goTo(arguments[0])", at[0])
    choose(page, "#view", "grad")
    selector = f'#holds .cell[data-number="{node}"]'
    page.execute_script(f"document.querySelector('{selector}').focus()")
    name, data, grad = page.execute_script(
        f"return [document.querySelector('{selector}').dataset.name,"
        " short(arguments[0]), short(arguments[1])]",
        found.data[node],
        found.grads[node],
    )
    assert data != grad
    assert text(page, "#readout").startswith(f"{name} = {data} · grad {grad} · ")
    label = page.execute_script(
        f"return document.querySelector('{selector}').ariaLabel"
    )
    assert label == f"grad of {name} = {found.grads[node]!r}"


def test_the_readout_follows_a_change_and_forgets_what_is_gone(page, run) -> None:
    page.execute_script("ask(0); document.querySelector('#heads .cell').focus()")
    node = page.execute_script("return Number(document.activeElement.dataset.number)")
    weight = "layer0.attn_wq[0][0]"
    page.execute_script("nudge(page.graph.labels.indexOf(arguments[0]), 3)", weight)
    grad = page.execute_script("return short(page.shown[0].grad[arguments[0]])", node)
    assert f"grad {grad} " in text(page, "#readout")
    press(page, "#tokens .token:nth-child(4)")
    assert "looks at" not in text(page, "#readout")


def test_colours_are_compared_with_the_largest_number_of_the_same_name(
    page, found
) -> None:
    page.execute_script(
        "goTo(page.meta.steps.findIndex((s) => s[7].keys_head && s[4] === 3) + 1)"
    )
    held = held_names(page)["keys_head"]
    colours = page.execute_script(
        """
    const box = document.createElement("div");
    const held = [...document.querySelectorAll("#holds .held")].find((held) =>
      held.querySelector(".name").textContent === "keys_head");
    return [...held.querySelectorAll(".cell")].map((cell, i) => {
      paint(box, arguments[0][i], arguments[1]);
      return [cell.style.backgroundColor, box.style.backgroundColor];
    })""",
        [found.data[node] for node in held],
        max(abs(found.data[n]) for n in held),
    )
    assert len(colours) == 16  # four keys, of four numbers
    assert all(shown == expected for shown, expected in colours)


def test_the_largest_gradient_of_an_attention_grid_has_the_strongest_colour(
    page, found
) -> None:
    choose(page, "#view", "grad")
    grids = page.execute_script("""
    return [...document.querySelectorAll("#heads .head")].map((grid) =>
      [...grid.querySelectorAll(".cell")].map((cell) =>
        [Number(cell.dataset.number), cell.style.backgroundColor]))""")
    poles = page.execute_script("""
    return ["negative", "positive"].map((name) =>
      `rgb(${page.colours[name].join(", ")})`)""")
    for grid in grids:
        node, colour = max(grid, key=lambda cell: abs(found.grads[cell[0]]))
        assert found.grads[node] != 0
        assert colour == poles[found.grads[node] > 0]


# The way about the page.


def in_sight(browser, selector) -> bool:
    script = """
    const {top, bottom} = document.querySelector(arguments[0]).getBoundingClientRect();
    return bottom > 0 && top < innerHeight - 40;"""
    return browser.execute_script(script, selector)


@pytest.mark.parametrize("width", [360, 1600])
def test_a_pressed_cell_brings_its_number_into_sight_and_leads_back(
    page, found, width
) -> None:
    look(page, width, dark=False)
    for panel in ("#heads", "#matrix-cells"):
        cell = f"{panel} .cell:not(.asked)"
        node = page.execute_script(
            "return Number(document.querySelector(arguments[0]).dataset.number)", cell
        )
        press(page, cell)
        assert asked(page) == (found.data[node], found.grads[node])
        assert in_sight(page, "#number-title")
        press(page, "#return")
        focused = "return document.activeElement.dataset.number"
        assert int(page.execute_script(focused)) == node
        assert in_sight(page, f'{panel} [data-number="{node}"]')


@pytest.mark.parametrize("width", [360, 1600])
def test_a_key_from_the_top_of_the_page_brings_the_marked_line_into_sight(
    page, width
) -> None:
    look(page, width, dark=False)
    page.execute_script("scrollTo(0, 0)")
    keys(page, "l")
    assert in_sight(page, "#lines .now")


def test_steps_keep_the_focus_on_the_cell_of_the_same_name(page) -> None:
    page.execute_script("goTo(page.meta.steps.findIndex((s) => s[7].q) + 1)")
    cell = "[...document.querySelectorAll('#holds .cell')]"
    page.execute_script(f"{cell}.find((each) => each.dataset.name === 'x[3]').focus()")
    for _ in range(3):
        keys(page, "l")
        assert (
            page.execute_script("return document.activeElement.dataset.name") == "x[3]"
        )


def test_a_line_after_its_last_run_says_that_it_begins_again(page, found) -> None:
    (line,) = {s.line for s in found.steps if "weights" in s.changed}
    times = [i for i, step in enumerate(found.steps) if step.line == line]
    page.execute_script("goTo(arguments[0])", times[-1])
    assert "first time" not in text(page, "#place")
    press(page, f'#lines [data-line="{line}"]')
    assert page.execute_script("return page.at") == times[0]
    assert "this is its first time" in text(page, "#place")


def test_a_number_with_two_names_says_both(page, found) -> None:
    # The attention scores are called logits within softmax.
    (softmax, *_) = tracer.calls_of(found, "softmax")
    node = softmax[1]["logits"][0]
    at = [i for i, s in enumerate(found.steps) if s.changed.get("logits") == [node]]
    page.execute_script("goTo(arguments[0])", at[0])
    press(page, f'#holds .cell[data-number="{node}"]')
    assert "scores[0]" in text(page, "#about")
    assert "the same number that you pressed as logits" in text(page, "#about")


def test_what_is_no_number_or_too_large_is_refused_in_words(page, found) -> None:
    page.execute_script("ask(0)")
    for typed, said in (("", "This is no number"), ("1e308", "from -100 to 100")):
        choose(page, "#nudge-number", typed)
        assert said in text(page, "#nudged")
        assert page.execute_script("return page.shown[0].data[0]") == found.data[0]


def test_a_change_is_said_wherever_it_shows_and_can_be_undone_from_the_top(
    page, found
) -> None:
    from selenium.webdriver import ActionChains

    losses = [names["return"] for _, names in tracer.calls_of(found, "cross_entropy")]
    (node,) = [i for i, name in enumerate(found.names) if name == "wte[0][1]"]
    page.execute_script("ask(arguments[0])", node)
    press(page, '[data-by="0.1"]')
    press(page, '[data-by="0.1"]')
    now = page.execute_script("return page.shown[0].data[arguments[0]]", node)
    assert now == pytest.approx(found.data[node] + 0.2)
    assert "1 of them changed by you" in text(page, "#summary")
    # BOS is read first, so this changes what is expected for the first letter.
    nats = found.data[losses[0]]
    assert f"was {nats:.2f}" in text(page, "#tokens .token:nth-child(2)")
    assert "was" in text(page, "#bars")
    changed = page.find_element("css selector", "#matrix-cells .changed")
    ActionChains(page).move_to_element(changed).perform()
    assert f"(was {found.data[node]:.4g})" in text(page, "#readout")
    # Back to where it was is no change.
    press(page, '[data-by="-0.1"]')
    page.execute_script("nudge(...arguments)", node, found.data[node])
    assert "changed by you" not in text(page, "#summary")
    press(page, '[data-by="0.1"]')
    press(page, "#undo-above")
    assert (
        page.execute_script("return page.shown[0].data[arguments[0]]", node)
        == (found.data[node])
    )
    assert "was" not in text(page, "#tokens")
    assert not page.find_element("id", "undo-above").is_displayed()


def test_the_line_at_the_bottom_leaves_with_the_pointer(page) -> None:
    from selenium.webdriver import ActionChains

    cell = page.find_element("css selector", "#heads .cell")
    ActionChains(page).move_to_element(cell).perform()
    assert page.find_element("id", "readout").is_displayed()
    title = page.find_element("id", "attention-title")
    ActionChains(page).move_to_element(title).perform()
    assert not page.find_element("id", "readout").is_displayed()
    # But a number that was reached by the keyboard stays, wherever the pointer lies.
    page.execute_script("document.querySelector('#heads .cell').focus()")
    keys(page, "\ue015")  # an arrow: down
    ActionChains(page).move_to_element(title).move_by_offset(3, 3).perform()
    assert "m looks at BOS" in text(page, "#readout")


def test_buttons_that_lead_nowhere_say_so_and_a_key_leads_to_the_number(page) -> None:
    off = "return [...document.querySelectorAll('[data-go][aria-disabled=true]')].map("
    off += "(each) => [each.dataset.go, each.dataset.way])"
    page.execute_script("goTo(page.meta.steps.length - 1)")
    assert sorted(way for _, way in page.execute_script(off)) == ["1"] * 4
    page.execute_script("goTo(0)")
    assert ["line", "-1"] in page.execute_script(off)
    assert ["line", "1"] not in page.execute_script(off)
    keys(page, "n")
    assert page.execute_script("return document.activeElement.id") == "number-title"


def test_a_probability_can_be_followed_through_training(browser, folder) -> None:
    states = [trained_run(steps=steps) for steps in (1, 10, 30)]
    traces = [tracer.trace(each, "maia") for each in states]
    listed = [(0, each.step, found) for each, found in zip(states, traces)]
    content = xray.run_content(states[-1:], ["a run"], listed, "maia")
    show(browser, folder, xray._page(content))
    tokens = states[0].tokenizer.encode_document("maia")

    def check(pos: int, token: int) -> None:
        expected = []
        for found in traces:
            logits = tracer.calls_of(found, "gpt")[pos][1]["return"]
            exps = [exp(found.data[logit]) for logit in logits]
            expected.append(100 * exps[token] / sum(exps))
        shown = browser.execute_script("""
        return [...document.querySelectorAll("#chances span")].map((each) =>
          each.innerText)""")
        words = [each.split() for each in shown]  # "step 10 5.3%"
        assert [int(step) for _, step, _ in words] == [each.step for each in states]
        chances = [float(chance.rstrip("%")) for _, _, chance in words]
        assert chances == pytest.approx(expected, abs=0.051)

    check(0, tokens[1])
    press(browser, "#tokens .token:nth-child(4)")
    check(2, tokens[3])
    logits = tracer.calls_of(traces[0], "gpt")[2][1]["return"]
    press(browser, f'#bars > .bar [data-number="{logits[tokens[3]]}"]')
    browser.execute_script("ask(arguments[0])", logits[0])
    check(2, 0)

    # A bar of twice the probability is twice as long, at every step.
    for step in (0, 2):
        choose(browser, "#snapshot", step)
        bars = browser.execute_script("""
        return [...document.querySelectorAll("#bars > .bar")].map((bar) =>
          [bar.querySelector("i").style.width, bar.querySelector("span").innerText])""")
        for length, share in bars:
            assert float(length.rstrip("%")) == pytest.approx(
                0.7 * float(share.rstrip("%")), abs=0.04
            )
    assert browser.get_log("browser") == []


def test_before_training_the_page_says_why_attention_has_no_gradients(
    browser, folder
) -> None:
    trained, new = trained_run(steps=3), trained_run(steps=3)
    for layer in range(2):
        for row in new.params[f"layer{layer}.attn_wo"]:
            for weight in row:
                weight.data = 0.0  # as before the first step
    for run, expected in ((new, True), (trained, False)):
        show(browser, folder, xray.xray_run(run, "maia"))
        assert "attn_wo" not in text(browser, "#heads")
        choose(browser, "#view", "grad")
        assert ("attn_wo" in text(browser, "#heads")) == expected


# The engine in the page.


def difference(browser, trace) -> float:
    """Return the largest difference of the page's data and grads from Python's."""
    data, grads = browser.execute_script(
        "return [[...page.shown[0].data], [...page.shown[0].grad]]"
    )
    pairs = [*zip(data, trace.data), *zip(grads, trace.grads)]
    assert len(pairs) == 2 * len(trace.data)
    return max(abs(a - b) for a, b in pairs)


def test_ten_nudges_give_pythons_numbers_for_every_node(browser, folder) -> None:
    run = trained_run()
    before = tracer.trace(run, "maia")
    show(browser, folder, xray.xray_run(run, "maia"))
    rng = random.Random(11)
    parameters = flatten(run.params)
    picked = {choice.picked for choice in tracer.choices(before)}
    for _ in range(10):
        i = rng.randrange(len(parameters))
        parameters[i].data += rng.choice([-2.0, 2.0]) * rng.random()
        browser.execute_script("ask(arguments[0])", i)
        box = "#nudge-number"
        browser.execute_script(
            "const box = document.querySelector(arguments[0]);"
            "box.value = arguments[1];"
            "box.dispatchEvent(new Event('input', {bubbles: true}))",
            box,
            repr(parameters[i].data),
        )
        assert difference(browser, tracer.trace(run, "maia")) < 1e-9
    after = tracer.trace(run, "maia")
    # The nudges were large enough for another logit to be the largest somewhere.
    assert picked != {choice.picked for choice in tracer.choices(after)}
    losses = [float(text(browser, f"#loss-{name}")) for name in ("before", "after")]
    assert losses[0] == before.data[before.root]
    assert losses[1] == pytest.approx(after.data[after.root], abs=1e-9)
    # Every number says what it was, and the ones that were changed are marked.
    shown = browser.execute_script(
        "return [...document.querySelectorAll('#about tr')].map((row) =>"
        "  [...row.children].map((cell) => cell.innerText))"
    )
    assert shown[0] == ["", "value", "before your change"]
    assert float(shown[1][2]) == before.data[i]
    assert float(shown[2][2]) == before.grads[i]
    marked = browser.execute_script(
        "return [...document.querySelectorAll('#matrix-cells .changed')].map((cell) =>"
        "  Number(cell.dataset.number))"
    )
    rows = len(before.data[: len(parameters)]) and browser.execute_script(
        "return matrixOf('wte').rows * matrixOf('wte').columns"
    )
    moved = [j for j in range(rows) if parameters[j].data != before.data[j]]
    assert marked == moved
    press(browser, "#undo")
    assert browser.execute_script("return document.querySelector('.changed')") is None
    assert not browser.find_element("id", "undo").is_displayed()
    assert difference(browser, before) == 0
    # What was undone does not come back with the next change.
    for parameter, data in zip(parameters, before.data):
        parameter.data = data
    parameters[7].data += 0.5
    browser.execute_script("nudge(7, arguments[0])", parameters[7].data)
    assert difference(browser, tracer.trace(run, "maia")) < 1e-9
    assert browser.get_log("browser") == []


def test_the_gradient_predicts_a_small_nudge(page, run, found) -> None:
    node = max(range(len(flatten(run.params))), key=lambda i: abs(found.grads[i]))
    page.execute_script(
        "ask(arguments[0]); nudge(arguments[0], arguments[1])",
        node,
        found.data[node] + 1e-4,
    )
    before, after, predicted = [
        float(text(page, f"#loss-{name}")) for name in ("before", "after", "predicted")
    ]
    assert predicted == pytest.approx(before + found.grads[node] * 1e-4, abs=1e-12)
    assert abs(after - predicted) < 0.01 * abs(after - before)


def test_the_engine_knows_every_operation_of_value_py(browser, folder) -> None:
    a, b, c = Value(0.7, label="a"), Value(1.3, label="b"), Value(2.0, label="c")
    y = dot([a, b, a], [b, c, a]) * (a - b) / c + (-a).exp() + (a + c).log()
    y = y + b.tanh() + a**2 + b**-0.5 + a**b + (a - c).relu() + exp(b)
    y = y * logsumexp([a, b, c]) + total([a, y, 3 - b])
    y.backward()
    expected = [(leaf.data, leaf.grad) for leaf in (a, b, c)]
    show(browser, folder, xray.xray_graph(y))
    data, grads, labels, result = browser.execute_script("""
    const state = page.graph.changed(page.shown[0], new Map());
    return [[...state.data], [...state.grad], page.graph.labels,
      state.data[page.graph.root]]""")
    shown = dict(zip(labels, zip(data, grads)))
    for name, (number, grad) in zip("abc", expected):
        assert shown[name][0] == number
        assert shown[name][1] == pytest.approx(grad, rel=1e-12)
    assert result == pytest.approx(y.data, rel=1e-12)
    assert {"+", "-", "*", "/", "**", "**2", "**-0.5", "exp", "log"} < set(labels)
    assert {"relu", "tanh", "dot", "total", "logsumexp"} < set(labels)


def test_backward_fills_in_the_grads_node_by_node(browser, folder) -> None:
    # y = a * b + a with a = 2, b = 3. First nothing but y has a grad; then + passes 1
    # to the product and to a; then * passes 3 to a, which makes 4, and 2 to b.
    a, b = Value(2.0, label="a"), Value(3.0, label="b")
    show(browser, folder, xray.xray_graph(a * b + a))
    grads = "return [...page.shown[0].grad]"
    assert browser.execute_script(grads) == [0, 0, 0, 1]  # a, b, *, +
    keys(browser, "l")
    assert browser.execute_script(grads) == [1, 0, 1, 1]
    assert asked(browser) == (8.0, 1.0)
    framed = "return document.querySelector('#nodes .asked').dataset.number"
    assert browser.execute_script(framed) == "3"  # the node that passes its grad on
    press(browser, '[data-visit="1"]')
    assert browser.execute_script(grads) == [4, 2, 1, 1]
    assert browser.execute_script(framed) == "2"
    keys(browser, "L")
    assert browser.execute_script(grads) == [1, 0, 1, 1]
    press(browser, '[data-visit="last"]')
    assert browser.execute_script(grads) == [4, 2, 1, 1]
    assert "Visit 2 of 2" in text(browser, "#visited")
    assert browser.get_log("browser") == []


def test_an_operation_that_the_page_does_not_know_has_the_slopes_of_python(
    browser, folder
) -> None:
    x = Value(1.0, label="x")
    sine = Value(math.sin(1.0), (x,), (math.cos(1.0),), "sin")
    show(browser, folder, xray.xray_graph(sine * sine))
    press(browser, '[data-visit="last"]')
    # d(sin(x)**2)/dx = 2 * sin(x) * cos(x)
    grad = browser.execute_script("return page.shown[0].grad[0]")
    assert grad == pytest.approx(2 * math.sin(1.0) * math.cos(1.0), abs=1e-15)
    assert browser.get_log("browser") == []


# Training, and two runs.


def test_the_slider_moves_every_number_on_the_page(browser, folder, states) -> None:
    traces = [tracer.trace(each, "maia") for each in states]
    listed = [(0, each.step, found) for each, found in zip(states, traces)]
    content = xray.run_content([states[-1]], ["a run"], listed, "maia")
    show(browser, folder, xray._page(content))
    assert difference(browser, traces[2]) == 0
    from selenium.webdriver.common.by import By

    slider = browser.find_element(By.ID, "snapshot")
    for i in (1, 0, 1, 2):
        key = "\ue012" if i < int(slider.get_attribute("value")) else "\ue014"
        slider.send_keys(key)  # the left or right arrow
        found = traces[i]
        assert difference(browser, found) == 0
        assert str(states[i].step) in text(browser, "#step-shown")
        assert float(text(browser, "#asked-data")) == found.data[found.root]
        # What the cells of attention say, and the loss in the curve's caption.
        shown = browser.execute_script("""
        return [...document.querySelectorAll("#heads .cell")].map((cell) =>
          [Number(cell.dataset.number), cell.getAttribute("aria-label")])""")
        assert len(shown) == 2 * 2 * 15
        for node, label in shown:
            assert float(label.split(" = ")[1]) == found.data[node]
        # The first percentage among the bars is that of the likeliest token.
        logits = tracer.calls_of(found, "gpt")[0][1]["return"]
        exps = [exp(found.data[logit]) for logit in logits]
        likeliest = 100 * max(exps) / sum(exps)
        bar = text(browser, "#bars .bar span")
        assert float(bar.rstrip("%")) == pytest.approx(likeliest, abs=0.051)
        # Each edge that a softmax chose leads where Python's did, and adds up.
        largest = browser.execute_script(
            "return page.graph.choices.map(({edges}) => page.shown[0].inputs[edges[0]])"
        )
        assert largest == [choice.picked for choice in tracer.choices(found)]
    # After a nudge, the caption tells the loss that the header tells.
    browser.execute_script("nudge(0, 1)")
    loss = browser.execute_script("return short(page.shown[0].data[page.graph.root])")
    assert loss != browser.execute_script(
        "return short(page.states[2]().data[page.graph.root])"
    )
    assert f"is {loss} nats a token" in text(browser, "#summary")
    assert f"is {loss} nats, with your changes" in text(browser, "#step-shown")
    choose(browser, "#snapshot", 0)
    # The map's directions are those of the last step, and it says so.
    assert f"after {states[-1].step} steps" in text(browser, "#points")
    assert browser.get_log("browser") == []


def test_two_runs_are_shown_cell_by_cell_with_differences(
    browser, folder, states
) -> None:
    first, second = states[1], states[2]
    show(browser, folder, xray.xray_run(first, "maia", second))
    a, b = tracer.trace(first, "maia"), tracer.trace(second, "maia")
    labels = browser.execute_script("""
    return [...document.querySelectorAll("#matrix-cells .cells")].map((grid) =>
      [...grid.querySelectorAll(".cell")].map((cell) => cell.ariaLabel))""")
    assert len(labels) == 3
    for which, numbers in enumerate(
        [a.data, b.data, [y - x for x, y in zip(a.data, b.data)]]
    ):
        shown = [float(label.split(" = ")[1]) for label in labels[which]]
        assert shown == numbers[: len(shown)]
    values = browser.execute_script("""
    return [...document.querySelectorAll("#asked-data")].map((x) => x.innerText)""")
    assert list(map(float, values)) == [
        a.data[a.root],
        b.data[b.root],
        b.data[b.root] - a.data[a.root],
    ]
    assert browser.get_log("browser") == []


# Safety, and everyone.


def test_nothing_leaves_the_page(page) -> None:
    keys(page, "t", "y", "l")
    requests = []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            requests.append(message["params"]["request"]["url"])
    assert [url for url in requests if not url.startswith("file:///")] == []
    assert (
        page.execute_script("return performance.getEntriesByType('resource').length")
        == 0
    )


def test_text_does_not_become_markup_in_the_browser(browser, folder) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    names = [hostile, "</script>", "&lt;b&gt;", "\"'`${}"]
    run = trained_run(steps=2, names=names, block_size=30)
    show(browser, folder, xray.xray_run(run, hostile))
    for tag in ("img", "b img", "script:nth-of-type(4)"):
        assert (
            browser.execute_script(
                "return document.querySelectorAll(arguments[0]).length", tag
            )
            == 0
        )
    letters = browser.execute_script("""
    return [...document.querySelectorAll("#tokens b")].map((x) => x.textContent)""")
    assert letters == ["BOS", *[c if c != " " else "' '" for c in hostile], "BOS"]
    # And labels of an expression, which anybody may choose.
    x = Value(2.0, label="</script><img src=x onerror=alert(1)>")
    show(browser, folder, xray.xray_graph(x * x))
    keys(browser, "l")
    assert "</script><img" in text(browser, "#list")
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    assert browser.get_log("browser") == []


def test_a_notebook_shows_the_page_inline(browser, folder, made, found) -> None:
    path = folder / "notebook.html"
    path.write_text(f"<!doctype html><p>cell</p>{made._repr_html_()}", encoding="utf-8")
    browser.get(path.as_uri())
    browser.switch_to.frame(0)
    try:
        wait_until_drawn(browser)
        assert asked(browser) == (found.data[found.root], 1.0)
        press(browser, '[data-go="token"][data-way="1"]')
        assert browser.execute_script("return page.token") == 1
    finally:
        browser.switch_to.default_content()
    assert browser.get_log("browser") == []


CONTRAST = """
const parse = (text) => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return [r, g, b, a];
};
const light = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((c) => {
    c /= 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const isText = (node) => node.nodeType === 3 && node.data.trim();
  const own = [...element.childNodes].some(isText);
  if (!own || !element.getClientRects().length) continue;
  if (element.closest("noscript, script, style, :disabled")) continue;
  const style = getComputedStyle(element);
  const ink = element.closest("svg") ? style.fill : style.color;
  let ground = element;
  while (ground && parse(getComputedStyle(ground).backgroundColor)[3] === 0) {
    ground = ground.parentElement;
  }
  const behind = getComputedStyle(ground).backgroundColor;
  const [a, b] = [light(parse(ink)), light(parse(behind))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const start = element.textContent.slice(0, 30);
  found.push([ratio, `${element.tagName}.${element.className}: ${start}`]);
}
return found;
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1600])
def test_text_stands_out_and_the_page_is_no_wider_than_the_window(
    page, dark, width
) -> None:
    look(page, width, dark)
    page.execute_script(
        "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
        "readColours(); draw(); go('token', 1); go('layer', 1);"
        "ask(page.meta.logits[1][2]); ask(3);"
    )
    contrasts = page.execute_script(CONTRAST)
    assert len(contrasts) > 300
    worst = min(contrasts)
    assert worst[0] >= 4.5, worst
    # Cells of every strength, of both signs.
    ratios = page.execute_script("""
    const light = (text) => luminance(text.match(/\\d+/g).map(Number));
    const box = document.createElement("div");
    return Array.from({length: 401}, (_, i) => {
      paint(box, (i - 200) / 200, 1);
      const [a, b] = [light(box.style.color), light(box.style.backgroundColor)];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    })""")
    assert min(ratios) >= 4.5
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 800, 1024, 1280, 1600])
def test_nothing_of_a_number_is_cut_off(page, found, width) -> None:
    look(page, width, dark=False)
    logits = [names["return"] for _, names in tracer.calls_of(found, "gpt")]
    page.execute_script(
        "page.opened.add('mlp, layer 1'); draw(); nudge(3, 0.25); ask(arguments[0])",
        logits[3][2],
    )
    for node in (logits[3][2], 3):
        page.execute_script("ask(arguments[0])", node)
        outside = page.execute_script("""
        const edge = document.querySelector("#number").getBoundingClientRect().right;
        return [...document.querySelectorAll("#number :is(td, th, button)")]
          .filter((each) => each.getBoundingClientRect().right > edge
            || each.scrollWidth > each.clientWidth + 1)
          .map((each) => [each.innerText, each.getBoundingClientRect().right - edge,
            each.scrollWidth - each.clientWidth])""")
        assert outside == []
    outside = page.execute_script("""
    const edge = document.querySelector("#attention").getBoundingClientRect().right;
    return [...document.querySelectorAll("#heads > *")].filter((each) =>
      each.getBoundingClientRect().right > edge).length""")
    assert outside == 0


def test_a_pressed_attention_cell_stands_out_from_the_marked_row(page) -> None:
    press(page, "#heads tr.read .cell")
    shadows = page.execute_script("""
    return [...document.querySelectorAll("#heads tr.read .cell")].map((cell) =>
      [cell.classList.contains("asked"), getComputedStyle(cell).boxShadow])""")
    assert {asked for asked, _ in shadows} == {True, False}
    for asked, shadow in shadows:
        assert (shadow != "none") == asked


@pytest.mark.parametrize("dark", [False, True])
def test_the_numbers_of_the_page_on_gpt2_stand_out(browser, folder, dark) -> None:
    data = ROOT / "tests" / "gpt2" / "data"
    model, page = folder / "model", folder / "look.html"
    shutil.copytree(data / "f32_tied", model, dirs_exist_ok=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(data / name, model / name)
    look_py = ROOT / "examples" / "gpt2" / "look.py"
    command = [sys.executable, look_py, model, "a word", "--out", page, "--no-open"]
    subprocess.run([*command, "--without", "0.1"], check=True, capture_output=True)
    look(browser, 1600, dark)
    browser.get(page.as_uri())
    contrasts = browser.execute_script(CONTRAST)
    assert len(contrasts) > 100
    assert min(contrasts)[0] >= 4.5, min(contrasts)


def test_everything_has_a_name_in_the_accessibility_tree(page) -> None:
    tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {}
    for node in tree:
        if node.get("ignored"):
            continue
        name = node.get("name", {}).get("value", "")
        roles.setdefault(node["role"]["value"], []).append(name)
    for role in ("button", "combobox", "slider", "checkbox", "spinbutton", "img"):
        assert all(name.strip() for name in roles.get(role, [])), role
    assert len(roles["button"]) > 200
    # Every cell says its number.
    cells = page.execute_script(
        "return [...document.querySelectorAll('.cell')].map((cell) => cell.ariaLabel)"
    )
    for label in cells:
        float(label.rpartition(" = ")[2])
    headings = " ".join(roles["heading"])
    assert "One number" in headings and "Attention" in headings


def test_the_keyboard_alone_reaches_every_panel_and_asks_a_cell(page, found) -> None:
    active = "return document.activeElement"
    panels, steps = set(), 0
    page.execute_script("document.body.focus()")
    while steps < 150:
        keys(page, "\ue004")  # Tab
        steps += 1
        panel = page.execute_script(
            "return document.activeElement.closest('section')?.id"
        )
        panels.add(panel)
    assert {"text", "code", "names", "number", "attention", "matrices"} <= panels

    # With the arrow keys to a cell of an attention grid, and Enter asks it.
    page.execute_script("document.querySelector('#heads .cell').focus()")
    keys(page, "\ue015", "\ue014")  # down, right: the second token looks at itself
    node = page.execute_script(active + ".dataset.number")
    label = page.execute_script(active + ".ariaLabel")
    assert label.startswith("m looks at m")
    keys(page, "\ue007")
    assert asked(page) == (found.data[int(node)], found.grads[int(node)])
