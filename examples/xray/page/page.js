// What you see, and what happens when you press something.
//
// `page` holds all that can change; each panel has a function that draws it from there.
// Texts from outside, such as the letters of a vocabulary, only ever become text (see
// `make`), never markup.
"use strict";

const $ = (id) => document.getElementById(id);
const page = {
  meta: null, columns: null, graph: null,
  states: [], // as Python recorded them: one for each snapshot, or for each run
  shown: [], // the state that the cells show, or two of them
  snapshot: 0, // which of the states it was before any nudge
  nudges: new Map(), // parameter: its new number
  meanings: new Map(), // node: what it is about, if that is not in its name
  helpers: new Set(), // the functions that call none of the others, such as linear
  opened: new Set(), // the parts of a logit that are shown in full
  view: "data", at: 0, token: 0, node: 0, trail: [], visited: 0,
  pointed: null, // what the line at the bottom is about
  called: "", // the name under which the number was pressed
  cameFrom: null, // the panel and the cell from which it was asked
};

// Small helpers.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const full = (x) => (Object.is(x, -0) ? "-0" : String(x)); // every digit
const short = (x) => withDigits(x, 4);
function withDigits(x, digits) {
  if (x === 0 || !Number.isFinite(x)) return String(x);
  const size = Math.abs(x);
  if (size < 1e-3 || size >= 1e6) return x.toExponential(digits > 2 ? 2 : 0);
  return String(Number(x.toPrecision(digits)));
}
// At most seven characters, so that cells stay as wide as each other.
const inCell = (x) => (x && Math.abs(x) < 1e-3 ? x.toExponential(0)
  : withDigits(x, Math.abs(x) < 0.01 ? 1 : 2));
const percent = (p) => `${(100 * p).toFixed(1)}%`;
const largestOf = (numbers) => numbers.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// Colours of cells.

const probe = document.createElement("canvas").getContext("2d");
function rgb(variable) {
  const style = getComputedStyle(document.documentElement);
  probe.fillStyle = style.getPropertyValue(variable).trim();
  return [1, 3, 5].map((i) => parseInt(probe.fillStyle.slice(i, i + 2), 16));
}

function luminance(colour) {
  const [r, g, b] = colour.map((c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function paint(element, x, largest) {
  const share = largest && Number.isFinite(x) ? Math.min(1, Math.sqrt(Math.abs(x) / largest)) : 0;
  const pole = x < 0 ? page.colours.negative : page.colours.positive;
  const colour = page.colours.zero.map((z, i) => Math.round(z + share * (pole[i] - z)));
  const bright = luminance(colour);
  // Whichever of black and white stands out more: at least 4.58 : 1, on any ground.
  element.style.backgroundColor = `rgb(${colour})`;
  element.style.color = (bright + 0.05) / 0.05 > 1.05 / (bright + 0.05) ? "#000" : "#fff";
}

function readColours() {
  page.colours = {};
  for (const name of ["negative", "zero", "positive"]) page.colours[name] = rgb(`--${name}`);
}

// Nodes, and what they are called.

const at = (node, which = 0) => page.shown[which][page.view === "grad" ? "grad" : "data"][node];
const born = (node) => page.meta.steps && page.columns.born[node] >= 0
  ? page.meta.steps[page.columns.born[node]] : null;

function nameOf(node) {
  const name = page.meta.names[page.columns.name[node]];
  if (name) return name;
  if (page.graph.isLeaf(node)) return `the number ${full(page.shown[0].data[node])}`;
  const label = page.graph.labels[node];
  return page.meta.kind === "graph" ? `node ${node} ${label}` : `a ${label}`;
}

const tokenAt = (pos) => page.meta.vocabulary[page.meta.tokens[pos]];

function placeOf([, , , , pos, layer, head]) {
  const parts = [];
  if (pos >= 0) parts.push(`position ${pos} “${tokenAt(pos)}”`);
  if (layer >= 0) parts.push(`layer ${layer}`);
  if (head >= 0) parts.push(`head ${head}`);
  return parts.join(", ");
}

const placeWhere = (node) => (born(node) ? placeOf(born(node)) : "");

// The steps whose lines made a number: its own, and where that is in a helper such as
// linear, first the line that called it.
function stopsOf(node) {
  if (!born(node)) return [];
  const own = page.columns.born[node];
  const caller = callerOf(own);
  return page.helpers.has(page.meta.steps[own][0]) ? [caller, own] : [own];
}

function callerOf(at) {
  const { steps } = page.meta;
  let i = at;
  while (i >= 0 && steps[i][3] >= steps[at][3]) i--;
  return i;
}

// Helpers are the functions that call none of the others.
function readHelpers({ steps, functions }) {
  page.helpers = new Set(functions.keys());
  steps.forEach((step, i) => {
    if (i && step[3] > steps[i - 1][3]) page.helpers.delete(steps[i - 1][0]);
  });
}

const lineOf = ([f, line]) => `${page.meta.functions[f].name}, line ${line}`;
const lineWhere = (node) => stopsOf(node).slice(0, 1).map((i) => lineOf(page.meta.steps[i])).join("");
const madeAt = (node) => [lineWhere(node), placeWhere(node)].filter((part) => part).join(", ");

// A button that goes to a moment of the run.
function stopButton(i, text) {
  const step = page.meta.steps[i];
  const label = `go to ${[lineOf(step), placeOf(step)].join(", ")}, in the code`;
  return make("button", { class: "ask", "data-stop": i, title: label, "aria-label": label }, text);
}

// What a number is about: which token a row of a matrix and a logit stand for, and in
// attention, who looks at whom.
function meaningOf(node) {
  const row = /^(wte|lm_head)\[(\d+)\]/.exec(page.graph.labels[node]);
  if (row && page.meta.vocabulary) return ` (${page.meta.vocabulary[row[2]]})`;
  return page.meanings.get(node) || "";
}

function readMeanings({ logits, attention, vocabulary }) {
  logits.forEach((each) => each.forEach((node, i) => page.meanings.set(node, ` (${vocabulary[i]})`)));
  for (const { pos, weights } of attention) {
    weights.forEach((node, t) =>
      page.meanings.set(node, ` (${tokenAt(pos)} at ${pos} looks at ${tokenAt(t)} at ${t})`));
  }
}

function inputsOf(node) {
  const { graph, shown: [state] } = page;
  return Array.from(state.inputs.subarray(graph.first[node], graph.first[node + 1]));
}

// Cells.

function cell(node, name, largest, value, small) {
  const label = `${page.view === "grad" ? "grad of " : ""}${name} = ${full(value)}`;
  const button = make("button", {
    class: "cell", "data-number": node, "data-name": name, "aria-label": label, tabindex: -1,
  });
  if (!small) button.textContent = inCell(value);
  if (node === page.node) button.classList.add("asked");
  if (page.nudges.has(node)) button.classList.add("changed");
  paint(button, value, largest);
  return button;
}

// One group of cells for each run that is shown, and with two runs one for the difference.
function layers() {
  const first = ["", (node) => at(node)];
  if (page.shown.length < 2) return [first];
  const [a, b] = page.meta.runs.map((run) => run.name);
  return [[`first: ${a}`, first[1]], [`second: ${b}`, (node) => at(node, 1)],
    ["second minus first", (node) => at(node, 1) - at(node)]];
}

// `all` are the nodes with which the colours are compared: those of the whole name.
function cells(nodes, name, { columns = 0, small = false, names = null, all = nodes } = {}) {
  const group = make("div");
  const called = names || ((i) => (nodes.length === 1 ? name : `${name}[${i}]`));
  for (const [title, value] of layers()) {
    const values = nodes.map(value);
    const largest = largestOf(all.map(value));
    const box = make("div", {
      class: `cells rove${columns ? " grid" : ""}${small ? " small" : ""}`,
      role: "group", "aria-label": title ? `${name}, ${title}` : name,
    });
    if (columns) {
      box.style.setProperty("--columns", columns);
      box.dataset.columns = columns;
    }
    nodes.forEach((node, i) => box.append(cell(node, called(i), largest, values[i], small)));
    if (box.firstChild) box.firstChild.tabIndex = 0;
    group.append(make("div", {}, ...(title ? [make("div", { class: "tag" }, title)] : []), box));
  }
  return group;
}

function matrixOf(name) {
  let start = 0;
  for (const [each, rows, columns] of page.meta.matrices) {
    if (each === name) return { start, rows, columns };
    start += rows * columns;
  }
  return null;
}

// A matrix of the model as a grid; more than 8,192 cells would make a browser slow.
function matrixCells(name, small = true) {
  const { start, rows, columns } = matrixOf(name);
  const few = Math.min(rows, Math.max(1, Math.floor(8192 / columns)));
  const nodes = Array.from({ length: few * columns }, (_, i) => start + i);
  const called = (i) => nameOf(nodes[i]) + meaningOf(nodes[i]);
  const group = cells(nodes, name, { columns, small, names: called });
  if (few < rows) group.append(make("p", { class: "note" }, `the first ${few} of ${rows} rows`));
  return group;
}

// The text.

function probabilities(pos, data = page.shown[0].data) {
  const logits = page.meta.logits[pos].map((node) => data[node]);
  const maximum = Math.max(...logits);
  const exps = logits.map((x) => Math.exp(x - maximum));
  const sum = exps.reduce((total, e) => total + e, 0);
  return exps.map((e) => e / sum);
}

// What something was before your changes, if it looks different now.
function wasBefore(say) {
  if (!page.nudges.size) return "";
  const [now, before] = [page.shown[0], page.states[page.snapshot]()].map(say);
  return now === before ? "" : `was ${before}`;
}

function drawText() {
  const { meta, token } = page;
  const n = meta.losses.length;
  const blind = Math.log(meta.vocabulary.length);
  const focused = document.activeElement?.dataset.token;
  $("tokens").replaceChildren(...meta.tokens.slice(0, n + 1).map((id, pos) => {
    const name = meta.vocabulary[id];
    const nats = pos ? page.shown[0].data[meta.losses[pos - 1]] : null;
    const button = make("button", {
      class: "token", "data-token": Math.max(pos - 1, 0), tabindex: pos === token + 1 ? 0 : -1,
      "aria-label": pos ? `position ${pos}: ${name}, surprise ${short(nats)} nats`
        : `position 0: ${name}, given`,
      "aria-pressed": pos === token + 1,
    }, make("small", {}, pos), make("b", {}, name),
      make("small", {}, pos ? `${nats.toFixed(2)} nats` : "given"));
    const was = pos ? wasBefore(({ data }) => data[meta.losses[pos - 1]].toFixed(2)) : "";
    if (was) button.append(make("small", {}, was));
    paint(button, pos ? nats : 0, 2 * blind);
    if (pos <= token) button.classList.add("read");
    if (pos === token + 1) button.classList.add("asked");
    return button;
  }));
  if (focused !== undefined) $("tokens").children[token + 1].focus();

  const read = meta.tokens.slice(0, token + 1).map((id) => meta.vocabulary[id]).join(" ");
  const target = meta.tokens[token + 1];
  const came = meta.vocabulary[target];
  const probs = probabilities(token);
  const nats = page.shown[0].data[meta.losses[token]];
  $("asked").replaceChildren(
    "After reading ", make("b", {}, read),
    `, the model is asked for the token at position ${token + 1}. It was `,
    make("b", {}, came), `, to which it had given ${percent(probs[target])}: `
    + `a surprise of ${short(nats)} nats. Its guesses, the likeliest first; press one to ask `
    + "why it was expected:");
  const order = probs.map((_, i) => i);
  order.sort((a, b) => probs[b] - probs[a]);
  const few = order.slice(0, 5);
  if (!few.includes(target)) few.push(target);
  const rest = order.filter((i) => !few.includes(i));
  const bar = (i) => {
    const row = make("div", { class: "bar" });
    const node = meta.logits[token][i];
    const length = make("i");
    length.style.width = `${70 * probs[i]}%`; // 70% of the room stands for certainty
    const notes = [i === target ? "◂ this came" : "",
      wasBefore(({ data }) => percent(probabilities(token, data)[i]))];
    if (page.shown.length > 1) notes.unshift(`second: ${percent(probabilities(token, page.shown[1].data)[i])}`);
    const name = meta.vocabulary[i];
    row.append(
      make("button", { "data-number": node, "aria-label": `${name}, ${percent(probs[i])}` }, name),
      make("span", {}, percent(probs[i])),
      make("div", { class: "reach" }, length, make("small", {}, notes.filter((note) => note).join("; "))));
    return row;
  };
  const open = $("bars").querySelector("details")?.open;
  const others = make("details", open ? { open: "" } : {},
    make("summary", {}, `the other ${rest.length} tokens`), ...rest.map(bar));
  $("bars").replaceChildren(...few.map(bar), ...(rest.length ? [others] : []));
}

// The training run.

function svg(box, height, title) {
  const width = Math.max(260, box.clientWidth);
  const picture = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": title });
  box.replaceChildren(picture);
  return [picture, width];
}

function drawTraining() {
  const { meta, columns } = page;
  if ($("training").hidden) return;
  const losses = meta.runs[0].losses;
  const mine = meta.states.map((state, i) => columns[`data${i}`][meta.root]);
  mine[page.snapshot] = page.shown[0].data[meta.root]; // with your changes
  const height = 170;
  const [picture, width] = svg($("curve"), height, "loss over the training run");
  const highest = Math.max(...losses, ...mine), lowest = Math.min(...losses, ...mine);
  const x = (step) => 44 + (width - 62) * Math.log1p(step) / Math.log1p(meta.states.at(-1).step);
  const y = (loss) => 14 + (height - 48) * (highest - loss) / (highest - lowest || 1);
  for (const loss of [highest, (highest + lowest) / 2, lowest]) {
    picture.append(makeSvg("path", { class: "axis", d: `M40 ${y(loss)}H${width - 8}` }),
      makeSvg("text", { x: 36, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(2)));
  }
  picture.append(makeSvg("path", { class: "curve",
    d: "M" + losses.map((loss, i) => `${x(i + 1).toFixed(1)} ${y(loss).toFixed(1)}`).join("L") }));
  meta.states.forEach(({ step }, i) => {
    picture.append(makeSvg("circle", { class: `dot${i === page.snapshot ? " now" : ""}`,
      "data-snapshot": i, cx: x(step), cy: y(mine[i]), r: i === page.snapshot ? 7 : 4 }),
      makeSvg("text", { x: x(step), y: height - 18, "text-anchor": "middle" }, step));
  });
  picture.append(makeSvg("text", { x: width - 8, y: height - 3, "text-anchor": "end" },
    "steps; up: loss in nats; dots: your text"));
  const { step } = meta.states[page.snapshot];
  $("snapshot").value = page.snapshot;
  $("snapshot").setAttribute("aria-valuetext", `step ${step}`);
  const loss = short(mine[page.snapshot]);
  $("step-shown").textContent = `${step}: the loss of your text is ${loss} nats`
    + (page.nudges.size ? ", with your changes" : "");
  // The guess that is asked about, or the token that came.
  const guess = meta.logits[page.token].indexOf(page.node);
  const token = guess < 0 ? meta.tokens[page.token + 1] : guess;
  const name = `“${meta.vocabulary[token]}” for position ${page.token + 1}`;
  const data = (i) => (i === page.snapshot ? page.shown[0].data : columns[`data${i}`]);
  $("chances").replaceChildren(make("p", {}, `The probability that the model gave ${name}:`),
    ...meta.states.map((state, i) => make("span",
      { class: i === page.snapshot ? "now" : "", "data-snapshot": i }, make("small", {}, `step ${state.step}`), percent(probabilities(page.token, data(i))[token]))));
}

function showSnapshot(i) {
  page.snapshot = i;
  page.nudges.clear();
  page.shown = [page.states[i]()];
  draw();
}

// The code.

function buildCode() {
  const ran = new Set(page.meta.steps.map((step) => `${step[0]}:${step[1]}`));
  page.meta.functions.forEach(({ name, first, lines, docstring, file }, f) => {
    $("lines").append(make("h3", {}, `${file}: ${name}`));
    lines.forEach((text, i) => {
      const number = first + i;
      if (docstring.length && number >= docstring[0] && number <= docstring[1]) return;
      const executed = ran.has(`${f}:${number}`);
      const tag = executed ? "button" : "div";
      const line = make(tag, { class: "line" }, make("span", {}, number), text);
      if (/^\s*#/.test(text)) line.classList.add("comment");
      if (executed) {
        line.dataset.line = number;
        line.dataset.function = f;
        line.tabIndex = -1;
      }
      $("lines").append(line);
    });
  });
}

// The calls that have not returned at a step, the innermost last, with their names.
function callsAt(at) {
  const calls = [];
  for (let i = 0; i <= at; i++) {
    const [f, line, number, depth, , , , changed, ...returned] = page.meta.steps[i];
    if (calls[depth]?.number !== number) {
      calls.length = depth;
      calls.push({ f, number, names: new Map() });
    }
    calls.length = depth + 1;
    const call = calls[depth];
    call.before = call.line;
    call.line = line;
    call.returned = returned;
    for (const [name, held] of Object.entries(changed)) {
      if (held === null) call.names.delete(name);
      else call.names.set(name, { held, since: i });
    }
  }
  return calls;
}

function drawCode() {
  const calls = callsAt(page.at);
  const call = calls.at(-1);
  const step = page.meta.steps[page.at];
  const doing = call.returned.length ? "has run, and the function returns"
    : `is about to run${call.before ? `; line ${call.before} has just run` : ""}`;
  const path = calls.map((each) => page.meta.functions[each.f].name).join(" › ");
  $("place").textContent = `${path}: line ${step[1]} ${doing}. ${placeOf(step)} `
    + `(stop ${page.at + 1} of ${page.meta.steps.length})`;
  for (const line of $("lines").querySelectorAll(".now")) {
    line.classList.remove("now");
    line.tabIndex = -1;
    line.removeAttribute("aria-current");
  }
  const line = $("lines").querySelector(`[data-line="${step[1]}"]`);
  line.classList.add("now");
  line.tabIndex = 0;
  line.setAttribute("aria-current", "step");
  const box = $("lines");
  const top = line.offsetTop - box.offsetTop;
  if (top < box.scrollTop + 30 || top > box.scrollTop + box.clientHeight - 60) {
    box.scrollTop = top - box.clientHeight / 3;
  }
  for (const button of $("buttons").querySelectorAll("[data-go]")) {
    button.ariaDisabled = targetOf(button.dataset.go, Number(button.dataset.way)) < 0;
  }
  drawNames(call);
}

// Fill a panel anew; the cell of the same name keeps the focus, or else the first one.
function refill(box, ...children) {
  const here = document.activeElement;
  const name = box.contains(here) ? here.dataset.name : undefined;
  box.replaceChildren(...children);
  if (name === undefined) return;
  const all = [...box.querySelectorAll(".cell")];
  (all.find((each) => each.dataset.name === name) || all[0])?.focus({ preventScroll: true });
}

function holds(held, name, all) {
  if (typeof held === "number") return [cells([held], name, { all }), "one Value"];
  if (Array.isArray(held)) {
    all ??= held.flat(Infinity).filter((part) => typeof part === "number");
    const flat = held.every((part) => typeof part === "number");
    if (flat) return [cells(held, name, { all }), `(${held.length})`];
    const box = make("div");
    const inner = held.map((part, i) => holds(part, `${name}[${i}]`, all));
    // A list of lists of equal length is a matrix: a strip for each row.
    inner.forEach(([shown], i) =>
      box.append(make("div", { class: "rows" }, make("span", {}, `[${i}]`), shown)));
    const shapes = new Set(inner.map((each) => each[1]));
    const even = shapes.size === 1 && inner[0][1].startsWith("(");
    const shape = even ? `(${held.length}, ${inner[0][1].slice(1)}` : `(${held.length})`;
    return [box, shape];
  }
  if (held.matrix) {
    const { rows, columns } = matrixOf(held.matrix);
    return [matrixCells(held.matrix), `${held.matrix}, (${rows}, ${columns})`];
  }
  if (held.choice !== undefined) {
    const { edges } = page.graph.choices[held.choice];
    return [cells([page.shown[0].inputs[edges[0]]], name), "one Value, the largest logit"];
  }
  return [make("code", {}, held.plain), ""];
}

function drawNames(call) {
  const entries = [...call.names].map(([name, { held, since }]) =>
    ({ name, held, fresh: since === page.at }));
  if (call.returned.length) entries.push({ name: "returns", held: call.returned[0], fresh: true });
  // What has just changed comes first, so that it need not be searched for.
  entries.sort((a, b) => b.fresh - a.fresh);
  refill($("holds"), ...entries.map(({ name, held, fresh }) => {
    const [shown, shape] = holds(held, name);
    const tags = [shape, fresh ? "new" : ""].filter((tag) => tag).join(" · ");
    return make("div", { class: fresh ? "held new" : "held" },
      make("span", { class: "name" }, name), make("span", { class: "shape" }, ` ${tags}`), shown);
  }));
  $("holds").scrollTop = 0;
}

// What tells one stretch of steps from the next, for each kind of move.
const STRETCH = {
  line: (step, i) => i,
  token: (step) => (step[4] < 0 ? null : step[4]),
  layer: (step) => (step[5] < 0 ? null : `${step[4]} ${step[5]}`),
  function: (step) => step[2],
};

// The step to which a button goes, or -1 if there is none.
function targetOf(kind, way) {
  const { steps } = page.meta;
  const key = (i) => STRETCH[kind](steps[i], i);
  let i = page.at;
  if (way < 0) {
    // First to where this stretch began; from its beginning, to that of the one before.
    while (i > 0 && key(i - 1) === key(page.at)) i--;
    if (i === page.at || key(page.at) === null) {
      i = page.at - 1;
      while (i > 0 && (key(i) === null || key(i) === key(page.at))) i--;
      while (i > 0 && key(i - 1) === key(i)) i--;
    }
  } else {
    do i++; while (i < steps.length && (key(i) === null || key(i) === key(page.at)));
  }
  return i >= 0 && i < steps.length && key(i) !== null ? i : -1;
}

function go(kind, way) {
  const i = targetOf(kind, way);
  if (i >= 0) goTo(i);
}

function goTo(i, follow = true) {
  moveTo(i, follow);
  const { top, bottom } = $("lines").querySelector(".now").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight - 50) $("code").scrollIntoView();
}

// The letter under "The text" follows the code from token to token. But who only looks up
// the line that made a number, wants to come back to the letter: follow is false then.
function moveTo(i, follow = true) {
  const pos = page.meta.steps[i][4];
  const moved = follow && pos >= 0 && pos !== page.token && pos !== page.meta.steps[page.at][4];
  page.at = i;
  page.pointed = null;
  if (moved) page.token = pos;
  drawCode();
  if (moved) {
    drawText();
    drawTraining();
    drawAttention();
  }
  drawReadout();
}

function goToLine(f, line) {
  const runs = (step) => step[0] === f && step[1] === line;
  const later = page.meta.steps.findIndex((step, i) => i > page.at && runs(step));
  goTo(later >= 0 ? later : page.meta.steps.findIndex(runs));
  if (later < 0) $("place").append(" It does not run later on: this is its first time.");
}

function chooseToken(pos) {
  const gpt = page.meta.functions.findIndex(({ name }) => name === "gpt");
  page.token = pos;
  moveTo(page.meta.steps.findIndex((step) => step[0] === gpt && step[4] === pos));
  drawText();
  drawTraining();
  drawAttention();
}

// One number.

function ask(node, { remember = true } = {}) {
  if (remember && node !== page.node) page.trail.push(page.node);
  page.node = node;
  for (const each of document.querySelectorAll(".cell")) {
    each.classList.toggle("asked", Number(each.dataset.number) === node);
  }
  if (page.meta.kind === "run") drawTraining();
  drawNumber();
}

// A button that asks a number.
function askButton(node, { here = page.node, text = nameOf(node) + meaningOf(node) } = {}) {
  const button = make("button", { class: "ask", "data-number": node,
    "aria-label": `${text}, ${madeAt(node) || "made by no operation"}`, title: text }, text);
  // Where it was made, if that is not here; and which one it is, if names are the same.
  const place = placeWhere(node) === placeWhere(here) ? "" : placeWhere(node);
  const line = node !== here && nameOf(node) === nameOf(here) ? lineWhere(node) : "";
  const where = [line, place].filter((part) => part).join(", ");
  if (where) button.append(make("small", {}, where));
  return button;
}

const bracket = (x) => (x.startsWith("-") ? `(${x})` : x);

function formula(node) {
  const { graph, shown: [state] } = page;
  const label = graph.labels[node];
  const xs = [];
  for (let e = graph.first[node]; e < graph.first[node + 1]; e++) {
    xs.push(short(state.data[state.inputs[e]]));
  }
  const result = ` = ${short(state.data[node])}`;
  const few = (parts) => (parts.length > 6 ? [...parts.slice(0, 4), "…", parts.at(-1)] : parts);
  const listed = (parts, glue) => few(parts).join(glue);
  if (!xs.length) return "";
  if (label === "dot") {
    const half = xs.length / 2;
    return listed(xs.slice(0, half).map((x, i) => `${bracket(x)} × ${bracket(xs[half + i])}`),
      " + ") + result;
  }
  if (label === "total") return listed(xs.map(bracket), " + ") + result;
  if (label === "logsumexp") return `log(${listed(xs.map((x) => `exp(${x})`), " + ")})${result}`;
  if (label === "-" && xs.length === 1) return `-${bracket(xs[0])}${result}`;
  const [first, second] = xs.map(bracket);
  if (xs.length === 2) return `${first} ${label === "*" ? "×" : label} ${second}${result}`;
  if (label.startsWith("**")) return `${first} ** ${label.slice(2)}${result}`;
  return `${label}(${xs.join(", ")})${result}`;
}

const SHORT_NAMES = ["first", "second", "difference"];
// A row's cells for a quantity: of one run, or of two and the difference.
function figures(quantity) {
  const found = page.shown.map(quantity);
  return found.length > 1 ? [...found, found[1] - found[0]] : found;
}

function table(heads, rows, caption) {
  const two = page.shown.length > 1;
  const headings = heads.flatMap(([text, figure]) =>
    (figure && two ? SHORT_NAMES.map((run) => `${text}, ${run}`) : [text]));
  const filled = rows.map(({ parts, kind }) => make("tr", kind ? { class: kind } : {},
    ...parts.flat().map((part) => make("td", {}, typeof part === "number" ? short(part) : part))));
  return make("table", {}, make("caption", { hidden: "" }, caption),
    make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text))), ...filled);
}

const MOST_ROWS = 200;
function cutTo(rows, what) {
  const order = rows.slice();
  if ($("sorted").checked) order.sort((a, b) => Math.abs(b.size) - Math.abs(a.size));
  const rest = order.length - MOST_ROWS;
  if (rest > 0) order.splice(MOST_ROWS, rest, { parts: [`… and ${rest} more ${what}`] });
  return order;
}

// If a node is a logit: for the token after which position, and of which token.
function logitOf(node) {
  const pos = (page.meta.logits || []).findIndex((each) => each.includes(node));
  return pos < 0 ? null : { node, pos, token: page.meta.logits[pos].indexOf(node) };
}

function drawNumber() {
  const { graph, node, shown } = page;
  const [state] = shown;
  const label = graph.labels[node];
  $("trail").replaceChildren(...page.trail.slice(-6).map((each, i, all) =>
    make("button", { "data-back": page.trail.length - all.length + i }, `◂ ${nameOf(each)}`,
      ...([...all, node].filter((other) => nameOf(other) === nameOf(each)).length > 1
        ? [make("small", {}, ` ${lineWhere(each)}`)] : []))));
  if (page.cameFrom) {
    const title = $(`${page.cameFrom.panel}-title`).textContent;
    $("trail").prepend(make("button", { id: "return" }, `↩ to “${title}”`));
  }
  const kind = graph.isLeaf(node)
    ? (isParameter(node) ? "a parameter: no operation made it, training found it"
      : label ? "a leaf: no operation made it" : "a constant that stands in the code")
    : `made by the operation ${label}`;
  const logit = logitOf(node);
  const alias = logit
    ? `, the logit of “${page.meta.vocabulary[logit.token]}” for position ${logit.pos + 1}` : "";
  const result = node === graph.root ? ", the result of it all" : "";
  const called = page.called && page.called !== nameOf(node)
    ? `: the same number that you pressed as ${page.called}` : "";
  $("about").replaceChildren(
    make("p", { class: "big" }, make("b", {}, nameOf(node) + meaningOf(node)), `${alias}${result}${called}`),
    make("p", { class: "note" }, [kind, placeWhere(node)].filter((part) => part).join(", ")));
  for (const i of stopsOf(node)) {
    const [f, line] = page.meta.steps[i];
    const { first, lines } = page.meta.functions[f];
    const text = `${lineOf(page.meta.steps[i])}: ${lines[line - first].trim()}`;
    $("about").append(make("p", {}, stopButton(i, text)));
  }
  const changed = page.nudges.size ? page.states[page.snapshot]() : null;
  const heads = [["", false], ["value", true], ...(changed ? [["before your change", false]] : [])];
  $("about").append(table(heads, ["data", "grad"].map((name) => ({
    parts: [name, figures((each) => each[name][node]).map((x) =>
      make("span", { id: `asked-${name}` }, full(x))), changed ? [full(changed[name][node])] : []],
  })), "its numbers"));
  const written = formula(node);
  if (written) $("about").append(make("p", { class: "formula", id: "formula" }, written));
  drawNudge();
  $("why").replaceChildren(...(logit ? [why(logit)] : []));
  drawInputs(logit);
  drawUses(state);
}

function drawInputs(logit) {
  const { graph, node, shown: [state] } = page;
  $("from").replaceChildren();
  if (graph.isLeaf(node)) return;
  const label = graph.labels[node];
  const start = graph.first[node], n = graph.first[node + 1] - start;
  const product = label === "dot";
  const { above } = logit ? headRows(logit.token) : {};
  const rows = [];
  for (let i = 0; i < n; i++) {
    const other = product ? start + (i + n / 2) % n : 0;
    const input = state.inputs[start + i];
    const receives = figures((each) => each.slopes[start + i] * each.grad[node]);
    const times = () => state.data[input] * state.data[state.inputs[other]];
    const adds = product ? [i < n / 2 ? times() : "″"] : [];
    const x = isParameter(input) ? state.inputs[other] : input;
    if (logit) adds.push(i < n / 2 ? state.data[x] * above[i] : "″");
    const size = logit ? state.data[x] * above[i % (n / 2)] : state.slopes[start + i] * state.data[input];
    rows.push({ size, parts: [
      askButton(input), figures((each) => each.data[each.inputs[start + i]]), adds,
      figures((each) => each.slopes[start + i]), receives] });
  }
  const heads = [["input", false], ["data", true], ...(product ? [["adds", false]] : []),
    ...(logit ? [["more than average", false]] : []), ["local gradient", true], [`× grad ${short(state.grad[node])} = receives`, true]];
  $("from").append(make("h3", {}, `Computed from ${plural(n, "input")}`),
    table(heads, cutTo(rows, "inputs"), "inputs"));
}

// All edges that lead to a node: its uses.
function usesOf(node, state) {
  const uses = [];
  for (let user = node + 1; user < page.graph.n; user++) {
    for (let e = page.graph.first[user]; e < page.graph.first[user + 1]; e++) {
      if (state.inputs[e] === node) uses.push([user, e]);
    }
  }
  return uses;
}

function drawUses(state) {
  const { node, graph, shown } = page;
  const uses = usesOf(node, state);
  // dot(x, x) uses each number twice.
  const again = (user) => uses.filter((use) => use[0] === user).length > 1;
  const nth = (user, e) => make("small", {}, ` as inputs[${e - graph.first[user]}]`);
  const rows = uses.map(([user, e]) => ({ size: state.slopes[e] * state.grad[user], parts: [
    again(user) ? make("span", {}, askButton(user), nth(user, e)) : askButton(user), figures((each) => each.slopes[e]), figures((each) => each.grad[user]),
    figures((each) => each.slopes[e] * each.grad[user]),
    stopsOf(user).slice(0, 1).map((i) => stopButton(i, lineWhere(user)))[0] ?? ""] }));
  const nothing = shown.length > 1 ? ["", "", ""] : [""];
  if (node === graph.root) {
    const ones = shown.length > 1 ? [1, 1, 0] : [1];
    const parts = ["the result itself", nothing, nothing, ones, "d(loss)/d(loss) = 1"];
    rows.push({ size: 1, parts });
  }
  $("used").replaceChildren(
    make("h3", {}, uses.length ? `Used ${plural(uses.length, "time")}` : "Used by nothing"));
  if (!rows.length) return;
  const own = node === graph.root ? 1 : 0;
  const sums = figures((each) =>
    uses.reduce((sum, [user, e]) => sum + each.slopes[e] * each.grad[user], own));
  const listed = cutTo(rows, "uses");
  const total = sums.map((sum) => make("span", { class: "sum" }, short(sum)));
  listed.push({ kind: "total", parts: ["sum = its grad", nothing, nothing, total, ""] });
  $("used").append(table([["by", false], ["local gradient", true], ["× its grad", true],
    ["= adds to grad", true], ["where", false]], listed, "uses"));
}

// A logit is a dot product of x with a row of lm_head, and x is a sum: so the logit is a
// sum too, of what the embeddings, and each half of a layer, have written into x. Only
// differences between logits matter to softmax, so each part is also compared with what
// it adds to the mean of all logits.

const dot = (xs, ys) => xs.reduce((sum, x, i) => sum + x * ys[i], 0);
const minus = (xs, ys) => xs.map((x, i) => x - ys[i]);

// The nodes of a row of a matrix.
function rowOf(name, i) {
  const { start, columns } = matrixOf(name);
  return Array.from({ length: columns }, (_, j) => start + i * columns + j);
}

// The row of lm_head that makes the logit of a token, and what it has above the mean row.
function headRows(token) {
  const data = (nodes) => nodes.map((each) => page.shown[0].data[each]);
  const rows = page.meta.vocabulary.map((_, i) => data(rowOf("lm_head", i)));
  const own = rows[token];
  const mean = own.map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
  return { own, above: minus(own, mean) };
}

// The parts of a logit. Each is a sum itself: of `terms`, the numbers that went in, each
// times the same number of `own`, for the logit, or of `above`, for what is more than
// average.
function partsOf({ pos, token }) {
  const { meta, shown: [state] } = page;
  const { n_head, n_embd } = meta.config;
  const width = n_embd / n_head;
  const data = (nodes) => nodes.map((each) => state.data[each]);
  const { own, above } = headRows(token);
  const parts = [];
  // What goes in is multiplied by `factor`, and then by what `through` makes of a row.
  const add = (text, terms, said, factor = 1, through = (row) => row, more = {}) => {
    const times = (row) => through(row).map((each) => each * factor);
    parts.push({ text, terms, said, factor, own: times(own), above: times(above), ...more });
  };

  const [{ x: sum }, { x: normalised }, ...halves] = meta.streams[pos];
  const scale = Math.hypot(...data(normalised)) / Math.hypot(...data(sum));
  const aboveMean = " (In the last column: × what that is above the mean of the column.)";
  const times = "Each number, × the scale of rmsnorm, × the number in its column of the row of "
    + `lm_head.${aboveMean}`;
  add(`the embedding of “${tokenAt(pos)}”`, rowOf("wte", meta.tokens[pos]), times, scale);
  add(`the embedding of position ${pos}`, rowOf("wpe", pos), times, scale);
  const { lines, first } = meta.functions.find(({ name }) => name === "gpt");
  let before = normalised;
  let layer = 0;
  for (const { line, x } of halves) {
    // Each x is a sum of the x before it and of what was written; both are inputs of it.
    const written = x.map((each, i) => inputsOf(each).find((input) => input !== before[i]));
    before = x;
    const each = "Each number that it wrote, × the number in its column of the row of "
      + `lm_head.${aboveMean}`;
    if (lines[line - first].includes("mlp(")) {
      add(`mlp, layer ${layer}`, written, each);
      layer++;
      continue;
    }
    add(`attention, layer ${layer}, altogether`, written, each);
    const wo = Array.from({ length: n_embd }, (_, i) => data(rowOf(`layer${layer}.attn_wo`, i)));
    const looks = [];
    for (const { h, weights } of attentionAt(pos, layer)) {
      weights.forEach((weight, t) => {
        const share = state.data[weight];
        const { v } = meta.values.find((each) => each.pos === t && each.layer === layer);
        const head = Array.from({ length: width }, (_, i) => h * width + i);
        // From each number of v through attn_wo to x, and from there to the logit.
        const through = (row) => head.map((i) => dot(wo.map((out) => out[i]), row));
        looks.push([`head ${h} looks at position ${t} “${tokenAt(t)}” (${percent(share)})`,
          head.map((i) => v[i]), "Each number of that token's v, × the share, × what attn_wo and "
          + "the row of lm_head make of it. (In the last column: of what is above the mean of the "
          + "rows.)", share, through, { weight }]);
      });
    }
    const size = ([, terms, , share, through]) =>
      Math.abs(share * dot(data(terms), through(above)));
    looks.sort((a, b) => size(b) - size(a));
    looks.slice(0, MOST_LOOKS).forEach((look) => add(...look));
    const rest = looks.slice(MOST_LOOKS);
    if (!rest.length) continue;
    const others = `the other ${plural(rest.length, "look")} of layer ${layer}`;
    const sum = (row) => rest.reduce((total, [, terms, , share, through]) =>
      total + share * dot(data(terms), through(row)), 0);
    parts.push({ text: others, terms: [], sums: [sum(own), sum(above)] });
    if (page.opened.has(others)) rest.forEach((look) => add(...look));
  }
  return parts;
}

const MOST_TERMS = 16;
const MOST_LOOKS = 4;
// A row for a part of a logit, and if it is opened, one for each of its terms below it.
function rowsOf(part) {
  const data = part.terms.map((node) => page.shown[0].data[node]);
  const key = part.text.replace(/ \(.*/, ""); // without the share, which training changes
  const open = page.opened.has(key);
  const sums = part.sums || [dot(data, part.own), dot(data, part.above)];
  const button = make("button", { class: "ask", "data-open": key,
    "aria-expanded": open }, `${open ? "▾" : "▸"} ${part.text}`);
  const isLook = part.weight !== undefined || part.sums;
  const text = isLook ? make("span", { class: "sub" }, button) : button;
  const rows = [{ parts: [text, ...sums] }];
  if (!open || part.sums) return rows;
  const terms = part.terms.map((node, i) => ({ node, x: data[i], i }));
  terms.sort((a, b) => Math.abs(b.x * part.above[b.i]) - Math.abs(a.x * part.above[a.i]));
  const inner = (...children) => make("span", { class: "term" }, ...children);
  rows.push({ parts: [inner(make("small", {}, part.said)), "", ""] });
  if (part.weight !== undefined) {
    rows.push({ parts: [inner("the share: ", askButton(part.weight)), "", ""] });
  }
  for (const { node, x, i } of terms.slice(0, MOST_TERMS)) {
    const factors = part.factor === 1 ? [part.own[i]] : [part.factor, part.own[i] / part.factor];
    const product = [x, ...factors].map((each) => bracket(short(each))).join(" × ");
    const text = inner(askButton(node), ` ${product}`);
    rows.push({ parts: [text, x * part.own[i], x * part.above[i]] });
  }
  const rest = terms.slice(MOST_TERMS);
  const sum = (row) => rest.reduce((total, { x, i }) => total + x * row[i], 0);
  if (rest.length) {
    rows.push({ parts: [inner(`${rest.length} smaller ones`), sum(part.own), sum(part.above)] });
  }
  return rows;
}

function why(logit) {
  const { meta, shown: [state] } = page;
  const { node, pos, token } = logit;
  const rows = partsOf(logit).flatMap(rowsOf);
  const logits = meta.logits[pos].map((each) => state.data[each]);
  const average = logits.reduce((total, x) => total + x, 0) / logits.length;
  rows.push({ kind: "total", parts: ["the logit", state.data[node], state.data[node] - average] });
  const chance = percent(probabilities(pos)[token]);
  const rank = logits.filter((x) => x > state.data[node]).length + 1;
  return make("div", {}, make("h3", {}, `Why this much for “${meta.vocabulary[token]}”?`),
    make("p", { class: "note" },
      `It is number ${rank} of ${logits.length} logits, and its probability is ${chance}. `
      + "The logit is a sum: each part of the model has written something into x, which adds to "
      + "every logit. The last column is what counts: how much more a part adds to this logit "
      + "than to the average one. (Of two tokens whose logits differ by 1, one is 2.7 times as "
      + "likely as the other.) The indented lines are single looks of attention, those that "
      + "count most first. Press a part to see the numbers that it is made of."),
    table([[`written into x by${page.shown.length > 1 ? " (first run)" : ""}`, false],
      ["adds", false], ["more than average", false]], rows, "parts of the logit"));
}

// Nudging.

const isParameter = (node) => page.meta.kind === "run" && page.graph.isLeaf(node)
  && page.graph.labels[node] !== "";

function drawNudge() {
  const { node, nudges, shown: [state] } = page;
  $("nudge").hidden = !isParameter(node) || page.shown.length > 1;
  if ($("nudge").hidden) return;
  const recorded = page.states[page.snapshot]();
  const now = state.data[node];
  const slider = $("nudge-slider");
  if (document.activeElement !== slider) {
    const reach = Math.max(1, 2 * Math.abs(recorded.data[node]));
    slider.min = recorded.data[node] - reach;
    slider.max = recorded.data[node] + reach;
    slider.step = reach / 500;
    slider.value = now;
  }
  if (document.activeElement !== $("nudge-number")) $("nudge-number").value = full(now);
  $("undo").hidden = !nudges.size;
  if (!nudges.size) {
    $("nudged").replaceChildren();
    return;
  }
  const before = recorded.data[page.graph.root];
  let predicted = before;
  for (const [each, number] of nudges) {
    predicted += recorded.grad[each] * (number - recorded.data[each]);
  }
  const loss = (x, id) => make("span", { id }, full(x));
  const changed = [...nudges].map(([each, number]) =>
    ({ parts: [askButton(each), withDigits(recorded.data[each], 6), withDigits(number, 6)] }));
  $("nudged").replaceChildren(table([["", false], ["before", false], ["after", false]], [
    ...changed,
    { parts: ["the loss", loss(before, "loss-before"),
      loss(state.data[page.graph.root], "loss-after")] },
    { parts: ["predicted by the gradient", "", loss(predicted, "loss-predicted")] },
  ], "what the change did"));
}

const LARGEST_NUDGE = 100; // far beyond it, squares of squares leave the range of floats
function nudge(node, number) {
  if (!(Math.abs(number) <= LARGEST_NUDGE)) {
    const advice = Number.isNaN(number) ? "This is no number: give one such as 0.25."
      : `Give a number from -${LARGEST_NUDGE} to ${LARGEST_NUDGE}.`;
    $("nudged").querySelector("p")?.remove();
    $("nudged").prepend(make("p", {}, `${advice} It still is ${short(page.shown[0].data[node])}.`));
    return;
  }
  const recorded = page.states[page.snapshot]();
  page.nudges.set(node, number);
  if (number === recorded.data[node]) page.nudges.delete(node);
  page.shown = [page.nudges.size ? page.graph.changed(recorded, page.nudges) : recorded];
  draw();
}

// Attention, matrices, map.

const attentionAt = (pos, layer) =>
  page.meta.attention.filter((each) => each.pos === pos && each.layer === layer);

function drawAttention() {
  const { meta } = page;
  const n = meta.losses.length;
  const head = (layer, h, [title, value]) => {
    const rows = [];
    const shares = meta.tokens.slice(0, n).map((_, pos) => attentionAt(pos, layer)[h].weights);
    // Shares are compared with 1, all of a token's attention; grads with the largest.
    const largest = page.view === "grad" ? largestOf(shares.flat().map(value)) : 1;
    for (let pos = 0; pos < n; pos++) {
      const shown = shares[pos].map((node, t) => make("td", {},
        cell(node, `${tokenAt(pos)} looks at ${tokenAt(t)}, share`, largest, value(node))));
      rows.push(make("tr", pos === page.token ? { class: "read" } : {},
        make("th", { scope: "row" }, tokenAt(pos)), ...shown));
    }
    const tops = Array.from({ length: n }, (_, t) => make("th", { scope: "col" }, tokenAt(t)));
    const grid = make("table", { class: "head rove", "data-columns": "triangle",
      "aria-label": `layer ${layer}, head ${h} ${title}` },
      make("tr", {}, make("th", {}, ""), ...tops), ...rows);
    grid.querySelector(".cell").tabIndex = 0;
    return make("div", {}, make("h3", {}, `layer ${layer}, head ${h}`),
      make("div", { class: "tag" }, title), grid);
  };
  const all = [];
  for (let layer = 0; layer < meta.config.n_layer; layer++) {
    for (let h = 0; h < meta.config.n_head; h++) {
      all.push(make("div", { class: "side" }, ...layers().map((each) => head(layer, h, each))));
    }
  }
  const zero = page.view === "grad" && meta.attention.every(({ weights }) =>
    weights.every((node) => page.shown[0].grad[node] === 0));
  refill($("heads"), ...(zero ? [make("p", { class: "note" }, "All of these are 0, and rightly "
    + "so: attn_wo, through which attention adds to x, starts at 0. So however it looks, the "
    + "loss stays the same, until the first training step has changed attn_wo.")] : []), ...all);
}

function drawMatrices() {
  const name = $("matrix").value;
  const { rows, columns } = matrixOf(name);
  // A cell with a number in it takes 45 pixels.
  const room = $("matrix-cells").clientWidth > 45 * (columns + 1);
  const small = columns > 16 || page.shown.length > 1 || !room;
  const group = matrixCells(name, small);
  const of = { wte: "token", lm_head: "token", wpe: "position" }[name] || "output";
  const tag = (said) => make("span", { class: "tag" }, said);
  group.classList.add("side");
  for (const grid of group.querySelectorAll(".cells")) {
    grid.style.setProperty("--columns", columns + 1);
    [...grid.children].forEach((each, i) => {
      const row = i / columns;
      if (i % columns === 0) each.before(tag(of === "token" ? page.meta.vocabulary[row] : row));
    });
    grid.prepend(tag(""), ...Array.from({ length: columns }, (_, column) => tag(column)));
  }
  const shape = `${name}: ${rows} rows, one for each ${of}, and ${columns} columns`;
  refill($("matrix-cells"), make("p", { class: "note" }, shape), group);
}

// Where each token of `wte` stands on the map of a run, given the numbers of a state.
function pointsOf(run, data) {
  const { start, rows, columns } = matrixOf("wte");
  const { mean, directions } = run.map;
  return Array.from({ length: rows }, (_, row) => directions.map((direction) =>
    direction.reduce((sum, d, j) => sum + d * (data[start + row * columns + j] - mean[j]), 0)));
}

function drawMap() {
  const used = new Set(page.meta.tokens);
  const two = page.shown.length > 1;
  $("points").replaceChildren();
  page.shown.forEach((state, i) => {
    const run = page.meta.runs[i];
    const box = make("div");
    $("points").append(box);
    const height = 340;
    const [picture, width] = svg(box, height, "map of the embeddings, also in the matrix wte");
    // The scale is that of the end of the run, the same in both directions, so that only
    // the points move, and distances can be compared.
    const last = page.columns[`data${two ? i : page.states.length - 1}`];
    const [xs, ys] = [0, 1].map((k) => pointsOf(run, last).map((point) => point[k]));
    const middle = (zs) => (Math.max(...zs) + Math.min(...zs)) / 2;
    const range = (zs) => Math.max(...zs) - Math.min(...zs) || 1;
    const scale = Math.min((width - 60) / range(xs), (height - 40) / range(ys));
    const x = (a) => width / 2 + scale * (a - middle(xs));
    const y = (b) => height / 2 - scale * (b - middle(ys));
    picture.append(makeSvg("path", { class: "axis",
      d: `M0 ${y(0)}H${width}M${x(0)} 0V${height}` }));
    pointsOf(run, state.data).forEach(([a, b], row) => {
      const name = page.meta.vocabulary[row];
      const letter = makeSvg("text", { x: x(a), y: y(b) + 4, "text-anchor": "middle",
        class: used.has(row) ? "bold" : "" }, name);
      letter.append(makeSvg("title", {}, `${name}: ${short(a)} to the right, ${short(b)} up`));
      picture.append(letter);
    });
    const [right, up] = run.map.share.map(percent);
    box.append(make("p", { class: "note" }, two ? `${run.name}: ` : "",
      `to the right, the direction that held ${right} of all differences after ${run.step} steps; `
      + `up, the one that held ${up}. The lines cross where the mean was then.`));
  });
}

// backward(), node by node.

function visit(count) {
  const { graph, columns, shown: [state] } = page;
  const { order } = columns;
  page.visited = Math.max(0, Math.min(order.length, count));
  state.grad.fill(0);
  state.grad[graph.root] = 1;
  for (let i = 0; i < page.visited; i++) graph.passOn(state, order[i]);
  const last = page.visited ? order[page.visited - 1] : null;
  if (last !== null) page.node = last;
  $("visited").textContent = page.visited
    ? `Visit ${page.visited} of ${order.length}: ${nameOf(last)} has grad `
      + `${short(state.grad[last])} and passes it on to its inputs.`
    : "Nothing is visited yet. The result's grad is 1, since d(result)/d(result) = 1; "
      + "all others are 0.";
  const all = Array.from({ length: graph.n }, (_, node) => node);
  $("nodes").replaceChildren(cells(all, "node", { small: true, names: (i) => nameOf(i) }));
  const rows = [];
  for (let i = Math.max(0, page.visited - 8); i < Math.min(order.length, page.visited + 8); i++) {
    const node = order[i];
    const status = i < page.visited - 1 ? "done" : i === page.visited - 1 ? "now" : "waits";
    rows.push({ kind: status === "now" ? "now" : "",
      parts: [askButton(node), state.data[node], state.grad[node], status] });
  }
  const received = new Set(last === null ? []
    : graph.inputs.subarray(graph.first[last], graph.first[last + 1]));
  for (const node of received) {
    if (!graph.isLeaf(node)) continue;
    const status = "a leaf, has received";
    rows.push({ parts: [askButton(node), state.data[node], state.grad[node], status] });
  }
  $("list").replaceChildren(table([["node", false], ["data", false], ["grad so far", false],
    ["", false]], rows, "visits"));
  drawNumber();
  drawReadout();
}

// Everything together.

function draw() {
  if (page.meta.kind === "graph") {
    visit(page.visited);
    return;
  }
  drawSummary();
  drawText();
  drawTraining();
  drawCode();
  drawNumber();
  drawAttention();
  drawMatrices();
  drawMap();
  drawReadout();
}

function drawSummary() {
  const { meta, graph } = page;
  const results = page.shown.map((state) => short(state.data[graph.root])).join(" and ");
  if (meta.kind === "graph") {
    $("summary").textContent = `A calculation of ${graph.n} nodes, whose result is ${results}.`;
    return;
  }
  const { n_layer, n_head, n_embd } = meta.config;
  const names = meta.runs.map(({ name, step }, i) => {
    const now = page.shown.length > 1 ? step : meta.states[page.snapshot].step;
    return `${name}, ${now === step ? "" : "as it was "}after ${now} steps`;
  });
  const changed = page.nudges.size ? `, ${page.nudges.size} of them changed by you` : "";
  $("undo-above").hidden = !page.nudges.size;
  $("summary").textContent = `${names.join("; beside it ")}. ${plural(n_layer, "layer")}, `
    + `${plural(n_head, "head")}, n_embd ${n_embd}. The loss of this text is ${results} nats a `
    + `token, computed with ${graph.n.toLocaleString("en")} numbers${changed}. Press any of them.`;
}

const KEYS = { l: "line", t: "token", y: "layer", f: "function" };

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target } = event;
  const group = target.closest(".rove");
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (group && arrows[event.key]) {
    const buttons = [...group.querySelectorAll("button")];
    const here = buttons.indexOf(target);
    const [right, down] = arrows[event.key];
    const triangle = group.dataset.columns === "triangle";
    const row = triangle ? Math.floor((Math.sqrt(8 * here + 1) - 1) / 2) : 0;
    const columns = triangle ? row + (down > 0 ? 1 : 0) : Number(group.dataset.columns) || 1;
    const next = buttons[here + right + down * columns];
    if (next) {
      target.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    }
    event.preventDefault();
    return;
  }
  if (target.closest("input, select")) return;
  if (event.key === "Escape") unpoint();
  if (event.key === "n") showNumber();
  const kind = KEYS[event.key.toLowerCase()];
  const way = event.key === event.key.toLowerCase() ? 1 : -1;
  if (page.meta.kind === "graph" && kind === "line") visit(page.visited + way);
  else if (page.meta.kind === "run" && kind) go(kind, way);
  else if (event.key === "Backspace" || event.key === "b") back(page.trail.length - 1);
}

function back(i) {
  if (i < 0) return;
  const node = page.trail[i];
  page.trail.length = i;
  page.called = "";
  ask(node, { remember: false });
}

function clicked(event) {
  const dot = event.target.closest("[data-snapshot]");
  if (dot) showSnapshot(Number(dot.dataset.snapshot));
  const target = event.target.closest("button");
  if (!target) return;
  const { number, token, line, go: kind, way, back: trail, visit: visits, stop, open, by } =
    target.dataset;
  if (number !== undefined) {
    const inside = $("number").contains(target);
    page.called = target.closest("#holds") ? target.dataset.name : "";
    if (!inside) page.cameFrom = { panel: target.closest("section").id, number };
    ask(Number(number));
    const { top } = $("number-title").getBoundingClientRect();
    if (inside || top < 0 || top > innerHeight / 2) showNumber();
  } else if (target.id === "return") {
    const { panel, number: asked } = page.cameFrom;
    const origin = $(panel).querySelector(`[data-number="${asked}"]`) || $(panel);
    origin.scrollIntoView({ block: "center" });
    origin.focus({ preventScroll: true });
  } else if (token !== undefined) chooseToken(Number(token));
  else if (line !== undefined) goToLine(Number(target.dataset.function), Number(line));
  else if (kind) go(kind, Number(way));
  else if (stop !== undefined) goTo(Number(stop), false);
  else if (open !== undefined) {
    page.opened[page.opened.has(open) ? "delete" : "add"](open);
    drawNumber();
    $("why").querySelector(`[data-open="${open}"]`).focus();
  } else if (trail !== undefined) back(Number(trail));
  else if (visits) visit({ first: 0, last: Infinity }[visits] ?? page.visited + Number(visits));
  else if (by) nudge(page.node, page.shown[0].data[page.node] + Number(by));
  else if (target.id === "to-number") showNumber();
  else if (target.id.startsWith("undo")) {
    showSnapshot(page.snapshot);
    const next = target.id === "undo" ? $("nudge-number") : $("number-title");
    next.focus({ preventScroll: true });
  }
}

// Bring "One number" into sight, and the keyboard there.
function showNumber() {
  const { top } = $("number-title").getBoundingClientRect();
  if (top < 0 || top > innerHeight / 2) $("number").scrollIntoView();
  $("number-title").focus();
}

function pointed(event) {
  // Where the pointer is on no number, the one that the keyboard is on stays.
  const target = event.target.closest?.("[data-number]")
    || document.querySelector("[data-number]:focus-visible");
  if (!target) return unpoint();
  const node = Number(target.dataset.number);
  page.pointed = { node, name: target.dataset.name || nameOf(node) };
  drawReadout();
}

function unpoint() {
  page.pointed = null;
  drawReadout();
}

function drawReadout() {
  const { pointed: found } = page;
  $("readout").hidden = !found;
  $("readout").textContent = "";
  if (!found) return;
  const say = (kind) => figures((state) => state[kind][found.node]).map((x, i, all) =>
    (all.length > 1 ? `${SHORT_NAMES[i]} ${short(x)}` : short(x))).join(", ");
  const was = (kind) => {
    const before = wasBefore((state) => short(state[kind][found.node]));
    return before && ` (${before})`;
  };
  const parts = [`${found.name} = ${say("data")}${was("data")}`,
    `grad ${say("grad")}${was("grad")}`, madeAt(found.node)];
  $("readout").textContent = parts.filter((part) => part).join(" · ");
}

async function begin() {
  const { meta, columns } = await unpack($("content").textContent);
  Object.assign(page, { meta, columns, graph: new Graph(meta, columns) });
  const isRun = meta.kind === "run";
  for (const section of document.querySelectorAll("section.run")) section.hidden = !isRun;
  for (const section of document.querySelectorAll("section.graph")) section.hidden = isRun;
  document.body.classList.add(isRun ? "of-run" : "of-graph");
  readColours();
  const recordedAt = isRun ? meta.states.length - 1 : 0; // Python's slopes are of this one
  const made = [];
  const how = (i) => (i === recordedAt ? page.graph.recorded : page.graph.state);
  const state = (i) => (made[i] ??= how(i).call(
    page.graph, columns[`data${i}`], columns[`grad${i}`], isRun ? meta.states[i].picks : []));
  const count = isRun ? meta.states.length : 1;
  page.states = Array.from({ length: count }, (_, i) => () => state(i));
  page.snapshot = count - 1;
  const two = isRun && meta.runs.length > 1;
  if (two) page.snapshot = 0;
  page.shown = two ? [state(0), state(1)] : [state(page.snapshot)];
  page.node = page.graph.root;
  if (isRun) {
    readMeanings(meta);
    readHelpers(meta);
    $("training").hidden = two || count < 2;
    document.body.classList.toggle("alone", $("training").hidden);
    document.body.classList.toggle("two", two);
    $("snapshot").max = count - 1;
    $("matrix").append(...meta.matrices.map(([name]) => make("option", { value: name }, name)));
    buildCode();
    page.at = meta.steps.findIndex((step) => step[4] === 0);
    draw();
  } else {
    $("view").value = page.view = "grad";
    $("view").selectedOptions[0].textContent = "grad: how the result depends on them";
    visit(0);
  }
  drawSummary();
  document.addEventListener("click", clicked);
  document.addEventListener("keydown", pressed);
  document.addEventListener("mouseover", pointed);
  document.addEventListener("focusin", pointed);
  $("view").addEventListener("change", () => { page.view = $("view").value; draw(); });
  $("sorted").addEventListener("change", drawNumber);
  $("matrix").addEventListener("change", drawMatrices);
  $("snapshot").addEventListener("input", () => showSnapshot(Number($("snapshot").value)));
  $("nudge-slider").addEventListener("input",
    (event) => nudge(page.node, event.target.valueAsNumber));
  $("nudge-number").addEventListener("input",
    (event) => nudge(page.node, event.target.valueAsNumber));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => { readColours(); draw(); });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (isRun && innerWidth !== width) { drawTraining(); drawMatrices(); drawMap(); }
    width = innerWidth;
  });
  document.body.dataset.ready = "yes";
}

begin().catch((error) => {
  $("summary").textContent = `This page cannot be shown: ${error.message}`;
  throw error;
});
