// The session: how it begins, what the server opens on it, what the browser counts.

/** Which task waits for something that the server does; else the log has it. */
const awaited = { stream: null, datagram: null, draining: null, end: null };
function happened(what, text, error, otherwise = log) {
  (awaited[what] ?? otherwise)(text, error);
  awaited[what] = null;
}

async function connect() {
  const say = teller("connect");
  setState("connecting", false);
  try {
    const session = new WebTransport($("url").value, {
      serverCertificateHashes: hashes(),
      protocols: $("protocols").value.split(",").map(name => name.trim()).filter(name => name),
      headers: { "x-asked": "by hand" },
      congestionControl: $("control").value,
      anticipatedConcurrentIncomingUnidirectionalStreams: number("anticipated"),
      anticipatedConcurrentIncomingBidirectionalStreams: number("anticipated"),
      requireUnreliable: true,
    });
    transport = session;
    session.closed.then(
      info => { happened("end", `closed with code ${info.closeCode}, reason “${info.reason}”`, false, say); setState("closed", false); },
      error => { happened("end", `closed with an error: ${told(error)}`, true, say); setState("failed", false); });
    session.draining?.then(() => happened("draining", "the server asks to wind up"), () => {});
    await session.ready;
    sink = session.datagrams.createWritable ? session.datagrams.createWritable() : session.datagrams.writable;
    datagrams = sink.getWriter();
    setState("connected", true);
    tellFacts(session);
    adjustDatagrams();
    say("connected");
    for (const task of [receiveDatagrams, receiveUnidirectional, receiveBidirectional, showStats])
      task(session).catch(() => { /* the session ended, which `closed` tells */ });
  } catch (error) {
    say(`no session: ${told(error)}`, true);
    setState("failed", false);
  }
}

function tellFacts(session) {
  const fields = session.responseHeaders && [...session.responseHeaders].map(([name, value]) => `${name}: ${value}`);
  $("kind").textContent = `${session.reliability ?? "not told"}, ${session.congestionControl ?? "not told"}`;
  $("protocol").textContent = session.protocol || "none";
  $("fields").textContent = fields ? fields.join(", ") : "not told";
  $("largest").textContent = `${session.datagrams.maxDatagramSize} bytes`;
}

let greeted = null;
async function receiveUnidirectional(session) {
  await each(session.incomingUnidirectionalStreams, stream => readAll(stream).then(text => {
    // The server's first word.
    if (greeted !== session && text.startsWith("{")) {
      greeted = session;
      $("dialect").textContent = JSON.parse(text).why;
      return;
    }
    happened("stream", `unidirectional stream from the server: “${text}”`);
  }, error => log(`stream: ${told(error)}`, true)));
}
async function receiveBidirectional(session) {
  await each(session.incomingBidirectionalStreams, async stream => {
    try {
      await stream.readable.pipeTo(stream.writable);
      log("the server opened a bidirectional stream, which was echoed");
    } catch (error) {
      log(`stream: ${told(error)}`, true);
    }
  });
}

async function showStats(session) {
  if (!session.getStats) {
    $("stats").replaceChildren(row(["this browser has none"]));
    return;
  }
  let open = true;
  session.closed.finally(() => { open = false; }).catch(() => {});
  while (open) {
    const rows = [];
    const flatten = (object, prefix) => {
      for (const name in object) {
        const value = object[name];
        if (value !== null && typeof value === "object") flatten(value, `${prefix}${name}.`);
        else rows.push([prefix + name, String(value)]);
      }
    };
    flatten(await session.getStats(), "");
    $("stats").replaceChildren(...rows.map(row));
    await new Promise(resolve => setTimeout(resolve, 1000));
  }
}
