"""Predict a face with an exported model by numpy and onnxruntime alone: `python predict.py model.onnx`."""

import json
import sys

import numpy as np
import onnxruntime


def region(box, crop):
    """Return the region to crop around a box (left, top, width, height), in pixels of the photo."""
    left, top, width, height = box
    x, y = left + width / 2, top + height / 2
    width, height = width * crop["margin"], height * crop["margin"]
    proportion = crop["width"] / crop["height"]
    width, height = max(width, height * proportion), max(height, width / proportion)
    return x - width / 2, y - height / 2, width, height


def weights(start, length, source, target):
    """Return the weight of each of ``source`` pixels in each of ``target`` new pixels."""
    scale = length / target
    reach = max(scale, 1)  # pixels on each side of the triangle filter: it averages if it scales down
    filters = np.zeros((target, source))
    for new in range(target):
        centre = start + (new + 0.5) * scale
        places = np.arange(np.floor(centre - reach), np.ceil(centre + reach) + 1)
        values = np.maximum(0, 1 - np.abs(places + 0.5 - centre) / reach)
        inside = np.clip(places, 0, source - 1).astype(int)  # outside the photo its border is repeated
        np.add.at(filters[new], inside, values / values.sum())
    return filters


def network_input(rgb, box, crop):
    """Return the network's input, (1, C, H, W), of a face in an upright (H, W, 3) RGB photo of bytes."""
    left, top, width, height = region(box, crop)
    planes = rgb.astype(np.int64)
    if crop["channels"] == 1:
        planes = (planes @ (19595, 38470, 7471) + 32768)[..., None] // 65536  # grey
    rows = weights(top, height, rgb.shape[0], crop["height"])
    columns = weights(left, width, rgb.shape[1], crop["width"])
    small = np.einsum("yv,vuc,xu->cyx", rows, planes, columns, optimize=True)
    return (np.rint(small) / 255 - 0.5).astype(np.float32)[None]


def photo_points(ratios, box, crop):
    """Return the points, (K, 2), in pixels of the photo; the first pixel's centre is at (0, 0)."""
    left, top, width, height = region(box, crop)
    return ratios * (width, height) + (left - 0.5, top - 0.5)


def made_up_face():
    """Return the made-up photo of 320 × 240 pixels, and the box of its face."""
    y, x = np.mgrid[0:240, 0:320]
    level = np.full((240, 320), 90)
    for grey, cx, cy, rx, ry in (
        (200, 160, 120, 60, 80),
        (40, 137, 100, 10, 5),
        (40, 183, 100, 10, 5),
        (70, 137, 88, 15, 3),
        (70, 183, 88, 15, 3),
        (140, 160, 128, 9, 5),
        (110, 160, 160, 22, 6),
    ):
        level[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = grey
    return np.stack([level, level * 9 // 10, level * 8 // 10], axis=2).astype(np.uint8), (104, 66, 112, 112)


def predict(model, rgb, box):
    """Return the points in pixels of the photo, (K, 2), and the confidences, (K,) or ``None``."""
    options = onnxruntime.SessionOptions()
    # 8-bit weights: exact sums on x86 processors without VNNI; no effect on other files.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    crop = json.loads(session.get_modelmeta().custom_metadata_map["keypoints"])["crop"]
    if crop["source"] == "image":
        box = (0, 0, rgb.shape[1], rgb.shape[0])  # the full photo is the face
    ratios, *confidence = session.run(None, {"images": network_input(rgb, box, crop)})
    return photo_points(ratios[0].astype(float), box, crop), confidence[0][0] if confidence else None


if __name__ == "__main__":
    points, confidence = predict(sys.argv[1], *made_up_face())
    print("first point ({:.1f}, {:.1f})".format(*points[0]))
    print("nose tip ({:.1f}, {:.1f}), confidence {:.2f}".format(*points[30], confidence[30]))
