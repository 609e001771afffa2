import { messageBytes, messageStart } from "../core/chunk.js";
import type { Chunk } from "../core/chunk.js";
import type { ExplainReason, Standing } from "../core/explanation.js";
import { LIMITS } from "../core/limits.js";
import { laneHash } from "../core/hash.js";
import { decodeMessage } from "../core/message-codec.js";
import type { StoredMessage } from "../core/message-codec.js";
import { LoadedChunk } from "../core/subscription/loaded-chunks.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import { MessageFormatError } from "../core/wire-format.js";
import type { Clock } from "../ports/clock.js";
import { LogCorrupt, LogOutOfRange } from "../ports/log.js";
import { StateCorrupt } from "../ports/state.js";
import type { State } from "../ports/state.js";
import type { Turns } from "../ports/turns.js";
import { decodeDeadLetter } from "./dead-letter-record.js";
import type { MessageExplanation, SubscriberExplanation } from "./explanation-api.js";
import { messageSentence, sessionSentence, subscriberSentence } from "./explanation-text.js";
import type { UntoldMessage } from "./explanation-text.js";
import { RecordCorrupt } from "./json-record.js";
import { nextTurn, readHeaders } from "./log-headers.js";
import type { QueueLog } from "./queue-log.js";
import { deadLetterKey } from "./state-keys.js";
import type { SubscriberRecord } from "./subscriber-record.js";
import type { DurableSubscriber } from "./subscribers-parts.js";

/** Where explanations look. */
export interface ExplainerParts {
  readonly log: QueueLog;
  readonly state: State;
  readonly turns: Turns;
  readonly clock: Clock;
  /** The address of a session's client, while it is there. */
  readonly peerOf: (session: string) => string | undefined;
}

/** A message as the log has it, or why it has not. */
type Found = { readonly reason: ExplainReason } | { readonly reason: undefined; readonly message: StoredMessage; readonly addressee: string };

/** Answers where messages stand and what subscribers wait for. Nothing is changed by asking. */
export class Explainer {
  constructor(private readonly parts: ExplainerParts) {}

  /** Where a message stands with each of these subscribers. */
  async message(at: Offset, subscribers: readonly DurableSubscriber[]): Promise<readonly MessageExplanation[]> {
    const found = await this.find(at);
    const explanations: MessageExplanation[] = [];
    let filterBytes = 0;
    for (const subscriber of subscribers) {
      const { events, ...told } = await this.told(at, found, subscriber);
      for (const pattern of events ?? []) filterBytes += pattern.length;
      explanations.push({ ...told, ...(events !== undefined && filterBytes <= LIMITS.explainedFilterBytesMax && { events }) });
      await nextTurn(this.parts.turns);
    }
    return explanations;
  }

  /** What a subscriber waits for. */
  async subscriber(known: DurableSubscriber): Promise<SubscriberExplanation> {
    const { record, driver } = known;
    const backlogCount = await driver.backlog.counted();
    const oldest = await this.oldest(known);
    const explanation = oldest === undefined ? undefined : (await this.message(oldest.offset, [known]))[0];
    const { reasons, sessions, unsettled, resumeTimeMs } = driver.explaining.subscriber();
    const untold = {
      ...{ reasons, unsettled, backlogCount, committedOffset: driver.committedOffset(), headOffset: driver.headOffset() },
      sessions: sessions.slice(0, LIMITS.explainedSessionsMax).map((session) => ({ ...session, sentence: sessionSentence(session) })),
      oldest: oldest === undefined || explanation === undefined ? undefined : { offset: oldest.offset, explanation },
    };
    return { ...untold, sentence: subscriberSentence(record.name, untold, resumeTimeMs) };
  }

  /** The first message that a subscriber has not settled, and about when it was published; undefined: there is none, or it is too far to look for. */
  async oldest({ record, driver }: DurableSubscriber): Promise<{ readonly offset: Offset; readonly publishTimeMs: WallMs } | undefined> {
    const { log, turns } = this.parts;
    const { next } = log.head();
    const { oldest } = driver.explaining.subscriber();
    if (oldest === undefined && driver.backlogCount() === 0) return undefined;
    const from = offset(Math.max(oldest ?? driver.counts().next, log.head().first));
    const firstIn = (chunk: Chunk | undefined): { readonly offset: Offset; readonly publishTimeMs: WallMs } | undefined => {
      const index = chunk === undefined ? 0 : new LoadedChunk(chunk, driver.filters, record.name).nextTaken(Math.max(0, from - chunk.first));
      return chunk === undefined || index === chunk.count ? undefined : { offset: offset(chunk.first + index), publishTimeMs: chunk.firstTimeMs };
    };
    try {
      // Mostly it is at once there: a filter is passed over as messages come.
      const [nearest] = await log.headers(from, 1);
      const found = firstIn(nearest);
      if (found !== undefined || nearest === undefined) return found;
      for await (const chunk of readHeaders(log, offset(nearest.last + 1), next, turns)) {
        const further = firstIn(chunk);
        if (further !== undefined) return further;
      }
    } catch (error) {
      if (!(error instanceof LogCorrupt)) throw error;
    }
    return undefined;
  }

  private async told(at: Offset, found: Found, subscriber: DurableSubscriber): Promise<MessageExplanation> {
    const { driver, record } = subscriber;
    const standing = (await this.deadLetter(at, record.name)) ?? this.standing(at, found, subscriber);
    const { first, next } = this.parts.log.head();
    const peer = standing.holder === undefined ? undefined : this.parts.peerOf(standing.holder.session);
    const untold: UntoldMessage = {
      ...standing,
      subscriber: record.name,
      ...(standing.reason === "NOT_YET_STORED" && { headOffset: offset(next - 1) }),
      ...((standing.reason === "PURGED" || standing.reason === "DROPPED_BY_RETENTION") && { firstOffset: first }),
      ...(standing.reason === "FILTERED" && { events: driver.filters.at(at).patterns }),
      ...(peer !== undefined && { holderPeer: peer }),
    };
    return { ...untold, sentence: messageSentence(at, untold, this.parts.clock.wall()) };
  }

  private standing(at: Offset, found: Found, { record, driver }: DurableSubscriber): Omit<UntoldMessage, "subscriber"> {
    if (found.reason !== undefined) return { reason: found.reason };
    const { message, addressee } = found;
    if (addressee !== "" && addressee !== record.name) return { reason: "ADDRESSED_ELSEWHERE" };
    if (addressee === "" && !driver.filters.at(at).matches(message.event)) return { reason: "FILTERED" };
    const now = this.parts.clock.now();
    const standing = driver.explaining.message(at, laneOf(message), now);
    const { expireTimeMs } = message;
    const expiry = expireTimeMs === 0 ? {} : { expireTimeMs };
    if (standing === undefined && isBeforeStart(record, message)) return { reason: "BEFORE_START" };
    if (expireTimeMs !== 0 && expireTimeMs <= now.wallMs && !isWithClient(standing) && standing?.reason !== "DEAD_LETTERED") return { reason: "EXPIRED", ...expiry };
    if (standing === undefined) return { reason: "SETTLED" };
    const aheadCount = standing.reason === "BEHIND_BACKLOG" ? driver.backlog.before(at) : undefined;
    return { ...standing, ...expiry, ...(standing.lane !== undefined && { orderingKey: message.orderingKey }), ...(aheadCount !== undefined && { aheadCount }) };
  }

  private async deadLetter(at: Offset, subscriber: string): Promise<Omit<UntoldMessage, "subscriber"> | undefined> {
    try {
      const entry = await this.parts.state.get(deadLetterKey(subscriber, at));
      if (entry === undefined) return undefined;
      const { reason, detail, attempts, deliveries, deadLetterTimeMs } = decodeDeadLetter(entry.value);
      return { reason: "DEAD_LETTERED", deadLetterReason: reason, lastReason: detail, attempt: attempts, deliveryCount: deliveries, settleTimeMs: deadLetterTimeMs };
    } catch (error) {
      if (error instanceof StateCorrupt || error instanceof RecordCorrupt) return { reason: "CORRUPT" };
      throw error;
    }
  }

  private async find(at: Offset): Promise<Found> {
    const { log } = this.parts;
    const { first, next } = log.head();
    if (at >= next) return { reason: "NOT_YET_STORED" };
    if (at < first) return { reason: log.wasPurged(at) ? "PURGED" : "DROPPED_BY_RETENTION" };
    try {
      const [chunk] = await log.read(at, { maxMessages: 1, maxBytes: 1, wantsBody: () => true });
      if (chunk === undefined || chunk.first > at) return { reason: "NO_MESSAGE" };
      const index = at - chunk.first;
      const start = messageStart(chunk, index);
      const bytes = chunk.body?.subarray(start, start + messageBytes(chunk, index));
      if (bytes === undefined) return { reason: "DROPPED_BY_RETENTION" };
      return { reason: undefined, message: decodeMessage(bytes), addressee: chunk.addressee?.[index] ?? "" };
    } catch (error) {
      if (error instanceof LogCorrupt || error instanceof MessageFormatError) return { reason: "CORRUPT" };
      if (error instanceof LogOutOfRange) return { reason: "DROPPED_BY_RETENTION" };
      throw error;
    }
  }
}

/** In hand, or with a verdict on its way: what expires there stays there until its lease ends. */
function isWithClient(standing: Standing | undefined): boolean {
  return standing?.reason === "IN_FLIGHT" || standing?.reason === "ACK_PENDING";
}

function laneOf({ orderingKey }: StoredMessage): bigint {
  return orderingKey === "" ? 0n : laneHash(orderingKey);
}

/** Of a start at the end of the log only its time is known. */
function isBeforeStart({ start, createTimeMs }: SubscriberRecord, message: StoredMessage): boolean {
  if (start.kind === "after_offset") return message.offset <= start.offset;
  if (start.kind === "from_time") return message.publishTimeMs < start.timeMs;
  return start.kind === "latest" && message.publishTimeMs < createTimeMs;
}
