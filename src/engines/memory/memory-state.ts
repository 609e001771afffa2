import type { Entry, Put, State, Token } from "../../ports/state.js";
import { StateConflict } from "../../ports/state.js";
import type { GroupCommit } from "../group-commit.js";
import { checkPuts } from "../state-key.js";
import type { MemoryDisk } from "./memory-disk.js";
import type { MemoryFaults } from "./memory-faults.js";

/** Keyed state over a map: written in the staging area first, and only readable once the commit has ended. */
export class MemoryState implements State {
  /** Written by the transaction in progress; null for deleted. */
  private readonly staged = new Map<string, Entry | null>();

  constructor(
    private readonly disk: MemoryDisk,
    private readonly entries: Map<string, Entry>,
    private readonly commits: GroupCommit,
    private readonly faults: MemoryFaults,
  ) {}

  get(key: string): Promise<Entry | undefined> {
    return this.commits.read(() => this.entries.get(key));
  }

  list(prefix: string, after: string | undefined, limit: number): Promise<readonly Entry[]> {
    return this.commits.read(() => {
      const found = [...this.entries.values()].filter(({ key }) => key.startsWith(prefix) && (after === undefined || key > after));
      return found.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit);
    });
  }

  commit(puts: readonly Put[]): Promise<readonly Token[]> {
    checkPuts(puts);
    return new Promise((resolve, reject) => {
      let written: readonly { readonly key: string; readonly entry: Entry | null; readonly token: Token }[] = [];
      let conflict: StateConflict | undefined;
      this.commits.submit({
        apply: () => {
          conflict = this.conflictOf(puts);
          if (conflict === undefined) written = puts.map((put) => this.stage(put));
        },
        settle: () => {
          for (const { key, entry } of written) this.publish(key, entry);
          if (conflict === undefined) resolve(written.map(({ token }) => token));
          else reject(conflict);
        },
      });
    });
  }

  private conflictOf(puts: readonly Put[]): StateConflict | undefined {
    const keys = this.faults.takeStateConflict() ? puts.map(({ key }) => key) : puts.filter((put) => !this.holds(put)).map(({ key }) => key);
    return keys.length === 0 ? undefined : new StateConflict(keys);
  }

  private holds(put: Put): boolean {
    if (put.expect === "any") return true;
    const staged = this.staged.get(put.key);
    const current = staged === undefined ? this.entries.get(put.key) : (staged ?? undefined);
    return put.expect === "absent" ? current === undefined : current?.token === put.expect;
  }

  private stage(put: Put): { key: string; entry: Entry | null; token: Token } {
    const token = this.disk.nextToken() as Token;
    const entry = put.value === null ? null : { key: put.key, value: put.value, token };
    this.staged.set(put.key, entry);
    return { key: put.key, entry, token };
  }

  private publish(key: string, entry: Entry | null): void {
    if (this.staged.get(key) === entry) this.staged.delete(key);
    if (entry === null) this.entries.delete(key);
    else this.entries.set(key, entry);
  }
}
