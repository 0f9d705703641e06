"""Lets PufferLib 3.0 be built without its games: its setup.py then reads a name that it defines only with them."""

import builtins

builtins.c_extension_paths = []  # pyright: ignore[reportAttributeAccessIssue]
