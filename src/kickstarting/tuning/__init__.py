"""Recipes, and the search for them: `kickstart tune`."""
