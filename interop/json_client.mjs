// The JavaScript client of docs/protocol.md, as it stands there, against our echo server with the codec json:
// node json_client.mjs path/to/echo_server

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { serve } from "./programs.mjs";
import { check, end, equal, run, within } from "./tell.mjs";

const [program] = process.argv.slice(2);

// A browser and Node 22 have it.
let sockets = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    // Without a listener Node would end the process, which a browser does not.
    this.on("error", () => {});
    sockets.push(this);
  }
};

const protocol = readFileSync(new URL("../docs/protocol.md", import.meta.url), "utf8");
const [, source] = protocol.match(/```js\n(.*?)```/s) ?? [];
if (!source) throw new Error("docs/protocol.md has no JavaScript client");
const { connect } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

/** A client, and what it gets, one after the other. */
function meet(url) {
  sockets = [];
  const got = [];
  let wake = () => {};
  const connection = connect(url, { token: "abc" }, (data, packet) => {
    got.push({ data, packet });
    wake();
  });
  const next = () =>
    within(
      (async () => {
        while (got.length === 0) await new Promise((resolve) => (wake = resolve));
        return got.shift();
      })(),
      "a message",
    );
  /** Sends as soon as it is open. */
  const send = async (text) => {
    for (let waited = 0; !connection.send(text); waited++) {
      check(waited < 2000, "it does not open");
      await sleep(10);
    }
  };
  return { connection, send, next };
}

const server = await serve(program, "--codec", "json");

await run("it opens, and its text comes back", async () => {
  const { connection, send, next } = meet(server.url);
  for (const text of ["hello", "", "für 🎈 immer", "x".repeat(100_000)]) {
    await send(text);
    const { data, packet } = await next();
    equal(data, text, "the echo");
    equal(packet.class ?? "at_least_once", "at_least_once", "the class");
  }
  equal(sockets[0].protocol, "moorline.v1.json", "the subprotocol");
  connection.close();
});

await run("JSON, binary, channel, event and class come back", async () => {
  const { connection, send, next } = meet(server.url);
  await send("open");
  await next();
  const put = (packet) => sockets[0].send(JSON.stringify({ type: "message", ...packet }));
  put({ channel: "chat", event: "typing", class: "at_most_once", json: { user: "ann", at: [1, 2.5, null] } });
  const { data, packet } = await next();
  equal(JSON.stringify(data), '{"user":"ann","at":[1,2.5,null]}', "the value");
  equal(`${packet.channel} ${packet.event} ${packet.class}`, "chat typing at_most_once", "what it is");
  put({ binary: "AAH/" });
  equal((await next()).packet.binary, "AAH/", "the bytes");
  connection.close();
});

await run("acknowledgements keep both windows open", async () => {
  const { connection, send, next } = meet(server.url);
  const text = "x".repeat(1000);
  for (let at = 0; at < 2000; at++) {
    await send(`${at} ${text}`);
    equal((await next()).data, `${at} ${text}`, "the echo");
  }
  connection.close();
});

await run("it closes", async () => {
  const { connection, send, next } = meet(server.url);
  await send("hello");
  await next();
  const closed = new Promise((resolve) => sockets[0].on("close", resolve));
  connection.close();
  equal(await within(closed, "the close"), 1000, "the close code");
  await sleep(100);
  equal(sockets.length, 1, "connections");
});

await run("a ping is answered", async () => {
  const { connection, send, next } = meet(server.url);
  await send("hello");
  await next();
  const pong = new Promise((resolve) => {
    sockets[0].on("message", (data) => data.includes('"pong"') && resolve(JSON.parse(data)));
  });
  sockets[0].send('{"type":"ping","n":7}');
  equal((await within(pong, "a pong")).n, 7, "the pong");
  connection.close();
});

await run("what is no packet is refused with 1002", async () => {
  const { send, next } = meet(server.url);
  await send("hello");
  await next();
  const seen = [];
  sockets[0].on("message", (data) => seen.push(JSON.parse(data)));
  const closed = new Promise((resolve) => sockets[0].on("close", resolve));
  sockets[0].send('{"type":"nonsense"}');
  equal(await within(closed, "the close"), 1002, "the close code");
  const told = seen.filter(({ type }) => type !== "ack");
  equal(told.map(({ type, code }) => `${type} ${code}`).join(", "), "error bad_packet, close 1002", "the packets");
});

await run("a server's disconnect is for good", async () => {
  meet(`${server.url}/close/4001`);
  const closed = new Promise((resolve) => sockets[0].on("close", resolve));
  equal(await within(closed, "the close"), 4001, "the close code");
  await sleep(200);
  equal(sockets.length, 1, "connections");
});

await run("it comes back when the server restarts", async () => {
  const own = await serve(program, "--codec", "json");
  const { connection, send, next } = meet(own.url);
  await send("before");
  equal((await next()).data, "before", "the echo");
  const closed = new Promise((resolve) => sockets[0].on("close", resolve));
  await own.stop("SIGINT");
  equal(await within(closed, "the close"), 1012, "the close code");
  const again = await serve(program, "--codec", "json", "--listen", own.address);
  await send("after");
  equal((await next()).data, "after", "the echo");
  connection.close();
  await again.stop("SIGINT");
});

await server.stop("SIGINT");
end();
