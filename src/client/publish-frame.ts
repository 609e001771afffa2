import type { PublishResult } from "../../generated/tidemark/v1/publish.js";
import { type MessageEncoder, textEntryBytes, writeTextEntry } from "./message-encoder.js";
import { safeNumber } from "./safe-number.js";
import { statusName, TidemarkError } from "./tidemark-error.js";
import { durationToMs, timestampToDate } from "./wire-time.js";

/** What the broker says once a message is durable. */
export interface Published {
  /** The message's place in the queue, from 1. A safe integer. 0: it is put off. */
  readonly offset: number;
  /** True: this message id was stored before, at `offset`; nothing was stored now. */
  readonly duplicate: boolean;
  /** When the broker took it. Undefined if the broker did not say. */
  readonly publishTime: Date | undefined;
  /**
   * False: no durable subscriber's filter takes this event, which often means a typo. Undefined: the message shared a frame
   * with others of which some were taken and some not, so that the broker's count does not tell.
   */
  readonly matched: boolean | undefined;
  /** Of a message that is put off: what `Admin.cancelScheduled` takes. Absent: it is in the queue. */
  readonly scheduleId?: string;
}

/** More messages or bytes than this never share a frame. Both stay below the broker's own limits. */
export const FRAME_MESSAGES_MAX = 1_000;
export const FRAME_BYTES_MAX = 1024 * 1024;

/** google.rpc.Code.OK; `code` is a plain int32 on the wire. */
const OK = 0;

export type Resolve = (published: Published) => void;
export type Reject = (error: TidemarkError) => void;

/** Tags of the fields of a frame. */
const TAG_REQUEST_ID = 0x08;
const TAG_QUEUE = 0x12;
const TAG_INDEPENDENT = 0x30;
/** Room in front for the request id, which is known last: its tag and a varint up to 2^53. */
const REQUEST_ID_BYTES_MAX = 9;
/** A frame of one small message fits; each time that it does not, it grows by this factor. */
const FIRST_BYTES = 512;
const GROWTH = 4;

/**
 * Messages for one queue that travel together, each standing alone for the broker: the very bytes of the PublishStream frame,
 * and the table of who waits for which message. Entry i of each list belongs to message i.
 */
export class PublishFrame {
  /** What its messages take on the wire. */
  bytes = 0;
  /** True once any of it was on a stream that broke: whether it is stored is unknown. */
  sentBefore = false;
  private buffer: Buffer;
  private end: number;
  private readonly ends: number[] = [];
  private readonly resolves: Resolve[] = [];
  private readonly rejects: Reject[] = [];
  /** Which messages have an id, ascending. */
  private readonly identified: number[] = [];

  /** @param bornMs when its first message came, by the monotonic clock */
  constructor(
    readonly queue: string,
    readonly bornMs: number,
  ) {
    this.buffer = Buffer.allocUnsafe(REQUEST_ID_BYTES_MAX + textEntryBytes(queue) + FIRST_BYTES);
    this.end = writeTextEntry(this.buffer, REQUEST_ID_BYTES_MAX, TAG_QUEUE, queue);
    this.buffer[this.end++] = TAG_INDEPENDENT;
    this.buffer[this.end++] = 1;
  }

  /** How many messages it has. */
  get count(): number {
    return this.resolves.length;
  }

  /** An empty frame takes any message. */
  hasRoomFor(bytes: number): boolean {
    return this.count === 0 || (this.count < FRAME_MESSAGES_MAX && this.bytes + bytes <= FRAME_BYTES_MAX);
  }

  /** Adds the message that `encoder` took last. */
  add(encoder: MessageEncoder, resolve: Resolve, reject: Reject): void {
    this.reserve(encoder.bytes);
    this.end = encoder.write(this.buffer, this.end);
    this.answerLater(encoder.bytes, encoder.messageId !== "", resolve, reject);
  }

  /** The frame as it goes on the wire, a view that must not change any more. */
  encoded(requestId: number): Buffer {
    let start = REQUEST_ID_BYTES_MAX;
    const digits: number[] = [];
    for (let rest = requestId; rest > 0; rest = Math.floor(rest / 0x80)) digits.push(rest % 0x80);
    digits.reverse().forEach((digit, i) => (this.buffer[--start] = i === 0 ? digit : digit | 0x80));
    this.buffer[--start] = TAG_REQUEST_ID;
    return this.buffer.subarray(start, this.end);
  }

  /** Tells everybody what became of their message. */
  answer(result: PublishResult): void {
    if (result.code !== OK) {
      const retryAfterMs = result.retryAfter === undefined ? undefined : durationToMs(result.retryAfter);
      this.fail(new TidemarkError(statusName(result.code), result.reason, result.detail, {}, retryAfterMs));
      return;
    }
    const publishTime = result.publishTime === undefined ? undefined : timestampToDate(result.publishTime);
    const matched = matchedOf(result.unmatchedCount, this.count);
    let offset = safeNumber(result.firstOffset, "first_offset");
    let next = 0;
    for (const outcome of result.outcomes) {
      for (; next < outcome.index; next++) this.resolves[next]?.({ offset: offset++, duplicate: result.duplicate, publishTime, matched });
      if (outcome.code !== OK) {
        this.rejects[next]?.(new TidemarkError(statusName(outcome.code), outcome.reason, outcome.detail));
      } else {
        this.resolves[next]?.({ offset: safeNumber(outcome.offset, "offset"), duplicate: outcome.duplicate, publishTime, matched });
      }
      next++;
    }
    for (; next < this.count; next++) this.resolves[next]?.({ offset: offset++, duplicate: result.duplicate, publishTime, matched });
  }

  /** None of its messages was stored, or nobody knows: `error` says which. */
  fail(error: TidemarkError): void {
    for (const reject of this.rejects) reject(error);
  }

  /**
   * The stream broke before the answer. Messages without an id fail with `unknown`; those with one are safe to send again
   * and come back as a frame of their own, undefined if there are none.
   */
  afterBreak(unknown: TidemarkError): PublishFrame | undefined {
    const again = new PublishFrame(this.queue, this.bornMs);
    again.sentBefore = true;
    let next = 0;
    this.rejects.forEach((reject, i) => {
      if (this.identified[next] !== i) {
        reject(unknown);
        return;
      }
      next++;
      again.addFrom(this, i);
    });
    return again.count === 0 ? undefined : again;
  }

  private addFrom(other: PublishFrame, index: number): void {
    const resolve = other.resolves[index];
    const reject = other.rejects[index];
    const end = other.ends[index];
    if (resolve === undefined || reject === undefined || end === undefined) return;
    const start = other.ends[index - 1] ?? other.end - other.bytes;
    this.reserve(end - start);
    other.buffer.copy(this.buffer, this.end, start, end);
    this.end += end - start;
    this.answerLater(end - start, true, resolve, reject);
  }

  private answerLater(bytes: number, isIdentified: boolean, resolve: Resolve, reject: Reject): void {
    if (isIdentified) this.identified.push(this.count);
    this.ends.push(this.end);
    this.resolves.push(resolve);
    this.rejects.push(reject);
    this.bytes += bytes;
  }

  private reserve(bytes: number): void {
    const needed = this.end + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(GROWTH * this.buffer.length, FRAME_BYTES_MAX + FIRST_BYTES)));
    this.buffer.copy(grown, 0, 0, this.end);
    this.buffer = grown;
  }
}

function matchedOf(unmatchedCount: number, messages: number): boolean | undefined {
  if (unmatchedCount === 0) return true;
  return unmatchedCount >= messages ? false : undefined;
}
