"""Which learning rate, entropy cost, unroll length and minibatches suit a student from scratch, and which ones with experts? The
same cells for both and two more where each one's best pointed, on a seed that no other experiment uses."""

from kickstarting.learner import LearnerConfig
from kickstarting.reproduce.lab import Lab

CELLS = (("2e-3", "0.003", 20, 1), ("1e-3", "0.003", 20, 1), ("2e-3", "0.01", 20, 1), ("2e-3", "0.003", 10, 1))
"""Learning rate (falls linearly to a tenth), entropy cost, unroll length, minibatches."""
FURTHER = {
    "scratch": (("1e-3", "0.003", 40, 1), ("1e-3", "0.003", 20, 4)),
    "experts": (("2e-3", "0.003", 5, 1), ("2e-3", "0.003", 20, 4)),
}
SEED = 100
BASELINE = "scratch, lr 2e-3, entropy 0.003, T 20"


def sweep(lab: Lab) -> None:
    for arm, teachers in (("scratch", ()), ("experts", lab.experts())):
        for rate, entropy, unroll, minibatches in (*CELLS, *FURTHER[arm]):
            lab.student(
                f"{arm}, lr {rate}, entropy {entropy}, T {unroll}" + (f", {minibatches} minibatches" if minibatches > 1 else ""),
                SEED,
                teachers=teachers,
                learning_rate=f"linear:{rate}:{float(rate) / 10:g}:100%",
                entropy_cost=entropy,
                unroll_length=unroll,
                learner=LearnerConfig(minibatches=minibatches),
            )
