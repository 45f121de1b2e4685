// The page of `keypoints demo`. All URLs are relative, since a proxy may serve the page under a prefix.
"use strict";

const at = (id) => document.getElementById(id);
const [input, result, status_, answer] = ["photo", "result", "status", "answer"].map(at);
const example = at("example");
const [useCamera, camera, video, take, stop] = ["use-camera", "camera", "video", "take", "stop"].map(at);
const empty = answer.innerHTML;
const maxBytes = Number(document.body.dataset.maxBytes);
const NO_CAMERA = "browsers allow the camera only on pages over https, or on this machine itself "
  + "(http://localhost); choose a photo instead";
const CAMERA_ERRORS = {
  NotAllowedError: "the camera was blocked; allow it for this page in the browser's settings, or choose a photo",
  NotFoundError: "no camera was found; choose a photo instead",
  NotReadableError: "the camera cannot be read; another program may be using it",
};

let pending = null; // controller of the current request
let stream = null; // stream of the camera

function say(text, bad = false) {
  status_.textContent = text;
  status_.classList.toggle("bad", bad);
}

// The status is not in the busy part, so that a screen reader says it at once.
function busy(is) {
  answer.setAttribute("aria-busy", String(is));
  status_.classList.toggle("busy", is);
}

function fail(text) {
  pending?.abort();
  pending = null;
  busy(false);
  answer.innerHTML = empty;
  say(text, true);
}

async function predict(photo, name) {
  if (photo.size > maxBytes) {
    fail(`${name}: has ${(photo.size / 1e6).toFixed(1)} MB, more than the limit of ${maxBytes / 1e6} MB`);
    return;
  }
  pending?.abort();
  const own = (pending = new AbortController());
  busy(true);
  say(`${name}: is being sent and answered`);
  let response, text;
  try {
    response = await fetch("predict", {
      method: "POST",
      body: photo,
      headers: { "Content-Type": "application/octet-stream", "X-Photo-Name": encodeURIComponent(name) },
      signal: own.signal,
    });
    text = await response.text();
  } catch {
    if (pending === own) fail(`${name}: cannot be sent; is the server still running, and the file still there?`);
    return;
  }
  if (pending !== own) return; // the user gave another photo in the meantime
  if (!response.ok || !response.headers.get("Content-Type")?.startsWith("text/html")) {
    fail(text.trim().slice(0, 500) || `the server answered ${response.status}`);
    return;
  }
  pending = null;
  const fragment = document.createElement("template");
  fragment.innerHTML = text;
  const said = fragment.content.querySelector(".said");
  said?.remove();
  const blank = !fragment.content.firstElementChild;
  if (blank) answer.innerHTML = empty;
  else answer.replaceChildren(fragment.content);
  busy(false);
  say(said?.textContent ?? "", said?.classList.contains("bad"));
  const beside = matchMedia("(min-width: 48rem)").matches; // else the answer is below the controls
  if (!beside || result.getBoundingClientRect().top < 0) result.scrollIntoView({ block: "start" });
}

function give(files, how) {
  if (files.length === 1) predict(files[0], files[0].name || "photo");
  else if (files.length > 1) fail(`one photo at a time; ${files.length} were ${how}`);
  else fail(`no picture file was ${how}`);
}

input.addEventListener("change", () => {
  const files = [...input.files];
  input.value = ""; // so that the same file can be chosen again
  if (files.length) give(files, "chosen");
});

example.addEventListener("click", async () => {
  pending?.abort();
  const own = (pending = new AbortController());
  busy(true);
  say("a face is being made up");
  let response, photo;
  try {
    response = await fetch("example", { method: "POST", signal: own.signal });
    photo = await response.blob();
  } catch {
    if (pending === own) fail("no face can be made up; is the server still running?");
    return;
  }
  if (pending !== own) return;
  if (response.ok) predict(photo, "made-up face.jpg");
  else fail((await photo.text()).trim().slice(0, 500) || `the server answered ${response.status}`);
});

let entered = 0; // number of elements under the dragged file
function dropping(event) {
  entered += event.type === "dragenter" ? 1 : -1;
  document.body.classList.toggle("dropping", entered > 0);
}
addEventListener("dragenter", dropping);
addEventListener("dragleave", dropping);
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  entered = 0;
  document.body.classList.remove("dropping");
  give([...event.dataTransfer.files], "dropped");
});
addEventListener("paste", (event) => give([...(event.clipboardData?.files ?? [])], "pasted"));

function closeCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
  take.disabled = true;
  camera.hidden = true;
  useCamera.hidden = false;
  useCamera.disabled = false;
}

useCamera.addEventListener("click", async () => {
  if (!navigator.mediaDevices?.getUserMedia) {
    fail(NO_CAMERA);
    return;
  }
  useCamera.disabled = true;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  } catch (error) {
    closeCamera();
    fail(CAMERA_ERRORS[error.name] ?? `the camera cannot be used (${error.name})`);
    return;
  }
  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => {
      closeCamera();
      fail("the camera was switched off");
    });
  }
  if (!pending) say("");
  video.srcObject = stream;
  camera.hidden = false;
  useCamera.hidden = true;
  stop.focus();
});

video.addEventListener("loadeddata", () => {
  take.disabled = false;
  take.focus();
});

take.addEventListener("click", () => {
  const still = document.createElement("canvas");
  still.width = video.videoWidth;
  still.height = video.videoHeight;
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob((photo) => predict(photo, "camera.jpg"), "image/jpeg", 0.95);
});

function leaveCamera() {
  closeCamera();
  useCamera.focus();
}
stop.addEventListener("click", leaveCamera);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !camera.hidden) leaveCamera();
});
addEventListener("pagehide", closeCamera);
