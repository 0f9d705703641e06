"""The mathematics: pure functions of tensors. No environment, no I/O, no configuration."""
