// The script of the chat's page, against its server, on links that break: node chat_client.mjs path/to/chat

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { serve } from "./programs.mjs";
import { check, end, equal, run, within } from "./tell.mjs";

const [program] = process.argv.slice(2);

// A browser and Node 22 have it.
const sockets = new Set();
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    // Without a listener Node would end the process, which a browser does not.
    this.on("error", () => {});
    this.sent = [];
    sockets.add(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
    super.send(text);
  }
};
const script = readFileSync(new URL("../examples/chat/moorline.js", import.meta.url), "utf8");
const { connect } = await import(`data:text/javascript,${encodeURIComponent(script)}`);

const cut = () => sockets.forEach((socket) => (sockets.delete(socket), socket.terminate()));

let server = await serve(program, "serve", "127.0.0.1:0");
const url = `${server.address}/realtime`;

/** Somebody in the lobby. */
function meet(name) {
  const one = { name, heard: [], opens: [], errors: [], unconfirmed: [], who: undefined };
  one.connection = connect(url, "websocket", name, {
    status: ({ status, recovered }) => status === "open" && one.opens.push(recovered),
    message: ({ json }) => one.heard.push(json.text),
    members: ({ members }) => (one.who = members?.map(({ data }) => data?.name).sort().join()),
    unconfirmed: ({ json }) => one.unconfirmed.push(json.text),
    error: ({ code }) => one.errors.push(code),
  });
  one.connection.updateProfile({ name });
  one.connection.join("lobby");
  one.say = (text, more) => one.connection.publish({ channel: "lobby", json: { from: name, text }, ...more });
  return one;
}

const until = (holds, what) =>
  within(
    (async () => {
      while (!holds()) await sleep(5);
    })(),
    what,
  );

const ann = meet("ann");
const bob = meet("bob");
const both = [ann, bob];
let said = 0;

await run("who is there is told to each", async () => {
  await until(() => both.every(({ who }) => who === "ann,bob"), "who is there");
});

await run("what is said while links break is heard once by each, in order, and nothing is joined again", async () => {
  for (let round = 1; round <= 5; round++) {
    for (let line = 0; line < 20; line++) {
      both.forEach(({ name, say }) => say(`${name} ${said}`));
      said += 1;
      if (line === 10) cut();
      await sleep(2);
    }
    await until(() => both.every(({ opens }) => opens.length > round), "a reconnect");
  }
  await until(() => both.every(({ heard }) => heard.length >= 2 * said), "all that was said");
  for (const { heard, opens } of both) {
    equal(heard.length, 2 * said, "lines heard");
    for (const { name } of both) {
      const lines = heard.filter((text) => text.startsWith(name));
      equal(lines.join(), Array.from({ length: said }, (_, n) => `${name} ${n}`).join(), `what ${name} has said`);
    }
    check(opens.slice(1).every(Boolean), "a session was not continued");
  }
  for (const socket of sockets) {
    check(!socket.sent.some(({ type }) => type === "join" || type === "profile"), "it has joined again");
  }
});

await run("with a new session the profile and the channel come before what waits", async () => {
  const address = server.address.replace("http://", "");
  await server.stop("SIGKILL");
  cut();
  await sleep(50);
  ann.say("meanwhile");
  server = await serve(program, "serve", address);
  await until(() => both.every(({ opens }) => opens.at(-1) === false && opens.length > 6), "a new session");
  await until(() => ann.heard.includes("meanwhile"), "what waited");
  const all = [...sockets].map(({ sent }) => sent.map(({ type }) => type).filter((type) => type !== "ack" && type !== "pong").join());
  check(all.includes("hello,profile,join,publish"), `sent: ${all.join(" | ")}`);
  await until(() => both.every(({ who }) => who === "ann,bob"), "who is there");
});

await run("what has no number is counted apart", async () => {
  for (let n = 0; n < 50; n++) ann.say("volatile", { class: "volatile" });
  ann.say("numbered");
  await until(() => bob.heard.includes("numbered"), "the numbered one");
  cut();
  bob.say("after that");
  await until(() => ann.heard.includes("after that") && bob.heard.includes("after that"), "what follows");
  check(ann.opens.at(-1) && bob.opens.at(-1), "a session was not continued");
});

await run("nobody speaks in another one's name, and who leaves is gone", async () => {
  ann.say("", { json: { from: "bob", text: "forged" } });
  await until(() => ann.errors.includes("not_you"), "the refusal");
  check(!bob.heard.includes("forged"), "it was heard");
  bob.connection.leave("lobby");
  await until(() => ann.who === "ann", "the leave");
  both.forEach(({ connection }) => connection.close());
});

await server.stop("SIGKILL");
end();
