"""Algorithm Distillation: a sequence model learns from whole learning histories, and then improves within its context.

Laskin et al. 2022, arXiv:2210.14215. In the order of the work: tasks, sources, collect, slices, model, training, evaluation. The
core never imports anything of this; of the teachers, the origin `ad:` loads what was trained here.
"""

KIND = "algorithm distillation"
"""What the config.json of a trained model says it is."""
