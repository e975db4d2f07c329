"""Chapter 29. Instructions: can a model that continues be taught to obey?

Our GPT continues. Give it "ma", and it goes on as names do: "maria", "max", "madelina",
whichever the dice say. It cannot be asked for anything. But the models that people talk
to can: "write it shorter", "make a list of it". They, too, began as models that only
continue text. What made them obey is called *instruction tuning*: training goes on, on
examples in which an instruction is followed by what a helpful answer looks like. It is
the same loss, the same backward and the same Adam. What is new are the examples.

We teach our GPT three instructions. After the first two letters of a name, given by the
user, it shall finish the name so that the whole is *short*, or *long*, or *ends* in a
certain letter. We need words for these wishes, so the vocabulary grows by three tokens,
and a trained model has to take them in. We ask for the loss on the answer alone, and
look at what happens otherwise. In the end we measure how often the model obeys, with
beginnings that it was never taught on, and what it has forgotten meanwhile.

Before you run it: `python examples/learn.py 29` asks you for a few guesses first. If
you go without it, write down how often, of 100 times, the model will obey each of the
three wishes after 200 examples, and whether its old skill, to guess the letters of
names, suffers.

Papers: Keskar et al., "CTRL: a conditional transformer language model for controllable
generation", 2019, for wishes as tokens; Wei et al., "Finetuned language models are
zero-shot learners", 2022, for instruction tuning.
"""

# %%
from __future__ import annotations

import random
import sys
from statistics import mean

from both_errors import difference, verdict, with_both_errors
from common import (
    ALL_HELD_OUT_NAMES,
    TOKENIZER,
    LetterTable,
    loss_and_error,
    save_picture,
)
from trained import trained_gpt
from wishes import (
    ENDS,
    EOS,
    LAST_LETTER,
    LONG,
    SHORT,
    TAUGHT_BEGINNINGS,
    TEST_BEGINNINGS,
    VALIDATION_BEGINNINGS,
    WISHES,
    completion_of,
    examples,
    is_obeyed,
    prompt_of,
)

from microgpt import (
    Adam,
    GPTConfig,
    Value,
    as_floats,
    cross_entropy,
    empty_cache,
    flatten,
    gpt,
    init_params,
    softmax,
    token_losses,
    token_probabilities,
    total,
)
from microgpt.tools.draw import Line, line_chart
from microgpt.tools.terminal import Progress
from microgpt.training import collector_paused

run = trained_gpt()
SEEDS = [0, 1, 2, 3, 4]

# %%
# The format.
#
# An example has two parts. The *prompt* comes from the user, and the *completion* is
# what the model shall write. Both are tokens, and a small fixed format says which is
# which:
#
#     prompt        the wish, and two letters        SHORT m a
#     completion    the rest of the name, and EOS    x EOS
#
# EOS, "end of sequence", says that the answer is complete. The model must learn to say
# it, or it would never stop. In our vocabulary token 0 does this work already: it
# stands at both ends of a name, and we have called it BOS so far. At the beginning, the
# wish takes the place of BOS. So each letter stands at the place that it has in a name.
#
# The three wishes are tokens too, number 27 to 29. All of this is in wishes.py, with a
# function that says whether a name is what was wished for.
#
# The names that we teach with are none of the 6,000 that the GPT has learnt from. They
# have 3 to 8 letters. Their beginnings, the first two letters, are split into three
# groups. From one we teach. With the *validation* beginnings the settings were chosen.
# The *test* beginnings are kept for the end: no name that begins with them is taught,
# so prompts made of them are new to the model.
#
# `examples(n, seed)` takes the three wishes in turn, chooses one of the beginnings that
# are taught, each as often as any other, and then a name that fulfils the wish.
SPELT = {SHORT: "SHORT", LONG: "LONG", ENDS: "ENDS", EOS: "EOS"}


def spelt(tokens):
    """Return tokens as text, with the special ones in capitals."""
    return " ".join([SPELT.get(t) or TOKENIZER.decode([t]) for t in tokens])


print("1. Examples to learn from")
print()
for prompt, completion in examples(6, seed=0):
    print(f"prompt {spelt(prompt):<10}  completion {spelt(completion)}")
print()
print(f"beginnings taught: {len(TAUGHT_BEGINNINGS)}, for instance", end=" ")
print(", ".join(TAUGHT_BEGINNINGS[:8]))
print(f"beginnings for the test: {len(TEST_BEGINNINGS)}, for instance", end=" ")
print(", ".join(TEST_BEGINNINGS[:8]))
print()

# %%
# New tokens in a trained vocabulary.
#
# A token has a row in wte, its embedding, and a row in lm_head, from which its logit
# comes. So three tokens more are three rows more in each. There is also one place more:
# the model has to see a wish and 8 letters before it says EOS, which are 9 tokens. What
# should the new rows hold? In wte, random numbers of the size that the trained rows
# have. In a new model the embeddings begin at a size of 0.02, but beside the trained
# embedding of its place, a wish of that size would hardly be seen. (It was tried on the
# validation beginnings, and the wishes were learnt far more slowly.) The new row of wpe
# does begin at 0.02. Only the eighth letter of a long name stands at that place, and
# that letter has a trained embedding, which can be read with next to nothing added to
# it.
#
# And in lm_head? Zeros, one might think, so that the model does not say SHORT of its
# own accord. Let us look at what zeros do. We measure the old skill, the loss on plain
# names; the share of the probability that the three new tokens take away from the
# letters; and the mean logit of the 27 old tokens.
config = GPTConfig(TOKENIZER.vocab_size + len(WISHES), block_size=9)


def with_wishes(seed, head_row):
    """Return the GPT's weights, copied, with new rows; head_row goes into lm_head."""
    rng = random.Random(seed)
    n_embd = config.n_embd
    params = {}
    for name, matrix in run.params.items():
        params[name] = [[Value(weight.data) for weight in row] for row in matrix]
    params["wpe"].append([Value(rng.gauss(0, 0.02)) for _ in range(n_embd)])
    for _ in WISHES:  # 0.5: about the size of the trained rows
        params["wte"].append([Value(rng.gauss(0, 0.5)) for _ in range(n_embd)])
        params["lm_head"].append([Value(number) for number in head_row])
    return params


def old_skill_of(params, config):
    """Return a function name -> the surprise at each of its letters, after BOS."""
    floats = as_floats(params)

    def nats_of(name):
        tokens = TOKENIZER.encode_document(name)[:9]
        return token_losses(floats, config, tokens)

    return nats_of


def logits_in(params, name):
    """Return the logits at each letter of a name: (letters, vocabulary)."""
    keys, values = empty_cache(config)
    all_logits = []
    for pos_id, token_id in enumerate(TOKENIZER.encode_document(name)[:8]):
        all_logits.append(gpt(params, config, token_id, pos_id, keys, values))
    return all_logits


MEASURED_NAMES = ALL_HELD_OUT_NAMES[500:700]
zeros = [0.0] * config.n_embd
head_columns = zip(*as_floats(run.params)["lm_head"])
mean_row = [mean(column) for column in head_columns]
wte_squares = [weight.data**2 for weight in flatten({"wte": run.params["wte"]})]
nats_of = old_skill_of(run.params, run.config)
before_loss, before_error = loss_and_error(nats_of, MEASURED_NAMES)
print("2. Three more tokens, before any training")
print()
print(
    f"size of the trained embeddings (root mean square): {mean(wte_squares) ** 0.5:.2f}"
)
print()
print("                        old skill         new tokens   mean logit")
print("new rows in lm_head     (nats a letter)   take         of the old")
print(f"{'none':<23} {before_loss:.3f} ± {before_error:.3f}")
loss_with = {}
taken_with = {}
for row_name, head_row in [("zeros", zeros), ("the mean row", mean_row)]:
    params = as_floats(with_wishes(0, head_row))
    loss, error = loss_and_error(old_skill_of(params, config), MEASURED_NAMES)
    loss_with[row_name] = loss
    taken_with[row_name] = taken = []
    old_logits = []
    for name in MEASURED_NAMES[:50]:
        for logits in logits_in(params, name):
            taken.append(sum(softmax(logits)[27:]))
            old_logits.append(mean(logits[:27]))
    print(
        f"{row_name:<23} {loss:.3f} ± {error:.3f} "
        f"{mean(taken):12.0%} {mean(old_logits):14.2f}"
    )
taken = sorted(taken_with["zeros"])
middle, upper_quarter = taken[len(taken) // 2], taken[3 * len(taken) // 4]
print()
print("zeros: how much the new tokens take is uneven")
print(f"at half of the places     {middle:.0%} or more")
print(f"at a quarter of them      {upper_quarter:.0%} or more")
n_weights_before = len(flatten(run.params))
n_weights = len(flatten(with_wishes(0, mean_row)))
print()
print(f"weights: {n_weights_before:,} before, {n_weights:,} with the new rows")
print()

# %%
# With zeros the old skill is ruined before we have begun. Why? A row of zeros gives a
# logit of 0, and that does not mean "never". Only the differences between logits count.
# In this model the logits of the letters lie far below 0 on average, so beside them a 0
# is a large number, and the three new tokens take most of the probability. Where they
# take a share s, the right letter keeps 1 - s of its probability, and the loss there
# rises by -log(1 - s). For 58 % that would be 0.87. The loss has risen by twice as
# much, because the shares are uneven, and a place that loses 95 % costs 3 nats. The new
# rows should rather begin like a row that is nothing special: the mean of all old rows.
# Its logit is the mean of the old logits. That costs little, and training soon takes it
# back. Libraries that add tokens to large models do the same.
assert loss_with["zeros"] > before_loss + 1
assert loss_with["the mean row"] < before_loss + 0.1


# %%
# The loss on the completion.
#
# The model reads the prompt and then the completion, each token at its place, as ever.
# But only for the tokens of the completion is it asked: their surprises are the loss,
# and the prompt's letters are none of its business. The first prediction that counts is
# made at the last token of the prompt, since that is where the completion begins.
#
# (This is called *loss masking*, because large programs compute all surprises at once
# and then multiply those of the prompt by 0. Here we just do not add them up. With
# count_prompt=True we do, to see later what that changes.)
def instruction_loss(params, prompt, completion, count_prompt=False):
    """Return the mean surprise over the completion, or over prompt and completion."""
    tokens = [*prompt, *completion]
    keys, values = empty_cache(config)
    losses = []
    for pos_id, token_id in enumerate(tokens[:-1]):
        logits = gpt(params, config, token_id, pos_id, keys, values)
        target_place = pos_id + 1
        if target_place >= len(prompt) or count_prompt:
            losses.append(cross_entropy(logits, tokens[target_place]))
    return total(losses) / len(losses)


# %%
# Training is the loop of the course: one example a step, 200 steps, Adam, and a
# learning rate that falls evenly. How high should it begin? That was tried beforehand,
# on prompts made of the validation beginnings and with five other seeds. Here are the
# figures. (The number of steps is what the time allows.)
TRIED = {0.02: (92, 46, 77), 0.03: (99, 56, 84), 0.04: (98, 28, 81)}
print("3. Learning rates (quoted: of 100 validation prompts, how many are obeyed?)")
print()
print("learning rate   short   long   ends in 'n'")
for learning_rate, shares in TRIED.items():
    print(f"{learning_rate:13}   {shares[0]:5}   {shares[1]:4}   {shares[2]:11}")
LEARNING_RATE = max(TRIED, key=lambda rate: sum(TRIED[rate]))
print(f"chosen, by the sum of the three: {LEARNING_RATE}")
print()
N_STEPS = 200
progress = Progress("steps", total=2500, every=500, stream=sys.stderr)
n_done = 0


def taught(params, seed, n_steps=N_STEPS, count_prompt=False):
    """Teach one example a step; return the new weights as floats."""
    global n_done
    optimizer = Adam(flatten(params))
    for step, (prompt, completion) in enumerate(examples(n_steps, seed)):
        with collector_paused():
            loss = instruction_loss(params, prompt, completion, count_prompt)
            loss.backward()
            del loss
        optimizer.step(LEARNING_RATE * (1 - step / n_steps))
        n_done += 1
        progress.show(n_done)
    return as_floats(params)


def answer(params, prompt, rng):
    """Return the name that the model makes of a prompt, or None if it finds no end.

    Letters are sampled at temperature 0.7. Only letters and EOS can be chosen: a wish
    is the user's to make.
    """
    keys, values = empty_cache(config)
    tokens = list(prompt)
    for pos_id in range(config.block_size):
        logits = gpt(params, config, tokens[pos_id], pos_id, keys, values)
        if pos_id + 1 < len(tokens):
            continue  # still reading the prompt
        probs = token_probabilities(logits[: TOKENIZER.vocab_size], temperature=0.7)
        [token_id] = rng.choices(range(TOKENIZER.vocab_size), weights=probs)
        if token_id == EOS:
            return TOKENIZER.decode(tokens[1:])  # all but the wish
        tokens.append(token_id)
    return None


def answers(params, wish, seed):
    """Ask twice for each test beginning; return the 80 names."""
    rng = random.Random(seed)
    prompts = [prompt_of(wish, two) for two in TEST_BEGINNINGS]
    return [answer(params, prompt, rng) for prompt in [*prompts, *prompts]]


def obeyed(wish, names):
    """Return, for each name, 100 if it is finished and what was wished for, or 0."""
    found = []
    for name in names:
        found.append(100 if name is not None and is_obeyed(wish, name) else 0)
    return found


untaught = {seed: as_floats(with_wishes(seed, mean_row)) for seed in SEEDS}
completion_only = {}
prompt_too = {}
for seed in SEEDS:
    completion_only[seed] = taught(with_wishes(seed, mean_row), seed)
    prompt_too[seed] = taught(with_wishes(seed, mean_row), seed, count_prompt=True)
progress.finish()

# %%
# What does it write? The same three wishes, before and after.
print("4. What it writes, for the same beginnings")
print()
for title, params in [("before", untaught[0]), ("after", completion_only[0])]:
    print(title)
    for wish in WISHES:
        rng = random.Random(3)
        written = []
        for two in TEST_BEGINNINGS[:6]:
            written.append(answer(params, prompt_of(wish, two), rng) or "(no end)")
        print(f"  {SPELT[wish]:<6} {', '.join(written)}")
print()

# %%
# And how often does it obey? For each wish there are 40 beginnings that it was never
# taught on, each is asked twice, and there are five seeds: 400 answers. The error holds
# both kinds of chance, as in chapter 28.
print("5. Of 100 prompts never seen, how many are obeyed?")
print()
print("wish                       before         after     prompt counted too")
share_of = {}
rows_of = {}
written_by = {}
for wish, meaning in WISHES.items():
    cells = []
    for way, models in [
        ("before", untaught),
        ("after", completion_only),
        ("prompt too", prompt_too),
    ]:
        written_by[way, wish] = [answers(models[seed], wish, seed) for seed in SEEDS]
        rows_of[way, wish] = [obeyed(wish, names) for names in written_by[way, wish]]
        share, error = with_both_errors(rows_of[way, wish])
        share_of[way, wish] = share
        cells.append(f"{share:.0f} ± {error:.0f}")
    print(f"{meaning:<26} {cells[0]:<12} {cells[1]:<12} {cells[2]}")
print()
for wish in WISHES:
    gained = difference(rows_of["after", wish], rows_of["before", wish])
    assert gained[0] > 2 * gained[1]
print("'long', after, by seed:", end=" ")
print(", ".join([f"{mean(row):.0f}" for row in rows_of["after", LONG]]))
print()
print("prompt counted too, less completion only")
for wish, meaning in WISHES.items():
    found = difference(rows_of["prompt too", wish], rows_of["after", wish])
    print(f"{meaning:<26} {found[0]:+4.0f} ± {found[1]:.0f}   {verdict(found)}")


def all_wishes(way):
    """Return the rows of all three wishes as one: [seed][240 answers]."""
    parts = [rows_of[way, wish] for wish in WISHES]
    return [[*short, *long, *ends] for short, long, ends in zip(*parts)]


prompt_harm = difference(all_wishes("prompt too"), all_wishes("after"))
print(
    f"{'all three together':<26} {prompt_harm[0]:+4.0f} ± {prompt_harm[1]:.0f}   "
    f"{verdict(prompt_harm)}"
)
print()


def prompt_surprise(models, first_tokens):
    """Return rows[seed][prompt]: the mean surprise at the two letters of a prompt.

    Here the two letters are what is asked for, and only the first token, such as a
    wish, is given.
    """
    rows = []
    for seed in SEEDS:
        row = []
        for first in first_tokens:
            for two in TEST_BEGINNINGS:
                letters = TOKENIZER.encode(two)
                row.append(instruction_loss(models[seed], [first], letters))
        rows.append(row)
    return rows


surprise_rows = {
    "before, after BOS": prompt_surprise(untaught, [EOS]),
    "before, after a wish": prompt_surprise(untaught, WISHES),
    "completion only": prompt_surprise(completion_only, WISHES),
    "prompt counted too": prompt_surprise(prompt_too, WISHES),
}
first_two = mean([mean(nats_of(name)[:2]) for name in MEASURED_NAMES])
print("surprise at the letters of the prompts themselves (nats)")
print(f"{'(before, in plain names)':<26} {first_two:.2f}")
for what, rows in surprise_rows.items():
    surprise, error = with_both_errors(rows)
    print(f"{what:<26} {surprise:.2f} ± {error:.2f}")
print("prompt counted too, less")
for what in ["completion only", "before, after a wish"]:
    found = difference(surprise_rows["prompt counted too"], surprise_rows[what])
    print(f"  {what:<24} {found[0]:+.2f} ± {found[1]:.2f}   {verdict(found)}")
print()
print("answers that end with EOS, of 100")
for way in ["before", "after"]:
    all_names = []
    for wish in WISHES:
        for names_of_seed in written_by[way, wish]:
            all_names += names_of_seed
    n_ended = len([name for name in all_names if name is not None])
    print(f"{way:<26} {100 * n_ended / len(all_names):4.1f}")
print()

# How long are the names that it writes? One line for each wish, and one for all three
# before the teaching, when they meant nothing yet.


def shares_of_lengths(lists_of_names):
    """Return points (letters, how many of 100 finished names have that many)."""
    lengths = []
    for names in lists_of_names:
        lengths += [len(name) for name in names if name is not None]
    points = []
    for n_letters in range(2, 9):
        points.append((n_letters, 100 * lengths.count(n_letters) / len(lengths)))
    return points


before_lists = []
for wish in WISHES:
    before_lists += written_by["before", wish]
lines = [Line("before, any wish", shares_of_lengths(before_lists), "dashed")]
for wish in WISHES:
    points = shares_of_lengths(written_by["after", wish])
    lines.append(Line(f"after: {SPELT[wish]}", points))
svg = line_chart(
    lines,
    title="How long are the names that it writes?",
    x_label="letters in the name",
    y_label="of 100 finished answers",
)
save_picture("ch29_lengths.svg", svg)
print()


# %%
# What it forgot.
#
# Every weight of the model has moved, to serve three wishes. Is it still as good at
# what it could do before: at guessing the letters of a plain name, which begins with
# BOS? We ask for the same 200 held-out names, and subtract what each cost at the start.
# The first two letters are also shown by themselves: in our examples they belong to the
# prompt. (Each name counts the same here.)
nats_before = [old_skill_of(run.params, run.config)(name) for name in MEASURED_NAMES]
nats_after = {}
for way, models in [("after", completion_only), ("prompt too", prompt_too)]:
    for seed in SEEDS:
        nats_of = old_skill_of(models[seed], config)
        nats_after[way, seed] = [nats_of(name) for name in MEASURED_NAMES]


def nats_lost(way, first, end):
    """Return rows[seed][name]: how much dearer a letter of the name has become.

    Only the letters from place first on count, up to end, which is left out.
    """
    rows = []
    for seed in SEEDS:
        row = []
        for before, after in zip(nats_before, nats_after[way, seed]):
            lost = sum(after[first:end]) - sum(before[first:end])
            row.append(lost / len(before[first:end]))
        rows.append(row)
    return rows


print("6. What it forgot: how much more a letter of a plain name costs (nats)")
print()
print("                         completion only    prompt counted too")
PARTS = [
    ("all letters and the end", 0, 8),
    ("the first two letters", 0, 2),
    ("the rest", 2, 8),
]
lost = {}
for what, first, end in PARTS:
    cells = []
    for way in ["after", "prompt too"]:
        rows = nats_lost(way, first, end)
        lost[way, what] = with_both_errors(rows)
        cells.append(f"{lost[way, what][0]:+.3f} ± {lost[way, what][1]:.3f}")
    print(f"{what:<24} {cells[0]:<18} {cells[1]}")
less_forgotten = difference(nats_lost("prompt too", 0, 8), nats_lost("after", 0, 8))
print(
    f"prompt counted too, less completion only: {less_forgotten[0]:+.3f} ± "
    f"{less_forgotten[1]:.3f}   {verdict(less_forgotten)}"
)
print()
forgotten, forgotten_error = lost["after", "all letters and the end"]
assert forgotten > 2 * forgotten_error


# %%
# Did it need the old skill?
#
# The model had learnt from 6,000 names before. Was that of any use for the wishes, or
# would the examples have been enough to learn all this from nothing? Obeying is only
# half of the answer: "hxn" ends in "n" as well. So we also take real names that were
# never trained on, which begin with the test beginnings and end in our letter, and ask
# how surprising the model finds their completions, given the prompt.
#
# First, the model beside a table of letter pairs. The table is told the wish as well:
# it counts the ENDS examples alone. Its `extra` is chosen with the validation
# beginnings.
def completion_nats(params, names):
    """Return, for each name, the mean surprise at a token of its completion (ENDS)."""
    found = []
    for name in names:
        prompt, completion = prompt_of(ENDS, name[:2]), completion_of(name)
        found.append(instruction_loss(params, prompt, completion))
    return found


def table_nats(seed, names, extra):
    """Return the same for a table of letter pairs, counted on the ENDS examples."""
    taught_names = []
    for prompt, completion in examples(N_STEPS, seed):
        if prompt[0] == ENDS:
            taught_names.append(TOKENIZER.decode([*prompt[1:], *completion]))
    letter_pairs = LetterTable(taught_names, n_back=1, extra=extra)
    found = []
    for name in names:
        nats = letter_pairs.nats(name)[2:]
        found.append(sum(nats) / len(nats))
    return found


def names_to_ask(beginnings):
    """Return 100 held-out names with these beginnings that end in our letter."""
    found = []
    for name in ALL_HELD_OUT_NAMES:
        if name[:2] in beginnings and 3 <= len(name) <= 7 and is_obeyed(ENDS, name):
            found.append(name)
    return found[:100]


def validation_nats(extra):
    """Return the table's mean surprise at names with the validation beginnings."""
    names = names_to_ask(VALIDATION_BEGINNINGS)
    return mean([mean(table_nats(seed, names, extra)) for seed in [5, 6, 7, 8, 9]])


best_extra = min([0.1, 0.3, 1.0], key=validation_nats)
asked_names = names_to_ask(TEST_BEGINNINGS)
print(
    f"7. Surprise at the completions of {len(asked_names)} held-out names in", end=" "
)
print(f"{LAST_LETTER!r} (nats a token)")
print()


def nats_rows(models):
    """Return rows[seed][name]: the surprise of each seed's model at each completion."""
    return [completion_nats(models[seed], asked_names) for seed in SEEDS]


rows_before = nats_rows(untaught)
rows_after = nats_rows(completion_only)
rows_table = [table_nats(seed, asked_names, best_extra) for seed in SEEDS]
for what, rows in [
    ("the model before", rows_before),
    ("the model after", rows_after),
    (f"letter pairs, extra {best_extra}", rows_table),
]:
    loss, error = with_both_errors(rows)
    print(f"{what:<26} {loss:.3f} ± {error:.3f}")
worth = difference(rows_table, rows_after)
print(f"letter pairs, less after   {worth[0]:+.3f} ± {worth[1]:.3f}")
learnt = difference(rows_before, rows_after)
print(f"before, less after         {learnt[0]:+.3f} ± {learnt[1]:.3f}")
print()

# %%
# Second, the model beside a GPT that begins with random weights and is taught the same
# examples. We do that with 50 examples. With 200 it takes ten seconds more, so those
# figures are quoted. They were measured in the same way, with the same five seeds.
tuned_by_50 = {}
scratch_by_50 = {}
for seed in SEEDS:
    tuned_by_50[seed] = taught(with_wishes(seed, mean_row), seed, n_steps=50)
    random_weights = init_params(config, random.Random(seed))
    scratch_by_50[seed] = taught(random_weights, seed, n_steps=50)
progress.finish()

print("8. Tuned, and from scratch")
print()
print("50 examples                 tuned        from scratch   difference")
found_at_50 = {}
for wish, meaning in WISHES.items():
    rows_of_way = {}
    cells = []
    for way, models in [("tuned", tuned_by_50), ("scratch", scratch_by_50)]:
        rows = [obeyed(wish, answers(models[seed], wish, seed)) for seed in SEEDS]
        rows_of_way[way] = rows
        share, error = with_both_errors(rows)
        cells.append(f"{share:.0f} ± {error:.0f}")
    found = difference(rows_of_way["tuned"], rows_of_way["scratch"])
    found_at_50[wish] = found
    print(
        f"{meaning:<27} {cells[0]:<12} {cells[1]:<14} "
        f"{found[0]:+.0f} ± {found[1]:.0f}   {verdict(found)}"
    )
rows_tuned, rows_scratch = nats_rows(tuned_by_50), nats_rows(scratch_by_50)
cells = []
for rows in [rows_tuned, rows_scratch]:
    loss, error = with_both_errors(rows)
    cells.append(f"{loss:.2f} ± {error:.2f}")
nats_at_50 = difference(rows_tuned, rows_scratch)
print(
    f"{'surprise (nats a token)':<27} {cells[0]:<12} {cells[1]:<14} "
    f"{nats_at_50[0]:+.2f} ± {nats_at_50[1]:.2f}   {verdict(nats_at_50)}"
)
print()
print("200 examples, from scratch (quoted; tuned: sections 5 and 7)")
print("obeyed: short, long, ends in 'n'      97 ± 1, 65 ± 8, 76 ± 5")
print("surprise at the same completions      1.977 ± 0.040")
print()

# %%
# With 200 examples the honest answer is: no. The tuned model is less surprised at real
# completions than the table, and less than it was before it had been told how the name
# will end. But a GPT that began with random weights obeys about as often, within the
# errors, and is no more surprised. (It even had to take the learning rate that was
# chosen for the other.) When to stop, and on which letter, are simple things, and the
# names of the 200 examples are enough to learn the rest from.
#
# With 50 examples the answer is: it depends on the wish. For "ends in 'n'" the old
# skill helps. The name has to be led to an "n" by way of letters that go together, and
# the model that knows names is obeyed more often there, and is less surprised at the
# real completions. For "short" the old skill is in the way: the old model has a firm
# opinion of where names end, and 50 examples do not quite overcome it, while a model
# without any opinion has nothing to unlearn. (That is how we read it. What is measured
# are only the differences.)
#
# So beware of a tempting conclusion. That a tuned model obeys does not show that its
# first training was needed for it: only the comparison with a model that never had it
# can show that, and it comes out differently with the number of examples. With more of
# them the head start is worth less and less.
assert verdict(found_at_50[ENDS]) == "higher"
assert verdict(found_at_50[SHORT]) == "lower"
assert verdict(nats_at_50) == "lower"
assert worth[0] > 2 * worth[1]
assert learnt[0] > 2 * learnt[1]

# %%
# What to take from all this.
#
# Obedience came out of 200 examples, a thirtieth of what the model had learnt from
# before. "Short" is obeyed nearly always, "ends in 'n'" about three times in four, and
# "long" two times in three, though that depends on the seed: 55 of 100 with one, 76
# with another. Why is "long" so much harder than "short"? To be short, the model has to
# say EOS once. To be long, it must not say it after the second letter, nor after the
# third, and so on to the sixth, most of which used to be good places for an end. If it
# slips once, the wish is lost. The picture shows it: most of what fails to be long has
# 4 to 6 letters. It shows as well that "ends in 'n'" has made the names shorter than
# they were, which nobody had asked for. More examples help: exercise 1.
#
# Not every wish can be learnt like this. If the prompt says with *which* letter the
# name shall end, any of the 26, then 22 of 100 prompts were obeyed after 1,500 examples
# (this was tried once with a model like ours, and is not computed here). Such a wish
# needs the model to carry a letter from the prompt to the end of the name, and to
# compare with it. "Ends in 'n'" asks for one letter that is always the same. With large
# models the difference is greater still. What they are asked for, a summary or a
# program, could never be learnt from a few thousand examples alone. Instruction tuning
# brings out what such a model can do already, and adds little to it.
#
# Does it matter that the prompt is left out of the loss? It does: with the prompt
# counted the model obeys less often, 7 of 100 fewer over all three wishes. (Of the
# single wishes only "short" shows it by more than two standard errors.) Part of each
# step is spent on the letters of the prompts, which the user will write anyway. Section
# 5 shows that they cost less when they are counted than when they are not. It shows as
# well how bad all three models are at them: a blind guess among 30 tokens costs 3.40.
# Why so bad? The first lines keep two reasons apart. The beginnings of our prompts are
# dearer than those of plain names even after BOS, to which the old model is used: we
# ask for each beginning equally often, the rare ones too. And the wish seems to make
# them dearer still, since its random embedding stands where the model had always seen
# BOS.
#
# So when prompts are counted, the model learns to be the user, a little. Is there
# nothing to be said for it? There is: section 6 shows less forgetting, since the first
# letters of names went on being practised. Here a prompt is two letters, and the answer
# about three more. Where prompts are pages long and the answers are a line, most of the
# loss would be about guessing what somebody else will ask. So prompts are left out, as
# a rule.
#
# And the old skill has paid for it all. A letter of a plain name costs about half a
# nat more than before. Nothing in the 200 examples asked the model to keep it: none of
# them begins with BOS, or does without a wish. This is called *catastrophic
# forgetting*. The usual remedies are to mix old examples among the new ones (exercise
# 2), and to let fewer weights move, which is the next chapter.
assert verdict(prompt_harm) == "lower"
assert 0.4 < forgotten < 0.6

# What production does. The same, with more of everything: from thousands to millions of
# examples, written by people or by other models; a fixed format with special tokens for
# "the user speaks" and "the assistant speaks", often called a *chat template*; the loss
# on the answers only; old texts mixed in. At the end of an answer stands a token that
# means just that, so that the program knows when to stop. And whoever uses a template
# that differs in one token from the one trained with gets worse answers, and no error.
#
# What is still missing. To teach three wishes we moved all 4,176 weights, and would
# have to keep as many for every further set of wishes. Is that needed? The next chapter
# freezes the model and adds a little.
#
# Exercises. Hints and solutions are in ch29_solution.py.
# 1. Teach with 800 examples in place of 200, one seed. Is "long" obeyed more often?
# 2. Put a plain name in the old format, BOS at both ends, after each example. How much
#    of the old skill is forgotten then, and is the model as obedient?
# 3. Let the new rows of lm_head begin with zeros after all, and teach the same 200
#    examples. How much of the damage of section 2 is left, and does the model obey?
