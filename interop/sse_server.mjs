// Event streams of a server that is not ours, odd ones too, read by our example: node sse_server.mjs path/to/listen

import { createServer } from "node:http";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { client } from "./programs.mjs";
import { check, end, equal, run, within } from "./tell.mjs";

const [program] = process.argv.slice(2);

/** A server of one answer each, by turns; its address, and the headers it has seen. */
async function host(...answers) {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    (answers.length > 1 ? answers.shift() : answers[0])(response, request);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/events`, seen, stop: () => (server.closeAllConnections(), server.close()) };
}

const stream = (...pieces) => async (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  for (const piece of pieces) {
    response.write(piece);
    await sleep(2);
  }
  response.end();
};

/** The lines that `listen` prints, up to so many or its end. */
async function listen(url, count, ...args) {
  const child = spawn(program, [url, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const lines = [];
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const over = new Promise((resolve, reject) => {
    child.once("error", reject).once("close", (code) => resolve(code));
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(JSON.parse(line));
      if (lines.length === count) child.kill();
    });
  });
  return { code: await within(over, `${count} lines; so far ${JSON.stringify(lines)}, ${said}`), lines, said };
}

const event = (data, more = {}) => ({ event: "message", data, ...more });

const cases = [
  ["one event", ["data: hello\n\n"], [event("hello")]],
  ["every line end", ["data: a\ndata: b\r\ndata: c\rdata: d\r\r\ndata: e\n\n"], [event("a\nb\nc\nd"), event("e")]],
  ["a line end that is split", ["data: a\r", "\ndata: b\r", "\n\r", "\n"], [event("a\nb")]],
  ["a byte order mark, once", ["\ufeffdata: a\n\n\ufeffdata: b\n\ndata: c\n\n"], [event("a"), event("c")]],
  ["characters that are split", [Buffer.from("data: für 🎈\n\n").subarray(0, 8), Buffer.from("data: für 🎈\n\n").subarray(8, 13), Buffer.from("data: für 🎈\n\n").subarray(13)], [event("für 🎈")]],
  ["bytes that are no UTF-8", [Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0xff, 0xe2, 0x82, 0x0a, 0x0a])], [event("\ufffd\ufffd")]],
  ["comments and unknown fields", [": hello\n:\nnonsense\nfoo: bar\ndata: a\n: b\n\n"], [event("a")]],
  ["one space is taken away", ["data:a\ndata: b\ndata:  c\ndata:\n\n"], [event("a\nb\n c\n")]],
  ["an event without data is none, an empty one is", ["event: a\n\ndata\n\ndata:\n\n"], [event(""), event("")]],
  ["a type is forgotten", ["event: a\ndata: 1\n\ndata: 2\n\nevent: a\nevent:\ndata: 3\n\n"], [event("1", { event: "a" }), event("2"), event("3")]],
  ["an id stays, one with NUL is none", ["id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n"], [event("a", { id: "1" }), event("b", { id: "1" }), event("c", { id: "1" }), event("d")]],
  ["an unfinished event is none", ["data: a\n\ndata: b\n"], [event("a")]],
  ["fields are their exact names", ["Data: a\n data: b\ndata : c\ndata: d\n\n"], [event("d")]],
];
for (const [name, pieces, wanted] of cases) {
  await run(name, async () => {
    const server = await host(stream(...pieces));
    const { code, lines, said } = await listen(server.url, Infinity, "--once");
    equal(JSON.stringify(lines), JSON.stringify(wanted), "the events");
    equal(code, 0, said);
    server.stop();
  });
}

await run("a megabyte in pieces", async () => {
  const large = "x".repeat(1000_000);
  const server = await host(stream("data: ", ...Array(10).fill(large.slice(0, 100_000)), "\n\n"));
  const { lines } = await listen(server.url, Infinity, "--once");
  equal(lines[0]?.data.length, large.length, "the length");
  server.stop();
});

await run("it comes back with the last id, after the time that the server wants", async () => {
  let first;
  const server = await host(
    (response) => {
      first = Date.now();
      return stream("retry: 700\nid: 7\ndata: a\n\n")(response);
    },
    (response) => {
      // The wall clock here and the timer there need not agree to the millisecond.
      check(Date.now() - first >= 680, "it came back too early");
      return stream("data: b\n\n")(response);
    },
  );
  const { lines } = await listen(server.url, 2);
  equal(JSON.stringify(lines), JSON.stringify([event("a", { id: "7" }), event("b", { id: "7" })]), "the events");
  equal(server.seen[0]["last-event-id"], undefined, "the first request's id");
  equal(server.seen[1]["last-event-id"], "7", "the second request's id");
  equal(server.seen[0].accept, "text/event-stream", "what it accepts");
  equal(server.seen[0]["cache-control"], "no-store", "the cache");
  server.stop();
});

await run("its headers go along", async () => {
  const server = await host(stream("data: a\n\n"));
  await listen(server.url, Infinity, "--once", "--header", "Authorization: Bearer 0123");
  equal(server.seen[0].authorization, "Bearer 0123", "the header");
  server.stop();
});

await run("it follows a redirect, and tells another host no header", async () => {
  const other = await host(stream("data: there\n\n"));
  const server = await host((response) => response.writeHead(307, { Location: other.url }).end());
  const { lines } = await listen(server.url, Infinity, "--once", "--header", "Authorization: Bearer 0123");
  equal(JSON.stringify(lines), JSON.stringify([event("there")]), "the events");
  equal(other.seen[0].authorization, undefined, "the header at the other host");
  server.stop();
  other.stop();
});

for (const [name, answer] of [
  ["204", (response) => response.writeHead(204).end()],
  ["404", (response) => response.writeHead(404).end()],
  ["another content type", (response) => response.writeHead(200, { "Content-Type": "text/html" }).end("<p>")],
]) {
  await run(`it gives up after ${name}`, async () => {
    const server = await host(answer);
    const { code } = await client(program, server.url).ended();
    check(code !== 0 && code !== null, `it ended with ${code}`);
    equal(server.seen.length, 1, "attempts");
    server.stop();
  });
}

await run("it tries again after 503", async () => {
  const server = await host(
    (response) => response.writeHead(503, { "Retry-After": "0" }).end(),
    stream("data: a\n\n"),
  );
  const { lines } = await listen(server.url, 1);
  equal(lines.length, 1, "events");
  server.stop();
});

end();
