import { BrokerError } from "../core/errors.js";
import type { SessionId } from "../core/session.js";
import type { WallMs } from "../core/units.js";
import type { Turns } from "../ports/turns.js";
import type { ClientFilter, ClientLeft, ClientNews, ClientWatch } from "./client-api.js";
import type { LiveSession } from "./live-session.js";
import type { SessionEnd } from "./session-end.js";

/** What waits to be told of one session: that it is there, or that it is not as it was, as of when it is taken; or its end. */
type Waiting = { readonly type: "joined" | "changed"; readonly session: LiveSession; readonly wasThere: boolean } | ClientLeft;

/**
 * One who watches who is connected. News wait here, one for each session, until they are taken: whoever takes them slowly gets the
 * newest state and the end, and nothing in between.
 */
export class WatchedClients implements ClientWatch {
  private readonly waiting = new Map<SessionId, Waiting>();
  /** Of the sessions that were there at the start: those not told of, and those told of. */
  private unlisted = 0;
  private listed = 0;
  private isListed = false;
  private endsWaiting = 0;
  private error: BrokerError | undefined;
  private over = false;
  private waking = false;

  /**
   * @param there the open sessions of now
   * @param endsMax how many ends may wait; beyond, the watch ends with WATCH_BACKLOG
   * @param onStop called once, when nothing more is to be told
   */
  constructor(
    there: readonly LiveSession[],
    private readonly filter: ClientFilter,
    private readonly endsMax: number,
    private readonly turns: Turns,
    private readonly wake: () => void,
    private readonly onStop: (watch: WatchedClients) => void,
  ) {
    for (const session of there) {
      if (!this.concerns(session)) continue;
      this.waiting.set(session.id, { type: "joined", session, wasThere: true });
      this.unlisted++;
    }
    this.wakeLater();
  }

  joined(session: LiveSession): void {
    if (!this.concerns(session)) return;
    this.waiting.set(session.id, { type: "joined", session, wasThere: false });
    this.wakeLater();
  }

  changed(session: LiveSession): void {
    if (!this.concerns(session) || this.waiting.has(session.id)) return;
    this.waiting.set(session.id, { type: "changed", session, wasThere: false });
    this.wakeLater();
  }

  /** Ends keep their order, whatever was waiting of the session before. */
  left(session: LiveSession, end: SessionEnd, leaveTimeMs: WallMs): void {
    if (!this.concerns(session)) return;
    const before = this.waiting.get(session.id);
    if (before !== undefined && before.type !== "left" && before.wasThere) this.unlisted--;
    this.waiting.delete(session.id);
    this.waiting.set(session.id, { type: "left", client: session.info(), reason: end.reason, detail: end.detail, leaveTimeMs });
    this.endsWaiting++;
    if (this.endsWaiting > this.endsMax) this.end(backlogError(this.endsMax));
    this.wakeLater();
  }

  /** Nothing more will happen: what waits is told, then this. */
  close(error: BrokerError): void {
    this.error ??= error;
    this.wakeLater();
  }

  take(): ClientNews | undefined {
    if (this.over) return undefined;
    if (!this.isListed && this.unlisted === 0) {
      this.isListed = true;
      return { type: "listed", count: this.listed };
    }
    const [first] = this.waiting;
    if (first !== undefined) {
      const [id, next] = first;
      this.waiting.delete(id);
      return this.told(next);
    }
    if (this.error === undefined) return undefined;
    this.stop();
    return { type: "over", error: this.error };
  }

  stop(): void {
    if (this.over) return;
    this.over = true;
    this.waiting.clear();
    this.onStop(this);
  }

  private told(next: Waiting): ClientNews {
    if (next.type === "left") {
      this.endsWaiting--;
      return next;
    }
    if (next.wasThere) {
      this.unlisted--;
      this.listed++;
    }
    return { type: next.type, client: next.session.info() };
  }

  /** Drops what waits: the error says that it is incomplete. */
  private end(error: BrokerError): void {
    this.error = error;
    this.waiting.clear();
    this.unlisted = 0;
    this.isListed = true;
  }

  private concerns({ queue, subscriber }: LiveSession): boolean {
    if (this.over || this.error !== undefined) return false;
    return (this.filter.queue === undefined || queue === this.filter.queue) && (this.filter.subscriber === undefined || subscriber === this.filter.subscriber);
  }

  /** In a turn of its own, so that what one turn brings about is told together, and as it is in the end. */
  private wakeLater(): void {
    if (this.waking || this.over) return;
    this.waking = true;
    this.turns.next(() => {
      this.waking = false;
      if (!this.over) this.wake();
    });
  }
}

function backlogError(endsMax: number): BrokerError {
  return new BrokerError("WATCH_BACKLOG", `more than ${endsMax} sessions ended that this watch was not read of: read faster, or watch one queue; watch again to see who is there`, { limit: String(endsMax) }, 0);
}
