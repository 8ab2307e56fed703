import pytest

from fullyconv.train.events import BatchDone, EpochDone, Note, ScanDone, ignore_event, read_event, write_event

EPOCH = EpochDone(1, 2, 0.5, 0.25, 0.875)
SCAN = ScanDone(1, 3, 40, 0.987, 12)


@pytest.mark.parametrize("event", [EPOCH, SCAN])
def test_events_survive_being_written(event):
    assert read_event(write_event(event)) == event


def test_events_read_as_lines():
    expected = "round 1, epoch 2: training loss 0.500, validation loss 0.250, validation accuracy 87.5%"
    assert str(EPOCH) == expected
    assert str(SCAN) == "round 1: 40 false boxes in 3 images, highest score 0.987; 12 join the crops"
    assert str(ScanDone(2, 1, 0, 0.0, 0)) == "round 2: 0 false boxes in 1 images; 0 join the crops"
    assert str(Note("as it is")) == "as it is"


def test_an_event_can_be_ignored():
    assert ignore_event(BatchDone(0, 1, 2)) is None
