"""Decides how a Graph becomes a dense network; knows neither torch nor ONNX."""

from fullyconv.analyze.plan import Plan
from fullyconv.analyze.walk import make_plan

__all__ = ["Plan", "make_plan"]
