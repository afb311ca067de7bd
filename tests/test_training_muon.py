"""Muon: the direction of a step against a singular value decomposition, its size, and vectors against torch's Adam."""

import pytest
import torch
from torch import nn

from img2img.training.muon import Muon, orthogonalised


def spread_matrix(rows: int, columns: int) -> torch.Tensor:
    """Singular values from 1 down to a thousandth."""
    generator = torch.Generator().manual_seed(rows)
    short = min(rows, columns)
    left, right = (torch.linalg.qr(torch.randn(n, short, generator=generator)).Q for n in (rows, columns))
    return left @ torch.diag(torch.logspace(0, -3, short)) @ right.T


@pytest.mark.parametrize("shape", [(24, 90), (90, 24), (16, 16), (1, 9)])
def test_orthogonalised_has_the_singular_vectors_of_the_matrix_and_values_near_one(shape: tuple[int, int]) -> None:
    matrix = spread_matrix(*shape)
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonalised(matrix * 50) @ vt.T
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=2e-3, rtol=0)
    values = inner.diagonal()[s > 0.01]
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_what_fades_away_counts_for_nothing() -> None:
    matrix = spread_matrix(24, 90)
    faded = torch.cat((matrix, torch.full((4, 90), 1e-40)))
    found = orthogonalised(faded)
    torch.testing.assert_close(found[:24], orthogonalised(matrix), atol=1e-4, rtol=0)
    assert not found[24:].any()


def test_a_step_computes_in_all_of_float32_and_leaves_the_setting_as_it_was() -> None:
    kernel = nn.Parameter(torch.ones(4, 3, 3, 3))
    kernel.grad = torch.ones_like(kernel)
    seen = []
    optimizer = Muon([kernel], lr=0.1)
    along = optimizer._along_momentum
    optimizer._along_momentum = lambda *a: (seen.append(torch.get_float32_matmul_precision()), along(*a))[1]  # type: ignore[method-assign]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        optimizer.step()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ["highest"]


def test_weights_decay_by_the_rate_whatever_the_gradient() -> None:
    parameters = [nn.Parameter(torch.ones(4, 3, 3, 3)), nn.Parameter(torch.ones(5))]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    Muon(parameters, lr=0.1, weight_decay=0.5).step()
    for parameter in parameters:
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, 0.95))


def test_no_gradient_is_no_step() -> None:
    kernel = nn.Parameter(torch.ones(4, 3, 3, 3))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], lr=1.0).step()
    assert torch.equal(kernel, torch.ones_like(kernel))


def test_a_step_is_as_large_as_adamws_whatever_the_gradient() -> None:
    for scale in (1e-4, 1e4):
        kernel = nn.Parameter(torch.zeros(32, 16, 3, 3))
        kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0)) * scale
        Muon([kernel], lr=0.01).step()
        assert 0.0015 < kernel.detach().square().mean().sqrt() < 0.0025  # about 0.2 of the rate


def test_memory_order_does_not_matter() -> None:
    steps = []
    for order in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(torch.zeros(8, 6, 3, 3).contiguous(memory_format=order))
        optimizer = Muon([kernel], lr=0.1)
        for seed in range(3):
            gradient = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(seed))
            kernel.grad = gradient.contiguous(memory_format=order)
            optimizer.step()
        steps.append(kernel.detach().contiguous())
    torch.testing.assert_close(*steps)


@pytest.mark.parametrize("shape", [(5,), (3, 4)])
def test_all_but_kernels_step_as_with_torchs_adam(shape: tuple[int, ...]) -> None:
    ours, theirs = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.ones(shape))
    optimizers = [Muon([ours], 0.1, betas=(0.8, 0.9)), torch.optim.Adam([theirs], 0.1, (0.8, 0.9))]
    for seed in range(4):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_badly_conditioned_map_is_learnt() -> None:
    """A linear map from pairs whose inputs are badly conditioned."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 12, generator=generator) * torch.logspace(0, -1, 12)
    wanted = torch.randn(8, 12, generator=generator)
    weight = nn.Parameter(torch.zeros(8, 12, 1, 1))
    optimizer = Muon([weight], lr=0.1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        loss = (inputs @ (weight[:, :, 0, 0] - wanted).T).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (weight[:, :, 0, 0] - wanted).abs().max() < 0.1
