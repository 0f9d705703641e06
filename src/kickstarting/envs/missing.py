"""What a library that cannot be loaded lacks, and which package has it."""

from __future__ import annotations

import re

DEBIAN = {
    "libQt5": "libqt5gui5",
    "libGL.so": "libgl1",
    "libEGL": "libegl1",
    "libOSMesa": "libosmesa6",
    "libopenal": "libopenal1",
    "libSDL2": "libsdl2-2.0-0",
    "libgomp": "libgomp1",
    "libboost": "libboost-all-dev",
}
"""Debian's packages of shared libraries, by how the libraries begin."""
PIP = {
    "vizdoom": "'kickstarting[vizdoom]'",
    "cv2": "opencv-python-headless",
    "ale_py": "ale-py",
    "minigrid": "minigrid",
}
"""Packages by the modules that they bring, where the two have other names or an extra has them."""


def with_remedy(error: BaseException) -> str:
    """The words of an error on one line, and behind them what to install if a module or a shared library is missing."""
    said = " ".join(str(error).split())
    texts = [said, *(str(cause) for cause in _causes(error))]
    found = re.search(r"(lib[\w+.-]+\.so[\w.]*): cannot open shared object", " ".join(texts))
    library = found.group(1) if found else next((name for name in DEBIAN if any(name in text for text in texts)), "")
    package = next((package for name, package in DEBIAN.items() if library.startswith(name)), "")
    if library:
        by_name = f"apt-file search {library} names the package" if not package else f"on Debian: apt-get install {package}"
        return f"{said}; the shared library {library} is missing, {by_name}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{said}; pip install {PIP.get(error.name.partition('.')[0], error.name.partition('.')[0])}"
    return said


def _causes(error: BaseException) -> list[BaseException]:
    found = []
    while (cause := error.__cause__ or error.__context__) is not None and cause not in found:
        found.append(cause)
        error = cause
    return found
