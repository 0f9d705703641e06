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

_OWN = ("stable_baselines3.", "sb3_contrib.")
EXTRACTORS = tuple(
    f"stable_baselines3.common.torch_layers.{name}" for name in ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
)
DEFAULTS: Mapping[str, Any] = {
    "normalize_images": True,
    "share_features_extractor": True,
    "squash_output": False,
    "use_expln": False,
    "extractor": None,
}
RISK = "to read it runs whatever code whoever made it put there"


def policy_options(archive: Archive) -> dict[str, Any]:
    """DEFAULTS, with what the archive says, and its activation as a module's class.

    Raises ValueError for a class of somebody's own: of a policy always, of a features extractor unless pickles are trusted.
    """
    _check_policy(archive)
    try:
        kwargs = archive.entry("policy_kwargs") or {}
    except Refused as refused:
        kwargs = _trusted_kwargs(archive, refused)
    options = {**DEFAULTS, **{name: kwargs[name] for name in DEFAULTS if name in kwargs}}
    options["activation"] = _activation(archive, kwargs.get("activation_fn"))
    extractor = kwargs.get("features_extractor_class")
    if extractor is not None and _full_name(extractor) not in EXTRACTORS:
        options["extractor"] = extractor, kwargs.get("features_extractor_kwargs") or {}
    return options


def _check_policy(archive: Archive) -> None:
    try:
        policy = archive.entry("policy_class")
        name = getattr(policy, "name", "")
    except Refused as refused:
        name = refused.name
    if name and not name.startswith(_OWN):
        raise ValueError(
            f"{archive.path} has a policy of a class of its own, {name}; write module:PACKAGE.MODULE:CLASS?weights=FILE, export it "
            "to ONNX, or serve it"
        )


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


def _trusted_kwargs(archive: Archive, refused: Refused) -> Mapping[str, Any]:
    """Unpickled for good: a class of a features extractor is code."""
    check_format(PICKLE, f"{archive.path} has a part of somebody's own, {refused.name}, as a pickle", RISK)
    try:
        return pickle.loads(base64.b64decode(archive.data["policy_kwargs"][":serialized:"]))
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{archive.path} has a part of somebody's own that needs the module {error.name}; install it, and "
            "pip install 'kickstarting[sb3]' for Stable-Baselines3"
        ) from error
    except Exception as error:  # whatever its code raises
        raise ValueError(f"{archive.path}: policy_kwargs cannot be read: {' '.join(str(error).split())}") from error
