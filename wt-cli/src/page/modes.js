// The three modes: a stream begins with a number and with when it was sent (see modes.rs).
const MODES = [["default", "#d06a00"], ["throughput", "#2a78d6"], ["low-latency", "#0a9a70"]];
const COLUMNS = ["mode", "controller", "frames", "age, median", "age, 99 %", "download"];
const TOLD = 0xfffffffe, BULK = 0xffffffff, HEAD = 12;
let runs = [], comparing = false;

/** Reads one stream of a run. */
async function readMode(run, stream) {
  let head = new Uint8Array(0), number = null, sent = 0, text = "";
  await each(stream, chunk => {
    if (number === null) {
      const joined = new Uint8Array(head.length + chunk.length);
      joined.set(head);
      joined.set(chunk, head.length);
      head = joined;
      if (head.length < HEAD) return;
      const view = new DataView(head.buffer);
      [number, sent] = [view.getUint32(0), view.getFloat64(4)];
      chunk = head.subarray(HEAD);
    }
    if (number === BULK && !run.over) run.bytes += chunk.byteLength;
    if (number === TOLD) text += decoder.decode(chunk, { stream: true });
  });
  if (number === TOLD) Object.assign(run, JSON.parse(text));
  else if (number !== BULK && number !== null && !run.over) {
    const now = Date.now();
    run.frames.push({ at: now - run.start, age: Math.max(0, now - sent) });
  }
}
async function runMode(mode, colour, seconds) {
  const run = { mode, colour, seconds, frames: [], bytes: 0, start: Date.now(), kind: "", controller: "", over: false };
  runs.push(run);
  const session = new WebTransport(`{{MODES}}?mode=${mode}`, { serverCertificateHashes: hashes() });
  session.closed.catch(() => {});
  await session.ready;
  run.start = Date.now();
  each(session.incomingUnidirectionalStreams, stream => readMode(run, stream).catch(() => {})).catch(() => {});
  const ended = session.closed.then(() => { throw new Error("the server ended the session"); });
  await Promise.race([new Promise(resolve => setTimeout(resolve, seconds * 1000)), ended]);
  run.over = true;
  run.took = (Date.now() - run.start) / 1000;
  session.close({ closeCode: 0, reason: "seen enough" });
}
async function compareModes() {
  comparing = true;
  rest($("compare"), "a comparison is under way");
  runs = [];
  let state = "done";
  try {
    for (const [mode, colour] of MODES) {
      $("mode-state").textContent = `${mode} …`;
      await runMode(mode, colour, Math.min(50, Math.max(1, number("mode-seconds"))));
    }
  } catch (error) {
    state = `not to the end: ${told(error)}`;
  }
  showModes();
  drawModes();
  comparing = false;
  rest($("compare"), "");
  $("mode-state").textContent = state;
}
/** A slow link shows something, too. */
const megabits = rate => `${rate.toFixed(rate > 0 && rate < 1 ? 3 : 1)} Mbit/s`;
/** The table. */
function showModes() {
  $("mode-rows").replaceChildren(...runs.map(run => {
    const ages = run.frames.map(frame => frame.age), seconds = run.took ?? (Date.now() - run.start) / 1000;
    const ms = share => ages.length ? `${Math.round(percentile(ages, share))} ms` : "–";
    const cells = [run.mode, run.controller, ages.length, ms(.5), ms(.99), megabits(run.bytes * 8 / 1e6 / seconds)];
    const line = row(cells.map(String));
    [...line.children].forEach((cell, i) => { cell.dataset.name = COLUMNS[i]; });
    const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
    swatch.style.background = run.colour;
    line.firstChild.prepend(swatch);
    return line;
  }));
}
function drawModes() {
  if (!runs.length) return;
  const { context, width, height } = surface($("ages"));
  const all = runs.flatMap(run => run.frames.map(frame => frame.age));
  // The scale leaves out the slowest frames, which stand at the top.
  const most = Math.max(60, percentile(all, .99) * 1.15 || 60), turn = width / MODES.length;
  context.font = "13px system-ui, sans-serif";
  const step = most > 4000 ? 2000 : most > 400 ? 200 : most > 120 ? 50 : 20;
  for (let age = 0; age < most * .92; age += step) {
    const y = height - age / most * height;
    [context.fillStyle, context.globalAlpha] = [getComputedStyle($("ages")).color, .15];
    context.fillRect(0, y - .5, width, 1);
    context.globalAlpha = .7;
    context.fillText(`${age} ms`, 4, y - 4);
  }
  context.globalAlpha = 1;
  runs.forEach((run, i) => {
    context.fillStyle = run.colour;
    context.textAlign = "center";
    context.fillText(run.mode, (i + .5) * turn, 16);
    context.textAlign = "start";
    for (const { at, age } of run.frames)
      context.fillRect(i * turn + at / (run.seconds * 1000) * turn - 1.5, Math.max(0, height - age / most * height - 1.5), 3, 3);
  });
}
