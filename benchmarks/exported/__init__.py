"""Classifiers as ONNX files, from where people get them."""

from exported.case import Export, Exported

__all__ = ["Export", "Exported"]
