import { expect } from "chai";
import type { Chunk } from "../../src/core/chunk.js";
import type { Engine } from "../../src/ports/engine.js";
import type { Head, Log, ReadLimit } from "../../src/ports/log.js";
import type { Put } from "../../src/ports/state.js";
import { chunksAfter } from "../support/chunks.js";

/** One engine under test and its data. */
export interface EngineBench {
  readonly engine: Engine;
  /** Closes the engine and opens another over the same data. */
  restart(): Promise<Engine>;
  /** Damages the stored chunk that begins at `first`, between a close and the next open. */
  damage(queue: string, first: number, part: "header" | "body"): Promise<Engine>;
  /** Closes the engine and removes its data. */
  end(): Promise<void>;
}

export const EVERYTHING: ReadLimit = { maxMessages: 1_000_000, maxBytes: 1e9, wantsBody: () => true };
export const NO_BODIES: ReadLimit = { ...EVERYTHING, wantsBody: () => false };

/** Appends one chunk for each number, with so many messages. */
export function fill(log: Log, ...counts: readonly number[]): Promise<Head> {
  return log.append(chunksAfter(log.head(), counts), log.head().next);
}

/** Chunks as "1-3 4-4". */
export function runs(chunks: readonly Chunk[]): string {
  return chunks.map(({ first, last }) => `${first}-${last}`).join(" ");
}

/** The error that a promise rejects with, which must be of this type. */
export async function failure<T extends Error>(promise: Promise<unknown>, type: new (...args: never[]) => T): Promise<T> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(type);
    return error as T;
  }
  throw new Error(`expected ${type.name}`);
}

/** One change of a state, its value as text. */
export function put(key: string, value: string | null, expect: Put["expect"] = "any"): Put {
  return { key, value: value === null ? null : Buffer.from(value), expect };
}

