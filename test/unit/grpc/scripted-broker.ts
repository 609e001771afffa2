import type { BrokerApi, PublishFrame, PublishOutcome, PurgeOutcome, QueueInfo, ServerFacts, Session, SessionSink } from "../../../src/broker/api.js";
import type { ClientFilter, ClientInfo, ClientWatch } from "../../../src/broker/client-api.js";
import type { DeletionOutcome, ReplayOutcome } from "../../../src/broker/dead-letter-api.js";
import type { DeadLetterPage } from "../../../src/broker/dead-letter-list.js";
import type { EventInfo } from "../../../src/broker/event-list.js";
import type { MessageExplanation, SubscriberExplanation } from "../../../src/broker/explanation-api.js";
import type { PeekPage } from "../../../src/broker/peek.js";
import type { PullCall, Pulled, PullOrder, SettleAnswer } from "../../../src/broker/pull-api.js";
import type { ScheduledInfo, ScheduledPage } from "../../../src/broker/schedule-api.js";
import type { SeekOutcome } from "../../../src/broker/seek-api.js";
import type { SubscriberInfo } from "../../../src/broker/subscriber-api.js";
import type { OpenSession, SessionId, Settlement } from "../../../src/core/session.js";
import { offset, wallMs } from "../../../src/core/units.js";
import type { Durability } from "../../../src/ports/engine.js";

/** A publish that a test has not answered yet. */
export interface PendingPublish {
  readonly frame: PublishFrame;
  readonly done: (outcome: PublishOutcome) => void;
}

/** A pull that a test answers. */
export interface PendingPull {
  readonly order: PullOrder;
  answer: (pulled: Pulled) => void;
  refuse: (error: Error) => void;
  readonly gone: string[];
}

/** An outcome without anything special. */
export function stored(firstOffset: number, parts: Partial<Extract<PublishOutcome, { ok: true }>> = {}): PublishOutcome {
  return {
    ok: true,
    firstOffset: offset(firstOffset),
    duplicate: false,
    publishTimeMs: wallMs(1_000),
    matchedSubscribers: 1,
    unmatchedCount: 0,
    outcomes: [],
    ...parts,
  };
}

/** What a session was asked to do, in order: the name of the call and its arguments. */
export type SessionCall = readonly [string, ...unknown[]];

/** A broker that does as the test says: for what an edge does at moments that the real broker does not stop at. */
export class ScriptedBroker implements BrokerApi {
  readonly durability: Durability = "MEMORY";
  readonly published: PendingPublish[] = [];
  readonly waitingForRoom: (() => void)[] = [];
  readonly sessions: { readonly open: OpenSession; readonly sink: SessionSink; readonly calls: SessionCall[] }[] = [];
  hasRoom = true;
  /** Resolved when a session may open; a test replaces it to hold one up. */
  mayOpen: Promise<void> = Promise.resolve();
  /** Opens that came, whether or not their session may open yet. */
  opens = 0;
  clients: ClientInfo[] = [];
  readonly watches: { readonly filter: ClientFilter; readonly wake: () => void }[] = [];
  readonly pulls: PendingPull[] = [];
  readonly settles: { readonly session: SessionId; readonly settlement: Settlement }[] = [];
  /** What every settle is answered with; a test replaces it. */
  settleAnswer: Promise<SettleAnswer> = Promise.resolve({ failures: [], committedOffset: offset(0) });
  /** What every watch is given; a test replaces it. */
  watch: ClientWatch = { take: () => undefined, stop: () => undefined };

  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    this.published.push({ frame, done });
    return this.hasRoom;
  }

  whenWritable(_queue: string, f: () => void): void {
    this.waitingForRoom.push(f);
  }

  async openSession(open: OpenSession, sink: SessionSink): Promise<Session> {
    this.opens += 1;
    await this.mayOpen;
    const calls: SessionCall[] = [];
    this.sessions.push({ open, sink, calls });
    const note = (name: string) => (...args: unknown[]) => {
      calls.push([name, ...args]);
    };
    return {
      id: `s${this.sessions.length}`,
      settle: note("settle"),
      flow: note("flow"),
      drain: note("drain"),
      ping: note("ping"),
      heard: () => undefined,
      finishing: note("finishing"),
      halfClosed: note("halfClosed"),
      transportChanged: note("transportChanged"),
      taken: note("taken"),
      lost: note("lost"),
      failed: note("failed"),
    };
  }

  pull(order: PullOrder): PullCall {
    const pending: PendingPull = { order, answer: () => undefined, refuse: () => undefined, gone: [] };
    this.pulls.push(pending);
    const answer = new Promise<Pulled>((resolve, reject) => {
      pending.answer = resolve;
      pending.refuse = reject;
    });
    return {
      answer,
      gone: (reason) => {
        pending.gone.push(reason);
      },
    };
  }

  settle(session: SessionId, settlement: Settlement): Promise<SettleAnswer> {
    this.settles.push({ session, settlement });
    return this.settleAnswer;
  }

  createQueue(): Promise<QueueInfo> {
    return unscripted();
  }

  updateQueue(): Promise<QueueInfo> {
    return unscripted();
  }

  getQueue(): Promise<QueueInfo> {
    return unscripted();
  }

  listQueues(): Promise<readonly QueueInfo[]> {
    return unscripted();
  }

  deleteQueue(): Promise<void> {
    return unscripted();
  }

  purgeQueue(): Promise<PurgeOutcome> {
    return unscripted();
  }

  explainMessage(): Promise<readonly MessageExplanation[]> {
    return unscripted();
  }

  explainSubscriber(): Promise<SubscriberExplanation> {
    return unscripted();
  }

  createSubscriber(): Promise<SubscriberInfo> {
    return unscripted();
  }

  updateSubscriber(): Promise<SubscriberInfo> {
    return unscripted();
  }

  seekSubscriber(): Promise<SeekOutcome> {
    return unscripted();
  }

  getSubscriber(): Promise<SubscriberInfo> {
    return unscripted();
  }

  listSubscribers(): Promise<readonly SubscriberInfo[]> {
    return unscripted();
  }

  deleteSubscriber(): Promise<void> {
    return unscripted();
  }

  listClients(_queue: string | undefined, after: string | undefined, limit: number): readonly ClientInfo[] {
    return this.clients.filter(({ sessionId }) => after === undefined || sessionId > after).slice(0, limit);
  }

  watchClients(filter: ClientFilter, wake: () => void): ClientWatch {
    this.watches.push({ filter, wake });
    return this.watch;
  }

  disconnectClient(): ClientInfo {
    throw unscriptedError();
  }

  listEvents(): Promise<readonly EventInfo[]> {
    return unscripted();
  }

  peek(): Promise<PeekPage> {
    return unscripted();
  }

  listDeadLetters(): Promise<DeadLetterPage> {
    return unscripted();
  }

  replayDeadLetters(): Promise<ReplayOutcome> {
    return unscripted();
  }

  deleteDeadLetters(): Promise<DeletionOutcome> {
    return unscripted();
  }

  listScheduled(): Promise<ScheduledPage> {
    return unscripted();
  }

  cancelScheduled(): Promise<ScheduledInfo> {
    return unscripted();
  }

  serverFacts(): ServerFacts {
    throw unscriptedError();
  }
}

function unscripted<T>(): Promise<T> {
  return Promise.reject(unscriptedError());
}

function unscriptedError(): Error {
  return new Error("at /secret/path: the test's script says nothing about this call");
}
