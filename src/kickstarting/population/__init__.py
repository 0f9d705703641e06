"""Population based training: what evolves, by which rules, and who descends from whom."""
