import { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { invalidField } from "../core/names.js";
import type { OpenSession, SessionId, Settlement } from "../core/session.js";
import type { SessionSink } from "./api.js";
import type { ClientRegistry } from "./client-registry.js";
import type { LiveSession } from "./live-session.js";
import type { PullCall, Pulled, PullOrder, SettleAnswer } from "./pull-api.js";
import { PullSession } from "./pull-session.js";
import type { Ask, Caller, PullParts } from "./pull-session.js";
import { sessionNotFound } from "./session-end.js";
import { checkFilter } from "./subscriber-claims.js";

/** A pull session that goes on. */
interface Known {
  readonly pull: PullSession;
  readonly session: LiveSession;
}

/** A pull of one of them. */
interface Asked {
  readonly pull: PullSession;
  readonly ask: Ask;
}

/** Every pull session of the broker. Bounded, since no connection ends one whose client forgets it. */
export class PullSessions {
  private readonly known = new Map<SessionId, Known>();
  /** Those that hold nothing and that nobody waits with, the longest first. */
  private readonly idle = new Set<PullSession>();
  private count = 0;

  constructor(
    private readonly parts: PullParts,
    private readonly clients: ClientRegistry,
    private readonly open: (open: OpenSession, sink: SessionSink) => Promise<LiveSession>,
  ) {}

  /** See BrokerApi.pull. */
  pull(order: PullOrder): PullCall {
    let asked: Asked | undefined;
    const answer = new Promise<Pulled>((resolve, reject) => {
      asked = order.sessionId === "" ? this.begin(order, { resolve, reject }) : this.goOn(order, { resolve, reject });
    });
    return {
      answer,
      gone: (reason) => {
        asked?.pull.gone(asked.ask, reason);
      },
    };
  }

  /** See BrokerApi.settle. */
  settle(id: SessionId, settlement: Settlement): Promise<SettleAnswer> {
    const known = this.known.get(id);
    if (known !== undefined) return known.pull.settle(known.session, settlement);
    const session = this.clients.find(id);
    if (session === undefined) throw sessionNotFound(id);
    return session.settleApart(settlement);
  }

  private begin(order: PullOrder, caller: Caller): Asked {
    this.makeRoom();
    let id: SessionId | undefined;
    const pull = new PullSession(this.parts, {
      idle: (one, isIdle) => {
        this.noteIdle(one, isIdle);
      },
      over: (one) => {
        this.count--;
        this.idle.delete(one);
        if (id !== undefined) this.known.delete(id);
      },
    });
    this.count++;
    const ask = pull.begin(order, caller);
    const { maxMessages, maxBytes } = order;
    this.open({ ...order.open, flow: { maxMessages, maxBytes, paused: false } }, pull).then(
      (session) => {
        id = session.id;
        this.known.set(id, { pull, session });
        pull.attached(session);
      },
      (error: unknown) => {
        pull.refused(error);
      },
    );
    return { pull, ask };
  }

  private goOn(order: PullOrder, caller: Caller): Asked {
    const known = this.known.get(order.sessionId);
    if (known === undefined) {
      if (this.clients.find(order.sessionId) === undefined) throw sessionNotFound(order.sessionId);
      throw invalidField("session_id", order.sessionId, "the session of an earlier Pull, and this one is a stream");
    }
    const { pull, session } = known;
    checkSame(order.open, session, pull.ackTimeoutMs);
    return { pull, ask: pull.again(session, order, caller) };
  }

  /** SESSION_LIMIT where even those that hold nothing are too few to make room. */
  private makeRoom(): void {
    if (this.count >= LIMITS.pullSessionsMax) this.closeIdle();
    if (this.count < LIMITS.pullSessionsMax) return;
    throw new BrokerError("SESSION_LIMIT", `${LIMITS.pullSessionsMax} pull sessions hold messages, as many as the server allows: settle what they hold, or go on with one of them by its session_id`, {
      limit: String(LIMITS.pullSessionsMax),
    });
  }

  private noteIdle(pull: PullSession, isIdle: boolean): void {
    this.idle.delete(pull);
    if (isIdle) this.idle.add(pull);
    if (this.idle.size > LIMITS.idlePullSessionsMax) this.closeIdle();
  }

  private closeIdle(): void {
    const [longest] = this.idle;
    longest?.close();
  }
}

/** INVALID_FIELD or FILTER_MISMATCH when a pull says of the session that it names what is not so. */
function checkSame({ queue, subscriber, events, ackTimeoutMs }: OpenSession, session: LiveSession, ackTimeoutOfSession: number): void {
  if (queue !== session.queue) throw invalidField("queue", queue, `${session.queue}, as when session_id was begun`);
  if (subscriber !== session.subscriber) throw invalidField("subscriber", subscriber, `${session.subscriber}, as when session_id was begun`);
  if (events.length > 0) checkFilter({ name: subscriber, events: session.info().events }, events, { field: "events", remedy: "leave events empty, or change the subscriber" });
  if (ackTimeoutMs === undefined || ackTimeoutMs === ackTimeoutOfSession) return;
  throw invalidField("ack_timeout", `${ackTimeoutMs} ms`, `${ackTimeoutOfSession} ms or unset, as when session_id was begun: extend leases with Settle, or begin another session`);
}
