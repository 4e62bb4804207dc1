"""Video: timing of pairs, fitting, and the patch layout."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from interaction.errors import InputError
from interaction.modality.video import (
    CLIP_MEAN,
    CLIP_STD,
    fit,
    frame_pairs,
    patch_grid,
    patchify,
    read_video,
    turn_pairs,
)


def record(path, frames, fps, first=0):
    """Write grey frames whose level is their number times 10."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(fps).limit_denominator())
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 4_000_000
        for i in range(frames):
            image = np.full((48, 64, 3), 20 + 10 * i, np.uint8)
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = first + i, 1 / Fraction(fps).limit_denominator()
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(pair):
    return None if pair is None else [round((f.mean() - 20) / 10) for f in pair]


def test_reads_frames_in_time(tmp_path):
    frames = list(read_video(record(tmp_path / "v.mp4", 5, 10)))
    assert [t for t, _ in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 for _, f in frames)
    assert [round((f.mean() - 20) / 10) for _, f in frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
def test_a_camera_that_comes_on_late_is_late(tmp_path, name):
    path = record(tmp_path / name, 2, 10, first=30)
    assert [t for t, _ in read_video(path)] == pytest.approx([3.0, 3.1])
    assert [numbers(pair) for pair in frame_pairs(path)] == [None] * 15 + [[0, 1]]


@pytest.mark.parametrize(
    "fps, frames, expected",
    [
        (10, 5, [[0, 1], [2, 3], [4, 4]]),
        (20, 8, [[1, 3], [5, 7]]),  # the newest of each half
        (5, 3, [[0, 0], [1, 1], [2, 2]]),
        # Frames at 0 and 0.5 s: the second falls in a second half, after the first.
        (2, 2, [[0, 0], None, [0, 1]]),
        (1, 1, [[0, 0]]),
    ],
)
def test_pairs_follow_the_clock(tmp_path, fps, frames, expected):
    path = record(tmp_path / "v.mp4", frames, fps)
    assert [numbers(pair) for pair in frame_pairs(path)] == expected


def test_a_pair_never_shows_the_future(tmp_path):
    path = record(tmp_path / "v.mp4", 20, 25)
    for k, pair in enumerate(turn_pairs(path)):
        first, second = numbers(pair)
        assert first / 25 < 0.2 * k + 0.1 + 1e-6 and second / 25 < 0.2 * (k + 1) + 1e-6


def test_a_picture_is_one_pair_of_itself(tmp_path):
    image = np.zeros((30, 20, 3), np.uint8)
    image[:, :, 0] = 200
    Image.fromarray(image).save(tmp_path / "still.png")
    (pair,) = frame_pairs(tmp_path / "still.png")
    np.testing.assert_array_equal(pair, np.stack([image, image]))


def test_pairs_are_fitted(tmp_path):
    path = record(tmp_path / "v.mp4", 2, 10)
    assert frame_pairs(path, size=(40, 80))[0].shape == (2, 40, 80, 3)


@pytest.mark.parametrize("content", [b"", b"a plain text, by no means a video" * 40])
def test_bad_video_is_one_line(tmp_path, content, capfd):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad.mp4") as caught:
        turn_pairs(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_video_and_sound_only(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_video(tmp_path / "absent.mp4")
    import soundfile

    soundfile.write(tmp_path / "sound.wav", np.zeros(1600), 16000)
    with pytest.raises(InputError, match="no video"):
        read_video(tmp_path / "sound.wav")


def test_fit_letterboxes_and_keeps_aspect():
    out = fit(np.full((100, 100, 3), 255, np.uint8), 40, 80)
    assert out.shape == (40, 80, 3)
    assert (out[:, 20:60] > 250).all()
    assert (out[:, :20] == 0).all() and (out[:, 60:] == 0).all()


def test_fit_does_not_alias():
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    middle = fit(stripes, 40, 40)[5:-5, 5:-5].astype(float)
    assert abs(middle - 127.5).max() < 12


def test_fit_refuses_other_arrays():
    with pytest.raises(InputError, match="uint8"):
        fit(np.zeros((4, 4, 3), np.float32), 2, 2)


@pytest.mark.parametrize(
    "height, width, grid", [(40, 40, (1, 2)), (41, 79, (2, 2)), (200, 320, (5, 9))]
)
def test_grid_has_one_more_column(height, width, grid):
    assert patch_grid(height, width) == grid
    pair = np.zeros((2, height, width, 3), np.uint8)
    assert patchify(pair).shape == (grid[0] * grid[1], 2, 40, 40, 3)


def test_patches_hold_the_right_pixels():
    """Against a direct loop over patches: slice, pad with -1, rescale, normalise."""
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 256, (2, 50, 90, 3), np.uint8)
    expected = []
    for row in range(2):
        for column in range(3):
            y, x = 40 * row, 40 * column
            patch = np.full((2, 40, 40, 3), -1.0, np.float64)
            cut = pair[:, y : y + 40, x : x + 40]
            patch[:, : cut.shape[1], : cut.shape[2]] = cut
            expected.append((patch / 255 - CLIP_MEAN) / CLIP_STD)
    np.testing.assert_allclose(patchify(pair), np.stack(expected), atol=1e-5)


def test_patchify_refuses_other_shapes():
    with pytest.raises(InputError, match=r"\[2, H, W, 3\]"):
        patchify(np.zeros((3, 40, 40, 3), np.uint8))
