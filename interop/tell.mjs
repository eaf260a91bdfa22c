// How a peer tells `cargo xtask interop` of its cases: a line for each, and one at the end.

const LIMIT = 20_000;
const results = [];

export function check(condition, what) {
  if (!condition) throw new Error(what);
}

export function equal(got, wanted, what) {
  if (got !== wanted) throw new Error(`${what}: expected ${wanted}, got ${got}`);
}

/** Waits for a promise, but not for ever. */
export async function within(promise, what, limit = LIMIT) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing came in time`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs one case. Whatever it throws is its failure. */
export async function run(name, body) {
  try {
    await within(body(), "the case", 3 * LIMIT);
    console.log(`ok ${name}`);
    results.push(true);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.message}`);
    results.push(false);
  }
}

/** Ends the program. The last line shows that it has come to its end. */
export function end() {
  console.log(`done ${results.length}`);
  process.exit(results.length > 0 && results.every(Boolean) ? 0 : 1);
}
