"""The pieces of the package that a reader writes, in order, with hints for each.

A piece is one function, or a few that belong together. The hints go from a nudge to
nearly the answer, and are given one at a time.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple


class Piece(NamedTuple):
    """Some functions of one file that are judged together."""

    name: str  # what the reader types
    module: str  # value for microgpt/value.py
    functions: tuple[str, ...]  # as in Value.backward
    chapter: str  # where the course explains it
    minutes: int
    hints: tuple[str, ...]


PIECES = (
    Piece(
        "operations",
        "value",
        tuple(
            f"Value.{name}"
            for name in (
                *("__add__", "__sub__", "__mul__", "__truediv__", "__pow__"),
                *("__neg__", "exp", "log", "relu", "tanh"),
            )
        ),
        "3",
        45,
        (
            "Begin with __add__ and __mul__. Each operation returns a new Value that "
            "is given four things: the number, the inputs, one slope for each input, "
            "and a label. What is the slope of a + b with respect to a? And that of "
            "a * b?",
            "The other side may be a plain number: other = other if isinstance(other, "
            "Value) else leaf(other). leaf gives None for what is no number; then "
            "return NotImplemented.",
            "a * b: Value(a.data * b.data, (a, b), (b.data, a.data), '*'). The slope "
            "with respect to one factor is the other factor.",
            "a / b has the slopes 1 / b and -a / b**2. x ** n has the slope n * x ** "
            "(n - 1). exp(x) has exp(x), log(x) has 1 / x, tanh has 1 - tanh ** 2, "
            "relu has 1 where x is positive and 0 elsewhere.",
            "__pow__: hand a Value as exponent to _power_of_values(self, exponent). A "
            "plain number n goes into the label, f'**{n}', and self is the only input. "
            "The docstrings say which numbers are a ValueError; for n = 0 the slope is "
            "0.",
        ),
    ),
    Piece(
        "topological_order",
        "value",
        ("topological_order",),
        "5",
        30,
        (
            "A node may be placed in the list only when all of its inputs are placed. "
            "Which node can be placed first?",
            "Depth-first: before a node gets its place, visit its inputs. Remember in "
            "a set which nodes you have seen, so that each is placed once. Leaves "
            "(nodes without inputs) are left out.",
            "Python allows calls only about 1,000 deep, and the check builds a chain "
            "of 20,000 nodes. So no function that calls itself: keep the path from the "
            "root to where you are in a list.",
            "Another way to do without recursion: a stack of pairs (node, done). Pop "
            "one. If done, append the node to the order. If not, and it is new and no "
            "leaf, push (node, True), and on top of it (input, False) for each input.",
        ),
    ),
    Piece(
        "backward",
        "value",
        ("Value.backward",),
        "5",
        30,
        (
            "Every node's grad has to be complete before it is passed on. "
            "topological_order(self) gives you the nodes, inputs first. In which "
            "direction do you walk?",
            "Three steps: set the grad of all nodes in the order to 0 (they are the "
            "computed ones; leaves keep theirs); add 1 to the grad of self; go through "
            "the order from its end to its beginning.",
            "For each node, each of its inputs gets local_grad * node.grad, added to "
            "what it has: += and not =.",
        ),
    ),
    Piece(
        "dot",
        "value",
        ("dot",),
        "6",
        20,
        (
            "One node with all xs and all ys as its inputs. What is the slope of "
            "x0 * y0 + x1 * y1 with respect to x0? And to y1?",
            "If the numbers are plain floats, return sumprod(xs, ys), a plain float. "
            "Otherwise _with_leaves makes a Value of every plain number.",
            "Value(the sum, xs + ys, tuple(y_data + x_data), 'dot'): the slopes of the "
            "xs are the numbers of the ys, and the other way round. Before that: lists "
            "of different lengths are a ValueError, and the inputs are tuples.",
        ),
    ),
    Piece(
        "logsumexp",
        "value",
        ("logsumexp",),
        "7",
        20,
        (
            "exp(800) is too large for a float, but exp(0) is 1. What can you subtract "
            "from all numbers before, and add again after the log?",
            "maximum + log(exp(x0 - maximum) + exp(x1 - maximum) + …). as_float gives "
            "the plain number of a Value or a float.",
            "The slope with respect to xs[i] is its share: exp(xs[i] - maximum) "
            "divided by the sum of all these. If no x is a Value, return the plain "
            "float; if any is, a Value with the label 'logsumexp' whose inputs are "
            "tuple(_with_leaves(xs)).",
        ),
    ),
    Piece(
        "tokenizer",
        "tokenizer",
        ("CharTokenizer.encode", "CharTokenizer.decode"),
        "9",
        15,
        (
            "self.ids is a dictionary from character to id, self.chars the text of all "
            "characters. Which id has the character self.chars[0]?",
            "Id 0 is BOS, so the character of token_id is self.chars[token_id - 1]. "
            "What happens there with token_id 0, if you forget about BOS?",
            "encode: [self.ids[char] for char in text], and a ValueError for a "
            "character that has no id. decode: a ValueError unless 0 <= token_id < "
            "self.vocab_size; skip BOS; join the rest.",
        ),
    ),
    Piece(
        "linear",
        "model",
        ("linear",),
        "6",
        10,
        (
            "w has a row for each output and a column for each input. One output is "
            "made of one row. How?",
            "Each output is dot(row, x).",
        ),
    ),
    Piece(
        "softmax",
        "model",
        ("softmax",),
        "2",
        20,
        (
            "exp of each logit, divided by the sum of all of these. And what if a "
            "logit is 1000?",
            "Subtract the largest logit from all: max(logits, key=as_float). The "
            "shares stay the same.",
            "Use exp(…) and total(…) from value.py, and not those of math: they take "
            "Values as well as floats.",
        ),
    ),
    Piece(
        "rmsnorm",
        "model",
        ("rmsnorm",),
        "12",
        15,
        (
            "RMS is the root of the mean of the squares. x is divided by it.",
            "The sum of the squares is dot(x, x). Add 1e-5 to the mean of the squares "
            "before you take the root.",
            "scale = (mean_square + 1e-5) ** -0.5, and each number of x is multiplied "
            "by it.",
        ),
    ),
    Piece(
        "cross_entropy",
        "model",
        ("cross_entropy",),
        "7",
        15,
        (
            "It is -log(probability of the target). What is that, if the probability "
            "is exp(logit of the target) / sum of all exps?",
            "The log of a quotient is a difference of logs. You have a function for "
            "the log of a sum of exps.",
            "logsumexp(logits) - logits[target_id]; before that, a ValueError if "
            "target_id is no token (-1 would be taken from the end of the list).",
        ),
    ),
    Piece(
        "attention",
        "model",
        ("attention",),
        "10",
        60,
        (
            "q, k and v are each linear(x, a matrix of params). Append k and v to the "
            "lists of this layer before you look back: a token sees itself too.",
            "For each head, take its slice of head_dim numbers out of q, and out of "
            "every key and value so far.",
            "A score is dot(q_head, k_t) divided by the root of head_dim. softmax of "
            "the scores gives one weight for each token so far.",
            "Output i of a head is the dot product of the weights with the i-th number "
            "of every token's value: zip(*values_head) gives these columns. Put the "
            "heads' outputs one after the other, and return linear(gathered, attn_wo).",
        ),
    ),
    Piece(
        "mlp",
        "model",
        ("mlp",),
        "13",
        10,
        (
            "Two calls of linear, with params[f'layer{layer}.mlp_fc1'] and mlp_fc2. "
            "And in between?",
            "relu(hi) ** 2 for each hidden number: without something that is not "
            "linear, two matrices are only one.",
        ),
    ),
    Piece(
        "gpt",
        "model",
        ("gpt",),
        "13",
        30,
        (
            "x begins as a sum of two rows: params['wte'][token_id] and "
            "params['wpe'][pos_id], and is normalised once.",
            "Each layer has two halves, and each half adds its result to x. What does "
            "a half read: x, or rmsnorm(x)?",
            "x = add(x, attention(rmsnorm(x), params, config, layer, keys, values)), "
            "then the same with mlp. After all layers, linear(x, params['lm_head']). "
            "There is no norm before the head. At the start: a ValueError for a token "
            "or a position out of range.",
        ),
    ),
    Piece(
        "document_loss",
        "model",
        ("document_loss",),
        "13",
        10,
        (
            "token_losses gives one loss for each token that the model was asked for.",
            "The mean: their total, times 1 / their number.",
        ),
    ),
    Piece(
        "Adam.step",
        "adam",
        ("Adam.step",),
        "15",
        30,
        (
            "One step: count it in self.t; then for each parameter renew m and v from "
            "its gradient, and move its data against m / sqrt(v).",
            "m = beta1 * m + (1 - beta1) * grad, and v the same with beta2 and the "
            "squared gradient. After one step, m is only a tenth of the gradient: what "
            "must you divide by?",
            "m_hat = m / (1 - beta1**t), v_hat = v / (1 - beta2**t). The step: data -= "
            "lr * m_hat / (sqrt(v_hat) + eps). Then grad = 0.",
            "Weight decay acts on the weight itself, before the step: data -= lr * "
            "weight_decay * data.",
        ),
    ),
    Piece(
        "token_probabilities",
        "sampling",
        ("token_probabilities",),
        "17",
        30,
        (
            "First softmax with a temperature: subtract the largest logit, divide by "
            "the temperature, exp, divide by the sum. (Plain floats: math.exp.)",
            "top_k: sort the token ids by probability, the likeliest first, and keep "
            "k. All others get 0, and those kept are divided by their sum.",
            "top_p: go through what top_k has kept, and stop as soon as the sum of "
            "those taken has reached top_p times the sum of all kept. The one that "
            "reaches it is kept too, so there is always one.",
            "The docstring's last sentence: check each setting first, and that every "
            "logit is finite; ValueError.",
        ),
    ),
    Piece(
        "generate",
        "sampling",
        ("generate",),
        "17",
        10,
        (
            "next_tokens yields pairs (token id, probabilities). You need the ids.",
            "Return the prompt and the decoded ids. decode skips BOS for you.",
        ),
    ),
    Piece(
        "train",
        "training",
        ("train",),
        "16",
        45,
        (
            "Five lines are the heart: document, tokens, document_loss, backward, "
            "optimizer.step. Around them the loop over range(run.step, "
            "training.steps); at its end yield the step's loss.",
            "Step number `step` takes the documents from step * batch_size on, and "
            "begins again at the end of the list: documents[i % len(documents)].",
            "The learning rate falls evenly: learning_rate * (1 - step / steps). "
            "Append the loss to run.losses, or run.step never grows.",
            "A batch: (loss / batch_size).backward() for each document, and a single "
            "optimizer step. Set all grads to 0 before it. If training.grad_clip is "
            "not 0, clip_grad_norm(parameters, training.grad_clip) comes before the "
            "step. No documents: ValueError. A loss that is not finite: "
            "FloatingPointError, before the parameters are changed.",
        ),
    ),
)


def find_piece(name: str) -> Piece:
    """Return the piece that a reader calls `name`. There is none: ValueError."""
    wanted = name.lower()
    for piece in PIECES:
        short_names = [function.split(".")[-1] for function in piece.functions]
        if wanted in [n.lower() for n in (piece.name, *piece.functions, *short_names)]:
            return piece
    names = [piece.name for piece in PIECES]
    close = get_close_matches(wanted, names, n=1)
    advice = f"did you mean {close[0]}? There are" if close else "give one of"
    raise ValueError(f"there is no piece {name!r}: {advice} {', '.join(names)}")
