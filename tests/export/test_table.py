import csv

from fullyconv.detect import Detection
from fullyconv.export.table import write_table

FOUND = [Detection((10.0, 20.0, 74.0004, 84.0), 0.987654321, 'cell, "live"', 0.25)]


def test_a_line_for_each_detection(tmp_path):
    write_table(tmp_path / "d.csv", FOUND)
    assert (tmp_path / "d.csv").read_bytes() == (
        b'class,score,x0,y0,x1,y1,scale\n"cell, ""live""",0.987654,10.0,20.0,74.0,84.0,0.25\n'
    )


def test_microns_where_they_are_known(tmp_path):
    write_table(tmp_path / "d.csv", FOUND, (0.5, 0.25))
    with (tmp_path / "d.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    microns = {name: float(value) for name, value in line.items() if name.endswith("_um")}
    assert microns == {"x0_um": 2.5, "y0_um": 10.0, "x1_um": 18.5, "y1_um": 42.0}


def test_nothing_found_is_a_header(tmp_path):
    write_table(tmp_path / "d.csv", [])
    assert (tmp_path / "d.csv").read_text() == "class,score,x0,y0,x1,y1,scale\n"
