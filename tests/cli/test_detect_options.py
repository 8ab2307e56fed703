import pytest

from fullyconv.cli.detect_options import DetectOptions, parse_scales
from fullyconv.cli.memory import parse_memory
from fullyconv.detect import DetectSettings
from fullyconv.errors import OptionError


def test_defaults_are_the_librarys() -> None:
    assert DetectOptions().to_settings() == DetectSettings()


def test_every_option_arrives() -> None:
    options = DetectOptions(
        scales="2,1",
        scale_step=1.2,
        min_object="30x40",
        threshold=0.7,
        classes=("a", "b"),
        nms=0.6,
        nms_across_classes=True,
        memory="1.5kb",
        scores="heads.1",
    )
    assert options.to_settings() == DetectSettings(
        scales=(2.0, 1.0),
        scale_step=1.2,
        min_object_px=(40, 30),
        threshold=0.7,
        classes=("a", "b"),
        nms_iou=0.6,
        nms_across_classes=True,
        memory_bytes=1536,
        output="heads.1",
    )


@pytest.mark.parametrize("text", ["", "big", "1,,2", "1;2", "auto,1"])
def test_scales_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match=r"--scales: expected auto or numbers with commas, such as 1,0\.5, got"):
        parse_scales(text)


@pytest.mark.parametrize("text", ["", "lots", "-1", "5TB", "MB"])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(OptionError, match="--memory: expected an amount such as 512MB or 2GB, got"):
        parse_memory(text)


def test_too_little_memory_is_the_librarys_error() -> None:
    with pytest.raises(OptionError, match="memory: expected at least 1 byte, got 0"):
        DetectOptions(memory="0GB").to_settings()
