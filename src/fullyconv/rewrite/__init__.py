"""Carries out a Plan: the dense network for torch, its windowed head, its file; and the whole path to it."""

from fullyconv.rewrite.conversion import convert
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.file import load_dense as load
from fullyconv.rewrite.report import ConversionReport

__all__ = ["ConversionReport", "DenseModel", "convert", "load"]
