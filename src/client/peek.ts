import { PeekMessagesRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { PeekMessagesResponse } from "../../generated/tidemark/v1/admin_service.js";
import { type StoredMessage, storedMessage } from "./stored-message.js";
import { dateToTimestamp } from "./wire-time.js";

/** Asked for at once; the broker's own bound. */
const MESSAGES_AT_ONCE = 1_000;

/** Where a peek begins. Default: with the oldest message. */
export type PeekFrom =
  /** With this offset, or the first message after it. Beyond the next one to come it is refused with BEYOND_HEAD. */
  | { readonly offset: number }
  /** With the first message published at this time or later. */
  | { readonly time: Date }
  /** With the message that has this many matching ones behind it, itself included; no more than these are answered. At least 1. */
  | { readonly last: number };

/** What to look at; all of it is optional. */
export interface PeekOptions {
  readonly from?: PeekFrom;
  /** Event filters. Default: every event. */
  readonly events?: readonly string[];
  /** Ends after so many messages. Default: at what is the end of the queue by then. */
  readonly limit?: number;
}

/** Messages of a queue, page by page as they are iterated. */
export async function* peekMessages(
  queue: string,
  { from, events = [], limit = Infinity }: PeekOptions,
  call: (request: PeekMessagesRequest) => Promise<PeekMessagesResponse>,
): AsyncGenerator<StoredMessage, void, undefined> {
  // What is published while the last ones are read is not among them.
  let left = from !== undefined && "last" in from ? Math.min(limit, from.last) : limit;
  for (let start = wireFrom(from); left > 0; ) {
    const maxMessages = Math.min(left, MESSAGES_AT_ONCE);
    const page = await call({ ...PeekMessagesRequest.create({ queue, events: [...events], maxMessages }), from: start });
    yield* page.messages.map(storedMessage);
    left -= page.messages.length;
    if (page.nextOffset === 0n) return;
    start = { $case: "fromOffset", value: page.nextOffset };
  }
}

function wireFrom(from: PeekFrom | undefined): PeekMessagesRequest["from"] {
  if (from === undefined) return undefined;
  if ("offset" in from) return { $case: "fromOffset", value: BigInt(from.offset) };
  if ("time" in from) return { $case: "fromTime", value: dateToTimestamp(from.time) };
  return { $case: "lastMessages", value: from.last };
}
