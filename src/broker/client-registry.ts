import { BrokerError } from "../core/errors.js";
import type { SessionId } from "../core/session.js";
import type { Clock } from "../ports/clock.js";
import type { Turns } from "../ports/turns.js";
import type { ClientFilter, ClientInfo, ClientWatch } from "./client-api.js";
import { WatchedClients } from "./client-watch.js";
import type { LiveSession } from "./live-session.js";
import { sessionNotFound } from "./session-end.js";
import type { SessionEnd } from "./session-end.js";

/** Every open session of the broker, for whoever asks who is connected, once or for as long as they like. */
export class ClientRegistry {
  private readonly sessions = new Map<SessionId, LiveSession>();
  private readonly watches = new Set<WatchedClients>();
  private emptied: (() => void)[] = [];

  /** @param sessionsMax how many sessions there may be, and so how many can end at once */
  constructor(
    private readonly clock: Clock,
    private readonly turns: Turns,
    private readonly sessionsMax: number,
  ) {}

  get size(): number {
    return this.sessions.size;
  }

  add(session: LiveSession): void {
    this.sessions.set(session.id, session);
    for (const watch of this.watches) watch.joined(session);
  }

  /** See BrokerApi.disconnectClient. */
  disconnect(session: SessionId, reason: string): ClientInfo {
    const found = this.sessions.get(session);
    if (found === undefined) throw sessionNotFound(session);
    const last = found.info();
    const words = reason === "" ? "" : `: ${reason}`;
    const error = new BrokerError("DISCONNECTED", `an operator ended this session${words}`, { session_id: session });
    found.end({ reason: "DISCONNECTED", detail: reason, error });
    return last;
  }

  /** Something about an open session is not as it was, other than its counts. */
  changed(session: LiveSession): void {
    if (!this.sessions.has(session.id)) return;
    for (const watch of this.watches) watch.changed(session);
  }

  /** The session has ended; nothing that it held has been given back yet. */
  remove(session: LiveSession, end: SessionEnd): void {
    if (!this.sessions.delete(session.id)) return;
    if (this.watches.size > 0) {
      const leaveTimeMs = this.clock.wall();
      for (const watch of this.watches) watch.left(session, end, leaveTimeMs);
    }
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

  /** See BrokerApi.watchClients. */
  watch(filter: ClientFilter, wake: () => void): ClientWatch {
    const watch = new WatchedClients(this.all(), filter, this.sessionsMax, this.turns, wake, (over) => this.watches.delete(over));
    this.watches.add(watch);
    return watch;
  }

  /** Ends every watch with this error, behind what it has not told yet. */
  closeWatches(error: BrokerError): void {
    for (const watch of this.watches) watch.close(error);
  }
}
