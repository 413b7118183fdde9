// Datagrams: the sequence number, and when it was sent, are in the first 12 bytes.
const SHOWN = 250, LOST_AFTER = 1000;
let samples = [], sequence = 0, timer = null;

/** Ages, numbers and order of datagrams, as far as the browser has them; 0 ms is without limit. */
function adjustDatagrams() {
  if (!datagrams) return;
  const set = (object, name, value) => { if (object && name in object) object[name] = value; };
  const queues = transport.datagrams;
  set(queues, "outgoingMaxAge", number("outgoing-age") || null);
  set(queues, "incomingMaxAge", number("incoming-age") || null);
  for (const name of ["incomingMaxBufferedDatagrams", "incomingHighWaterMark"]) set(queues, name, number("buffered"));
  set(sink, "sendOrder", number("datagram-order"));
}
function stopDatagrams() {
  clearInterval(timer);
  timer = null;
  $("start").textContent = "Start";
}
function startDatagrams(say) {
  samples = [];
  $("start").textContent = "Stop";
  timer = setInterval(() => {
    const payload = new Uint8Array(Math.max(12, number("size")));
    const view = new DataView(payload.buffer), sent = performance.now();
    view.setUint32(0, ++sequence);
    view.setFloat64(4, sent);
    samples.push({ sequence, sent, rtt: null });
    if (samples.length > SHOWN) samples.shift();
    datagrams.write(payload).catch(error => { say(told(error), true); stopDatagrams(); });
  }, 1000 / Math.max(1, number("rate")));
}
async function receiveDatagrams(session) {
  await each(session.datagrams.readable, value => {
    const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
    const sample = value.byteLength >= 12
      && samples.find(sample => sample.sequence === view.getUint32(0) && sample.sent === view.getFloat64(4));
    if (sample) sample.rtt = performance.now() - sample.sent;
    else happened("datagram", `datagram: “${decoder.decode(value)}”`);
  });
}
function drawDatagrams() {
  if (!samples.length) return;
  const { context, width, height } = surface($("graph"));
  const now = performance.now(), back = samples.filter(sample => sample.rtt !== null).map(sample => sample.rtt);
  const lost = samples.filter(sample => sample.rtt === null && now - sample.sent > LOST_AFTER).length;
  const most = Math.max(1, ...back) * 1.1;
  samples.forEach((sample, i) => {
    const x = (i + .5) * width / SHOWN;
    if (sample.rtt !== null) {
      context.fillStyle = "#2a78d6";
      context.fillRect(x - 1.5, height - sample.rtt / most * height - 1.5, 3, 3);
    } else if (now - sample.sent > LOST_AFTER) {
      context.fillStyle = "#c336";
      context.fillRect(x - 1, 0, 2, height);
    }
  });
  const at = share => back.length ? percentile(back, share).toFixed(2) : "–";
  $("figures").textContent = `last ${samples.length}: ${lost} lost (${(100 * lost / samples.length).toFixed(1)} %); `
    + `round trip ${at(0)} ms at least, ${at(.5)} ms in the middle, ${at(.95)} ms for 95 %; full height ${most.toFixed(1)} ms`;
}
