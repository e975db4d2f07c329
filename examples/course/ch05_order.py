"""Chapter 5. Order: when may a node pass its gradient on?

In chapter 4 we saw that a node's grad stands for everything between the node and the
result, so that all the paths between them are taken care of in a single number. That
holds on one condition: before a node passes its grad on, all the nodes that use it must
have passed on theirs. A node cannot know that by itself. The order in which
`backward()` visits the nodes has to see to it.

In this chapter we find such an order. The field's name for it is *topological order*.
We watch three famous mistakes give wrong numbers on a graph of four nodes: to pass a
grad on too early, to write = in place of +=, and to call `backward()` twice without
clearing. Whoever writes an engine makes each of them once, so it is good to know their
symptoms.

Before you run it: `python examples/learn.py 5` asks you for a few guesses first. If you
go without it, take b = a ** 2, c = b ** 3 and d = b + c at a = 1, work out the slope of
d with respect to a on paper, and write down what it becomes if every node passes on
what it has as soon as anything arrives.

Source: Tarjan, "Depth-first search and linear graph algorithms", 1972, for the way in
which we go through the graph.
"""

# %%
import time

from common import list_inputs_first, save_picture

from microgpt.tools.draw import graph_svg
from microgpt.value import Value, topological_order


# The graph of this chapter has four nodes. b is used twice: in c, and again in d.
def four_nodes():
    """Return fresh nodes a, b, c, d, with no grads left in them from before."""
    a = Value(1.0, label="a")
    b = a**2
    c = b**3
    d = b + c
    b.label, c.label, d.label = "b", "c", "d"
    return a, b, c, d


a, b, c, d = four_nodes()
print("The graph, at a = 1, with the slopes of its steps")
print(f"  b = a ** 2   slope {b.local_grads[0]:g} with respect to a")
print(f"  c = b ** 3   slope {c.local_grads[0]:g} with respect to b")
print(f"  d = b + c    slope {d.local_grads[0]:g} with respect to b, and 1 to c")

# What must come out? b reaches d on two paths: directly, with slope 1, and through c,
# with slope 3 * 1. So b's grad is 1 + 3 = 4, and a's is 2 * 4 = 8. School calculus says
# the same: d is a ** 2 + a ** 6, whose slope is 2 * a + 6 * a ** 5, which is 8.
right_answer = 2 * a.data + 6 * a.data**5
print(f"  the slope of d with respect to a, on paper: {right_answer:g}")

# %%
# The first famous mistake: to pass on too early. It is the most obvious way to write
# it. A node gives each input its share, and then each input does the same, at once.
print("\nMistake 1: pass on at once")


def pass_on_at_once(node):
    """Give the inputs their share of node's grad; then let each do the same. Wrong!"""
    for input, local_grad in zip(node.inputs, node.local_grads):
        share = local_grad * node.grad
        input.grad += share
        print(
            f"  {node.label} gives {share:g} to {input.label}, "
            f"which then has {input.grad:g}"
        )
        pass_on_at_once(input)


a, b, c, d = four_nodes()
d.grad = 1.0
pass_on_at_once(d)
grad_at_once = a.grad
print(f"  a.grad is {grad_at_once:g}, and should be {right_answer:g}")
assert grad_at_once == 10.0

# Follow it. d gives b its 1, and b passes it on at once: a gets 2. So far so good. Then
# c gives b another 3. Now b has 4, and passes on all of it: a gets 8 more. But 1 of
# these 4 had been passed on before, so it is counted twice, and 10 comes out instead of
# 8.
#
# Could we forbid a node to have a second turn? Then b passes on its first 1 only, and
# the 3 that arrives later is stuck in b. a would get 2. Here is the same function with
# that ban.


def pass_on_only_once(node, had_their_turn):
    """Do the same, but let no node have a second turn. Wrong too!"""
    had_their_turn.append(node)
    for input, local_grad in zip(node.inputs, node.local_grads):
        share = local_grad * node.grad
        input.grad += share
        if input not in had_their_turn:
            pass_on_only_once(input, had_their_turn)


a, b, c, d = four_nodes()
d.grad = 1.0
pass_on_only_once(d, had_their_turn=[])
print(f"  if every node may pass on once, as soon as it is reached: {a.grad:g}")
assert a.grad == 2.0

# %%
# Neither is right, because b acts before c has. What we need is a list of the nodes in
# which every node comes after all nodes that use it. It is easier to make a list the
# other way round, every node after its *inputs*. Such a list is called a topological
# order. Then we go through it backwards.
#
# Chapter 3 had a function for it, list_inputs_first(node, order), and common.py keeps a
# copy. If the node is in the list already, it does nothing. Otherwise it first calls
# itself for each input of the node, and then appends the node.
a, b, c, d = four_nodes()
order = []
list_inputs_first(d, order)
print("\nA topological order, inputs first")
print("  " + ", ".join([node.label for node in order]))
assert order == [a, b, c, d]

# Why is it right? Take any node, say b, and any node that uses it, say c. Before c is
# appended, the function has been called for all inputs of c, so b is in the list by
# then. So b stands before c. This holds for every use of every node. Read backwards,
# each node's users all come before the node: when its turn comes, its grad is complete.


def backward(root):
    """Fill in the grads of root's graph, which must all be 0, and show each visit."""
    order = []
    list_inputs_first(root, order)
    root.grad = 1.0
    for turn, node in enumerate(reversed(order), start=1):
        print(f"  {turn}. {node.label}: grad {node.grad:g}, complete")
        for input, local_grad in zip(node.inputs, node.local_grads):
            share = local_grad * node.grad
            input.grad += share
            print(
                f"     gives {share:g} to {input.label}, which then has {input.grad:g}"
            )


print("\nBackward in this order")
backward(d)
print(f"  a.grad is {a.grad:g}")
assert a.grad == right_answer

# The picture shows the same graph. The result is the lowest box, and the numbers in the
# circles are the turns: backward() begins at the bottom. Only a has no number, although
# our list gave it a fourth turn. In that turn nothing happened, since a leaf has no
# inputs to pass anything on to. So the package's topological_order leaves leaves out.
b.label, c.label, d.label = "b = a ** 2", "c = b ** 3", "d = b + c"
save_picture("ch05_order.svg", graph_svg(d, numbered=True))
assert topological_order(d) == [b, c, d]


# Now you. Here is a graph that is harder to see through, for
# y = (p * q + p) ** 2 * q + (q - p) ** 3, with a name for every step. Two lists of
# turns are printed for it, beginning with y, and in one of them a node has its turn too
# early. Which one is it? Check with a finger, in the picture: of two blue boxes with an
# arrow between them, the one that the arrow points to must have its turn first.
def larger_graph():
    """Return the leaves p and q, and the result y, of a graph of nine nodes."""
    p = Value(1.0, label="p")
    q = Value(2.0, label="q")
    r = p * q
    s = r + p
    t = s**2
    u = t * q
    v = q - p
    w = v**3
    y = u + w
    r.label, s.label, t.label = "r = p * q", "s = r + p", "t = s ** 2"
    u.label, v.label, w.label = "u = t * q", "v = q - p", "w = v ** 3"
    y.label = "y = u + w"
    return p, q, y


p, q, larger = larger_graph()
larger.backward()
save_picture("ch05_order_larger.svg", graph_svg(larger))

print("\nTwo lists of turns for the larger graph, and the grads that they lead to")
for turns in ["y w v u t s r", "y w u v s t r"]:
    p, q, y = larger_graph()
    nodes = {node.label[0]: node for node in topological_order(y)}
    y.grad = 1.0
    for letter in turns.split():
        node = nodes[letter]
        for input, local_grad in zip(node.inputs, node.local_grads):
            input.grad += local_grad * node.grad
    print(f"  {turns}   p.grad {p.grad:2g}, q.grad {q.grad:2g}")
assert (p.grad, q.grad) == (-3.0, 12.0)  # from the second list, the wrong one

# The second list is wrong: s has its turn before t, which uses it. At that moment s has
# nothing to pass on yet, so all that should have gone through s to p and q is lost. The
# first list is right, and its grads are those in the picture.

# %%
# The second famous mistake: = in place of +=. The order is right, but each share that
# arrives overwrites what was there.
a, b, c, d = four_nodes()
d.grad = 1.0
print("\nMistake 2: = in place of +=")
for node in reversed(topological_order(d)):
    for input, local_grad in zip(node.inputs, node.local_grads):
        input.grad = local_grad * node.grad
        print(f"  {node.label} gives {input.grad:g} to {input.label}")
grad_with_equals = a.grad
print(f"  a.grad is {grad_with_equals:g}, and should be {right_answer:g}")
assert grad_with_equals == 6.0

# d had given b its 1, and then c overwrote it with 3. It is a treacherous mistake: in a
# graph where no node is used twice, everything comes out right.

# %%
# The third: to call backward() a second time and not to clear the grads. We write it
# out without any clearing, and run it twice on the same graph.
print("\nMistake 3: twice, and nothing cleared")
a, b, c, d = four_nodes()
for call in [1, 2]:
    d.grad = 1.0
    for node in reversed(topological_order(d)):
        for input, local_grad in zip(node.inputs, node.local_grads):
            input.grad += local_grad * node.grad
    print(f"  after call {call}: b.grad {b.grad:g}, a.grad {a.grad:g}")
grad_after_two = a.grad
assert grad_after_two == 30.0

# In the second call, b starts with the 4 that it still has, and c with its 1. What they
# held before is passed on again, on top of the new shares. d gives 1 to b, and 1 to c,
# which then has 2 and gives 3 * 2 to b. So b has 4 + 1 + 6 = 11, and gives 2 * 11 to a,
# which has its 8 already. a ends at 30, far more than twice 8.
#
# What does the package's backward() do? It sets the grads of all computed nodes to 0
# first, for what they hold is of no use to anyone. But it leaves the leaves alone, and
# so a leaf adds up what it gets from one call after another.
a, b, c, d = four_nodes()
print("\nThe package: computed nodes start at 0 again, leaves add up")
for call in [1, 2]:
    d.backward()
    print(f"  after call {call}: b.grad {b.grad:g}, a.grad {a.grad:g}")
package_after_two = a.grad
assert package_after_two == 2 * right_answer

# Why should leaves add up? Because the leaves are a model's parameters, and a step
# often learns from several names at once. The slope of a sum of losses is the sum of
# their slopes, so each loss can go backward on its own, and the parameters collect the
# sum.
w_together = Value(3.0)
(w_together * 2 + w_together**2).backward()
w_one_by_one = Value(3.0)
(w_one_by_one * 2).backward()
(w_one_by_one**2).backward()
print("\nThe slope of two losses, w * 2 and w ** 2, at w = 3")
print(f"  backward from their sum:           {w_together.grad:g}")
print(f"  backward from one, then the other: {w_one_by_one.grad:g}")
assert w_together.grad == w_one_by_one.grad == 8.0

# But it means that whoever takes a step must clear the parameters' grads afterwards. If
# you forget it, each step also repeats all the steps before. Here is what becomes of
# the simplest descent there is, down the curve w ** 2, whose lowest point is at 0.
print("\nSteps down the curve w ** 2, from w = 1")
print("         w, if grad is cleared     w, if grad is")
print("steps         after each step     never cleared")
w_cleared = Value(1.0)
w_never = Value(1.0)
for step in range(1, 21):
    for w in [w_cleared, w_never]:
        loss = w**2
        loss.backward()
        w.data -= 0.1 * w.grad
    w_cleared.grad = 0.0
    if step % 2 == 0:
        print(f"{step:5} {w_cleared.data:23.3f} {w_never.data:17.3f}")
assert abs(w_cleared.data) < 0.02 < 0.1 < abs(w_never.data)

# Cleared, w comes closer to 0 with each step. Without clearing it does not come to
# rest: it swings through the lowest point to -1, back to 1, and on and on, like a ball
# that nothing slows down.

# %%
# One more thing before an engine can be trusted with a large graph. list_inputs_first
# calls itself once for every step from the result towards the leaves, and Python allows
# calls only about a thousand deep.
deep = Value(1.0)
for _ in range(10_000):
    deep = deep + 1
print("\nA chain of 10,000 sums")
try:
    list_inputs_first(deep, [])
    depth_problem = "none"
except RecursionError:
    depth_problem = "RecursionError: too many calls inside one another"
print(f"  list_inputs_first: {depth_problem}")
assert depth_problem != "none"

# There is a second weakness: `node in order` searches the whole list, every time. A set
# finds a member at once, so beside the list we shall keep a set of the same nodes.
# (Below we measure how much that saves.)
#
# And the calls? When a function calls itself, Python remembers for us what is left to
# do after the call. We can remember that ourselves, in a list of notes, `to_do`. There
# are two kinds of notes: "look at this node" and "list this node". We always take the
# note that was written last.
# - "Look at it": if the node is listed already, there is nothing to do. Otherwise write
#   a note to list it, and after that a note for each input, to look at it. These are
#   later in the list, so they are all done before the node's own turn to be listed.
# - "List it": all its inputs are listed by now, so append it.


def order_without_calls(root, show=False):
    """Return the nodes of root's graph, each after its inputs, however deep it is."""
    order = []
    listed = set()  # the same nodes as in order
    to_do = [("look at", root)]
    while to_do:
        what, node = to_do.pop()  # takes the last note away
        if what == "list":
            order.append(node)
            listed.add(node)
        elif node not in listed:
            to_do.append(("list", node))
            for input in node.inputs:
                to_do.append(("look at", input))
        if show:
            notes = ", ".join([f"{word} {noted.label}" for word, noted in to_do])
            print(f"  {what + ' ' + node.label:9}   {notes or 'none'}")
    return order


a, b, c, d = four_nodes()
print("\nThe four nodes, note by note")
print("  taken       notes that are left, the last one is next")
order = order_without_calls(d, show=True)
print("  listed:     " + ", ".join([node.label for node in order]))
assert order == [a, b, c, d]

# Follow b. It is used twice, by d and by c, so there are two notes to look at it. The
# one from c is taken first, and b is listed. When the one from d is taken, b is in the
# set, and nothing happens. So a node may be looked at as often as it is used, but it is
# listed once. Could there ever be two notes to list b? Only if b were looked at between
# its note "list b" and the moment when that is carried out. But the note that was
# written last is always taken first, so all older notes have to wait. In between, only
# b's inputs are looked at, and their inputs, and so on. b is not among them, since they
# all existed before it.
#
# Is the order right, for the long chain too? A function can tell us. (It asks nothing
# of leaves, so that it can also judge the package's order, which leaves them out.)


def is_in_order(order):
    """Say whether every node in the list stands after all of its computed inputs."""
    listed = set()
    for node in order:
        for input in node.inputs:
            if input.inputs and input not in listed:
                return False
        listed.add(node)
    return True


long_order = order_without_calls(deep)
package_order = topological_order(deep)
print("\nThe chain of 10,000 sums again")
print(f"  order_without_calls: {len(long_order):,} nodes, in order: ", end="")
print(is_in_order(long_order))
print(f"  topological_order:   {len(package_order):,} nodes, in order: ", end="")
print(is_in_order(package_order))
assert is_in_order(long_order)
assert is_in_order(package_order)
assert is_in_order(order_without_calls(larger))
assert is_in_order(topological_order(larger))
assert not is_in_order([d, c, b, a])

# The package lists the 10,000 sums. Ours lists the leaves as well: the number at the
# start of the chain, and the 1 in each sum.
#
# And what does the set save? The two functions, on chains that are short enough for
# both of them.


def milliseconds(list_the_nodes, root, repeats=7):
    """Return how long list_the_nodes(root) takes: the shortest of several times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        list_the_nodes(root)
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def order_by_calls(root):
    """Return what list_inputs_first lists."""
    order = []
    list_inputs_first(root, order)
    return order


print("\nMilliseconds to list a chain (on lines with ~, yours will differ)")
print("  sums   searching the list   with a set")
for n_sums in [100, 200, 400, 800]:
    chain = Value(1.0)
    for _ in range(n_sums):
        chain = chain + 1
    with_list = milliseconds(order_by_calls, chain)
    with_set = milliseconds(order_without_calls, chain)
    print(f"~{n_sums:5} {with_list:20.2f} {with_set:12.2f}")
assert with_list > 3 * with_set

# With a set, twice as many nodes take about twice as long. With the list they take
# about four times as long: there are twice as many searches, and each goes through
# twice as many nodes. (When the list is long, it can be even more.)
#
# The package's topological_order does the same in a slightly different way: instead of
# notes, it keeps the path that leads to the node where it is, and for each node on it
# the inputs that it has not looked at. You can read it now, in microgpt/value.py, right
# below the class.

# %%
# To see the visits one by one: `xray_graph(d)`, from examples/xray/xray.py, writes a
# page on which you step through backward() and watch the grads fill in.
#
# What production does. The same three things: an order in which every user comes first,
# += into every gradient, and leaves that add up. In PyTorch, every training loop has a
# line optimizer.zero_grad(), and forgetting it is a classic. (The *optimizer* is what
# takes the steps. In this package it clears the grads itself; chapter 15 builds it.)
#
# What is still missing. The engine is done: all slopes of any calculation, for a few
# times the price of the calculation. So far we calculated with single numbers. A model
# has thousands of them, and they come in rows and tables. How do we arrange them, so
# that a model can be written in a few lines? That is the next chapter.
#
# Exercises. Hints and solutions are in ch05_solution.py.
# 1. Write backward() without making an order first: count how often each node is used,
#    and let a node pass on when all its users have done so. (This is the method of
#    Kahn, "Topological sorting of large networks", 1962.)
# 2. A graph can have several topological orders. Find one of the larger graph above
#    that differs from the package's, and check with is_in_order that it is one. Do the
#    gradients depend on which one you take?
# 3. If every loss is divided by 3 before its backward(), and three of them go backward
#    one after another, of what is the gradient that collects in the leaves?
