import { PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { MessageOutcome, PublishFrame, PublishOutcome } from "../broker/api.js";
import { EncodedMessages } from "../core/encoded-messages.js";
import { BrokerError } from "../core/errors.js";
import type { NewMessage } from "../core/message.js";
import { checkName } from "../core/names.js";
import { offset, wallMs } from "../core/units.js";
import { decodeRequest } from "./codec.js";
import { scanFrame } from "./frame-scan.js";
import type { ScannedFrame } from "./frame-scan.js";
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

/** A frame of a PublishStream; UNDECODABLE when the bytes are none. */
export function readFrame(bytes: Buffer): ScannedFrame | PublishStreamRequest {
  return scanFrame(bytes) ?? decodeRequest(PublishStreamRequest, "PublishStreamRequest", bytes);
}

/** Checks a frame. A bad message fails an all-or-nothing frame (thrown), but only itself in an independent one. */
export function prepareFrame(request: ScannedFrame | PublishStreamRequest, requestBytes: number): PreparedFrame {
  const queue = checkName("queue", request.queue);
  const { messages: sent, independent } = request;
  if (sent instanceof EncodedMessages) return { frame: { queue, messages: sent, expectedLastOffset: undefined, independent }, answer: asItIs };
  if (!independent) {
    const messages = newMessages("messages", sent, requestBytes);
    return { frame: { queue, messages, expectedLastOffset: undefined, independent }, answer: asItIs };
  }
  checkMessageCount("messages", sent.length);
  const messages: NewMessage[] = [];
  const indexes: number[] = [];
  const refused: MessageOutcome[] = [];
  sent.forEach((message, index) => {
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
