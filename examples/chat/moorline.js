// moorline in a browser: a session over a WebSocket, or over an EventSource with fetch. See docs/protocol.md.

/** How long nothing may be heard before the link counts as lost: the server pings after 30 s, and waits 20 s more. */
const SILENCE = 50_000;

/** Our own word for it. */
const SILENT = 4999;

/** What takes a number of the session, beside messages. */
const NUMBERED = new Set(["request", "response", "join", "leave", "members", "profile", "properties", "query", "result"]);

/** Whether a packet takes a number: both ends count those, to know after a loss what is missing. */
const isNumbered = (packet) =>
  ["message", "publish"].includes(packet.type) ? (packet.class ?? "at_least_once") === "at_least_once" : NUMBERED.has(packet.type);

/** Each opens a link: it says `open()`, then `frame(text)`s, and at last `lost(code)` once. */
export const transports = {
  websocket(url, { open, frame, lost }) {
    const socket = new WebSocket(url.replace(/^http/, "ws"), "moorline.v1.json");
    socket.onopen = open;
    socket.onmessage = ({ data }) => frame(data);
    socket.onclose = ({ code }) => lost(code);
    return { send: (text) => socket.send(text), close: (code) => socket.close(code) };
  },

  sse(url, { open, frame, lost }) {
    let source, link, batch = 0, busy = false, over = false;
    const waiting = [];
    const end = (code) => {
      if (over) return;
      over = true;
      source?.close();
      lost(code);
    };
    const post = (headers, body) =>
      fetch(url, {
        method: "POST",
        headers: { "content-type": "text/event-stream", ...headers },
        body,
        credentials: "omit",
        keepalive: body.length < 60_000,
      });
    const start = async () => {
      const response = await post({}, "");
      if (!response.ok) return end(response.status === 403 ? 1008 : 1013);
      const opened = await response.json();
      if (over) return;
      link = opened.link;
      const stream = new URL(url);
      stream.searchParams.set("ticket", opened.ticket);
      source = new EventSource(stream);
      source.onopen = open;
      source.onmessage = ({ data }) => frame(data);
      source.addEventListener("close", ({ data }) => end(JSON.parse(data).code));
      // It would come back by itself, with a ticket that is used: the session comes back instead.
      source.onerror = () => end(1006);
    };
    // All that waits. A POST that fails is sent again under its number, and so is taken once.
    const flush = async () => {
      const body = waiting.splice(0).map((text) => `data: ${text}\n\n`).join("");
      const headers = { "moorline-link": link, "moorline-batch": String(++batch) };
      const response = await post(headers, body).catch(() => post(headers, body)).catch(() => {});
      if (!response?.ok) end(1006);
    };
    // One POST after another.
    const pump = async () => {
      if (busy) return;
      busy = true;
      while (waiting.length > 0 && !over) await flush();
      busy = false;
    };
    start().catch(() => end(1006));
    return {
      send: (text) => (waiting.push(text), pump()),
      // What was sent before, a close packet say, goes up first, now or never: the page may be going.
      // Where nothing is heard nothing is said, either.
      close: (code) => code === SILENT ? end(code) : (link && waiting.length > 0 ? flush() : pump()).finally(() => end(1000)),
    };
  },
};

/**
 * A connection that holds: it opens, comes back when it is lost, and continues its session, so that nothing is lost or doubled
 * either way. Where a session begins anew, its profile and its channels are told first, and then what waits.
 *
 * `on.message(packet)`; `on.status({ status, id, attempts, recovered })`; `on.members({ channel, kind, changed, members })`: who is
 * on a channel, `{ id, data }` each, or `undefined` when the server does not tell; `on.unconfirmed(packet)`: what had been sent
 * when a session ended, and may have arrived; `on.error({ code, message })`.
 */
export function connect(url, transport, auth, on) {
  let link, ready = false, ended = false, session, attempt = 0, attempts = 0, silence, retry;
  let received = 0, unnumbered = 0; // of what the server sends
  let kept = []; // what it has not acknowledged, in order: { packet, sent }
  let acknowledged = 0;
  let now; // the link of now
  let profile; // a packet, as each of the joins
  const joins = new Map(), there = new Map(), coming = new Map(); // by channel; the two last have members by id

  const put = (packet) => link.send(JSON.stringify(packet));
  const tell = (status, more) => on.status({ status, attempts, ...more });
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => link.close(SILENT), SILENCE);
  };

  const open = () => {
    const mine = {};
    let close = {};
    now = mine;
    unnumbered = 0;
    tell("connecting");
    // What an old link says is nobody's business.
    const current = (act) => (...args) => mine === now && act(...args);
    link = transports[transport](url, {
      open: current(() => {
        heard();
        const resume = session && { session: session.id, secret: session.secret, received };
        put({ type: "hello", version: 1, attempt: ++attempt, auth, resume });
      }),
      frame: current((text) => {
        heard();
        const packet = JSON.parse(text);
        if (packet.type === "close") close = packet;
        else take(packet);
      }),
      lost: current((code) => {
        now = undefined;
        clearTimeout(silence);
        ready = false;
        code = close.code ?? code;
        // The server wants us no more.
        if (ended || code === 1008 || (code >= 4000 && code < SILENT)) return tell("closed", { code });
        tell("connecting", { code });
        attempts += 1;
        const spread = close.spread ?? Math.min(500 * 2 ** attempts, 5000);
        retry = setTimeout(open, (close.retry_after ?? 0) + Math.random() * spread);
      }),
    });
  };
  const take = (packet) => {
    switch (packet.type) {
      case "ready":
        return welcome(packet);
      case "ping":
        return put({ type: "pong", n: packet.n });
      case "skip":
      case "gap":
        received += packet.count;
        acknowledge();
        // Who has come or gone may be among what is lost.
        if (packet.type === "gap") joins.forEach(post);
        return;
      case "ack":
        kept.splice(0, (packet.numbered ?? 0) - acknowledged);
        acknowledged = Math.max(acknowledged, packet.numbered ?? 0);
        return;
      case "error":
        if (packet.code.startsWith("session_")) session = undefined;
        return on.error?.(packet);
    }
    if (isNumbered(packet)) received += 1;
    else if (packet.type === "message") unnumbered += 1;
    else return;
    hear(packet);
    if (ready) acknowledge();
  };
  const acknowledge = () => put({ type: "ack", numbered: received, unnumbered });

  const hear = (packet) => {
    switch (packet.type) {
      case "message":
        return on.message(packet);
      case "members":
        return hearMembers(packet);
      case "leave":
        // The server has taken us off, or did not let us on.
        joins.delete(packet.channel);
        there.delete(packet.channel);
        return on.error?.(packet.error ?? { code: "left", message: `taken off ${packet.channel}` });
      case "request":
        return post({ type: "response", id: packet.id, error: { code: "no_handler", message: "nobody answers here" } });
    }
  };
  const hearMembers = ({ channel, kind, more, members = [] }) => {
    const known = (kind === "all" ? coming : there).get(channel) ?? new Map();
    // Who has gone is told by its id alone.
    const changed = members.map((member) => (kind === "left" && known.get(member.id)) || member);
    for (const member of members) kind === "left" ? known.delete(member.id) : known.set(member.id, member);
    // There may be too many for one packet.
    if (more) return coming.set(channel, known);
    coming.delete(channel);
    if (!joins.has(channel)) return;
    kind === "hidden" ? there.delete(channel) : there.set(channel, known);
    on.members?.({ channel, kind, changed, members: kind === "hidden" ? undefined : [...known.values()] });
  };

  const welcome = ({ id, session: granted, recovery }) => {
    const recovered = recovery?.kind === "recovered";
    if (recovered) {
      // The server has these; the rest goes again, before anything new.
      kept.splice(0, recovery.received - acknowledged);
      acknowledged = recovery.received;
    } else {
      received = acknowledged = 0;
      coming.clear();
      const messages = kept.filter(({ packet }) => ["message", "publish"].includes(packet.type));
      const standing = [profile, ...joins.values()].filter(Boolean).map((packet) => ({ packet }));
      kept = [...standing, ...messages.filter(({ sent }) => !sent)];
      messages.filter(({ sent }) => sent).forEach(({ packet }) => on.unconfirmed?.(packet));
    }
    session = granted ?? (recovered ? session : undefined);
    ready = true;
    attempts = 0;
    if (received + unnumbered > 0) acknowledge();
    kept.forEach((entry) => (put(entry.packet), (entry.sent = true)));
    tell("open", { id, recovered });
  };

  /** Sends, now or as soon as it is open. What has no number is sent now or never. */
  const post = (packet) => {
    if (isNumbered(packet)) kept.push({ packet, sent: ready });
    if (ready) put(packet);
  };

  open();
  return {
    /** Sends a message to the server. */
    send: (message) => post({ type: "message", ...message }),
    /** Sends a message to all who are on its `channel`. */
    publish: (message) => post({ type: "publish", ...message }),
    /** What the others see of us: any value of JSON. */
    updateProfile(data) {
      profile = { type: "profile", data };
      post(profile);
    },
    /** Joins a channel, and stays on it until `leave`. `options`: `echo`, `presence`. */
    join(channel, options) {
      joins.set(channel, { type: "join", channel, ...options });
      post(joins.get(channel));
    },
    leave(channel) {
      if (!joins.delete(channel)) return;
      there.delete(channel);
      post({ type: "leave", channel });
    },
    /** Ends it for good. */
    close() {
      ended = true;
      clearTimeout(retry);
      if (ready) put({ type: "close", code: 1000 });
      if (now) link.close(1000);
      else tell("closed", {});
    },
  };
}
