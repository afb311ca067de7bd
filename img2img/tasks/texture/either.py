"""Functions of NumPy arrays that take tensors as well, for those who have these."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np


def either(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays, and of lists of them, for tensors too: on the CPU, without gradients.

    Who gives a tensor gets tensors back, on the device of the first one.

    Example:
        >>> either(lambda x: x + 1)(np.zeros(2))
        array([1., 1.])
    """

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        torch = sys.modules.get("torch")
        devices: list[Any] = []

        def to_array(value: Any) -> Any:
            if torch is not None and isinstance(value, torch.Tensor):
                devices.append(value.device)
                return value.detach().cpu().numpy()
            return type(value)(map(to_array, value)) if type(value) in (list, tuple) else value

        def back(value: Any) -> Any:
            if isinstance(value, list):
                return [back(each) for each in value]
            return torch.from_numpy(value).to(devices[0]) if isinstance(value, np.ndarray) and torch else value

        found = function(*map(to_array, args), **{name: to_array(value) for name, value in options.items()})
        return back(found) if devices else found

    return call
