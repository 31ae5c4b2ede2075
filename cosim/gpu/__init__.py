"""The contract as CUDA kernels: tensors stay on the device."""

from cosim.gpu.engine import GpuEngine

__all__ = ["GpuEngine"]
