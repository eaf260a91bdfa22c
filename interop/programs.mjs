// Starts our own programs, and ends them when this process ends, however it does.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { within } from "./tell.mjs";

const children = new Set();
process.on("exit", () => children.forEach((child) => child.kill("SIGKILL")));

function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  child.said = "";
  child.stderr.on("data", (data) => (child.said += data));
  child.ended = new Promise((resolve) => {
    child.on("error", (error) => resolve({ code: null, said: error.message }));
    child.on("close", (code) => {
      children.delete(child);
      resolve({ code, said: child.said.trim() });
    });
  });
  return child;
}

/** Starts a server: its address is its first line. */
export async function serve(program, ...args) {
  const child = start(program, args);
  const lines = createInterface({ input: child.stdout });
  const first = new Promise((resolve, reject) => {
    lines.once("line", resolve);
    child.ended.then(({ said }) => reject(new Error(`the server ended: ${said}`)));
  });
  first.catch(() => {});
  const address = await within(first, "the server's address");
  const stop = async (signal) => {
    child.kill(signal);
    return within(child.ended, "the server's end");
  };
  return { address, url: `ws://${address}`, stop };
}

/** Runs a client to its end: its exit code, and what it said. */
export function client(program, ...args) {
  const child = start(program, args);
  child.stdout.resume();
  return { ended: () => within(child.ended, "the client's end"), kill: () => child.kill("SIGKILL") };
}
