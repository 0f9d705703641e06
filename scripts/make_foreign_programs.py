"""Write tests/teachers/foreign/programs/: policies as the exporters of other libraries write them, and what the policies say.

    python -m venv .peers && .peers/bin/pip install rsl-rl-lib==5.5.1 onnx onnxscript
    .peers/bin/python scripts/make_foreign_programs.py rsl_rl

and likewise, each in an environment of its own, `sample_factory` (its version on GitHub, which has an exporter) and `ml_agents`.

NAME.pt is TorchScript, NAME.onnx a graph. Policies are not trained, but their normalisers have seen data: what is tested is that labels
are the policy's. NAME.npz has observations [T, B, ...] by name, `is_first`, and the actions, by the library's own policy.
"""

# These packages are in environments of their own
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

OUT = Path(__file__).parent.parent / "tests" / "teachers" / "foreign" / "programs"
T, B, OBSERVED, ACTIONS = 8, 3, 5, 2


def unroll() -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers far from mean 0 and deviation 1, which a forgotten normaliser would show, and ends of episodes."""
    generator = torch.Generator().manual_seed(5)
    x = 3.0 + 2.0 * torch.randn(T, B, OBSERVED, generator=generator)
    is_first = torch.rand(T, B, generator=generator) < 0.25
    is_first[0] = True
    return x, is_first


def write(name: str, observations: dict[str, torch.Tensor], is_first: torch.Tensor, actions: torch.Tensor) -> None:
    arrays = {f"observations/{key}": x.numpy() for key, x in observations.items()}
    np.savez_compressed(OUT / f"{name}.npz", is_first=is_first.numpy(), actions=actions.numpy(), **arrays)  # pyright: ignore[reportArgumentType]
    size = sum(path.stat().st_size for path in OUT.glob(f"{name}.*")) / 1e3
    print(f"{name}: {size:.0f} kB", flush=True)


@torch.no_grad()
def rsl_rl() -> None:
    """Its models by their own `as_jit` and `as_onnx`, as its runner's `export_policy_to_*` does."""
    from rsl_rl.models import MLPModel, RNNModel
    from tensordict import TensorDict

    x, is_first = unroll()
    example, groups = TensorDict({"policy": x[0]}, [B]), {"actor": ["policy"]}
    common: dict[str, Any] = {"hidden_dims": [8], "activation": "elu", "obs_normalization": True}
    for name, kind, options in (
        ("rsl_rl-mlp", MLPModel, {}),
        ("rsl_rl-lstm", RNNModel, {"rnn_type": "lstm", "rnn_hidden_dim": 6, "rnn_num_layers": 2}),
        ("rsl_rl-gru", RNNModel, {"rnn_type": "gru", "rnn_hidden_dim": 6, "rnn_num_layers": 1}),
    ):
        torch.manual_seed(6)
        normal = {"class_name": "GaussianDistribution", "init_std": 0.5}
        model = kind(example, groups, "actor", ACTIONS, distribution_cfg=normal, **common, **options)
        for step in x:
            model.update_normalization(TensorDict({"policy": step}, [B]))
        model.eval()
        actions = []
        for step, first in zip(x, is_first, strict=True):
            model.reset(first)
            actions.append(model(TensorDict({"policy": step}, [B])))
        torch.jit.script(model.as_jit()).save(OUT / f"{name}.pt")
        program = model.as_onnx(verbose=False)
        export(program.eval(), program.get_dummy_inputs(), f"{name}.onnx", program.input_names, program.output_names)
        write(name, {"observation": x}, is_first, torch.stack(actions))


def export(module: Any, examples: Any, file: str, inputs: list[str], outputs: list[str], **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, examples, OUT / file, input_names=inputs, output_names=outputs, dynamo=False, **options)


def main() -> None:
    known: dict[str, Callable[[], None]] = {function.__name__: function for function in (rsl_rl,)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="+", choices=known)
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for library in parser.parse_args().libraries:
        known[library]()


if __name__ == "__main__":
    main()
