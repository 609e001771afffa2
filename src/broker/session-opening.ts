import type { OpenSession } from "../core/session.js";
import { offset } from "../core/units.js";
import type { Log } from "../ports/log.js";
import type { SessionSink } from "./api.js";
import { LiveSession } from "./live-session.js";
import { checkAgainst, checkClaims, predecessorOf, replacedError } from "./opening.js";
import type { QueueParts } from "./queue-parts.js";
import { endWith } from "./session-end.js";
import { sessionTerms } from "./session-terms.js";
import type { SessionTerms } from "./session-terms.js";
import type { BrokerSettings } from "./settings.js";
import type { Subscribers } from "./subscribers.js";
import { movedError } from "./subscription-errors.js";
import type { SubscriptionDriver } from "./subscription-driver.js";

/** The queue that sessions are opened on. */
export interface SessionQueue {
  readonly id: string;
  readonly ordered: boolean;
  readonly log: Pick<Log, "head">;
  readonly subscribers: Subscribers;
  /** Throws when it is closed. */
  checkOpen(): void;
}

/** Opens the sessions of one queue: from what a client asks for to the `opened` that it hears. */
export class SessionOpening {
  constructor(
    private readonly queue: SessionQueue,
    private readonly parts: QueueParts,
  ) {}

  /** See BrokerApi.openSession. `mayOpen` throws when the broker has changed its mind since. */
  async open(open: OpenSession, sink: SessionSink, mayOpen: () => void): Promise<LiveSession> {
    const { queue } = this;
    const { clients } = this.parts;
    // Before a subscriber is made for it.
    checkClaims(open, offset(queue.log.head().next - 1));
    predecessorOf(open, clients);
    const { driver, created, settings } = await queue.subscribers.join(open);
    await driver.backlog.counted();
    this.check(mayOpen);
    if (driver.isOver) throw movedError(open.subscriber);
    const terms = sessionTerms(open, settings());
    const session = this.session(open, sink, driver, terms, settings);
    const predecessor = predecessorOf(open, clients);
    predecessor?.end(endWith(replacedError(predecessor.id)));
    checkAgainst(open, driver);
    await this.attach(session, driver, open, terms, mayOpen);
    clients.add(session);
    const { maxAttempts, maxUnsettled } = settings();
    sink.opened({
      sessionId: session.id,
      queueId: queue.id,
      committedOffset: driver.committedOffset(),
      headOffset: driver.headOffset(),
      backlogCount: driver.backlogCount(),
      deadLetterCount: driver.deadLetterCount,
      ordered: queue.ordered,
      ackTimeoutMs: terms.ackTimeoutMs,
      heartbeatMs: terms.heartbeatMs,
      flow: terms.flow,
      events: driver.events,
      maxAttempts,
      created,
      standby: driver.standsBy(session.id),
      maxUnsettled,
    });
    session.start();
    driver.start(session);
    return session;
  }

  private session(open: OpenSession, sink: SessionSink, driver: SubscriptionDriver, terms: SessionTerms, settings: () => BrokerSettings): LiveSession {
    const { clock, scheduler, random, clients } = this.parts;
    return new LiveSession(random.id(), open, terms, sink, driver, {
      ...{ clock, scheduler, settings },
      changed: (changed) => {
        clients.changed(changed);
      },
    });
  }

  /** Resolves when what the client claims is durable, and counted; the session has its place from the first moment on. */
  private async attach(session: LiveSession, driver: SubscriptionDriver, open: OpenSession, terms: SessionTerms, mayOpen: () => void): Promise<void> {
    const { ackTimeoutMs, flow, maxBatchMessages, maxBatchBytes } = terms;
    const { clientId, ackMode, stop, maxInFlightPerLane, sharing, claims } = open;
    this.queue.subscribers.refresh(driver);
    await driver.attach(session, { clientId, ackMode, flow, ackTimeoutMs, stop, maxBatchMessages, maxBatchBytes, maxInFlightPerLane, sharing }, claims);
    try {
      if (claims.processedThrough !== undefined || claims.done.length > 0) await driver.backlog.counted();
      await this.queue.subscribers.expiry.noted(driver.name);
      session.checkOpening();
      this.check(mayOpen);
    } catch (error) {
      session.lost();
      throw error;
    }
  }

  private check(mayOpen: () => void): void {
    this.queue.checkOpen();
    mayOpen();
  }
}
