"""An expert for every task: how many frames do they save, and how much better does the student end? The student listens for a
short and for a long time; for comparison: one teacher of all tasks, and distillation alone. (Schmitt et al. 2018, table 3 and
figure 4.)"""

from kickstarting.reproduce.lab import Lab

BASELINE = "scratch"


def sweep(lab: Lab) -> None:
    experts = lab.experts()
    lab.students("scratch")
    lab.students("experts", teachers=experts)
    lab.students("experts, over 60%", teachers=experts, schedule="linear:1:0:60%")
    lab.students("distillation of experts", teachers=experts, schedule="constant:1", policy_cost="0")
    lab.students("kickstarted", teachers=(lab.teacher(),))
