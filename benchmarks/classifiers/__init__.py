"""The classifiers that people have: torchvision's, timm's, those of transformers, with weights that show errors."""

from classifiers.case import Case, Classifier

__all__ = ["Case", "Classifier"]
