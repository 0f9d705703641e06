"""What does a tuning for this suite gain over the defaults, from scratch and with experts? Six cells per arm, the first of which is
the defaults, on a seed that no other experiment uses."""

from kickstarting.reproduce.lab import Lab

CELLS: dict[str, dict] = {
    "defaults": {},
    "lr 1.5e-3": {"learning_rate": "linear:1.5e-3:1.5e-4:100%"},
    "lr 6e-3": {"learning_rate": "linear:6e-3:6e-4:100%"},
    "entropy 0.003": {"entropy_cost": "0.003"},
    "entropy 0.03": {"entropy_cost": "0.03"},
    "T 64": {"unroll_length": 64},
}
SEED = 100
BASELINE = "scratch, defaults"


def sweep(lab: Lab) -> None:
    for arm, teachers in (("scratch", ()), ("experts", lab.experts())):
        for name, changes in CELLS.items():
            lab.student(f"{arm}, {name}", SEED, teachers=teachers, **changes)
