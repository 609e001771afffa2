import type { SessionId } from "../core/session.js";
import type { ClientInfo } from "./api.js";
import type { LiveSession } from "./live-session.js";

/** Every open session of the broker, for whoever asks who is connected. */
export class ClientRegistry {
  private readonly sessions = new Map<SessionId, LiveSession>();
  private emptied: (() => void)[] = [];

  get size(): number {
    return this.sessions.size;
  }

  add(session: LiveSession): void {
    this.sessions.set(session.id, session);
  }

  remove(id: SessionId): void {
    this.sessions.delete(id);
    if (this.sessions.size > 0) return;
    const { emptied } = this;
    this.emptied = [];
    for (const f of emptied) f();
  }

  /** The open session of this id, if there is one. */
  find(id: SessionId): LiveSession | undefined {
    return this.sessions.get(id);
  }

  /** The sessions of now. */
  all(): readonly LiveSession[] {
    return [...this.sessions.values()];
  }

  /** Calls `f` once, when the last session has gone; at once when there is none. */
  whenEmpty(f: () => void): void {
    if (this.sessions.size === 0) f();
    else this.emptied.push(f);
  }

  /** See BrokerApi.listClients. */
  list(queue: string | undefined, after: SessionId | undefined, limit: number): readonly ClientInfo[] {
    return this.all()
      .filter((session) => (queue === undefined || session.queue === queue) && (after === undefined || session.id > after))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
      .map((session) => session.info());
  }
}
