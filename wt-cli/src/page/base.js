// What all parts of the page use: elements, texts, the log and the results beside the buttons.
const $ = id => document.getElementById(id);
const encoder = new TextEncoder(), decoder = new TextDecoder();
/** The session, and what belongs to it. */
let transport = null, datagrams = null, sink = null;

const number = id => Number($(id).value);
const bytes = hex => Uint8Array.from(hex.match(/../g), pair => parseInt(pair, 16));
const hashes = () => $("hashes").textContent.trim().split(/\s+/)
  .map(hash => ({ algorithm: "sha-256", value: bytes(hash) }));

/** A line of text as an element. */
function line(text, error) {
  const element = document.createElement("div");
  element.textContent = text;
  if (error) element.className = "error";
  return element;
}
/** Tells what happened, in the log. */
function log(text, error) {
  const end = $("log").scrollHeight - $("log").scrollTop - $("log").clientHeight < 40;
  $("log").append(line(`${new Date().toLocaleTimeString()}  ${text}`, error));
  while ($("log").children.length > 500) $("log").firstChild.remove();
  // Whoever has scrolled up reads.
  if (end) $("log").scrollTop = $("log").scrollHeight;
}
/** Where a task tells what came of it: beside its button, and in the log. */
function teller(id) {
  const result = $(`${id}-result`);
  result.replaceChildren();
  return (text, error) => { result.append(line(text, error)); log(text, error); };
}
/** A button that can do nothing now, and why; it keeps the focus that it may have. */
function rest(button, why) {
  button.ariaDisabled = String(why !== "");
  button.dataset.why = why;
}
/** What a press of a button does, unless it rests. */
function onPress(id, say, action) {
  $(id).onclick = () => {
    const { ariaDisabled, dataset: { why } } = $(id);
    if (ariaDisabled === "true") say()(why, true);
    else action();
  };
}
function setState(text, connected) {
  $("state").textContent = text;
  $("state").className = connected ? "connected" : "";
  for (const button of document.querySelectorAll(".live")) rest(button, connected ? "" : "there is no session: connect first");
  rest($("connect"), connected ? "there is a session already" : text === "connecting" ? "a session is on its way" : "");
  if (!connected) stopDatagrams();
}
/** What an error says, with the code that came over the wire. */
function told(error) {
  const code = error?.streamErrorCode ?? null;
  return code === null ? String(error) : `${error} (code ${code})`;
}
/** Whether a member is missing, which is told then. */
function lacks(object, name, say) {
  if (name in object) return false;
  say(`this browser has no ${name}`, true);
  return true;
}
/** A row of a table; an element is taken as it is. */
function row(cells) {
  const line = document.createElement("tr");
  for (const cell of cells)
    line.append(cell instanceof Node ? cell : Object.assign(document.createElement("td"), { textContent: cell }));
  return line;
}

async function each(readable, action) {
  const reader = readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    action(value);
  }
}
async function readAll(readable) {
  let text = "";
  await each(readable, value => { text += decoder.decode(value, { stream: true }); });
  return text;
}
/** A bidirectional stream with everything written; what comes back. */
async function ask(text) {
  const stream = await transport.createBidirectionalStream();
  const writer = stream.writable.getWriter();
  await writer.write(encoder.encode(text));
  writer.close().catch(() => {});
  return readAll(stream.readable);
}

/** A canvas as large as it is shown, cleared, in the units of the page. */
function surface(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = devicePixelRatio || 1;
  const [columns, lines] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== columns || canvas.height !== lines) [canvas.width, canvas.height] = [columns, lines];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
/** What such a share of the values does not exceed. */
function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : NaN;
}
