import numpy as np
import pytest
from PIL import Image

from fullyconv.errors import DataError, ImageError
from fullyconv.train.crops import CropSet, list_crops, read_crops, stack_pictures

WINDOW = (10, 12)


def write(path, shape=(*WINDOW, 3), seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


@pytest.fixture
def folder(tmp_path):
    for name in ("cat", "other"):
        for index in range(4):
            write(tmp_path / name / f"{index}.png", seed=index)
    return tmp_path


def test_pictures_are_listed_by_class_sorted_and_nested(folder):
    write(folder / "cat" / "night" / "a.JPG")
    write(folder / "cat" / "9.TIFF")
    (folder / "cat" / "notes.txt").write_text("no picture")
    write(folder / ".thumbnails" / "a.png")
    write(folder / "cat" / ".hidden.png")
    crops = list_crops(folder)
    assert crops.classes == ("cat", "other") and crops.counts == {"cat": 6, "other": 4}
    assert crops.files[0] == tuple(sorted(crops.files[0]))
    assert {path.name for path in crops.files[0]} >= {"a.JPG", "9.TIFF"}


def test_crops_are_read_in_order_and_resized_to_the_window(folder):
    pixels = write(folder / "cat" / "3.png", shape=(20, 24, 3), seed=5)
    crops, resized = read_crops(list_crops(folder), WINDOW)
    assert crops.images.shape == (8, 3, *WINDOW) and crops.images.dtype == np.uint8
    assert crops.labels.tolist() == [0] * 4 + [1] * 4 and resized == 1
    halves = Image.fromarray(pixels).resize(WINDOW[::-1], Image.Resampling.BILINEAR)
    assert np.array_equal(crops.images[3].transpose(1, 2, 0), np.asarray(halves))


def test_grey_crops_stay_grey_until_one_has_colour(tmp_path):
    for name in ("a", "b"):
        for index in range(4):
            write(tmp_path / name / f"{index}.png", shape=WINDOW, seed=index)
    crops, _ = read_crops(list_crops(tmp_path), WINDOW)
    assert crops.images.shape[1] == 1
    write(tmp_path / "b" / "colour.png")
    crops, _ = read_crops(list_crops(tmp_path), WINDOW)
    assert crops.images.shape[1] == 3
    assert np.array_equal(crops.images[0, 0], crops.images[0, 2])


def test_a_folder_without_crops_is_refused(tmp_path, folder):
    with pytest.raises(DataError, match="expected a folder with one folder of crops for each class, found none"):
        list_crops(tmp_path / "absent")
    empty = tmp_path / "empty_root"
    empty.mkdir()
    with pytest.raises(DataError, match="found no folder; sort the crops into folders"):
        list_crops(empty)


def test_an_empty_class_is_refused(folder):
    (folder / "dog").mkdir()
    with pytest.raises(DataError, match="dog: expected crops of class 'dog', found no picture"):
        list_crops(folder)


def test_too_few_crops_are_refused(folder):
    (folder / "cat" / "3.png").unlink()
    with pytest.raises(DataError, match=r"expected at least 4 crops of class 'cat', .* found 3"):
        list_crops(folder)


def test_one_class_needs_negatives(tmp_path):
    for index in range(4):
        write(tmp_path / "cat" / f"{index}.png")
    with pytest.raises(DataError, match="expected at least two classes, found only 'cat'"):
        list_crops(tmp_path)
    assert list_crops(tmp_path, one_class_suffices=True).classes == ("cat",)


def test_an_unreadable_crop_is_named(folder):
    (folder / "cat" / "2.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(ImageError, match=r"2\.png"):
        read_crops(list_crops(folder), WINDOW)


def test_crops_extend_by_class():
    crops = CropSet(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1]), ("cat", "background"))
    more = crops.extend(np.ones((3, 1, 4, 4), np.uint8), "background")
    assert more.counts == {"cat": 1, "background": 4} and len(crops.labels) == 2
    assert more.select(np.array([4])).images.max() == 1


def test_crops_of_other_shapes_or_labels_are_refused():
    with pytest.raises(DataError, match=r"expected uint8 images \(N, C, H, W\) and N labels, got float64"):
        CropSet(np.zeros((2, 1, 4, 4)), np.array([0, 1]), ("a", "b"))
    with pytest.raises(DataError, match="expected labels 0 to 1"):
        CropSet(np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 2]), ("a", "b"))


def test_no_pictures_make_an_empty_stack():
    assert stack_pictures([], WINDOW).shape == (0, 1, *WINDOW)
