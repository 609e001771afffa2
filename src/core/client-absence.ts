import { monotonicMs, wallMs, type MonotonicMs, type Now, type WallMs } from "./units.js";

/** What is stored of the clients of a subscriber. */
export type ClientPresence =
  /** One is connected, or was when the process died. */
  | { readonly kind: "connected" }
  | { readonly kind: "never" }
  | { readonly kind: "left"; readonly timeMs: WallMs };

/** How long a subscriber has been without a client. Across restarts it goes by the wall clock; within one process that may jump. */
export class ClientAbsence {
  /** When it began; undefined while somebody is connected. */
  private since: MonotonicMs | undefined;
  private left: WallMs | undefined;

  private constructor(since: MonotonicMs, left: WallMs | undefined) {
    this.since = since;
    this.left = left;
  }

  /**
   * From what is stored. Where that does not say when the last client left, it has left now: rather late than early.
   * @param presence undefined: nothing is known of clients
   */
  static restored(presence: ClientPresence | undefined, createTimeMs: WallMs, now: Now): ClientAbsence {
    if (presence === undefined || presence.kind === "connected") return new ClientAbsence(now.monotonicMs, now.wallMs);
    const left = presence.kind === "left" ? presence.timeMs : undefined;
    const passed = Math.max(0, now.wallMs - (left ?? createTimeMs));
    return new ClientAbsence(monotonicMs(now.monotonicMs - passed), left);
  }

  /** When the last client left; undefined while one is there, or when there never was one. */
  get lastClientTimeMs(): WallMs | undefined {
    return this.since === undefined ? undefined : this.left;
  }

  get presence(): ClientPresence {
    if (this.since === undefined) return { kind: "connected" };
    return this.left === undefined ? { kind: "never" } : { kind: "left", timeMs: this.left };
  }

  /** A client is about to connect: the time begins anew. */
  announced(now: Now): void {
    if (this.since !== undefined) this.since = now.monotonicMs;
  }

  connected(): void {
    this.since = undefined;
  }

  /** The last one has gone. */
  gone(now: Now): void {
    this.since = now.monotonicMs;
    this.left = now.wallMs;
  }

  /** When the subscriber expires if nobody comes; undefined: it does not. `expireAfterMs` 0: never. */
  expiresAt(expireAfterMs: number): MonotonicMs | undefined {
    return this.since === undefined || expireAfterMs === 0 ? undefined : monotonicMs(this.since + expireAfterMs);
  }

  /** The same by the wall clock of now. */
  expireTimeMs(expireAfterMs: number, now: Now): WallMs | undefined {
    const at = this.expiresAt(expireAfterMs);
    return at === undefined ? undefined : wallMs(Math.round(now.wallMs + at - now.monotonicMs));
  }
}
