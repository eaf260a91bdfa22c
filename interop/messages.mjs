// What is sent in every direction.

import { check, equal, within } from "./tell.mjs";

const SIZES = [0, 125, 126, 65_535, 65_536, 1 << 20];

export const payloads = SIZES.flatMap((size) => [
  { name: `text of ${size} bytes`, data: "x".repeat(size), binary: false },
  { name: `binary of ${size} bytes`, data: Buffer.alloc(size, 0xfe), binary: true },
]);

/** What a socket gets from now on: messages, pongs, and its close, in order. */
export class Inbox {
  constructor(socket) {
    this.items = [];
    this.waiting = [];
    const put = (item) => {
      const waiter = this.waiting.shift();
      waiter ? waiter(item) : this.items.push(item);
    };
    socket.on("message", (data, binary) => put({ data, binary }));
    socket.on("pong", (data) => put({ pong: data.toString() }));
    socket.on("close", (code, reason) => put({ code, reason: reason.toString() }));
    socket.on("error", () => {}); // A close follows.
  }

  next(what = "an event") {
    const next = this.items.shift();
    return next ? Promise.resolve(next) : within(new Promise((resolve) => this.waiting.push(resolve)), what);
  }

  async message(data, binary) {
    const got = await this.next("a message");
    check(got.data, `expected a message, got ${JSON.stringify(got)}`);
    equal(got.binary, binary, "the kind (binary)");
    check(Buffer.compare(got.data, Buffer.from(data)) === 0, `other data: ${got.data.length} bytes`);
  }

  async pong(payload) {
    equal((await this.next("a pong")).pong, payload, "the pong");
  }

  async closed(code, reason) {
    const got = await this.next("a close");
    equal(got.code, code, "the close code");
    if (reason !== undefined) equal(got.reason, reason, "the close reason");
  }
}

/** The cases that are the same whoever connects: the socket's other end echoes. */
export const echoCases = [
  ...payloads.map(({ name, data, binary }) => [
    name,
    async (socket, inbox) => {
      socket.send(data, { binary });
      await inbox.message(data, binary);
    },
  ]),
  ...[false, true].map((binary) => [
    `${binary ? "binary" : "text"} in four fragments`,
    async (socket, inbox) => {
      const part = "x".repeat(40_000);
      for (const fin of [false, false, false, true]) socket.send(part, { binary, fin });
      await inbox.message(part.repeat(4), binary);
    },
  ]),
  [
    "pings between fragments",
    async (socket, inbox) => {
      socket.send("one ", { fin: false });
      socket.ping("first");
      socket.send("two ", { fin: false });
      socket.ping("second");
      socket.send("three", { fin: true });
      await inbox.pong("first");
      await inbox.pong("second");
      await inbox.message("one two three", false);
    },
  ],
  [
    "a ping with 125 bytes",
    async (socket, inbox) => {
      socket.ping("p".repeat(125));
      await inbox.pong("p".repeat(125));
    },
  ],
  [
    "5000 messages at once, in order",
    async (socket, inbox) => {
      for (let at = 0; at < 5000; at++) socket.send(`message ${at}`);
      for (let at = 0; at < 5000; at++) await inbox.message(`message ${at}`, false);
    },
  ],
  [
    "text that is not UTF-8",
    async (socket, inbox) => {
      socket.send(Buffer.from([0x61, 0xff]), { binary: false });
      await inbox.closed(1007);
      return 1007;
    },
  ],
  [
    "text that is not UTF-8, split across fragments",
    async (socket, inbox) => {
      socket.send(Buffer.from([0x61, 0xf4]), { binary: false, fin: false });
      socket.send(Buffer.from([0x90, 0x80, 0x80]), { binary: false, fin: true });
      await inbox.closed(1007);
      return 1007;
    },
  ],
  [
    "UTF-8 split across fragments",
    async (socket, inbox) => {
      const text = Buffer.from("a€b𤭢");
      for (let at = 0; at < text.length; at++) {
        socket.send(text.subarray(at, at + 1), { binary: false, fin: at === text.length - 1 });
      }
      await inbox.message(text, false);
    },
  ],
];
