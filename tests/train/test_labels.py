import numpy as np
import pytest

from fullyconv.errors import DataError, OptionError
from fullyconv.train.labels import decide_labelling


@pytest.mark.parametrize(
    ("names", "options", "positive", "background", "outputs"),
    [
        (("face", "other"), {}, "face", "other", ("face",)),
        (("background", "weed"), {}, "weed", "background", ("weed",)),
        (("no_crack", "yes"), {}, "yes", "no_crack", ("yes",)),
        (("cat", "dog"), {}, "cat", "dog", ("cat",)),
        (("cat", "dog"), {"positive": "dog"}, "dog", "cat", ("dog",)),
        (("face", "other"), {"positive": "other"}, "other", "face", ("other",)),
        (("none", "other"), {}, "none", "other", ("none",)),
        (("cat", "dog"), {"with_negatives": True}, None, "background", ("cat", "dog", "background")),
        (("cat", "dog"), {"with_negatives": True, "positive": "cat"}, "cat", "dog", ("cat",)),
        (("face",), {"with_negatives": True}, "face", "background", ("face",)),
        (("a", "b", "others"), {}, None, "others", ("a", "b", "others")),
        (("a", "b", "others"), {"with_negatives": True}, None, "others", ("a", "b", "others")),
        (("a", "b", "c"), {}, None, None, ("a", "b", "c")),
        (("a", "b", "c"), {"with_negatives": True}, None, "background", ("a", "b", "c", "background")),
    ],
)
def test_outputs_and_background_follow_from_the_names(names, options, positive, background, outputs):
    labelling = decide_labelling(names, **options)
    assert (labelling.positive, labelling.background) == (positive, background)
    assert labelling.output_classes == outputs
    assert labelling.activation == ("sigmoid" if positive else "softmax")


def test_targets_are_one_for_the_object():
    labels = np.array([0, 1, 1])
    assert decide_labelling(("face", "other")).encode(labels).tolist() == [1, 0, 0]
    assert decide_labelling(("a", "b", "c")).encode(labels).tolist() == [0, 1, 1]


def test_the_background_has_a_target():
    assert decide_labelling(("face", "other")).background_target == 0
    assert decide_labelling(("a", "b", "others")).background_target == 2
    assert decide_labelling(("a", "b", "c")).background_target is None


def test_a_positive_class_must_be_one_of_two():
    with pytest.raises(OptionError, match="--positive: expected one of cat, dog, got 'cow'"):
        decide_labelling(("cat", "dog"), positive="cow")
    with pytest.raises(OptionError, match="--positive: expected one or two classes, got 3"):
        decide_labelling(("a", "b", "c"), positive="a")


def test_background_alone_teaches_nothing():
    with pytest.raises(DataError, match="found only the background class 'other'"):
        decide_labelling(("other",), with_negatives=True)
