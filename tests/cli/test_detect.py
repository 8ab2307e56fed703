import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from cyclopts import App
from PIL import Image
from torch import nn

import fullyconv
from fullyconv.card import ModelCard
from fullyconv.cli.detect import detect
from fullyconv.errors import ImageError, OptionError, OutputError

WINDOW = 16


def disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) <= radius


def build_classifier() -> nn.Module:
    """Returns a classifier of 16x16 crops that answers 1 to a bright disc of radius 5 on a dark ground."""
    kernel = disc(WINDOW, 5)
    weights = np.where(kernel, 1 / kernel.sum(), -1 / (~kernel).sum())
    pool, layer = nn.AvgPool2d(1), nn.Linear(WINDOW * WINDOW, 1)
    layer.weight.data[:] = torch.from_numpy(30 * weights).reshape(1, -1)
    layer.bias.data.fill_(-24)
    return nn.Sequential(nn.MaxPool2d(1, stride=1), pool, nn.Flatten(), layer, nn.Sigmoid()).eval()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "dense.pt2"
    card = ModelCard((WINDOW, WINDOW), 1, ("disc",), activation="sigmoid")
    fullyconv.convert(build_classifier(), window=(WINDOW, WINDOW), card=card).save(path)
    return path


def save_image(path: Path, *discs: tuple[int, int, int], size: tuple[int, int] = (60, 80)) -> Path:
    """Writes a picture with discs `(y, x, window)` whose window begins at `(y, x)`."""
    image = np.zeros(size, np.uint8)
    for y, x, window in discs:
        image[y : y + window, x : x + window][disc(window, 5 * window / WINDOW)] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def run(*arguments: object) -> int:
    app = App(name="fullyconv")
    app.command(detect)
    tokens = ["detect", *map(str, arguments)]
    code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    assert isinstance(code, int)
    return code


def read_boxes(path: Path) -> list[list[float]]:
    return [each["box_xyxy"] for each in json.loads(path.read_text())["detections"]]


def test_boxes_and_picture(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = save_image(tmp_path / "in" / "two.png", (10, 20, 16), (20, 44, 32))
    out = tmp_path / "new" / "out"
    assert run(model, image, "-o", out, "--scale-step", 2) == 0
    assert sorted(path.name for path in out.iterdir()) == ["two.json", "two.png"]
    record = json.loads((out / "two.json").read_text())
    assert record["image"] == {"path": str(image), "width": 80, "height": 60}
    assert record["model"]["path"] == str(model)
    assert sorted(read_boxes(out / "two.json")) == [[20, 10, 36, 26], [44, 20, 76, 52]]
    with Image.open(out / "two.png") as picture:
        assert (picture.size, picture.mode) == ((80, 60), "RGB")
    told = capsys.readouterr()
    assert told.out == f"{image}: 2 boxes, best disc 0.998; {out / 'two'}.json\n"
    assert told.err == ""


def test_options_reach_the_search(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = save_image(tmp_path / "one.png", (10, 20, 16))
    out = tmp_path / "out"
    assert run(model, "--no-pictures", "--scales", "2,1", "--threshold", 0.9, image, "--output", out) == 0
    assert [path.name for path in out.iterdir()] == ["one.json"]
    assert json.loads((out / "one.json").read_text())["settings"]["scales"] == [2.0, 1.0]
    assert "1 box, best disc" in capsys.readouterr().out
    assert run(model, image, "-o", out, "--threshold", 0.9999) == 0
    assert "nothing found" in capsys.readouterr().out


def test_the_border_can_be_chosen(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 64, 1), nn.Sigmoid())
    padded = nn.Sequential(*layers).eval()
    dense = fullyconv.convert(padded, window=(WINDOW, WINDOW))
    dense.save(tmp_path / "dense.pt2")
    image = save_image(tmp_path / "one.png", (10, 20, 16))
    scores = {}
    for border in ("image", "first-order", "window"):
        options = ("--no-pictures", "--scales", "1", "--threshold", 0, "--nms", 1)
        assert run(tmp_path / "dense.pt2", image, "-o", tmp_path / border, "--border", border, *options) == 0
        record = json.loads((tmp_path / border / "one.json").read_text())
        assert record["model"]["border"] == border
        scores[border] = {tuple(each["box_xyxy"]): each["score"] for each in record["detections"]}
    box = max(scores["window"], key=scores["window"].__getitem__)
    x0, y0 = int(box[0]), int(box[1])
    pixels = np.asarray(Image.open(image), np.float32)[y0 : y0 + WINDOW, x0 : x0 + WINDOW] / 255
    with torch.no_grad():
        crop = float(padded(torch.from_numpy(pixels)[None, None]))
    assert scores["window"][box] == pytest.approx(crop, abs=1e-5)
    assert scores["window"] != scores["image"] != scores["first-order"]


def test_the_same_bytes_again(model: Path, tmp_path: Path) -> None:
    image = save_image(tmp_path / "one.png", (10, 20, 16))
    for name in ("a", "b"):
        assert run(model, image, "-o", tmp_path / name) == 0
    for result in ("one.json", "one.png"):
        assert (tmp_path / "a" / result).read_bytes() == (tmp_path / "b" / result).read_bytes()


def test_images_of_one_name_do_not_overwrite_each_other(model: Path, tmp_path: Path) -> None:
    first = save_image(tmp_path / "a" / "one.png", (10, 20, 16))
    second = save_image(tmp_path / "b" / "ONE.bmp")
    out = tmp_path / "out"
    assert run(model, first, second, "-o", out) == 0
    names = {json.loads(path.read_text())["image"]["path"]: path.name for path in out.glob("*.json")}
    assert names == {str(first): "one.json", str(second): "ONE-2.json"}
    assert (out / "ONE-2.png").exists()


def test_folders_and_a_bad_image_among_good_ones(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    save_image(folder / "a.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:60])
    save_image(folder / "c.png", size=(60, 9))
    save_image(folder / "d.png")
    out = tmp_path / "out"
    assert run(model, folder, tmp_path / "none.png", "-o", out) == 1
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.png", "d.json", "d.png"]
    title, *reasons = capsys.readouterr().err.splitlines()
    assert title == "fullyconv: 3 of 5 images could not be done:"
    for reason, part in zip(
        reasons, ["b.png: the image cannot be read", "c.png: the im", "none.png: no such"], strict=True
    ):
        assert part in reason


@pytest.mark.parametrize("size", [(60, 9), None])
def test_one_bad_image_is_an_error_that_names_it(model: Path, tmp_path: Path, size: tuple | None) -> None:
    image = tmp_path / "one.png"
    if size:
        save_image(image, size=size)
    else:
        image.write_text("words")
    with pytest.raises(ImageError, match=r"one\.png: the image (is smaller|cannot be read)"):
        run(model, image, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_results_never_replace_an_input(model: Path, tmp_path: Path) -> None:
    image = save_image(tmp_path / "one.png")
    before = image.read_bytes()
    with pytest.raises(OptionError, match=r"one\.png: expected a folder apart from the images"):
        run(model, image, "-o", tmp_path)
    assert image.read_bytes() == before
    assert list(tmp_path.iterdir()) == [image]


def test_errors_before_any_work(model: Path, tmp_path: Path) -> None:
    image = save_image(tmp_path / "in" / "one.png")
    out = tmp_path / "out"
    with pytest.raises(OptionError, match="class 'dice': not one that the network detects; it has disc"):
        run(model, image, "-o", out, "--class", "dice")
    with pytest.raises(OptionError, match="--scales: expected auto or numbers"):
        run(model, image, "-o", out, "--scales", "small")
    with pytest.raises(ImageError, match="no images found"):
        run(model, "-o", out)
    assert not out.exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="choose another"):
        run(model, image, "-o", tmp_path / "file" / "out")
