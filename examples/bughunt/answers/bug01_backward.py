"""The backward pass: how much does each number matter?"""

from microgpt.value import topological_order


def backward(root):
    """Set the grad of every node under root to d(root)/d(node).

    The chain rule: along a path from root down to a node the slopes multiply, and if
    several paths lead to it, what they bring adds up.
    """
    order = topological_order(root)  # each node after all of its inputs; no leaves
    for node in order:
        node.grad = 0.0
        for input in node.inputs:
            input.grad = 0.0
    root.grad = 1.0
    # From the result downwards: a node passes on what it got from those above it.
    for node in reversed(order):
        for input, local_grad in zip(node.inputs, node.local_grads):
            # Mended: += for =, which kept the last path's share and lost the others'.
            input.grad += local_grad * node.grad
