"""Run directories: their files, checkpoints, metrics, and what a run says about its health."""
