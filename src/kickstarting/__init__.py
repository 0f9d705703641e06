"""kickstarting: train a new reinforcement-learning agent fast by also listening to old ones (Schmitt et al. 2018)."""
