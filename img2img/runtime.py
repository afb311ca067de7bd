"""Where and how computation runs: device, precision, threads, memory allocator. The one place that decides.

Imports PyTorch only where a function is about it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from .errors import ImageError, OptionError

if TYPE_CHECKING:
    import torch
    from torch import nn

M = TypeVar("M", bound="nn.Module")

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's mallopt
KEPT_BUFFER = 32 * 2**20  # bytes; 64 channels at half the size of a 640-pixel tile take 26 MB in fp32


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        OptionError: the device asked for is not there.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if available[device])
    if not available.get(name.partition(":")[0], False):
        raise OptionError(
            f"device {name!r} is not available here; there is: {', '.join(d for d in available if available[d])}"
        )
    return torch.device(name)


@cache
def has_fast_bf16(device_type: str) -> bool:
    """Whether bf16 convolutions are faster than fp32 ones: CPUs with AVX512-BF16 or AMX, GPUs from Ampere on."""
    import torch

    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type == "cpu":
        flags = torch.cpu.get_capabilities()
        return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
    return False


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 where the processor is fast at it, else fp32."""
    import torch

    if name == "auto":
        name = "bf16" if has_fast_bf16(device.type) else "fp32"
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[name]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Convolutions and products of matrices in a type of few bits; all of it in float32 if that is the type."""
    import torch

    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def placed(module: M, device: torch.device | str, dtype: torch.dtype | None = None) -> M:
    """A module ready for use: frozen, in eval mode, on its device, channels last in memory."""
    import torch

    return module.eval().requires_grad_(False).to(device, dtype).to(memory_format=torch.channels_last)


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Have cuDNN choose what gives the same bits each time."""
    import torch

    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        yield


def require_memory(needed: float, device: torch.device, what: str) -> None:
    """Raise ImageError if a device cannot give so many bytes for what is asked for."""
    there = available_memory(device)
    if there is not None and needed > there:
        raise ImageError(
            f"{what} takes about {needed / 1e9:.1f} GB of memory, {there / 1e9:.1f} GB are free: ask for a smaller one"
        )


@cache
def keep_big_buffers() -> None:
    """Stop glibc from returning a layer's buffers to the system after each layer.

    By default it unmaps them, and the next layer pays a page fault per 4 KiB: a third of a network's CPU time. Buffers
    beyond KEPT_BUFFER, whole large pictures, still go back as soon as they are free.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BUFFER)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):  # musl has neither the file nor the call, nor the cost
        return


@cache
def survive_forks() -> None:
    """Let processes that are forked from this one compute, though this one has computed with several threads.

    A fork takes no threads along. PyTorch's OpenMP waits for them for ever, unless it is to use one thread only; then
    it is what PyTorch's own DataLoader does with its workers.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_compute_alone)


def lock_across_forks() -> Lock:
    """A lock that no thread holds when the process is forked: in the child nobody would ever release it."""
    lock = Lock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


def _compute_alone() -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def share_the_machine(number: int | None = None) -> None:
    """Decide, before libraries that compute are imported, how many threads they have and that these wait asleep.

    Threads that spin while they wait take processors from other programs; so do more threads than there are cores for
    them, as where a container has a few cores of many. What the environment says already stays.

    Args:
        number: of threads, whatever the environment says.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # PyTorch's OpenMP reads it when it is loaded
    if number is not None:
        os.environ["OMP_NUM_THREADS"] = str(number)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads()))


def threads() -> int:
    """How many threads a computation gets: OMP_NUM_THREADS, else the cores that this process may run on.

    Two hardware threads of one core count once: they share its arithmetic. A container (cgroup 2) may have less time
    than its cores would have.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdigit() and int(asked):
        return int(asked)
    return max(1, min(_cores(), _allowed()))


def _allowed() -> int:
    """Of how many processors a container may have the time, rounded up; more than any machine has where no limit is."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no container, or one whose limit is `max`: none
        return 2**20


def _cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    topology = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(topology.format(cpu)).read_text(encoding="ascii") for cpu in usable})
    except OSError:
        return len(usable)


def available_memory(device: str | torch.device = "cpu") -> int | None:
    """Bytes that can still be had on a device; None where that cannot be told.

    On a CPU what Linux says is available, or what the limit of a container (cgroup 2) leaves, whichever is less.
    """
    kind = str(device).partition(":")[0]
    if kind == "cuda":
        import torch

        free: int = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if kind != "cpu":
        return None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        there = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="ascii") for name in ("max", "current"))
        return min(there, max(0, int(limit) - int(used)))
    except (OSError, ValueError):  # no container, or one whose limit is `max`: none
        return there
