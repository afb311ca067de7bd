"""What the graphs of a descriptor compute (graph.py), said in PyTorch, gradients by its autograd.

They are compared with these modules on pictures of many sizes whenever they are made.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.descriptor import VGG
from .judge import unseen
from .loss import positions
from .terms import Term, terms_of


class GramSums(nn.Module):
    """The products of which Gram matrices are sums, over a part of a picture.

    Args:
        vgg: made circular.

    Shape:
        image: (1, 3, H, W), sRGB in [0, 1], H and W at least the VGG's smallest.
        here: (1, 1, H, W), 1 where features count, else 0; a feature counts if any of its pixels does.
        there: (1, 1, H, W), the same for the second of two features that lie some way apart.
        returns: for each of `terms_of` (C_l, C_l), the sum of the products, divided by H_l * W_l.
    """

    def __init__(self, vgg: VGG) -> None:
        super().__init__()
        self.vgg = vgg
        vgg.circular = True

    def forward(self, image: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, ...]:
        layers = self.vgg(image)
        first, second = (pooled(mask, len(layers)) for mask in (here, there))
        found = []
        for term in terms_of(len(layers)):
            layer, mask = layers[term.layer], first[term.layer]
            partner = second[term.layer] if term.down or term.right else mask
            found.append(products(layer * mask, layer * partner, term))
        return tuple(found)


class GramGradient(nn.Module):
    """The distances of a torus' Gram matrices from their targets, and the gradient of their weighted sum.

    Args:
        vgg: made circular.

    Shape:
        image: (1, 3, H, W) as for GramSums.
        weights: (n,), one for each of `terms_of`.
        targets: (C_l, C_l) for each of them.
        returns: the squared distances, (n,), and the gradient of weights @ distances in the image, (1, 3, H, W).
    """

    def __init__(self, vgg: VGG) -> None:
        super().__init__()
        self.vgg = vgg
        vgg.circular = True

    def forward(self, image: Tensor, weights: Tensor, *targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            x = image.clone().requires_grad_()
            layers = self.vgg(x)
            distances = [
                (products(layers[term.layer], layers[term.layer], term) - target.clone()).square().sum()
                for term, target in zip(terms_of(len(layers)), targets, strict=True)
            ]
            found = torch.stack(distances)
            (gradient,) = torch.autograd.grad((found * weights.clone()).sum(), x)
            return found.detach(), gradient


class GramSlopes(nn.Module):
    """The gradient of a loss of Gram matrices in a part of a picture, from its slopes in these matrices.

    Args:
        vgg: made circular.

    Shape:
        image: (1, 3, H, W) as for GramSums.
        here: (1, 1, H, W), 1 where features count, else 0, as there.
        matrices: (C_l, C_l) for each of `terms_of`: the loss' slopes in the sums of products.
        returns: the gradient in the image, (1, 3, H, W).
    """

    def __init__(self, vgg: VGG) -> None:
        super().__init__()
        self.vgg = vgg
        vgg.circular = True

    def forward(self, image: Tensor, here: Tensor, *matrices: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = image.clone().requires_grad_()
            layers = self.vgg(x)
            leaves = [layer.detach().requires_grad_() for layer in layers]
            terms = [
                (products(leaves[term.layer], leaves[term.layer], term, mean=False) * matrix.clone()).sum()
                for term, matrix in zip(terms_of(len(layers)), matrices, strict=True)
            ]
            slopes = torch.autograd.grad(torch.stack(terms).sum(), leaves)
            counted = [slope * mask for slope, mask in zip(slopes, pooled(here.clone(), len(layers)), strict=True)]
            (gradient,) = torch.autograd.grad(layers, x, counted)
            return gradient


class Unseen(nn.Module):
    """The features that judge textures (judge.py) of an image (1, 3, H, W): (1, C_l, H_l, W_l) each.

    Args:
        vgg: made circular.
    """

    def __init__(self, vgg: VGG) -> None:
        super().__init__()
        vgg.circular = True
        self.judge = unseen(vgg).descriptor

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.judge(image))


def products(first: Tensor, second: Tensor, term: Term, mean: bool = True) -> Tensor:
    """Mean, or sum, over positions of each channel times each channel of the second, (1, C, H, W) to (C, C)."""
    a, b = positions(first)[0], positions(second.roll((-term.down, -term.right), (2, 3)))[0]
    return a.mT @ b / (len(a) if mean else 1)


def pooled(mask: Tensor, layers: int) -> list[Tensor]:
    """For each layer where it has a pixel of a mask (1, 1, H, W) in it."""
    masks = [mask]
    for _ in range(layers - 1):
        odd = [side % 2 for side in masks[-1].shape[2:]]
        masks.append(F.max_pool2d(F.pad(masks[-1], (0, odd[1], 0, odd[0]), mode="circular"), 2))
    return masks
