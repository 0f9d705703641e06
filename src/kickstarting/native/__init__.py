"""Loops in C++, and how they are called."""
