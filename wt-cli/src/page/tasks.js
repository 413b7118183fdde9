// What the buttons do.
function failure(code) {
  try {
    return new WebTransportError("by hand", { streamErrorCode: code });
  } catch {
    // Older drafts of the interface have one argument.
    return new WebTransportError({ streamErrorCode: code, message: "by hand" });
  }
}
/** What each button does; `say` tells what came of it, beside the button. */
const actions = {
  close: async say => {
    awaited.end = say;
    transport.close({ closeCode: number("close-code"), reason: $("reason").value });
  },
  // The stream goes down with the session: `closed` tells the rest.
  "server-close": async say => {
    awaited.end = say;
    ask(`#close ${number("close-code")} ${$("reason").value}\n`).catch(() => {});
  },
  "server-drain": async say => {
    awaited.draining = say;
    await ask("#drain\n");
    say(`the server was asked to drain; the session goes on: “${await ask($("text").value)}”`);
  },
  keys: async say => {
    if (lacks(transport, "exportKeyingMaterial", say)) return;
    const key = await transport.exportKeyingMaterial(encoder.encode("demo"), encoder.encode("page"), 32);
    const ours = [...new Uint8Array(key)].map(byte => byte.toString(16).padStart(2, "0")).join("");
    const same = ours === await ask("#keys\n");
    say(same ? `both ends have ${ours}` : "the two ends have different keys", !same);
  },
  byob: async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    await writer.write(encoder.encode($("text").value));
    writer.close().catch(() => {});
    const reader = stream.readable.getReader({ mode: "byob" });
    let text = "", reads = 0;
    for (let buffer = new ArrayBuffer(4); ; reads++) {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (done) break;
      text += decoder.decode(value, { stream: true });
      buffer = value.buffer;
    }
    say(`in ${reads} reads of at most 4 bytes: “${text}”`);
  },
  race: async say => {
    const start = performance.now(), size = 8 << 20;
    const lap = async (name, order) => {
      const group = $("groups").checked && transport.createSendGroup ? { sendGroup: transport.createSendGroup() } : {};
      const stream = await transport.createBidirectionalStream({ sendOrder: number(order), ...group });
      const writer = stream.writable.getWriter();
      await writer.write(encoder.encode("#count\n"));
      await writer.write(new Uint8Array(size));
      writer.close().catch(() => {});
      const counted = await readAll(stream.readable), time = Math.round(performance.now() - start);
      say(`the ${name} stream: the server had ${counted} bytes after ${time} ms`);
    };
    await Promise.all([lap("first", "first-order"), lap("second", "second-order")]);
  },
  commit: async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    if (lacks(writer, "commit", say)) { writer.abort().catch(() => {}); return; }
    await writer.write(encoder.encode("this much arrives"));
    writer.commit();
    await writer.write(encoder.encode(", this may not"));
    writer.abort(failure(number("code"))).catch(() => {});
    let text = "";
    await each(stream.readable, value => { text += decoder.decode(value); }).catch(() => {});
    say(`the server had: “${text}”`);
  },
  atomic: async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    if (lacks(writer, "atomicWrite", say)) { writer.abort().catch(() => {}); return; }
    await writer.atomicWrite(encoder.encode($("text").value));
    writer.close().catch(() => {});
    say(`echo: “${await readAll(stream.readable)}”`);
  },
  bidi: async say => say(`echo: “${await ask($("text").value)}”`),
  uni: async say => {
    awaited.stream = say;
    const writer = (await transport.createUnidirectionalStream()).getWriter();
    await writer.write(encoder.encode($("text").value));
    await writer.close();
    say("sent; the server answers with a stream of its own");
  },
  "server-bidi": async say => say(`the server had back: “${await ask(`#bidi ${$("text").value}\n`)}”`),
  "server-uni": async say => {
    awaited.stream = say;
    await ask(`#uni ${$("text").value}\n`);
  },
  many: async say => {
    const start = performance.now();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`stream ${i}`)));
    const right = answers.filter((answer, i) => answer === `stream ${i}`).length;
    say(`${right} of 200 echoes right after ${Math.round(performance.now() - start)} ms`);
  },
  bulk: async say => {
    const start = performance.now(), total = 16 << 20, chunk = new Uint8Array(1 << 16).fill(7);
    const stream = await transport.createBidirectionalStream();
    let received = 0;
    const reading = each(stream.readable, value => { received += value.byteLength; });
    const writer = stream.writable.getWriter();
    for (let sent = 0; sent < total; sent += chunk.byteLength) {
      await writer.ready;
      writer.write(chunk).catch(() => {});
    }
    await writer.close();
    await reading;
    const seconds = (performance.now() - start) / 1000;
    say(`${received} of ${total} bytes came back, ${(received * 8 / seconds / 1e6).toFixed(0)} Mbit/s each way`);
  },
  reset: async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    await writer.write(encoder.encode("never mind"));
    writer.abort(failure(number("code"))).catch(() => {});
    // The server answers a reset with one of the same code.
    await readAll(stream.readable).then(text => say(`reset too late: “${text}”`, true),
                                        error => say(`reset; the server answered: ${told(error)}`));
  },
  stop: async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    const reader = stream.readable.getReader();
    await writer.write(encoder.encode("more"));
    await reader.read();
    reader.cancel(failure(number("code"))).catch(() => {});
    // The server finds out when it echoes more, and then does not want to read either.
    const more = setInterval(() => writer.write(encoder.encode("more")).catch(() => {}), 5);
    await writer.closed.then(() => say("the stream ended", true),
                             error => say(`stopped; the server answered: ${told(error)}`));
    clearInterval(more);
  },
  "server-reset": async say => {
    await ask(`#reset ${number("code")}\n`)
      .then(text => say(`no reset: “${text}”`, true), error => say(`the server reset the stream: ${told(error)}`));
  },
  "server-stop": async say => {
    const stream = await transport.createBidirectionalStream();
    const writer = stream.writable.getWriter();
    await writer.write(encoder.encode(`#stop ${number("code")}\n`));
    await writer.closed.then(() => say("no stop", true), error => say(`the server stopped reading: ${told(error)}`));
  },
  start: async say => { if (timer) stopDatagrams(); else startDatagrams(say); },
  one: async say => {
    awaited.datagram = say;
    await datagrams.write(encoder.encode($("text").value));
  },
};

for (const [id, action] of Object.entries(actions)) {
  onPress(id, () => teller(id), async () => {
    const say = teller(id), result = $(`${id}-result`);
    result.ariaBusy = "true";
    await action(say).catch(error => say(told(error), true));
    result.ariaBusy = "false";
  });
}
onPress("connect", () => teller("connect"), connect);
onPress("compare", () => log, compareModes);
for (const id of ["outgoing-age", "incoming-age", "buffered", "datagram-order"]) $(id).onchange = adjustDatagrams;
// Pictures and figures while something happens.
setInterval(() => { if (timer) drawDatagrams(); }, 100);
setInterval(() => { if (comparing) { drawModes(); showModes(); } }, 200);
addEventListener("resize", () => { drawDatagrams(); drawModes(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawModes);
setState("not connected", false);
if ("WebTransport" in window) connect();
else {
  const why = "this browser has no WebTransport; Chrome, Edge and Firefox of today have it";
  for (const button of document.querySelectorAll("button")) rest(button, why);
  teller("connect")(why, true);
}
