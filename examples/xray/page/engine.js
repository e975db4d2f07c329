// The chain rule again, as in microgpt/value.py, small enough to run in a page.
//
// Python has recorded a graph: for each node its label, its inputs, its data and its
// grad. Here the same graph can be computed again after a parameter has changed: forward
// through the numbers of the nodes, upwards, and backward, downwards. A test holds the
// results to Python's, for every node.
"use strict";

// Each operation takes the data of its inputs and returns [data, slopes].
const OPERATIONS = {
  "+": ([a, b]) => [a + b, [1, 1]],
  "-": ([a, b]) => (b === undefined ? [-a, [-1]] : [a - b, [1, -1]]),
  "*": ([a, b]) => [a * b, [b, a]],
  "/": ([a, b]) => [a / b, [1 / b, -(a / b) / b]],
  "**": ([a, b]) => [a ** b, [b * a ** (b - 1), Math.log(a) * a ** b]],
  exp: ([a]) => [Math.exp(a), [Math.exp(a)]],
  log: ([a]) => [Math.log(a), [1 / a]],
  relu: ([a]) => (a <= 0 ? [0, [0]] : [a, [1]]),
  tanh: ([a]) => [Math.tanh(a), [1 - Math.tanh(a) ** 2]],
  total: (xs) => [xs.reduce((sum, x) => sum + x, 0), xs.map(() => 1)],
  dot(both) {
    const n = both.length / 2;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += both[i] * both[n + i];
    return [sum, [...both.slice(n), ...both.slice(0, n)]];
  },
  logsumexp(xs) {
    const maximum = Math.max(...xs);
    const exps = xs.map((x) => Math.exp(x - maximum));
    const sum = exps.reduce((total, e) => total + e, 0);
    return [maximum + Math.log(sum), exps.map((e) => e / sum)];
  },
};

// The operation of a label; "**2" and "**-0.5" hold their exponent.
function operationOf(label) {
  if (OPERATIONS.hasOwnProperty(label)) return OPERATIONS[label];
  const n = /^\*\*-?[\d.]+(e[-+]?\d+)?$/.test(label) ? Number(label.slice(2)) : NaN;
  if (Number.isNaN(n)) return undefined;
  return ([a]) => [a ** n, [n ? n * a ** (n - 1) : 0]];
}

// What xray.py has packed: see Content.packed there.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const unpacker = new DecompressionStream("deflate");
  const stream = new Blob([bytes]).stream().pipeThrough(unpacker);
  const buffer = await new Response(stream).arrayBuffer();
  const length = Number(new TextDecoder().decode(new Uint8Array(buffer, 0, 8)));
  const meta = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  let at = Math.ceil((8 + length) / 8) * 8;
  const columns = {};
  for (const [name, kind, n] of meta.columns) {
    columns[name] = new (kind === "d" ? Float64Array : Int32Array)(buffer, at, n);
    at += columns[name].byteLength;
  }
  return { meta, columns };
}

class Graph {
  constructor(meta, columns) {
    this.root = meta.root;
    this.n = columns.label.length;
    this.labels = Array.from(columns.label, (i) => meta.labels[i]);
    this.inputs = columns.inputs; // of all nodes, one after the other
    this.first = new Int32Array(this.n + 1); // where those of each node begin
    for (let i = 0; i < this.n; i++) this.first[i + 1] = this.first[i] + columns.n_inputs[i];
    this.givenSlopes = columns.slopes;
    this.exact = new Set(meta.exact);
    this.operations = this.labels.map((label, i) =>
      this.isLeaf(i) ? undefined : operationOf(label));
    // Which logit a softmax subtracts from all: the choice is made anew each time.
    this.choices = (meta.choices || []).map(([logits, uses]) => ({
      logits, edges: uses.map(([node, place]) => this.first[node] + place),
    }));
    this.choicesAt = new Map(); // the node before which a choice has to be made
    this.choices.forEach((choice, i) => {
      const node = Math.min(...meta.choices[i][1].map((use) => use[0]));
      this.choicesAt.set(node, [...(this.choicesAt.get(node) || []), choice]);
    });
  }

  isLeaf(node) {
    return this.first[node] === this.first[node + 1];
  }

  // Numbers for all nodes and slopes for all edges; the inputs, since choices differ.
  state(data, grad, picks) {
    const state = { data, grad, inputs: this.inputs.slice() };
    state.slopes = new Float64Array(this.inputs.length);
    this.choices.forEach((choice, i) => {
      for (const edge of choice.edges) state.inputs[edge] = picks[i];
    });
    for (let node = 0; node < this.n; node++) this.operate(state, node);
    return state;
  }

  // The state that Python gave the slopes of, with all their digits.
  recorded(data, grad, picks) {
    const state = this.state(data, grad, picks || []);
    let given = 0;
    for (let node = 0; node < this.n; node++) {
      if (this.exact.has(this.labels[node])) continue;
      for (let edge = this.first[node]; edge < this.first[node + 1]; edge++) {
        state.slopes[edge] = this.givenSlopes[given++];
      }
    }
    return state;
  }

  // Fill in the slopes of a node, and return its data.
  operate(state, node) {
    if (!this.operations[node]) return state.data[node];
    const [start, end] = [this.first[node], this.first[node + 1]];
    const xs = Array.from(state.inputs.subarray(start, end), (input) => state.data[input]);
    const [data, slopes] = this.operations[node](xs);
    state.slopes.set(slopes, start);
    return data;
  }

  // A new state, in which some leaves have other numbers: changes maps node to number.
  changed(state, changes) {
    const data = state.data.slice();
    const next = { data, grad: new Float64Array(this.n), inputs: state.inputs.slice() };
    next.slopes = new Float64Array(this.inputs.length);
    for (const [node, number] of changes) data[node] = number;
    for (let node = 0; node < this.n; node++) {
      for (const choice of this.choicesAt.get(node) || []) {
        const picked = choice.logits.reduce((best, x) => (data[x] > data[best] ? x : best));
        for (const edge of choice.edges) next.inputs[edge] = picked;
      }
      data[node] = this.operate(next, node);
    }
    this.backward(next);
    return next;
  }

  // Every other grad than the root's begins at 0; each node passes on its complete one.
  backward(state) {
    state.grad.fill(0);
    state.grad[this.root] = 1;
    for (let node = this.n - 1; node >= 0; node--) this.passOn(state, node);
  }

  passOn(state, node) {
    const grad = state.grad[node];
    if (grad === 0) return;
    for (let edge = this.first[node]; edge < this.first[node + 1]; edge++) {
      state.grad[state.inputs[edge]] += state.slopes[edge] * grad;
    }
  }
}
