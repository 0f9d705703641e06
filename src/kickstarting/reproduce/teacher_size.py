"""Does a larger teacher teach better, alone and as a team of experts? (Schmitt et al. 2018, figure 4.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    lab.students("scratch")
    for size in ("small", "large"):
        lab.students(f"one {size} teacher" if size != "small" else "kickstarted", teachers=(lab.teacher(size),))
        lab.students(f"{size} experts" if size != "small" else "experts", teachers=lab.experts(network=size))
