"""Synthetic portraits: a simple 3-D head, whose curves are drawn and also define the landmarks.

Head coordinates: x to the picture's right, y down, z towards the viewer; the origin lies between the
eyes, and 1 is half the distance of the outer eye corners.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from keypoints.geometry import ByteArray, FloatArray

SIZE = (640, 480)
_FINE = 2
"""Factor by which the picture is drawn larger, then averaged down."""
_COARSE = 4
"""Factor by which light and soft shadows are computed smaller: they change slowly over the picture."""

Colour = tuple[int, int, int]

_SKIN: tuple[Colour, ...] = (
    (232, 190, 165),
    (222, 176, 150),
    (205, 158, 128),
    (240, 204, 182),
    (176, 126, 96),
    (140, 96, 72),
    (105, 70, 52),
)
_HAIR: tuple[Colour, ...] = (
    (40, 30, 26),
    (66, 46, 34),
    (98, 70, 46),
    (150, 116, 72),
    (188, 156, 104),
    (120, 58, 34),
    (130, 126, 122),
)
_IRIS: tuple[Colour, ...] = ((70, 48, 32), (62, 92, 118), (80, 104, 70), (52, 40, 34))


@dataclass(frozen=True)
class Person:
    """Appearance of a person, the same in all of their pictures."""

    width: float
    chin: float
    jaw: float
    eye: float
    nose: float
    mouth: float
    lips: float
    brow: float
    skin: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    wall: Colour
    style: str
    beard: float
    hairline: float
    glasses: bool

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Person":
        """Sample a random person."""

        def pick(colours: tuple[Colour, ...], spread: float) -> Colour:
            return _tinted(colours[random.integers(len(colours))], *random.uniform(1 - spread, 1 + spread, 3))

        long_haired = random.random() < 0.35
        style = "long" if long_haired else str(random.choice(["short", "short", "fringe", "bald"]))
        return cls(
            width=random.uniform(0.92, 1.06),
            chin=random.uniform(0.93, 1.08),
            jaw=random.uniform(0.68, 0.86),
            eye=random.uniform(0.9, 1.12),
            nose=random.uniform(0.9, 1.1),
            mouth=random.uniform(0.9, 1.12),
            lips=random.uniform(0.75, 1.3),
            brow=random.uniform(0.6, 1.3),
            skin=pick(_SKIN, 0.05),
            hair=pick(_HAIR, 0.12),
            iris=pick(_IRIS, 0.15),
            cloth=_rgb(random.uniform(30, 200) + random.uniform(-35, 35, 3)),
            wall=_rgb(random.uniform((20, 50, 50), (75, 105, 110))),
            style=style,
            beard=0.0 if long_haired or random.random() < 0.55 else random.uniform(0.25, 0.8),
            hairline=random.uniform(-0.15, 0.2),
            glasses=random.random() < 0.15,
        )


@dataclass(frozen=True)
class Pose:
    """Position, direction and expression of a head, and the light; they differ between pictures.

    Angles are in degrees; ``yaw`` is positive if the face turns to the picture's right. ``centre`` is in
    pixels; ``scale`` is the pixels of one head unit. ``light`` is the direction towards the lamp in head
    coordinates; ``spot`` runs from 0, even light, to 1, a spotlight.
    """

    centre: tuple[float, float]
    scale: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    smile: float = 0.0
    mouth_open: float = 0.0
    brows_up: float = 0.0
    eyes_open: float = 1.0
    light: tuple[float, float, float] = (-0.3, -0.5, 0.8)
    spot: float = 0.15

    @cached_property
    def _rotation(self) -> FloatArray:
        yaw, pitch, roll = np.deg2rad([self.yaw, self.pitch, self.roll])
        about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
        about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
        return np.array(about_z) @ np.array(about_x) @ np.array(about_y)

    def project(self, points: FloatArray) -> FloatArray:
        """Map (N, 3) head coordinates to (N, 2) pixels of the picture."""
        turned = points @ self._rotation.T
        return turned[:, :2] * self.scale + self.centre


class Head:
    """Curves of a face. Each method returns (N, 3) head coordinates for N parameters."""

    def __init__(self, person: Person, pose: Pose) -> None:
        self.person = person
        self.pose = pose

    def jaw(self, degrees: FloatArray) -> FloatArray:
        """Return the jaw line: -90 is eye level at the picture's left, 0 the chin, 90 at the right."""
        angle = np.deg2rad(degrees)
        across = np.sign(angle) * np.abs(np.sin(angle)) ** self.person.jaw
        down = np.cos(angle) ** 0.8 * (2.5 * self.person.chin + 0.5 * self.pose.mouth_open)
        return np.stack([1.45 * self.person.width * across, down, 1.2 * np.cos(angle) ** 1.2 - 0.55], axis=1)

    def crown(self, degrees: FloatArray, lift: float = 0.0) -> FloatArray:
        """Return the head's outline above the eyes: 0 is the right end, 90 the top, 180 the left end."""
        angle = np.deg2rad(degrees)
        across = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8
        up = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.9
        width, height = 1.45 * self.person.width + lift * 0.8, 1.85 + lift
        return np.stack([width * across, -height * up, np.full_like(angle, -0.55)], axis=1)

    def eye(self, side: int, degrees: FloatArray) -> FloatArray:
        """Return an eye's lids: 0 is the outer corner, 90 the upper lid, 180 the inner corner."""
        angle = np.deg2rad(degrees)
        across, height = np.cos(angle), np.sin(angle)
        opening = np.where(height > 0, 0.155, 0.1) * self.person.eye * self.pose.eyes_open
        x = side * (0.68 + 0.32 * across)
        y = -opening * np.sign(height) * np.abs(height) ** 1.3 - 0.03 * across
        return np.stack([x, y, 0.48 - 0.14 * across], axis=1)

    def brow(self, side: int, along: FloatArray, thickness: float = 0.0) -> FloatArray:
        """Return a brow's upper edge, or a line ``thickness`` below it: 0 is the inner end, 1 the outer."""
        x = side * (0.29 + 0.95 * along)
        arch = 0.36 + 0.2 * np.sin(np.pi * along**0.9) - 0.1 * along + 0.16 * self.pose.brows_up
        return np.stack([x, -arch + thickness, 0.78 - 0.6 * along**1.5], axis=1)

    def nose(self) -> FloatArray:
        """Return eleven points from the bridge's left, around the wings and the base, to its right."""
        length, wing = self.person.nose, 0.37 * self.person.nose
        left = [(-0.17, 0.05, 0.72), (-0.21, 0.5 * length, 0.92), (-0.95 * wing, 0.67 * length, 0.82)]
        left += [(-wing, 0.87 * length, 0.8), (-0.52 * wing, 0.96 * length, 0.95)]
        right = [(-x, y, z) for x, y, z in reversed(left)]
        return np.array([*left, (0, 1.0 * length, 1.06), *right])

    def bridge(self, along: FloatArray) -> FloatArray:
        """Return the nose's ridge: 0 lies between the eyes, 1 is the tip."""
        return np.stack([0 * along, 0.03 + 0.76 * self.person.nose * along, 0.75 + 0.6 * along], axis=1)

    def lip(self, along: FloatArray, which: str) -> FloatArray:
        """Return the ``upper``, ``lower``, ``inner upper`` or ``inner lower`` edge; -1, 1 are the corners."""
        pose, round_ = self.pose, np.clip(1 - along**2, 0, 1)
        middle = 1.5 * self.person.chin
        thick = self.person.lips
        offset = {
            "upper": -0.17 * thick * round_**0.75 * (1 - 0.28 * np.exp(-((along / 0.2) ** 2))),
            "lower": (0.2 * thick + 0.62 * pose.mouth_open) * round_**0.65,
            "inner upper": -0.02 * round_,
            "inner lower": (0.02 + 0.62 * pose.mouth_open) * round_**0.8,
        }[which]
        reach = (0.57 if "inner" not in which else 0.5) * self.person.mouth
        reach *= 1 + 0.22 * pose.smile - 0.25 * pose.mouth_open
        y = middle + offset - 0.17 * pose.smile * along**2 + 0.04 * pose.smile
        return np.stack([reach * along, y, 0.62 + 0.33 * round_], axis=1)

    def imm58(self) -> FloatArray:
        """Return the points of the IMM scheme, (58, 2) pixels."""
        eyes = np.arange(0, 360, 45.0)
        brow = np.linspace(0, 1, 5)
        corner = np.array([-1.0])
        parts = [
            self.jaw(np.linspace(-70, 70, 13)),
            self.eye(1, eyes),
            self.eye(-1, eyes),
            self.brow(1, brow),
            self.brow(-1, brow),
            self.lip(corner, "upper"),
            self.lip(np.array([-0.25, 0, 0.25]), "upper"),
            self.lip(-corner, "upper"),
            self.lip(np.array([0.36, 0, -0.36]), "lower"),
            self.nose(),
        ]
        return self.pose.project(np.concatenate(parts))

    def ibug68(self) -> FloatArray:
        """Return the points of the 300-W scheme, (68, 2) pixels."""
        brow = np.linspace(0, 1, 5)
        nose = self.nose()
        outer, inner = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1]), np.array([-1, -0.33, 0, 0.33, 1])
        parts = [
            self.jaw(np.linspace(-88, 88, 17)),
            self.brow(-1, brow[::-1]),
            self.brow(1, brow),
            self.bridge(np.linspace(0, 1, 4)),
            (nose[[3, 4, 5, 6, 7]] + nose[[4, 4, 5, 6, 6]]) / 2,
            self.eye(-1, np.arange(0, 360, 60.0)),
            self.eye(1, np.array([180.0, 120, 60, 0, 300, 240])),
            self.lip(outer, "upper"),
            self.lip(outer[-2:0:-1], "lower"),
            self.lip(inner, "inner upper"),
            self.lip(inner[-2:0:-1], "inner lower"),
        ]
        return self.pose.project(np.concatenate(parts))


def portrait(head: Head, random: np.random.Generator, size: tuple[int, int] = SIZE) -> ByteArray:
    """Draw a portrait.

    Args:
        head: the head, with its person and pose.
        random: source of random hair, background and grain; it does not affect the landmarks.
        size: width and height of the picture, in pixels.

    Returns:
        (H, W, 3) RGB.
    """
    brush = _Brush(head, random, size)
    brush.wall()
    brush.behind()
    brush.face()
    brush.features()
    brush.hair()
    return brush.lit()


def example_portrait(seed: int) -> ByteArray:
    """Draw a random person who looks into the camera, (480, 640, 3) RGB.

    Args:
        seed: seed of the person, the expression and the light.
    """
    random = np.random.default_rng(seed)
    person = Person.draw(random)
    pose = Pose(
        centre=(320, 225),
        scale=66,
        yaw=random.uniform(-8, 8),
        roll=random.uniform(-5, 5),
        smile=random.uniform(0, 1),
        light=(random.uniform(-0.5, 0.5), -0.5, 0.8),
    )
    return portrait(Head(person, pose), random)


class _Brush:
    """Painter of flat colours at the fine size; soft shadows are kept apart, light is added at the end."""

    def __init__(self, head: Head, random: np.random.Generator, size: tuple[int, int]) -> None:
        self.head = head
        self.person = head.person
        self.pose = head.pose
        self.random = random
        self.size = size
        self.paper = Image.new("RGB", (size[0] * _FINE, size[1] * _FINE), self.person.wall)
        self.pen = ImageDraw.Draw(self.paper)
        coarse = (size[0] // _COARSE, size[1] // _COARSE)
        self.shadow = Image.new("L", coarse, 0)
        self.skin = Image.new("L", coarse, 0)

    def fine(self, points: FloatArray) -> list[tuple[float, float]]:
        """Map head coordinates to pixels of the fine picture."""
        return [(x, y) for x, y in (self.pose.project(points) + 0.5) * _FINE - 0.5]

    def coarse(self, points: FloatArray) -> list[tuple[float, float]]:
        """Map head coordinates to pixels of the coarse light and shadow maps."""
        return [(x, y) for x, y in (self.pose.project(points) + 0.5) / _COARSE - 0.5]

    def fill(self, points: FloatArray, colour: Colour) -> None:
        self.pen.polygon(self.fine(points), fill=colour)

    def line(self, points: FloatArray, colour: Colour, width: float) -> None:
        """Draw a line, ``width`` head units wide."""
        thick = max(1, round(width * self.pose.scale * _FINE))
        self.pen.line(self.fine(points), fill=colour, width=thick, joint="curve")

    def shade(self, points: FloatArray, depth: int) -> None:
        """Add a soft shadow with a depth from 0 to 255."""
        ImageDraw.Draw(self.shadow).polygon(self.coarse(points), fill=depth)

    def wall(self) -> None:
        """Paint an uneven wall: a few random shades, blended."""
        shades = self.random.uniform(0.75, 1.25, (4, 5, 1)) * self.person.wall
        patches = Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8))
        smooth = patches.resize((self.size[0] // 2, self.size[1] // 2), Image.Resampling.BICUBIC)
        self.paper.paste(smooth.resize(self.paper.size, Image.Resampling.NEAREST))

    def behind(self) -> None:
        """Paint the parts behind the face: long hair, shoulders, neck and ears."""
        person = self.person
        if person.style == "long":
            crown = self.head.crown(np.linspace(0, 180, 40), lift=0.28)
            ends = np.array([[-1.75, 1.2, -0.9], [-1.6, 3.0, -0.7], [1.6, 3.0, -0.7], [1.75, 1.2, -0.9]])
            self.fill(np.concatenate([crown, ends]), _tinted(person.hair, 0.75, 0.75, 0.75))
        # The body does not turn with the head.
        x, y = self.pose.project(np.array([[0.0, 0.0, -0.6]]))[0] * _FINE
        unit = self.pose.scale * _FINE
        neck = [(-0.95, 1.3), (-0.95, 3.0), (0.95, 3.0), (0.95, 1.3)]
        self.pen.polygon(
            [(x + a * unit, y + b * unit) for a, b in neck], fill=_tinted(person.skin, 0.78, 0.74, 0.72)
        )
        along = np.linspace(-1, 1, 40)
        top = 3.05 + 1.3 * np.abs(along) ** 1.7 - 0.35 * np.exp(-((np.abs(along) - 0.28) ** 2) / 0.012)
        body = [(x + a * 3.6 * unit, y + b * unit) for a, b in zip(along, top, strict=True)]
        floor = self.paper.height + 10
        self.pen.polygon([*body, (body[-1][0], floor), (body[0][0], floor)], fill=person.cloth)
        collar = [point for point, a in zip(body, along, strict=True) if abs(a) < 0.3]
        self.pen.line(
            collar, fill=_tinted(person.cloth, 0.6, 0.6, 0.6), width=round(0.16 * unit), joint="curve"
        )
        if person.style != "bald":  # the back of the head is visible when the head turns
            crown = self.head.crown(np.linspace(0, 180, 40), lift=0.2) - [0, 0, 0.8]
            self.fill(np.concatenate([crown, [[-1.3, 1.0, -1.3], [1.3, 1.0, -1.3]]]), person.hair)
        for side in (-1, 1):
            ear = _oval((side * 1.5 * person.width, 0.42, -0.75), 0.2, 0.46)
            self.fill(ear, _tinted(person.skin, 0.92, 0.84, 0.8))
            self.fill(
                _oval((side * 1.52 * person.width, 0.42, -0.7), 0.09, 0.26),
                _tinted(person.skin, 0.75, 0.64, 0.6),
            )

    def face(self) -> None:
        """Paint the face's surface and its shadows."""
        head, person = self.head, self.person
        back = np.array([[1.0, 1.0, -0.9], [-1.0, 1.0, -0.9]]) * [1.48 * person.width, 1, 1]
        side = np.concatenate([head.crown(np.linspace(0, 180, 40)) - [0, 0, 0.5], back[::-1]])
        self.fill(side, _tinted(person.skin, 0.86, 0.8, 0.77))
        outline = np.concatenate([head.jaw(np.linspace(-90, 90, 60)), head.crown(np.linspace(0, 180, 60))])
        self.fill(outline, person.skin)
        # Temple and cheek bone make the silhouette of a turned head.
        bones = np.array(
            [
                [0.6, -1.72, -0.1],
                [1.02, -1.3, 0.05],
                [1.25, -0.6, 0.2],
                [1.27, 0, 0.25],
                [1.2, 0.6, 0.3],
                [0.98, 1.3, 0.3],
            ]
        )
        bones = np.concatenate([bones, bones[::-1] * [-1, 1, 1]]) * [person.width, 1, 1]
        self.fill(bones, person.skin)
        for surface in (outline, bones):
            ImageDraw.Draw(self.skin).polygon(self.coarse(surface), fill=255)
        self.line(head.jaw(np.linspace(-90, 90, 60)), _tinted(person.skin, 0.72, 0.64, 0.6), 0.03)
        if person.beard:
            jaw = head.jaw(np.linspace(-72, 72, 40))
            upper = head.jaw(np.linspace(72, -72, 40)) * [0.72, 0.6, 1] + [0, 0.52, 0.25]
            whiskers = np.concatenate([jaw, upper])
            mixed = [
                person.beard * 0.75 * hair + (1 - person.beard * 0.75) * skin
                for hair, skin in zip(person.hair, person.skin, strict=True)
            ]
            self.fill(whiskers, _rgb(np.array(mixed)))
            self.line(head.lip(np.linspace(-1, 1, 20), "upper") - [0, 0.1, 0], _rgb(np.array(mixed)), 0.2)
        for s in (-1, 1):
            self.shade(_oval((s * 0.62, -0.06, 0.5), 0.5, 0.36), 70)
            cheek = np.array(
                [[s * 1.4, 0.4, -0.5], [s * 0.85, 0.9, 0.5], [s * 0.75, 1.9, 0.4], [s * 1.2, 1.5, -0.3]]
            )
            self.shade(cheek, 42)
        self.shade(_oval((0, 1.92 * person.chin, 0.8), 0.34, 0.09), 60)

    def features(self) -> None:
        """Paint eyes, brows, nose, mouth and glasses."""
        head, person = self.head, self.person
        around = np.linspace(0, 360, 48)
        for side in (-1, 1):
            lids = head.eye(side, around)
            self.fill(lids, (236, 232, 226))
            self._iris(side, lids)
            self.line(head.eye(side, np.linspace(-8, 188, 30)), _tinted(person.skin, 0.3, 0.24, 0.22), 0.045)
            self.line(
                head.eye(side, np.linspace(190, 350, 30)), _tinted(person.skin, 0.68, 0.56, 0.52), 0.025
            )
            crease = head.eye(side, np.linspace(15, 165, 30)) - [0, 0.085, 0]
            self.line(crease, _tinted(person.skin, 0.74, 0.65, 0.62), 0.025)
            along = np.linspace(0, 1, 20)
            thick = 0.13 * person.brow * np.sin(np.pi * (0.12 + 0.8 * along))
            lower = head.brow(side, along) + np.stack([0 * along, thick, 0 * along], axis=1)
            brow = np.concatenate([head.brow(side, along), lower[::-1]])
            self.fill(brow, _tinted(person.hair, 0.82, 0.8, 0.78))
        self._nose()
        self._mouth()
        if person.glasses:
            for side in (-1, 1):
                frame = _oval((side * 0.7, 0.02, 0.75), 0.46, 0.34)
                self.line(np.concatenate([frame, frame[:2]]), (30, 28, 30), 0.05)
            self.line(np.array([[-0.25, -0.05, 0.9], [0.25, -0.05, 0.9]]), (30, 28, 30), 0.05)

    def _iris(self, side: int, lids: FloatArray) -> None:
        """Paint iris and pupil, clipped by the lids."""
        (x, y), unit = self.fine(np.array([[side * 0.68, -0.02, 0.5]]))[0], self.pose.scale * _FINE
        reach = 0.2 * unit
        left, top = round(x - 2 * reach), round(y - 2 * reach)
        window = (left, top, left + round(4 * reach), top + round(4 * reach))
        patch = self.paper.crop(window)
        pen = ImageDraw.Draw(patch)
        for radius, colour in ((0.155, self.person.iris), (0.07, (12, 10, 10))):
            pen.ellipse(_disc(x - left, y - top, radius * unit), fill=colour)
        glint = (x - left - 0.05 * unit, y - top - 0.05 * unit)
        pen.ellipse(_disc(*glint, 0.03 * unit), fill=(250, 250, 250))
        mask = Image.new("L", patch.size, 0)
        inside = [(a - left, b - top) for a, b in self.fine(lids)]
        ImageDraw.Draw(mask).polygon(inside, fill=255)
        self.paper.paste(patch, (left, top), mask)

    def _nose(self) -> None:
        nose, skin = self.head.nose(), self.person.skin
        tip = self.head.bridge(np.array([1.0]))[0]
        ridge = self.head.bridge(np.linspace(0, 1, 8))
        away = 1 if self.pose.light[0] < 0 else -1
        flank = nose[:5] if away < 0 else nose[:5:-1]
        if abs(self.pose.yaw) > 15:  # the ridge is visible against the far cheek
            far = nose[:6] if self.pose.yaw < 0 else nose[:4:-1]
            self.fill(np.concatenate([ridge, far[::-1]]), _tinted(skin, 0.97, 0.95, 0.94))
            self.line(ridge[2:], _tinted(skin, 0.74, 0.66, 0.62), 0.03)
        self.shade(np.concatenate([ridge, flank[::-1]]), 85)
        self.fill(_oval((tip[0], tip[1], tip[2] - 0.1), 0.2, 0.16), _tinted(skin, 1.05, 1.03, 1.0))
        self.line(nose[2:9], _tinted(skin, 0.66, 0.56, 0.52), 0.035)
        for side in (-1, 1):
            self.fill(
                _oval((side * 0.16, nose[5, 1] - 0.05, 1.0), 0.075, 0.045), _tinted(skin, 0.36, 0.27, 0.24)
            )
        self.shade(np.concatenate([nose[3:8], nose[7:2:-1] + np.array([0, 0.22, -0.2])]), 60)

    def _mouth(self) -> None:
        head, along = self.head, np.linspace(-1, 1, 40)
        upper, lower = head.lip(along, "upper"), head.lip(along[::-1], "lower")
        red = _tinted(self.person.skin, 0.86, 0.6, 0.58)
        self.fill(np.concatenate([upper, lower]), red)
        inside, floor = head.lip(along, "inner upper"), head.lip(along[::-1], "inner lower")
        self.fill(np.concatenate([inside, floor]), (62, 22, 22))
        if self.pose.mouth_open > 0.08:
            gap = head.lip(along[::-1], "inner lower")
            teeth = inside[::-1] + (gap - inside[::-1]) * min(1.0, 0.11 / self.pose.mouth_open)
            self.fill(np.concatenate([inside[4:-4], teeth[4:-4]]), (234, 230, 220))
        self.line(inside, _tinted(red, 0.5, 0.42, 0.42), 0.03)
        self.fill(np.concatenate([upper, inside[::-1]]), _tinted(red, 0.86, 0.84, 0.84))

    def hair(self) -> None:
        """Paint the hair in front: single strands over a solid area."""
        person = self.person
        if person.style == "bald":
            return
        across = np.linspace(-1, 1, 40)
        height = 1.28 + person.hairline - (0.42 if person.style == "fringe" else 0.0)
        drop = 1.45 if person.style == "long" else 0.95
        y = -height + drop * np.abs(across) ** 3
        line = np.stack([1.42 * person.width * across, y, 0.5 - 0.5 * across**2], axis=1)
        crown = self.head.crown(np.linspace(-4, 184, 60), lift=0.22)
        self.fill(np.concatenate([line, crown]), person.hair)
        near_side = np.linspace(0, 90, 20) if self.pose.yaw < 0 else np.linspace(90, 180, 20)
        temple = self.head.crown(near_side, lift=0.2)
        self.fill(np.concatenate([temple, temple[::-1] - [0, 0, 0.8]]), person.hair)
        roots = crown[self.random.integers(0, len(crown), 150)]
        tips = line[self.random.integers(0, len(line), 150)]
        ends = roots + (tips - roots) * self.random.uniform(0.3, 0.95, (150, 1))
        shades = self.random.uniform(0.72, 1.3, 150)
        near = np.abs(roots[:, 0] - tips[:, 0]) < 0.7
        for root, end, shade in zip(roots[near], ends[near], shades[near], strict=True):
            self.line(np.stack([root, end]), _tinted(person.hair, shade, shade, shade), 0.03)

    def lit(self) -> ByteArray:
        """Return the finished picture, (H, W, 3): averaged down, with light and grain."""
        picture = np.array(self.paper.reduce(_FINE), np.float32)
        light = Image.fromarray(self.light().astype(np.float32))
        picture *= np.asarray(light.resize(self.size, Image.Resampling.BILINEAR))[..., None]
        picture += 3 * self.random.standard_normal((*picture.shape[:2], 1), np.float32)
        return picture.clip(0, 255, out=picture).astype(np.uint8)

    def light(self) -> FloatArray:
        """Return the brightness at the coarse size.

        The head is an ellipsoid under Lambert's law, with soft shadows. The wall is lit from the same side.
        """
        pose, reach = self.pose, self.pose.scale / _COARSE
        (x0, y0) = self.coarse(np.array([[0, 0.45, 0.3]]))[0]
        across = (np.arange(self.shadow.width)[None, :] - x0) / (1.9 * reach)
        down = (np.arange(self.shadow.height)[:, None] - y0) / (2.7 * reach)
        outwards = np.sqrt(np.clip(1 - across**2 - down**2, 0.04, 1))
        lamp = np.array(pose.light) / np.linalg.norm(pose.light)
        lambert = np.clip(across * lamp[0] + down * lamp[1] + outwards * lamp[2], 0, 1)
        wall = 0.75 + 0.35 * np.clip(across * lamp[0] * 0.35 + 0.3, 0, 1)
        on_head = (1 - pose.spot) * (0.72 + 0.36 * lambert) + pose.spot * (0.22 + lambert)
        on_wall = (1 - pose.spot) * 0.95 + pose.spot * wall
        skin = np.asarray(self.skin.filter(ImageFilter.GaussianBlur(reach * 0.3)), np.float64) / 255
        shadow = np.asarray(self.shadow.filter(ImageFilter.GaussianBlur(reach * 0.13)), np.float64) / 255
        lit: FloatArray = (skin * on_head + (1 - skin) * on_wall) * (1 - 0.6 * shadow)
        return lit


def _oval(centre: tuple[float, float, float], across: float, down: float) -> FloatArray:
    """Return the points of an ellipse in the plane of the face, (N, 3)."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([across * np.cos(angle), down * np.sin(angle), 0 * angle], axis=1) + centre


def _disc(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


def _rgb(values: FloatArray) -> Colour:
    red, green, blue = (int(np.clip(round(float(value)), 0, 255)) for value in values)
    return red, green, blue


def _tinted(colour: Colour, red: float, green: float, blue: float) -> Colour:
    return _rgb(np.array(colour) * (red, green, blue))
