"""Which learning rate, entropy cost and unroll length suit a student from scratch, and which one with experts? The same cells
for both and one more where each one's best pointed, on a seed that no other experiment uses."""

from kickstarting.reproduce.lab import Lab

CELLS = (("2e-3", "0.003", 20), ("1e-3", "0.003", 20), ("2e-3", "0.01", 20), ("2e-3", "0.003", 10))
"""Learning rate (falls linearly to a tenth), entropy cost, unroll length."""
FURTHER = {"scratch": ("1e-3", "0.003", 40), "experts": ("2e-3", "0.003", 5)}
SEED = 100
BASELINE = "scratch, lr 2e-3, entropy 0.003, T 20"


def sweep(lab: Lab) -> None:
    for arm, teachers in (("scratch", ()), ("experts", lab.experts())):
        for rate, entropy, unroll in (*CELLS, FURTHER[arm]):
            lab.student(
                f"{arm}, lr {rate}, entropy {entropy}, T {unroll}",
                SEED,
                teachers=teachers,
                learning_rate=f"linear:{rate}:{float(rate) / 10:g}:100%",
                entropy_cost=entropy,
                unroll_length=unroll,
            )
