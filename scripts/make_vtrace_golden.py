"""Write tests/algo/vtrace_golden.json: what rlax says about V-trace, so that the tests need no JAX.

    python scripts/make_vtrace_golden.py     (one to three minutes; needs a package index)

The script installs rlax into a virtual environment of its own, in a temporary folder, and runs itself there.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

REQUIREMENTS = ["rlax==0.1.9", "jax==0.10.2", "jaxlib==0.10.2", "chex==0.1.92", "distrax==0.1.9", "numpy==2.4.6"]
GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "algo" / "vtrace_golden.json"
SEED, T, B = 20180210, 6, 3
SETTINGS = [  # clip_rho_threshold, clip_pg_rho_threshold, lambda_; None does not clip
    (1.0, 1.0, 1.0),
    (3.7, 2.2, 1.0),
    (2.0, 0.5, 1.0),
    (None, None, 1.0),
    (1.0, 1.0, 0.9),
    (2.5, 1.0, 0.0),
]


def install_and_run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        subprocess.run([python, __file__, "inside"], check=True)


def ask_rlax() -> list[dict[str, Any]]:
    # jax and rlax are in the environment that `install_and_run` makes, and nowhere else
    import jax  # pyright: ignore[reportMissingImports]
    import numpy as np
    import rlax  # pyright: ignore[reportMissingImports]

    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(SEED)

    def columns(function: Any) -> Any:  # rlax knows one sequence [T]
        return jax.vmap(function, in_axes=1, out_axes=1)

    cases = []
    for clip_rho, clip_pg, lambda_ in SETTINGS:
        inputs = {
            "log_rhos": rng.normal(0.0, 1.0, (T, B)),
            "discounts": 0.9 * (rng.random((T, B)) > 0.2),
            "rewards": rng.normal(0.0, 2.0, (T, B)),
            "values": rng.normal(0.0, 2.0, (T, B)),
            "bootstrap_value": rng.normal(0.0, 2.0, B),
        }
        inputs = {name: x.round(3) for name, x in inputs.items()}
        values_and_last = np.concatenate([inputs["values"], inputs["bootstrap_value"][None]])
        arguments = (
            values_and_last[:-1],
            values_and_last[1:],
            inputs["rewards"],
            inputs["discounts"],
            np.exp(inputs["log_rhos"]),
        )
        rho_bar, pg_bar = (np.inf if threshold is None else threshold for threshold in (clip_rho, clip_pg))
        errors = columns(lambda *x, bar=rho_bar, lam=lambda_: rlax.vtrace(*x, lam, bar))(*arguments)
        settings = (lambda_, rho_bar, pg_bar)
        both = columns(lambda *x, settings=settings: rlax.vtrace_td_error_and_advantage(*x, *settings))(*arguments)
        assert errors.dtype == np.float64
        assert np.array_equal(errors, both.errors)
        cases.append(
            {
                "clip_rho_threshold": clip_rho,
                "clip_pg_rho_threshold": clip_pg,
                "lambda_": lambda_,
                **{name: x.tolist() for name, x in inputs.items()},
                "errors": np.asarray(errors).tolist(),
                "pg_advantages": np.asarray(both.pg_advantage).tolist(),
            }
        )
    return cases


def write(cases: list[dict[str, Any]]) -> None:
    versions = {name: metadata.version(name) for name in ("rlax", "jax", "numpy")}
    head = json.dumps({"made_by": "scripts/make_vtrace_golden.py", "versions": versions, "cases": []})[: -len("]}")]
    lines = ",\n".join(json.dumps(case) for case in cases)  # a line each, so that a change can be read
    GOLDEN.write_text(f"{head}\n{lines}\n]}}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        write(ask_rlax())
    else:
        install_and_run()
