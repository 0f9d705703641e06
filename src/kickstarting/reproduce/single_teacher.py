"""Does a small old agent save a large new one frames, and does the new one pass it? (Schmitt et al. 2018, table 1 and figure 2.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    teacher = lab.teacher()
    lab.students("scratch")
    lab.students("kickstarted", teachers=(teacher,))
    lab.populations("kickstarted, PBT", teachers=(teacher,))
    lab.students("small from scratch", network="small")
