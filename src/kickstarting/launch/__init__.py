"""Where work runs: jobs that can be killed and go on, and sweeps of them."""
