"""Slow, obvious references that know nothing of the conversion, and the report on how far it is from them."""

from fullyconv.verify.comparison import Comparison
from fullyconv.verify.fidelity import Fidelity
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.verification import VerifySettings, verify

__all__ = ["Comparison", "Fidelity", "VerifyReport", "VerifySettings", "verify"]
