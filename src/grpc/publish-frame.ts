import type { PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { MessageOutcome, PublishFrame, PublishOutcome } from "../broker/api.js";
import { BrokerError } from "../core/errors.js";
import type { NewMessage } from "../core/message.js";
import { checkName } from "../core/names.js";
import { offset, wallMs } from "../core/units.js";
import { batchedMessage, checkBatchSize, checkMessageCount, newMessages } from "./from-wire.js";

/** What one frame of a PublishStream asks of the broker, and how the broker's outcome answers the frame as it was sent. */
export interface PreparedFrame {
  /** `undefined`: no message of the frame is valid, so that there is nothing to ask. */
  readonly frame: PublishFrame | undefined;
  readonly answer: (outcome: PublishOutcome) => PublishOutcome;
}

/** The outcome of an independent frame of which nothing was valid. */
export const NOTHING_STORED: PublishOutcome = {
  ok: true,
  firstOffset: offset(0),
  duplicate: false,
  publishTimeMs: wallMs(0),
  matchedSubscribers: 0,
  unmatchedCount: 0,
  outcomes: [],
};

const asItIs = (outcome: PublishOutcome): PublishOutcome => outcome;

/** Checks a frame. A bad message fails an all-or-nothing frame (thrown), but only itself in an independent one. */
export function prepareFrame(request: PublishStreamRequest, requestBytes: number): PreparedFrame {
  const queue = checkName("queue", request.queue);
  if (!request.independent) {
    const messages = newMessages("messages", request.messages, requestBytes);
    return { frame: { queue, messages, expectedLastOffset: undefined, independent: false }, answer: asItIs };
  }
  checkMessageCount("messages", request.messages.length);
  const messages: NewMessage[] = [];
  const indexes: number[] = [];
  const refused: MessageOutcome[] = [];
  request.messages.forEach((message, index) => {
    try {
      messages.push(batchedMessage(`messages[${index}]`, message, requestBytes));
      indexes.push(index);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      refused.push({ index, offset: offset(0), duplicate: false, error });
    }
  });
  checkBatchSize("messages", messages, requestBytes);
  const frame = messages.length === 0 ? undefined : { queue, messages, expectedLastOffset: undefined, independent: true };
  return { frame, answer: refused.length === 0 ? asItIs : (outcome) => withRefused(outcome, indexes, refused) };
}

/** The broker saw only the valid messages: their outcomes get the indexes of the frame as sent, beside those refused here. */
function withRefused(outcome: PublishOutcome, indexes: readonly number[], refused: readonly MessageOutcome[]): PublishOutcome {
  if (!outcome.ok) return outcome;
  const judged = outcome.outcomes.map((one) => ({ ...one, index: indexes[one.index] ?? one.index }));
  return { ...outcome, outcomes: [...judged, ...refused].sort((a, b) => a.index - b.index) };
}
