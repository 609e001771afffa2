import type { NewMessage } from "../../generated/tidemark/v1/message.js";
import type { PublishResult } from "../../generated/tidemark/v1/publish.js";
import type { EncodableMessage } from "./outgoing-message.js";
import { safeNumber } from "./safe-number.js";
import { statusName, TidemarkError } from "./tidemark-error.js";
import { durationToMs, timestampToDate } from "./wire-time.js";

/** What the broker says once a message is durable. */
export interface Published {
  /** The message's place in the queue, from 1. A safe integer. */
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
}

/** More messages or bytes than this never share a frame. Both stay below the broker's own limits. */
export const FRAME_MESSAGES_MAX = 1_000;
export const FRAME_BYTES_MAX = 1024 * 1024;

/** google.rpc.Code.OK; `code` is a plain int32 on the wire. */
const OK = 0;

export type Resolve = (published: Published) => void;
export type Reject = (error: TidemarkError) => void;

/**
 * Messages for one queue that travel together, each standing alone for the broker, with the table of who waits for which:
 * entry i of each list belongs to message i.
 */
export class PublishFrame {
  readonly messages: NewMessage[] = [];
  bytes = 0;
  /** True once any of it was on a stream that broke: whether it is stored is unknown. */
  sentBefore = false;
  private readonly resolves: Resolve[] = [];
  private readonly rejects: Reject[] = [];

  /** @param bornMs when its first message came, by the monotonic clock */
  constructor(
    readonly queue: string,
    readonly bornMs: number,
  ) {}

  /** An empty frame takes any message. */
  hasRoomFor(bytes: number): boolean {
    return this.messages.length === 0 || (this.messages.length < FRAME_MESSAGES_MAX && this.bytes + bytes <= FRAME_BYTES_MAX);
  }

  add(message: EncodableMessage, resolve: Resolve, reject: Reject): void {
    this.messages.push(message.wire);
    this.resolves.push(resolve);
    this.rejects.push(reject);
    this.bytes += message.bytes;
  }

  /** Tells everybody what became of their message. */
  answer(result: PublishResult): void {
    if (result.code !== OK) {
      const retryAfterMs = result.retryAfter === undefined ? undefined : durationToMs(result.retryAfter);
      this.fail(new TidemarkError(statusName(result.code), result.reason, result.detail, {}, retryAfterMs));
      return;
    }
    const publishTime = result.publishTime === undefined ? undefined : timestampToDate(result.publishTime);
    const matched = matchedOf(result.unmatchedCount, this.messages.length);
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
    for (; next < this.messages.length; next++) this.resolves[next]?.({ offset: offset++, duplicate: result.duplicate, publishTime, matched });
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
    // The bytes of a part are not kept; the whole is a bound for it.
    again.bytes = this.bytes;
    this.messages.forEach((message, i) => {
      const resolve = this.resolves[i];
      const reject = this.rejects[i];
      if (resolve === undefined || reject === undefined) return;
      if (message.messageId === "") reject(unknown);
      else again.add({ wire: message, bytes: 0 }, resolve, reject);
    });
    return again.messages.length === 0 ? undefined : again;
  }
}

function matchedOf(unmatchedCount: number, messages: number): boolean | undefined {
  if (unmatchedCount === 0) return true;
  return unmatchedCount >= messages ? false : undefined;
}
