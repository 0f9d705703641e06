"""How a policy of Stable-Baselines3 was made: what its weights do not tell."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from typing import Any

from torch import nn

from kickstarting.teachers.origins.sb3_archive import Archive
from kickstarting.teachers.pickles import Refused
from kickstarting.trust import PICKLE, check_format

_PEERS = ("stable_baselines3.", "sb3_contrib.")
EXTRACTORS = tuple(
    f"stable_baselines3.common.torch_layers.{name}" for name in ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
)
DEFAULTS: Mapping[str, Any] = {
    "normalize_images": True,
    "batch_norm_eps": 1e-3,
    "share_features_extractor": True,
    "squash_output": False,
    "use_expln": False,
    "extractor": None,
}
RISK = "to read it runs whatever code whoever made it put there"


def policy_options(archive: Archive) -> dict[str, Any]:
    """DEFAULTS, with what the archive says, and its activation as a module's class.

    Raises ValueError for a features extractor of somebody's own unless pickles are trusted.
    """
    try:
        kwargs = archive.entry("policy_kwargs") or {}
    except Refused as refused:
        kwargs = unpickled(archive, "policy_kwargs", refused.name)
    squashed = policy_class(archive).endswith(".ARSPolicy")  # the only policy that does so unless told otherwise
    options = {**DEFAULTS, "squash_output": squashed, **{name: kwargs[name] for name in DEFAULTS if name in kwargs}}
    options["activation"] = _activation(archive, kwargs.get("activation_fn"))
    extractor = kwargs.get("features_extractor_class")
    if extractor is not None and _full_name(extractor) not in EXTRACTORS:
        options["extractor"] = extractor, kwargs.get("features_extractor_kwargs") or {}
    return options


def policy_class(archive: Archive) -> str:
    """The full name of its policy's class; empty if it does not say."""
    try:
        return getattr(archive.entry("policy_class"), "name", "")
    except Refused as refused:
        return refused.name


def is_own(name: str) -> bool:
    """Whether a class is somebody's own, not the peer's."""
    return bool(name) and not name.startswith(_PEERS)


def _activation(archive: Archive, given: Any) -> type[nn.Module]:
    on_policy = "action_net.weight" in archive.weights
    if given is None:
        return nn.Tanh if on_policy else nn.ReLU
    name = str(given.__name__)
    activation = getattr(nn, name, None)
    if not (isinstance(activation, type) and issubclass(activation, nn.Module)):
        raise ValueError(f"{archive.path} has the activation {name}, which torch does not have")
    return activation


def _full_name(named: Any) -> str:
    """Of a class, or of what was read in its place."""
    return getattr(named, "name", "") or f"{named.__module__}.{named.__qualname__}"


def unpickled(archive: Archive, entry: str, name: str) -> Any:
    """An entry of the data, unpickled for good, which runs its code. name: of the part that is somebody's own.

    Raises ValueError unless pickles are trusted, or if what they need is not installed.
    """
    check_format(PICKLE, f"{archive.path} has a part of somebody's own, {name}, as a pickle", RISK)
    held = archive.data.get(entry)
    if not isinstance(held, dict) or ":serialized:" not in held:
        return held
    try:
        return pickle.loads(base64.b64decode(held[":serialized:"]))
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{archive.path} has a part of somebody's own that needs the module {error.name}; install it, and "
            "pip install 'kickstarting[sb3]' for Stable-Baselines3"
        ) from error
    except Exception as error:  # whatever its code raises
        raise ValueError(f"{archive.path}: {entry} cannot be read: {' '.join(str(error).split())}") from error
