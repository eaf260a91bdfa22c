// Node's `ws` as client against our echo server: node node_client.mjs path/to/echo_server

import WebSocket from "ws";
import { Inbox, echoCases } from "./messages.mjs";
import { serve } from "./programs.mjs";
import { check, end, equal, run, within } from "./tell.mjs";

const [program] = process.argv.slice(2);

async function open(url, ...rest) {
  const socket = new WebSocket(url, ...rest);
  const inbox = new Inbox(socket);
  const opened = new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  await within(opened, "the handshake");
  return { socket, inbox };
}

const server = await serve(program, "--codec", "raw");

for (const [name, body] of echoCases) {
  await run(name, async () => {
    const { socket, inbox } = await open(`${server.url}/any/path?with=query`);
    if (await body(socket, inbox)) return;
    socket.close(1000, "enough");
    await inbox.closed(1000, "enough");
  });
}

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1011, 3000, 3999, 4000, 4999]) {
  await run(`it closes with ${code}`, async () => {
    const { socket, inbox } = await open(server.url);
    socket.close(code, "bye, für immer");
    await inbox.closed(code);
  });
}
await run("it closes without a code", async () => {
  const { socket, inbox } = await open(server.url);
  socket.close();
  await inbox.closed(1005);
});
for (const code of [4000, 4001, 4999]) {
  await run(`the server disconnects with ${code}`, async () => {
    const { inbox } = await open(`${server.url}/close/${code}`);
    await inbox.closed(code, "");
  });
}

await run("compression is offered and not taken", async () => {
  const { socket, inbox } = await open(server.url, { perMessageDeflate: true });
  equal(socket.extensions, "", "the extensions");
  socket.send("x".repeat(5000));
  await inbox.message("x".repeat(5000), false);
  socket.terminate();
});

await run("a subprotocol is chosen", async () => {
  const { socket } = await open(server.url, ["other", "moorline.v1.bin"]);
  equal(socket.protocol, "moorline.v1.bin", "the subprotocol");
  socket.terminate();
});

await run("a foreign origin gets 403", async () => {
  const refused = open(server.url, { origin: "http://evil.example" });
  const error = await refused.then(() => null, (error) => error);
  check(error?.message.includes("403"), `expected 403, got ${error?.message}`);
});

await run("200 clients at once", async () => {
  const clients = await Promise.all(Array.from({ length: 200 }, () => open(server.url)));
  await Promise.all(
    clients.map(async ({ socket, inbox }, at) => {
      socket.send(`client ${at}`);
      await inbox.message(`client ${at}`, false);
      socket.close(1000);
      await inbox.closed(1000);
    }),
  );
});

await run("the server stops with 1012", async () => {
  const own = await serve(program, "--codec", "raw");
  const { socket, inbox } = await open(own.url);
  // Open here is not yet open there.
  socket.ping("there?");
  await inbox.pong("there?");
  const { code } = await own.stop("SIGINT");
  await inbox.closed(1012);
  equal(code, 0, "the server's exit code");
});

await run("one thread", async () => {
  const own = await serve(program, "--codec", "raw", "--threads", "1");
  const { socket, inbox } = await open(own.url);
  socket.send("hello");
  await inbox.message("hello", false);
  await own.stop("SIGKILL");
  await inbox.closed(1006);
});

await run("--broadcast reaches everybody, the sender too", async () => {
  const own = await serve(program, "--codec", "raw", "--broadcast");
  const clients = await Promise.all([1, 2, 3].map(() => open(own.url)));
  // Open here is not yet open there.
  for (const { socket, inbox } of clients) {
    socket.ping("there?");
    await inbox.pong("there?");
  }
  for (let at = 0; at < 3000; at++) clients[0].socket.send(`to all: ${at}`);
  for (const { inbox } of clients) {
    for (let at = 0; at < 3000; at++) await inbox.message(`to all: ${at}`, false);
  }
  await own.stop("SIGINT");
});

await run("--max-message", async () => {
  const own = await serve(program, "--codec", "raw", "--max-message", "1000");
  const { socket, inbox } = await open(own.url);
  socket.send("x".repeat(1000));
  await inbox.message("x".repeat(1000), false);
  socket.send("x".repeat(1001));
  await inbox.closed(1009);
  await own.stop("SIGINT");
});

await server.stop("SIGINT");
end();
