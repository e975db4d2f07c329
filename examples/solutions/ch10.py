"""Solutions to chapter 10, which runs first and prints its own lines before these."""

import os
import sys
from functools import partial

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ch10_adam as chapter

# 1. SGD steps a thousand times further, and is lost. Adam's m and the root of its v
#    both grow a thousandfold, so its steps stay what they were (but for eps). It does
#    not matter to Adam, then, whether the loss is a mean or a sum, in nats or in bits.


def loud(make, parameters):
    """Return an optimiser that steps along 1,000 times the gradients."""
    optimizer = make(parameters)
    plain_step = optimizer.step

    def loud_step(lr):
        for parameter in parameters:
            parameter.grad *= 1000
        plain_step(lr)

    optimizer.step = loud_step
    return optimizer


for name in ("SGD", "Adam"):
    make, rates = chapter.CHOICES[name]
    for loudness, how in [("as is", make), ("loud", partial(loud, make))]:
        losses = chapter.run_with(how, rates[1], 30).losses
        print(f"{name}, {loudness}: {sum(losses[-20:]) / 20:.3f}")
# expect: SGD, as is: 2.940
# expect: SGD, loud: inf
# expect: Adam, as is: 2.952
# expect: Adam, loud: 2.952

# 2. Without correction m is (1 - beta1) * grad, and v is (1 - beta2) * grad ** 2. The
#    step, in learning rates, is (1 - beta1) / sqrt(1 - beta2), whatever the gradient:
#    too short with 0.95, and with 0.999, a v that forgets slowly, too long. RMSProp has
#    no correction and no m: 1 / sqrt(1 - beta2). Long first steps are its quick start.
for beta2 in (0.95, 0.999):
    print(f"beta2 {beta2}: {(1 - 0.9) / (1 - beta2) ** 0.5:.2f} learning rates")
weight = chapter.Value(0.0)
weight.grad = 3.0
chapter.Descent([weight], scaled=True).step(lr=1)
print(f"RMSProp: {-weight.data:.2f} learning rates")
# expect: beta2 0.95: 0.45 learning rates
# expect: beta2 0.999: 3.16 learning rates
# expect: RMSProp: 4.47 learning rates

# 3. No. Its first steps are short, as exercise 2 says, and short first steps are what
#    warm-up is for. After some twenty steps, v has filled up and both are the same.
both = partial(chapter.Descent, steady=True, scaled=True)
means = chapter.smooth(chapter.run_with(both, 0.03, 200).losses)
for step in (20, 200):
    corrected = chapter.curves["Adam"][step - 1]
    print(f"step {step}: {means[step - 1]:.3f}, corrected {corrected:.3f}")
    assert means[step - 1] < corrected + 0.005
# expect: step 20: 3.090, corrected 3.097
# expect: step 200: 2.639, corrected 2.638
