import { EncodedMessages } from "../core/encoded-messages.js";
import { BrokerError } from "../core/errors.js";
import { fingerprint, messageIdHash } from "../core/hash.js";
import type { NewMessage } from "../core/message.js";
import { offset } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { DueMessages, MessageOutcome, PublishAccepted, PublishFrame, PublishOutcome } from "./api.js";
import type { Replay } from "./dead-letter-api.js";
import type { DedupHit, DedupIndex } from "./dedup-index.js";
import type { EventMatches } from "./event-matches.js";
import { checkBatch, checkMessage, runBytes, storedBytes } from "./frame-size.js";
import type { OpenBatch } from "./open-batch.js";
import type { QueueRoom, Space } from "./queue-room.js";
import type { ScheduleBook } from "./schedule-book.js";
import { scheduleId } from "./state-keys.js";

const NOTHING_STORED = offset(0);

/** A message whose id is known. `scheduleId`: it is put off, and has no offset yet. */
interface KnownMessage extends DedupHit {
  readonly scheduleId?: string;
}

/** The hashes of an all-or-nothing frame, by message; 0n where there is no id. */
interface Hashes {
  readonly ids: BigUint64Array;
  readonly fingerprints: BigUint64Array;
}

/**
 * Decides on publish frames: dedup by message id first, then the expected last offset, then the bounds of the queue, all as if
 * everything accepted before were stored already. What is accepted is added to the open batch and to the dedup index in the same call.
 */
export class FrameJudge {
  constructor(
    private readonly dedup: DedupIndex,
    private readonly matches: EventMatches,
    private readonly schedules: ScheduleBook,
    private readonly room: QueueRoom,
  ) {}

  judge(frame: PublishFrame, batch: OpenBatch): PublishOutcome {
    try {
      const { messages } = frame;
      const space = this.room.behind(batch);
      if (messages instanceof EncodedMessages) return this.storeRun(frame, messages, batch, space);
      if (frame.replay !== undefined) return this.storeReplayed(messages, frame.replay, batch, space);
      if (frame.due !== undefined) return this.storeDue(messages, frame.due, batch);
      return frame.independent ? this.judgeIndependent(frame, messages, batch, space) : this.judgeWhole(frame, messages, batch, space);
    } catch (error) {
      if (error instanceof BrokerError) return { ok: false, error };
      throw error;
    }
  }

  /** Messages without ids are all new. */
  private storeRun(frame: PublishFrame, run: EncodedMessages, batch: OpenBatch, space: Space | undefined): PublishOutcome {
    checkExpectedLastOffset(frame, batch);
    const { stored, outcomes } = space === undefined ? { stored: run, outcomes: [] } : fitting(run, space, frame.independent, batch);
    const firstOffset = stored.length === 0 ? NOTHING_STORED : batch.next;
    batch.addRun(stored, !frame.independent);
    const matching = run.events.map((event) => this.matches.count(event));
    let unmatchedCount = 0;
    if (matching.includes(0)) for (const event of run.eventIndex) if (matching[event] === 0) unmatchedCount++;
    const matchedSubscribers = matching[run.eventIndex[0] ?? 0] ?? 0;
    return { ok: true, firstOffset, duplicate: false, publishTimeMs: batch.publishTimeMs, matchedSubscribers, unmatchedCount, outcomes };
  }

  private judgeWhole(frame: PublishFrame, messages: readonly NewMessage[], batch: OpenBatch, space: Space | undefined): PublishOutcome {
    checkBatch(messages, batch.publishTimeMs);
    const hashes = hashesOf(messages);
    const known = hashes === undefined || !this.dedup.isOn ? undefined : this.knownBatch(messages, hashes, batch);
    if (known !== undefined) return this.acceptedBefore(messages, known);
    if (frame.dueTimeMs !== undefined) return this.putOff(messages, frame.dueTimeMs, hashes, batch, space);
    checkExpectedLastOffset(frame, batch);
    takeRoom(space, messages, batch);
    const first = batch.next;
    messages.forEach((message, i) => {
      this.store(message, hashes?.ids[i] ?? 0n, hashes?.fingerprints[i] ?? 0n, i > 0, batch);
    });
    return this.accepted(messages, first, false, batch.publishTimeMs, []);
  }

  /** It is charged now, and holds its id from now on; its place in the log it gets when it is due. */
  private putOff(messages: readonly NewMessage[], dueTimeMs: WallMs, hashes: Hashes | undefined, batch: OpenBatch, space: Space | undefined): PublishOutcome {
    const [message] = messages;
    if (message === undefined) throw new Error("a frame without a message is put off");
    takeRoom(space, messages, batch);
    const scheduled = this.schedules.putOff(message, dueTimeMs, hashes?.ids[0] ?? 0n, hashes?.fingerprints[0] ?? 0n);
    batch.scheduled.push(scheduled);
    return { ...this.accepted(messages, NOTHING_STORED, false, scheduled.acceptTimeMs, []), scheduleId: scheduleId(scheduled) };
  }

  /** They were deduplicated when they were accepted; their ids go on counting from here on. */
  private storeDue(messages: readonly NewMessage[], { numbers }: DueMessages, batch: OpenBatch): PublishOutcome {
    const first = batch.next;
    const hashes = hashesOf(messages);
    messages.forEach((message, i) => {
      const id = hashes?.ids[i] ?? 0n;
      const print = hashes?.fingerprints[i] ?? 0n;
      const at = batch.addDue(message, id, print, numbers[i] ?? 0);
      if (id !== 0n) this.dedup.add(id, print, at, batch.publishTimeMs);
    });
    return this.accepted(messages, first, false, batch.publishTimeMs, []);
  }

  /** Copies have their message ids for their consumer's eyes alone: they are duplicates of nothing. */
  private storeReplayed(messages: readonly NewMessage[], { addressee, origins }: Replay, batch: OpenBatch, space: Space | undefined): PublishOutcome {
    takeRoom(space, messages, batch);
    const first = batch.next;
    messages.forEach((message, i) => batch.addReplayed({ message, addressee, originOffset: origins[i] ?? NOTHING_STORED }));
    return this.accepted(messages, first, false, batch.publishTimeMs, []);
  }

  private judgeIndependent(frame: PublishFrame, messages: readonly NewMessage[], batch: OpenBatch, space: Space | undefined): PublishOutcome {
    checkExpectedLastOffset(frame, batch);
    const outcomes: MessageOutcome[] = [];
    const first = batch.next;
    messages.forEach((message, index) => {
      try {
        checkMessage(message, batch.publishTimeMs);
        const id = messageIdHash(message.messageId);
        const print = id === 0n ? 0n : fingerprint(message);
        const hit = id === 0n ? undefined : this.find(id, batch);
        if (hit === undefined) {
          takeRoom(space, [message], batch);
          this.store(message, id, print, false, batch);
          return;
        }
        checkFingerprint(hit, print, message, index);
        outcomes.push({ index, offset: hit.offset, duplicate: true, error: undefined });
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        outcomes.push({ index, offset: NOTHING_STORED, duplicate: false, error });
      }
    });
    const stored = batch.next > first;
    const duplicate = !stored && outcomes.every((outcome) => outcome.duplicate);
    return this.accepted(messages, stored ? first : NOTHING_STORED, duplicate, batch.publishTimeMs, outcomes);
  }

  /**
   * The place where this very batch is already; undefined when none of its ids is known. Anything in between is refused: a
   * part of it may not be stored twice, and the rest not without its neighbours.
   */
  private knownBatch(messages: readonly NewMessage[], hashes: Hashes, batch: OpenBatch): KnownMessage | undefined {
    checkRepeatedIds(messages, hashes);
    let first: KnownMessage | undefined;
    let hits = 0;
    let consecutive = true;
    for (const [i, message] of messages.entries()) {
      const id = hashes.ids[i] as bigint;
      const hit = id === 0n ? undefined : this.find(id, batch);
      if (hit === undefined) continue;
      checkFingerprint(hit, hashes.fingerprints[i] as bigint, message, i);
      hits++;
      if (i === 0) first = hit;
      else if (first?.scheduleId !== undefined || hit.offset !== (first?.offset ?? NOTHING_STORED) + i) consecutive = false;
    }
    if (hits === 0) return undefined;
    if (first === undefined || !consecutive || hits < messages.length) throw partialDuplicate(hits, messages.length);
    return first;
  }

  /** The message that was published under this id, in the log or put off. */
  private find(id: bigint, batch: OpenBatch): KnownMessage | undefined {
    const hit = this.dedup.find(id, batch.publishTimeMs);
    if (hit !== undefined || !this.dedup.isOn) return hit;
    const held = this.schedules.find(id);
    return held && { offset: NOTHING_STORED, fingerprint: held.fingerprint, publishTimeMs: held.acceptTimeMs, scheduleId: scheduleId(held) };
  }

  private store(message: NewMessage, id: bigint, print: bigint, joinsPrevious: boolean, batch: OpenBatch): void {
    const at = batch.add(message, id, print, joinsPrevious);
    if (id !== 0n) this.dedup.add(id, print, at, batch.publishTimeMs);
  }

  private acceptedBefore(messages: readonly NewMessage[], { offset: at, publishTimeMs, scheduleId: id }: KnownMessage): PublishAccepted {
    const known = this.accepted(messages, at, true, publishTimeMs, []);
    return id === undefined ? known : { ...known, scheduleId: id };
  }

  private accepted(messages: readonly NewMessage[], firstOffset: Offset, duplicate: boolean, publishTimeMs: PublishAccepted["publishTimeMs"], outcomes: readonly MessageOutcome[]): PublishAccepted {
    let unmatchedCount = 0;
    for (const { event } of messages) if (this.matches.count(event) === 0) unmatchedCount++;
    const [head] = messages;
    const matchedSubscribers = head === undefined ? 0 : this.matches.count(head.event);
    return { ok: true, firstOffset, duplicate, publishTimeMs, matchedSubscribers, unmatchedCount, outcomes };
  }
}

/** Takes messages that are stored all or none out of a bounded queue's room. */
function takeRoom(space: Space | undefined, messages: readonly NewMessage[], { publishTimeMs }: OpenBatch): void {
  space?.take(messages.length, space.countsBytes ? storedBytes(messages, publishTimeMs) : 0);
}

/** What of a run there is room for. Throws when it is stored all or none and there is too little; otherwise the rest gets outcomes. */
function fitting(run: EncodedMessages, space: Space, independent: boolean, { publishTimeMs }: OpenBatch): { readonly stored: EncodedMessages; readonly outcomes: readonly MessageOutcome[] } {
  const bytesOf = (from: number, to: number): number => (space.countsBytes ? runBytes(run, from, to, publishTimeMs) : 0);
  if (!independent) {
    space.take(run.length, bytesOf(0, run.length));
    return { stored: run, outcomes: [] };
  }
  const fits: number[] = [];
  const outcomes: MessageOutcome[] = [];
  for (let index = 0; index < run.length; index++) {
    try {
      space.take(1, bytesOf(index, index + 1));
      fits.push(index);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      outcomes.push({ index, offset: NOTHING_STORED, duplicate: false, error });
    }
  }
  return { stored: outcomes.length === 0 ? run : run.only(fits), outcomes };
}

/** Undefined when no message has an id: then there is nothing to hash. */
function hashesOf(messages: readonly NewMessage[]): Hashes | undefined {
  if (messages.every((message) => message.messageId === "")) return undefined;
  const ids = new BigUint64Array(messages.length);
  const fingerprints = new BigUint64Array(messages.length);
  messages.forEach((message, i) => {
    ids[i] = messageIdHash(message.messageId);
    if (ids[i] !== 0n) fingerprints[i] = fingerprint(message);
  });
  return { ids, fingerprints };
}

function checkExpectedLastOffset({ queue, expectedLastOffset }: PublishFrame, batch: OpenBatch): void {
  const last = batch.next - 1;
  if (expectedLastOffset === undefined || expectedLastOffset === last) return;
  throw new BrokerError(
    "UNEXPECTED_LAST_OFFSET",
    `the last offset of queue ${queue} is ${last}, not ${expectedLastOffset}: read what came in between and decide again`,
    { field: "expected_last_offset", value: String(expectedLastOffset), last_offset: String(last) },
  );
}

function checkRepeatedIds(messages: readonly NewMessage[], hashes: Hashes): void {
  const seen = new Set<bigint>();
  messages.forEach(({ messageId }, i) => {
    const id = hashes.ids[i] as bigint;
    if (id === 0n) return;
    if (seen.has(id)) {
      throw new BrokerError("REPEATED_MESSAGE_ID", `messages[${i}].message_id ${JSON.stringify(messageId)} is in this batch twice: give every message its own`, {
        field: `messages[${i}].message_id`,
        value: messageId,
      });
    }
    seen.add(id);
  });
}

function checkFingerprint(hit: KnownMessage, print: bigint, { messageId }: NewMessage, index: number): void {
  if (hit.fingerprint === print) return;
  throw new BrokerError(
    "MESSAGE_ID_REUSED",
    `message_id ${JSON.stringify(messageId)} was used ${hit.scheduleId === undefined ? `at offset ${hit.offset}` : `by a message that is put off, ${hit.scheduleId},`} with another event, ordering_key or payload: use a new id for new content`,
    { field: `messages[${index}].message_id`, value: messageId, offset: String(hit.offset) },
  );
}

function partialDuplicate(known: number, total: number): BrokerError {
  return new BrokerError(
    "PARTIAL_DUPLICATE",
    `${known} of the ${total} messages were published before, but not as this batch, and nothing was stored now: send the others under a batch of their own`,
    { known: String(known), messages: String(total) },
  );
}
