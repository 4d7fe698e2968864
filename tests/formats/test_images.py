import cv2
import numpy as np
import pytest

from fairmot_mm.formats.images import read_image, report_missing_images, write_image

IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def test_an_image_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "Straße" / "映像.png"
    write_image(path, IMAGE)
    np.testing.assert_array_equal(read_image(path), IMAGE)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.99])
def test_an_image_that_was_cut_off_is_refused(tmp_path, kind, share):
    path = tmp_path / f"image{kind}"
    write_image(path, IMAGE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(OSError, match=rf"unreadable image .*image{kind}: it is broken"):
        read_image(path)


def test_a_missing_image_or_folder_is_named(tmp_path):
    with pytest.raises(OSError, match=r"unreadable image .*a\.jpg: No such file"):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_image(tmp_path / "file/a.jpg", IMAGE)


@pytest.mark.parametrize("written", ["img1/000001.JPG", "IMG1/000001.jpg"])
def test_a_name_in_another_case_is_found_or_named(tmp_path, written):
    (tmp_path / "img1").mkdir()
    there = tmp_path / "img1/000001.jpg"
    there.touch()
    found = []
    paths = [str(there), str(tmp_path / written), str(tmp_path / "img1/2.jpg")]
    present = report_missing_images(paths, "list", found.append).tolist()
    if (tmp_path / written).exists():  # the file system ignores the case
        assert present == [True, True, False]
        return
    assert present == [True, False, False]
    assert f"in list: there is {there}, so correct the case" in found[0].text
    assert found[1].text == "missing"


def test_the_bytes_are_those_of_imwrite(tmp_path):
    write_image(tmp_path / "one.jpg", IMAGE)
    cv2.imwrite(str(tmp_path / "two.jpg"), IMAGE)
    assert (tmp_path / "one.jpg").read_bytes() == (tmp_path / "two.jpg").read_bytes()
