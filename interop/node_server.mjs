// Node's `ws` as server against our echo client: node node_server.mjs path/to/echo_client

import { WebSocketServer } from "ws";
import { Inbox, echoCases } from "./messages.mjs";
import { client } from "./programs.mjs";
import { end, equal, run, within } from "./tell.mjs";

const [program] = process.argv.slice(2);

/** One connection of our client: `body` talks, and says with what exit code the client should end. */
async function meet(body, options = {}, ...more) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", ...options });
  const arrived = new Promise((resolve) => {
    server.on("connection", (socket, request) => resolve({ socket, inbox: new Inbox(socket), request }));
  });
  await within(new Promise((resolve) => server.once("listening", resolve)), "listening");
  const started = client(program, `ws://127.0.0.1:${server.address().port}/there?x=1`, "--codec", "raw", ...more);
  try {
    const { socket, inbox, request } = await within(arrived, "the client");
    equal(request.url, "/there?x=1", "the path");
    const wanted = await body(socket, inbox, request);
    const { code, said } = await started.ended();
    equal(code, wanted, `the exit code, having said "${said}"`);
  } finally {
    started.kill();
    server.clients.forEach((socket) => socket.terminate());
    server.close();
  }
}

for (const [name, body] of echoCases) {
  await run(name, () =>
    meet(async (socket, inbox) => {
      if (await body(socket, inbox)) return 1;
      socket.close(1000, "enough");
      await inbox.closed(1000, "enough");
      return 0;
    }),
  );
}

for (const code of [1000, 1001, 1002, 1003, 1008, 1011, 1012, 3000, 4000, 4999]) {
  await run(`it closes with ${code}`, () =>
    meet(async (socket, inbox) => {
      socket.close(code, "bye, für immer");
      await inbox.closed(code, "bye, für immer");
      return code <= 1001 ? 0 : 1;
    }),
  );
}

await run("it closes without a code", () =>
  meet(async (socket, inbox) => {
    socket.close();
    await inbox.closed(1005);
    return 0;
  }),
);

await run("it cuts the connection", () =>
  meet(async (socket) => {
    socket.terminate();
    return 1;
  }),
);

await run("it would compress", () =>
  meet(
    async (socket, inbox, request) => {
      equal(request.headers["sec-websocket-extensions"], undefined, "the extensions offered");
      socket.send("x".repeat(5000));
      await inbox.message("x".repeat(5000), false);
      socket.close(1000);
      return 0;
    },
    { perMessageDeflate: { threshold: 0 } },
  ),
);

await run("--max-message", () =>
  meet(
    async (socket, inbox) => {
      socket.send("x".repeat(1000));
      await inbox.message("x".repeat(1000), false);
      socket.send("x".repeat(1001));
      await inbox.closed(1009);
      return 1;
    },
    {},
    "--max-message",
    "1000",
  ),
);

end();
