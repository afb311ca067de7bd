// The page of `img2img serve`. What can be chosen is read from /openapi.json, which is made of the command line's options.
"use strict";

const AT_ONCE = 2; // uploads under way
const POLL = 400; // milliseconds
const IN_SIGHT = 5; // options that are not folded away
const GAIN = 8; // of a difference

const $ = (id) => document.getElementById(id);
const page = { document: null, task: "", files: [], items: [], shown: null, busy: 0, queue: [], token: "" };

// ---- the service

function headers() {
  return page.token ? { Authorization: `Bearer ${page.token}` } : {};
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  if (answer.ok) return answer;
  let text = `${answer.status} ${answer.statusText}`;
  try {
    text = (await answer.json()).error;
  } catch {
    // No JSON: the status has to do.
  }
  if (answer.status === 401) $("token").hidden = false;
  throw Object.assign(new Error(text), { status: answer.status });
}

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// ---- elements

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children); // strings become text, never markup
  return made;
}

function say(text) {
  $("news").textContent = text;
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  const [value, unit] = count < 1e6 ? [count / 1e3, "kB"] : [count / 1e6, "MB"];
  return `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`;
}

// ---- tasks and their options

function tasks() {
  return Object.entries(page.document.paths)
    .filter(([, methods]) => methods.post)
    .map(([path]) => path.slice("/v1/".length));
}

function parameters(task = page.task) {
  return page.document.paths[`/v1/${task}`].post.parameters.filter((parameter) => !parameter["x-service"]);
}

function buildTabs() {
  for (const task of tasks()) {
    const tab = element("button", { type: "button", role: "tab", id: `tab-${task}`, "aria-controls": "panel" }, task);
    tab.addEventListener("click", () => choose(task));
    $("tabs").append(tab);
  }
  $("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = tasks();
    const next = all[(all.indexOf(page.task) + step + all.length) % all.length];
    choose(next);
    $(`tab-${next}`).focus();
    event.preventDefault();
  });
}

function choose(task) {
  page.task = task;
  for (const tab of $("tabs").children) {
    const selected = tab.id === `tab-${task}`;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  }
  $("panel").setAttribute("aria-labelledby", `tab-${task}`);
  $("about").textContent = page.document.paths[`/v1/${task}`].post.summary;
  $("files").accept = task === "decompress" ? ".i2i" : "image/*,.tif,.tiff,.avif,.heic,.jxl";
  $("options").replaceChildren();
  $("rest").replaceChildren();
  parameters().forEach((parameter, i) => $(i < IN_SIGHT ? "options" : "rest").append(field(parameter)));
  $("more").hidden = !$("rest").children.length;
  describe();
}

function field(parameter) {
  const { name, schema } = parameter;
  const id = `option-${name}`;
  const help = element("p", { className: "help", id: `${id}-help` }, parameter.description);
  const label = element("label", { htmlFor: id }, name);
  const input = control(schema, parameter.required);
  Object.assign(input, { id, name });
  input.setAttribute("aria-describedby", help.id);
  const flag = schema.type === "boolean";
  return element("div", { className: flag ? "field flag" : "field" }, ...(flag ? [input, label] : [label, input]), help);
}

function control(schema, required) {
  const standard = schema.default ?? "";
  if (schema.type === "boolean") {
    return element("input", { type: "checkbox", checked: standard === true, defaultChecked: standard === true });
  }
  if (schema.enum) {
    const select = element("select", { required });
    if (standard === "" && !required) select.append(element("option", { value: "" }, "as the command chooses"));
    for (const word of schema.enum) select.append(element("option", { value: word, selected: word === standard }, word));
    return select;
  }
  if (schema.type === "integer" || schema.type === "number") {
    const input = element("input", { type: "number", required, value: standard, step: schema.type === "integer" ? 1 : "any" });
    if (schema.minimum !== undefined) input.min = schema.minimum;
    if (schema.maximum !== undefined) input.max = schema.maximum;
    return input;
  }
  const input = element("input", { type: "text", required, value: standard, spellcheck: false });
  if (schema.pattern) input.pattern = schema.pattern.replace(/^\^|\$$/g, "");
  if (schema["x-metavar"]) input.placeholder = schema["x-metavar"];
  if (schema.oneOf) input.placeholder = `${schema.oneOf[0].const}, or a number`;
  return input;
}

// What differs from what holds anyway, as pairs of names and values.
function chosen() {
  const pairs = [];
  for (const { name, schema } of parameters()) {
    const input = $(`option-${name}`);
    const value = input.type === "checkbox" ? String(input.checked) : input.value.trim();
    const standard = String(schema.default ?? (schema.type === "boolean" ? false : ""));
    if (value !== standard && value !== "") pairs.push([name, value]);
  }
  return pairs;
}

const quoted = (word) => (/^[\w.,/:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function commandLine() {
  const words = ["img2img", page.task];
  const names = page.files.length ? page.files.map((file) => file.name) : ["PICTURE"];
  words.push(...names.map((name) => quoted(name.startsWith("-") ? `./${name}` : name)));
  for (const [name, value] of chosen()) {
    if (value === "true") words.push(`--${name}`);
    else if (value === "false") words.push(`--no-${name}`);
    else words.push(`--${name}`, quoted(value));
  }
  return words.join(" ");
}

function describe() {
  const count = page.files.length;
  const size = page.files.reduce((sum, file) => sum + file.size, 0);
  const first = count === 1 ? page.files[0].name : `${count} files`;
  $("chosen").textContent = count ? `${first}, ${bytes(size)}` : "Nothing chosen.";
  $("run").disabled = !count;
  $("command").textContent = commandLine();
}

function take(files) {
  if (!files.length) return;
  page.files = [...files];
  const compressed = page.files.every((file) => file.name.toLowerCase().endsWith(".i2i"));
  if (compressed !== (page.task === "decompress")) choose(compressed ? "decompress" : page.task === "decompress" ? tasks()[0] : page.task);
  describe();
}

// ---- running

function run() {
  const query = new URLSearchParams([...chosen(), ["wait", "0"]]);
  for (const file of page.files) {
    const item = { task: page.task, file, query, state: "waiting", controller: new AbortController(), after: null };
    item.row = row(item);
    page.items.push(item);
    page.queue.push(item);
    $("list").append(item.row.line);
    refresh(item);
  }
  pump();
  if ($("results").getBoundingClientRect().top > innerHeight / 2) $("results").scrollIntoView(); // on a phone
}

function pump() {
  while (page.busy < AT_ONCE && page.queue.length) {
    const item = page.queue.shift();
    page.busy += 1;
    work(item).finally(() => {
      page.busy -= 1;
      pump();
    });
  }
  const under = page.items.some((item) => ["waiting", "uploading", "queued", "running"].includes(item.state));
  $("stop").hidden = !under;
  $("clear").hidden = under || !page.items.length;
  $("all").hidden = page.items.filter((item) => item.after).length < 2;
  document.title = under ? "… img2img" : "img2img";
}

async function work(item) {
  const { signal } = item.controller;
  try {
    const limit = page.document["x-limits"].body;
    if (item.file.size > limit) throw new Error(`larger than ${bytes(limit)}, which this service allows`);
    set(item, "uploading");
    const job = await submit(item, signal);
    item.place = `/v1/jobs/${encodeURIComponent(job.id)}`;
    await follow(item, signal);
    const answer = await ask(`${item.place}/result`, { signal });
    item.after = await answer.blob();
    item.picture = item.task === "compress" ? await decompressed(item.after, signal) : item.after;
    set(item, "done");
    say(`${item.file.name}: done`);
    if (!page.shown || page.shown.state !== "done" || page.shown === item) await show(item);
  } catch (error) {
    if (error.name === "AbortError") set(item, "cancelled");
    else {
      item.error = error.message;
      set(item, "failed");
      say(`${item.file.name}: ${error.message}`);
    }
  } finally {
    if (item.place) {
      ask(item.place, { method: "DELETE", keepalive: true }).catch(() => {}); // it may be gone already
      item.place = null;
    }
  }
}

async function submit(item, signal) {
  for (;;) {
    try {
      const body = new Blob([item.file], { type: "application/octet-stream" });
      const answer = await ask(`/v1/${item.task}?${item.query}`, { method: "POST", body, signal });
      return await answer.json();
    } catch (error) {
      if (error.status !== 429) throw error;
      await wait(2000); // others wait, too
      signal.throwIfAborted();
    }
  }
}

async function follow(item, signal) {
  let previews = 0;
  for (;;) {
    const job = await (await ask(item.place, { signal })).json();
    item.progress = job.progress;
    item.before = job.before;
    if (job.state === "done") {
      item.facts = job.facts;
      item.seconds = job.seconds;
      item.format = job.format;
      return;
    }
    if (job.state === "failed") throw new Error(job.error);
    if (job.state === "cancelled") throw new DOMException("cancelled", "AbortError");
    set(item, job.state);
    if ((job.previews ?? 0) > previews) {
      previews = job.previews;
      await unfinished(item, signal);
    }
    await wait(POLL);
  }
}

async function decompressed(blob, signal) {
  const answer = await ask("/v1/decompress", { method: "POST", body: blob, signal });
  return answer.blob();
}

function stop() {
  for (const item of page.queue.splice(0)) set(item, "cancelled");
  for (const item of page.items) if (!item.after) item.controller.abort();
  say("Cancelled.");
  pump();
}

function clear() {
  page.items = [];
  $("list").replaceChildren();
  hideViewer();
  say("");
  pump();
}

// ---- the list

function row(item) {
  const name = element("span", { className: "name" }, item.file.name);
  const what = element("span", { className: "what" });
  const bar = element("progress", { max: 1, "aria-label": `Progress of ${item.file.name}` });
  const look = element("button", { type: "button", hidden: true, "aria-label": `Show ${item.file.name}` }, "Show");
  const save = element("button", { type: "button", hidden: true, "aria-label": `Download the result of ${item.file.name}` }, "Download");
  look.addEventListener("click", () => show(item));
  save.addEventListener("click", () => download(item.after, resultName(item)));
  return { line: element("li", {}, name, what, bar, look, save), what, bar, look, save };
}

function set(item, state) {
  item.state = state;
  refresh(item);
  pump();
}

function refresh(item) {
  const { what, bar, look, save, line } = item.row;
  const under = ["waiting", "uploading", "queued", "running"].includes(item.state);
  bar.hidden = !under;
  if (item.state === "running" && item.progress !== null && item.progress !== undefined) bar.value = item.progress;
  else bar.removeAttribute("value");
  what.classList.toggle("bad", item.state === "failed");
  what.textContent = item.state === "failed" ? item.error : item.state === "done" ? figures(item) : words(item);
  look.hidden = save.hidden = !item.after;
  line.classList.toggle("shown", page.shown === item);
  line.dataset.state = item.state;
}

function words(item) {
  if (item.state === "queued" && item.before) return `queued, ${item.before} before it`;
  if (item.state === "running" && item.progress) return `running, ${Math.round(100 * item.progress)} %`;
  return item.state;
}

function figures(item) {
  const facts = item.facts ?? {};
  const parts = [`${bytes(item.file.size)} → ${bytes(item.after.size)}`];
  if (facts.bpp !== undefined) parts.push(`${facts.bpp.toFixed(3)} bits per pixel`);
  if (facts.width) parts.push(`${facts.width}×${facts.height}`);
  for (const name of ["sigma", "quality", "psnr", "seed"]) {
    if (facts[name] !== undefined && facts[name] !== null) parts.push(`${name} ${facts[name]}`);
  }
  parts.push(`${item.seconds.toFixed(1)} s`);
  if (facts.lost?.length) parts.push(`not kept: ${facts.lost.join(", ")}`);
  return parts.join(", ");
}

// ---- downloads

function resultName(item) {
  const stem = item.file.name.replace(/\.[^.]*$/, "") || "picture";
  const plain = item.task === "compress" || item.task === "decompress";
  return `${stem}${plain ? "" : `_${item.task}`}.${item.format}`;
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

async function downloadAll() {
  const used = new Map();
  const entries = [];
  for (const item of page.items.filter((each) => each.after)) {
    let name = resultName(item);
    const count = used.get(name) ?? 0;
    used.set(name, count + 1);
    if (count) name = name.replace(/(\.[^.]*)$/, `_${count + 1}$1`);
    entries.push([name, item.after]);
  }
  download(await zip(entries), "img2img.zip");
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(data) {
  let crc = ~0;
  for (const byte of data) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// A zip file whose entries are stored: pictures are compressed already. Names are UTF-8 (flag 0x800).
async function zip(entries) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, blob] of entries) {
    const data = new Uint8Array(await blob.arrayBuffer());
    const encoded = new TextEncoder().encode(name.replace(/[/\\]/g, "_"));
    const common = [20, 0x800, 0, 0, 0x21, crc32(data), data.length, data.length, encoded.length, 0];
    const sizes = [2, 2, 2, 2, 2, 4, 4, 4, 2, 2];
    const head = record(0x04034b50, common, sizes);
    directory.push(record(0x02014b50, [20, ...common, 0, 0, 0, 0, offset], [2, ...sizes, 2, 2, 2, 4, 4]), encoded);
    parts.push(head, encoded, data);
    offset += head.length + encoded.length + data.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const count = entries.length;
  const end = record(0x06054b50, [0, 0, count, count, length, offset, 0], [2, 2, 2, 2, 4, 4, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

function record(signature, values, sizes) {
  const view = new DataView(new ArrayBuffer(4 + sizes.reduce((sum, size) => sum + size, 0)));
  view.setUint32(0, signature, true);
  let place = 4;
  values.forEach((value, i) => {
    if (sizes[i] === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += sizes[i];
  });
  return new Uint8Array(view.buffer);
}

// ---- the viewer

const view = { before: null, after: null, mode: "slide", split: 0.5, zoom: 1, x: 0, y: 0, planned: false, pointers: new Map() };

async function bitmap(blob) {
  try {
    return await createImageBitmap(blob);
  } catch {
    return null; // a kind of file that this browser does not know
  }
}

async function show(item) {
  const previous = page.shown;
  page.shown = item;
  if (previous) refresh(previous);
  refresh(item);
  const [before, after] = await Promise.all([bitmap(item.file), bitmap(item.picture)]);
  if (page.shown !== item) return; // another one was asked for meanwhile
  const comparable = before && after && before.width === after.width && before.height === after.height;
  put(comparable ? before : null, after, true);
  const unknown = after ? "" : " This browser cannot show this kind of file; download it.";
  $("caption").textContent = `${item.file.name}: ${figures(item)}.${unknown}`;
}

async function unfinished(item, signal) {
  const answer = await ask(`${item.place}/preview`, { signal });
  const first = page.shown !== item;
  page.shown = item;
  const after = await bitmap(await answer.blob());
  if (after) put(null, after, first);
  $("caption").textContent = `${item.file.name}: unfinished`;
}

function put(before, after, anew) {
  view.before?.close();
  view.after?.close();
  view.before = before;
  view.after = after;
  $("viewer").hidden = false;
  document.querySelector('[data-view="slide"]').disabled = !before;
  document.querySelector('[data-view="difference"]').disabled = !before;
  if (!before && view.mode === "difference") mode("slide");
  const sliding = Boolean(before) && view.mode === "slide";
  $("split").parentElement.hidden = !sliding;
  if (anew) fit();
  else draw();
}

function hideViewer() {
  page.shown = null;
  view.before?.close();
  view.after?.close();
  view.before = view.after = null;
  $("viewer").hidden = true;
}

function mode(name) {
  view.mode = name;
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  }
  $("split").parentElement.hidden = !(view.before && name === "slide");
  fit();
}

const copies = () => (view.mode === "tile" ? 2 : 1);

function fit() {
  if (!view.after) return draw();
  const { clientWidth: width, clientHeight: height } = $("stage");
  const [w, h] = [view.after.width * copies(), view.after.height * copies()];
  view.zoom = Math.min(width / w, height / h, Math.max(1, 256 / Math.max(w, h)) * 4);
  view.x = (width - w * view.zoom) / 2;
  view.y = (height - h * view.zoom) / 2;
  draw();
}

function zoom(factor, x = $("stage").clientWidth / 2, y = $("stage").clientHeight / 2) {
  const wanted = Math.min(64, Math.max(0.01, view.zoom * factor));
  view.x = x - ((x - view.x) * wanted) / view.zoom;
  view.y = y - ((y - view.y) * wanted) / view.zoom;
  view.zoom = wanted;
  draw();
}

function move(x, y) {
  view.x += x;
  view.y += y;
  draw();
}

function draw() {
  if (view.planned) return;
  view.planned = true;
  requestAnimationFrame(() => {
    view.planned = false;
    paint();
  });
}

function paint() {
  const stage = $("stage");
  const canvas = $("canvas");
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(stage.clientWidth * ratio));
  const height = Math.max(1, Math.round(stage.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: view.mode === "difference" });
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, width, height);
  const sliding = view.mode === "slide" && view.before;
  $("left").hidden = $("right").hidden = !sliding;
  if (!view.after) return;
  context.imageSmoothingEnabled = view.zoom < 2; // enlarged, pixels are seen as they are
  context.imageSmoothingQuality = "high";
  if (view.mode === "tile") {
    for (const i of [0, 1]) for (const j of [0, 1]) place(context, view.after, ratio, i * view.after.width, j * view.after.height);
    return;
  }
  if (view.mode === "difference" && view.before) {
    difference(context, ratio, width, height);
    return;
  }
  place(context, view.after, ratio);
  if (!sliding) return;
  const edge = Math.round(view.split * width);
  context.save();
  context.beginPath();
  context.rect(0, 0, edge, height);
  context.clip();
  context.clearRect(0, 0, edge, height);
  place(context, view.before, ratio);
  context.restore();
  context.fillStyle = "#fff";
  context.fillRect(edge - ratio, 0, 2 * ratio, height);
  context.fillStyle = "#000";
  context.fillRect(edge + ratio, 0, ratio, height);
}

function place(context, image, ratio, x = 0, y = 0) {
  const scale = view.zoom * ratio;
  context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
  context.drawImage(image, x, y);
  context.setTransform(1, 0, 0, 1, 0, 0);
}

// Of what is in sight only, however large the pictures are.
function difference(context, ratio, width, height) {
  place(context, view.before, ratio);
  const before = context.getImageData(0, 0, width, height);
  context.clearRect(0, 0, width, height);
  place(context, view.after, ratio);
  const after = context.getImageData(0, 0, width, height);
  for (let i = 0; i < after.data.length; i += 4) {
    for (let c = i; c < i + 3; c += 1) after.data[c] = GAIN * Math.abs(after.data[c] - before.data[c]);
  }
  context.putImageData(after, 0, 0);
}

function split(share) {
  view.split = Math.min(1, Math.max(0, share));
  $("split").value = 100 * view.split;
  draw();
}

function listenToStage() {
  const stage = $("stage");
  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  let sliding = false;
  stage.addEventListener("pointerdown", (event) => {
    const point = at(event);
    stage.setPointerCapture(event.pointerId);
    view.pointers.set(event.pointerId, point);
    const edge = view.split * stage.clientWidth;
    sliding = view.mode === "slide" && Boolean(view.before) && Math.abs(point.x - edge) < 16 && view.pointers.size === 1;
  });
  stage.addEventListener("pointermove", (event) => {
    const last = view.pointers.get(event.pointerId);
    if (!last) return;
    const point = at(event);
    if (sliding) split(point.x / stage.clientWidth);
    else if (view.pointers.size === 1) move(point.x - last.x, point.y - last.y);
    else {
      const other = [...view.pointers].find(([id]) => id !== event.pointerId)[1];
      const was = Math.hypot(last.x - other.x, last.y - other.y);
      const is = Math.hypot(point.x - other.x, point.y - other.y);
      if (was > 0) zoom(is / was, (point.x + other.x) / 2, (point.y + other.y) / 2);
    }
    view.pointers.set(event.pointerId, point);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      view.pointers.delete(event.pointerId);
      sliding = false;
    });
  }
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const point = at(event);
      zoom(Math.exp(-event.deltaY / 400), point.x, point.y);
    },
    { passive: false },
  );
  const keys = {
    ArrowLeft: () => move(40, 0),
    ArrowRight: () => move(-40, 0),
    ArrowUp: () => move(0, 40),
    ArrowDown: () => move(0, -40),
    "+": () => zoom(1.25),
    "=": () => zoom(1.25),
    "-": () => zoom(0.8),
    0: fit,
    "[": () => split(view.split - 0.05),
    "]": () => split(view.split + 0.05),
  };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(stage);
}

// ---- everything together

function listen() {
  $("files").addEventListener("change", () => take($("files").files));
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      $("drop").classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) $("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  $("form").addEventListener("input", describe);
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  $("stop").addEventListener("click", stop);
  $("clear").addEventListener("click", clear);
  $("all").addEventListener("click", downloadAll);
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(commandLine());
      say("The command is copied.");
    } catch {
      say("The browser does not let this page copy; the command stands below the button.");
    }
  });
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => mode(button.dataset.view));
  $("in").addEventListener("click", () => zoom(1.5));
  $("out").addEventListener("click", () => zoom(1 / 1.5));
  $("fit").addEventListener("click", fit);
  $("one").addEventListener("click", () => zoom(1 / view.zoom));
  $("split").addEventListener("input", () => split($("split").value / 100));
  $("token").addEventListener("submit", (event) => {
    event.preventDefault();
    page.token = $("word").value;
    $("token").hidden = true;
    begin();
  });
  window.addEventListener("pagehide", () => {
    for (const item of page.items) {
      if (item.place) fetch(item.place, { method: "DELETE", headers: headers(), keepalive: true });
    }
  });
  listenToStage();
}

async function begin() {
  try {
    page.document = await (await ask("/openapi.json")).json();
    if (!$("tabs").children.length) buildTabs();
    choose(tasks()[0]);
  } catch (error) {
    say(error.message);
  }
}

page.token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
if (page.token) history.replaceState(null, "", location.pathname); // out of the address, and of the history
listen();
begin();
