"""For building PufferLib 3.0 without its games and for the CPU: its setup.py then reads a name that it defines only with games, and
takes an installed CUDA compiler for a torch that has CUDA."""

import builtins
import shutil

_which = shutil.which
builtins.c_extension_paths = []  # pyright: ignore[reportAttributeAccessIssue]
shutil.which = lambda cmd, *args, **kwargs: None if cmd == "nvcc" else _which(cmd, *args, **kwargs)
