import { strict as assert } from "node:assert";
import type { Put } from "../ports/state.js";

const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
const KEY_BYTES_MAX = 512;

/** Holds the callers of a state to its contract: usable keys, each once. */
export function checkPuts(puts: readonly Put[]): void {
  const keys = new Set<string>();
  for (const { key } of puts) {
    assert(PRINTABLE_ASCII.test(key) && key.length <= KEY_BYTES_MAX, `${JSON.stringify(key)} is no state key`);
    assert(!keys.has(key), `the state key ${key} occurs twice in one commit`);
    keys.add(key);
  }
}
