// Clients of server-sent events, npm's `eventsource`, undici's, and curl, against our servers:
// node sse_client.mjs path/to/echo_server path/to/news

import { spawn } from "node:child_process";
import { EventSource as NpmEventSource } from "eventsource";
import { EventSource as UndiciEventSource, fetch } from "undici";
import { serve } from "./programs.mjs";
import { check, end, equal, run, within } from "./tell.mjs";

const [echoServer, newsServer] = process.argv.slice(2);
const kinds = [["eventsource", NpmEventSource], ["undici", UndiciEventSource]];

/** A queue of what comes. */
class Queue {
  items = [];
  wake = () => {};
  push = (item) => (this.items.push(item), this.wake());
  next = (what) =>
    within(
      (async () => {
        while (this.items.length === 0) await new Promise((resolve) => (this.wake = resolve));
        return this.items.shift();
      })(),
      what,
    );
}

/** A session in JSON, by an event stream and POSTs. */
class Session {
  constructor(url, EventSource) {
    Object.assign(this, { url, EventSource, batch: 0, packets: new Queue(), numbered: 0 });
  }

  post(headers, body) {
    const all = { "content-type": "text/event-stream", ...headers };
    return fetch(this.url, { method: "POST", headers: all, body });
  }

  async open() {
    const response = await this.post({}, "");
    equal(response.status, 200, "the first POST");
    Object.assign(this, await response.json());
    this.source = new this.EventSource(`${this.url}?ticket=${this.ticket}`);
    this.source.onmessage = ({ data }) => this.packets.push(JSON.parse(data));
    this.source.addEventListener("close", ({ data }) => this.packets.push({ closed: JSON.parse(data) }));
    this.source.onerror = () => this.packets.push({ error: true });
    await this.put({ type: "hello", version: 1 });
    const ready = await this.packets.next("ready");
    equal(ready.type, "ready", "the answer to hello");
  }

  /** Sends packets as one batch. */
  async put(...packets) {
    const body = packets.map((packet) => `data: ${JSON.stringify(packet)}\n\n`).join("");
    const headers = { "moorline-link": this.link, "moorline-batch": String(++this.batch) };
    const response = await this.post(headers, body);
    equal(response.status, 204, await response.text());
  }

  /** The next message. */
  async message() {
    for (;;) {
      const packet = await this.packets.next("a message");
      if (packet.type === "ping") await this.put({ type: "pong", n: packet.n });
      if (packet.type !== "message") continue;
      this.numbered += 1;
      await this.put({ type: "ack", numbered: this.numbered });
      return packet;
    }
  }

  close() {
    this.source.close();
  }
}

const echo = await serve(echoServer, "--codec", "json", "--sse");
const echoUrl = `http://${echo.address}/realtime`;
const sizes = [0, 1, 2, 3, 125, 126, 4096, 65_535, 65_536, 200_000];

for (const [name, EventSource] of kinds) {
  await run(`${name}: text of every length class comes back`, async () => {
    const session = new Session(echoUrl, EventSource);
    await session.open();
    for (const size of sizes) {
      await session.put({ type: "message", text: "ü".repeat(size / 2) + "x".repeat(size % 2) });
      equal((await session.message()).text.length, Math.floor(size / 2) + (size % 2), "the length");
    }
    for (const text of ["", "two\nlines", "a\r\nb\rc", " space", "data: x\n\n: y", "\u{feff}mark", "🎈"]) {
      await session.put({ type: "message", text });
      equal((await session.message()).text, text, "the text");
    }
    session.close();
  });
  await run(`${name}: binary of every length class comes back`, async () => {
    const session = new Session(echoUrl, EventSource);
    await session.open();
    for (const size of sizes) {
      const binary = Buffer.alloc(size, 0xa5).toString("base64");
      await session.put({ type: "message", binary });
      equal((await session.message()).binary, binary, "the bytes");
    }
    session.close();
  });
  await run(`${name}: many in one batch come back in order`, async () => {
    const session = new Session(echoUrl, EventSource);
    await session.open();
    const all = Array.from({ length: 100 }, (_, at) => ({ type: "message", text: String(at) }));
    await session.put(...all);
    for (let at = 0; at < 100; at++) equal((await session.message()).text, String(at), "the order");
    session.close();
  });
  await run(`${name}: it closes cleanly`, async () => {
    const session = new Session(echoUrl, EventSource);
    await session.open();
    await session.put({ type: "close", code: 1000 });
    const over = await session.packets.next("the end");
    check(over.closed?.code === 1000 || over.error, `the end was ${JSON.stringify(over)}`);
    session.close();
  });
  await run(`${name}: a ticket is good once`, async () => {
    const session = new Session(echoUrl, EventSource);
    await session.open();
    const again = await fetch(`${echoUrl}?ticket=${session.ticket}`, { headers: { accept: "text/event-stream" } });
    equal(again.status, 404, "the second stream");
    session.close();
  });
}

await run("a WebSocket comes in at the same path", async () => {
  const { default: WebSocket } = await import("ws");
  const socket = new WebSocket(echoUrl.replace("http", "ws"));
  await within(new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject)), "the handshake");
  socket.terminate();
});

const news = await serve(newsServer, "127.0.0.1:0");
const newsUrl = `http://${news.address}/news`;

for (const [name, EventSource] of kinds) {
  await run(`${name}: reads raw events, and goes on after the last id when the stream has ended`, async () => {
    const source = new EventSource(newsUrl);
    const events = new Queue();
    source.addEventListener("news", ({ data, lastEventId }) => events.push({ data, lastEventId }));
    // Past the seventh, at which the stream ends.
    for (let number = 1; number <= 9; number++) {
      const { data, lastEventId } = await events.next(`number ${number}`);
      equal(data, `number ${number}\nof many`, "the data");
      equal(lastEventId, String(number), "the id");
    }
    source.close();
  });
}

/** What curl says, up to so many bytes or its end. */
async function curl(...args) {
  const child = spawn("curl", ["--silent", "--show-error", "--no-buffer", ...args]);
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.on("data", (data) => (said += data));
  const code = await within(
    new Promise((resolve, reject) => child.once("error", reject).once("close", resolve)),
    "curl's end",
  );
  return { code, said };
}

await run("curl reads raw events to the stream's end", async () => {
  const { code, said } = await curl("--header", "Accept: text/event-stream", newsUrl);
  equal(code, 0, said);
  const wanted = (number) => `event: news\nid: ${number}\ndata: number ${number}\ndata: of many\n\n`;
  equal(said, ":\n\n" + [1, 2, 3, 4, 5, 6, 7].map(wanted).join(""), "the stream");
});
await run("curl goes on after an id", async () => {
  const { said } = await curl("--header", "Accept: text/event-stream", "--header", "Last-Event-ID: 12", newsUrl);
  check(said.startsWith(":\n\nevent: news\nid: 13\n"), said);
});
await run("curl opens a link, and a form's POST does not", async () => {
  const opened = await curl("--request", "POST", "--header", "Content-Type: text/event-stream", echoUrl);
  check(/^\{"link":"[\w-]{22}","ticket":"[\w-]{22}"\}$/.test(opened.said), opened.said);
  const form = await curl("--data", "a=b", "--output", "/dev/null", "--write-out", "%{http_code}", echoUrl);
  equal(form.said, "415", "a form");
  const foreign = await curl("--request", "POST", "--header", "Content-Type: text/event-stream", "--header", "Origin: https://evil.example", "--output", "/dev/null", "--write-out", "%{http_code}", echoUrl);
  equal(foreign.said, "403", "a foreign origin");
});

await echo.stop("SIGKILL");
await news.stop("SIGKILL");
end();
