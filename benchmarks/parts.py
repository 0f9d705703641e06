"""What single parts of an update cost on this machine: the measurements behind docs/performance.md.

    python benchmarks/parts.py --threads 1
    python benchmarks/parts.py --threads 2

Microseconds, the best of five blocks, so that other work on the machine counts as little as possible.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
from torch import nn

from kickstarting.machine import fastest_threads, use_machine
from kickstarting.networks.convolution import GridConv
from kickstarting.networks.lstm import LSTM, lstm_unroll, lstm_unroll_plain
from kickstarting.networks.torsos import Grid, PixelLarge, PixelSmall

T, B, H = 33, 64, 256


def best(function: Callable[[], object], repetitions: int = 10) -> float:
    """Microseconds of one call."""
    function()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(repetitions):
            function()
        times.append((time.perf_counter() - began) / repetitions)
    return 1e6 * min(times)


def row(name: str, *cells: str) -> None:
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def products(threads: int) -> None:
    """float32 by MKL (torch's default) and by oneDNN (what use_machine chooses where it is exact), and bfloat16."""
    row("product M x K x N", "float32 default", "float32 here", "bfloat16")
    for m, k, n in (
        (T * B, H, 4 * H),
        (B, H, 4 * H),
        (4 * H, T * B, H),
        (T * B, 64, 64),
        (B, 2 * 64, 2 * 64),
        (B, 64, 64),
        (B, 17, 64),
    ):
        x, y = torch.randn(m, k), torch.randn(k, n)
        torch.set_float32_matmul_precision("highest")
        often = 10 if m * k * n > 10**7 else 1000
        default = best(lambda x=x, y=y: x @ y, often)
        use_machine(threads)
        here = best(lambda x=x, y=y: x @ y, often)
        x, y = x.bfloat16(), y.bfloat16()
        low = best(lambda x=x, y=y: x @ y, often)
        row(f"{m} x {k} x {n}", *(f"{us:,.0f} us, {2e-3 * m * k * n / us:,.0f} GFLOP/s" for us in (default, here, low)))


def activations() -> None:
    row("[64, 256], us", "")
    x = torch.randn(B, H)
    row("tanh", f"{best(lambda: x.tanh()):.1f}")
    row("2 sigmoid(2 x) - 1", f"{best(lambda: x.mul(2).sigmoid_().mul_(2).sub_(1)):.1f}")


def lstms() -> None:
    """An unroll of W1 with resets: ours, the plain loop, and torch's LSTM, which cannot reset."""
    row("LSTM [33, 64, 256], us", "forward", "forward and backward")
    core, torchs = LSTM(H, H), nn.LSTM(H, H)
    reset, gradient = torch.rand(T, B) < 0.01, torch.randn(T, B, H)
    for precision in (torch.float32, torch.bfloat16):
        x = torch.randn(T, B, H, dtype=precision)
        low = torchs.to(precision)

        def unroll(function, x=x, precision=precision):
            with torch.autocast("cpu", torch.bfloat16, enabled=precision != torch.float32):
                return function(core.input(x), core.weight, *core.initial_state(B), reset)[0]

        def without_loop(unroll=unroll):
            with patch("kickstarting.networks.lstm.kernels", lambda: None):
                return unroll(lstm_unroll)

        variants: dict[str, Callable[[], torch.Tensor]] = {
            "lstm_unroll": partial(unroll, lstm_unroll),
            "lstm_unroll, not compiled": without_loop,
            "lstm_unroll_plain": partial(unroll, lstm_unroll_plain),
            "nn.LSTM, no resets": lambda low=low, x=x: low(x)[0],
        }
        for name, forward in variants.items():

            def inference(forward=forward):
                with torch.no_grad():
                    forward()

            def training(forward=forward):
                y = forward()
                y.backward(gradient.to(y.dtype))

            row(f"{name}, {precision}", f"{best(inference, 3):,.0f}", f"{best(training, 3):,.0f}")


def convolutions() -> None:
    """3x3 convolutions of grids with ReLU: compiled, by torch, and what their multiplications alone would take."""
    row("convolution, us", "forward", "both passes", "torch: forward", "both passes", "multiplications", "of both passes")
    a = torch.randn(2048, 1024)
    rate = 2 * 2048 * 1024 * 1024 / best(lambda: a @ a[:1024])  # flop a microsecond, of a large product
    for N, side, before, after in ((64, 7, 21, 32), (528, 7, 21, 32), (528, 5, 32, 64), (528, 5, 64, 64)):
        conv, x = GridConv(before, after), torch.randn(N, side, side, before, requires_grad=before > 21)
        gradient = torch.randn(N, side - 2, side - 2, after)

        def inference(conv=conv, x=x):
            with torch.no_grad():
                conv(x)

        def training(conv=conv, x=x, gradient=gradient):
            conv(x).backward(gradient)

        times = [best(f, 3) for f in (inference, training)]
        with patch("kickstarting.networks.convolution.kernels", lambda: None):
            times += [best(f, 3) for f in (inference, training)]
        floor = 2 * N * (side - 2) ** 2 * 9 * before * after / rate
        times += [floor, (3 if x.requires_grad else 2) * floor]
        row(f"{before} to {after}, {N} views {side}x{side}", *(f"{us:,.0f}" for us in times))


def torsos() -> None:
    row("torso, us", "precision", "forward", "forward and backward")
    grid, pixels = (
        torch.randint(0, 3, (1024, 7, 7, 3), dtype=torch.uint8),
        torch.randint(0, 255, (64, 84, 84, 4), dtype=torch.uint8),
    )
    for name, torso, x in (
        ("Grid 32 64 64, 1024 views", Grid((7, 7, 3), 256, (32, 64, 64)), grid),
        ("PixelSmall, 64 images", PixelSmall((84, 84, 4)), pixels),
        ("PixelLarge, 64 images", PixelLarge((84, 84, 4)), pixels),
    ):
        for low in (False, True):

            def training(torso=torso, x=x, low=low):
                with torch.autocast("cpu", torch.bfloat16, enabled=low):
                    y = torso(x)
                y.float().sum().backward()

            def inference(torso=torso, x=x, low=low):
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
                    torso(x)

            row(name, "bfloat16" if low else "float32", f"{best(inference, 2):,.0f}", f"{best(training, 2):,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    products(arguments.threads)
    for part in (activations, lstms, convolutions, torsos):
        print()
        part()
    print(f"\n{arguments.threads} threads; fastest here and now: {fastest_threads(arguments.threads)}. torch {torch.__version__}")


if __name__ == "__main__":
    main()
