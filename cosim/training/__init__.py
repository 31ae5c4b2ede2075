"""Training through the array, beside a twin in FP32."""

from cosim.training.run import Progress, Result, train
from cosim.training.settings import TrainingSettings

__all__ = ["Progress", "Result", "TrainingSettings", "train"]
