// The chat's page in headless Chromium: node browser.mjs path/to/chat path/for/screenshots
// Two tabs, one by a WebSocket and one by server-sent events, and a restart of the server in between.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { serve } from "./programs.mjs";
import { check, end, equal, run } from "./tell.mjs";

const [program, screenshots] = process.argv.slice(2);

const places = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = places.find((place) => place && existsSync(place));
if (!executablePath) throw new Error("Chromium is missing (the package `chromium`; or say where in CHROMIUM)");

const profile = mkdtempSync(join(tmpdir(), "moorline-browser-"));
process.on("exit", () => rmSync(profile, { recursive: true, force: true }));
const context = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const errors = [];

let server = await serve(program, "serve", "127.0.0.1:0");
const page_url = server.address;
const address = page_url.replace("http://", "");

/** A tab that has joined. */
async function tab(name, transport) {
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${name}: ${error.message}`));
  await page.goto(page_url);
  await page.fill("#name", name);
  await page.selectOption("#transport", transport);
  await page.click("#join button");
  await status(page, "open");
  return page;
}

const status = (page, wanted) => page.waitForSelector(`#status[data-status=${wanted}]`, { timeout: 15_000 });
const hears = (page, from, text) =>
  page.waitForFunction(
    ([from, text]) => [...document.querySelectorAll("#log li")].some((line) => line.textContent === `${from} ${text}`),
    [from, text],
    { timeout: 15_000 },
  );
const say = async (page, text) => {
  await page.fill("#text", text);
  await page.click("#say button");
};
const count = (page, line) =>
  page.evaluate((line) => [...document.querySelectorAll("#log li")].filter(({ textContent }) => textContent === line).length, line);
const text = (page, id) => page.textContent(`#${id}`);

let ann, bob;

await run("a tab joins by a WebSocket and one by server-sent events", async () => {
  ann = await tab("ann", "websocket");
  bob = await tab("bob", "sse");
  for (const page of [ann, bob]) {
    await page.waitForFunction(() => document.getElementById("who").textContent === "ann, bob", { timeout: 15_000 });
    check((await text(page, "id")).length > 1, "the page shows no id");
    equal(await text(page, "attempts"), "0", "attempts");
  }
  equal(await text(ann, "used"), "websocket", "the transport");
  equal(await text(bob, "used"), "sse", "the transport");
});

await run("each hears the other, text of every kind", async () => {
  for (const line of ["hello", "für 🎈 immer", "<b>no markup</b>", "x".repeat(5000)]) {
    await say(ann, line);
    await hears(bob, "ann", line);
    await say(bob, line);
    await hears(ann, "bob", line);
  }
});

await run("both survive a restart of the server, and what was said meanwhile arrives once", async () => {
  await server.stop("SIGKILL");
  await status(ann, "connecting");
  await status(bob, "connecting");
  await say(ann, "ann, while it was away");
  await say(bob, "bob, while it was away");
  await ann.waitForFunction(() => Number(document.getElementById("attempts").textContent) > 0, { timeout: 15_000 });
  server = await serve(program, "serve", address);
  for (const page of [ann, bob]) await status(page, "open");
  // Whoever comes back first may be heard by nobody else yet.
  await hears(ann, "ann", "ann, while it was away");
  await hears(bob, "bob", "bob, while it was away");
  await say(ann, "after all");
  for (const page of [ann, bob]) {
    await hears(page, "ann", "after all");
    for (const name of ["ann", "bob"]) {
      check((await count(page, `${name} ${name}, while it was away`)) <= 1, "it was heard twice");
    }
  }
  await bob.waitForFunction(() => document.getElementById("who").textContent === "ann, bob", { timeout: 15_000 });
});

await run("a restart in order tells them to come back", async () => {
  const stopped = await server.stop("SIGINT");
  equal(stopped.code, 0, "the server's exit");
  await status(ann, "connecting");
  server = await serve(program, "serve", address);
  for (const page of [ann, bob]) await status(page, "open");
});

for (const transport of ["websocket", "sse"]) {
  await run(`a tab that is closed is gone at once, by ${transport}`, async () => {
    for (let time = 0; time < 5; time++) {
      const eve = await tab("eve", transport);
      await ann.waitForFunction(() => document.getElementById("who").textContent === "ann, bob, eve", { timeout: 15_000 });
      // In the middle of what it has to say.
      if (time % 2) await say(eve, "good bye");
      await eve.close({ runBeforeUnload: true });
      await ann.waitForFunction(() => document.getElementById("who").textContent === "ann, bob", { timeout: 15_000 });
    }
  });
}

await run("the page has no errors, and looks as it should", async () => {
  equal(errors.join("; "), "", "errors");
  mkdirSync(screenshots, { recursive: true });
  await bob.setViewportSize({ width: 800, height: 600 });
  await say(bob, "good night");
  await hears(bob, "bob", "good night");
  await bob.screenshot({ path: join(screenshots, "chat.png") });
});

await context.close();
await server.stop("SIGKILL");
end();
