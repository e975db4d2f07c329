"""Solutions to chapter 6, which runs first and prints its own lines before these."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch06_mlp as chapter


def loss_of(params):
    """Return the mean surprise of a model on the held-out names."""
    return chapter.held_out_loss(
        lambda seen, b: chapter.cross_entropy(chapter.mlp(params, seen), b).data
    )


# 1. Each long step undoes part of what earlier names taught, to please the latest one.
#    The model ends up wherever the last few names have thrown it, and that is worse
#    than the table of letter pairs. Short steps at the end average over many names.
constant = loss_of(chapter.train(falling=False))
print(f"rate 1 to the end: {constant:.3f}, falling to 0: {chapter.loss:.3f}")
# expect: rate 1 to the end: 2.912, falling to 0: 2.574
assert constant > 2.630 > chapter.loss

# 2. Two more letters are 2 * 8 more inputs for each of the 32 hidden neurons. A table
#    would need 729 times as many rows. It helps: names are short, and five letters are
#    most of one.
wide = chapter.train(n_back=5)
more = len(chapter.flatten(wide)) - len(chapter.flatten(chapter.params))
print(f"five letters: {loss_of(wide):.3f}, with {more} more parameters")
# expect: five letters: 2.524, with 512 more parameters
assert more == 2 * 8 * 32

# 3. linear takes a row for each output, so wte has to be turned on its side. Of the 27
#    products in each sum, 26 are 0: to look the row up is the same without the work.
token = 5
one_hot = [chapter.Value(float(i == token)) for i in range(27)]
columns = [list(column) for column in zip(*chapter.params["wte"])]
product = chapter.linear(one_hot, columns)
row = chapter.params["wte"][token]
print("equal:", [p.data for p in product] == [x.data for x in row])
# expect: equal: True
