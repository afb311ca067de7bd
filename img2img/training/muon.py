"""Muon: steps along the orthogonalised momentum of each kernel."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import hardshrink
from torch.optim import Optimizer

# Keller Jordan's quintic a s + b s^3 + c s^5, which five times over brings every singular value near 1.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
MATCH = 0.2  # root mean square of a step, as AdamW's are
EPSILON = 1e-8
KERNEL = 4  # dimensions
# Of a matrix' norm. What channels that never fire leave in the momentum fades to subnormal numbers, with which
# processors compute so slowly that a step of denoise-fast took three times as long.
NOTHING = 1e-12


class Muon(Optimizer):
    """Muon for the kernels of convolutions, Adam for all else, at one learning rate.

    A kernel (M, N, h, w) is taken as an M x N h w matrix. What has another number of dimensions is no map from channels
    to channels, or one that has to stay positive (biases, steps of quantisers, GDN). Steps have the size of AdamW's (a
    root mean square of 0.2), so that a recipe's learning rate serves either.

    Departs from Jordan's code: no layer is left to Adam for being the first or last, and the quintic works on the
    Gram matrix of the shorter side, which costs convolutions 2.5 times less.

    Args:
        params: what to train.
        lr: learning rate.
        momentum: of the averaged gradient (Nesterov's).
        betas: of Adam.
        weight_decay: of all, as AdamW's.

    References: Jordan 2024, kellerjordan.github.io/posts/muon; Liu 2025, arXiv:2502.16982 (size of a step).
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of every parameter that has a gradient; returns what the closure does, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with whole_float32():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._step(parameter, parameter.grad, group)
        return loss

    def _step(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        step = self._along_momentum if parameter.ndim == KERNEL else self._adam
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(step(parameter, grad, group), alpha=-group["lr"])

    def _along_momentum(self, parameter: Tensor, grad: Tensor, group: dict[str, float]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(grad, 1 - group["momentum"])
        step = orthogonalised(grad.lerp(state["momentum"], group["momentum"]).flatten(1))
        return (step * (MATCH * max(step.shape) ** 0.5)).reshape(parameter.shape)

    def _adam(self, parameter: Tensor, grad: Tensor, group: dict[str, tuple[float, float]]) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(grad, 1 - first)
        state["square"].lerp_(grad.square(), 1 - second)
        number = state["step"].item()
        mean, square = state["mean"] / (1 - first**number), state["square"] / (1 - second**number)
        return mean / (square.sqrt() + EPSILON)


@contextmanager
def whole_float32() -> Iterator[None]:
    """Products of matrices in all of float32: in TF32 the Gram matrix gets negative eigenvalues, which then explode."""
    before = torch.get_float32_matmul_precision()
    if before == "highest":  # not set again, which would warn of a TF32 that nobody asked for
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def orthogonalised(matrix: Tensor) -> Tensor:
    """U V^T of a matrix U S V^T, roughly: singular values between 0.7 and 1.2, those that were nearly 0 left small.

    The quintic takes X to (a + b A + c A^2) X with A = X X^T. All its factors commute, so A alone is followed through
    the rounds, and the long side is touched twice. Needs `whole_float32`.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalised(matrix.T).T
    matrix = matrix.float()
    x = hardshrink(matrix / (matrix.norm() + EPSILON), NOTHING)
    gram = x @ x.T
    total = eye = torch.eye(len(gram), device=gram.device)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        factor = a * eye + b * gram + c * (gram @ gram)
        gram = factor @ gram @ factor
        total = factor @ total
    return total @ x
