import { crc32 } from "node:zlib";
import { StateConflict, StateCorrupt } from "../../ports/state.js";
import type { Entry, Put, State, Token } from "../../ports/state.js";
import type { GroupCommit } from "../group-commit.js";
import { checkPuts } from "../state-key.js";
import type { LmdbStore } from "./lmdb-store.js";
import { KIND, textKey, textOfKey } from "./record-keys.js";
import type { Owner } from "./record-keys.js";

/** u32 CRC-32 of key and rest, u64 token; then the value. */
const PREFIX_BYTES = 12;
const TOKEN_AT = 4;
/** Sorts behind every character of a key. */
const BEHIND = "\xff";

/** Keyed state in the store. Conditions are checked inside the transaction, against what it holds by then. */
export class LmdbState implements State {
  /** @param nextToken makes a token that this data directory has never seen */
  constructor(
    private readonly store: LmdbStore,
    private readonly owner: Owner,
    private readonly commits: GroupCommit,
    private readonly nextToken: () => bigint,
  ) {}

  get(key: string): Promise<Entry | undefined> {
    return this.commits.read(() => this.entry(key));
  }

  list(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    return this.commits.read(() => {
      const start = after === undefined || after < prefix ? prefix : `${after}\0`;
      const end = `${prefix}${BEHIND}`;
      const keys = start < end ? this.store.keys(this.keyOf(start), this.keyOf(end), limit) : [];
      return keys.map((key) => this.entry(textOfKey(key))).filter((entry) => entry !== undefined);
    });
  }

  commit(puts: readonly Put[]): Promise<readonly Token[]> {
    checkPuts(puts);
    return new Promise((resolve, reject) => {
      let tokens: readonly bigint[] = [];
      let conflicting: readonly string[] = [];
      this.commits.submit({
        line: this,
        bytes: puts.reduce((sum, { value }) => sum + (value?.length ?? 0), 0),
        apply: () => {
          conflicting = puts.filter((put) => !this.holds(put)).map(({ key }) => key);
          if (conflicting.length === 0) tokens = puts.map((put) => this.write(put));
        },
        settle: () => {
          if (conflicting.length === 0) resolve(tokens as readonly unknown[] as readonly Token[]);
          else reject(new StateConflict(conflicting));
        },
      });
    });
  }

  private keyOf(key: string): Buffer {
    return textKey(this.owner, KIND.state, key);
  }

  private entry(key: string): Entry | undefined {
    const stored = this.stored(key);
    if (stored === undefined) return undefined;
    return { key, value: stored.subarray(PREFIX_BYTES), token: tokenOf(stored) };
  }

  private stored(key: string): Buffer | undefined {
    const recordKey = this.keyOf(key);
    const stored = this.store.get(recordKey);
    if (stored === undefined) return undefined;
    if (stored.length < PREFIX_BYTES || stored.readUInt32LE(0) !== recordCrc(recordKey, stored)) throw new StateCorrupt(key);
    return stored;
  }

  /** A damaged entry holds no condition but "any", which writes over it. */
  private holds(put: Put): boolean {
    if (put.expect === "any") return true;
    const stored = this.store.get(this.keyOf(put.key));
    if (put.expect === "absent" || stored === undefined) return put.expect === "absent" && stored === undefined;
    return stored.length >= PREFIX_BYTES && tokenOf(stored) === put.expect;
  }

  private write(put: Put): bigint {
    const token = this.nextToken();
    const key = this.keyOf(put.key);
    if (put.value === null) {
      this.store.remove(key);
      return token;
    }
    const record = Buffer.allocUnsafe(PREFIX_BYTES + put.value.length);
    record.writeBigUInt64LE(token, TOKEN_AT);
    record.set(put.value, PREFIX_BYTES);
    record.writeUInt32LE(recordCrc(key, record), 0);
    this.store.put(key, record);
    return token;
  }
}

function tokenOf(stored: Buffer): Token {
  return stored.readBigUInt64LE(TOKEN_AT) as unknown as Token;
}

/** Over the key as well: a record that turns up under another key is damage. */
function recordCrc(key: Buffer, record: Buffer): number {
  return crc32(record.subarray(TOKEN_AT), crc32(key));
}
