declare const brand: unique symbol;

/** The version of one stored entry: opaque, only handed back. */
export type Token = (string | number | bigint) & { readonly [brand]: "token" };

export interface Entry {
  readonly key: string;
  /** Read-only and valid for good. */
  readonly value: Buffer;
  readonly token: Token;
}

/** One change in a commit. Each key at most once. `value` null deletes. */
export interface Put {
  readonly key: string;
  /** Must not change any more: the engine may keep it as it is. */
  readonly value: Buffer | null;
  /** `absent`: only if there is no such key. A token: only if the entry is still that one. `any`: whatever is there. */
  readonly expect: Token | "absent" | "any";
}

/** A condition of a commit did not hold. Nothing of it was written. */
export class StateConflict extends Error {
  override readonly name = "StateConflict";
  constructor(readonly keys: readonly string[]) {
    super(`changed by somebody else: ${keys.join(", ")}`);
  }
}

/** A stored entry fails its checksum. It can still be written over with `expect: "any"`. */
export class StateCorrupt extends Error {
  override readonly name = "StateCorrupt";
  constructor(readonly key: string) {
    super(`the stored entry ${key} fails its checksum`);
  }
}

/**
 * Small keyed records of one queue (or the catalog): one atomic domain. Keys are up to 512 bytes of printable ASCII and sort
 * bytewise. Values up to 1 MiB + 64 KiB.
 */
export interface State {
  /** StateCorrupt when the entry is damaged; so does `list`. */
  get(key: string): Promise<Entry | undefined>;
  /** Entries whose key starts with `prefix` and sorts after `after` (undefined: from the start), ascending. */
  list(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]>;
  /**
   * All or none, durable when resolved with the new tokens, in the order of `puts` (a deletion's token means nothing).
   * StateConflict: none written. Joins the engine's next group commit; calls of one turn are applied in call order.
   */
  commit(puts: readonly Put[]): Promise<readonly Token[]>;
}
