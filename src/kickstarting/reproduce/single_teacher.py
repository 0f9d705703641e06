"""Does a small old agent save frames for a large new one, and is it passed? (Schmitt et al. 2018, table 1 and figure 2.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    teacher = lab.teacher()
    lab.students("scratch")
    lab.students("kickstarted", teachers=(teacher,))
    lab.populations("kickstarted, PBT", teachers=(teacher,))
    lab.students("small from scratch", network="small")
