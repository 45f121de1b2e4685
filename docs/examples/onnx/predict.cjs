// Predict a face with an exported model: `node predict.cjs model.onnx`, after `npm install onnxruntime-web`.
// In a browser, the functions are the same; fetch gives the bytes of the file, a canvas the pixels.
const fs = require("fs");
const ort = require("onnxruntime-web"); // or onnxruntime-node

/** Return an ONNX file's metadata. The runtime's JavaScript interface has none: read field 14 of the file. */
function metadata(bytes) {
  const fields = (data) => {
    let at = 0;
    const found = [];
    const number = () => {
      let value = 0;
      for (let factor = 1; ; factor *= 128) {
        const byte = data[at++];
        value += (byte & 127) * factor;
        if (byte < 128) return value;
      }
    };
    while (at < data.length) {
      const tag = number();
      const kind = tag % 8;
      if (kind === 0) number();
      else if (kind === 1) at += 8;
      else if (kind === 5) at += 4;
      else {
        const length = number();
        found.push([Math.floor(tag / 8), data.subarray(at, at + length)]);
        at += length;
      }
    }
    return found;
  };
  const text = (data) => new TextDecoder().decode(data);
  const entries = fields(bytes).filter(([field]) => field === 14);
  return Object.fromEntries(entries.map(([, entry]) => fields(entry).map(([, value]) => text(value))));
}

/** Return the region to crop around a box [left, top, width, height], in pixels of the photo. */
function region([left, top, width, height], crop) {
  const [x, y] = [left + width / 2, top + height / 2];
  const [wide, high] = [width * crop.margin, height * crop.margin];
  const proportion = crop.width / crop.height;
  width = Math.max(wide, high * proportion);
  height = Math.max(high, wide / proportion);
  return [x - width / 2, y - height / 2, width, height];
}

/** Return for each new pixel its source pixels and their weights: [[pixel, weight], …]. */
function weights(start, length, source, target) {
  const scale = length / target;
  const reach = Math.max(scale, 1); // the triangle filter averages if it scales down
  return Array.from({ length: target }, (_, index) => {
    const centre = start + (index + 0.5) * scale;
    const terms = [];
    let sum = 0;
    for (let place = Math.floor(centre - reach); place <= Math.ceil(centre + reach); place++) {
      const weight = Math.max(0, 1 - Math.abs(place + 0.5 - centre) / reach);
      terms.push([Math.min(Math.max(place, 0), source - 1), weight]); // the border is repeated
      sum += weight;
    }
    return terms.map(([place, weight]) => [place, weight / sum]);
  });
}

/** Return the network's input, channels × height × width, of a photo {width, height, rgb}. */
function networkInput(photo, box, crop) {
  const [left, top, width, height] = region(box, crop);
  const columns = weights(left, width, photo.width, crop.width);
  const rows = weights(top, height, photo.height, crop.height);
  const input = new Float32Array(crop.channels * crop.width * crop.height);
  for (let channel = 0; channel < crop.channels; channel++) {
    const level = (x, y) => {
      const at = 3 * (y * photo.width + x);
      if (crop.channels === 3) return photo.rgb[at + channel];
      const [red, green, blue] = photo.rgb.subarray(at, at + 3);
      return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16; // grey
    };
    for (let y = 0; y < crop.height; y++) {
      for (let x = 0; x < crop.width; x++) {
        let sum = 0;
        for (const [v, down] of rows[y]) for (const [u, across] of columns[x]) sum += down * across * level(u, v);
        input[(channel * crop.height + y) * crop.width + x] = Math.round(sum) / 255 - 0.5;
      }
    }
  }
  return input;
}

/** Return the points [x, y] in pixels of the photo, and the confidences, if the model has them. */
async function predict(bytes, photo, box) {
  const { crop } = JSON.parse(metadata(bytes).keypoints);
  if (crop.source === "image") box = [0, 0, photo.width, photo.height]; // the full photo is the face
  const session = await ort.InferenceSession.create(bytes);
  const shape = [1, crop.channels, crop.height, crop.width];
  const images = new ort.Tensor("float32", networkInput(photo, box, crop), shape);
  const { points, confidence } = await session.run({ images });
  const [left, top, width, height] = region(box, crop);
  const found = [];
  for (let at = 0; at < points.data.length; at += 2) {
    found.push([points.data[at] * width + left - 0.5, points.data[at + 1] * height + top - 0.5]);
  }
  return { points: found, confidence: confidence?.data };
}

/** Return the made-up photo of 320 × 240 pixels; its face has the box [104, 66, 112, 112]. */
function madeUpFace() {
  const ellipses = [
    [200, 160, 120, 60, 80], [40, 137, 100, 10, 5], [40, 183, 100, 10, 5], [70, 137, 88, 15, 3],
    [70, 183, 88, 15, 3], [140, 160, 128, 9, 5], [110, 160, 160, 22, 6],
  ];
  const photo = { width: 320, height: 240, rgb: new Uint8Array(320 * 240 * 3) };
  for (let y = 0; y < 240; y++) {
    for (let x = 0; x < 320; x++) {
      let level = 90;
      for (const [grey, cx, cy, rx, ry] of ellipses) {
        if (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1) level = grey;
      }
      const colour = [level, Math.floor((level * 9) / 10), Math.floor((level * 8) / 10)];
      photo.rgb.set(colour, 3 * (y * 320 + x));
    }
  }
  return photo;
}

if (require.main === module) {
  predict(new Uint8Array(fs.readFileSync(process.argv[2])), madeUpFace(), [104, 66, 112, 112]).then(
    ({ points, confidence }) => {
      const shown = ([x, y]) => `(${x.toFixed(1)}, ${y.toFixed(1)})`;
      console.log(`first point ${shown(points[0])}`);
      console.log(`nose tip ${shown(points[30])}, confidence ${confidence[30].toFixed(2)}`);
    },
  );
}
