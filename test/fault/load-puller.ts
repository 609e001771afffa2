import { setTimeout as delay } from "node:timers/promises";
import { status as Code, type ServiceError } from "@grpc/grpc-js";
import type { Deliveries, Settlement } from "../../generated/tidemark/v1/subscribe.js";
import type { Verdict } from "../support/history.js";
import type { SeededRandom } from "../support/seeded-random.js";
import type { Stubs } from "../support/stubs.js";
import { keyIn } from "./load-publisher.js";
import type { Recording } from "./recording.js";

const LEASE = { seconds: 0n, nanos: 400_000_000 };
const WAIT = { seconds: 0n, nanos: 300_000_000 };
const MESSAGES_MAX = 20;
const THINK_MS_MAX = 15;
const RETRY = { seconds: 0n, nanos: 20_000_000 };
/** A broken connection, said in any of the ways in which grpc-js says it; or a session that is over, NOT_FOUND. */
const SESSION_IS_GONE: readonly number[] = [Code.UNAVAILABLE, Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED, Code.NOT_FOUND];

export interface LoadPullerOptions {
  readonly subscriber: string;
  readonly queue: string;
  readonly stubs: Stubs;
  readonly recording: Recording;
  readonly random: SeededRandom;
}

interface PullSession {
  /** The test's own label. */
  readonly label: string;
  /** Empty until the first pull is answered. */
  id: string;
}

/** A consumer without a stream: pulls, thinks, settles, and names its session again until that is gone or it forgets it. */
export class LoadPuller {
  private stopping = false;
  private draining = false;
  private session: PullSession | undefined;
  private lastRequest = 0;

  constructor(private readonly options: LoadPullerOptions) {}

  /** Resolves after `stop`. Rejects when the server answered what makes no sense. */
  async run(): Promise<void> {
    const { recording, stubs } = this.options;
    while (!this.stopping) {
      await recording.serverIsBack(stubs);
      this.session ??= this.newSession();
      try {
        await this.pullAndSettle(this.session);
      } catch (error) {
        if (!SESSION_IS_GONE.includes((error as ServiceError).code)) throw error;
        this.forget(this.session);
      }
    }
  }

  /** From now on everything is acked at once. */
  drain(): void {
    this.draining = true;
  }

  stop(): void {
    this.stopping = true;
  }

  private newSession(): PullSession {
    const { recording, subscriber } = this.options;
    const label = recording.nextSession(subscriber);
    recording.add({ type: "open_sent", subscriber, session: label, events: [] });
    return { label, id: "" };
  }

  private forget({ label }: PullSession): void {
    this.session = undefined;
    this.options.recording.add({ type: "session_ended", session: label, graceful: false });
  }

  private async pullAndSettle(session: PullSession): Promise<void> {
    const { queue, subscriber, stubs, recording, random } = this.options;
    const { opened, batches } = await stubs.pull({
      ...{ queue, subscriber, maxMessages: MESSAGES_MAX, wait: WAIT, sessionId: session.id, clientId: session.label },
      ackTimeout: session.id === "" ? LEASE : undefined,
    });
    if (opened === undefined) throw new Error(`a pull of ${subscriber} was answered without a session`);
    const committedOffset = Number(opened.committedOffset);
    recording.add({ type: session.id === "" ? "opened" : "committed_seen", session: session.label, committedOffset });
    session.id = opened.sessionId;
    for (const batch of batches) this.noteBatch(session, batch);
    if (!this.draining) await delay(random.between(0, THINK_MS_MAX));
    for (const batch of batches) await this.settle(session, batch);
  }

  private noteBatch({ label }: PullSession, { messages, attempt, deliveryCount }: Deliveries): void {
    for (const { offset, payload, event } of messages) {
      this.options.recording.add({ type: "delivered", session: label, offset: Number(offset), key: keyIn(payload), event, attempt, deliveryCount });
    }
  }

  /** Mostly acks a batch, sometimes says something else of it, and sometimes nothing, so that its leases run out. */
  private async settle({ label, id }: PullSession, { messages, batchId }: Deliveries): Promise<void> {
    const { stubs, recording } = this.options;
    const verdict = this.nextVerdict();
    if (verdict === undefined) return;
    const offsets = messages.map(({ offset }) => Number(offset));
    const ranges = messages.map(({ offset }) => ({ first: offset, last: 0n, batchId }));
    const requestId = ++this.lastRequest;
    recording.add({ type: "settle_sent", session: label, requestId, verdict, offsets });
    const verdicts: Record<Verdict, Partial<Settlement>> = {
      ack: { acks: ranges },
      retry: { retries: ranges.map((range) => ({ range, delay: RETRY, reason: "not in the mood" })) },
      reject: { rejects: ranges.map((range) => ({ range, reason: "cannot stand it" })) },
      release: { releases: ranges },
    };
    const { failures, committedOffset } = await stubs.settle(id, verdicts[verdict]);
    const failed = offsets.filter((offset) => failures.some(({ range }) => range !== undefined && range.first <= BigInt(offset) && BigInt(offset) <= (range.last === 0n ? range.first : range.last)));
    recording.add({ type: "settle_confirmed", session: label, requestId, failed });
    recording.add({ type: "committed_seen", session: label, committedOffset: Number(committedOffset) });
  }

  private nextVerdict(): Verdict | undefined {
    if (this.draining) return "ack";
    const mood = this.options.random.next();
    if (mood < 0.8) return "ack";
    if (mood < 0.9) return "retry";
    if (mood < 0.95) return "release";
    if (mood < 0.97) return "reject";
    return undefined;
  }
}
