"""Training: a folder of labelled crops, and large images without objects, become a classifier.

The networks that come with it do not pad, so that they can be converted exactly.
"""

from fullyconv.train.crops import CropFolder, CropSet, list_crops, read_crops
from fullyconv.train.events import BatchDone, EpochDone, Event, Listener, Note, ScanDone
from fullyconv.train.factory import build_network
from fullyconv.train.fitting import FitData, Round, fit
from fullyconv.train.labels import Labelling, decide_labelling
from fullyconv.train.networks import append_activation, compact, worked
from fullyconv.train.run import TrainResult, train
from fullyconv.train.settings import FitSettings, MiningSettings, TrainConfig
from fullyconv.train.split import measure_preprocessing, split_crops

__all__ = [
    "BatchDone",
    "CropFolder",
    "CropSet",
    "EpochDone",
    "Event",
    "FitData",
    "FitSettings",
    "Labelling",
    "Listener",
    "MiningSettings",
    "Note",
    "Round",
    "ScanDone",
    "TrainConfig",
    "TrainResult",
    "append_activation",
    "build_network",
    "compact",
    "decide_labelling",
    "fit",
    "list_crops",
    "measure_preprocessing",
    "read_crops",
    "split_crops",
    "train",
    "worked",
]
