import pytest
from pydantic import ValidationError

from gifqa.errors import MediaTooLarge, UnreadableMedia
from gifqa.limits import FLAGS, Budget, MediaLimits, check_bytes, how_to_raise


def test_limits_are_frozen_and_know_their_fields():
    with pytest.raises(ValidationError):
        MediaLimits(max_byte=3)
    with pytest.raises(ValidationError):
        MediaLimits(max_frames=0)
    with pytest.raises(ValidationError):
        MediaLimits().max_frames = 3


def test_every_limit_that_can_be_raised_has_a_flag():
    assert set(FLAGS) == set(MediaLimits.model_fields) - {"allow_urls"}
    assert how_to_raise("max_side") == "raise --max-side (MediaLimits.max_side)"


def test_a_limit_itself_is_allowed():
    limits = MediaLimits(
        max_bytes=9, max_side=8, max_canvas_pixels=64, max_frames_scanned=3, max_pixels_decoded=99
    )
    budget = Budget("cat.gif", limits)
    budget.check_canvas(8, 8)
    budget.check_frame_count(3)
    budget.check_pixels(99)
    budget.check_time()
    check_bytes(9, "cat.gif", limits)


def test_one_more_is_not():
    limits = MediaLimits(
        max_bytes=9, max_side=8, max_canvas_pixels=63, max_frames_scanned=3, max_pixels_decoded=99
    )
    budget = Budget("cat.gif", limits)
    for check, arguments, flag in (
        (budget.check_canvas, (9, 1), "--max-side"),
        (budget.check_canvas, (8, 8), "--max-canvas-megapixels"),
        (budget.check_frame_count, (4,), "--max-frames-scanned"),
        (budget.check_pixels, (100,), "--max-megapixels"),
        (check_bytes, (10, "cat.gif", limits), "--max-megabytes"),
    ):
        with pytest.raises(MediaTooLarge, match=rf"^cat\.gif .*\. .* raise {flag} \(MediaLimits\.\w+\)\.$"):
            check(*arguments)


def test_canvas_of_nothing():
    with pytest.raises(
        UnreadableMedia, match=r"cat\.gif has a canvas of 0x5 pixels; it needs at least 1x1\. Save"
    ):
        Budget("cat.gif", MediaLimits()).check_canvas(0, 5)


def test_clock():
    budget = Budget("cat.gif", MediaLimits(timeout_seconds=5))
    assert 4 < budget.seconds_left <= 5
    late = Budget("cat.gif", MediaLimits(timeout_seconds=1e-9))
    with pytest.raises(MediaTooLarge, match=r"takes more than 1e-09 seconds to decode.*--max-seconds"):
        late.check_time()
    assert late.seconds_left > 0
